//! Who is let in, over real sockets: users of either file, headers, the rate limit, and what becomes of them when files change.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use hostwarden::web::password;
use rustix::process::Signal;

use crate::agent::{Agent, BINARY, Response, basic, request, run, wait_for};
use crate::fuse::Silent;
use crate::namespace::{inside, ip};

const ONE: [&str; 2] = ["--collector.disable-defaults", "--collector.loadavg"];

/// A folder with a web config file, and perhaps more.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new(config: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("config.yaml", config);
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn start(&self, more: &[&str]) -> Agent {
        let config = flag("web.config.file", &self.path("config.yaml"));
        Agent::start(&[&ONE[..], &[&config], more].concat())
    }
}

fn flag(name: &str, path: &Path) -> String {
    format!("--{name}={}", path.display())
}

fn hash(password: &str) -> String {
    password::hash(password.as_bytes(), 4).unwrap()
}

fn users(users: &[(&str, &str)]) -> String {
    let lines = users.iter().map(|(user, password)| format!("  {user}: {}\n", hash(password)));
    format!("basic_auth_users:\n{}", lines.collect::<String>())
}

fn assert_unauthorized(response: &Response) {
    assert_eq!((response.status, response.text().as_str()), (401, "Unauthorized\n"));
    assert_eq!(response.header("www-authenticate"), Some("Basic realm=\"hostwarden\""));
    assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(response.header("server"), None);
}

#[test]
fn every_path_but_the_health_check_wants_the_password() {
    let agent = Folder::new(&users(&[("dave", "secret"), ("carol", "other")])).start(&[]);
    for path in ["/", "/metrics", "/-/ready", "/nothing", "//metrics", "//-/healthy", "/-/healthy/"]
    {
        assert_unauthorized(&agent.get(path));
    }
    for method in ["POST", "OPTIONS", "FETCH"] {
        assert_unauthorized(&agent.request(method, "/metrics", &[]));
    }
    assert_unauthorized(&agent.request("OPTIONS", "*", &[]));
    assert_eq!(agent.get("/-/healthy").status, 200);
    for (user, password) in
        [("dave", "other"), ("dave", ""), ("Dave", "secret"), ("nobody", "fakepassword"), ("", "")]
    {
        for _ in 0..2 {
            assert_unauthorized(&agent.log_in("/metrics", user, password));
        }
    }
    for (path, status) in [("/", 200), ("/metrics", 200), ("/-/ready", 200), ("/nothing", 404)] {
        assert_eq!(agent.log_in(path, "dave", "secret").status, status, "{path}");
    }
    assert_eq!(agent.log_in("/metrics", "carol", "other").status, 200);
    assert_eq!(agent.request("OPTIONS", "*", &[&basic("carol", "other")]).status, 200);
}

/// The hash costs a quarter of a second: only a memory of what is known makes this quick.
#[test]
fn many_at_once_cost_one_hash_each() {
    let costly = password::hash(b"right", 12).unwrap();
    let agent = Folder::new(&format!("basic_auth_users: {{alice: {costly}}}")).start(&[]);
    std::thread::scope(|scope| {
        for n in 0..300 {
            let agent = &agent;
            scope.spawn(move || {
                let (password, status) = if n % 2 == 0 { ("right", 200) } else { ("wrong", 401) };
                assert_eq!(agent.log_in("/-/ready", "alice", password).status, status);
            });
        }
    });
    let metrics = agent.log_in("/metrics", "alice", "right");
    assert_eq!(metrics.sample("hostwarden_auth_hashes_total"), Some(2.0));
    assert_eq!(metrics.sample("hostwarden_auth_successes_total"), Some(151.0));
    let wrong = "hostwarden_auth_failures_total{reason=\"wrong_password\"}";
    assert_eq!(metrics.sample(wrong), Some(150.0));
}

#[test]
fn guesses_are_not_looked_at_for_long_but_who_is_known_comes_in() {
    let agent = Folder::new(&users(&[("prom", "right")])).start(&[]);
    assert_eq!(agent.log_in("/metrics", "prom", "right").status, 200);
    for guess in 0..20 {
        assert_unauthorized(&agent.log_in("/metrics", "prom", &format!("s3cret{guess}")));
    }
    let refused = agent.log_in("/metrics", "prom", "s3cret");
    assert_unauthorized(&refused);
    assert!(refused.header("retry-after").is_some_and(|seconds| seconds != "0"));
    let metrics = agent.log_in("/metrics", "prom", "right");
    let failures = |reason: &str| {
        metrics.sample(&format!("hostwarden_auth_failures_total{{reason=\"{reason}\"}}")).unwrap()
    };
    // On a slow machine the first penalty may run out before the last guess.
    assert!((10.0..=12.0).contains(&failures("wrong_password")));
    assert_eq!(failures("wrong_password") + failures("penalized"), 21.0);
    let log = agent.log();
    let told = log.matches("msg=\"login refused\" source=127.0.0.1").count();
    assert!((1..=10).contains(&told), "{log}");
    assert!(log.contains("err=\"wrong password for user \\\"prom\\\"\""), "{log}");
    assert!(!log.contains("s3cret"), "{log}");
}

#[test]
fn ipv4_is_told_as_such_on_a_socket_for_both_families() {
    let folder = Folder::new(&users(&[("prom", "right")]));
    let config = flag("web.config.file", &folder.path("config.yaml"));
    let mut command = Command::new(BINARY);
    let agent = Agent::spawn(command.args(ONE).args([&config, "--web.listen-address=:0"]));
    let address = SocketAddr::from(([127, 0, 0, 1], agent.address.port()));
    assert_unauthorized(&request(address, "GET", "/metrics", &[&basic("prom", "wrong")]));
    agent.wait_for_log("msg=\"login refused\" source=127.0.0.1 ");
}

#[test]
fn a_trusted_proxy_tells_whose_guesses_they_are() {
    let folder = Folder::new(&users(&[("prom", "right")]));
    let agent = folder.start(&["--web.trusted-proxy=127.0.0.0/8"]);
    let guess = |source: &str, password: &str| {
        let forwarded = format!("X-Forwarded-For: 203.0.113.9, {source}");
        agent.request("GET", "/metrics", &[&forwarded, &basic("prom", password)])
    };
    for n in 0..11 {
        assert_unauthorized(&guess("198.51.100.7", &format!("guess{n}")));
    }
    assert_unauthorized(&guess("198.51.100.7", "right"));
    assert_eq!(guess("198.51.100.8", "right").status, 200);
    assert!(agent.log().contains("source=198.51.100.7"), "{}", agent.log());

    let alone = folder.start(&[]);
    for n in 0..11 {
        let forwarded = format!("X-Forwarded-For: 198.51.100.{n}");
        let login = basic("prom", &format!("guess{n}"));
        assert_unauthorized(&alone.request("GET", "/metrics", &[&forwarded, &login]));
    }
    assert_unauthorized(&alone.log_in("/metrics", "prom", "right"));
}

#[test]
fn the_password_file_of_apache_and_nginx() {
    let folder = Folder::new(&users(&[("dave", "secret")]));
    // `openssl passwd -apr1`, as it lay behind the proxies.
    let output = std::process::Command::new("openssl")
        .args(["passwd", "-apr1", "correct horse"])
        .output()
        .unwrap();
    let apr1 = String::from_utf8(output.stdout).unwrap();
    folder.write(
        "htpasswd",
        &format!("# users\nprom:{apr1}dave:{{PLAIN}}other\nold:abcdefghijklm\n"),
    );
    let htpasswd = flag("web.htpasswd-file", &folder.path("htpasswd"));
    let agent = folder.start(&[&htpasswd, "--web.auth-realm=Open \"Contracting\""]);
    assert_eq!(agent.log_in("/metrics", "prom", "correct horse").status, 200);
    assert_eq!(agent.log_in("/metrics", "dave", "secret").status, 200);
    assert_eq!(agent.log_in("/metrics", "dave", "other").status, 401);
    let realm = "Basic realm=\"Open \\\"Contracting\\\"\"";
    assert_eq!(agent.get("/").header("www-authenticate"), Some(realm));
    let log = agent.log();
    for warning in ["MD5-crypt is quickly guessed", "DES crypt is not supported", "decides"] {
        assert!(log.contains(warning), "{warning}: {log}");
    }
    assert!(!log.contains(apr1.trim()), "{log}");

    folder.write("htpasswd", "");
    let nobody = Agent::start(&[ONE[0], ONE[1], &htpasswd]);
    assert_eq!(nobody.log_in("/metrics", "prom", "correct horse").status, 401);
    fs::remove_file(folder.path("htpasswd")).unwrap();
    let output = run(&[ONE[0], ONE[1], &htpasswd]);
    assert_eq!(output.status.code(), Some(1));
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(log.contains("htpasswd: no such file or directory"), "{log}");
}

#[test]
fn configured_headers_stand_on_every_answer() {
    let headers = "http_server_config:
  headers:
    Strict-Transport-Security: max-age=31536000
    X-Frame-Options: deny
    X-XSS-Protection: 1
    Content-Security-Policy: default-src 'self'
";
    let agent = Folder::new(&(headers.to_owned() + &users(&[("dave", "secret")]))).start(&[]);
    let refused = agent.get("/metrics");
    assert_unauthorized(&refused);
    for response in
        [refused, agent.log_in("/", "dave", "secret"), agent.log_in("/nothing", "dave", "secret")]
    {
        for (name, value) in [
            ("Strict-Transport-Security", "max-age=31536000"),
            ("X-Frame-Options", "deny"),
            ("X-XSS-Protection", "1"),
            ("Content-Security-Policy", "default-src 'self'"),
        ] {
            assert_eq!(response.header(name), Some(value));
        }
    }
}

#[test]
fn requests_beyond_the_rate_are_turned_away_before_anything_else() {
    let limit = "rate_limit: {interval: 1h, burst: 3}\nhttp_server_config: {headers: {X-Frame-Options: deny}}\n";
    let agent = Folder::new(&(limit.to_owned() + &users(&[("dave", "secret")]))).start(&[]);
    let statuses: Vec<u16> =
        (0..5).map(|_| agent.log_in("/metrics", "dave", "secret").status).collect();
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
    let refused = agent.get("/");
    assert_eq!((refused.status, refused.text().as_str()), (429, "Too Many Requests\n"));
    assert_eq!((refused.header("x-frame-options"), refused.header("retry-after")), (None, None));
    let none = Folder::new("rate_limit: {interval: 0, burst: 0}").start(&[]);
    for _ in 0..11 {
        assert_eq!(none.get("/metrics").status, 200);
    }
}

const GOOD: &str = "hostwarden_config_last_reload_successful";
const TIME: &str = "hostwarden_config_last_reload_success_timestamp_seconds";

#[test]
fn a_changed_file_counts_at_once() {
    let folder = Folder::new(&users(&[("dave", "old")]));
    let agent = folder.start(&[]);
    let before = agent.log_in("/metrics", "dave", "old");
    assert_eq!((before.status, before.sample(GOOD)), (200, Some(1.0)));
    folder.write("config.yaml", &users(&[("dave", "new"), ("erin", "first")]));
    assert_eq!(agent.log_in("/metrics", "dave", "old").status, 401);
    assert_eq!(agent.log_in("/metrics", "erin", "first").status, 200);
    let after = agent.log_in("/metrics", "dave", "new");
    assert_eq!((after.status, after.sample(GOOD)), (200, Some(1.0)));
    assert!(after.sample(TIME) > before.sample(TIME));
}

#[test]
fn files_on_a_mount_that_hangs_stay_in_force() {
    inside("door::files_on_a_mount_that_hangs_stay_in_force", || {
        ip("link set lo up");
        let folder = Folder::new(&users(&[("dave", "secret")]));
        let agent = folder.start(&[]);
        let scrape = || {
            let response = agent.log_in("/metrics", "dave", "secret");
            assert_eq!(response.status, 200);
            response.sample(GOOD)
        };
        assert_eq!(scrape(), Some(1.0));
        let Some(silent) = Silent::mount(folder.0.path()) else {
            println!("left out: this machine has no FUSE");
            return;
        };
        for _ in 0..20 {
            assert_eq!(scrape(), Some(1.0));
        }
        assert_eq!(agent.get("/metrics").status, 401);
        // The async thread, a worker, and the one that looks at the files.
        wait_for("three threads", || {
            fs::read_dir(format!("/proc/{}/task", agent.pid())).unwrap().count() == 3
        });
        // It answers that it cannot look anything up.
        silent.answer();
        wait_for("a look at the files", || scrape() == Some(0.0));
        assert!(Command::new("umount").arg(folder.0.path()).status().unwrap().success());
        wait_for("the files", || scrape() == Some(1.0));
    });
}

#[test]
fn what_is_broken_or_emptied_leaves_the_door_as_it_was() {
    let folder = Folder::new(&users(&[("dave", "secret")]));
    let htpasswd = flag("web.htpasswd-file", &folder.path("htpasswd"));
    folder.write("htpasswd", "prom:{PLAIN}pass\n");
    let agent = folder.start(&[&htpasswd]);
    let good = users(&[("dave", "secret")]);
    let one_user = "rate_limit: {interval: 0}\n";
    for (name, text) in [
        ("config.yaml", "basic_auth_users:\n  dave: short\n"),
        ("config.yaml", "basic_auth_users:\n  - dave\n"),
        ("config.yaml", "basic_auth_userz: {}\n"),
        ("config.yaml", "tls_server_config: {cert_file: none.pem, key_file: none.key}\n"),
    ] {
        folder.write(name, text);
        assert_eq!(agent.get("/metrics").status, 401, "{text}");
        let metrics = agent.log_in("/metrics", "dave", "secret");
        assert_eq!((metrics.status, metrics.sample(GOOD)), (200, Some(0.0)), "{text}");
    }
    assert!(agent.log().contains("what was in force stays"), "{}", agent.log());
    fs::remove_file(folder.path("config.yaml")).unwrap();
    assert_eq!(agent.log_in("/metrics", "dave", "secret").sample(GOOD), Some(0.0));
    folder.write("config.yaml", &good);
    assert_eq!(agent.log_in("/metrics", "dave", "secret").sample(GOOD), Some(1.0));
    // Users of the other file are left: one file may lose all of its own.
    folder.write("config.yaml", one_user);
    assert_eq!(agent.log_in("/metrics", "dave", "secret").status, 401);
    assert_eq!(agent.log_in("/metrics", "prom", "pass").sample(GOOD), Some(1.0));
    for text in ["", "# nobody\n", "prom:\n"] {
        folder.write("htpasswd", text);
        assert_eq!(agent.get("/metrics").status, 401);
        assert_eq!(agent.log_in("/metrics", "prom", "pass").sample(GOOD), Some(0.0), "{text:?}");
    }
    fs::remove_file(folder.path("htpasswd")).unwrap();
    assert_eq!(agent.get("/metrics").status, 401);
    assert_eq!(agent.log_in("/metrics", "prom", "pass").sample(GOOD), Some(0.0));
}

#[test]
fn an_open_door_can_be_closed_and_not_opened_again() {
    let folder = Folder::new("");
    let agent = folder.start(&[]);
    assert_eq!(agent.get("/metrics").status, 200);
    folder.write("config.yaml", &users(&[("dave", "secret")]));
    assert_eq!(agent.get("/metrics").status, 401);
    folder.write("config.yaml", "");
    assert_eq!(agent.get("/metrics").status, 401);
    assert_eq!(agent.log_in("/metrics", "dave", "secret").sample(GOOD), Some(0.0));
}

/// An empty password file lets nobody in; without the file, nobody must come in either.
#[test]
fn a_door_that_opens_to_nobody_stays_shut() {
    let folder = Folder::new("");
    folder.write("htpasswd", "");
    let agent = folder.start(&[&flag("web.htpasswd-file", &folder.path("htpasswd"))]);
    assert_eq!(agent.get("/metrics").status, 401);
    fs::remove_file(folder.path("htpasswd")).unwrap();
    assert_eq!(agent.get("/metrics").status, 401);
    folder.write("htpasswd", "prom:{PLAIN}pass\n");
    assert_eq!(agent.log_in("/metrics", "prom", "pass").sample(GOOD), Some(1.0));
}

/// The one path without a password shows what it is for and nothing else.
#[test]
fn metrics_are_not_to_be_had_by_the_health_path() {
    let folder = Folder::new(&users(&[("dave", "secret")]));
    for path in ["/-/healthy", "/-/", "/"] {
        let agent = folder.start(&[&format!("--web.telemetry-path={path}")]);
        assert_eq!(agent.get("/-/healthy").text(), "hostwarden is healthy.\n");
    }
}

#[test]
fn sighup_reads_anew_and_tells_what_came_of_it() {
    let folder = Folder::new(&users(&[("dave", "secret")]));
    let agent = folder.start(&[]);
    agent.signal(Signal::HUP);
    agent.wait_for_log("endpoint's files read anew");
    folder.write("config.yaml", "nonsense: true\n");
    agent.signal(Signal::HUP);
    agent.wait_for_log("endpoint's files refused, what was in force stays");
    agent.wait_for_log("line 1: unknown key \\\"nonsense\\\"");
    wait_for("the old users", || agent.log_in("/metrics", "dave", "secret").status == 200);
}

#[test]
fn both_names_of_the_config_file_at_once_are_refused() {
    let folder = Folder::new(&users(&[("dave", "secret")]));
    let [old, new] =
        ["web.config", "web.config.file"].map(|name| flag(name, &folder.path("config.yaml")));
    let agent = Agent::start(&[ONE[0], ONE[1], &old]);
    assert_eq!(agent.get("/metrics").status, 401);
    let output = run(&[&old, &new]);
    assert_eq!(output.status.code(), Some(1));
}
