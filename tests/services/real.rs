//! Apache and nginx of Debian's packages, started for a test on loopback.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tempfile::TempDir;

use crate::agent::{free_port, wait_for};

/// A server and its processes, which end with the test.
pub(crate) struct Server {
    child: Child,
    directory: TempDir,
}

/// What any configuration of Apache needs here.
const APACHE_MODULES: [&str; 3] = ["authz_core", "authz_host", "status"];

/// Apache with this processing module; `config` may name `DIR`, the server's own folder.
pub(crate) fn apache(mpm: &str, modules: &[&str], config: &str) -> Server {
    let directory = folder();
    let mpm = format!("mpm_{mpm}");
    let modules: String = std::iter::once(mpm.as_str())
        .chain(APACHE_MODULES)
        .chain(modules.iter().copied())
        .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
        .collect();
    let base = "ServerRoot DIR\nDefaultRuntimeDir DIR\nPidFile DIR/pid\nErrorLog DIR/error.log\n\
        ServerName localhost\nUser www-data\nGroup www-data\n\
        <Location /server-status>\nSetHandler server-status\n</Location>\n";
    let text = format!("{modules}{base}{config}\n");
    let path = write(directory.path(), "apache.conf", &text);
    let mut command = Command::new("apache2");
    command.args(["-D", "FOREGROUND", "-f", &path]);
    Server::start(command, directory)
}

/// nginx with these servers; `config` may name `DIR`, the server's own folder.
pub(crate) fn nginx(config: &str) -> Server {
    let directory = folder();
    let text = format!(
        "daemon off;\nuser www-data;\npid DIR/pid;\nerror_log DIR/error.log;\nworker_processes 1;\n\
         events {{ worker_connections 64; }}\nhttp {{\naccess_log off;\n{config}\n}}\n"
    );
    let path = write(directory.path(), "nginx.conf", &text);
    let mut command = Command::new("nginx");
    command.args(["-c", &path, "-e"]).arg(directory.path().join("error.log"));
    Server::start(command, directory)
}

/// Both servers with a status page each, and the agent's flags to read them.
pub(crate) fn both() -> ([Server; 2], Vec<String>) {
    let ports = [free_port(), free_port()];
    let apache = apache("event", &[], &format!("Listen 127.0.0.1:{}", ports[0]));
    let nginx = nginx(&format!(
        "server {{ listen 127.0.0.1:{}; location /stub_status {{ stub_status; }} }}",
        ports[1]
    ));
    let flags = [
        "--collector.apache".to_owned(),
        format!("--collector.apache.scrape-uri=http://127.0.0.1:{}/server-status?auto", ports[0]),
        "--collector.nginx".to_owned(),
        format!("--collector.nginx.scrape-uri=http://127.0.0.1:{}/stub_status", ports[1]),
    ];
    ([apache, nginx], flags.to_vec())
}

/// One that the servers' own user may enter.
pub(crate) fn folder() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let everybody = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(directory.path(), everybody).unwrap();
    directory
}

fn write(directory: &Path, name: &str, text: &str) -> String {
    let path = directory.join(name);
    std::fs::write(&path, text.replace("DIR", directory.to_str().unwrap())).unwrap();
    path.to_str().unwrap().to_owned()
}

impl Server {
    fn start(mut command: Command, directory: TempDir) -> Self {
        command.process_group(0).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        let mut server = Self { child, directory };
        // Both write it when they listen.
        wait_for("a server that listens", || {
            let ended = server.child.try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?}: {}", server.log());
            server.path("pid").exists()
        });
        server
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("error.log")).unwrap_or_default()
    }

    /// Sends a signal to all of the server's processes.
    pub(crate) fn signal_all(&self, signal: Signal) {
        kill_process_group(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its children are its own to end; those that are stopped cannot.
        let pid = Pid::from_child(&self.child);
        let _ = kill_process_group(pid, Signal::CONT);
        let _ = kill_process(pid, Signal::TERM);
        let _ = self.child.wait();
    }
}
