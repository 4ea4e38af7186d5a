//! From node_exporter and a vhost to the agent, on the same port and with the same password file.

use std::collections::BTreeSet;

use super::{FIRST, Machine, publish, told_by_the_readme};
use crate::agent::wait_for;
use crate::peers;

const PASSWORD: &str = "correct horse";

/// The vhost as this project's first user had it on servers with nginx.
const SITE: &str = r#"
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
"#;

const UNIT: &str = "
[Unit]
After=network.target
[Service]
User=prometheus-client
# Debian's build has the collector systemd on, which the release has not.
ExecStart=/home/prometheus-client/node_exporter --web.listen-address=localhost:9157 --no-collector.systemd
[Install]
WantedBy=multi-user.target
";

const SITE_FILE: &str = "/etc/nginx/sites-available/prometheus-client.conf";
const SITE_LINK: &str = "/etc/nginx/sites-enabled/prometheus-client.conf";

#[test]
fn a_server_of_the_old_way_is_taken_over_without_a_lost_series() {
    let Some(node_exporter) = peers::node_exporter() else { return };
    let web = Machine::boot("old");
    let prometheus = Machine::boot("promold");
    web.connect(&prometheus);
    publish(&web);
    set_up_the_old_way(&web, &node_exporter);
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

    // With a password that is not in the file the round fails, and all is as it was.
    assert!(web.salt("hostwarden.migrate", &pillar("wrong")).failed() > 0);
    web.sh("systemctl is-active prometheus-client nginx");
    web.sh(&format!("test -e {SITE_LINK} && curl -sf -u 'prom:{PASSWORD}' 127.0.0.1:9158/metrics"));
    wait_for("a green target", || prometheus.query("up") == Some(1.0));

    prometheus.sh("sleep 3");
    let failed_before = prometheus.query(FAILED_SCRAPES).unwrap();
    let [migrate, purge] = told_by_the_readme("Coming from node_exporter")
        .try_into()
        .expect("two blocks in the README");
    web.set_pillar(&pillar(PASSWORD));
    web.sh(&migrate);
    wait_for("the agent's series", || prometheus.query("hostwarden_build_info").is_some());
    let gap = prometheus.query(FAILED_SCRAPES).unwrap() - failed_before;
    assert!(gap <= 1.0, "{gap} scrapes failed");
    eprintln!("scrapes that failed while the agent took over: {gap}");

    let after = series(&prometheus);
    let lost: Vec<&String> = before.difference(&after).collect();
    assert!(lost.is_empty(), "{lost:#?}");
    for leftover in [SITE_FILE, SITE_LINK, "/etc/systemd/system/prometheus-client.service"] {
        assert!(!web.output(&format!("test -e {leftover}")).status.success(), "{leftover}");
    }
    web.salt("hostwarden.migrate", &pillar(PASSWORD)).assert_nothing_changed();
    assert_eq!(prometheus.query("nginx_up"), Some(1.0));
    web.sh(&purge);
    assert!(!web.output("systemctl status hostwarden").status.success());
}

const FAILED_SCRAPES: &str = "count_over_time(up[10m]) - sum_over_time(up[10m])";

fn set_up_the_old_way(web: &Machine, node_exporter: &std::path::Path) {
    web.sh("useradd --create-home prometheus-client && chmod 755 /home/prometheus-client");
    web.write("/home/prometheus-client/node_exporter", std::fs::read(node_exporter).unwrap());
    web.sh("chmod 755 /home/prometheus-client/node_exporter");
    let hash = web.sh(&format!("openssl passwd -apr1 '{PASSWORD}'"));
    web.write("/home/prometheus-client/htpasswd", format!("prom:{hash}"));
    web.write("/etc/systemd/system/prometheus-client.service", UNIT);
    web.write(SITE_FILE, SITE);
    web.sh(&format!("ln -s {SITE_FILE} {SITE_LINK}"));
    web.sh("systemctl daemon-reload && systemctl enable --now prometheus-client nginx");
}

fn pillar(password: &str) -> String {
    format!(
        "hostwarden:
  version: 0.1.0
  source: salt://packages
  listen: ':9158'
  htpasswd_file: /home/prometheus-client/htpasswd
  migrate:
    units: [prometheus-client]
    sites: [{SITE_LINK}]
    web_server: nginx
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
