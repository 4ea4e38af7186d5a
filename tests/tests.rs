//! All integration tests, in one binary.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "tests lay out files, start programs, say what they left out, and may panic"
)]

/// Clients that take time, room or memory.
mod abuse;
/// The real binary on a free port.
mod agent;
/// What a scrape allocates.
mod allocations;
/// The page at `/` in Chromium.
mod browser;
/// A D-Bus of the test's own.
mod bus;
/// Keys and certificates.
mod certificates;
/// Checks of a configuration and of an endpoint.
mod check;
/// The command line.
mod cli;
/// `hostwarden collectors`.
mod collectors;
/// The manual page and the completions, as groff and the shells read them.
mod completions;
/// node_exporter's own end-to-end case.
mod conformance;
/// Sources that hold what no kernel writes.
mod damage;
/// The dashboards, on a real Prometheus.
mod dashboards;
/// Passwords, headers, the rate limit, and what becomes of them when files change.
mod door;
/// A file system that does not answer.
mod fuse;
/// Collectors that fail, panic, hang.
mod gather;
/// Each collector's fixture trees against their golden text.
mod golden;
/// One collector, scraped as often as a test likes.
mod harness;
/// The collector hwmon on a bus that does not answer.
mod hwmon;
/// Descriptors, threads and memory after many scrapes.
mod leaks;
/// Links as netlink tells them, against sysfs and procfs.
mod links;
/// Addresses of every kind, sockets from systemd, and what systemd is told.
mod listeners;
/// Beside a real node_exporter, under a real Prometheus.
mod live;
/// Real machines, in containers.
mod machine;
/// File systems that are really mounted.
mod mounts;
/// Network and mount namespaces of a test's own.
mod namespace;
/// What the kernel says of the network.
mod network;
/// The collector ntp against a server in this process.
mod ntp;
/// Setting passwords, at a terminal and from standard input.
mod passwd;
/// The programs that the agent is held against.
mod peers;
/// The collector perf against the running kernel.
mod perf;
/// What holds for the list of collectors as a whole.
mod registry;
/// The alert rules, as promtool judges them.
mod rules;
/// The collectors apache and nginx against servers in this process and real ones.
mod services;
/// The collector supervisord against a server in this process.
mod supervisord;
/// The collectors systemd and logind against a real dbus-daemon.
mod systemd;
/// The collector textfile: files as cron jobs write them.
mod textfile;
/// Expositions that become textfiles.
mod textfile_write;
/// TLS, with curl, openssl and Prometheus as clients.
mod tls;
/// The systemd units, as systemd itself reads them.
mod units;
/// The endpoint over real sockets.
mod web;
