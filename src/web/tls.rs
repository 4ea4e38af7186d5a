//! TLS for the listener: a `tls_server_config` made into what rustls wants. Nothing else in the program builds a server of rustls, nor a
//! client but [`client`].
//!
//! What Go can do and rustls cannot (TLS 1.0 and 1.1, CBC suites) is left out with a warning, and refused if nothing remains.

pub mod client;
mod client_auth;
mod p521;

use std::fmt;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, ServerConfig};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CertificateError, SupportedCipherSuite, SupportedProtocolVersion};
use x509_cert::certificate::{CertificateInner, Raw};
use x509_cert::der::Decode;
use x509_cert::spki::SubjectPublicKeyInfoOwned;

use super::config::{self, Error, Source, TlsConfig, Version};
use client_auth::{ClientAuth, ClientVerifier};

/// A listener's TLS, ready for use.
#[derive(Debug, Clone)]
pub struct Tls {
    pub config: Arc<ServerConfig>,
    /// When our own certificate runs out, in seconds of Unix time.
    pub not_after: u64,
    /// What start-up should tell the operator, one line each.
    pub warnings: Vec<String>,
}

/// Reads the files and builds. The first fault in toolkit's order is the one that is told.
pub fn build(config: &TlsConfig, http2: bool) -> Result<Tls, Error> {
    let mut warnings = Vec::new();
    let mut provider = default_provider();
    let (key, leaf) = certified_key(&config.cert, &config.key, &provider)?;
    let client_auth = client_auth::read(config, &mut warnings)?;

    let (versions, suites) = versions_and_suites(config, &mut warnings)?;
    provider.cipher_suites = suites;
    provider.kx_groups = kx_groups(config);
    if http2 && lacks_http2_suite(config) {
        return Err(Error::new(
            "http2: TLSConfig.CipherSuites is missing an HTTP/2-required AES_128_GCM_SHA256 cipher (need at least one of \
             TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 or TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256)",
        ));
    }

    let provider = Arc::new(provider);
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions)
        .map_err(|error| Error::new(format!("tls_server_config: {error}")))?;
    let builder = match client_auth {
        ClientAuth::None => builder.with_no_client_auth(),
        ClientAuth::Asked(policy) => {
            builder.with_client_cert_verifier(Arc::new(ClientVerifier::new(policy, &provider)?))
        }
    };
    let mut server = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
    server.alpn_protocols = match http2 {
        true => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        false => vec![b"http/1.1".to_vec()],
    };
    // Our order counts, as in Go: a client that knows both gets the cheaper suite.
    server.ignore_client_order = true;
    // A scraper keeps its connection, and Prometheus resumes no session: tickets would be memory that any client can ask for.
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;

    let not_after = leaf.tbs_certificate().validity().not_after.to_unix_duration().as_secs();
    Ok(Tls { config: Arc::new(server), not_after, warnings })
}

/// What a log should say of a handshake that failed, in Go's words where it has some.
pub fn describe(error: &rustls::Error) -> impl fmt::Display {
    use rustls::Error::{InvalidCertificate, NoCertificatesPresented};

    match error {
        NoCertificatesPresented => "tls: client didn't provide a certificate".to_owned(),
        InvalidCertificate(CertificateError::UnknownIssuer) => {
            "tls: failed to verify certificate: x509: certificate signed by unknown authority"
                .to_owned()
        }
        InvalidCertificate(CertificateError::NotValidForNameContext { presented, .. }) => {
            format!("could not find allowed SANs in client cert, found: [{}]", presented.join(" "))
        }
        other => format!("tls: {other}"),
    }
}

/// Certificates that no RFC would let pass are in use: only what is needed is looked at.
type Certificate = CertificateInner<Raw>;

/// The chain as it stands in the file, and its key. rustls' own check of the pair refuses certificates of X.509 version 1, which
/// `openssl x509 -req` makes.
fn certified_key(
    cert: &Source,
    key: &Source,
    provider: &CryptoProvider,
) -> Result<(CertifiedKey, Certificate), Error> {
    let cert = bytes(cert, "cert_file")?;
    let key = bytes(key, "key_file")?;
    let wrong = |what: &str| Error::new(format!("failed to load X509KeyPair: tls: {what}"));

    let chain = CertificateDer::pem_slice_iter(&cert)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| wrong(&format!("certificate input: {error}")))?;
    let leaf =
        chain.first().ok_or_else(|| wrong("failed to find any PEM data in certificate input"))?;
    let leaf = Certificate::from_der(leaf)
        .map_err(|error| wrong(&format!("failed to parse certificate: {error}")))?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| match error {
        pem::Error::NoItemsFound if contains(&key, b"BEGIN ENCRYPTED PRIVATE KEY") => {
            wrong("the private key is encrypted")
        }
        pem::Error::NoItemsFound => wrong("failed to find any PEM data in key input"),
        error => wrong(&format!("key input: {error}")),
    })?;
    let key = provider
        .key_provider
        .load_private_key(key)
        .map_err(|_| wrong("failed to parse private key"))?;

    let ours = key
        .public_key()
        .and_then(|spki| SubjectPublicKeyInfoOwned::from_der(&spki).ok())
        .ok_or_else(|| wrong("failed to parse private key"))?;
    let theirs = leaf.tbs_certificate().subject_public_key_info();
    if ours.subject_public_key != theirs.subject_public_key {
        return Err(wrong("private key does not match public key"));
    }
    Ok((CertifiedKey::new(chain, key), leaf))
}

fn bytes(source: &Source, key: &str) -> Result<Vec<u8>, Error> {
    match source {
        Source::Inline(text) => Ok(text.clone().into_bytes()),
        Source::File(path) => config::read(path).map_err(|error| {
            Error::new(format!("failed to read {key} ({}): {error}", path.display()))
        }),
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(haystack, needle).is_some()
}

/// The versions between the limits, and suites for each of them.
fn versions_and_suites(
    config: &TlsConfig,
    warnings: &mut Vec<String>,
) -> Result<(Vec<&'static SupportedProtocolVersion>, Vec<SupportedCipherSuite>), Error> {
    let TlsConfig { min_version, max_version, .. } = *config;
    if min_version > max_version {
        return Err(Error::new(format!(
            "tls_server_config: min_version {min_version} is above max_version {max_version}"
        )));
    }
    if max_version < Version::Tls12 {
        return Err(Error::new(format!(
            "tls_server_config: max_version {max_version}: TLS12 is the oldest version supported"
        )));
    }
    if min_version < Version::Tls12 {
        warnings.push(format!(
            "tls_server_config: min_version {min_version}: TLS12 is the oldest version supported, and taken instead"
        ));
    }

    let mut versions = Vec::new();
    let mut suites = Vec::new();
    if max_version == Version::Tls13 {
        versions.push(&rustls::version::TLS13);
        suites.extend(in_order_of_cost(TLS13_SUITES));
    }
    if min_version <= Version::Tls12 {
        let chosen = tls12_suites(config, warnings);
        if !chosen.is_empty() {
            versions.push(&rustls::version::TLS12);
            suites.extend(chosen);
        } else if versions.is_empty() {
            return Err(Error::new(
                "tls_server_config: none of cipher_suites is supported with TLS12, which max_version wants",
            ));
        } else {
            warnings.push(
                "tls_server_config: cipher_suites leave none for TLS12: only TLS13 is spoken"
                    .to_owned(),
            );
        }
    }
    Ok((versions, suites))
}

/// The list of suites is for TLS 1.2 only, and its order says nothing, as in Go.
fn tls12_suites(config: &TlsConfig, warnings: &mut Vec<String>) -> Vec<SupportedCipherSuite> {
    let asked = &config.cipher_suites;
    for name in asked.iter().filter(|name| name.ends_with("_CBC_SHA")) {
        warnings
            .push(format!("tls_server_config: cipher suite {name} is not supported and left out"));
    }
    in_order_of_cost(TLS12_SUITES)
        .filter(|suite| {
            let name = format!("{:?}", suite.suite());
            asked.is_empty() || asked.iter().any(|asked| *asked == name)
        })
        .collect()
}

/// Fastest first where the processor has AES; ChaCha20 comes last.
static TLS13_SUITES: &[SupportedCipherSuite] = &[
    cipher_suite::TLS13_AES_128_GCM_SHA256,
    cipher_suite::TLS13_AES_256_GCM_SHA384,
    cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
];

static TLS12_SUITES: &[SupportedCipherSuite] = &[
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
];

/// ChaCha20 is the cheaper one where AES is done in software, as on a Raspberry Pi 4.
fn in_order_of_cost(
    suites: &'static [SupportedCipherSuite],
) -> impl Iterator<Item = SupportedCipherSuite> {
    let mut suites = suites.to_vec();
    let chacha = |suite: &SupportedCipherSuite| format!("{:?}", suite.suite()).contains("CHACHA20");
    suites.sort_by_key(|suite| chacha(suite) == has_aes());
    suites.into_iter()
}

fn has_aes() -> bool {
    #[cfg(target_arch = "x86_64")]
    let has = std::arch::is_x86_feature_detected!("aes");
    #[cfg(target_arch = "aarch64")]
    let has = std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let has = false;
    has
}

/// Go's order, in which a list of curves selects but does not sort.
fn kx_groups(config: &TlsConfig) -> Vec<&'static dyn SupportedKxGroup> {
    let groups: [(&str, &'static dyn SupportedKxGroup); 5] = [
        ("", kx_group::X25519MLKEM768),
        ("X25519", kx_group::X25519),
        ("CurveP256", kx_group::SECP256R1),
        ("CurveP384", kx_group::SECP384R1),
        ("CurveP521", &p521::P521),
    ];
    let asked = &config.curve_preferences;
    let chosen = groups.into_iter().filter(|(name, _)| asked.is_empty() || asked.contains(name));
    chosen.map(|(_, group)| group).collect()
}

fn lacks_http2_suite(config: &TlsConfig) -> bool {
    let asked = &config.cipher_suites;
    !asked.is_empty()
        && config.min_version < Version::Tls13
        && !asked.contains(&"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256")
        && !asked.contains(&"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256")
}

#[cfg(test)]
mod tests;
