//! What netlink says against what sysfs says, in a network namespace with many kinds of links.

#![expect(clippy::print_stdout, reason = "a test says what it leaves out")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use hostwarden::host::Paths;

use crate::harness::Running;
use crate::namespace::{inside, ip, ip_may};

#[test]
fn netlink_says_what_sysfs_says() {
    inside("links::netlink_says_what_sysfs_says", || {
        let sys = sysfs_read_as_files();
        let paths = Paths { sys: sys.path().to_owned(), ..Paths::default() };
        let mut live = Running::start("netclass", &[]);
        let mut files = Running::try_start("netclass", &[], &paths).unwrap();
        make_links();
        for change in CHANGES {
            change.split("; ").for_each(ip);
            let told = compare(&mut live, &mut files, change);
            assert!(told > 100, "{told} samples");
        }
        set_the_address_that_it_has("v4");
        compare(&mut live, &mut files, "the address that it had");
        // More news than the listening socket holds.
        for round in 0..200 {
            ip(&format!("link set v3 alias round-{round}"));
            ip(&format!("link set tun0 name tun{}", round % 2 + 5));
            ip(&format!("link set tun{} name tun0", round % 2 + 5));
        }
        set_the_address_that_it_has("tap0");
        compare(&mut live, &mut files, "much news");
    });
}

/// Which makes it an address that a user set.
fn set_the_address_that_it_has(device: &str) {
    let address = fs::read_to_string(format!("/sys/class/net/{device}/address")).unwrap();
    ip(&format!("link set {device} address {}", address.trim()));
}

/// Changes of which some leave no trace in the links themselves.
const CHANGES: &[&str] = &[
    "link show lo",
    "link set v3 name other; link set other name v3",
    "link set v1 name renamed",
    "link set mv0 address 02:00:5e:00:53:02",
    "link set br0 down",
    "link set br0 up",
    "link set v3 up",
    "link set v4 up",
    "link set v4 down",
    "link set renamed promisc on",
    "link set tap0 allmulticast on",
    "link set tap0 mode dormant",
    "link set renamed mtu 1400",
    "link set renamed txqueuelen 7",
    "link set renamed group 9",
    "link set v0 nomaster",
    "link set tun0 down",
    "link del mv0",
    "link add mv0 link renamed type macvlan",
    "tuntap del tap0 mode tap",
    "tuntap add tap0 mode tap",
    "link set lo down",
];

fn make_links() {
    for command in [
        "link set lo up",
        "link add br0 type bridge",
        "link add v0 type veth peer name v1",
        "link add v3 type veth peer name v4",
        "link set v0 master br0",
        "link set br0 up",
        "link set v0 up",
        "link set v1 up",
        "tuntap add tun0 mode tun",
        "tuntap add tap0 mode tap",
        "link set tun0 up",
        "link set tap0 up",
        "link add mv0 link v1 type macvlan",
        "link set mv0 address 02:00:5e:00:53:01",
        "link set mv0 up",
    ] {
        ip(command);
    }
    let alias = format!(" spaces around, and longer than one read takes: {}  ", "x".repeat(150));
    assert!(
        Command::new("ip").args(["link", "set", "v1", "alias", &alias]).status().unwrap().success()
    );
    // What this kernel does not have cannot be looked at.
    for kind in ["bond", "dummy", "ifb", "vxlan id 5 dev v1 dstport 0", "vlan id 5 link v1"] {
        let name = kind.split(' ').next().unwrap();
        let (kind, lower) = match kind.strip_suffix(" link v1") {
            Some(kind) => (kind, "link v1 "),
            None => (kind, ""),
        };
        if !ip_may(&format!("link add {lower}name {name}9 type {kind}")) {
            println!("left out: links of type {name}");
        }
    }
    if ip_may("link set v4 master bond9") {
        ip("link set bond9 up");
    }
}

#[test]
fn a_bond_is_told_as_sysfs_shows_it() {
    inside("links::a_bond_is_told_as_sysfs_shows_it", || {
        let sys = sysfs_read_as_files();
        let paths = Paths { sys: sys.path().to_owned(), ..Paths::default() };
        let mut live = Running::start("bonding", &[]);
        let mut files = Running::try_start("bonding", &[], &paths).unwrap();
        if !ip_may("link add bond0 type bond miimon 10") {
            println!("left out: this kernel has no bonds");
            assert!(live.scrape().outcome.unwrap_err().is_no_data());
            assert!(files.scrape().outcome.unwrap_err().is_no_data());
            return;
        }
        compare(&mut live, &mut files, "no links");
        for command in [
            "link add v0 type veth peer name v1",
            "link add v2 type veth peer name v3",
            "link set v0 master bond0",
            "link set v2 master bond0",
            "link set bond0 up",
            "link set v1 up",
            "link set v3 up",
        ] {
            ip(command);
            compare(&mut live, &mut files, command);
        }
        assert!(
            live.scrape().good().contains(&"node_bonding_slaves{master=\"bond0\"} 2".to_owned())
        );
    });
}

#[test]
fn neighbours_and_counters_are_the_same_from_netlink_and_procfs() {
    inside("links::neighbours_and_counters_are_the_same_from_netlink_and_procfs", || {
        for command in [
            "link add v0 type veth peer name v1",
            "link set v0 up",
            "link set v1 up",
            "addr add 192.0.2.1/24 dev v0",
            "neigh add 192.0.2.7 lladdr 02:00:5e:00:53:07 dev v0 nud permanent",
            "neigh add 192.0.2.8 lladdr 02:00:5e:00:53:08 dev v0 nud noarp",
            "neigh add 192.0.2.9 lladdr 02:00:5e:00:53:09 dev v1 nud stale",
            "neigh add 2001:db8::9 lladdr 02:00:5e:00:53:09 dev v1 nud permanent",
        ] {
            ip(command);
        }
        let netlink = Running::start("arp", &[]).scrape().good();
        let procfs = Running::start("arp", &[("collector.arp.netlink", "false")]).scrape().good();
        let expected = ["node_arp_entries{device=\"v0\"} 1", "node_arp_entries{device=\"v1\"} 1"];
        assert_eq!((&netlink[..], &procfs), (&expected.map(str::to_owned)[..], &netlink));

        let mut netlink = Running::start("netdev", &[]);
        let mut procfs = Running::start("netdev", &[("collector.netdev.netlink", "false")]);
        let mut without_packets_between = || {
            let before = procfs.scrape().good();
            let mut told = netlink.scrape().good();
            // net/dev has no column for these.
            told.retain(|line| !line.contains("nohandler"));
            (before == procfs.scrape().good()).then_some((told, before))
        };
        let (netlink, procfs) = (0..100).find_map(|_| without_packets_between()).unwrap();
        assert!(procfs.len() == 3 * 16, "{procfs:#?}");
        assert_eq!(netlink, procfs);
    });
}

#[test]
fn a_sysfs_of_another_namespace_is_read_as_files() {
    inside("links::a_sysfs_of_another_namespace_is_read_as_files", || {
        // The sysfs stays the old namespace's, the links are the new one's: three veths that the
        // sysfs shows are not to be had from netlink.
        ip("link add v0 type veth peer name v1");
        let script = "ip link add w0 type veth peer name w1; exec \"$0\" \"$@\"";
        let test = "links::helper_that_tells_the_devices_of_sysfs";
        let output = Command::new("unshare")
            .args(["--net", "sh", "-c", script])
            .arg(std::env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture"])
            .env("HOSTWARDEN_TEST_TELL", "1")
            .output()
            .unwrap();
        let output = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.contains("told: node_network_up{device=\"v0\"} 0"), "{output}");
        assert!(!output.contains("device=\"w0\""), "{output}");
    });
}

#[test]
fn helper_that_tells_the_devices_of_sysfs() {
    if std::env::var_os("HOSTWARDEN_TEST_TELL").is_some() {
        for line in Running::start("netclass", &[]).scrape().good() {
            println!("told: {line}");
        }
    }
}

/// Compares the two in a quiet moment: the kernel brings operational states up to date some time
/// after a change. Returns how many samples there are.
fn compare(live: &mut Running, files: &mut Running, after: &str) -> usize {
    let mut quiet = || {
        let before = files.scrape().good();
        let told = live.scrape().good();
        (before == files.scrape().good()).then_some((told, before))
    };
    let (told, expected) = (0..1000).find_map(|_| quiet()).expect("a quiet moment");
    let without = |these: &[String], others: &[String]| -> Vec<String> {
        these.iter().filter(|line| !others.contains(line)).cloned().collect()
    };
    let (extra, missing) = (without(&told, &expected), without(&expected, &told));
    assert!(extra.is_empty() && missing.is_empty(), "after {after}: {extra:#?} not {missing:#?}");
    told.len()
}

/// A directory that shows the live class/net and is not a sysfs itself.
fn sysfs_read_as_files() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("class")).unwrap();
    let net = directory.path().join("class/net");
    symlink("/sys/class/net", &net).unwrap();
    assert!(Path::new("/sys/class/net/lo").exists());
    directory
}
