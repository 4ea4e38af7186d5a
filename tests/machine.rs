//! Real machines: Debian with systemd in containers, each in a network namespace of its own.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::agent::{BINARY, wait_for};

/// A port and secrets from systemd.
mod activated;
/// From an empty server to a green target, and all that happens to it afterwards.
mod deployed;
/// In the place of node_exporter, in a tree made for that.
mod fetched;
/// One master for all servers, and a Prometheus that finds them.
mod mastered;
/// From node_exporter and a vhost to the agent.
mod migrated;
/// What a release's own packages do to a machine.
mod released;
/// What the unit's hardening takes from the collectors: nothing.
mod sandboxed;

/// The address of the first machine on the link between two.
pub(crate) const FIRST: &str = "10.99.0.1";
/// That of the second.
pub(crate) const SECOND: &str = "10.99.0.2";

/// A booted machine; it is gone with the test.
pub(crate) struct Machine {
    /// What it is called in its test, and as a minion.
    role: &'static str,
    name: String,
    folder: tempfile::TempDir,
    groups: Vec<PathBuf>,
    nspawn: Child,
    /// The container's first process.
    leader: String,
}

impl Machine {
    pub(crate) fn boot(role: &'static str) -> Self {
        // Tests that run beside this one boot machines of the same role.
        static BOOTED: AtomicU32 = AtomicU32::new(0);
        let number = BOOTED.fetch_add(1, Relaxed);
        let name = format!("hw{}n{number}{role}", std::process::id());
        let folder = tempfile::tempdir().unwrap();
        for layer in ["upper", "work", "root"] {
            std::fs::create_dir(folder.path().join(layer)).unwrap();
        }
        let path = |layer: &str| folder.path().join(layer).display().to_string();
        let layers = format!(
            "lowerdir={},upperdir={},workdir={}",
            tree().display(),
            path("upper"),
            path("work")
        );
        run("mount", ["-t", "overlay", "overlay", "-o", &layers, &path("root")]);
        run("ip", ["netns", "add", &name]);
        run("ip", ["-n", &name, "link", "set", "lo", "up"]);
        let salt = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/salt");
        // The control groups of one machine are not those of another.
        let groups = control_groups(&name);
        let enter =
            groups.iter().map(|group| format!("echo $$ > {}/cgroup.procs;", group.display()));
        let enter: String = enter.chain(["exec \"$@\"".to_owned()]).collect();
        let nspawn = Command::new("sh")
            .args(["-c", &enter, "sh", "systemd-nspawn"])
            .args(["--quiet", "--register=no", "--keep-unit", "--boot", "--console=pipe"])
            // The network namespace is the machine's own, though nspawn did not make it.
            .args(["--capability=CAP_NET_ADMIN,CAP_PERFMON", "--resolv-conf=off"])
            .arg(format!("--directory={}", path("root")))
            .arg(format!("--network-namespace-path=/run/netns/{name}"))
            .arg(format!("--machine={name}"))
            .arg(format!("--bind-ro={salt}:/srv/salt"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut machine = Self { role, name, folder, groups, nspawn, leader: String::new() };
        machine.write("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n");
        wait_for("the container's first process", || machine.find_leader());
        wait_for("a booted machine", || {
            let state = machine.try_sh("systemctl is-system-running");
            matches!(state.trim(), "running" | "degraded")
        });
        machine
    }

    /// Of nspawn's children, the one that is process 1 of its own namespace.
    fn find_leader(&mut self) -> bool {
        let read = |path: String| std::fs::read_to_string(path).unwrap_or_default();
        let pid = self.nspawn.id();
        let children = read(format!("/proc/{pid}/task/{pid}/children"));
        let leader = children.split_whitespace().find(|child| {
            let status = read(format!("/proc/{child}/status"));
            status.lines().any(|line| line.starts_with("NSpid:") && line.ends_with("\t1"))
        });
        self.leader = leader.unwrap_or_default().to_owned();
        !self.leader.is_empty()
    }

    /// A link between the two, with [`FIRST`] and [`SECOND`] at its ends.
    pub(crate) fn connect(&self, other: &Self) {
        run(
            "ip",
            [
                "-n",
                &self.name,
                "link",
                "add",
                "eth0",
                "type",
                "veth",
                "peer",
                "eth0",
                "netns",
                &other.name,
            ],
        );
        for (machine, address) in [(self, FIRST), (other, SECOND)] {
            let address = format!("{address}/24");
            run("ip", ["-n", &machine.name, "address", "add", &address, "dev", "eth0"]);
            run("ip", ["-n", &machine.name, "link", "set", "eth0", "up"]);
        }
    }

    fn shell(&self, script: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args([
                "--target",
                &self.leader,
                "--mount",
                "--uts",
                "--ipc",
                "--net",
                "--pid",
                "--root",
                "--wd",
            ])
            .args(["env", "-i", "LANG=C.UTF-8", "HOME=/root"])
            .arg("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .args(["sh", "-c", script]);
        command
    }

    /// What a shell in the machine says and how it ends.
    pub(crate) fn output(&self, script: &str) -> Output {
        self.shell(script).output().unwrap()
    }

    /// What a shell in the machine prints, whatever comes of it.
    pub(crate) fn try_sh(&self, script: &str) -> String {
        String::from_utf8_lossy(&self.output(script).stdout).into_owned()
    }

    /// What a shell in the machine prints; it must end well.
    pub(crate) fn sh(&self, script: &str) -> String {
        let output = self.output(script);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}\n{text}{complaint}\n{}", self.journal());
        text
    }

    fn journal(&self) -> String {
        self.try_sh("journalctl --quiet --no-pager --lines=40 --output=cat")
    }

    /// A file in the machine.
    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join("root").join(path.trim_start_matches('/'))
    }

    /// Prometheus' answer, on the machine where it runs.
    pub(crate) fn api(&self, what: &str, query: &str) -> String {
        self.write("/srv/query", query);
        self.try_sh(&format!(
            "curl -s --data-urlencode query@/srv/query localhost:9090/api/v1/{what}"
        ))
    }

    /// The value of a query that gives one series, or nothing yet.
    pub(crate) fn query(&self, query: &str) -> Option<f64> {
        let answer = self.api("query", query);
        let (_, value) = answer.split_once("\"value\":[")?;
        value.split('"').nth(1)?.parse().ok()
    }

    /// Makes the machine a minion without a master, with the formula and this pillar.
    pub(crate) fn set_pillar(&self, pillar: &str) {
        let config = format!(
            "id: {}\nfile_client: local\nfile_roots: {{base: [/srv/salt, /srv/release]}}\n\
             pillar_roots: {{base: [/srv/pillar]}}\nlog_level_logfile: quiet\n",
            self.role
        );
        self.write("/etc/salt/minion", config);
        self.write("/srv/pillar/top.sls", "base: {'*': [all]}\n");
        self.write("/srv/pillar/all.sls", pillar);
        self.sh("salt-call saltutil.sync_modules");
    }

    /// Applies states with this pillar, as `salt-call --local` does.
    pub(crate) fn salt(&self, states: &str, pillar: &str) -> Applied {
        self.set_pillar(pillar);
        self.apply(&format!("salt-call --retcode-passthrough --no-color state.apply {states}"))
    }

    /// Runs a script that applies states.
    pub(crate) fn apply(&self, script: &str) -> Applied {
        let output = self.output(script);
        let text = [output.stdout, output.stderr].concat();
        Applied { text: String::from_utf8_lossy(&text).into_owned() }
    }

    /// Has the machine's Prometheus, once started, show soon what there is.
    pub(crate) fn scrape_every_second(&self) {
        self.sh(
            "sed -i 's/scrape_interval:.*/scrape_interval: 1s/;s/scrape_timeout:.*/scrape_timeout: 1s/' /etc/prometheus/prometheus.yml",
        );
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // All of the machine ends with its first process, and nspawn when nothing is left.
        let ended = Command::new("kill").args(["-KILL", &self.leader]).status();
        if !ended.is_ok_and(|status| status.success()) {
            let _ = self.nspawn.kill();
        }
        let _ = self.nspawn.wait();
        let _ = Command::new("umount").arg("--lazy").arg(self.path("/")).status();
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).status();
        let _ = std::fs::remove_dir_all(format!("/run/systemd/nspawn/propagate/{}", self.name));
        for group in &self.groups {
            let _ = Command::new("find")
                .arg(group)
                .args(["-depth", "-type", "d", "-exec", "rmdir", "{}", ";"])
                .stderr(Stdio::null())
                .status();
        }
    }
}

/// A control group of that name in each hierarchy where systemd keeps its own.
fn control_groups(name: &str) -> Vec<PathBuf> {
    let hierarchies = ["/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"];
    let hierarchies = hierarchies.iter().map(Path::new);
    let hierarchies = hierarchies.filter(|path| path.join("cgroup.procs").exists());
    let groups: Vec<PathBuf> = hierarchies.map(|path| path.join(name)).collect();
    for group in &groups {
        std::fs::create_dir(group).unwrap();
    }
    groups
}

/// How a run of Salt went, on one minion or several.
#[derive(Debug)]
pub(crate) struct Applied {
    text: String,
}

impl Applied {
    /// What follows this on closing lines, of which each minion has its own: `Failed:     0`.
    fn closing<'a>(&'a self, begin: &'a str) -> impl Iterator<Item = &'a str> {
        self.text.lines().filter_map(move |line| line.strip_prefix(begin))
    }

    /// Which minions came to an end, in alphabetical order.
    pub(crate) fn minions(&self) -> Vec<&str> {
        let mut minions: Vec<&str> = self.closing("Summary for ").collect();
        minions.sort_unstable();
        minions
    }

    /// How many states changed something, when none failed.
    pub(crate) fn changed(&self) -> u32 {
        let failed = self.told(|state| state.contains("Result: False"));
        assert_eq!(self.failed(), 0, "{failed}");
        // Succeeded: 12 (changed=3)
        let changed = self.closing("Succeeded:").filter_map(|line| line.split_once("changed="));
        changed.map(|(_, rest)| self.number(rest)).sum()
    }

    pub(crate) fn failed(&self) -> u32 {
        assert!(!self.minions().is_empty(), "{}", self.text);
        self.closing("Failed:").map(|rest| self.number(rest)).sum()
    }

    fn number(&self, text: &str) -> u32 {
        let digits = text.trim_start();
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        digits[..end].parse().unwrap_or_else(|_| panic!("{}", self.text))
    }

    /// Asserts that nothing was changed: what a second run is to do.
    pub(crate) fn assert_nothing_changed(&self) {
        let changed = self.told(|state| state.contains("----------\n              "));
        assert_eq!(self.changed(), 0, "{changed}");
    }

    /// What Salt says of the states that are asked for.
    fn told(&self, is_asked_for: impl Fn(&str) -> bool) -> String {
        let states = self.text.split("----------\n          ID: ");
        states.filter(|state| is_asked_for(state)).collect()
    }
}

/// The lower layer of all machines, made once for each build folder.
fn tree() -> &'static Path {
    static TREE: OnceLock<PathBuf> = OnceLock::new();
    TREE.get_or_init(|| {
        let tree = Path::new(env!("CARGO_TARGET_TMPDIR")).join("machine");
        if !tree.is_dir() {
            run(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/machine/tree"), [&tree]);
        }
        tree
    })
}

/// Lays a release of two versions beside the formula, as salt://packages.
pub(crate) fn publish(machine: &Machine) {
    static RELEASE: OnceLock<PathBuf> = OnceLock::new();
    let release = RELEASE.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("release");
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let stripped = folder.join("hostwarden");
        run("strip", [OsStr::new("-o"), stripped.as_ref(), BINARY.as_ref()]);
        for version in ["0.1.0", "0.2.0"] {
            for maker in ["packaging/deb", "packaging/tarball"] {
                let maker = Path::new(env!("CARGO_MANIFEST_DIR")).join(maker);
                run(maker, [stripped.as_ref(), OsStr::new(version), folder.as_ref()]);
            }
        }
        let sums = format!("cd {} && sha256sum *.deb *.tar.gz > sha256sums.txt", folder.display());
        run("sh", ["-c", &sums]);
        folder
    });
    let packages = machine.path("/srv/release/packages");
    std::fs::create_dir_all(packages.parent().unwrap()).unwrap();
    run("cp", [OsStr::new("-r"), release.as_ref(), packages.as_ref()]);
}

/// One self-signed certificate for all servers, as this project's first user has it: a pillar's part.
pub(crate) fn certificate(machine: &Machine) -> String {
    machine.sh(
        "cd /tmp && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
         -subj /CN=agent -addext subjectAltName=DNS:agent -keyout key -out cert 2> openssl.log",
    );
    let indented = |file: &str| machine.sh(&format!("sed 's/^/      /' /tmp/{file}"));
    format!("    certificate: |\n{}    key: |\n{}", indented("cert"), indented("key"))
}

/// That certificate as the server's part of the pillar has it.
pub(crate) fn authority(tls: &str) -> String {
    tls.split("    key: |").next().unwrap().replace("    certificate: |", "    ca: |")
}

/// What the README tells to type in this section, one shell script a block.
pub(crate) fn told_by_the_readme(section: &str) -> Vec<String> {
    let readme =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let (_, section) = readme.split_once(&format!("\n## {section}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let blocks = section.split("```sh\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

pub(crate) fn run<S: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = S>,
) {
    let program = program.as_ref();
    let output = Command::new(program).args(arguments).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {complaint}", program.display());
}
