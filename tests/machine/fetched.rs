//! A Salt tree that fetches node_exporter's release and brings its own unit: it serves the agent with other names and versions.

use hostwarden::web::password;
use serde_json::json;

use super::{Machine, publish};
use crate::agent::wait_for;

const STATE: &str = include_str!("fetched/init.sls");
const UNIT: &str = include_str!("fetched/unit");
const SERVICE: &str = "prometheus-exporter";

#[test]
fn a_tree_made_for_node_exporter_serves_the_agent() {
    let machine = Machine::boot("fetched");
    publish(&machine);
    machine.write("/srv/release/fetched/init.sls", STATE);
    machine.write("/srv/release/fetched/unit", UNIT);
    let issued = rcgen::generate_simple_self_signed(["agent".to_owned()]).unwrap();
    let (certificate, key) = (issued.cert.pem(), issued.signing_key.serialize_pem());
    machine.write("/srv/ca.pem", &certificate);
    let [first, second] =
        ["first", "second"].map(|word| password::hash(word.as_bytes(), 5).unwrap());
    let apply = |version: &str, hash: &str| {
        machine.salt("fetched", &pillar(version, hash, &certificate, &key))
    };
    let scrape = |password: &str| {
        machine.output(&format!(
            "curl -sf --cacert /srv/ca.pem --resolve agent:7231:127.0.0.1 -u prom:{password} \
             https://agent:7231/metrics"
        ))
    };
    let main_pid = || machine.sh(&format!("systemctl show -P MainPID {SERVICE}")).trim().to_owned();

    assert!(apply("0.1.0", &first).changed() > 5);
    apply("0.1.0", &first).assert_nothing_changed();
    wait_for("a scrape", || scrape("first").status.success());
    machine.sh("echo 'mail_queue_size 3' > /home/exporter/textfiles/system_metrics.sh.prom");
    let text = String::from_utf8(scrape("first").stdout).unwrap();
    assert!(text.contains("\nmail_queue_size 3\n"), "{text}");
    let told =
        "node_textfile_mtime_seconds{file=\"/home/exporter/textfiles/system_metrics.sh.prom\"}";
    assert!(text.contains(told), "{text}");

    // Their reload, of which node_exporter dies.
    let pid = main_pid();
    apply("0.1.0", &second).changed();
    wait_for("the new password", || scrape("second").status.success());
    assert!(!scrape("first").status.success());
    assert_eq!(main_pid(), pid);

    apply("0.2.0", &second).changed();
    wait_for("a scrape", || scrape("second").status.success());
    let program = machine.sh(&format!("readlink /proc/{}/exe", main_pid()));
    assert!(program.starts_with("/home/exporter/hostwarden-0.2.0.linux-"), "{program}");
}

fn pillar(version: &str, hash: &str, certificate: &str, key: &str) -> String {
    let config = format!(
        "tls_server_config:
  cert_file: /home/exporter/exporter.pem
  key_file: /home/exporter/exporter.key
basic_auth_users:
  prom: {hash}
"
    );
    // JSON is YAML, too.
    let exporter = json!({
        "service": SERVICE,
        "user": "exporter",
        "basename": "hostwarden",
        "version": version,
        "releases": "salt://packages",
        "config": {"config.yaml": config, "exporter.pem": certificate, "exporter.key": key},
    });
    json!({"prometheus": {"exporter": exporter}}).to_string()
}
