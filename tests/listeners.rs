//! Addresses of every kind, sockets from systemd, and what systemd is told.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use crate::agent::{Agent, BINARY, PATIENCE, run, wait_for};

const ONE: [&str; 2] = ["--collector.disable-defaults", "--collector.loadavg"];

/// Whether metrics come by the Unix socket.
fn is_served(socket: &Path) -> bool {
    let output = Command::new("curl")
        .args(["--silent", "--max-time", "20", "--unix-socket"])
        .arg(socket)
        .arg("http://localhost/metrics")
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).contains("\nnode_load1 ")
}

fn unix(path: &Path, more: &str) -> String {
    format!("--web.listen-address=unix:{}{more}", path.display())
}

#[test]
fn a_unix_socket_has_its_mode_and_goes_with_the_agent() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = ["one", "two"].map(|name| folder.path().join(name));
    // A leftover that nobody listens on any more.
    drop(UnixListener::bind(&one).unwrap());
    let mut agent = Agent::start(&[ONE[0], ONE[1], &unix(&one, ""), &unix(&two, ",mode=0606")]);
    agent.wait_for_log(&format!("address=unix:{}", two.display()));
    for (path, mode) in [(&one, 0o660), (&two, 0o606)] {
        let metadata = fs::symlink_metadata(path).unwrap();
        assert!(metadata.file_type().is_socket());
        assert_eq!(metadata.permissions().mode() & 0o777, mode);
        assert!(is_served(path));
    }
    let output = run(&[ONE[0], ONE[1], &unix(&one, "")]);
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(log.contains("bind: address already in use"), "{log}");
    assert!(is_served(&one), "the one who came second took nothing away");
    agent.signal(Signal::TERM);
    assert_eq!(agent.wait(), Some(0));
    assert!(!one.exists() && !two.exists());

    fs::write(&one, "no socket").unwrap();
    assert_eq!(run(&[ONE[0], ONE[1], &unix(&one, "")]).status.code(), Some(1));
    assert_eq!(fs::read_to_string(&one).unwrap(), "no socket");
}

/// A guest's own address; nobody but its host can come by it.
#[test]
fn a_guest_listens_for_its_host() {
    if !Path::new("/dev/vsock").exists() {
        return eprintln!("left out: this is no guest with vsock");
    }
    let agent = Agent::start(&[ONE[0], ONE[1], "--web.listen-address=vsock://any:39158"]);
    agent.wait_for_log("msg=\"Listening on\" address=vm(");
    assert!(agent.log().contains("):39158\n"), "{}", agent.log());
}

/// Opens sockets as systemd would, at descriptors 3 and 4, and becomes the agent.
const ACTIVATE: &str = "
import os, socket, sys
tcp = socket.create_server(('127.0.0.1', 0))
unix = socket.socket(socket.AF_UNIX)
unix.bind(sys.argv[1])
unix.listen()
for number, one in ((10, tcp), (11, unix)):
    os.dup2(one.fileno(), number)
for number in (3, 4):
    os.dup2(number + 7, number)
os.closerange(5, 20)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='2')
os.execv(sys.argv[2], sys.argv[2:])
";

#[test]
fn sockets_of_systemd_take_the_place_of_all_addresses() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let mut command = Command::new("python3");
    command.args(["-c", ACTIVATE]).arg(&path).arg(BINARY).args(ONE);
    command.args(["--web.systemd-socket", "--web.listen-address=127.0.0.1:1"]);
    let mut agent = Agent::spawn(&mut command);
    assert!(agent.get("/metrics").sample("node_load1").is_some());
    agent.wait_for_log(&format!("address=unix:{}", path.display()));
    assert!(is_served(&path));
    let log = agent.log();
    assert!(log.contains("Listening on systemd activated listeners"), "{log}");
    assert!(!log.contains("address=127.0.0.1:1\n"), "{log}");
    agent.signal(Signal::TERM);
    assert_eq!(agent.wait(), Some(0));
    assert!(path.exists(), "the file is systemd's");

    let output = run(&["--web.systemd-socket"]);
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(log.contains("no socket activation file descriptors found"), "{log}");
}

#[test]
fn systemd_is_told_what_the_agent_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = Command::new(BINARY);
    command.args(ONE).arg("--web.listen-address=127.0.0.1:0");
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "200000");
    let mut agent = Agent::spawn(&mut command);
    // The next message that is not the watchdog's, and whether that was fed before it.
    let next = || {
        let mut was_fed = false;
        loop {
            let mut message = [0; 256];
            let length = socket.recv(&mut message).unwrap();
            let message = String::from_utf8_lossy(&message[..length]).into_owned();
            if message != "WATCHDOG=1\n" {
                return (message, was_fed);
            }
            was_fed = true;
        }
    };
    assert_eq!(next(), ("READY=1\n".to_owned(), false));
    let mut fed = [0; 64];
    assert!(socket.recv(&mut fed).is_ok() && fed.starts_with(b"WATCHDOG=1"));
    agent.signal(Signal::HUP);
    let (reloading, _) = next();
    let time = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
    assert!(time.trim().parse::<u64>().is_ok(), "{reloading}");
    assert_eq!(next().0, "READY=1\n");
    agent.signal(Signal::TERM);
    assert_eq!(next().0, "STOPPING=1\n");
    assert_eq!(agent.wait(), Some(0));
}

/// Whoever starts a new agent before the old one has ended finds its own socket there afterwards.
#[test]
fn an_agent_takes_only_its_own_socket_away() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let mut agent = Agent::start(&[ONE[0], ONE[1], &unix(&path, "")]);
    wait_for("the socket", || path.exists());
    fs::remove_file(&path).unwrap();
    let _other = UnixListener::bind(&path).unwrap();
    agent.signal(Signal::TERM);
    assert_eq!(agent.wait(), Some(0));
    assert!(path.exists());
}
