//! What the unit's hardening takes from the collectors: nothing; and what the package leaves: nothing.

use std::collections::BTreeSet;

use super::{Machine, publish};
use crate::agent::wait_for;

/// The hardening begins in the unit below this line.
const FIRST_DIRECTIVE: &str = "NoNewPrivileges=";

const PORT: u16 = 9200;

#[test]
fn every_collector_says_the_same_whatever_the_unit_forbids_and_a_purge_leaves_nothing() {
    let machine = Machine::boot("sandbox");
    publish(&machine);
    let files = "find / -xdev -not -path '/var/log/*' -not -path '/var/cache/*' -not -path '/run/*' \
                 -not -path '/var/lib/dpkg/*' -not -path '/var/lib/systemd/deb-systemd-*' \
                 -not -path '/tmp/*' -not -path '/srv/*' | sort";
    let users = "cut -d: -f1 /etc/passwd /etc/group";
    let before = machine.sh(files);
    let users_before = machine.sh(users);
    machine.sh("dpkg -i /srv/release/packages/hostwarden_0.1.0_*.deb");
    machine.sh("systemctl is-active hostwarden && systemctl is-enabled hostwarden");
    wait_for("a scrape", || machine.output("curl -sf 127.0.0.1:9158/metrics").status.success());

    let free = scrape(&machine, &[]);
    let again = scrape(&machine, &[]);
    let steady: BTreeSet<&String> = free.intersection(&again).collect();
    assert!(steady.len() > 300);
    let unit = machine.sh("systemctl cat hostwarden");
    let directives: Vec<&str> = unit
        .lines()
        .skip_while(|line| !line.starts_with(FIRST_DIRECTIVE))
        .take_while(|line| !line.starts_with("[Install]"))
        .filter(|line| !line.starts_with('#') && line.contains('='))
        .collect();
    assert!(directives.len() > 20, "{directives:?}");
    // The parts of the filter of system calls mean something together only.
    let (filter, others): (Vec<&str>, Vec<&str>) =
        directives.iter().partition(|line| line.starts_with("SystemCall"));
    for group in others.iter().map(std::slice::from_ref).chain([&filter[..]]) {
        assert_nothing_is_missing(&steady, &scrape(&machine, group), &group.join(", "));
    }
    assert_nothing_is_missing(&steady, &scrape(&machine, &directives), "all of them");

    machine.sh("dpkg --purge hostwarden");
    let left = machine.sh(files);
    let before: BTreeSet<&str> = before.lines().collect();
    let new: Vec<&str> = left.lines().filter(|file| !before.contains(file)).collect();
    assert!(new.is_empty(), "{new:#?}");
    assert_eq!(machine.sh(users), users_before);
}

/// Numbers of capabilities, of linux/capability.h.
const DAC_READ_SEARCH: u64 = 1 << 2;
const NET_ADMIN: u64 = 1 << 12;
const PERFMON: u64 = 1 << 38;

#[test]
fn a_drop_in_gives_the_agent_what_a_collector_lacks_and_no_more() {
    let machine = Machine::boot("dropins");
    publish(&machine);
    machine.sh("dpkg -i /srv/release/packages/hostwarden_0.1.0_*.deb");
    let flags = "--collector.slabinfo --collector.ethtool --collector.perf";
    machine.write("/etc/default/hostwarden", format!("HOSTWARDEN_OPTS=\"{flags}\"\n"));
    let drop_ins = "/etc/systemd/system/hostwarden.service.d";
    machine.sh(&format!("mkdir {drop_ins}"));
    for (drop_in, capabilities) in [
        ("none", 0),
        ("closed-files", DAC_READ_SEARCH),
        ("ethtool", NET_ADMIN),
        ("perf", PERFMON | DAC_READ_SEARCH),
    ] {
        let file = format!("/usr/share/hostwarden/systemd/{drop_in}.conf");
        machine.sh(&format!("rm -f {drop_ins}/*; ! test -e {file} || ln -s {file} {drop_ins}"));
        machine.sh("systemctl daemon-reload && systemctl restart hostwarden");
        let has = machine.sh("grep CapEff /proc/$(systemctl show -P MainPID hostwarden)/status");
        let has = u64::from_str_radix(has.split_whitespace().nth(1).unwrap(), 16).unwrap();
        assert_eq!(has, capabilities, "{drop_in}");
        let text = machine.sh("curl -sf 127.0.0.1:9158/metrics");
        let succeeds = |collector: &str| {
            text.contains(&format!("collector_success{{collector=\"{collector}\"}} 1\n"))
        };
        assert!(succeeds("ethtool") && succeeds("perf"), "{drop_in}");
        // Only root may open its file.
        assert_eq!(succeeds("slabinfo"), capabilities & DAC_READ_SEARCH != 0, "{drop_in}");
    }
}

fn assert_nothing_is_missing(steady: &BTreeSet<&String>, said: &BTreeSet<String>, by: &str) {
    let missing: Vec<_> = steady.iter().filter(|series| !said.contains(**series)).collect();
    assert!(missing.is_empty(), "{by}: {missing:#?}");
}

/// The series that the agent tells with every collector on and these directives; the verdict on
/// each collector with its value.
fn scrape(machine: &Machine, directives: &[&str]) -> BTreeSet<String> {
    let properties: String =
        directives.iter().map(|directive| format!(" --property='{directive}'")).collect();
    let collectors = hostwarden::collectors::ALL.iter();
    let flags: String = collectors.map(|spec| format!("--collector.{}\n", spec.name)).collect();
    machine.write("/srv/flags", flags);
    machine.sh(&format!(
        "systemd-run --quiet --unit=sandbox --service-type=notify --property=User=hostwarden{properties} \
         /usr/bin/hostwarden --web.listen-address=127.0.0.1:{PORT} @/srv/flags"
    ));
    // The first scrape begins what is told by the second.
    machine.sh(&format!("curl -sf 127.0.0.1:{PORT}/metrics"));
    let text = machine.sh(&format!("curl -sf 127.0.0.1:{PORT}/metrics"));
    machine.sh("systemctl stop sandbox");
    text.lines()
        .filter(|line| {
            !line.starts_with('#') && !line.starts_with("node_scrape_collector_duration")
        })
        // Transient units of this test and their tasks come and go.
        .filter(|line| !line.contains("sandbox") && !line.starts_with("node_processes_"))
        .map(|line| match line.strip_prefix("node_scrape_collector_success") {
            Some(_) => line.to_owned(),
            None => line.rsplit_once(' ').unwrap().0.to_owned(),
        })
        .collect()
}
