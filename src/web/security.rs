//! How the door is built: users, TLS, response headers and rate limit, from the files that the operator wrote, read and validated
//! as one.

use std::path::{Path, PathBuf};

use hyper::header::{HeaderName, HeaderValue};

use super::config::{self, RateLimitConfig, WebConfig};
use super::htpasswd;
use super::password::Hash;
use super::tls::{self, Tls};
use super::watch::Watched;
use crate::flags::{self, AnyFlag, Flag, Values};

static CONFIG_FILE: Flag<String> = flags::text(
    "web.config.file",
    "",
    "Web config file of exporter-toolkit: TLS, users, response headers, rate limit. (--web.config does the same.)",
);
static CONFIG: Flag<String> =
    flags::text("web.config", "", "The name of web.config.file before 1.5.0.").hidden();

pub static FLAGS: &[&dyn AnyFlag] = &[&CONFIG_FILE, &CONFIG, &htpasswd::FILE];

/// Who may come in, and how.
#[derive(Debug)]
pub struct Security {
    /// `None` lets everybody in, no user lets in nobody.
    pub users: Option<Vec<(String, Hash)>>,
    pub tls: Option<Tls>,
    pub http2: bool,
    /// To be set on every answer.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub rate_limit: Option<RateLimitConfig>,
    /// What the operator should be told, one line each.
    pub warnings: Vec<String>,
}

/// Where the files lie.
#[derive(Debug)]
pub struct Sources {
    config: Option<PathBuf>,
    htpasswd: Option<PathBuf>,
    /// The default's absence is no fault.
    may_lack_htpasswd: bool,
}

impl Sources {
    pub fn from_flags(values: &Values) -> Result<Self, String> {
        if values.is_given(CONFIG.name()) && values.is_given(CONFIG_FILE.name()) {
            return Err(format!("--{} and --{} are the same", CONFIG.name(), CONFIG_FILE.name()));
        }
        let path = |flag: &Flag<String>| {
            Some(values.get(flag)).filter(|path| !path.is_empty()).map(PathBuf::from)
        };
        Ok(Self {
            config: path(&CONFIG_FILE).or_else(|| path(&CONFIG)),
            htpasswd: path(&htpasswd::FILE),
            may_lack_htpasswd: !values.is_given(htpasswd::FILE.name()),
        })
    }

    /// Reads all of it. `watched` comes to hold what was looked at, whatever came out.
    pub fn load(&self, watched: &mut Watched) -> Result<Security, String> {
        let mut security = match &self.config {
            Some(path) => load_config(path, watched)?,
            None => Security::from(WebConfig::default()),
        };
        if let Some(more) = self.load_htpasswd(watched, &mut security.warnings)? {
            let users = security.users.unwrap_or_default();
            security.users = Some(joined(users, more, &mut security.warnings));
        }
        Ok(security)
    }

    fn load_htpasswd(
        &self,
        watched: &mut Watched,
        warnings: &mut Vec<String>,
    ) -> Result<Option<Vec<(String, Hash)>>, String> {
        let Some(path) = &self.htpasswd else { return Ok(None) };
        let is_there = watched.add(path);
        if !is_there && self.may_lack_htpasswd {
            return Ok(None);
        }
        let file = htpasswd::load(path).map_err(|error| error.to_string())?;
        warnings.extend(file.warnings);
        if file.users.is_empty() {
            warnings.push(format!("{}: no user, so that nobody may come in", path.display()));
        }
        Ok(Some(file.users))
    }
}

fn load_config(path: &Path, watched: &mut Watched) -> Result<Security, String> {
    watched.add(path);
    let mut config = config::load(path).map_err(|error| error.to_string())?;
    let section = config.tls.take();
    let mut security = Security::from(config);
    if let Some(section) = section {
        for file in section.files() {
            watched.add(file);
        }
        let tls = tls::build(&section, security.http2)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        security.warnings.extend_from_slice(&tls.warnings);
        security.tls = Some(tls);
    }
    Ok(security)
}

impl From<WebConfig> for Security {
    /// All but TLS, which has files of its own.
    fn from(config: WebConfig) -> Self {
        Self {
            users: (!config.users.is_empty()).then_some(config.users),
            tls: None,
            http2: config.http2,
            headers: config.headers,
            rate_limit: config.rate_limit,
            warnings: config.warnings,
        }
    }
}

/// The web config file's word goes before the password file's.
fn joined(
    mut users: Vec<(String, Hash)>,
    more: Vec<(String, Hash)>,
    warnings: &mut Vec<String>,
) -> Vec<(String, Hash)> {
    for (user, hash) in more {
        if users.iter().any(|(known, _)| *known == user) {
            warnings
                .push(format!("user {user:?} of the htpasswd file: the web config file decides"));
        } else {
            users.push((user, hash));
        }
    }
    users
}
