//! TLS where we are the client: status pages of servers on this host, and checks of an endpoint.

use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::SingleCertAndKey;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error as TlsError,
    RootCertStore, SignatureScheme,
};
use x509_cert::der::Decode;

use super::client_auth::{SERVER_AUTH, check_itself, names};
use super::{Certificate, certified_key, describe};
use crate::web::config::{self, Error, Source};

/// Whose certificate is taken.
#[derive(Debug, Clone, Copy)]
pub enum Trust<'a> {
    /// What the system's authorities have signed.
    System,
    /// What the certificates in this file have signed, and they themselves.
    File(&'a Path),
    Anybody,
}

/// A client's own certificate, for servers that ask for one.
#[derive(Debug, Clone)]
pub struct Identity(Arc<SingleCertAndKey>);

impl Identity {
    /// Both are PEM.
    pub fn read(cert: &Path, key: &Path) -> Result<Self, Error> {
        let (cert, key) = (Source::File(cert.to_owned()), Source::File(key.to_owned()));
        let (key, _) = certified_key(&cert, &key, &default_provider())?;
        Ok(Self(Arc::new(key.into())))
    }
}

pub fn client(trust: Trust<'_>, identity: Option<&Identity>) -> Result<Arc<ClientConfig>, Error> {
    let provider = Arc::new(default_provider());
    let verifier = Verifier::new(trust, &provider)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::new(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    Ok(Arc::new(match identity {
        Some(Identity(own)) => {
            builder.with_client_cert_resolver(Arc::<SingleCertAndKey>::clone(own))
        }
        None => builder.with_no_client_auth(),
    }))
}

/// What a server shows of itself in a handshake.
#[derive(Debug)]
pub struct Presented {
    /// Its own certificate first.
    chain: Vec<CertificateDer<'static>>,
    /// `TLSv1_3`
    pub version: String,
    /// The names that its certificate is for.
    pub names: Vec<String>,
    /// When its certificate runs out, in seconds of Unix time.
    pub not_after: u64,
    /// Whether its certificate is signed by nobody else.
    is_own_issuer: bool,
}

impl Presented {
    /// Shakes hands and looks, whoever it is. The stream's own timeouts hold.
    pub fn by(
        stream: &mut TcpStream,
        host: &str,
        identity: Option<&Identity>,
    ) -> Result<Self, Error> {
        let wrong = |error: &dyn std::fmt::Display| Error::new(error.to_string());
        let name = ServerName::try_from(host.to_owned()).map_err(|error| wrong(&error))?;
        let mut connection = ClientConnection::new(client(Trust::Anybody, identity)?, name)
            .map_err(|error| wrong(&describe(&error)))?;
        while connection.is_handshaking() {
            connection.complete_io(stream).map_err(|error| wrong(&error))?;
        }
        let chain: Vec<_> = connection.peer_certificates().unwrap_or_default().to_vec();
        let leaf = chain.first().ok_or_else(|| Error::new("no certificate"))?;
        let leaf = Certificate::from_der(leaf).map_err(|error| wrong(&error))?;
        let tbs = leaf.tbs_certificate();
        let not_after = tbs.validity().not_after.to_unix_duration().as_secs();
        let is_own_issuer = tbs.issuer() == tbs.subject();
        let names = names(&leaf).map_err(|error| wrong(&describe(&error)))?;
        let version = connection.protocol_version().map(|version| format!("{version:?}"));
        Ok(Self { chain, version: version.unwrap_or_default(), names, not_after, is_own_issuer })
    }

    /// Whether a client with this trust that asked for `host` would go on.
    pub fn verify(&self, trust: Trust<'_>, host: &str) -> Result<(), Error> {
        let verifier = Verifier::new(trust, &Arc::new(default_provider()))?;
        let name = ServerName::try_from(host).map_err(|error| Error::new(error.to_string()))?;
        let (leaf, others) =
            self.chain.split_first().ok_or_else(|| Error::new("no certificate"))?;
        let verdict = verifier.verify_server_cert(leaf, others, &name, &[], UnixTime::now());
        verdict.map(drop).map_err(|error| {
            Error::new(match error {
                TlsError::InvalidCertificate(CertificateError::UnknownIssuer) => {
                    "signed by nobody who is trusted here".to_owned()
                }
                // webpki looks no further than that it is an authority's.
                TlsError::InvalidCertificate(CertificateError::Other(_)) if self.is_own_issuer => {
                    "signed by itself, and not one that is trusted here".to_owned()
                }
                TlsError::InvalidCertificate(
                    CertificateError::NotValidForName
                    | CertificateError::NotValidForNameContext { .. },
                ) => format!("not for {host}, but for {}", self.names.join(", ")),
                TlsError::InvalidCertificate(error) => error.to_string(),
                error => error.to_string(),
            })
        })
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let pem = config::read(path)?;
    let certificates = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    certificates.map_err(|error| Error::new(format!("{}: {error}", path.display())))
}

#[derive(Debug)]
struct Verifier {
    roots: Vec<CertificateDer<'static>>,
    /// `None` where anybody is trusted.
    chains: Option<Arc<WebPkiServerVerifier>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    fn new(trust: Trust<'_>, provider: &Arc<CryptoProvider>) -> Result<Self, Error> {
        let algorithms = provider.signature_verification_algorithms;
        let (roots, source) = match trust {
            Trust::System => {
                (rustls_native_certs::load_native_certs().certs, "system certificates".into())
            }
            Trust::File(path) => (certificates(path)?, path.display().to_string()),
            Trust::Anybody => return Ok(Self { roots: Vec::new(), chains: None, algorithms }),
        };
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(roots.iter().cloned());
        let chains =
            WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider))
                .build()
                .map_err(|error| Error::new(format!("{source}: {error}")))?;
        Ok(Self { roots, chains: Some(chains), algorithms })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let Some(chains) = &self.chains else { return Ok(ServerCertVerified::assertion()) };
        // webpki refuses a CA as a server. `openssl req -x509` makes nothing else, and Go takes it
        // where it is in the pool.
        if self.roots.contains(leaf) {
            check_itself(leaf, now, SERVER_AUTH)?;
            verify_server_name(&ParsedCertificate::try_from(leaf)?, name)?;
            return Ok(ServerCertVerified::assertion());
        }
        chains.verify_server_cert(leaf, intermediates, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, leaf, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, leaf, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

    use super::*;

    fn verdict(roots: Option<&str>, leaf: &CertificateDer<'_>, name: &str) -> Result<(), TlsError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        let trust = match roots {
            Some(pem) => {
                std::fs::write(file.path(), pem).unwrap();
                Trust::File(file.path())
            }
            None => Trust::Anybody,
        };
        let verifier = Verifier::new(trust, &Arc::new(default_provider())).unwrap();
        let name = ServerName::try_from(name).unwrap();
        verifier.verify_server_cert(leaf, &[], &name, &[], UnixTime::now()).map(drop)
    }

    fn authority() -> CertificateParams {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    }

    #[test]
    fn a_server_needs_a_known_authority_and_the_right_name() {
        let key = KeyPair::generate().unwrap();
        let ca = authority().self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(authority(), &key);
        let server = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let server = server.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
        let stranger = authority().self_signed(&KeyPair::generate().unwrap()).unwrap();
        assert_eq!(verdict(Some(&ca), server.der(), "localhost"), Ok(()));
        let error = verdict(Some(&ca), server.der(), "elsewhere").unwrap_err();
        assert!(error.to_string().contains("not valid for name"), "{error}");
        assert!(verdict(Some(&stranger.pem()), server.der(), "localhost").is_err());
        assert_eq!(verdict(None, stranger.der(), "elsewhere"), Ok(()));
    }

    #[test]
    fn a_certificate_that_is_its_own_authority_is_taken_as_go_does() {
        let key = KeyPair::generate().unwrap();
        let own = authority().self_signed(&key).unwrap();
        assert_eq!(verdict(Some(&own.pem()), own.der(), "localhost"), Ok(()));
        assert!(verdict(Some(&own.pem()), own.der(), "elsewhere").is_err());
        let mut old = authority();
        let now = std::time::SystemTime::now();
        old.not_before = (now - Duration::from_secs(200)).into();
        old.not_after = (now - Duration::from_secs(100)).into();
        let old = old.self_signed(&key).unwrap();
        assert_eq!(
            verdict(Some(&old.pem()), old.der(), "localhost"),
            Err(CertificateError::Expired.into())
        );
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let refused = |path: &Path| client(Trust::File(path), None).unwrap_err().to_string();
        assert!(refused(file.path()).starts_with(&file.path().display().to_string()));
        assert_eq!(refused(Path::new("/no/ca.pem")), "open /no/ca.pem: no such file or directory");
    }
}
