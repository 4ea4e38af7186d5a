//! From node_exporter and a vhost to the agent, on the same port and with the same password file.

use std::collections::BTreeSet;
use std::path::Path;

use super::{FIRST, Machine, certificate, publish, told_by_the_readme};
use crate::agent::wait_for;
use crate::peers;

const PASSWORD: &str = "correct horse";

/// A vhost that stands before node_exporter.
struct Vhost {
    server: &'static str,
    file: &'static str,
    link: &'static str,
    text: &'static str,
}

/// As this project's first user had it on servers with nginx.
const NGINX: Vhost = Vhost {
    server: "nginx",
    file: "/etc/nginx/sites-available/prometheus-client.conf",
    link: "/etc/nginx/sites-enabled/prometheus-client.conf",
    text: r#"
server {
    listen 9158 default;
    server_tokens off;
    gzip on;
    gzip_types *;
    gzip_proxied any;
    location / {
        auth_basic "Prometheus Node Exporter";
        auth_basic_user_file /home/prometheus-client/htpasswd;
        proxy_pass http://127.0.0.1:9157;
    }
}
"#,
};

/// And on servers with Apache.
const APACHE: Vhost = Vhost {
    server: "apache2",
    file: "/etc/apache2/sites-available/prometheus-client.conf",
    link: "/etc/apache2/sites-enabled/prometheus-client.conf",
    text: r#"
Listen 9158
<VirtualHost *:9158>
    ProxyPass "/" "http://127.0.0.1:9157/"
    <Location "/">
        AuthType Basic
        AuthName "Prometheus Node Exporter"
        AuthUserFile /home/prometheus-client/htpasswd
        Require valid-user
    </Location>
</VirtualHost>
"#,
};

#[test]
fn a_server_of_the_old_way_is_taken_over_without_a_lost_series() {
    let Some(node_exporter) = peers::node_exporter() else { return };
    let web = Machine::boot("old");
    let prometheus = Machine::boot("promold");
    web.connect(&prometheus);
    publish(&web);
    set_up_the_old_way(&web, &node_exporter, &NGINX);
    prometheus.write(
        "/etc/prometheus/prometheus.yml",
        format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n\
             - job_name: node\n  basic_auth: {{username: prom, password: {PASSWORD}}}\n  \
             static_configs: [{{targets: ['{FIRST}:9158']}}]\n"
        ),
    );
    prometheus.sh("systemctl start prometheus");
    wait_for("a green target", || prometheus.query("up") == Some(1.0));
    let before = series(&prometheus);
    assert!(before.len() > 300, "{before:?}");

    a_round_that_fails_leaves_all_as_it_was(&web, &NGINX);
    wait_for("a green target", || prometheus.query("up") == Some(1.0));

    let scrapes = || prometheus.query("count_over_time(up[10m])").unwrap_or_default();
    let before_these = scrapes();
    wait_for("three more scrapes", || scrapes() >= before_these + 3.0);
    let failed_before = prometheus.query(FAILED_SCRAPES).unwrap();
    let [migrate, purge] = told_by_the_readme("Coming from node_exporter")
        .try_into()
        .expect("two blocks in the README");
    web.set_pillar(&pillar(&NGINX, PASSWORD));
    web.sh(&migrate);
    wait_for("the agent's series", || prometheus.query("hostwarden_build_info").is_some());
    let gap = prometheus.query(FAILED_SCRAPES).unwrap() - failed_before;
    assert!(gap <= 1.0, "{gap} scrapes failed");
    eprintln!("scrapes that failed while the agent took over: {gap}");

    let after = series(&prometheus);
    let lost: Vec<&String> = before.difference(&after).collect();
    assert!(lost.is_empty(), "{lost:#?}");
    assert_nothing_is_left_of_the_old_way(&web, &NGINX);
    web.salt("hostwarden.migrate", &pillar(&NGINX, PASSWORD)).assert_nothing_changed();
    assert_eq!(prometheus.query("nginx_up"), Some(1.0));
    web.sh(&purge);
    assert!(!web.output("systemctl status hostwarden").status.success());
}

#[test]
fn a_vhost_of_apache_gives_way_too() {
    let Some(node_exporter) = peers::node_exporter() else { return };
    let web = Machine::boot("apache");
    publish(&web);
    web.sh("a2enmod --quiet proxy_http");
    set_up_the_old_way(&web, &node_exporter, &APACHE);
    let scrape = || web.try_sh(&format!("curl -sif -u 'prom:{PASSWORD}' 127.0.0.1:9158/metrics"));
    wait_for("the old way", || scrape().contains("\nServer: Apache"));
    a_round_that_fails_leaves_all_as_it_was(&web, &APACHE);
    assert!(scrape().contains("\nServer: Apache"));

    assert!(web.salt("hostwarden.migrate", &pillar(&APACHE, PASSWORD)).changed() > 0);
    let text = scrape();
    assert!(text.contains("\nhostwarden_build_info{"), "{text}");
    assert!(text.contains("\napache_up 1\n") && !text.contains("nginx_up"), "{text}");
    assert_nothing_is_left_of_the_old_way(&web, &APACHE);
    web.salt("hostwarden.migrate", &pillar(&APACHE, PASSWORD)).assert_nothing_changed();
}

#[test]
fn node_exporter_with_tls_of_its_own_gives_way_too() {
    let Some(node_exporter) = peers::node_exporter() else { return };
    let web = Machine::boot("tls");
    publish(&web);
    let tls = certificate(&web);
    let hash = hostwarden::web::password::hash(PASSWORD.as_bytes(), 5).unwrap();
    let home = "/home/prometheus-client";
    install_node_exporter(
        &web,
        &node_exporter,
        &format!(
            "--web.listen-address :7231 --collector.textfile.directory {home} --web.config.file {home}/config.yaml"
        ),
    );
    web.write(
        &format!("{home}/config.yaml"),
        format!(
            "tls_server_config: {{cert_file: cert, key_file: key}}\nbasic_auth_users: {{prom: {hash}}}\n"
        ),
    );
    web.write(&format!("{home}/mail.prom"), "mail_queue_size 3\n");
    web.sh(&format!("cp /tmp/cert /tmp/key {home} && chown -R prometheus-client: {home}"));
    web.sh("echo 127.0.0.1 agent >> /etc/hosts");
    web.sh("systemctl daemon-reload && systemctl enable --now prometheus-client");
    let scrape = || {
        web.try_sh(&format!(
            "curl -sf --cacert /tmp/cert -u 'prom:{PASSWORD}' https://agent:7231/metrics"
        ))
    };
    wait_for("node_exporter", || scrape().contains("\ngo_info{"));

    let pillar = format!(
        "hostwarden:
  version: 0.1.0
  source: salt://packages
  listen: ':7231'
  textfiles: {home}
  users: {{prom: {{hash: {hash}}}}}
  migrate:
    units: [prometheus-client]
    address: agent
    user: prom
    password: {PASSWORD}
  tls:
{tls}"
    );
    assert!(web.salt("hostwarden.migrate", &pillar).changed() > 0);
    let text = scrape();
    assert!(text.contains("\nhostwarden_build_info{") && text.contains("\nmail_queue_size 3\n"));
    assert!(!web.output("systemctl cat prometheus-client").status.success());
    web.salt("hostwarden.migrate", &pillar).assert_nothing_changed();
}

/// With a password that is not in the file the agent's round does not pass.
fn a_round_that_fails_leaves_all_as_it_was(web: &Machine, vhost: &Vhost) {
    assert!(web.salt("hostwarden.migrate", &pillar(vhost, "wrong")).failed() > 0);
    let Vhost { server, link, .. } = vhost;
    web.sh(&format!("systemctl is-active prometheus-client {server} && test -e {link}"));
    web.sh(&format!("curl -sf -u 'prom:{PASSWORD}' 127.0.0.1:9158/metrics"));
}

fn assert_nothing_is_left_of_the_old_way(web: &Machine, vhost: &Vhost) {
    for leftover in [vhost.file, vhost.link, "/etc/systemd/system/prometheus-client.service"] {
        assert!(!web.output(&format!("test -e {leftover}")).status.success(), "{leftover}");
    }
}

const FAILED_SCRAPES: &str = "count_over_time(up[10m]) - sum_over_time(up[10m])";

fn install_node_exporter(web: &Machine, node_exporter: &Path, flags: &str) {
    web.sh("useradd --create-home prometheus-client && chmod 755 /home/prometheus-client");
    web.write("/home/prometheus-client/node_exporter", std::fs::read(node_exporter).unwrap());
    web.sh("chmod 755 /home/prometheus-client/node_exporter");
    // Debian's build has the collector systemd on, which the release has not.
    let unit = format!(
        "[Unit]
After=network.target
[Service]
User=prometheus-client
ExecStart=/home/prometheus-client/node_exporter --no-collector.systemd {flags}
[Install]
WantedBy=multi-user.target
"
    );
    web.write("/etc/systemd/system/prometheus-client.service", unit);
}

fn set_up_the_old_way(web: &Machine, node_exporter: &Path, vhost: &Vhost) {
    install_node_exporter(web, node_exporter, "--web.listen-address=localhost:9157");
    let hash = web.sh(&format!("openssl passwd -apr1 '{PASSWORD}'"));
    web.write("/home/prometheus-client/htpasswd", format!("prom:{hash}"));
    web.write(vhost.file, vhost.text);
    let Vhost { server, file, link, .. } = vhost;
    web.sh(&format!("ln -s {file} {link}"));
    web.sh(&format!(
        "systemctl daemon-reload && systemctl enable --now prometheus-client {server}"
    ));
}

fn pillar(Vhost { server, link, .. }: &Vhost, password: &str) -> String {
    format!(
        "hostwarden:
  version: 0.1.0
  source: salt://packages
  listen: ':9158'
  htpasswd_file: /home/prometheus-client/htpasswd
  migrate:
    units: [prometheus-client]
    sites: [{link}]
    web_server: {server}
    user: prom
    password: {password}
"
    )
}

/// What a server says of itself, without what says how the saying went, and without the disks'
/// label `rotational`: node_exporter 1.11 has 0 for all of them.
fn series(prometheus: &Machine) -> BTreeSet<String> {
    const OF_THE_HOST: &str = "{job=\"node\", __name__=~\"node_.*\", \
        __name__!~\"node_exporter_build_info|node_scrape_collector_.*|node_disk_info\"}";
    let answer = prometheus.api("query", OF_THE_HOST);
    let series = answer.split("\"metric\":{").skip(1);
    series.map(|series| series.split("},\"value\"").next().unwrap().to_owned()).collect()
}
