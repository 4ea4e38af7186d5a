//! `hostwarden check config` and `hostwarden check endpoint`, against the agent and others.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use crate::agent::{Agent, BINARY, run, wait_for};
use crate::peers::{self, Program};

/// Of `secret`.
const HASH: &str = "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=";

const ONE: [&str; 2] = ["--collector.disable-defaults", "--collector.loadavg"];

/// Files of a test: users, the right password, and one that is not.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("htpasswd", &format!("prom:{HASH}\n"));
        write("right", "secret\n");
        write("wrong", "secrex\n");
        Self(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn agent(&self) -> Agent {
        let users = format!("--web.htpasswd-file={}", self.path("htpasswd"));
        Agent::start(&[ONE[0], ONE[1], &users, "--collector.time"])
    }

    fn check(&self, url: &str, password: &str, more: &[&str]) -> Output {
        let password = format!("--password-file={}", self.path(password));
        run(&[&["check", "endpoint", "--user=prom", &password, url], more].concat())
    }
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The lines that are not good.
fn faults(output: &Output) -> Vec<String> {
    text(output).lines().filter(|line| !line.starts_with("good")).map(str::to_owned).collect()
}

#[test]
fn an_agent_behind_a_password_passes() {
    let files = Files::new();
    let agent = files.agent();
    let output = files.check(&format!("http://{}", agent.address), "right", &[]);
    assert_eq!((faults(&output), output.status.code()), (vec![], Some(0)), "{output:?}");
    let checks: Vec<String> =
        text(&output).lines().map(|line| line[6..21].trim().to_owned()).collect();
    assert_eq!(
        checks,
        [
            "connection",
            "answer",
            "exposition",
            "collectors",
            "clock",
            "wrong password",
            "no password"
        ]
    );
    assert!(!text(&output).contains('\u{1b}'), "no colours in a pipe");

    let json = files.check(&format!("http://{}", agent.address), "right", &["--json"]);
    let json = text(&json);
    let start = format!(
        "{{\"url\":\"http://{}/metrics\",\"checks\":[{{\"check\":\"connection\",\"result\":\"good\",",
        agent.address
    );
    assert!(json.starts_with(&start) && json.ends_with("}],\"good\":true}\n"), "{json}");
}

#[test]
fn a_wrong_password_and_an_open_door_are_told() {
    let files = Files::new();
    let agent = files.agent();
    let url = format!("http://{}/metrics", agent.address);
    let output = files.check(&url, "wrong", &[]);
    assert_eq!(faults(&output), ["bad   answer          401 Unauthorized"]);
    assert_eq!(output.status.code(), Some(1));
    let output = run(&["check", "endpoint", &url]);
    assert_eq!(faults(&output), ["bad   answer          wants a password: use --user"]);

    let open = Agent::start(&ONE);
    let url = format!("http://{}", open.address);
    let output = files.check(&url, "right", &[]);
    assert_eq!(faults(&output), ["bad   wrong password  let in", "bad   no password     let in"]);
    assert_eq!(output.status.code(), Some(1));
    let output = run(&["check", "endpoint", &url]);
    assert_eq!((faults(&output), output.status.code()), (vec![], Some(0)));
}

#[test]
fn who_does_not_listen_or_speaks_otherwise_is_told() {
    let port = peers::free_port();
    let output = run(&["check", "endpoint", &format!("http://127.0.0.1:{port}")]);
    let expected =
        format!("bad   connection      127.0.0.1:{port}: Connection refused (os error 111)");
    assert_eq!((faults(&output), output.status.code()), (vec![expected], Some(1)));

    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap();
    let answering = std::thread::spawn(move || {
        // The first connection only looks whether somebody listens.
        for stream in other.incoming().take(2) {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let page = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi";
            let _ = stream.write_all(page.as_bytes());
        }
    });
    let output = run(&["check", "endpoint", &format!("http://{address}")]);
    answering.join().unwrap();
    assert_eq!(
        faults(&output),
        [
            "bad   exposition      the answer is \"text/html\", and not text/plain",
            "note  clock           not told"
        ]
    );
    let agent = Agent::start(&ONE);
    let output = run(&["check", "endpoint", &format!("https://{}", agent.address)]);
    let faults = faults(&output);
    assert!(faults[0].starts_with("bad   certificate     no TLS: "), "{faults:?}");
    assert_eq!(faults[1], "bad   password        not sent to a server that is not trusted");
}

#[test]
fn passwords_do_not_stand_on_the_command_line() {
    let output = run(&["check", "endpoint", "http://prom:secret@127.0.0.1:1/"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.contains("use --user and --password-file") && !error.contains("secret"),
        "{error}"
    );
    for (arguments, expected) in [
        (&["check", "endpoint"][..], "expected URL"),
        (&["check"], "expected check config or check endpoint"),
        (&["check", "endpoint", "--timeout=x", "http://h"], "--timeout: invalid duration \"x\""),
    ] {
        let error = String::from_utf8(run(arguments).stderr).unwrap();
        assert_eq!(error, format!("hostwarden: error: {expected}, try --help\n"));
    }
    let output = run(&["check", "endpoint", "ftp://h"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(error, "hostwarden check endpoint: ftp://h/metrics: cannot speak ftp\n");
}

/// A certificate as `openssl req -x509` makes it: its own authority, for `name`, with its key.
fn certificate(folder: &Path, name: &str, days: &str) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test", "-days", days])
        .args(["-addext", &format!("subjectAltName=DNS:{name}")])
        .args(["-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
}

/// Checks an endpoint whose certificate is made for `localhost` and runs out soon.
fn passes_with_its_own_certificate(files: &Files, port: u16) {
    let url = format!("https://localhost:{port}");
    let ca = format!("--ca={}", files.path("cert.pem"));
    let output = files.check(&url, "right", &[&ca]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let noted = faults(&output);
    let expected = "note  certificate     for localhost, 12 days left, TLSv1_3";
    assert_eq!(noted, [expected]);

    let output = files.check(&url, "right", &[]);
    for expected in [
        "bad   trust           signed by itself, and not one that is trusted here\n",
        "bad   password        not sent to a server that is not trusted\n",
    ] {
        assert!(text(&output).contains(expected), "{}", text(&output));
    }
    assert_eq!(output.status.code(), Some(1));

    let output = files.check(&url.replace("localhost", "127.0.0.1"), "right", &[&ca]);
    let expected = "bad   trust           not for 127.0.0.1, but for localhost\n";
    assert!(text(&output).contains(expected), "{}", text(&output));
}

/// A folder with a web config file that names certificate, key and user.
fn with_tls() -> Files {
    let files = Files::new();
    certificate(files.0.path(), "localhost", "12");
    let hash = hostwarden::web::password::hash(b"secret", 5).unwrap();
    let config = format!(
        "tls_server_config: {{cert_file: cert.pem, key_file: key.pem}}\n\
         basic_auth_users: {{prom: {hash}}}\n"
    );
    std::fs::write(files.path("web.yml"), config).unwrap();
    files
}

#[test]
fn an_agent_with_its_own_certificate() {
    let files = with_tls();
    let config = format!("--web.config.file={}", files.path("web.yml"));
    let agent = Agent::start(&[ONE[0], ONE[1], &config]);
    passes_with_its_own_certificate(&files, agent.address.port());
}

#[test]
fn an_agent_that_wants_a_certificate() {
    let files = with_tls();
    let config = std::fs::read_to_string(files.path("web.yml")).unwrap();
    let strict = "cert.pem, client_ca_file: cert.pem, client_auth_type: RequireAndVerifyClientCert";
    std::fs::write(files.path("web.yml"), config.replacen("cert.pem", strict, 1)).unwrap();
    let config = format!("--web.config.file={}", files.path("web.yml"));
    let agent = Agent::start(&[ONE[0], ONE[1], &config]);
    let url = format!("https://localhost:{}", agent.address.port());
    let flags = [("ca", "cert.pem"), ("cert", "cert.pem"), ("key", "key.pem")];
    let flags = flags.map(|(flag, file)| format!("--{flag}={}", files.path(file)));
    let [ca, cert, key] = &flags;

    let output = files.check(&url, "right", &[ca, cert, key]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let output = files.check(&url, "right", &[ca]);
    assert!(text(&output).contains("bad   answer"), "{}", text(&output));
    assert_eq!(output.status.code(), Some(1));
    let output = files.check(&url, "right", &[ca, cert]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(error, "hostwarden check endpoint: --cert and --key belong together\n");
    let output = files.check(&url, "right", &[ca, "--cert=/no/cert.pem", key]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.ends_with("open /no/cert.pem: no such file or directory\n"), "{error}");
}

/// The endpoint as it is today.
#[test]
fn a_real_node_exporter_with_its_own_certificate() {
    let Some(node_exporter) = peers::node_exporter() else { return };
    let files = with_tls();
    let port = peers::free_port();
    let _peer = Program::start(
        Command::new(node_exporter)
            .args(["--collector.disable-defaults", "--collector.time"])
            .arg(format!("--web.config.file={}", files.path("web.yml")))
            .arg(format!("--web.listen-address=127.0.0.1:{port}")),
    );
    wait_for("node_exporter", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    passes_with_its_own_certificate(&files, port);
}

#[test]
fn a_configuration_is_checked_without_a_start() {
    let files = Files::new();
    let config = files.path("web.yml");
    let flag = format!("--web.config.file={config}");
    std::fs::write(&config, "basic_auth_users: {}\n").unwrap();
    let output = run(&["check", "config", &flag, ONE[0], ONE[1]]);
    assert_eq!(text(&output), "good: 1 collectors would run\n");
    assert_eq!(output.status.code(), Some(0));

    // The form in which Salt's check_cmd hands the file over, and another flag's fault.
    std::fs::write(&config, "basic_auth_users: {prom: x}\n").unwrap();
    for (arguments, expected) in [
        (&["--web.config.file", &config][..], "hashedSecret too short"),
        (&["--web.config.file=/nowhere"], "no such file or directory"),
        (&["--web.telemetry-path=metrics"], "does not begin with a slash"),
        (&["--collector.netdev.device-include=("], "--collector.netdev.device-include"),
        (&["--foo"], "unknown long flag '--foo'"),
    ] {
        let output = run(&[&["check", "config"], arguments].concat());
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(expected) && error.lines().count() == 1, "{error}");
        assert_eq!(output.status.code(), Some(1));
    }

    std::fs::write(files.path("htpasswd"), "old:$apr1$S4Cq3Egq$qt6xLOQnl0fRqwhFFxaFw1\n").unwrap();
    let users = format!("--web.htpasswd-file={}", files.path("htpasswd"));
    let output = run(&["check", "config", &users]);
    let warning = "htpasswd:1: user \"old\": MD5-crypt is quickly guessed\n";
    assert!(text(&output).starts_with("warning: ") && text(&output).contains(warning));
    assert_eq!(output.status.code(), Some(0));
    let help = Command::new(BINARY).args(["check", "--help"]).output().unwrap();
    assert_eq!(text(&help).matches("usage: hostwarden check ").count(), 2);
}
