//! The collectors systemd and logind against a real dbus-daemon and services of the test's own, and
//! against a real systemd where one can be started.

#![expect(clippy::print_stdout, reason = "a test says what it leaves out")]

use std::collections::HashMap;
use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use zbus::Variant;
use zbus::message::Message;

use crate::agent::{Agent, BINARY, wait_for};
use crate::bus::{self, Daemon, Service, object, refuses, returns, returns_variant};
use crate::namespace::{inside, ip};
use crate::peers::{self, Program};

const SYSTEMD: &str = "org.freedesktop.systemd1";
const LOGIND: &str = "org.freedesktop.login1";

/// A unit: its name, load state and active state.
type Unit = (String, &'static str, &'static str);

/// A systemd as far as the collector looks.
#[derive(Default)]
struct Manager {
    units: Mutex<Vec<Unit>>,
    /// By object path below systemd's own and full property name. `None` is never answered.
    properties: Mutex<HashMap<(String, String), Option<Variant<'static>>>>,
}

impl Manager {
    fn new() -> Arc<Self> {
        let manager = Self::default();
        for (name, value) in
            [("Version", "252.39-1~deb12u1"), ("Virtualization", "kvm"), ("SystemState", "running")]
        {
            manager.tell("", &format!("Manager.{name}"), Variant::from(value));
        }
        Arc::new(manager)
    }

    fn add(&self, name: &str, load: &'static str, active: &'static str) {
        self.units.lock().unwrap().push((name.to_owned(), load, active));
    }

    fn tell(&self, unit: &str, property: &str, value: impl Into<Option<Variant<'static>>>) {
        let key = (unit.to_owned(), format!("{SYSTEMD}.{property}"));
        self.properties.lock().unwrap().insert(key, value.into());
    }

    fn service(self: &Arc<Self>) -> Service {
        let manager = Arc::clone(self);
        Arc::new(move |call| manager.answer(call))
    }

    fn answer(&self, call: &Message) -> Option<Message> {
        let path = bus::path(call);
        match &*bus::member(call) {
            "ListUnits" => Some(self.list(call)),
            "Get" => {
                let unit = path.strip_prefix("/org/freedesktop/systemd1").unwrap();
                let unit = unit.strip_prefix("/unit/").unwrap_or(unit).to_owned();
                match self.properties.lock().unwrap().get(&(unit, bus::property(call))) {
                    Some(Some(value)) => Some(returns_variant(call, value)),
                    Some(None) => None,
                    None => Some(refuses(call)),
                }
            }
            _ => Some(refuses(call)),
        }
    }

    fn list(&self, call: &Message) -> Message {
        let units = self.units.lock().unwrap();
        let units: Vec<_> = units
            .iter()
            .map(|(name, load, active)| {
                let (path, job) = (object("/not/looked/at"), object("/"));
                (&**name, "A unit", *load, *active, "sub", "", path, 0u32, "", job)
            })
            .collect();
        returns(call, &units)
    }
}

/// One unit of every kind, in states usual and not.
fn every_kind() -> Arc<Manager> {
    let manager = Manager::new();
    for (name, load, active) in [
        ("cron.service", "loaded", "active"),
        ("gone.service", "loaded", "failed"),
        ("missing.service", "not-found", "inactive"),
        ("mail-in.socket", "loaded", "active"),
        ("old.socket", "loaded", "inactive"),
        ("odd.socket", "loaded", "activating"),
        ("daily.timer", "loaded", "active"),
        ("srv.mount", "loaded", "active"),
        ("multi-user.target", "loaded", "reloading"),
        ("0.scope", "loaded", "maintenance"),
        ("1.scope", "loaded", "maintenance"),
    ] {
        manager.add(name, load, active);
    }
    let properties = [
        ("cron_2eservice", "Service.Type", Variant::from("simple")),
        ("cron_2eservice", "Service.NRestarts", Variant::from(3u32)),
        ("cron_2eservice", "Service.TasksCurrent", Variant::from(5u64)),
        ("cron_2eservice", "Service.TasksMax", Variant::from(u64::MAX)),
        ("cron_2eservice", "Unit.ActiveEnterTimestamp", Variant::from(1_700_000_000_250_000u64)),
        ("mail_2din_2esocket", "Socket.NAccepted", Variant::from(70u32)),
        ("mail_2din_2esocket", "Socket.NConnections", Variant::from(2u32)),
        ("mail_2din_2esocket", "Socket.NRefused", Variant::from(1u32)),
        ("mail_2din_2esocket", "Unit.ActiveEnterTimestamp", Variant::from(7_500_000u64)),
        ("old_2esocket", "Socket.NAccepted", Variant::from(4u32)),
        ("old_2esocket", "Socket.NConnections", Variant::from(0u32)),
        ("odd_2esocket", "Socket.NConnections", Variant::from(9u32)),
        ("odd_2esocket", "Socket.NRefused", Variant::from(9u32)),
        ("daily_2etimer", "Timer.LastTriggerUSec", Variant::from(1_600_000_000_000_000u64)),
        ("srv_2emount", "Mount.Type", Variant::from("ext4")),
        ("srv_2emount", "Unit.ActiveEnterTimestamp", Variant::from(0u64)),
    ];
    for (unit, property, value) in properties {
        manager.tell(unit, property, value);
    }
    manager
}

const EVERYTHING: [&str; 6] = [
    "--collector.disable-defaults",
    "--collector.systemd",
    "--collector.systemd.enable-task-metrics",
    "--collector.systemd.enable-restarts-metrics",
    "--collector.systemd.enable-start-time-metrics",
    "--collector.systemd.unit-exclude=0\\.scope",
];

fn agent(address: &str, arguments: &[&str]) -> Agent {
    let mut command = Command::new(BINARY);
    command.arg("--web.listen-address=127.0.0.1:0").args(arguments);
    Agent::spawn(command.env("DBUS_SYSTEM_BUS_ADDRESS", address))
}

/// The samples of a scrape whose names begin so.
fn told(agent: &Agent, prefix: &str) -> Vec<String> {
    let text = agent.get("/metrics").text();
    text.lines().filter(|line| line.starts_with(prefix)).map(str::to_owned).collect()
}

fn success(agent: &Agent, collector: &str) -> Option<f64> {
    let series = format!("node_scrape_collector_success{{collector=\"{collector}\"}}");
    agent.get("/metrics").sample(&series)
}

#[test]
fn units_of_every_kind() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(directory.path());
    daemon.serve(SYSTEMD, every_kind().service());
    let agent = agent(&daemon.address, &EVERYTHING);
    let lines = told(&agent, "node_systemd_");
    let mut expected: Vec<String> = [
        "node_systemd_service_restart_total{name=\"cron.service\"} 3",
        "node_systemd_socket_accepted_connections_total{name=\"mail-in.socket\"} 70",
        "node_systemd_socket_accepted_connections_total{name=\"old.socket\"} 4",
        "node_systemd_socket_current_connections{name=\"mail-in.socket\"} 2",
        "node_systemd_socket_current_connections{name=\"old.socket\"} 0",
        "node_systemd_socket_refused_connections_total{name=\"mail-in.socket\"} 1",
        "node_systemd_system_running 1",
        "node_systemd_timer_last_trigger_seconds{name=\"daily.timer\"} 1.6e+09",
        "node_systemd_unit_start_time_seconds{name=\"1.scope\"} 0",
        "node_systemd_unit_start_time_seconds{name=\"cron.service\"} 1.70000000025e+09",
        "node_systemd_unit_start_time_seconds{name=\"gone.service\"} 0",
        "node_systemd_unit_start_time_seconds{name=\"mail-in.socket\"} 7.5",
        "node_systemd_unit_start_time_seconds{name=\"multi-user.target\"} 0",
        "node_systemd_unit_start_time_seconds{name=\"odd.socket\"} 0",
        "node_systemd_unit_start_time_seconds{name=\"old.socket\"} 0",
        "node_systemd_unit_start_time_seconds{name=\"srv.mount\"} 0",
        "node_systemd_unit_tasks_current{name=\"cron.service\"} 5",
        "node_systemd_units{state=\"activating\"} 1",
        "node_systemd_units{state=\"active\"} 4",
        "node_systemd_units{state=\"deactivating\"} 0",
        "node_systemd_units{state=\"failed\"} 1",
        "node_systemd_units{state=\"inactive\"} 2",
        "node_systemd_units{state=\"maintenance\"} 2",
        "node_systemd_units{state=\"reloading\"} 1",
        "node_systemd_version{version=\"252.39-1~deb12u1\"} 252.39",
        "node_systemd_virtualization_info{virtualization_type=\"kvm\"} 1",
    ]
    .map(str::to_owned)
    .to_vec();
    for (name, kind, now) in [
        ("1.scope", "", "maintenance"),
        ("cron.service", "simple", "active"),
        ("daily.timer", "", "active"),
        ("gone.service", "", "failed"),
        ("mail-in.socket", "", "active"),
        ("multi-user.target", "", "reloading"),
        ("odd.socket", "", "activating"),
        ("old.socket", "", "inactive"),
        ("srv.mount", "ext4", "active"),
    ] {
        for state in ["activating", "active", "deactivating", "failed", "inactive"] {
            let labels = format!("name=\"{name}\",state=\"{state}\",type=\"{kind}\"");
            let value = u8::from(state == now);
            expected.push(format!("node_systemd_unit_state{{{labels}}} {value}"));
        }
    }
    expected.sort();
    let mut sorted = lines.clone();
    sorted.sort();
    assert_eq!(sorted, expected);
    assert_eq!(success(&agent, "systemd"), Some(1.0));
}

#[test]
fn a_node_exporter_beside_it_says_the_same_of_systemd_and_logind() {
    let Some(node_exporter) = peers::node_exporter() else { return };
    let directory = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(directory.path());
    let manager = every_kind();
    manager.tell("", "Manager.Virtualization", Variant::from(""));
    manager.tell("", "Manager.SystemState", Variant::from("degraded"));
    daemon.serve(SYSTEMD, manager.service());
    daemon.serve(LOGIND, Arc::new(login));
    let port = peers::free_port();
    let mut arguments = EVERYTHING.to_vec();
    arguments.push("--collector.logind");
    let _peer = Program::start(
        Command::new(node_exporter)
            .args(&arguments)
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .env("DBUS_SYSTEM_BUS_ADDRESS", &daemon.address),
    );
    wait_for("node_exporter", || peers::get(port, "/metrics").is_some());
    let theirs = peers::get(port, "/metrics").unwrap();
    let ours = agent(&daemon.address, &arguments).get("/metrics").text();
    let skip = "^(go_|hostwarden_|promhttp_|process_|node_exporter_build_info|.*_duration_seconds)";
    peers::compare(&theirs, &ours, &["--skip", skip]).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn an_answer_that_never_comes_costs_the_one_collector_what_it_lacks() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(directory.path());
    let manager = every_kind();
    for at in 0..200 {
        let (name, path) = (format!("s{at}.service"), format!("s{at}_2eservice"));
        manager.add(&name, "loaded", "active");
        manager.tell(&path, "Service.Type", Variant::from("oneshot"));
    }
    manager.tell("s7_2eservice", "Service.Type", None);
    daemon.serve(SYSTEMD, manager.service());
    let agent = agent(
        &daemon.address,
        &["--collector.systemd", "--web.scrape-timeout=1s", "--collector.loadavg"],
    );
    let first = agent.get("/metrics");
    let state = |unit: &str, kind: &str| {
        let labels = format!("name=\"{unit}\",state=\"active\",type=\"{kind}\"");
        first.sample(&format!("node_systemd_unit_state{{{labels}}}"))
    };
    assert_eq!(first.status, 200);
    assert_eq!(first.sample("node_scrape_collector_success{collector=\"systemd\"}"), Some(0.0));
    assert_eq!(first.sample("node_scrape_collector_success{collector=\"loadavg\"}"), Some(1.0));
    assert_eq!(state("s199.service", "oneshot"), Some(1.0));
    assert_eq!((state("s7.service", ""), state("s7.service", "oneshot")), (None, None));
    agent.wait_for_log("D-Bus: no answer in time");
    manager.tell("s7_2eservice", "Service.Type", Variant::from("idle"));
    wait_for("all of it", || success(&agent, "systemd") == Some(1.0));
    assert_eq!(told(&agent, "node_systemd_unit_state").len(), 5 * 207);
}

#[test]
fn a_bus_that_is_silent_or_dead_and_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("bus");
    let silent = UnixListener::bind(&socket).unwrap();
    let address = format!("unix:path={}", socket.display());
    let agent = agent(
        &address,
        &["--collector.systemd", "--collector.logind", "--web.scrape-timeout=500ms"],
    );
    let both = |value| {
        let response = agent.get("/metrics");
        let series = |name: &str| format!("node_scrape_collector_success{{collector=\"{name}\"}}");
        ["systemd", "logind"].into_iter().all(|name| response.sample(&series(name)) == Some(value))
            && response.sample(&series("loadavg")) == Some(1.0)
    };
    assert!(both(0.0), "{}", agent.log());
    drop(silent);
    assert!(both(0.0), "{}", agent.log());
    for _ in 0..2 {
        // The second bus is another daemon behind the same address.
        let daemon = Daemon::start(directory.path());
        daemon.serve(SYSTEMD, every_kind().service());
        daemon.serve(LOGIND, Arc::new(login));
        for _ in 0..3 {
            assert!(both(1.0), "{}", agent.log());
        }
        drop(daemon);
    }
    assert!(both(0.0), "{}", agent.log());
}

#[test]
fn many_scrapes_of_units_that_vanish_leave_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(directory.path());
    let manager = Manager::new();
    for at in 0..300 {
        manager.add(&format!("s{at}.service"), "loaded", "active");
        if at % 3 > 0 {
            manager.tell(&format!("s{at}_2eservice"), "Service.Type", Variant::from("exec"));
        }
    }
    daemon.serve(SYSTEMD, manager.service());
    daemon.serve(LOGIND, Arc::new(login));
    let arguments = ["--collector.disable-defaults", "--collector.systemd", "--collector.logind"];
    let agent = agent(&daemon.address, &arguments);
    let held = || {
        let count = |what| fs::read_dir(format!("/proc/{}/{what}", agent.pid())).unwrap().count();
        (count("fd"), count("task"))
    };
    let scrape = || {
        let kinds = told(&agent, "node_systemd_unit_state");
        assert_eq!(kinds.len(), 5 * 300);
        assert_eq!(kinds.iter().filter(|line| line.contains("type=\"exec\"")).count(), 5 * 200);
    };
    (0..5).for_each(|_| scrape());
    // A busy machine may have cost the first scrapes a worker that has left since.
    let (descriptors, threads) = held();
    (0..100).for_each(|_| scrape());
    wait_for("no more descriptors and threads than after the first scrapes", || {
        let now = held();
        now.0 <= descriptors && now.1 <= threads
    });
}

#[test]
fn a_property_of_another_type_fails_the_collector_only() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(directory.path());
    let manager = every_kind();
    manager.tell("cron_2eservice", "Service.NRestarts", Variant::from("many"));
    daemon.serve(SYSTEMD, manager.service());
    let agent = agent(&daemon.address, &EVERYTHING);
    assert_eq!(success(&agent, "systemd"), Some(0.0));
    assert!(told(&agent, "node_systemd_units").len() == 7);
    agent.wait_for_log("cron.service: NRestarts is of an unexpected type");
}

#[test]
fn an_old_systemd_tells_less() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(directory.path());
    let manager = every_kind();
    manager.tell("", "Manager.Version", Variant::from("systemd 204"));
    manager.properties.lock().unwrap().retain(|(_, name), _| !name.ends_with("Virtualization"));
    daemon.serve(SYSTEMD, manager.service());
    let agent = agent(&daemon.address, &["--collector.systemd"]);
    let told = |prefix| told(&agent, prefix);
    assert_eq!(told("node_systemd_version"), ["node_systemd_version{version=\"systemd 204\"} 204"]);
    let unknown = "node_systemd_virtualization_info{virtualization_type=\"unknown\"} 1";
    assert_eq!(told("node_systemd_virtualization"), [unknown]);
    assert_eq!(told("node_systemd_system_running").len() + told("node_systemd_timer").len(), 0);
    assert_eq!(success(&agent, "systemd"), Some(1.0));
}

#[test]
fn root_asks_systemd_itself_where_there_is_no_bus() {
    inside("systemd::root_asks_systemd_itself_where_there_is_no_bus", || {
        ip("link set lo up");
        let run = tempfile::tempdir().unwrap();
        let mut bind = Command::new("mount");
        fs::create_dir_all("/run/systemd").unwrap();
        assert!(bind.arg("--bind").arg(run.path()).arg("/run/systemd").status().unwrap().success());
        bus::serve_socket(&run.path().join("private"), every_kind().service());
        let daemon = Daemon::start(run.path());
        for (address, flag) in [
            ("unix:path=/nowhere/at/all", "--no-collector.systemd.private"),
            // A bus without a systemd on it.
            (&*daemon.address, "--collector.systemd.private"),
        ] {
            let agent = agent(address, &["--collector.systemd", flag]);
            for _ in 0..3 {
                assert_eq!(told(&agent, "node_systemd_unit_state").len(), 5 * 7);
                assert_eq!(success(&agent, "systemd"), Some(1.0));
            }
            let open = || fs::read_dir(format!("/proc/{}/fd", agent.pid())).unwrap().count();
            let first = open();
            (0..20).for_each(|_| assert_eq!(told(&agent, "node_systemd_system_running").len(), 1));
            // The last request's connection may still be open, or have been before.
            wait_for("the descriptors of the first scrapes", || open() <= first);
        }
    });
}

/// A real systemd, for one user, whose socket takes the place of the system's.
fn start_systemd(run: &Path) -> Option<Program> {
    let mount = |what: &[&str]| Command::new("mount").args(what).status().unwrap().success();
    let is_ready = mount(&["-t", "tmpfs", "none", "/run"])
        // Some hosts have it in several hierarchies, which systemd does not take.
        && (Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
            || mount(&["-t", "cgroup2", "none", "/sys/fs/cgroup"]));
    if !is_ready {
        println!("left out: a systemd cannot be started here");
        return None;
    }
    fs::create_dir_all("/run/systemd/system").unwrap();
    let mut systemd = Program::start(
        Command::new("/lib/systemd/systemd")
            .arg("--user")
            .env("XDG_RUNTIME_DIR", run)
            .env("HOME", run)
            .env_remove("DBUS_SESSION_BUS_ADDRESS"),
    );
    let socket = run.join("systemd/private");
    wait_for("systemd", || socket.exists() || systemd.0.try_wait().unwrap().is_some());
    if !socket.exists() {
        println!("left out: systemd ended: {:?}", systemd.0.wait().unwrap());
        return None;
    }
    std::os::unix::fs::symlink(socket, "/run/systemd/private").unwrap();
    Some(systemd)
}

#[test]
fn a_real_systemd_over_its_own_socket() {
    let node_exporter = peers::node_exporter();
    inside("systemd::a_real_systemd_over_its_own_socket", || {
        ip("link set lo up");
        let run = tempfile::tempdir().unwrap();
        let Some(_systemd) = start_systemd(run.path()) else { return };
        let agent = agent("unix:path=/nowhere/at/all", &EVERYTHING);
        wait_for("units", || !told(&agent, "node_systemd_service_restart_total").is_empty());
        assert_eq!(success(&agent, "systemd"), Some(1.0));
        assert_eq!(told(&agent, "node_systemd_system_running").len(), 1);
        let version = Command::new("systemctl").arg("--version").output().unwrap();
        let version = String::from_utf8(version.stdout).unwrap();
        // systemd 252 (252.39-1~deb12u1)
        let (_, version) = version.split_once('(').unwrap();
        let (version, _) = version.split_once(')').unwrap();
        let series = format!("node_systemd_version{{version=\"{version}\"}} ");
        assert!(told(&agent, &series).len() == 1, "{:?}", told(&agent, "node_systemd_version"));
        let Some(node_exporter) = &node_exporter else { return };
        let port = peers::free_port();
        let _peer = Program::start(
            Command::new(node_exporter)
                .args(EVERYTHING)
                .arg(format!("--web.listen-address=127.0.0.1:{port}"))
                .env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nowhere/at/all"),
        );
        wait_for("node_exporter", || peers::get(port, "/metrics").is_some());
        let skip = "^(go_|hostwarden_|promhttp_|process_|node_exporter_build_info|.*_duration_)";
        // systemd forgets units that nobody needs, whenever it has time.
        peers::assert_soon_equal(port, &agent, &["--skip", skip], 50);
    });
}

/// A logind with sessions of several kinds, one of which ends while it is looked at.
fn login(call: &Message) -> Option<Message> {
    const SESSIONS: [(&str, &str, bool, &str, &str); 6] = [
        ("1", "seat0", false, "x11", "user"),
        ("2", "", true, "tty", "user"),
        ("3", "", true, "tty", "user"),
        ("4", "seat9", false, "tty", "user"),
        ("5", "seat0", false, "hologram", "manager"),
        ("6", "seat0", false, "tty", "greeter"),
    ];
    let session = |id: &str| format!("/org/freedesktop/login1/session/_3{id}");
    match &*bus::member(call) {
        "ListSeats" => {
            let seat = |name| (name, object("/org/freedesktop/login1/seat/any"));
            Some(returns(call, &vec![seat("seat0"), seat("seat1")]))
        }
        "ListSessions" => {
            let paths: Vec<String> = SESSIONS.iter().map(|(id, ..)| session(id)).collect();
            let sessions: Vec<_> = SESSIONS
                .iter()
                .zip(&paths)
                .map(|((id, seat, ..), path)| (*id, 1000u32, "somebody", *seat, object(path)))
                .collect();
            Some(returns(call, &sessions))
        }
        "Get" => {
            let path = bus::path(call);
            let (_, _, remote, kind, class) =
                SESSIONS.into_iter().find(|(id, ..)| session(id) == path)?;
            let value = match &*bus::property(call) {
                "org.freedesktop.login1.Session.Remote" => Variant::from(remote),
                "org.freedesktop.login1.Session.Type" => Variant::from(kind),
                // Too late for the last one.
                "org.freedesktop.login1.Session.Class" if class == "greeter" => {
                    return Some(refuses(call));
                }
                "org.freedesktop.login1.Session.Class" => Variant::from(class),
                _ => return Some(refuses(call)),
            };
            Some(returns_variant(call, &value))
        }
        _ => Some(refuses(call)),
    }
}

#[test]
fn sessions_by_seat_and_kind() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(directory.path());
    let is_hung = Arc::new(AtomicBool::new(false));
    let hung = Arc::clone(&is_hung);
    daemon.serve(
        LOGIND,
        Arc::new(move |call| if hung.load(Ordering::Relaxed) { None } else { login(call) }),
    );
    let arguments = ["--collector.logind", "--web.scrape-timeout=1s"];
    let agent = agent(&daemon.address, &arguments);
    let lines = told(&agent, "node_logind_sessions");
    assert_eq!(lines.len(), 3 * 2 * 7 * 5);
    let mut with_sessions = lines.iter().filter(|line| !line.ends_with(" 0"));
    for expected in [
        "{class=\"other\",remote=\"false\",seat=\"seat0\",type=\"other\"} 1",
        "{class=\"user\",remote=\"false\",seat=\"seat0\",type=\"x11\"} 1",
        "{class=\"user\",remote=\"true\",seat=\"\",type=\"tty\"} 2",
    ] {
        assert!(with_sessions.any(|line| line.ends_with(expected)), "{expected} in {lines:#?}");
    }
    assert_eq!(lines.iter().filter(|line| !line.ends_with(" 0")).count(), 3);
    assert_eq!(success(&agent, "logind"), Some(1.0));
    is_hung.store(true, Ordering::Relaxed);
    assert_eq!(success(&agent, "logind"), Some(0.0));
    is_hung.store(false, Ordering::Relaxed);
    wait_for("sessions", || success(&agent, "logind") == Some(1.0));
}
