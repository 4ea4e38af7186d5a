//! The door: who is let in, by what the operator's files say at the moment.
//!
//! The files are looked at before each request and each TLS handshake. What they say is validated whole before it counts, and what is
//! refused leaves all as it was: a broken or emptied file never opens the door.

mod renewal;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Request, StatusCode};
use rustls::ServerConfig;

use super::auth::{Authenticator, FailureLog, Reason};
use super::clock::Standing;
use super::config::RateLimitConfig;
use super::connection::Client;
use super::limit::RateLimit;
use super::proxies::{self, Proxies};
use super::security::{Security, Sources};
use super::watch::Watched;
use super::{Answer, plain};
use crate::exposition::{Desc, Samples, counter, gauge};
use crate::flags::{self, AnyFlag, Flag, Values};
use renewal::Renewal;

static REALM: Flag<String> = flags::text(
    "web.auth-realm",
    "hostwarden",
    "What a browser shows when it asks for the password.",
);

pub static FLAGS: &[&dyn AnyFlag] = &[&REALM, &proxies::TRUSTED];

static RELOAD_SUCCESSFUL: Desc = gauge(
    "hostwarden_config_last_reload_successful",
    "1 if the files of the endpoint are in force as they were last read, 0 if they were refused.",
    &[],
);
static RELOAD_TIME: Desc = gauge(
    "hostwarden_config_last_reload_success_timestamp_seconds",
    "When the files of the endpoint that are in force were read, since the epoch.",
    &[],
);
static CERTIFICATE_EXPIRY: Desc = gauge(
    "hostwarden_certificate_expiry_timestamp_seconds",
    "When the endpoint's own certificate runs out, since the epoch.",
    &[],
);
static SUCCESSES: Desc =
    counter("hostwarden_auth_successes_total", "Requests with a valid credential.", &[]);
static FAILURES: Desc = counter(
    "hostwarden_auth_failures_total",
    "Requests that were refused for their credential, by the reason.",
    &["reason"],
);
static HASHES: Desc = counter(
    "hostwarden_auth_hashes_total",
    "Password hashes computed; all other requests were decided from memory.",
    &[],
);

/// What a load balancer may see without a password.
pub const HEALTH_PATH: &str = "/-/healthy";

/// Keeps the door.
#[derive(Debug)]
pub struct Door {
    sources: Sources,
    challenge: HeaderValue,
    proxies: Proxies,
    authenticator: Arc<Authenticator>,
    failures: FailureLog,
    rules: RwLock<Arc<Rules>>,
    watched: Mutex<Watched>,
    renewal: Renewal,
}

/// What is in force at a moment.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    asks: bool,
    pub tls: Option<Arc<ServerConfig>>,
    http2: bool,
    certificate_expiry: u64,
    headers: Vec<(HeaderName, HeaderValue)>,
    rate_limit: Option<(RateLimitConfig, Arc<RateLimit>)>,
}

impl Door {
    /// Reads and validates everything; returns what the operator should be told, too.
    pub fn new(values: &Values) -> Result<(Self, Vec<String>), String> {
        let sources = Sources::from_flags(values)?;
        let mut watched = Watched::default();
        let security = sources.load(&mut watched)?;
        let door = Self {
            sources,
            challenge: challenge(&values.get(&REALM))?,
            proxies: Proxies::from_flags(values)?,
            authenticator: Arc::new(Authenticator::new([])),
            failures: FailureLog::default(),
            rules: RwLock::default(),
            watched: Mutex::new(watched),
            renewal: Renewal::new(),
        };
        let warnings = door.put_in_force(security);
        Ok((door, warnings))
    }

    /// Whether anybody who comes needs a password.
    pub fn asks(&self) -> bool {
        self.rules().asks
    }

    pub fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn proxies(&self) -> &Proxies {
        &self.proxies
    }

    /// Lets a request pass, or says what to answer in its place. Whoever is not let in learns nothing but that.
    pub(super) async fn admit<B>(
        &self,
        request: &Request<B>,
        client: &Client,
    ) -> Result<(), Box<Answer>> {
        if !self.asks() {
            client.clock.rise(Standing::Served);
            return Ok(());
        }
        if request.uri().path() == HEALTH_PATH {
            return Ok(());
        }
        let source = self.proxies.source(client.source(), request.headers());
        let header = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
        match self.authenticator.decide(header, source).await {
            Ok(_) => {
                client.clock.rise(Standing::Trusted);
                Ok(())
            }
            Err(reason) => {
                self.tell(&reason, source);
                Err(Box::new(self.refusal(&reason)))
            }
        }
    }

    fn tell(&self, reason: &Reason, source: Option<IpAddr>) {
        if let Some(not_told) = self.failures.note(reason, Instant::now()) {
            let source = source.map_or_else(|| "local".to_owned(), |source| source.to_string());
            tracing::warn!(source, err = %reason, not_told, "login refused");
        }
    }

    /// Even who is not looked at gets a 401: a guess must not learn that it was none. When to come back is for the one who is right.
    fn refusal(&self, reason: &Reason) -> Answer {
        let mut answer = plain(StatusCode::UNAUTHORIZED, "Unauthorized\n");
        let headers = answer.headers_mut();
        headers.insert(WWW_AUTHENTICATE, self.challenge.clone());
        match reason {
            Reason::Penalized(time) => {
                headers.insert(RETRY_AFTER, HeaderValue::from(time.as_secs() + 1));
            }
            Reason::Busy => {
                headers.insert(RETRY_AFTER, HeaderValue::from(1));
            }
            _ => {}
        }
        answer
    }

    /// Pushes the door's own metrics.
    pub fn push(&self, out: &mut Samples) {
        let counts = &self.authenticator.counts;
        out.push(&SUCCESSES, &[], counts.successes());
        for (reason, count) in counts.failures() {
            out.push(&FAILURES, &[&reason], count);
        }
        out.push(&HASHES, &[], counts.hashes());
        let (is_good, time) = self.renewal.outcome();
        out.push(&RELOAD_SUCCESSFUL, &[], is_good);
        out.push(&RELOAD_TIME, &[], time);
        let rules = self.rules();
        if rules.tls.is_some() {
            out.push(&CERTIFICATE_EXPIRY, &[], rules.certificate_expiry);
        }
    }

    /// The users first: nobody must come in by rules that are not there yet.
    fn put_in_force(&self, security: Security) -> Vec<String> {
        let Security { users, tls, http2, headers, rate_limit, warnings } = security;
        let asks = users.is_some();
        self.authenticator.reload(users.unwrap_or_default());
        let before = self.rules();
        let rate_limit = rate_limit.map(|config| match &before.rate_limit {
            // The same limit goes on with the tokens that it has.
            Some((same, limit)) if *same == config => (config, Arc::clone(limit)),
            _ => (config, Arc::new(RateLimit::new(config.interval, config.burst))),
        });
        let certificate_expiry = tls.as_ref().map_or(0, |tls| tls.not_after);
        let tls = tls.map(|tls| tls.config);
        let rules = Rules { asks, tls, http2, certificate_expiry, headers, rate_limit };
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
        warnings
    }
}

impl Rules {
    /// Says in the log what a listener that begins now does.
    pub fn announce(&self, address: &str) {
        tracing::info!(address, "Listening on");
        if let Some((RateLimitConfig { interval, burst }, _)) = self.rate_limit {
            tracing::info!(burst, interval = ?interval, "Rate Limiter is enabled.");
        }
        if self.tls.is_some() {
            tracing::info!(http2 = self.http2, address, "TLS is enabled.");
        } else {
            tracing::info!(http2 = false, address, "TLS is disabled.");
        }
    }

    /// Whether the limit of requests leaves room for one more.
    pub fn have_room(&self) -> bool {
        self.rate_limit.as_ref().is_none_or(|(_, limit)| limit.allow(Instant::now()))
    }

    /// The operator's headers win over ours.
    pub fn dress(&self, answer: &mut Answer) {
        for (name, value) in &self.headers {
            answer.headers_mut().insert(name, value.clone());
        }
    }
}

/// `Basic realm="…"`: RFC 7617 wants a realm always.
fn challenge(realm: &str) -> Result<HeaderValue, String> {
    let quoted = realm.replace('\\', "\\\\").replace('"', "\\\"");
    HeaderValue::from_str(&format!("Basic realm=\"{quoted}\""))
        .map_err(|_| format!("--{}: {realm:?} cannot stand in a header", REALM.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn realms() {
        let text = |realm| challenge(realm).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(text("Open Contracting").unwrap(), "Basic realm=\"Open Contracting\"");
        assert_eq!(text("a\"b\\c").unwrap(), "Basic realm=\"a\\\"b\\\\c\"");
        assert_eq!(text("").unwrap(), "Basic realm=\"\"");
        assert_eq!(
            text("a\nb").unwrap_err(),
            "--web.auth-realm: \"a\\nb\" cannot stand in a header"
        );
    }
}
