//! TLS over real sockets, with curl, openssl and Prometheus as clients.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Output, Stdio};

use hostwarden::cli::{self, Action};
use hostwarden::start;
use hostwarden::web::password;

use crate::agent::{Agent, run, wait_for};
use crate::certificates::{file, pem};
use crate::peers::Prometheus;

const ONE: [&str; 2] = ["--collector.disable-defaults", "--collector.loadavg"];

/// A folder with a web config file.
struct Config(tempfile::TempDir);

impl Config {
    fn new(yaml: &str) -> Self {
        let config = Self(tempfile::tempdir().unwrap());
        config.write(yaml);
        config
    }

    /// `@/NAME` stands for a file of the certificates' folder.
    fn write(&self, yaml: &str) {
        let folder = file("");
        let yaml = yaml.replace("@/", folder.to_str().unwrap());
        fs::write(self.0.path().join("config.yaml"), yaml).unwrap();
    }

    fn flag(&self) -> String {
        format!("--web.config.file={}", self.0.path().join("config.yaml").display())
    }

    fn start(&self) -> Agent {
        Agent::start(&[ONE[0], ONE[1], &self.flag()])
    }
}

/// A `tls_server_config` with our certificate and more.
fn tls(more: &str) -> String {
    format!("tls_server_config: {{cert_file: @/server.pem, key_file: @/server.key, {more}}}\n")
}

/// What curl got.
#[derive(Debug)]
struct Got {
    /// curl's own exit code.
    exit: i32,
    status: String,
    version: String,
    body: String,
    complaint: String,
}

fn curl(agent: &Agent, scheme: &str, arguments: &[&str]) -> Got {
    let url = format!("{scheme}://localhost:{}/metrics", agent.address.port());
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "20", "--cacert"])
        .arg(file("server.pem"))
        .args(["--write-out", "\n%{http_code} %{http_version}"])
        .args(arguments)
        .arg(&url)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, end) = text.rsplit_once('\n').unwrap();
    let (status, version) = end.split_once(' ').unwrap();
    Got {
        exit: output.status.code().unwrap(),
        status: status.to_owned(),
        version: version.to_owned(),
        body: body.to_owned(),
        complaint: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn assert_served(agent: &Agent, arguments: &[&str]) {
    let got = curl(agent, "https", arguments);
    assert_eq!((got.exit, got.status.as_str()), (0, "200"), "{arguments:?} {got:?}");
    assert!(got.body.contains("node_load1 "), "{got:?}");
}

/// Refused in the handshake, and why, as curl and our log tell it.
fn assert_refused(agent: &Agent, arguments: &[&str], alert: &str, reason: &str) {
    let got = curl(agent, "https", arguments);
    assert_ne!(got.exit, 0, "{got:?}");
    assert!(got.complaint.contains(alert), "{arguments:?}: {got:?}");
    agent.wait_for_log(reason);
}

/// The arguments with which curl shows a certificate.
fn certificate(name: &str) -> [String; 4] {
    let path = |end| file(&format!("{name}.{end}")).display().to_string();
    ["--cert".to_owned(), path("pem"), "--key".to_owned(), path("key")]
}

fn with<'a>(certificate: &'a [String; 4], more: &[&'a str]) -> Vec<&'a str> {
    certificate.iter().map(String::as_str).chain(more.iter().copied()).collect()
}

/// What `openssl s_client` says of a handshake.
fn s_client(agent: &Agent, arguments: &[&str]) -> String {
    let Output { stdout, stderr, .. } = Command::new("openssl")
        .args(["s_client", "-connect", &agent.address.to_string()])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned()
}

#[test]
fn both_versions_of_tls_and_of_http() {
    let agent = Config::new(&tls("")).start();
    for version in ["--tls-max 1.2", "--tlsv1.3"] {
        let arguments: Vec<&str> = version.split(' ').collect();
        let got = curl(&agent, "https", &arguments);
        assert_eq!((got.status.as_str(), got.version.as_str()), ("200", "2"), "{got:?}");
        assert_served(&agent, &[&arguments[..], &["--http1.1"]].concat());
    }
    let old = s_client(&agent, &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]);
    assert!(old.contains("alert"), "{old}");
    assert!(agent.log().contains("msg=\"TLS is enabled.\" http2=true"), "{}", agent.log());
    let expiry = curl(&agent, "https", &[]).body;
    let expiry = crate::agent::value(&expiry, "hostwarden_certificate_expiry_timestamp_seconds");
    let days = (expiry.unwrap() - jiff::Timestamp::now().as_second() as f64) / 86400.0;
    assert!((1.9..2.1).contains(&days), "{days}");
}

#[test]
fn without_http2_there_is_but_one_protocol() {
    let yaml = tls("cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384], max_version: TLS12");
    let agent = Config::new(&format!("{yaml}http_server_config: {{http2: false}}\n")).start();
    let got = curl(&agent, "https", &[]);
    assert_eq!((got.status.as_str(), got.version.as_str()), ("200", "1.1"), "{got:?}");
    let said = s_client(&agent, &["-alpn", "h2,http/1.1"]);
    assert!(said.contains("ALPN protocol: http/1.1"), "{said}");
}

#[test]
fn plain_http_and_tls_at_the_wrong_door() {
    let agent = Config::new(&tls("client_auth_type: VerifyClientCertIfGiven")).start();
    for request in ["GET / HTTP/1.1\r\nHost: x\r\n\r\n", "POST / HTTP/1.0\r\n\r\n", "FETCH\r\n"] {
        let response = agent.send(request.as_bytes());
        assert_eq!(response.head, "HTTP/1.0 400 Bad Request");
        assert_eq!(response.text(), "Client sent an HTTP request to an HTTPS server.\n");
    }
    agent.wait_for_log("client sent an HTTP request to an HTTPS server");
    let got = curl(&agent, "http", &["--http0.9"]);
    assert!(got.body.contains("HTTPS server") && got.status == "400", "{got:?}");
    assert_served(&agent, &[]);

    let plain = Config::new("").start();
    let got = curl(&plain, "https", &[]);
    assert!(got.exit == 35 || got.exit == 56, "{got:?}");
    assert_eq!(curl(&plain, "http", &[]).status, "200");
}

#[test]
fn certificate_and_key_may_stand_in_the_file() {
    let quoted = |name| format!("{:?}", pem(name));
    let yaml = format!(
        "tls_server_config: {{cert: {}, key: {}, client_auth_type: RequireAnyClientCert}}\n",
        quoted("server.pem"),
        quoted("server.key")
    );
    let agent = Config::new(&yaml).start();
    assert_served(&agent, &with(&certificate("client"), &[]));
}

#[test]
fn cipher_suites_and_curves() {
    let suites = "cipher_suites: [TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256,
  TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,
  TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
  TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
  TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256]";
    let all = Config::new(&tls(suites)).start();
    assert_served(&all, &[]);
    assert!(all.log().contains("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA is not supported"));

    let two = "max_version: TLS12, cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]";
    let two = Config::new(&tls(two)).start();
    assert_served(&two, &["--ciphers", "ECDHE-RSA-AES256-GCM-SHA384"]);
    let both =
        s_client(&two, &["-cipher", "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256"]);
    assert!(both.contains("Cipher is ECDHE-RSA-AES128-GCM-SHA256"), "{both}");
    let other = s_client(&two, &["-cipher", "ECDHE-RSA-CHACHA20-POLY1305"]);
    assert!(other.contains("alert handshake failure"), "{other}");

    let curves = "curve_preferences: [CurveP256, CurveP384, CurveP521, X25519]";
    assert_served(&Config::new(&tls(curves)).start(), &[]);
    let p521 = Config::new(&tls("curve_preferences: [CurveP521], min_version: TLS13")).start();
    assert_served(&p521, &["--curves", "P-521"]);
    let said = s_client(&p521, &["-groups", "P-521"]);
    assert!(said.contains("Verify return code") && said.contains("TLSv1.3"), "{said}");
    let other = s_client(&p521, &["-groups", "X25519"]);
    assert!(other.contains("alert handshake failure"), "{other}");
}

const NONE_SHOWN: &str = "certificate required";
const UNKNOWN: &str = "unknown ca";

#[test]
fn client_certificates() {
    let [good, foreign, plain] = ["client", "foreign", "plain"].map(certificate);
    let ca = "client_ca_file: @/ca.pem";

    let request = Config::new(&tls("client_auth_type: RequestClientCert")).start();
    assert_served(&request, &[]);
    assert_served(&request, &with(&foreign, &[]));

    for mode in ["RequireAnyClientCert", "RequireClientCert"] {
        let any = Config::new(&tls(&format!("client_auth_type: {mode}"))).start();
        assert_served(&any, &with(&foreign, &[]));
        assert_served(&any, &with(&good, &["--tls-max", "1.2"]));
        let reason = "tls: client didn't provide a certificate";
        assert_refused(&any, &["--http1.1"], NONE_SHOWN, reason);
    }

    let given =
        Config::new(&tls(&format!("client_auth_type: VerifyClientCertIfGiven, {ca}"))).start();
    assert_served(&given, &[]);
    assert_served(&given, &with(&good, &[]));
    let reason = "x509: certificate signed by unknown authority";
    assert_refused(&given, &with(&foreign, &["--http1.1"]), UNKNOWN, reason);

    let verify = "client_auth_type: RequireAndVerifyClientCert";
    let both = Config::new(&tls(&format!("{verify}, {ca}"))).start();
    assert_served(&both, &with(&good, &[]));
    assert_served(&both, &with(&plain, &[]));
    assert_refused(&both, &["--http1.1"], NONE_SHOWN, "didn't provide a certificate");
    assert_refused(&both, &with(&foreign, &["--http1.1"]), UNKNOWN, reason);

    let sans = format!("{verify}, {ca}, client_allowed_sans: [one, test3, two]");
    let named = Config::new(&tls(&sans)).start();
    assert_served(&named, &with(&good, &[]));
    let reason = "could not find allowed SANs in client cert, found: []";
    assert_refused(&named, &with(&plain, &["--http1.1"]), "bad certificate", reason);
    let nobody = Config::new(&tls(&format!("{verify}, {ca}, client_allowed_sans: []"))).start();
    let reason = "could not find allowed SANs in client cert, found: [test3]";
    assert_refused(&nobody, &with(&good, &["--http1.1"]), "bad certificate", reason);

    // Without an authority of its own, the system's are asked, and know none of these.
    let system = Config::new(&tls(verify)).start();
    assert_refused(&system, &with(&good, &["--http1.1"]), UNKNOWN, "TLS handshake failed");
}

#[test]
fn a_demand_for_certificates_is_dropped_without_a_restart() {
    let config = Config::new(&tls("client_auth_type: RequireAndVerifyClientCert"));
    let agent = config.start();
    assert_refused(&agent, &["--http1.1"], NONE_SHOWN, "didn't provide a certificate");
    config.write(&tls("client_auth_type: VerifyClientCertIfGiven"));
    assert_served(&agent, &[]);
}

#[test]
fn users_over_tls() {
    let user = |name, password: &str| {
        format!("  {name}: {}\n", password::hash(password.as_bytes(), 4).unwrap())
    };
    let users = format!("basic_auth_users:\n{}{}", user("dave", "secret"), user("carol", "other"));
    let agent = Config::new(&(tls("") + &users)).start();
    for (login, status) in [
        ("dave:secret", "200"),
        ("carol:other", "200"),
        ("dave:other", "401"),
        ("nobody:fakepassword", "401"),
    ] {
        for version in ["--http1.1", "--http2"] {
            let got = curl(&agent, "https", &[version, "--user", login]);
            assert_eq!(got.status, status, "{login} {got:?}");
        }
    }
    assert_eq!(curl(&agent, "https", &[]).body, "Unauthorized\n");

    let port = agent.address.port();
    let certificate = file("server.pem");
    let prometheus = Prometheus::start(&format!(
        "- job_name: node\n  scheme: https\n  tls_config: {{ca_file: {}}}\n  basic_auth: {{username: dave, password: secret}}\n  static_configs: [{{targets: ['localhost:{port}']}}]\n",
        certificate.display()
    ));
    wait_for("a scrape over TLS", || prometheus.value("node_load1{job=\"node\"}").is_some());
    assert_eq!(prometheus.value("up"), Some(1.0), "{}", prometheus.targets());
}

/// An HTTP/1.1 client that keeps its TLS connection.
struct Kept {
    child: std::process::Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Kept {
    fn new(agent: &Agent) -> Self {
        let mut child = Command::new("openssl")
            .args(["s_client", "-quiet", "-connect", &agent.address.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { child, answers }
    }

    /// The status line of an answer, the rest of which is taken off the line.
    fn get(&mut self, path: &str) -> String {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        self.child.stdin.as_mut().unwrap().write_all(request.as_bytes()).unwrap();
        let mut status = String::new();
        self.answers.read_line(&mut status).unwrap();
        let mut length = 0;
        loop {
            let mut line = String::new();
            self.answers.read_line(&mut line).unwrap();
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
        }
        self.answers.read_exact(&mut vec![0; length]).unwrap();
        status.trim().to_owned()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn shown(agent: &Agent) -> String {
    let said = s_client(agent, &[]);
    let line = said.lines().find(|line| line.starts_with("subject="));
    line.unwrap_or_else(|| panic!("{said}")).replace(' ', "")
}

#[test]
fn a_renewed_certificate_is_shown_to_who_comes_and_old_connections_live_on() {
    let config = Config::new(&tls(""));
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| config.0.path().join(name));
    fs::copy(file("server.pem"), &cert).unwrap();
    fs::copy(file("server.key"), &key).unwrap();
    let section = "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n";
    config.write(section);
    let agent = config.start();
    let mut kept = Kept::new(&agent);
    assert_eq!(kept.get("/"), "HTTP/1.1 200 OK");
    assert_eq!(shown(&agent), "subject=CN=server");

    // The key does not fit yet.
    fs::copy(file("renewed.pem"), &cert).unwrap();
    assert_eq!(shown(&agent), "subject=CN=server");
    agent.wait_for_log("private key does not match public key");
    fs::copy(file("renewed.key"), &key).unwrap();
    assert_eq!(shown(&agent), "subject=CN=renewed");
    assert_eq!(kept.get("/"), "HTTP/1.1 200 OK");

    for broken in ["", "tls_server_config: {cert_file: gone.pem, key_file: key.pem}\n", "- x\n"] {
        config.write(broken);
        assert_eq!(shown(&agent), "subject=CN=renewed", "{broken}");
        assert_eq!(kept.get("/"), "HTTP/1.1 200 OK");
    }
    config.write(section);
    assert_eq!(shown(&agent), "subject=CN=renewed");
}

#[test]
fn tls_does_not_begin_in_a_running_agent() {
    let config = Config::new("");
    let agent = config.start();
    config.write(&tls(""));
    assert_eq!(curl(&agent, "http", &[]).status, "200");
    agent.wait_for_log("tls_server_config: TLS begins with a restart");
}

/// Each of these ends the start, and the check that opens no socket says the same.
#[test]
fn files_that_end_the_start() {
    let tls = |more: &str| format!("tls_server_config: {{{more}}}\n");
    let pair = "cert_file: @/server.pem, key_file: @/server.key";
    for (yaml, reason) in [
        (tls("cert_filse: @/server.pem"), "unknown key \"cert_filse\""),
        (tls("cert_file: '', key_file: @/server.key"), "missing one of cert or cert_file"),
        (tls("cert_file: @/server.pem, key_file: ''"), "missing one of key or key_file"),
        (tls("cert_file: @/server.pem, key: ''"), "missing one of key or key_file"),
        (tls("cert_file: @/bad.pem, key_file: @/server.key"), "failed to read cert_file ("),
        (tls("cert_file: @/bad.pem, key_file: @/bad.key"), "no such file or directory"),
        (tls("cert_file: @/server.pem, key_file: @/bad.key"), "failed to read key_file ("),
        (tls("cert_file: @/server.pem, key_file: @/ca.key"), "failed to load X509KeyPair: tls: "),
        (
            tls(&format!(
                "{pair}, client_ca_file: @/bad.pem, client_auth_type: RequireAndVerifyClientCert"
            )),
            "bad.pem: no such file or directory",
        ),
        (tls(&format!("{pair}, client_ca_file: @/ca.pem")), "without a Client Auth Policy"),
        (tls(&format!("{pair}, client_auth_type: Maybe")), "invalid ClientAuth: Maybe"),
        (tls(&format!("{pair}, cipher_suites: [TLS_FANCY]")), "unknown cipher: TLS_FANCY"),
        (tls(&format!("{pair}, curve_preferences: [CurveP257]")), "unknown curve: CurveP257"),
        (tls(&format!("{pair}, min_version: TLS14")), "unknown TLS version: TLS14"),
        (
            tls(&format!("{pair}, min_version: TLS10, max_version: TLS11")),
            "TLS12 is the oldest version supported",
        ),
        (
            tls(&format!("{pair}, cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]")),
            "HTTP/2-required AES_128_GCM_SHA256 cipher",
        ),
        (
            "http_server_config: {headers: {X-Content-Type-Options: sniff}}\n".to_owned(),
            "invalid value for X-Content-Type-Options. Expected one of: [\"nosniff\"], but got: \"sniff\"",
        ),
        (
            "http_server_config: {headers: {Content-Type: text/html}}\n".to_owned(),
            "HTTP header \"Content-Type\" can not be configured",
        ),
        ("basic_auth_users: {dave: $apr1$x}\n".to_owned(), "too short to be a bcrypted"),
        ("rate_limit: {interval: soon}\n".to_owned(), "into time.Duration"),
    ] {
        refuses(&Config::new(&yaml).flag(), reason);
    }
    refuses("--web.config.file=/nonexistent/config.yaml", "no such file or directory");
    refuses("--web.trusted-proxy=somewhere", "is no address");
    refuses("--web.listen-address=localhost", "missing port in address");
    for fine in ["", "# nothing\n", "---\n", "{}\n", "tls_server_config:\n"] {
        let flag = Config::new(fine);
        assert_eq!(check(&flag.flag()), Ok(()), "{fine}");
    }
}

fn refuses(flag: &str, reason: &str) {
    let output = run(&[ONE[0], ONE[1], flag]);
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = log.lines().last().unwrap_or_default();
    assert_eq!(output.status.code(), Some(1), "{log}");
    let fault = check(flag).unwrap_err();
    assert!(fault.contains(reason), "{reason}: {fault}");
    let fault = fault.replace('"', "\\\"");
    assert!(last.contains("level=ERROR") && last.contains(&fault), "{fault}: {log}");
}

/// What `check config` does.
fn check(flag: &str) -> Result<(), String> {
    let words = ["hostwarden", ONE[0], ONE[1], flag].map(Into::into);
    let Ok(Action::Serve(settings)) = cli::parse(words) else { panic!("{flag}") };
    start::prepare(&settings).map(drop)
}
