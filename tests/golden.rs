//! A case is a directory `tests/fixtures/COLLECTOR/CASE`: the trees `proc`, `sys`, `rootfs` and
//! `udev` as far as the collector reads them, `flags` with one argument a line where it needs any,
//! and `golden.txt`: the outcome in a comment, then the exposition. `UPDATE_GOLDEN=1` rewrites.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hostwarden::collector::{Desk, Setup, Shared, Spec};
use hostwarden::collectors;
use hostwarden::exposition::merge::Merge;
use hostwarden::exposition::{Samples, text};
use hostwarden::flags::Values;
use hostwarden::host::{Paths, Roots};

#[test]
fn every_case_says_what_its_golden_text_says() {
    let mut faults = Vec::new();
    let mut count = 0;
    for collector in sorted(&fixtures()) {
        let name = collector.file_name().unwrap().to_str().unwrap().to_owned();
        let spec = collectors::find(&name).unwrap_or_else(|| panic!("{name}: no such collector"));
        for case in sorted(&collector) {
            count += 1;
            let said = run(spec, &case);
            let golden = case.join("golden.txt");
            if std::env::var_os("UPDATE_GOLDEN").is_some() {
                fs::write(&golden, &said).unwrap();
            }
            let expected = fs::read_to_string(&golden).unwrap_or_default();
            if said != expected {
                faults.push(format!("{}:\n{}", case.display(), difference(&expected, &said)));
            }
        }
    }
    assert!(count > 0, "no case found");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn run(spec: &'static Spec, case: &Path) -> String {
    date_textfiles(case);
    let paths = Paths {
        proc: case.join("proc"),
        sys: case.join("sys"),
        rootfs: case.join("rootfs"),
        udev: case.join("udev"),
    };
    let flags = flags(spec, case);
    let setup = Setup { flags: &flags, paths: &paths, enabled: &[spec.name] };
    let mut samples = Samples::default();
    let outcome = match (spec.build)(&setup) {
        Ok(mut collector) => {
            let mut desk = Desk::new(&Roots::new(&paths), Arc::new(Shared::default()));
            let deadline = Instant::now() + Duration::from_secs(10);
            match collector.collect(&mut desk.cx(deadline), &mut samples) {
                Ok(()) => "answered".to_owned(),
                Err(error) if error.is_no_data() => format!("no data: {error}"),
                Err(error) => format!("failed: {error}"),
            }
        }
        Err(error) => format!("not built: {error}"),
    };
    let fault = samples.take_fault().map(|fault| format!("# fault: {fault}\n")).unwrap_or_default();
    let sources = [samples];
    let mut merge = Merge::default();
    merge.build(&sources);
    let mut exposition = Vec::new();
    text::write(&merge, &sources, &mut exposition);
    let dropped: String = merge.faults().iter().map(|fault| format!("# {fault}\n")).collect();
    let exposition = String::from_utf8(exposition).unwrap();
    let said = format!("# {outcome}\n{fault}{dropped}{exposition}");
    said.replace(case.to_str().unwrap(), "CASE")
}

/// A checkout gives its files the time of the day; a golden text wants another one.
fn date_textfiles(directory: &Path) {
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            date_textfiles(&path);
        } else if path.extension() == Some("prom".as_ref()) && path.is_file() {
            let file = fs::File::open(&path).unwrap();
            file.set_modified(std::time::UNIX_EPOCH + Duration::from_millis(1_700_000_000_900))
                .unwrap();
        }
    }
}

/// Reads `flags`; `CASE` in a value stands for the case's directory.
pub(crate) fn flags(spec: &Spec, case: &Path) -> Values {
    let mut values = Values::default();
    for line in fs::read_to_string(case.join("flags")).unwrap_or_default().lines() {
        let argument = line.strip_prefix("--").expect("a flag begins with two dashes");
        let (typed, value) = match argument.split_once('=') {
            Some((name, value)) => (name, value),
            None if argument.starts_with("no-") => (&argument[3..], "false"),
            None => (argument, "true"),
        };
        let definition = spec
            .flags
            .iter()
            .map(|flag| flag.definition())
            .find(|definition| definition.name == typed)
            .unwrap_or_else(|| panic!("{}: no flag {typed}", spec.name));
        values.give(definition.name, value.replace("CASE", case.to_str().unwrap()));
    }
    values
}

pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

pub(crate) fn sorted(directory: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    entries.sort();
    entries
}

fn difference(expected: &str, said: &str) -> String {
    let missing = expected.lines().filter(|line| !said.lines().any(|other| other == *line));
    let extra = said.lines().filter(|line| !expected.lines().any(|other| other == *line));
    let missing = missing.map(|line| format!("  - {line}"));
    let extra = extra.map(|line| format!("  + {line}"));
    missing.chain(extra).take(40).collect::<Vec<_>>().join("\n")
}
