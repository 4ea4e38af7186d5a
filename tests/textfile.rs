//! The collector textfile: files as cron jobs write them, and beside a real node_exporter.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use hostwarden::exposition::Samples;

use crate::agent::{Agent, BINARY, wait_for};
use crate::allocations::allocations;
use crate::harness::Running;
use crate::peers::{self, Program};

fn start(directory: &Path, keep: &str) -> Running {
    let directory = directory.to_str().unwrap();
    let flags = [("collector.textfile.directory", directory), ("collector.textfile.keep", keep)];
    Running::start("textfile", &flags)
}

/// What a scrape says of series that begin with these words, values included.
fn said(running: &mut Running, words: &[&str]) -> Vec<String> {
    let mut lines = running.scrape().good();
    lines.retain(|line| words.iter().any(|word| line.starts_with(word)));
    lines
}

fn write(file: &Path, text: &str) {
    fs::write(file, text).unwrap();
}

/// Writes a file as careful programs do.
fn replace(file: &Path, text: &str) {
    let new = file.with_extension("new");
    write(&new, text);
    fs::rename(new, file).unwrap();
}

/// As if nobody had touched the file for a while.
fn age(file: &Path, by: Duration) {
    let file = fs::File::open(file).unwrap();
    file.set_modified(SystemTime::now() - by).unwrap();
}

const OLD: Duration = Duration::from_secs(100);

#[test]
fn a_redirected_cron_job_shows_no_gap() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("job.prom");
    let mut agent = start(directory.path(), "5m");
    let words = ["a", "b", "hostwarden", "node_textfile_scrape_error"];
    write(&file, "a 1\nb{x=\"1\"} 1\nb{x=\"2\"} 1\n");
    age(&file, OLD);
    let good = ["a 1", "b{x=\"1\"} 1", "b{x=\"2\"} 1", "node_textfile_scrape_error 0"];
    assert_eq!(said(&mut agent, &words), good);
    let written = said(&mut agent, &["node_textfile_mtime"]);

    // The shell truncates, and then the job writes piece by piece: in whole lines or in blocks.
    let mut job = fs::File::create(&file).unwrap();
    for piece in ["", "# HELP a A.\n", "a 2\n", "b{x=\"1", "\"} 2\n"] {
        job.write_all(piece.as_bytes()).unwrap();
        let mut kept = good.map(str::to_owned).to_vec();
        kept.insert(3, format!("hostwarden_textfile_kept{{file=\"{}\"}} 1", file.display()));
        assert_eq!(said(&mut agent, &words), kept, "after {piece:?}");
        assert_eq!(said(&mut agent, &["node_textfile_mtime"]), written);
    }
    job.write_all(b"b{x=\"2\"} 2\n").unwrap();
    let now = ["a 2", "b{x=\"1\"} 2", "b{x=\"2\"} 2", "node_textfile_scrape_error 0"];
    assert_eq!(said(&mut agent, &words), now);
    assert_ne!(said(&mut agent, &["node_textfile_mtime"]), written);
}

#[test]
fn series_may_go_for_good() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("job.prom");
    let mut agent = start(directory.path(), "5m");
    let words = ["a", "b", "hostwarden"];
    write(&file, "a 1\nb 1\n");
    assert_eq!(said(&mut agent, &words), ["a 1", "b 1"]);
    // Renamed: whole from the first moment.
    replace(&file, "a 2\n");
    assert_eq!(said(&mut agent, &words), ["a 2"]);
    replace(&file, "a 3\nb 3\n");
    assert_eq!(said(&mut agent, &words), ["a 3", "b 3"]);
    // Written over: whole when nobody has written for a while.
    write(&file, "a 4\n");
    assert_eq!(said(&mut agent, &words).len(), 3);
    age(&file, OLD);
    assert_eq!(said(&mut agent, &words), ["a 4"]);
    fs::remove_file(&file).unwrap();
    assert!(said(&mut agent, &words).is_empty());
    // What is gone is not remembered.
    write(&file, "a 5");
    let refused = said(&mut agent, &words);
    assert_eq!(refused.len(), 1);
    assert!(refused[0].contains("line=\"1\",reason=\"ends without a newline\""), "{refused:?}");
}

#[test]
fn what_was_good_is_kept_for_a_while_only() {
    let directory = tempfile::tempdir().unwrap();
    let (empty, torn) = (directory.path().join("empty.prom"), directory.path().join("torn.prom"));
    let mut agent = start(directory.path(), "1s");
    let words = ["a", "b", "hostwarden", "node_textfile_scrape_error"];
    write(&empty, "a 1\n");
    write(&torn, "b 1\n");
    assert_eq!(said(&mut agent, &words), ["a 1", "b 1", "node_textfile_scrape_error 0"]);
    write(&empty, "");
    write(&torn, "b 2");
    assert_eq!(said(&mut agent, &words).len(), 5);
    wait_for("the end of what was kept", || said(&mut agent, &words).len() < 4);
    let refused = said(&mut agent, &words);
    assert!(refused[0].starts_with("hostwarden_textfile_error{"), "{refused:?}");
    assert_eq!(refused[1..], ["node_textfile_scrape_error 1"]);
    // The empty file is as good as any other, then.
    assert_eq!(said(&mut agent, &["node_textfile_mtime"]).len(), 1);
}

#[test]
fn nothing_is_kept_of_a_refused_file_or_if_nobody_wants_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("job.prom");
    for (keep, steps) in [
        ("0", &[("a 1\n", 1.0), ("a 2", 0.0), ("", 0.0), ("a 3\n", 1.0)][..]),
        ("5m", &[("a 1\n", 1.0), ("a x\n", 0.0), ("a 2", 0.0), ("", 0.0), ("a 3\n", 1.0)]),
    ] {
        let mut agent = start(directory.path(), keep);
        for (text, told) in steps {
            write(&file, text);
            assert_eq!(said(&mut agent, &["a"]).len() as f64, *told, "{keep}: {text:?}");
            assert!(said(&mut agent, &["hostwarden_textfile_kept"]).is_empty());
        }
    }
}

#[test]
fn a_change_within_the_same_tick_is_seen() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("job.prom");
    let mut agent = start(directory.path(), "5m");
    write(&file, "a 100\n");
    let time = fs::metadata(&file).unwrap().modified().unwrap();
    for n in 101..200 {
        assert_eq!(said(&mut agent, &["a"]), [format!("a {}", n - 1)]);
        write(&file, &format!("a {n}\n"));
        fs::File::open(&file).unwrap().set_modified(time).unwrap();
    }
}

#[test]
fn what_is_no_file_is_refused_and_delays_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe.prom");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    std::os::unix::fs::symlink("/dev/zero", directory.path().join("zero.prom")).unwrap();
    let strange = std::ffi::OsStr::new(
        <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"\xff.prom"),
    );
    write(&directory.path().join(strange), "x 1\n");
    write(&directory.path().join("good.prom"), "a 1\n");
    let mut agent = start(directory.path(), "5m");
    let lines = said(&mut agent, &["a", "x", "hostwarden"]);
    assert_eq!(lines[0], "a 1");
    let reasons: Vec<&str> =
        lines[1..].iter().filter_map(|line| line.split("reason=").nth(1)).collect();
    assert_eq!(
        reasons,
        ["\"no regular file\"} 1", "\"no regular file\"} 1", "\"its name is not UTF-8\"} 1"]
    );
}

#[test]
fn a_refusal_is_in_the_log_once_and_so_is_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("job.prom");
    let flag = format!("--collector.textfile.directory={}", directory.path().display());
    let agent = Agent::start(&["--collector.disable-defaults", "--collector.textfile", &flag]);
    write(&file, "a 1\na 1 2\n");
    let line = format!(
        "msg=\"textfile refused\" file={} line=2 err=\"timestamps are not for textfiles\"",
        file.display()
    );
    for _ in 0..3 {
        assert!(agent.get("/metrics").text().contains("hostwarden_textfile_error{"));
        agent.wait_for_log(&line);
    }
    replace(&file, "a 1\n");
    assert!(!agent.get("/metrics").text().contains("hostwarden_textfile_error{"));
    agent.wait_for_log(&format!("msg=\"textfile no longer refused\" file={}", file.display()));
    assert_eq!(agent.log().matches("textfile refused").count(), 1);
}

#[test]
fn samples_cost_no_allocations() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("job.prom");
    let mut agent = start(directory.path(), "5m");
    let mut counts = Vec::new();
    for series in [1, 1000] {
        let lines = (0..series).map(|n| format!("a{{n=\"{n}\"}} 1\n"));
        replace(&file, &lines.collect::<String>());
        let mut samples = Samples::default();
        (0..5).for_each(|_| agent.collect(&mut samples).unwrap());
        let mut run = || {
            agent.collect(&mut samples).unwrap();
        };
        counts.push((0..5).map(|_| allocations(&mut run)).min().unwrap());
        assert!(samples.len() >= series);
    }
    assert_eq!(counts[0], counts[1]);
}

/// A FUSE file system that nobody serves, in a mount namespace of the agent's own: whoever looks
/// into it waits.
#[test]
fn a_directory_on_a_dead_mount_costs_itself_only() {
    const MOUNT: &str = "mount -i -t fuse -o fd=0,rootmode=040000,user_id=0,group_id=0 dead \"$1\"";
    let directory = tempfile::tempdir().unwrap();
    let (good, dead) = (directory.path().join("good"), directory.path().join("dead"));
    fs::create_dir(&good).unwrap();
    fs::create_dir(&dead).unwrap();
    write(&good.join("a.prom"), "a 1\n");
    let Ok(server) = fs::OpenOptions::new().read(true).write(true).open("/dev/fuse") else {
        eprintln!("left out: no /dev/fuse to make a dead mount with");
        return;
    };
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", &format!("{MOUNT}; shift; exec \"$@\" < /dev/null"), "sh"])
        .args([dead.as_os_str(), BINARY.as_ref()])
        .args(["--web.listen-address=127.0.0.1:0", "--collector.disable-defaults"])
        .arg("--collector.textfile")
        .arg(format!("--collector.textfile.directory={}", dead.display()))
        .arg(format!("--collector.textfile.directory={}", good.display()))
        .stdin(server.try_clone().unwrap());
    let agent = Agent::spawn(&mut command);
    drop(command);
    let reason = |what| {
        format!(
            "hostwarden_textfile_error{{file=\"{}\",line=\"\",reason=\"{what}\"}}",
            dead.display()
        )
    };
    for _ in 0..3 {
        let said = agent.get("/metrics");
        assert_eq!(said.sample("a"), Some(1.0));
        assert_eq!(said.sample("node_textfile_scrape_error"), Some(1.0));
        assert_eq!(said.sample("node_scrape_collector_success{collector=\"textfile\"}"), Some(1.0));
        assert_eq!(said.sample(&reason("does not answer")), Some(1.0));
    }
    // Without anybody who could serve it, the kernel gives up, and the directory is tried again.
    drop(server);
    let gone = reason("transport endpoint is not connected");
    wait_for("the end of the mount", || agent.get("/metrics").sample(&gone) == Some(1.0));
}

/// The golden texts' files, read by both programs.
#[test]
fn a_node_exporter_beside_it_tells_the_same_files() {
    let Some(node_exporter) = peers::node_exporter() else { return };
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/textfile");
    for case in fs::read_dir(cases).unwrap().map(|case| case.unwrap().path()) {
        let name = case.file_name().unwrap().to_str().unwrap().to_owned();
        // It crashes on these.
        if name == "reserved" {
            continue;
        }
        let flags = fs::read_to_string(case.join("flags")).unwrap_or_default();
        let flags = flags.replace("CASE", case.to_str().unwrap());
        let flags: Vec<&str> = ["--collector.disable-defaults", "--collector.textfile"]
            .into_iter()
            .chain(flags.lines())
            .collect();
        let port = peers::free_port();
        let address = format!("--web.listen-address=127.0.0.1:{port}");
        let _peer = Program::start(Command::new(&node_exporter).args(&flags).arg(address));
        wait_for("node_exporter", || peers::get(port, "/metrics").is_some());
        let theirs = peers::get(port, "/metrics").unwrap();
        let ours = Agent::start(&flags).get("/metrics").text();
        let skip = "^(go_|hostwarden_|promhttp_|process_|node_exporter_build_info|node_scrape_)";
        let outcome = peers::compare(&theirs, &ours, &["--skip", skip]);
        assert!(outcome.is_ok(), "{name}: {}", outcome.unwrap_err());
        let promtool = peers::promtool(&theirs);
        let new: Vec<String> =
            peers::promtool(&ours).into_iter().filter(|line| !promtool.contains(line)).collect();
        assert!(new.is_empty(), "{name}: {new:?}");
    }
}
