//! Files as operators write them, right and wrong.

use super::*;

const HASH: &str = "$2y$10$lQehp4tPL9ey.UXxcTiRWeR29FGLsvRzX2gIYvhqQXY.qoxtg1Xsi";

fn check(text: &str) -> Result<WebConfig, String> {
    parse(text.as_bytes(), Path::new("/etc/hostwarden")).map_err(|error| error.to_string())
}

#[test]
fn nothing_said() {
    for text in [
        "",
        "\n",
        "# comment\n",
        "---",
        "---\n",
        "{}",
        "null",
        "~",
        "tls_server_config:\n",
        "tls_server_config: {}\nhttp_server_config: null\nbasic_auth_users:\nrate_limit: ~\n",
        "basic_auth_users: {}\n",
        "--- # nothing\n---\nbasic_auth_users: 5\n",
        "...\n",
        "%YAML 1.1\n---\n",
        "\u{feff}{}",
    ] {
        let config = check(text).unwrap();
        assert!(config.tls.is_none() && config.users.is_empty() && config.http2, "{text:?}");
        assert!(config.headers.is_empty() && config.rate_limit.is_none(), "{text:?}");
    }
}

#[test]
fn everything_said() {
    let config = check(&format!(
        "tls_server_config:
  cert_file: node_exporter.pem
  key_file: /keys/node_exporter.key
  client_ca_file: sub/ca.pem
  client_auth_type: VerifyClientCertIfGiven
  client_allowed_sans: [one, 127.0.0.1, 3]
  min_version: TLS10
  max_version: TLS12
  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]
  curve_preferences:
  - X25519
  - CurveP521
  prefer_server_cipher_suites: yes
http_server_config:
  http2: off
  headers:
    Strict-Transport-Security: max-age=31536000
    X-XSS-Protection: 1
    X-Frame-Options: sameorigin
    X-Content-Type-Options: nosniff
    Content-Security-Policy: >
      default-src 'self';
      img-src 'none'
basic_auth_users:
  prom: {HASH}
  7: {HASH}
  yes: {HASH}
rate_limit:
  interval: 1s
  burst: 20
"
    ))
    .unwrap();
    let tls = config.tls.unwrap();
    assert_eq!(tls.cert, Source::File("/etc/hostwarden/node_exporter.pem".into()));
    let files: Vec<_> = tls.files().map(|file| file.to_str().unwrap()).collect();
    assert_eq!(
        files,
        [
            "/etc/hostwarden/node_exporter.pem",
            "/keys/node_exporter.key",
            "/etc/hostwarden/sub/ca.pem"
        ]
    );
    assert_eq!(tls.client_auth_type, "VerifyClientCertIfGiven");
    assert_eq!(tls.client_allowed_sans.unwrap(), ["one", "127.0.0.1", "3"]);
    assert_eq!((tls.min_version, tls.max_version), (Version::Tls10, Version::Tls12));
    assert_eq!(tls.cipher_suites, ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]);
    assert_eq!(tls.curve_preferences, ["X25519", "CurveP521"]);
    assert!(!config.http2);
    let headers: Vec<_> = config
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    assert_eq!(
        headers,
        [
            "content-security-policy: default-src 'self'; img-src 'none'",
            "strict-transport-security: max-age=31536000",
            "x-content-type-options: nosniff",
            "x-frame-options: sameorigin",
            "x-xss-protection: 1",
        ]
    );
    let users: Vec<_> = config.users.iter().map(|(user, _)| user.as_str()).collect();
    assert_eq!(users, ["7", "prom", "yes"]);
    let limit = RateLimitConfig { interval: Duration::from_secs(1), burst: 20 };
    assert_eq!(config.rate_limit, Some(limit));
    assert!(config.warnings.is_empty());
}

#[test]
fn weak_hashes_are_told() {
    let config = check(&format!("basic_auth_users: {{prom: {}}}", HASH.replace("$10$", "$05$")));
    assert_eq!(
        config.unwrap().warnings,
        ["basic_auth_users: \"prom\": bcrypt of a cost below 10 is quickly guessed"]
    );
}

/// The tables of exporter-toolkit's "is TLS enabled" and of the keys that turn it on.
#[test]
fn what_asks_for_tls() {
    for (section, tls) in [
        ("{}", false),
        ("{min_version: TLS12, max_version: TLS13}", false),
        ("{client_allowed_sans: [one]}", false),
        ("{cert_file: '', key: '', client_auth_type: ''}", false),
        ("{cipher_suites: [], prefer_server_cipher_suites: true}", false),
        ("{cert_file: a, key_file: b}", true),
        ("{cert: a, key: b}", true),
        ("{cert: a, key_file: b}", true),
        ("{client_ca_file: ca}", true),
        ("{client_ca: ca}", true),
        ("{client_auth_type: RequireAndVerifyClientCert}", true),
        ("{client_auth_type: NoClientCert}", true),
        ("{key_file: b}", true),
    ] {
        let asks = match check(&format!("tls_server_config: {section}")) {
            Ok(config) => config.tls.is_some(),
            Err(error) => {
                assert!(error.starts_with("missing one of "), "{section}: {error}");
                true
            }
        };
        assert_eq!(asks, tls, "{section}");
    }
}

#[test]
fn files_win_over_inline() {
    let both = "tls_server_config: {cert_file: a, cert: b, key: c, key_file: '', client_ca: d}";
    let tls = check(both).unwrap().tls.unwrap();
    assert_eq!(tls.cert, Source::File("/etc/hostwarden/a".into()));
    assert_eq!(tls.key, Source::Inline("c".into()));
    assert_eq!(format!("{:?}", tls.key), "inline");
    assert_eq!(tls.client_ca, Some(Source::Inline("d".into())));
}

#[test]
fn refused() {
    let nearly = &HASH[..58];
    let too_short = "basic_auth_users: \"prom\": crypto/bcrypt: hashedSecret too short to be a bcrypted password";
    for (text, message) in [
        ("tls_server_config:\n  cert_filse: x\n", "line 2: unknown key \"cert_filse\""),
        ("basic_auth_user: {}\n", "line 1: unknown key \"basic_auth_user\""),
        ("http_server_config:\n\n  headerz: {}", "line 3: unknown key \"headerz\""),
        ("rate_limit: {intervall: 1s}", "line 1: unknown key \"intervall\""),
        ("TLS_server_config: {}", "line 1: unknown key \"TLS_server_config\""),
        ("basic_auth_users:\n  a: HASH\n  a: HASH\n", "line 3: key \"a\" already set in map"),
        ("rate_limit: {}\nrate_limit: {}\n", "line 2: key \"rate_limit\" already set in map"),
        ("tls_server_config: {cert_file: '', key_file: k}", "missing one of cert or cert_file"),
        ("tls_server_config: {client_auth_type: NoClientCert}", "missing one of cert or cert_file"),
        ("tls_server_config: {cert_file: c, key_file: ''}", "missing one of key or key_file"),
        ("tls_server_config: {cert_file: c, key: ''}", "missing one of key or key_file"),
        (
            "tls_server_config:\n  min_version: TLS12\n  max_version: tls13\n",
            "line 3: unknown TLS version: tls13",
        ),
        (
            "tls_server_config:\n  cipher_suites:\n  - TLS_AES_128_GCM_SHA256\n  - TLS_RSA_WITH_RC4_128_SHA\n",
            "line 4: unknown cipher: TLS_RSA_WITH_RC4_128_SHA",
        ),
        ("tls_server_config: {curve_preferences: [CurveP257]}", "line 1: unknown curve: CurveP257"),
        (
            "http_server_config: {headers: {Content-Type: x}}",
            "HTTP header \"Content-Type\" can not be configured",
        ),
        (
            "http_server_config: {headers: {x-frame-options: deny}}",
            "HTTP header \"x-frame-options\" can not be configured",
        ),
        (
            "http_server_config: {headers: {X-Content-Type-Options: sniff}}",
            "invalid value for X-Content-Type-Options. Expected one of: [\"nosniff\"], but got: \"sniff\"",
        ),
        (
            "http_server_config: {headers: {X-Frame-Options: }}",
            "invalid value for X-Frame-Options. Expected one of: [\"deny\" \"sameorigin\"], but got: \"\"",
        ),
        (
            "http_server_config: {headers: {X-XSS-Protection: \"a\\0b\"}}",
            "invalid value for X-XSS-Protection: \"a\\0b\"",
        ),
        ("basic_auth_users: {prom: s3cret}", too_short),
        (&format!("basic_auth_users: {{prom: {nearly}}}"), too_short),
        ("basic_auth_users: {prom: }", too_short),
        ("rate_limit: {interval: 1d}", "line 1: cannot unmarshal !!str `1d` into time.Duration"),
        ("rate_limit:\n  interval: '5'", "line 2: cannot unmarshal !!str `5` into time.Duration"),
    ] {
        assert_eq!(check(&text.replace("HASH", HASH)).unwrap_err(), message, "{text}");
    }
    assert_eq!(parse(b"a: \xff", Path::new("")).unwrap_err().to_string(), "not UTF-8");
}

/// Headers come before users, and users before TLS.
#[test]
fn the_first_of_several_faults() {
    let tls = "tls_server_config: {key_file: k}\n";
    let users = "basic_auth_users: {prom: x}\n";
    let headers = "http_server_config: {headers: {Server: x}}\n";
    let first = |text: &str| check(text).unwrap_err();
    assert!(first(&format!("{tls}{users}{headers}x: 1")).contains("unknown key"));
    assert!(first(&format!("{tls}{users}{headers}")).contains("Server"));
    assert!(first(&format!("{tls}{users}")).contains("bcrypt"));
    assert!(first(tls).contains("missing one of cert"));
}

#[test]
fn no_secret_in_any_message() {
    for (text, message) in [
        ("basic_auth_users: S3CRET", "line 1: not a mapping"),
        ("basic_auth_users: [S3CRET]", "line 1: not a mapping"),
        ("basic_auth_users: {prom: [S3CRET]}", "line 1: not a string"),
        ("basic_auth_users: {prom: {S3CRET: S3CRET}}", "line 1: not a string"),
        ("basic_auth_users:\n  prom: 'S3CRET\n", "line 3: YAML: "),
        ("basic_auth_users:\n  prom: \"S3CRET\\q\"\n", "line 2: YAML: "),
        ("basic_auth_users:\n  prom: S3CRET: x\n", "line 2: YAML: "),
        ("basic_auth_users:\n prom: S3CRET\n  x: y\n", "line 3: YAML: "),
        ("basic_auth_users:\n  prom: @S3CRET\n", "line 2: YAML: "),
        ("basic_auth_users:\n  prom: *S3CRET\n", "line 2: unknown anchor"),
        ("basic_auth_users:\n  prom: %S3CRET\n", "line 2: YAML: "),
        ("basic_auth_users:\n  prom: !S3CRET x\n", "basic_auth_users: \"prom\": "),
        ("basic_auth_users:\n  prom: !!int S3CRET\n", "line 2: not valid YAML"),
        ("basic_auth_users:\n\tprom: S3CRET\n", "line 2: YAML: "),
        ("basic_auth_users: {prom: S3CRET", "line 1: YAML: "),
        ("tls_server_config: {key: [S3CRET]}", "line 1: not a string"),
        ("tls_server_config: {key: {a: S3CRET}}", "line 1: not a string"),
        ("tls_server_config: S3CRET", "line 1: not a mapping"),
        ("tls_server_config: {prefer_server_cipher_suites: S3CRET}", "line 1: not a boolean"),
        ("http_server_config: {http2: S3CRET}", "line 1: not a boolean"),
        ("rate_limit: {burst: S3CRET}", "line 1: not a number"),
        ("rate_limit: {interval: [S3CRET]}", "line 1: sequence where a duration belongs"),
        ("rate_limit: {interval: true}", "line 1: boolean where a duration belongs"),
        ("S3CRET", "line 1: not a mapping"),
        ("- S3CRET", "line 1: not a mapping"),
        ("'S3CRET' x", "line 1: YAML: "),
    ] {
        let error = check(text).unwrap_err();
        assert!(error.starts_with(message), "{text:?}: {error}");
        assert!(!error.contains("S3CRET") && !error.contains('\n'), "{text:?}: {error}");
    }
}

#[test]
fn booleans_and_numbers_of_yaml_1_1() {
    for (word, value) in
        [("yes", true), ("on", true), ("True", true), ("y", true), ("no", false), ("OFF", false)]
    {
        let config = check(&format!("http_server_config: {{http2: {word}}}")).unwrap();
        assert_eq!(config.http2, value, "{word}");
    }
    let limit = |text: &str| check(&format!("rate_limit: {text}")).unwrap().rate_limit;
    let of = |nanos, burst| Some(RateLimitConfig { interval: Duration::from_nanos(nanos), burst });
    assert_eq!(limit("{interval: 0, burst: 0}"), None);
    assert_eq!(limit("{interval: 0s, burst: 5}"), None);
    assert_eq!(limit("{interval: -1s, burst: 5}"), None);
    assert_eq!(limit("{interval: -1, burst: 5}"), None);
    assert_eq!(limit("{burst: 5}"), None);
    assert_eq!(limit("{interval: 300ms}"), of(300_000_000, 0));
    assert_eq!(limit("{interval: 1000, burst: -5}"), of(1000, 0));
    assert_eq!(limit("{interval: 1m30s, burst: 0x10}"), of(90_000_000_000, 16));
    assert_eq!(limit("{interval: 1s, burst: 010}"), of(1_000_000_000, 8));
}

#[test]
fn anchors() {
    let users = format!("basic_auth_users:\n  a: &hash {HASH}\n  b: *hash\n");
    let config = check(&users).unwrap();
    assert_eq!(config.users[0].1, config.users[1].1);
}

#[test]
fn only_the_first_document() {
    for (text, first) in [
        ("a: 1\n---\nb: 2\n", "a: 1\n"),
        ("---\na: 1\n---\nb: 2\n", "---\na: 1\n"),
        ("# x\n%YAML 1.1\n---\na: 1\n...\nb: 2\n", "# x\n%YAML 1.1\n---\na: 1\n"),
        ("--- {}\n--- \nb: 2", "--- {}\n"),
        ("a: |\n  ---\n  x\nb: 1\n", "a: |\n  ---\n  x\nb: 1\n"),
        ("a: |\n  -----BEGIN\n-----\n", "a: |\n  -----BEGIN\n-----\n"),
        ("", ""),
    ] {
        assert_eq!(first_document(text), first, "{text:?}");
    }
}

#[test]
fn files_that_cannot_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("web.yml");
    let message = |path: &Path| load(path).unwrap_err().to_string();
    assert_eq!(message(&path), format!("open {}: no such file or directory", path.display()));
    assert_eq!(message(dir.path()), format!("read {}: is a directory", dir.path().display()));
    std::fs::write(&path, "tls_server_config: {cert_file: a, key_file: b}\n\n\nx: 1").unwrap();
    assert_eq!(message(&path), format!("{}: line 4: unknown key \"x\"", path.display()));
    std::fs::write(&path, "tls_server_config: {cert_file: a, key_file: b}").unwrap();
    let tls = load(&path).unwrap().tls.unwrap();
    assert_eq!(tls.cert, Source::File(dir.path().join("a")));
}
