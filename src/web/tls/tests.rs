//! Handshakes in memory, between what [`build`] makes and a client of rustls.

use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType,
};
use rustls::AlertDescription::{self, BadCertificate, CertificateRequired, UnknownCA};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{ServerName, UnixTime};
use rustls::{
    CipherSuite, ClientConfig, ClientConnection, DigitallySignedStruct, NamedGroup,
    ProtocolVersion, ServerConnection, SignatureScheme,
};

use super::*;
use crate::web::config::WebConfig;

mod clients;

/// A certificate and its key as PEM.
#[derive(Clone)]
struct Pair {
    cert: String,
    key: String,
}

/// A self-signed certificate that signs others.
struct Ca {
    cert: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = ca_params(name);
        let cert = params.self_signed(&key).unwrap().pem();
        Self { cert, issuer: Issuer::new(params, key) }
    }

    fn sign(&self, params: &CertificateParams) -> Pair {
        self.sign_key(params, &KeyPair::generate().unwrap())
    }

    fn sign_key(&self, params: &CertificateParams, key: &KeyPair) -> Pair {
        let cert = params.signed_by(key, &self.issuer).unwrap().pem();
        Pair { cert, key: key.serialize_pem() }
    }
}

fn ca_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

fn localhost() -> CertificateParams {
    CertificateParams::new(["localhost".to_owned()]).unwrap()
}

/// The `tls_server_config` of this YAML, with PEM put in for `$cert`, `$key` and `$ca`.
fn section(yaml: &str, pair: &Pair, ca: &str) -> WebConfig {
    let quoted = |pem: &str| format!("\"{}\"", pem.replace('\r', "").replace('\n', "\\n"));
    let text = yaml
        .replace("$cert", &quoted(&pair.cert))
        .replace("$key", &quoted(&pair.key))
        .replace("$ca", &quoted(ca));
    config::parse(format!("tls_server_config: {{{text}}}").as_bytes(), Path::new("/nowhere"))
        .unwrap()
}

fn tls(yaml: &str, pair: &Pair, ca: &str) -> Tls {
    build(&section(yaml, pair, ca).tls.unwrap(), true).unwrap()
}

fn refusal(yaml: &str, pair: &Pair, ca: &str) -> String {
    build(&section(yaml, pair, ca).tls.unwrap(), true).unwrap_err().to_string()
}

/// A key and certificate for localhost that nobody but their owner has signed.
fn own() -> Pair {
    Ca::new("server").sign(&localhost())
}

/// Trusts every server: what the client thinks of the certificate is not what is tested.
#[derive(Debug)]
struct Trusting;

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// What a client may be told to do otherwise.
struct Client {
    provider: CryptoProvider,
    versions: Vec<&'static SupportedProtocolVersion>,
    alpn: Vec<Vec<u8>>,
    pair: Option<Pair>,
}

impl Default for Client {
    fn default() -> Self {
        let mut provider = default_provider();
        provider.kx_groups.push(&p521::P521);
        Self {
            provider,
            versions: rustls::ALL_VERSIONS.to_vec(),
            alpn: vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            pair: None,
        }
    }
}

impl Client {
    fn tls12() -> Self {
        Self { versions: vec![&rustls::version::TLS12], ..Self::default() }
    }

    fn with(pair: &Pair) -> Self {
        Self { pair: Some(pair.clone()), ..Self::default() }
    }

    fn suites(mut self, names: &[&str]) -> Self {
        let suites = &mut self.provider.cipher_suites;
        suites.retain(|suite| names.contains(&format!("{:?}", suite.suite()).as_str()));
        suites.sort_by_key(|suite| {
            names.iter().position(|name| *name == format!("{:?}", suite.suite()))
        });
        self
    }

    fn groups(mut self, names: &[NamedGroup]) -> Self {
        self.provider.kx_groups.retain(|group| names.contains(&group.name()));
        self
    }

    fn connect(self) -> ClientConnection {
        let provider = Arc::new(self.provider);
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&self.versions)
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Trusting));
        let mut config = match &self.pair {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let chain = CertificateDer::pem_slice_iter(pair.cert.as_bytes());
                let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
                let key = provider.key_provider.load_private_key(key).unwrap();
                let chain = chain.map(Result::unwrap).collect();
                let key = CertifiedKey::new(chain, key);
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key)))
            }
        };
        config.alpn_protocols = self.alpn;
        ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap()
    }
}

/// A handshake that came about.
#[derive(Debug)]
struct Session {
    version: ProtocolVersion,
    suite: CipherSuite,
    group: NamedGroup,
    alpn: Vec<u8>,
    chain: Vec<CertificateDer<'static>>,
}

/// One that did not: what the client was told, and what our log would say.
#[derive(Debug, PartialEq)]
struct Failure {
    alert: Option<AlertDescription>,
    log: String,
}

fn handshake(tls: &Tls, client: Client) -> Result<Session, Failure> {
    let mut client = client.connect();
    let mut server = ServerConnection::new(Arc::clone(&tls.config)).unwrap();
    let mut wire = Vec::new();
    let (mut alert, mut log) = (None, None);
    while alert.is_none() && (client.wants_write() || server.wants_write()) {
        wire.clear();
        client.write_tls(&mut wire).unwrap();
        while !wire.is_empty() {
            let mut rest = wire.as_slice();
            server.read_tls(&mut rest).unwrap();
            wire = rest.to_vec();
            if let Err(error) = server.process_new_packets() {
                log.get_or_insert(describe(&error).to_string());
            }
        }
        wire.clear();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        while !wire.is_empty() {
            let mut rest = wire.as_slice();
            client.read_tls(&mut rest).unwrap();
            wire = rest.to_vec();
            match client.process_new_packets() {
                Ok(_) => {}
                Err(rustls::Error::AlertReceived(received)) => alert = Some(received),
                Err(error) => panic!("client: {error}"),
            }
        }
    }
    if let Some(log) = log {
        return Err(Failure { alert, log });
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    Ok(Session {
        version: server.protocol_version().unwrap(),
        suite: server.negotiated_cipher_suite().unwrap().suite(),
        group: server.negotiated_key_exchange_group().unwrap().name(),
        alpn: server.alpn_protocol().unwrap_or_default().to_vec(),
        chain: client.peer_certificates().unwrap().to_vec(),
    })
}

fn alert(tls: &Tls, client: Client) -> AlertDescription {
    handshake(tls, client).unwrap_err().alert.unwrap()
}

#[test]
fn as_it_comes() {
    let tls = tls("cert: $cert, key: $key", &own(), "");
    assert!(tls.warnings.is_empty(), "{:?}", tls.warnings);
    let session = handshake(&tls, Client::default()).unwrap();
    assert_eq!(session.version, ProtocolVersion::TLSv1_3);
    assert_eq!(session.group, NamedGroup::X25519MLKEM768);
    assert_eq!(session.alpn, b"h2");
    if has_aes() {
        assert_eq!(session.suite, CipherSuite::TLS13_AES_128_GCM_SHA256);
    }
    let session = handshake(&tls, Client::tls12()).unwrap();
    assert_eq!(session.version, ProtocolVersion::TLSv1_2);
    let old = Client { alpn: vec![b"http/1.1".to_vec()], ..Client::default() };
    assert_eq!(handshake(&tls, old).unwrap().alpn, b"http/1.1");
    let silent = Client { alpn: vec![], ..Client::default() };
    assert_eq!(handshake(&tls, silent).unwrap().alpn, b"");
}

#[test]
fn files_and_inline() {
    let dir = tempfile::tempdir().unwrap();
    let pair = own();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("cert.pem", &pair.cert);
    write("key.pem", &pair.key);
    write("web.yml", "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n");
    let load = || config::load(&dir.path().join("web.yml")).unwrap().tls.unwrap();
    handshake(&build(&load(), true).unwrap(), Client::default()).unwrap();

    let message = || build(&load(), true).unwrap_err().to_string();
    write("key.pem", &own().key);
    assert_eq!(message(), "failed to load X509KeyPair: tls: private key does not match public key");
    std::fs::remove_file(dir.path().join("key.pem")).unwrap();
    let path = dir.path().display();
    assert_eq!(
        message(),
        format!(
            "failed to read key_file ({path}/key.pem): open {path}/key.pem: no such file or directory"
        )
    );
    std::fs::remove_file(dir.path().join("cert.pem")).unwrap();
    assert_eq!(
        message(),
        format!(
            "failed to read cert_file ({path}/cert.pem): open {path}/cert.pem: no such file or directory"
        )
    );
}

#[test]
fn bad_pairs() {
    let good = own();
    let with_cert = |cert: &str| Pair { cert: cert.to_owned(), key: good.key.clone() };
    let with_key = |key: &str| Pair { cert: good.cert.clone(), key: key.to_owned() };
    let block = |label: &str| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
    for (pair, message) in [
        (with_cert("nothing"), "failed to find any PEM data in certificate input"),
        (with_cert(&good.key), "failed to find any PEM data in certificate input"),
        (with_key("nothing"), "failed to find any PEM data in key input"),
        (with_key(&good.cert), "failed to find any PEM data in key input"),
        (with_key(&block("ENCRYPTED PRIVATE KEY")), "the private key is encrypted"),
        (with_key(&block("PRIVATE KEY")), "failed to parse private key"),
        (with_key(&own().key), "private key does not match public key"),
    ] {
        assert_eq!(
            refusal("cert: $cert, key: $key", &pair, ""),
            format!("failed to load X509KeyPair: tls: {message}")
        );
    }
    let broken = refusal("cert: $cert, key: $key", &with_cert(&block("CERTIFICATE")), "");
    assert!(broken.starts_with("failed to load X509KeyPair: tls: failed to parse certificate: "));
}

/// Made by `openssl ecparam -genkey` and `openssl x509 -req`, for no purpose but this test.
const VERSION_1: (&str, &str) = (
    "-----BEGIN CERTIFICATE-----
MIIBMjCB2QIURoytqulleXg3Je3P5vwCHM08r0swCgYIKoZIzj0EAwIwGzEZMBcG
A1UEAwwQdmVyc2lvbjEuZXhhbXBsZTAgFw0yNjExMjIxMjA4MDZaGA8yMTI2MTAy
OTEyMDgwNlowGzEZMBcGA1UEAwwQdmVyc2lvbjEuZXhhbXBsZTBZMBMGByqGSM49
AgEGCCqGSM49AwEHA0IABI0oE73MVyJ/xHjL1m6yUFP7AtnepDf47Q0vIBdXX4uy
LUW4SveBPIDyn9DOFSvnKevPVQhhYSn4Jb96K5ce+k8wCgYIKoZIzj0EAwIDSAAw
RQIhAKGJyb9XZaoinhChcdSMd1PxSERkpTE9bv8v5x36OBuDAiBRTo+EMTDaBsgp
FQIORZ8k2YjYP4GAXaGBhpnJV/BEmg==
-----END CERTIFICATE-----
",
    "-----BEGIN EC PARAMETERS-----
BggqhkjOPQMBBw==
-----END EC PARAMETERS-----
-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIIGI367P/jCdLddtmtcrK4gZTyomKb9kPp1zDNi2M7y0oAoGCCqGSM49
AwEHoUQDQgAEjSgTvcxXIn/EeMvWbrJQU/sC2d6kN/jtDS8gF1dfi7ItRbhK94E8
gPKf0M4VK+cp689VCGFhKfglv3orlx76Tw==
-----END EC PRIVATE KEY-----
",
);

fn version_1() -> Pair {
    Pair { cert: VERSION_1.0.to_owned(), key: VERSION_1.1.to_owned() }
}

#[test]
fn kinds_of_keys() {
    let ca = Ca::new("server");
    for algorithm in [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ECDSA_P521_SHA512,
        &rcgen::PKCS_ED25519,
        &rcgen::PKCS_RSA_SHA256,
    ] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let pair = ca.sign_key(&localhost(), &key);
        handshake(&tls("cert: $cert, key: $key", &pair, ""), Client::default()).unwrap();
        if algorithm == &rcgen::PKCS_RSA_SHA256 {
            // PKCS#8 of a 2048 bit key is 26 bytes around PKCS#1.
            let pkcs1 = base64::Engine::encode(
                &base64::prelude::BASE64_STANDARD,
                &key.serialized_der()[26..],
            );
            let key = format!(
                "-----BEGIN RSA PRIVATE KEY-----\n{pkcs1}\n-----END RSA PRIVATE KEY-----\n"
            );
            let pair = Pair { key, ..pair };
            handshake(&tls("cert: $cert, key: $key", &pair, ""), Client::default()).unwrap();
        }
    }
    let tls = tls("cert: $cert, key: $key", &version_1(), "");
    handshake(&tls, Client::default()).unwrap();
    assert_eq!(tls.not_after, 4_948_949_286);
}

#[test]
fn the_chain_as_it_stands_in_the_file() {
    let ca = Ca::new("server");
    let leaf = ca.sign(&localhost());
    let chain = Pair { cert: format!("# leaf\n{}{}", leaf.cert, ca.cert), key: leaf.key };
    let session = handshake(&tls("cert: $cert, key: $key", &chain, ""), Client::default()).unwrap();
    let expected: Vec<_> =
        CertificateDer::pem_slice_iter(chain.cert.as_bytes()).map(Result::unwrap).collect();
    assert_eq!(session.chain, expected);
    assert_eq!(expected.len(), 2);
}

/// The user's certificate signs itself, is a CA, and is the leaf.
#[test]
fn a_ca_as_leaf() {
    let key = KeyPair::generate().unwrap();
    let mut params = ca_params("*.example.org");
    params.not_after = rcgen::date_time_ymd(2030, 1, 2);
    let cert = params.self_signed(&key).unwrap().pem();
    let tls = tls("cert: $cert, key: $key", &Pair { cert, key: key.serialize_pem() }, "");
    handshake(&tls, Client::default()).unwrap();
    assert_eq!(tls.not_after, 1_893_542_400);
}

const ALL_SUITES: &str = "[TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256, \
    TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, \
    TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, \
    TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, \
    TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, \
    TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA]";

#[test]
fn suites() {
    let rsa = Ca::new("server")
        .sign_key(&localhost(), &KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap());
    let with = |list: &str, rest: &str| {
        tls(&format!("cert: $cert, key: $key, cipher_suites: {list}, {rest}"), &rsa, "")
    };

    let all = with(ALL_SUITES, "");
    assert_eq!(all.warnings.len(), 4, "{:?}", all.warnings);
    assert_eq!(
        all.warnings[0],
        "tls_server_config: cipher suite TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA is not supported and left out"
    );
    handshake(&all, Client::default()).unwrap();
    handshake(&all, Client::tls12()).unwrap();

    const AES_128: &str = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256";
    const AES_256: &str = "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384";
    const CHACHA: &str = "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256";
    let two = with(&format!("[{AES_256}, {AES_128}]"), "max_version: TLS12");
    for (offered, picked) in [
        (&[AES_128][..], CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
        (&[AES_256], CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
        (&[AES_256, AES_128], CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
        (&[CHACHA, AES_256], CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ] {
        let session = handshake(&two, Client::tls12().suites(offered)).unwrap();
        assert_eq!(session.suite, picked);
    }
    assert_eq!(alert(&two, Client::tls12().suites(&[CHACHA])), AlertDescription::HandshakeFailure);
    let tls13 = Client { versions: vec![&rustls::version::TLS13], ..Client::default() };
    assert_eq!(alert(&two, tls13), AlertDescription::ProtocolVersion);

    // The list says nothing of TLS 1.3.
    let one = with(&format!("[{AES_128}]"), "");
    let session =
        handshake(&one, Client::default().suites(&["TLS13_CHACHA20_POLY1305_SHA256"])).unwrap();
    assert_eq!(session.suite, CipherSuite::TLS13_CHACHA20_POLY1305_SHA256);
}

#[test]
fn suites_that_http2_wants() {
    let pair = own();
    let message = |yaml: &str, http2| {
        let config = section(&format!("cert: $cert, key: $key, {yaml}"), &pair, "");
        build(&config.tls.unwrap(), http2).map(|_| ()).map_err(|error| error.to_string())
    };
    let only_256 = "cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]";
    let error = message(only_256, true).unwrap_err();
    assert!(error.starts_with(
        "http2: TLSConfig.CipherSuites is missing an HTTP/2-required AES_128_GCM_SHA256 cipher "
    ));
    message(only_256, false).unwrap();
    message(&format!("{only_256}, max_version: TLS12"), false).unwrap();
    message(&format!("{only_256}, min_version: TLS13"), true).unwrap();
    message("cipher_suites: []", true).unwrap();
}

#[test]
fn without_http2() {
    let config = section("cert: $cert, key: $key", &own(), "");
    let tls = build(&config.tls.unwrap(), false).unwrap();
    assert_eq!(handshake(&tls, Client::default()).unwrap().alpn, b"http/1.1");
    let only_h2 = Client { alpn: vec![b"h2".to_vec()], ..Client::default() };
    assert_eq!(alert(&tls, only_h2), AlertDescription::NoApplicationProtocol);
}

#[test]
fn versions() {
    let pair = own();
    let with = |yaml: &str| tls(&format!("cert: $cert, key: $key, {yaml}"), &pair, "");
    let refused = |yaml: &str| refusal(&format!("cert: $cert, key: $key, {yaml}"), &pair, "");

    let old = with("min_version: TLS10");
    assert_eq!(
        old.warnings,
        [
            "tls_server_config: min_version TLS10: TLS12 is the oldest version supported, and taken instead"
        ]
    );
    handshake(&old, Client::tls12()).unwrap();
    assert_eq!(
        alert(&with("min_version: TLS13"), Client::tls12()),
        AlertDescription::ProtocolVersion
    );
    let session = handshake(&with("max_version: TLS12"), Client::default()).unwrap();
    assert_eq!(session.version, ProtocolVersion::TLSv1_2);
    assert_eq!(
        refused("min_version: TLS10, max_version: TLS11"),
        "tls_server_config: max_version TLS11: TLS12 is the oldest version supported"
    );
    assert_eq!(
        refused("min_version: TLS13, max_version: TLS12"),
        "tls_server_config: min_version TLS13 is above max_version TLS12"
    );

    let cbc = "cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, TLS_AES_128_GCM_SHA256]";
    assert_eq!(
        refused(&format!("max_version: TLS12, {cbc}")),
        "tls_server_config: none of cipher_suites is supported with TLS12, which max_version wants"
    );
    let config = section(&format!("cert: $cert, key: $key, {cbc}"), &pair, "");
    let only_13 = build(&config.tls.unwrap(), false).unwrap();
    assert_eq!(
        only_13.warnings[1],
        "tls_server_config: cipher_suites leave none for TLS12: only TLS13 is spoken"
    );
    handshake(&only_13, Client::default()).unwrap();
    assert_eq!(alert(&only_13, Client::tls12()), AlertDescription::ProtocolVersion);
}

#[test]
fn curves() {
    use NamedGroup::{X25519, X25519MLKEM768, secp256r1, secp384r1, secp521r1};

    let pair = own();
    let with =
        |list: &str| tls(&format!("cert: $cert, key: $key, curve_preferences: {list}"), &pair, "");
    let all = with("[CurveP521, CurveP384, CurveP256, X25519]");
    for (tls, offered, picked) in [
        (&all, &[X25519MLKEM768, X25519, secp256r1, secp384r1, secp521r1][..], X25519),
        (&all, &[secp521r1, secp384r1], secp384r1),
        (&all, &[secp521r1], secp521r1),
        (&with("[]"), &[secp521r1], secp521r1),
        (&with("[CurveP384]"), &[X25519, secp256r1, secp384r1], secp384r1),
    ] {
        for client in [Client::default(), Client::tls12()] {
            assert_eq!(handshake(tls, client.groups(offered)).unwrap().group, picked);
        }
    }
    let p521 = tls(
        "cert: $cert, key: $key, min_version: TLS13, curve_preferences: [CurveP521]",
        &pair,
        "",
    );
    assert!(p521.warnings.is_empty());
    assert_eq!(handshake(&p521, Client::default()).unwrap().group, secp521r1);
    assert_eq!(
        alert(&p521, Client::default().groups(&[X25519])),
        AlertDescription::HandshakeFailure
    );
}

#[test]
fn nothing_to_resume() {
    let tls = tls("cert: $cert, key: $key", &own(), "");
    assert_eq!(tls.config.send_tls13_tickets, 0);
    assert!(!tls.config.session_storage.can_cache());
}
