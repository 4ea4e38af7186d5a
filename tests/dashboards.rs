//! The dashboards: every query of every panel, asked of a real Prometheus that scrapes the agent.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::agent::{Agent, wait_for};
use crate::peers::{self, Program, Prometheus};

const JOB: &str = "test";
const PASSWORD: &str = "swordfish";

/// What a test machine has not: disks that tell their health, a local mailbox, systemd.
const TEXTFILE: &str = "\
node_systemd_unit_state{name=\"web.service\",state=\"active\",type=\"simple\"} 1
node_systemd_unit_state{name=\"web.service\",state=\"failed\",type=\"simple\"} 0
smartmon_device_smart_healthy{disk=\"/dev/sda\",type=\"sat\"} 1
smartmon_reallocated_sector_ct_raw_value{disk=\"/dev/sda\",type=\"sat\"} 0
smartmon_current_pending_sector_raw_value{disk=\"/dev/sda\",type=\"sat\"} 0
smartmon_reported_uncorrect_raw_value{disk=\"/dev/sda\",type=\"sat\"} 0
mail_queue_size 0
mail_box_size{user=\"root\"} 0
hostwarden_textfile_job_success{name=\"smartmon.sh\"} 1
";

#[test]
fn no_panel_is_empty() {
    let folder = tempfile::tempdir().unwrap();
    let [apache, nginx] = web_servers(folder.path());
    let agent = agent(folder.path(), apache.1, nginx.1);
    let prometheus = Prometheus::start(&format!(
        "- job_name: {JOB}\n  scheme: https\n  tls_config: {{ca_file: {}}}\n  \
         basic_auth: {{username: prom, password: {PASSWORD}}}\n  \
         static_configs: [{{targets: ['{}']}}]\n",
        folder.path().join("cert.pem").display(),
        agent.address,
    ));
    for dashboard in ["server.json", "fleet.json"] {
        for query in queries(dashboard) {
            let query = query
                .replace("$job", JOB)
                .replace("$instance", &agent.address.to_string())
                .replace("$__rate_interval", "5s");
            wait_for(&format!("answer to {query}"), || prometheus.value(&query).is_some());
        }
    }
}

#[test]
fn they_are_json_and_know_each_other() {
    for (dashboard, other) in [("server", "fleet"), ("fleet", "server")] {
        let path = folder().join(format!("{dashboard}.json"));
        let status = Command::new("python3")
            .args(["-m", "json.tool"])
            .arg(&path)
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "{dashboard}");
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.contains(&format!("\"uid\": \"hostwarden-{dashboard}\"")));
        assert!(text.contains(&format!("/d/hostwarden-{other}")));
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/grafana")
}

/// `"expr": "rate(x{job=\"$job\"}[5m])",`
fn queries(dashboard: &str) -> Vec<String> {
    let text = std::fs::read_to_string(folder().join(dashboard)).unwrap();
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix("\"expr\": \""));
    let queries: Vec<String> =
        lines.map(|line| line.trim_end_matches("\",").replace("\\\"", "\"")).collect();
    assert!(queries.len() > 10, "{dashboard}: {queries:?}");
    queries
}

/// An agent behind TLS and a password, with textfiles and two web servers.
fn agent(folder: &Path, apache: u16, nginx: u16) -> Agent {
    let textfiles = folder.join("textfiles");
    std::fs::create_dir(&textfiles).unwrap();
    std::fs::write(textfiles.join("test.prom"), TEXTFILE).unwrap();
    let made = Command::new("openssl")
        .args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes".split(' '))
        .args("-days 30 -subj /CN=test -addext subjectAltName=IP:127.0.0.1".split(' '))
        .args(["-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let hash = hostwarden::web::password::hash(PASSWORD.as_bytes(), 5).unwrap();
    let config = folder.join("web.yml");
    let text = format!(
        "tls_server_config: {{cert_file: cert.pem, key_file: key.pem}}\n\
         basic_auth_users: {{prom: '{hash}'}}\n"
    );
    std::fs::write(&config, text).unwrap();
    Agent::start(&[
        &format!("--web.config.file={}", config.display()),
        &format!("--collector.textfile.directory={}", textfiles.display()),
        "--no-collector.systemd",
        "--collector.processes",
        "--collector.apache",
        &format!("--collector.apache.scrape-uri=http://127.0.0.1:{apache}/?auto"),
        "--collector.nginx",
        &format!("--collector.nginx.scrape-uri=http://127.0.0.1:{nginx}/"),
    ])
}

/// A real Apache and a real nginx whose every page is their status, with their ports.
fn web_servers(folder: &Path) -> [(Program, u16); 2] {
    let (apache, nginx) = (peers::free_port(), peers::free_port());
    let write = |name: &str, text: String| {
        std::fs::write(folder.join(name), text).unwrap();
        folder.join(name)
    };
    let here = folder.display();
    let modules = ["mpm_event", "authz_core", "status"]
        .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
        .concat();
    let apache_config = write(
        "apache.conf",
        format!(
            "{modules}ServerName test\nListen 127.0.0.1:{apache}\nPidFile {here}/apache.pid\n\
             DefaultRuntimeDir {here}\nErrorLog {here}/apache.log\n\
             <Location />\nSetHandler server-status\n</Location>\n"
        ),
    );
    let nginx_config = write(
        "nginx.conf",
        format!(
            "daemon off; pid {here}/nginx.pid; error_log {here}/nginx.log; events {{}}\n\
             http {{ access_log off; server {{ listen 127.0.0.1:{nginx}; \
             location / {{ stub_status; }} }} }}\n"
        ),
    );
    let programs = [
        Program::start(Command::new("apache2").arg("-X").arg("-f").arg(apache_config)),
        Program::start(Command::new("nginx").arg("-p").arg(folder).arg("-c").arg(nginx_config)),
    ];
    for port in [apache, nginx] {
        wait_for("a web server", || peers::get(port, "/?auto").is_some());
    }
    let [first, second] = programs;
    [(first, apache), (second, nginx)]
}
