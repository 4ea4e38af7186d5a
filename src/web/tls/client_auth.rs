//! Client certificates: whether to ask for them, whom to trust, and which of their names may come in.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
    verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error as TlsError, RootCertStore,
    SignatureScheme,
};
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{ExtendedKeyUsage, SubjectAltName};

use super::Certificate;
use crate::web::config::{self, Error, Source, TlsConfig};

/// What `client_auth_type` and its neighbours ask for.
pub(super) enum ClientAuth {
    None,
    Asked(Policy),
}

pub(super) struct Policy {
    mandatory: bool,
    trust: Trust,
    /// One of these names must be in the certificate.
    allowed_sans: Option<Vec<String>>,
}

enum Trust {
    /// Any certificate whose key the client has.
    All,
    /// What these have signed, and they themselves.
    Roots(Vec<CertificateDer<'static>>),
}

pub(super) fn read(config: &TlsConfig, warnings: &mut Vec<String>) -> Result<ClientAuth, Error> {
    let pool = match &config.client_ca {
        Some(source) => Some(pool(source, warnings)?),
        None => None,
    };
    let (mandatory, verifies) = match config.client_auth_type.as_str() {
        "" | "NoClientCert" if pool.is_some() => {
            return Err(Error::new(
                "client CA's have been configured without a Client Auth Policy",
            ));
        }
        "" | "NoClientCert" => {
            if config.client_allowed_sans.is_some() {
                warnings.push(
                    "tls_server_config: client_allowed_sans does nothing without a client_auth_type"
                        .to_owned(),
                );
            }
            return Ok(ClientAuth::None);
        }
        "RequestClientCert" => (false, false),
        "RequireAnyClientCert" | "RequireClientCert" => (true, false),
        "VerifyClientCertIfGiven" => (false, true),
        "RequireAndVerifyClientCert" => (true, true),
        other => return Err(Error::new(format!("invalid ClientAuth: {other}"))),
    };
    let trust = match (verifies, pool) {
        (false, _) => Trust::All,
        (true, Some(pool)) => Trust::Roots(pool),
        (true, None) => Trust::Roots(system_roots(warnings)),
    };
    // Whoever lists names means to let in nobody without one.
    let mandatory = mandatory || config.client_allowed_sans.is_some();
    let allowed_sans = config.client_allowed_sans.clone();
    Ok(ClientAuth::Asked(Policy { mandatory, trust, allowed_sans }))
}

fn pool(
    source: &Source,
    warnings: &mut Vec<String>,
) -> Result<Vec<CertificateDer<'static>>, Error> {
    let pem = match source {
        Source::File(path) => config::read(path)?,
        Source::Inline(text) => text.clone().into_bytes(),
    };
    let pool: Vec<_> = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok).collect();
    if pool.is_empty() {
        warnings.push(
            "tls_server_config: client_ca holds no certificate: no client's can be verified"
                .to_owned(),
        );
    }
    Ok(pool)
}

fn system_roots(warnings: &mut Vec<String>) -> Vec<CertificateDer<'static>> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        warnings.push(
            "tls_server_config: neither client_ca nor system certificates: no client's can be verified"
                .to_owned(),
        );
    }
    found.certs
}

#[derive(Debug)]
pub(super) struct ClientVerifier {
    mandatory: bool,
    chains: Chains,
    allowed_sans: Option<Vec<String>>,
    algorithms: WebPkiSupportedAlgorithms,
}

#[derive(Debug)]
enum Chains {
    Any,
    /// An empty pool, which trusts nobody.
    None,
    To {
        verifier: Arc<dyn ClientCertVerifier>,
        roots: Vec<CertificateDer<'static>>,
    },
}

impl ClientVerifier {
    pub(super) fn new(policy: Policy, provider: &Arc<CryptoProvider>) -> Result<Self, Error> {
        let chains = match policy.trust {
            Trust::All => Chains::Any,
            Trust::Roots(roots) => {
                let mut store = RootCertStore::empty();
                let (usable, _) = store.add_parsable_certificates(roots.iter().cloned());
                if usable == 0 {
                    Chains::None
                } else {
                    let verifier = WebPkiClientVerifier::builder_with_provider(
                        Arc::new(store),
                        Arc::clone(provider),
                    )
                    .build()
                    .map_err(|error| Error::new(format!("tls_server_config: {error}")))?;
                    Chains::To { verifier, roots }
                }
            }
        };
        Ok(Self {
            mandatory: policy.mandatory,
            chains,
            allowed_sans: policy.allowed_sans,
            algorithms: provider.signature_verification_algorithms,
        })
    }

    fn check_chain(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), TlsError> {
        match &self.chains {
            Chains::Any => Ok(()),
            Chains::None => Err(CertificateError::UnknownIssuer.into()),
            // webpki refuses a CA as a client. `openssl req -x509` makes nothing else, and Go takes it where it is in the pool.
            Chains::To { roots, .. } if roots.contains(leaf) => {
                check_itself(leaf, now, CLIENT_AUTH)
            }
            // webpki knows no certificate of X.509 version 1, and so not who has signed it.
            Chains::To { .. } if ParsedCertificate::try_from(leaf).is_err() => {
                Err(CertificateError::UnknownIssuer.into())
            }
            // Its own authority, and none of ours. webpki would complain of a CA here as well.
            Chains::To { .. } if is_self_issued(leaf)? => {
                Err(CertificateError::UnknownIssuer.into())
            }
            Chains::To { verifier, .. } => {
                verifier.verify_client_cert(leaf, intermediates, now).map(|_| ())
            }
        }
    }

    fn check_names(&self, leaf: &CertificateDer<'_>) -> Result<(), TlsError> {
        let Some(allowed) = &self.allowed_sans else { return Ok(()) };
        let presented = names(&parse(leaf)?)?;
        if presented.iter().any(|name| allowed.contains(name)) {
            return Ok(());
        }
        // The only error that both becomes the alert bad_certificate and carries what was found.
        let expected = ServerName::from(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        Err(CertificateError::NotValidForNameContext { expected, presented }.into())
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        match &self.chains {
            Chains::To { verifier, .. } => verifier.root_hint_subjects(),
            Chains::Any | Chains::None => &[],
        }
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, TlsError> {
        self.check_chain(leaf, intermediates, now)?;
        self.check_names(leaf)?;
        Ok(ClientCertVerified::assertion())
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
        if ParsedCertificate::try_from(leaf).is_ok() {
            return verify_tls13_signature(message, leaf, signed, &self.algorithms);
        }
        // A certificate that webpki does not take (X.509 version 1), where any will do: its key signs no worse.
        let key = parse(leaf)?.tbs_certificate().subject_public_key_info().to_der();
        let key = SubjectPublicKeyInfoDer::from(key.map_err(|_| CertificateError::BadEncoding)?);
        verify_tls13_signature_with_raw_key(message, &key, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn parse(certificate: &CertificateDer<'_>) -> Result<Certificate, TlsError> {
    Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding.into())
}

/// RFC 5280, 4.2.1.12.
const ANY_PURPOSE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");
pub(super) const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const CLIENT_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");

fn is_self_issued(certificate: &CertificateDer<'_>) -> Result<bool, TlsError> {
    let certificate = parse(certificate)?;
    let tbs = certificate.tbs_certificate();
    Ok(tbs.issuer() == tbs.subject())
}

/// What remains to be checked of a certificate that is itself trusted: its dates and its purpose.
pub(super) fn check_itself(
    leaf: &CertificateDer<'_>,
    now: UnixTime,
    purpose: ObjectIdentifier,
) -> Result<(), TlsError> {
    let leaf = parse(leaf)?;
    let tbs = leaf.tbs_certificate();
    let validity = tbs.validity();
    if now.as_secs() < validity.not_before.to_unix_duration().as_secs() {
        return Err(CertificateError::NotValidYet.into());
    }
    if now.as_secs() > validity.not_after.to_unix_duration().as_secs() {
        return Err(CertificateError::Expired.into());
    }
    let purposes = tbs.get_extension::<ExtendedKeyUsage>();
    match purposes.map_err(|_| CertificateError::BadEncoding)? {
        Some((_, ExtendedKeyUsage(purposes)))
            if !purposes.contains(&ANY_PURPOSE) && !purposes.contains(&purpose) =>
        {
            Err(CertificateError::InvalidPurpose.into())
        }
        _ => Ok(()),
    }
}

/// DNS names, mail addresses, IP addresses and URIs, as text.
pub(super) fn names(certificate: &Certificate) -> Result<Vec<String>, TlsError> {
    let extension = certificate.tbs_certificate().get_extension::<SubjectAltName>();
    let Some((_, SubjectAltName(names))) = extension.map_err(|_| CertificateError::BadEncoding)?
    else {
        return Ok(Vec::new());
    };
    let text = |name: &GeneralName| match name {
        GeneralName::DnsName(name)
        | GeneralName::Rfc822Name(name)
        | GeneralName::UniformResourceIdentifier(name) => Some(name.to_string()),
        GeneralName::IpAddress(bytes) => address(bytes.as_bytes()),
        _ => None,
    };
    Ok(names.iter().filter_map(text).collect())
}

/// An IPv4 address in IPv6's clothes comes out as IPv4, as in Go.
fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(octets).to_string());
    }
    let octets = <[u8; 16]>::try_from(bytes).ok()?;
    Some(Ipv6Addr::from(octets).to_canonical().to_string())
}
