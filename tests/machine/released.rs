//! The packages of a release, real ones: `packaging/release` runs this on what it has made, in the folder that
//! HOSTWARDEN_RELEASE names.

use super::{Machine, run};
use crate::agent::wait_for;

const PACKAGES: &str = "/srv/release/packages";

#[test]
fn every_package_installs_serves_and_goes() {
    let Some(release) = std::env::var_os("HOSTWARDEN_RELEASE") else {
        println!("left out: HOSTWARDEN_RELEASE names no folder");
        return;
    };
    let machine = Machine::boot("released");
    std::fs::create_dir_all(machine.path("/srv/release")).unwrap();
    run("cp", ["-r".into(), release, machine.path(PACKAGES).into_os_string()]);

    // Debian's rpm knows of nothing that dpkg has installed.
    let rpm = "rpm --force-debian --nodeps --noplugins";
    machine.sh(&format!("{rpm} --install {PACKAGES}/*.rpm"));
    assert_eq!(machine.sh("rpm --verify --nodeps hostwarden"), "");
    machine.sh("systemctl is-enabled hostwarden && systemctl start hostwarden");
    assert_serves(&machine);
    let before = machine.sh("systemctl show -P MainPID hostwarden");
    machine.sh(&format!("{rpm} --upgrade --force {PACKAGES}/*.rpm"));
    assert_ne!(machine.sh("systemctl show -P MainPID hostwarden"), before);
    assert_serves(&machine);
    machine.sh("rpm --erase --nodeps hostwarden");
    assert_gone(&machine);

    machine.sh(&format!("dpkg -i {PACKAGES}/*.deb && dpkg --verify hostwarden"));
    assert_serves(&machine);
    machine.sh("dpkg --purge hostwarden");
    assert_gone(&machine);

    machine.sh(&format!(
        "cd /srv && tar -xf {PACKAGES}/*.tar.gz && mv hostwarden-*/hostwarden /usr/bin"
    ));
    machine.sh("systemd-run --quiet --unit=hostwarden hostwarden");
    assert_serves(&machine);
}

fn assert_serves(machine: &Machine) {
    wait_for("a scrape", || {
        machine.try_sh("curl -s 127.0.0.1:9158/metrics").contains("\nhostwarden_build_info{")
    });
}

fn assert_gone(machine: &Machine) {
    for trace in ["systemctl is-active hostwarden", "test -e /usr/bin/hostwarden"] {
        assert!(!machine.output(trace).status.success(), "{trace}");
    }
}
