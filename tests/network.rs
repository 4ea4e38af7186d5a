//! Collectors that ask the kernel about the network, in a namespace with things to tell.

use std::io::Read;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::Command;

use crate::agent::{Agent, wait_for};
use crate::harness::Running;
use crate::namespace::{inside, ip};
use crate::peers::{self, Program};

/// A queue with a token every second, so that what is in it stays; routes of many kinds.
fn make_links_and_routes() {
    for command in [
        "link set lo up",
        "link add v0 type veth peer name v1",
        "link add br0 type bridge",
        "addr add 192.0.2.1/24 dev v0",
        "link set v0 up",
        "link set v1 up",
        "neigh add 192.0.2.7 lladdr 02:00:5e:00:53:07 dev v0 nud permanent",
        "-6 addr add 2001:db8::1/64 dev v0 nodad",
        "route add default via 192.0.2.3",
        "route add blackhole 203.0.113.0/24",
        "route add 203.0.113.128/25 via 192.0.2.9 src 192.0.2.1 metric 77 proto static",
        "route add 203.0.113.128/25 via 192.0.2.9 src 192.0.2.1 metric 77 proto static table 99",
        "route add 198.51.100.0/24 proto bird nexthop via 192.0.2.7 weight 5 nexthop dev v0",
        "route add 192.0.2.128/32 via inet6 2001:db8::9 dev v0",
        "-6 route add 2001:db8:7::/48 via 2001:db8::9 proto 99 metric 5",
        "-6 route add 2001:db8:8::/48 nexthop via 2001:db8::8 nexthop via 2001:db8::9 weight 256",
    ] {
        ip(command);
    }
    for discipline in [
        "dev v0 root handle 1: tbf rate 8bit burst 400 limit 3000",
        "dev v0 parent 1: pfifo limit 7",
        "dev v0 ingress",
        "dev v1 root htb",
    ] {
        let mut tc = Command::new("tc");
        let status = tc.args(["qdisc", "add"]).args(discipline.split(' ')).status().unwrap();
        assert!(status.success(), "tc qdisc add {discipline}");
    }
    let socket = UdpSocket::bind("192.0.2.1:0").unwrap();
    for _ in 0..40 {
        // A full queue tells the sender.
        let _ = socket.send_to(&[7; 200], "192.0.2.7:9");
    }
}

#[test]
fn a_node_exporter_beside_it_says_the_same() {
    let Some(node_exporter) = peers::node_exporter() else { return };
    inside("network::a_node_exporter_beside_it_says_the_same", || {
        make_links_and_routes();
        ip("tuntap add tap0 mode tap");
        let flags = [
            "--collector.disable-defaults",
            "--collector.ethtool",
            "--collector.network_route",
            "--collector.qdisc",
            "--collector.wifi",
        ];
        let port = peers::free_port();
        let _peer = Program::start(
            Command::new(&node_exporter)
                .args(flags)
                .arg(format!("--web.listen-address=127.0.0.1:{port}")),
        );
        wait_for("node_exporter", || peers::get(port, "/metrics").is_some());
        let agent = Agent::start(&flags);
        let skip = "^(go_|hostwarden_|promhttp_|process_|node_exporter_build_info|.*_duration_)";
        // Of a quiet moment: the kernel sends packets of its own.
        peers::assert_soon_equal(port, &agent, &["--skip", skip], 50);
    });
}

#[test]
fn disciplines_and_what_waits_in_them() {
    inside("network::disciplines_and_what_waits_in_them", || {
        make_links_and_routes();
        let mut running = Running::start("qdisc", &[]);
        let lines = running.scrape().good();
        let value = |metric: &str, labels: &str| -> f64 {
            let series = format!("node_qdisc_{metric}{{{labels}}} ");
            let line = lines.iter().find_map(|line| line.strip_prefix(&series));
            line.unwrap_or_else(|| panic!("{series} in {lines:#?}")).parse().unwrap()
        };
        let tbf = "device=\"v0\",kind=\"tbf\"";
        assert!(value("backlog", tbf) > 200.0, "{lines:#?}");
        assert!(value("current_queue_length", tbf) >= 1.0, "{lines:#?}");
        assert!(value("drops_total", tbf) >= 20.0, "{lines:#?}");
        assert!(value("overlimits_total", tbf) >= 1.0, "{lines:#?}");
        assert!(value("packets_total", "device=\"v1\",kind=\"htb\"") < 100.0);
        // Those below another one, and the one for what comes in, are not told.
        assert!(!lines.iter().any(|line| line.contains("pfifo") || line.contains("ingress")));
        ip("link del v0");
        let lines = running.scrape().good();
        assert!(!lines.iter().any(|line| line.contains("v0") || line.contains("v1")), "{lines:#?}");
        let only = [("collector.qdisc.device-include", "^lo$")];
        assert_eq!(Running::start("qdisc", &only).scrape().good().len(), 7);
    });
}

#[test]
fn routes_and_next_hops() {
    inside("network::routes_and_next_hops", || {
        make_links_and_routes();
        ip("-6 route add ::ffff:0:0/96 dev v0 metric 9");
        let lines = Running::start("network_route", &[]).scrape().good();
        let info = "node_network_route_info";
        for expected in [
            "{dest=\"default\",device=\"v0\",gw=\"192.0.2.3\",priority=\"0\",proto=\"boot\",src=\"\",weight=\"\"} 1",
            "{dest=\"192.0.2.0/24\",device=\"v0\",gw=\"\",priority=\"0\",proto=\"kernel\",src=\"192.0.2.1\",weight=\"\"} 1",
            "{dest=\"192.0.2.128/32\",device=\"v0\",gw=\"\",priority=\"0\",proto=\"boot\",src=\"\",weight=\"\"} 1",
            "{dest=\"198.51.100.0/24\",device=\"v0\",gw=\"192.0.2.7\",priority=\"0\",proto=\"bird\",src=\"\",weight=\"5\"} 1",
            "{dest=\"198.51.100.0/24\",device=\"v0\",gw=\"\",priority=\"0\",proto=\"bird\",src=\"\",weight=\"1\"} 1",
            "{dest=\"203.0.113.128/25\",device=\"v0\",gw=\"192.0.2.9\",priority=\"77\",proto=\"static\",src=\"192.0.2.1\",weight=\"\"} 1",
            "{dest=\"::ffff:0.0.0.0/96\",device=\"v0\",gw=\"\",priority=\"9\",proto=\"boot\",src=\"\",weight=\"\"} 1",
            "{dest=\"2001:db8:7::/48\",device=\"v0\",gw=\"2001:db8::9\",priority=\"5\",proto=\"unknown\",src=\"\",weight=\"\"} 1",
            "{dest=\"2001:db8:8::/48\",device=\"v0\",gw=\"2001:db8::9\",priority=\"1024\",proto=\"boot\",src=\"\",weight=\"256\"} 1",
        ] {
            assert!(lines.contains(&format!("{info}{expected}")), "{expected} in {lines:#?}");
        }
        assert!(!lines.iter().any(|line| line.contains("203.0.113.0")), "a blackhole: {lines:#?}");
        // The route of table 99 counts, though it is told only once.
        let told = lines.iter().filter(|line| line.contains("{dest=") && line.contains("\"v0\""));
        let count = format!("node_network_routes{{device=\"v0\"}} {}", told.count() + 1);
        assert!(lines.contains(&count), "{count} in {lines:#?}");
    });
}

#[test]
fn drivers_and_what_they_count() {
    inside("network::drivers_and_what_they_count", || {
        make_links_and_routes();
        let mut running = Running::start("ethtool", &[]);
        let lines = running.scrape().good();
        let has = |line: &str| assert!(lines.contains(&line.to_owned()), "{line} in {lines:#?}");
        for line in [
            "node_network_autonegotiate{device=\"v0\"} 0",
            "node_network_pause_supported{device=\"v0\"} 0",
            "node_network_asymmetricpause_advertised{device=\"v0\"} 0",
        ] {
            has(line);
        }
        // A veth tells the other end's index; it may have a different name tomorrow.
        let peer = std::fs::read_to_string("/sys/class/net/v1/ifindex").unwrap();
        has(&format!("node_ethtool_peer_ifindex{{device=\"v0\"}} {}", peer.trim()));
        let info = |device: &str, driver: &str| {
            let start = format!(
                "node_ethtool_info{{bus_info=\"\",device=\"{device}\",driver=\"{driver}\","
            );
            assert!(lines.iter().any(|line| line.starts_with(&start)), "{start} in {lines:#?}");
        };
        info("v0", "veth");
        ip("link set v0 name renamed");
        ip("link del br0");
        let lines = running.scrape().good();
        assert!(!lines.iter().any(|line| line.contains("\"v0\"") || line.contains("\"br0\"")));
        assert!(lines.iter().any(|line| line.contains("peer_ifindex{device=\"renamed\"}")));
        let filtered = [
            ("collector.ethtool.device-exclude", "^v1$"),
            ("collector.ethtool.metrics-include", "^peer"),
        ];
        let lines = Running::start("ethtool", &filtered).scrape().good();
        let counted: Vec<&String> = lines
            .iter()
            .filter(|line| line.starts_with("node_ethtool_") && !line.contains("_info"))
            .collect();
        assert_eq!(
            counted,
            [&format!("node_ethtool_peer_ifindex{{device=\"renamed\"}} {}", peer.trim())]
        );
    });
}

#[test]
fn sockets_by_state() {
    inside("network::sockets_by_state", || {
        let mut running = Running::start("tcpstat", &[]);
        assert!(running.scrape().good().is_empty());
        ip("link set lo up");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let six = TcpListener::bind("[::1]:0").unwrap();
        let waiting = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut taken, _) = listener.accept().unwrap();
        let over_six = TcpStream::connect(six.local_addr().unwrap()).unwrap();
        std::io::Write::write_all(&mut taken, &[0; 1000]).unwrap();
        let states = |states: &[(&str, u32)]| -> Vec<String> {
            let line = |(state, count): &(&str, u32)| {
                format!("node_tcp_connection_states{{state=\"{state}\"}} {count}")
            };
            states.iter().map(line).collect()
        };
        let expected = [
            ("established", 4),
            ("listen", 2),
            // What was written, and the connection that nobody has taken.
            ("rx_queued_bytes", 1001),
            ("tx_queued_bytes", 0),
        ];
        let mut last = Vec::new();
        wait_for("what was written", || {
            last = running.scrape().good();
            last.contains(&states(&[("rx_queued_bytes", 1001)])[0])
        });
        // A listening socket's queue for sending tells how many may wait.
        last.retain(|line| !line.contains("tx_queued"));
        assert_eq!(last, states(&expected[..3]));
        drop((waiting, over_six));
        taken.read_to_end(&mut Vec::new()).ok();
        drop(taken);
        wait_for("an end", || {
            let lines = running.scrape().good();
            lines.iter().any(|line| line.contains("time_wait") || line.contains("fin_wait2"))
        });
    });
}
