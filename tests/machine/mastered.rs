//! One master for all servers, and a Prometheus that finds them in the mine.

use super::{Applied, FIRST, Machine, SECOND, authority, certificate, publish, told_by_the_readme};
use crate::agent::wait_for;

const PASSWORD: &str = "swordfish";

#[test]
fn one_master_sets_up_all_servers_and_prometheus_finds_them() {
    let web = Machine::boot("web");
    let prometheus = Machine::boot("prom");
    web.connect(&prometheus);
    prometheus.scrape_every_second();
    web.sh("systemctl start nginx");
    prometheus.sh("systemctl start prometheus");
    publish(&prometheus);
    write_pillar(&prometheus);
    start_master(&prometheus);
    start_minion(&web);
    start_minion(&prometheus);
    wait_for("answer of both minions", || {
        let answers = prometheus.try_sh("salt --timeout=5 --out=txt '*' test.ping");
        ["web: True", "prom: True"].iter().all(|answer| answers.contains(answer))
    });

    let [install, serve, _, _] = told_by_the_readme("Thirty servers, with Salt")
        .try_into()
        .expect("four blocks in the README");
    let installed = apply(&prometheus, &install, &["prom", "web"]);
    assert!(installed.changed() > 0);
    let served = apply(&prometheus, &serve, &["prom"]);
    assert!(served.changed() > 0);
    for minion in ["web", "prom"] {
        let up = format!("up{{job=\"hostwarden\",minion=\"{minion}\"}}");
        wait_for(&up, || prometheus.query(&up) == Some(1.0));
    }
    let mine = "salt --out=json --static 'prom' mine.get '*' hostwarden";
    for told in [mine, "cat /etc/prometheus/hostwarden/targets.json"] {
        let told = prometheus.sh(told);
        assert!(told.contains(FIRST) && told.contains(SECOND), "{told}");
        assert_tells_no_secret(&told);
    }
    // The master keeps what states say.
    assert_tells_no_secret(&installed.text);
    assert_tells_no_secret(&served.text);

    apply(&prometheus, &install, &["prom", "web"]).assert_nothing_changed();
    apply(&prometheus, &serve, &["prom"]).assert_nothing_changed();
    web.apply("salt-call --no-color state.apply hostwarden").assert_nothing_changed();
}

/// Runs what the README tells; these minions, and no others, must come to an end.
fn apply(master: &Machine, told: &str, minions: &[&str]) -> Applied {
    let applied = master.apply(told);
    assert_eq!(applied.minions(), minions, "{}", applied.text);
    applied
}

fn assert_tells_no_secret(text: &str) {
    for secret in [PASSWORD, "PRIVATE KEY"] {
        assert!(!text.contains(secret), "{text}");
    }
}

/// What all minions share, and what each has for itself.
fn write_pillar(master: &Machine) {
    let tls = certificate(master);
    let all = format!(
        "hostwarden:
  version: 0.1.0
  source: salt://packages
  users: {{prom: {{password: {PASSWORD}}}}}
  tls:
{tls}mine_functions:
  hostwarden:
    - mine_function: hostwarden.target
"
    );
    let prometheus = format!(
        "hostwarden:
  address: {SECOND}
  server:
    username: prom
    password: {PASSWORD}
    server_name: agent
{}",
        authority(&tls)
    );
    master.write("/srv/pillar/top.sls", "base: {'*': [all], web: [web], prom: [prom]}\n");
    master.write("/srv/pillar/all.sls", all);
    master.write("/srv/pillar/web.sls", format!("hostwarden: {{address: {FIRST}}}\n"));
    master.write("/srv/pillar/prom.sls", prometheus);
}

fn start_master(machine: &Machine) {
    // `salt` gives up after 5 seconds without an answer, which a busy host may need.
    machine.write(
        "/etc/salt/master",
        "auto_accept: True\nfile_roots: {base: [/srv/salt, /srv/release]}\n\
         pillar_roots: {base: [/srv/pillar]}\ntimeout: 120\n",
    );
    machine.sh("systemd-run --quiet --unit=salt-master salt-master");
}

fn start_minion(machine: &Machine) {
    machine.write("/etc/salt/minion", format!("id: {}\nmaster: {SECOND}\n", machine.role));
    machine.sh("systemd-run --quiet --unit=salt-minion salt-minion");
}
