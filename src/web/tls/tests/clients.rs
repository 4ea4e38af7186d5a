//! Clients that bring a certificate, or ought to.

use super::*;

#[test]
fn client_auth_types() {
    let pair = own();
    let ca = Ca::new("clients");
    let good = ca.sign(&CertificateParams::default());
    let foreign = Ca::new("others").sign(&CertificateParams::default());

    let untrusted =
        "tls: failed to verify certificate: x509: certificate signed by unknown authority";
    let none = "tls: client didn't provide a certificate";
    let refused = |alert, log: &str| Err((alert, log.to_owned()));
    for (auth_type, expected) in [
        ("NoClientCert", [Ok(()), Ok(()), Ok(())]),
        ("RequestClientCert", [Ok(()), Ok(()), Ok(())]),
        ("RequireAnyClientCert", [refused(CertificateRequired, none), Ok(()), Ok(())]),
        ("RequireClientCert", [refused(CertificateRequired, none), Ok(()), Ok(())]),
        ("VerifyClientCertIfGiven", [Ok(()), Ok(()), refused(UnknownCA, untrusted)]),
        (
            "RequireAndVerifyClientCert",
            [refused(CertificateRequired, none), Ok(()), refused(UnknownCA, untrusted)],
        ),
    ] {
        let ca_key = if auth_type == "NoClientCert" { "client_ca: ''" } else { "client_ca: $ca" };
        let yaml = format!("cert: $cert, key: $key, client_auth_type: {auth_type}, {ca_key}");
        let tls = tls(&yaml, &pair, &ca.cert);
        assert!(tls.warnings.is_empty(), "{:?}", tls.warnings);
        let clients = [None, Some(&good), Some(&foreign)];
        for (client, expected) in clients.into_iter().zip(expected) {
            let client = client.map_or_else(Client::default, Client::with);
            let result = handshake(&tls, client)
                .map(|_| ())
                .map_err(|failure| (failure.alert.unwrap(), failure.log));
            assert_eq!(result, expected, "{auth_type}");
        }
    }
}

#[test]
fn client_auth_in_tls_1_2() {
    let ca = Ca::new("clients");
    let good = ca.sign(&CertificateParams::default());
    let foreign = Ca::new("others").sign(&CertificateParams::default());
    let tls = tls(
        "cert: $cert, key: $key, client_auth_type: RequireAndVerifyClientCert, client_ca: $ca",
        &own(),
        &ca.cert,
    );
    handshake(&tls, Client { pair: Some(good), ..Client::tls12() }).unwrap();
    assert_eq!(alert(&tls, Client { pair: Some(foreign), ..Client::tls12() }), UnknownCA);
}

#[test]
fn client_auth_settings_that_are_wrong() {
    let pair = own();
    let refused =
        |yaml: &str| refusal(&format!("cert: $cert, key: $key, {yaml}"), &pair, &pair.cert);
    assert_eq!(refused("client_auth_type: requireany"), "invalid ClientAuth: requireany");
    for yaml in ["client_ca: $ca", "client_ca: $ca, client_auth_type: NoClientCert"] {
        assert_eq!(refused(yaml), "client CA's have been configured without a Client Auth Policy");
    }
    for auth_type in ["VerifyClientCertIfGiven", "NoClientCert", "nonsense"] {
        assert_eq!(
            refused(&format!("client_ca_file: /no/ca.pem, client_auth_type: {auth_type}")),
            "open /no/ca.pem: no such file or directory"
        );
    }
}

/// Upstream's file for this case has no client CA: the system's are taken, which have signed none of ours.
#[test]
fn verification_without_a_ca() {
    let pair = own();
    let foreign = Ca::new("others").sign(&CertificateParams::default());
    let yaml = |auth_type: &str| format!("cert: $cert, key: $key, client_auth_type: {auth_type}");
    let strict = tls(&yaml("RequireAndVerifyClientCert"), &pair, "");
    assert_eq!(alert(&strict, Client::default()), CertificateRequired);
    assert_eq!(alert(&strict, Client::with(&foreign)), UnknownCA);
    let lenient = tls(&yaml("VerifyClientCertIfGiven"), &pair, "");
    handshake(&lenient, Client::default()).unwrap();
    assert_eq!(alert(&lenient, Client::with(&foreign)), UnknownCA);
    assert_eq!(alert(&lenient, Client::with(&version_1())), UnknownCA);
}

#[test]
fn a_ca_file_without_certificates_trusts_nobody() {
    let client = own();
    let tls = tls(
        "cert: $cert, key: $key, client_auth_type: VerifyClientCertIfGiven, client_ca: $ca",
        &own(),
        "no PEM",
    );
    assert_eq!(
        tls.warnings,
        ["tls_server_config: client_ca holds no certificate: no client's can be verified"]
    );
    handshake(&tls, Client::default()).unwrap();
    assert_eq!(alert(&tls, Client::with(&client)), UnknownCA);
}

#[test]
fn allowed_sans() {
    let ca = Ca::new("clients");
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![
        SanType::DnsName("test3".try_into().unwrap()),
        SanType::Rfc822Name("ops@example.org".try_into().unwrap()),
        SanType::IpAddress("192.0.2.7".parse().unwrap()),
        SanType::IpAddress("2001:db8::7".parse().unwrap()),
        SanType::IpAddress("::ffff:192.0.2.8".parse().unwrap()),
        SanType::URI("spiffe://example.org/prometheus".try_into().unwrap()),
    ];
    let client = ca.sign(&params);
    let nameless = ca.sign(&CertificateParams::default());
    let pair = own();
    let with = |auth_type: &str, list: &str| {
        let yaml = format!(
            "cert: $cert, key: $key, client_auth_type: {auth_type}, client_ca: $ca, client_allowed_sans: {list}"
        );
        tls(&yaml, &pair, &ca.cert)
    };
    for list in [
        "[one, test3, two]",
        "[ops@example.org]",
        "[192.0.2.7]",
        "['2001:db8::7']",
        "[192.0.2.8]",
        "['spiffe://example.org/prometheus']",
    ] {
        for auth_type in ["RequireAndVerifyClientCert", "RequestClientCert"] {
            handshake(&with(auth_type, list), Client::with(&client)).unwrap();
            assert_eq!(alert(&with(auth_type, list), Client::default()), CertificateRequired);
            assert_eq!(alert(&with(auth_type, list), Client::with(&nameless)), BadCertificate);
        }
    }
    for list in ["[]", "[test]", "[TEST3]", "[test3.]", "['*']", "['']", "[example.org]"] {
        assert_eq!(
            handshake(&with("VerifyClientCertIfGiven", list), Client::with(&client)).unwrap_err(),
            Failure {
                alert: Some(BadCertificate),
                log: "could not find allowed SANs in client cert, found: [test3 ops@example.org 192.0.2.7 2001:db8::7 \
                      192.0.2.8 spiffe://example.org/prometheus]"
                    .to_owned()
            }
        );
    }
    let idle = tls(
        "cert: $cert, key: $key, client_auth_type: NoClientCert, client_allowed_sans: [a]",
        &pair,
        "",
    );
    assert_eq!(
        idle.warnings,
        ["tls_server_config: client_allowed_sans does nothing without a client_auth_type"]
    );
}

/// What `openssl req -x509` makes is a CA, and serves as client certificate and as its own `client_ca`.
#[test]
fn a_ca_as_client() {
    let itself = |change: &dyn Fn(&mut CertificateParams)| {
        let key = KeyPair::generate().unwrap();
        let mut params = ca_params("client");
        change(&mut params);
        Pair { cert: params.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
    };
    let server = own();
    let result = |client: &Pair| {
        let yaml =
            "cert: $cert, key: $key, client_auth_type: RequireAndVerifyClientCert, client_ca: $ca";
        handshake(&tls(yaml, &server, &client.cert), Client::with(client))
            .map_err(|f| f.alert.unwrap())
    };
    result(&itself(&|_| {})).unwrap();
    result(&itself(&|params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    }))
    .unwrap();
    for (client, alert) in [
        (
            itself(&|params| params.not_after = rcgen::date_time_ymd(2020, 1, 1)),
            AlertDescription::CertificateExpired,
        ),
        (
            itself(&|params| params.not_before = rcgen::date_time_ymd(4000, 1, 1)),
            AlertDescription::CertificateExpired,
        ),
        (
            itself(&|params| {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]
            }),
            AlertDescription::UnsupportedCertificate,
        ),
    ] {
        assert_eq!(result(&client).unwrap_err(), alert);
    }
}

#[test]
fn any_certificate_still_needs_its_key() {
    let tls = tls("cert: $cert, key: $key, client_auth_type: RequireAnyClientCert", &own(), "");
    handshake(&tls, Client::with(&version_1())).unwrap();
    let thief = |cert: &str| Pair { cert: cert.to_owned(), key: own().key };
    assert_eq!(alert(&tls, Client::with(&thief(&own().cert))), AlertDescription::DecryptError);
    assert_eq!(alert(&tls, Client::with(&thief(VERSION_1.0))), AlertDescription::DecryptError);
    let client = Client { pair: Some(thief(&own().cert)), ..Client::tls12() };
    assert_eq!(alert(&tls, client), AlertDescription::DecryptError);
}
