//! The two site files, run by the real servers before the real agent.

use std::path::Path;
use std::process::Command;

use super::file;
use super::real::{self, Server};
use crate::agent::{Agent, Response, basic, request, wait_for};
use crate::peers::{Prometheus, free_port};

const REALM: &str = "Open Contracting Prometheus Node Exporter";
const PASSWORD: &str = "correct horse";

/// A site file with these values, rendered as Salt does it.
fn render(template: &str, values: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(template);
    let script = "import jinja2, json, sys\n\
        text = open(sys.argv[1]).read()\n\
        environment = jinja2.Environment(undefined=jinja2.StrictUndefined)\n\
        print(environment.from_string(text).render(json.loads(sys.argv[2])))";
    let output = Command::new("python3").args(["-c", script]).arg(path).arg(values).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A password file as this user's were made.
fn htpasswd(folder: &Path) -> String {
    let hash = Command::new("openssl").args(["passwd", "-apr1", PASSWORD]).output().unwrap();
    let hash = String::from_utf8(hash.stdout).unwrap();
    file(folder, "htpasswd", &format!("prom:{hash}"))
}

/// Starts the server whose site stands before `agent`, on `port`.
fn front(server: &str, port: u16, agent: &str, htpasswd: &str) -> Server {
    let values = format!(
        "{{\"port\": {port}, \"agent\": \"{agent}\", \"htpasswd\": \"{htpasswd}\", \
           \"realm\": \"{REALM}\", \"ipv6\": false, \"access_log\": \"DIR/access.log\"}}"
    );
    let site = render(&format!("{server}/hostwarden.conf.jinja"), &values);
    let modules =
        ["proxy", "proxy_http", "filter", "deflate", "authn_core", "authn_file", "auth_basic"];
    match server {
        "nginx" => real::nginx(&site),
        _ => real::apache("event", &[&modules[..], &["authz_user"]].concat(), &site),
    }
}

fn get(port: u16, path: &str, headers: &[&str]) -> Response {
    request(([127, 0, 0, 1], port).into(), "GET", path, headers)
}

fn is_gzip(response: &Response) -> bool {
    response.header("Content-Encoding") == Some("gzip")
        && response.body.windows(3).any(|bytes| bytes == b"\x1f\x8b\x08")
}

#[test]
fn a_site_before_the_agent_asks_for_the_password_and_compresses() {
    let (right, wrong) = (basic("prom", PASSWORD), basic("prom", "battery staple"));
    for server in ["nginx", "apache"] {
        let folder = real::folder();
        let htpasswd = htpasswd(folder.path());
        let port = free_port();
        // Also an agent that asks for the same password is content with what the site passes on.
        for own_password in [false, true] {
            let mut flags = vec!["--collector.disable-defaults", "--collector.loadavg"];
            let own = format!("--web.htpasswd-file={htpasswd}");
            if own_password {
                flags.extend([own.as_str(), "--web.trusted-proxy=127.0.0.1"]);
            }
            let agent = Agent::start(&flags);
            let site = front(server, port, &agent.address.to_string(), &htpasswd);
            for headers in [&[][..], &[wrong.as_str()]] {
                for path in ["/metrics", "/", "/nowhere"] {
                    let refused = get(port, path, headers);
                    assert_eq!(refused.status, 401, "{server} {path}: {}", site.log());
                    let asked = refused.header("WWW-Authenticate").unwrap();
                    assert_eq!(asked, format!("Basic realm=\"{REALM}\""), "{server}");
                }
            }
            let answer = get(port, "/metrics", &[&right]);
            assert_eq!(answer.status, 200, "{server}: {}", site.log());
            assert!(answer.sample("node_load1").is_some(), "{server}");
            let kind = answer.header("Content-Type").unwrap();
            assert!(kind.starts_with("text/plain; version=0.0.4"), "{server}: {kind}");
            for path in ["/metrics", "/"] {
                let squeezed = get(port, path, &[&right, "Accept-Encoding: gzip"]);
                assert!(is_gzip(&squeezed), "{server} {path}: {}", squeezed.head);
                assert!(!is_gzip(&get(port, path, &[&right])), "{server} {path}");
            }
            assert_eq!(get(port, "/nowhere", &[&right]).status, 404, "{server}");
            drop(agent);
            let gone = get(port, "/metrics", &[&right]).status;
            assert_eq!(gone, if server == "nginx" { 502 } else { 503 }, "{server}");
        }
    }
}

#[test]
fn a_real_prometheus_scrapes_through_the_sites_with_the_password() {
    let agent = Agent::start(&["--collector.disable-defaults", "--collector.loadavg"]);
    let folder = real::folder();
    let htpasswd = htpasswd(folder.path());
    let ports = [free_port(), free_port()];
    let names = ["nginx", "apache"];
    let _sites = [0, 1]
        .map(|which| front(names[which], ports[which], &agent.address.to_string(), &htpasswd));
    let job = |name: &str, port: u16, password: &str| {
        format!(
            "- job_name: {name}\n  static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n  \
             basic_auth: {{username: prom, password: {password}}}\n"
        )
    };
    let jobs = [
        job("nginx", ports[0], PASSWORD),
        job("apache", ports[1], PASSWORD),
        job("guess", ports[0], "guess"),
    ];
    let prometheus = Prometheus::start(&jobs.concat());
    for name in names {
        let up = format!("up{{job=\"{name}\"}}");
        wait_for(&up, || prometheus.value(&up) == Some(1.0));
        let load = format!("node_load1{{job=\"{name}\"}}");
        wait_for(&load, || prometheus.value(&load).is_some());
    }
    wait_for("the guess", || prometheus.value("up{job=\"guess\"}") == Some(0.0));
    assert!(prometheus.targets().contains("server returned HTTP status 401"));
}

#[test]
fn the_sites_have_sound_values_of_their_own() {
    let nginx = render("nginx/hostwarden.conf.jinja", "{}");
    for line in ["listen 9158 default_server;", "listen [::]:9158 default_server;"] {
        assert!(nginx.contains(line), "{nginx}");
    }
    let apache = render("apache/hostwarden.conf.jinja", "{}");
    assert!(apache.contains("\nListen 9158\n"), "{apache}");
    // On Apache's own port under a name of its own.
    let values = "{\"port\": 80, \"server_name\": \"prom-client.example.org\"}";
    let vhost = render("apache/hostwarden.conf.jinja", values);
    assert!(!vhost.contains("Listen"), "{vhost}");
    assert!(vhost.contains("<VirtualHost *:80>\n    ServerName prom-client.example.org\n"));
}
