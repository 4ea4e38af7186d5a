//! From an empty server to a green target, and all that happens to it afterwards.

use super::{FIRST, Machine, SECOND, authority, certificate, publish, told_by_the_readme};
use crate::agent::wait_for;

const PASSWORD: &str = "swordfish";

#[test]
fn a_server_is_installed_found_checked_reloaded_upgraded_and_told_by_textfiles() {
    let web = Machine::boot("web");
    let prometheus = Machine::boot("prom");
    web.connect(&prometheus);
    let tls = certificate(&web);
    publish(&web);
    publish(&prometheus);
    prometheus.scrape_every_second();
    web.sh("systemctl start nginx");
    prometheus.sh("systemctl start prometheus");

    let pillar = |version: &str| web_pillar(version, &tls);
    assert!(web.salt("hostwarden", &pillar("0.1.0")).changed() > 0);
    web.salt("hostwarden", &pillar("0.1.0")).assert_nothing_changed();
    let server_pillar = server_pillar(&tls);
    assert!(prometheus.salt("hostwarden", &server_pillar).changed() > 0);
    prometheus.sh("salt-call mine.update");
    assert!(prometheus.salt("hostwarden.server", &server_pillar).changed() > 0);
    prometheus.salt("hostwarden,hostwarden.server", &server_pillar).assert_nothing_changed();

    for target in ["web", "prom"] {
        let up = format!("up{{job=\"hostwarden\",minion=\"{target}\"}}");
        wait_for(&up, || prometheus.query(&up) == Some(1.0));
    }
    wait_for("nginx", || prometheus.query("nginx_up{minion=\"web\"}") == Some(1.0));
    assert!(prometheus.try_sh("curl -s localhost:9090/api/v1/rules").contains("PasswordGuessing"));

    an_operator_checks_it(&prometheus);
    the_port_is_for_prometheus_alone(&prometheus);
    a_reload_takes_what_is_good_and_refuses_what_is_not(&web);
    broken_options_never_get_so_far(&web, &pillar("0.1.0"));
    a_script_becomes_a_textfile(&web);
    // The first two are those of a master.
    let [_, _, timer, cron] = told_by_the_readme("Thirty servers, with Salt")
        .try_into()
        .expect("four blocks in the README");
    web.write(
        "/etc/hostwarden/textfile.d/smartmon.sh",
        "#!/bin/sh\necho smartmon_device_smart_healthy 1\n",
    );
    web.sh("chmod 755 /etc/hostwarden/textfile.d/smartmon.sh");
    web.sh(&timer);
    web.sh(&cron);
    for series in ["smartmon_device_smart_healthy", "mail_queue_size"] {
        wait_for(series, || prometheus.query(series).is_some());
    }

    for version in ["0.2.0", "0.1.0"] {
        let before = main_pid(&web);
        assert!(web.salt("hostwarden", &pillar(version)).changed() > 0);
        assert_eq!(web.sh("dpkg-query -W -f '${Version}' hostwarden"), version);
        assert_ne!(main_pid(&web), before, "a new binary takes a restart");
        web.salt("hostwarden", &pillar(version)).assert_nothing_changed();
    }
    wait_for("up", || prometheus.query("up{minion=\"web\"}") == Some(1.0));
}

#[test]
fn the_tarball_does_as_well_as_the_package() {
    let machine = Machine::boot("tarball");
    publish(&machine);
    let pillar = format!(
        "hostwarden:
  version: 0.1.0
  source: salt://packages
  install: tarball
  users: {{prom: {{password: {PASSWORD}}}}}
"
    );
    assert!(machine.salt("hostwarden", &pillar).changed() > 5);
    machine.salt("hostwarden", &pillar).assert_nothing_changed();
    let program =
        machine.sh("readlink -f /proc/$(systemctl show --property=MainPID --value hostwarden)/exe");
    assert!(program.starts_with("/opt/hostwarden/hostwarden-0.1.0.linux-"), "{program}");
    machine.sh(&format!("curl -sf -u prom:{PASSWORD} 127.0.0.1:9158/metrics"));
}

#[test]
fn what_has_another_sum_is_not_installed_wherever_it_comes_from() {
    let machine = Machine::boot("sums");
    publish(&machine);
    let packages = "/srv/release/packages";
    machine.sh(&format!(
        "systemd-run --quiet python3 -m http.server --bind 127.0.0.1 --directory {packages} 8000"
    ));
    let sums = format!("{packages}/sha256sums.txt");
    machine.sh(&format!("cp {sums} /srv/right && sed -i 's/^..../0000/' {sums}"));
    let pillar = |source: &str, install: &str| {
        format!(
            "hostwarden: {{version: 0.1.0, source: '{source}', install: {install},
             users: {{prom: {{password: {PASSWORD}}}}}}}"
        )
    };
    for source in ["salt://packages", "http://127.0.0.1:8000"] {
        for install in ["deb", "tarball"] {
            let applied = machine.salt("hostwarden", &pillar(source, install));
            assert!(applied.failed() > 0, "{source} {install}");
            assert!(!machine.output("test -e /usr/bin/hostwarden").status.success());
        }
    }
    machine.sh(&format!("cp /srv/right {sums}"));
    let pillar = pillar("http://127.0.0.1:8000", "deb");
    assert!(machine.salt("hostwarden", &pillar).changed() > 0);
    machine.sh("systemctl is-active hostwarden");
    machine.salt("hostwarden", &pillar).assert_nothing_changed();
}

fn web_pillar(version: &str, tls: &str) -> String {
    format!(
        "hostwarden:
  version: {version}
  source: salt://packages
  users: {{prom: {{password: {PASSWORD}}}}}
  flags: [--collector.systemd]
  firewall: {{allow: [{SECOND}]}}
  tls:
{tls}"
    )
}

fn server_pillar(tls: &str) -> String {
    let ca = authority(tls);
    format!(
        "hostwarden:
  version: 0.1.0
  source: salt://packages
  address: {SECOND}
  users: {{prom: {{password: {PASSWORD}}}}}
  tls:
{tls}  server:
    username: prom
    password: {PASSWORD}
    server_name: agent
    targets:
      - {{targets: ['{FIRST}:9158'], labels: {{minion: web}}}}
{ca}mine_functions:
  hostwarden:
    - mine_function: hostwarden.target
"
    )
}

fn main_pid(machine: &Machine) -> String {
    machine.sh("systemctl show --property=MainPID --value hostwarden")
}

fn an_operator_checks_it(prometheus: &Machine) {
    let ca = "/etc/prometheus/hostwarden/ca.pem";
    let curl = format!(
        "curl -s -o /dev/null -w '%{{http_code}}' --cacert {ca} --resolve agent:9158:{FIRST}"
    );
    let url = "https://agent:9158/metrics";
    assert_eq!(prometheus.sh(&format!("{curl} {url}")), "401");
    assert_eq!(prometheus.sh(&format!("{curl} -u prom:wrong {url}")), "401");
    assert_eq!(prometheus.sh(&format!("{curl} -u prom:{PASSWORD} {url}")), "200");
    prometheus.sh(&format!("echo '{FIRST} agent' >> /etc/hosts"));
    let round = format!(
        "hostwarden check endpoint https://agent:9158/ --user=prom \
         --password-file=/etc/prometheus/hostwarden/password --ca={ca}"
    );
    prometheus.sh(&round);
    prometheus.write("/srv/wrong", "wrong");
    let wrong = round.replace("/etc/prometheus/hostwarden/password", "/srv/wrong");
    assert!(!prometheus.output(&wrong).status.success());
}

fn the_port_is_for_prometheus_alone(prometheus: &Machine) {
    prometheus.sh("ip address add 10.99.0.3/24 dev eth0");
    let from = |address: &str| {
        let command =
            format!("curl -sk --connect-timeout 1 --interface {address} https://{FIRST}:9158/");
        prometheus.output(&command).status.success()
    };
    assert!(from(SECOND));
    assert!(!from("10.99.0.3"));
}

fn a_reload_takes_what_is_good_and_refuses_what_is_not(web: &Machine) {
    let is_successful = || {
        let scrape = web.sh(&format!("curl -sk -u prom:{PASSWORD} https://127.0.0.1:9158/metrics"));
        crate::agent::value(&scrape, "hostwarden_config_last_reload_successful")
    };
    let pid = main_pid(web);
    web.sh("echo new-password | hostwarden passwd operator");
    web.sh("systemctl reload hostwarden");
    web.sh("curl -skf -u operator:new-password https://127.0.0.1:9158/metrics");
    assert_eq!(is_successful(), Some(1.0));

    web.sh("cp /etc/hostwarden/web.yml /tmp && echo nonsense >> /etc/hostwarden/web.yml");
    let refused = web.output("systemctl reload hostwarden");
    assert!(!refused.status.success(), "a broken configuration fails the reload");
    wait_for("a refused configuration", || is_successful() == Some(0.0));
    web.sh("cat /tmp/web.yml > /etc/hostwarden/web.yml && systemctl reload hostwarden");
    wait_for("a good configuration", || is_successful() == Some(1.0));
    assert_eq!(main_pid(web), pid, "the agent has lived through all of it");
    // What an operator did by hand is undone: the pillar says who may ask.
    web.sh("sed -i /operator/d /etc/hostwarden/htpasswd");
}

fn broken_options_never_get_so_far(web: &Machine, pillar: &str) {
    let options = "cat /etc/default/hostwarden";
    let before = web.sh(options);
    let broken = pillar.replace("flags: [--collector.systemd]", "flags: [--collector.sistemd]");
    assert!(web.salt("hostwarden", &broken).failed() > 0);
    assert_eq!(web.sh(options), before);
    web.sh("systemctl is-active hostwarden");
    web.salt("hostwarden", pillar).assert_nothing_changed();
}

fn a_script_becomes_a_textfile(web: &Machine) {
    let scrape = || web.sh(&format!("curl -sk -u prom:{PASSWORD} https://127.0.0.1:9158/metrics"));
    let script = "/etc/hostwarden/textfile.d/greet";
    let job = |value: &str| format!("hostwarden_textfile_job_success{{name=\"greet\"}} {value}\n");
    web.write(script, "#!/bin/sh\necho greeting 1\n");
    web.sh(&format!("chmod 755 {script} && systemctl start hostwarden-textfile@greet.service"));
    wait_for("a greeting", || scrape().contains("\ngreeting 1\n"));
    assert!(scrape().contains(&job("1")));

    web.write(script, "#!/bin/sh\necho greeting 2\nexit 3\n");
    assert!(!web.output("systemctl start hostwarden-textfile@greet.service").status.success());
    wait_for("a failed job", || scrape().contains(&job("0")));
    let scrape = scrape();
    assert!(scrape.contains("\ngreeting 1\n"), "the old figures stay");
    assert!(scrape.contains("hostwarden_textfile_job_exit_status{name=\"greet\"} 3\n"));
}
