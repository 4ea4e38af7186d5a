//! File systems that are really mounted, in a mount namespace of the test's own: one that hangs, and
//! btrfs and XFS on loop devices.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use hostwarden::host::Paths;

use crate::agent::{Agent, wait_for};
use crate::fuse::{self, Silent};
use crate::harness::Running;
use crate::namespace::{inside, ip};
use crate::peers::{self, Program};

/// A directory to mount things in, and a procfs whose first process is whoever reads it: the real
/// one does not see the namespace.
struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let first = directory.path().join("proc/1");
        fs::create_dir_all(&first).unwrap();
        symlink("/proc/self/mountinfo", first.join("mountinfo")).unwrap();
        Self { directory }
    }

    fn proc(&self) -> PathBuf {
        self.directory.path().join("proc")
    }

    fn paths(&self) -> Paths {
        Paths { proc: self.proc(), ..Paths::default() }
    }

    /// A new directory in it.
    fn directory(&self, name: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// The flag that keeps the collector to what is mounted here.
    fn only(&self) -> String {
        format!("^{}/", self.directory.path().display())
    }

    /// What a real node_exporter says of the place, if there is one.
    fn node_exporter(&self, collector: &str, flags: &[&str]) -> Option<String> {
        let program = peers::node_exporter()?;
        ip("link set lo up");
        let port = peers::free_port();
        let _peer = Program::start(
            Command::new(program)
                .arg(format!("--web.listen-address=127.0.0.1:{port}"))
                .arg(format!("--path.procfs={}", self.proc().display()))
                .arg("--collector.disable-defaults")
                .arg(format!("--collector.{collector}"))
                .args(flags),
        );
        wait_for("node_exporter", || peers::get(port, "/metrics").is_some());
        peers::get(port, "/metrics")
    }
}

/// The samples of a collector in an exposition.
fn samples(exposition: &str, prefix: &str) -> Vec<String> {
    exposition.lines().filter(|line| line.starts_with(prefix)).map(str::to_owned).collect()
}

fn assert_same(ours: &[String], theirs: &[String]) {
    let without = |these: &[String], others: &[String]| -> Vec<String> {
        these.iter().filter(|line| !others.contains(line)).cloned().collect()
    };
    let (extra, missing) = (without(ours, theirs), without(theirs, ours));
    assert!(extra.is_empty() && missing.is_empty(), "{extra:#?}\nnot\n{missing:#?}");
}

fn run(command: &str, arguments: &[&str]) {
    let output = Command::new(command).args(arguments).output().unwrap();
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command} {arguments:?}: {failed}");
}

fn mount(arguments: &[&str], at: &Path) {
    run("mount", &[arguments, &[at.to_str().unwrap()]].concat());
}

#[test]
fn sizes_and_options_of_mounts_of_many_kinds() {
    // Fetched where there is a network.
    let _ = peers::node_exporter();
    inside("mounts::sizes_and_options_of_mounts_of_many_kinds", || {
        let place = Place::new();
        let tmpfs = ["-t", "tmpfs", "-o", "size=1m,nr_inodes=100", "some tmpfs"];
        let plain = place.directory("plain");
        mount(&tmpfs, &plain);
        fs::write(plain.join("file"), vec![0; 100_000]).unwrap();
        let plain = plain.to_str().unwrap();
        mount(&["--bind", plain], &place.directory("bound"));
        let bound = place.directory("bound-ro");
        mount(&["--bind", plain], &bound);
        mount(&["-o", "remount,bind,ro"], &bound);
        mount(&["-t", "tmpfs", "-o", "ro", "none"], &place.directory("readonly"));
        for name in ["with space\tand tab", "back\\slash", "new\nline", "umlaut-\u{fc}"] {
            mount(&tmpfs, &place.directory(name));
        }
        let twice = place.directory("twice");
        mount(&["-t", "tmpfs", "-o", "size=2m", "tmpfs"], &twice);
        mount(&["-t", "tmpfs", "-o", "size=3m", "tmpfs"], &twice);
        let file = place.directory.path().join("file");
        fs::write(&file, "").unwrap();
        mount(&["--bind", &format!("{plain}/file")], &file);
        // On a disk that others write to its free space would change.
        mount(&tmpfs, &place.directory("layers"));
        let layer = |name| place.directory(&format!("layers/{name}"));
        let layers = ["lower", "upper", "work"].map(layer);
        let [lower, upper, work] = layers.each_ref().map(|layer| layer.display());
        let options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
        mount(&["-t", "overlay", "-o", &options, "overlay"], &place.directory("merged"));

        let only = place.only();
        let mut collector = Running::try_start(
            "filesystem",
            &[
                ("collector.filesystem.mount-points-include", &only),
                ("collector.filesystem.fs-types-exclude", "^proc$"),
            ],
            &place.paths(),
        )
        .unwrap();
        let told = collector.scrape().good();
        let at = place.directory.path().display().to_string();
        for (family, device, error, fstype, name, value) in [
            ("size_bytes", "some tmpfs", "", "tmpfs", "plain", "1.048576e+06"),
            ("files", "some tmpfs", "", "tmpfs", "plain", "100"),
            ("files_free", "some tmpfs", "", "tmpfs", "plain", "98"),
            ("free_bytes", "some tmpfs", "", "tmpfs", "bound", "946176"),
            ("avail_bytes", "some tmpfs", "", "tmpfs", "file", "946176"),
            ("readonly", "some tmpfs", "", "tmpfs", "bound", "0"),
            ("readonly", "some tmpfs", "", "tmpfs", "bound-ro", "1"),
            ("readonly", "none", "", "tmpfs", "readonly", "1"),
            ("device_error", "some tmpfs", "", "tmpfs", "with space\tand tab", "0"),
            ("device_error", "some tmpfs", "", "tmpfs", "umlaut-\u{fc}", "0"),
            // As the kernel escapes them, and nobody undoes that.
            ("device_error", "some tmpfs", NO_FILE, "tmpfs", "back\\\\134slash", "1"),
            ("device_error", "some tmpfs", NO_FILE, "tmpfs", "new\\\\012line", "1"),
            ("size_bytes", "tmpfs", "", "tmpfs", "twice", "3.145728e+06"),
            ("device_error", "overlay", "", "overlay", "merged", "0"),
        ] {
            let device = device.replace(' ', "\\\\040");
            let line = format!(
                "node_filesystem_{family}{{device=\"{device}\",device_error=\"{error}\",\
                 fstype=\"{fstype}\",mountpoint=\"{at}/{name}\"}} {value}"
            );
            assert!(told.contains(&line), "{line}\nis not in {told:#?}");
        }
        let flags = [
            &format!("--collector.filesystem.mount-points-include={only}"),
            "--collector.filesystem.fs-types-exclude=^proc$",
        ];
        if let Some(theirs) = place.node_exporter("filesystem", &flags) {
            // Up to 1.11.1 it overlooks most options.
            let without_readonly = |lines: Vec<String>| -> Vec<String> {
                lines.into_iter().filter(|line| !line.contains("_readonly{")).collect()
            };
            let theirs = without_readonly(samples(&theirs, "node_filesystem_"));
            assert_same(&without_readonly(told), &theirs);
        }
    });
}

const NO_FILE: &str = "no such file or directory";

/// The lines about one of them.
fn about<'a>(exposition: &'a str, what: &'a str) -> impl Iterator<Item = &'a str> {
    exposition.lines().filter(move |line| line.contains(what))
}

#[test]
fn a_mount_that_hangs_costs_one_thread_and_its_own_samples_and_is_told_when_it_answers() {
    inside(
        "mounts::a_mount_that_hangs_costs_one_thread_and_its_own_samples_and_is_told_when_it_answers",
        || {
            ip("link set lo up");
            let place = Place::new();
            // By its name it is asked first.
            let at = place.directory("a silent one");
            let Some(silent) = Silent::mount(&at) else {
                println!("left out: this machine has no FUSE");
                return;
            };
            mount(&["-t", "tmpfs", "-o", "size=1m", "lively"], &place.directory("lively"));
            let agent = Agent::start(&[
                &format!("--path.procfs={}", place.proc().display()),
                "--collector.disable-defaults",
                "--collector.filesystem",
                "--collector.loadavg",
                &format!("--collector.filesystem.mount-points-include={}", place.only()),
                "--collector.filesystem.mount-timeout=1s",
            ]);
            let threads = || fs::read_dir(format!("/proc/{}/task", agent.pid())).unwrap().count();
            for _ in 0..50 {
                let said = agent.get("/metrics").text();
                let hangs: Vec<&str> = about(&said, "fstype=\"fuse\"").collect();
                assert!(
                    hangs.iter().all(|line| line.contains("device_error=\"mountpoint timeout\""))
                );
                assert!(
                    hangs[0].starts_with("node_filesystem_device_error")
                        && hangs[0].ends_with(" 1")
                );
                assert!(
                    hangs[1].starts_with("node_filesystem_readonly") && hangs[1].ends_with(" 0")
                );
                assert_eq!(hangs.len(), 2, "{hangs:#?}");
                assert_eq!(about(&said, "device=\"lively\"").count(), 9, "{said}");
                assert_eq!(
                    about(&said, "collector_success{").filter(|line| line.ends_with(" 1")).count(),
                    1
                );
                // The async thread, one for collectors, one for mounts, and the one that hangs.
                wait_for("four threads", || threads() == 4);
            }
            silent.answer();
            let size = f64::from(fuse::BLOCK_SIZE) * fuse::BLOCKS as f64;
            let series = format!(
                "node_filesystem_size_bytes{{device=\"silent\",device_error=\"\",fstype=\"fuse\",mountpoint=\"{}\"}}",
                at.display()
            );
            wait_for("its size", || agent.get("/metrics").sample(&series) == Some(size));
            wait_for("three threads", || threads() == 3);
        },
    );
}

#[test]
fn the_scrapes_deadline_counts_for_mounts_too() {
    inside("mounts::the_scrapes_deadline_counts_for_mounts_too", || {
        let place = Place::new();
        let at = place.directory("silent");
        let Some(silent) = Silent::mount(&at) else {
            println!("left out: this machine has no FUSE");
            return;
        };
        mount(&["-t", "tmpfs", "lively"], &place.directory("lively"));
        let flags = [
            ("collector.filesystem.mount-points-include", &*place.only()),
            ("collector.filesystem.mount-timeout", "1h"),
        ];
        let mut collector = Running::try_start("filesystem", &flags, &place.paths()).unwrap();
        let began = Instant::now();
        let told = collector.scrape_within(Duration::from_secs(2)).good().join("\n");
        assert!(began.elapsed() < Duration::from_secs(30));
        assert_eq!(about(&told, "device_error=\"mountpoint timeout\"").count(), 2, "{told}");
        assert_eq!(about(&told, "device=\"lively\"").count(), 9, "{told}");
        // A connection that breaks off lets everybody go, with an error.
        drop(silent);
        wait_for("the end of the connection", || {
            let told = collector.scrape().good().join("\n");
            about(&told, "device_error=\"transport endpoint is not connected\"").count() == 2
        });
    });
}

/// A file as a block device, let go at the end.
struct Loop {
    device: String,
    _file: tempfile::NamedTempFile,
}

impl Loop {
    /// Nothing where the machine has none to spare.
    fn new(megabytes: u64) -> Option<Self> {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(megabytes * 1024 * 1024).unwrap();
        let output = Command::new("losetup").args(["--find", "--show"]).arg(file.path()).output();
        let output = output.ok().filter(|output| output.status.success())?;
        let device = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        Some(Self { device, _file: file })
    }

    /// `loop0`
    fn name(&self) -> &str {
        self.device.trim_start_matches("/dev/")
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("losetup").args(["--detach", &self.device]).status();
    }
}

/// Unmounted at the end, ahead of the loop devices below it.
struct Mounted(PathBuf);

impl Mounted {
    /// Nothing where the kernel has no such file system.
    fn new(arguments: &[&str], at: PathBuf) -> Option<Self> {
        let mounted = Command::new("mount").args(arguments).arg(&at).status();
        mounted.is_ok_and(|status| status.success()).then_some(Self(at))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn btrfs_on_two_loop_devices() {
    let _ = peers::node_exporter();
    inside("mounts::btrfs_on_two_loop_devices", || {
        const MEGABYTES: u64 = 128;
        let place = Place::new();
        let (Some(first), Some(second)) = (Loop::new(MEGABYTES), Loop::new(MEGABYTES)) else {
            println!("left out: no loop devices here");
            return;
        };
        let mirrored = ["-q", "-L", "two disks", "-d", "raid1", "-m", "raid1"];
        run("mkfs.btrfs", &[&mirrored[..], &[&first.device, &second.device]].concat());
        let options = format!("device={}", second.device);
        let at = place.directory("btrfs");
        let Some(_mounted) = Mounted::new(&["-o", &options, &first.device], at.clone()) else {
            println!("left out: this kernel has no btrfs");
            return;
        };
        // A mount of something else than a subvolume's root cannot be asked, and the next one is.
        fs::create_dir(at.join("below")).unwrap();
        let below = at.join("below");
        let _bound = Mounted::new(&["--bind", below.to_str().unwrap()], place.directory("bound"));
        fs::write(at.join("file"), vec![1; 1_000_000]).unwrap();
        run("sync", &[]);
        let uuid = device_uuid(&first.device);
        let mut collector = Running::try_start("btrfs", &[], &place.paths()).unwrap();
        let mut told = collector.scrape().good();
        // Others may be mounted on this host.
        told.retain(|line| line.contains(&uuid));
        let size = (MEGABYTES * 1024 * 1024) as f64;
        for device in [&first, &second] {
            let name = format!("device=\"{}\"", device.name());
            let told: Vec<&String> = told.iter().filter(|line| line.contains(&name)).collect();
            assert_eq!(told.len(), 7, "{told:#?}");
            let value = |family: &str| -> f64 {
                let line = told.iter().find(|line| line.starts_with(family)).unwrap();
                line.rsplit(' ').next().unwrap().parse().unwrap()
            };
            assert_eq!(value("node_btrfs_device_size_bytes"), size);
            assert!((1.0..size).contains(&value("node_btrfs_device_unused_bytes")));
            assert_eq!(value("node_btrfs_device_errors_total"), 0.0);
        }
        let info = format!("node_btrfs_info{{label=\"two disks\",uuid=\"{uuid}\"}} 1");
        assert!(told.contains(&info), "{told:#?}");
        if let Some(theirs) = place.node_exporter("btrfs", &[]) {
            let mut theirs = samples(&theirs, "node_btrfs_");
            theirs.retain(|line| line.contains(&uuid));
            assert_same(&told, &theirs);
        }
    });
}

/// What the file system on a device is called.
fn device_uuid(device: &str) -> String {
    let output =
        Command::new("blkid").args(["-s", "UUID", "-o", "value", device]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn xfs_on_a_loop_device() {
    let _ = peers::node_exporter();
    inside("mounts::xfs_on_a_loop_device", || {
        // It takes no less.
        const MEGABYTES: u64 = 320;
        let place = Place::new();
        let Some(device) = Loop::new(MEGABYTES) else {
            println!("left out: no loop devices here");
            return;
        };
        run("mkfs.xfs", &["-q", &device.device]);
        let at = place.directory("xfs");
        let Some(_mounted) = Mounted::new(&[&device.device], at.clone()) else {
            println!("left out: this kernel has no XFS");
            return;
        };
        fs::write(at.join("file"), vec![1; 1_000_000]).unwrap();
        let label = format!("device=\"{}\"", device.name());
        let mut collector = Running::try_start("xfs", &[], &place.paths()).unwrap();
        let theirs = place.node_exporter("xfs", &[]);
        let mut told = collector.scrape().good();
        told.retain(|line| line.contains(&label));
        assert_eq!(told.len(), 39, "{told:#?}");
        let writes = format!("node_xfs_write_calls_total{{{label}}} ");
        let writes = told.iter().find_map(|line| line.strip_prefix(&writes)).unwrap();
        assert!(writes.parse::<f64>().unwrap() >= 1.0);
        if let Some(theirs) = theirs {
            // The kernel's own threads go on counting.
            let without_value = |line: &String| line.rsplit_once(' ').unwrap().0.to_owned();
            let mut theirs = samples(&theirs, "node_xfs_");
            theirs.retain(|line| line.contains(&label));
            let theirs: Vec<String> = theirs.iter().map(without_value).collect();
            let told: Vec<String> = told.iter().map(without_value).collect();
            assert_same(&told, &theirs);
        }
    });
}
