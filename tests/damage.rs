//! Files as no kernel writes them: whatever a source holds, its collector answers or fails with one
//! line, and what it said is an exposition. And texts of operators and clients, taken or refused.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hostwarden::collector::{Desk, Setup, Shared, Spec};
use hostwarden::collectors;
use hostwarden::exposition::merge::Merge;
use hostwarden::exposition::parse;
use hostwarden::exposition::{Samples, text};
use hostwarden::host::{Paths, Roots};
use hostwarden::pattern::Pattern;
use hostwarden::web::{config, htpasswd, negotiate};

use crate::golden::{fixtures, flags, sorted};

/// Damages to the files of one case; `DAMAGES=100000` for a long run.
pub(crate) fn rounds() -> usize {
    std::env::var("DAMAGES").ok().and_then(|count| count.parse().ok()).unwrap_or(20)
}

#[test]
fn no_damaged_file_ends_more_than_its_collector() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut faults = Vec::new();
    let mut count = 0;
    for collector in sorted(&fixtures()) {
        let name = collector.file_name().unwrap().to_str().unwrap().to_owned();
        let spec = collectors::find(&name).unwrap();
        for case in sorted(&collector) {
            let tree = tempfile::tempdir().unwrap();
            copy(&case, tree.path());
            let mut files = Vec::new();
            regular_files(tree.path(), &mut files);
            files.retain(|file| file.parent() != Some(tree.path()));
            for _ in 0..if files.is_empty() { 0 } else { rounds() } {
                let file = &files[dice.below(files.len())];
                let sound = fs::read(file).unwrap();
                let damaged = damage(&sound, &mut dice);
                fs::write(file, &damaged).unwrap();
                count += 1;
                if let Err(fault) = run(spec, tree.path()) {
                    let file = file.strip_prefix(tree.path()).unwrap().display();
                    let damaged = String::from_utf8_lossy(&damaged).into_owned();
                    faults.push(format!("{}: {file}: {fault}: {damaged:.500?}", case.display()));
                }
                fs::write(file, sound).unwrap();
            }
        }
    }
    assert!(count > 0, "nothing was damaged");
    assert!(faults.is_empty(), "{} of {count}:\n{}", faults.len(), faults.join("\n"));
}

type Reader = fn(&[u8]) -> Result<(), String>;

const TEXTS: &[(&str, &str, Reader)] = &[
    (
        "exposition",
        "# HELP a A \\\\ text.\n# TYPE a histogram\na_bucket{le=\"1\",b=\"x\\\"y\"} 2\na_sum 3\na_count 4\n\
         # TYPE s summary\ns{quantile=\"0.5\"} NaN\ns_sum 1e3\ns_count 2\n{\"up\",job=\"é\"} -Inf\nb 0x1p-2 1700000000000\n",
        |text| parse::parse(text).map(drop).map_err(|error| error.to_string()),
    ),
    (
        "web config file",
        "tls_server_config:\n  cert_file: a.pem\n  key_file: a.key\n  client_auth_type: RequestClientCert\n  \
         cipher_suites: [TLS_AES_128_GCM_SHA256]\nhttp_server_config:\n  headers:\n    X-Frame-Options: deny\n\
         basic_auth_users:\n  alice: $2b$12$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy\n\
         rate_limit:\n  interval: 1s\n  burst: 5\n",
        |text| config::parse(text, Path::new("/etc")).map(drop).map_err(|error| error.to_string()),
    ),
    (
        "htpasswd",
        "a:$2y$05$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy\nb:$apr1$salt$N9qo8uLOickgx2ZMRZoMye\n# c\n\
         d:{SHA}N9qo8uLOickgx2ZMRZoMye5==\ne:$6$rounds=5000$salt$N9qo8uLOickgx2ZMRZoMye\n",
        |text| Err(format!("- {}", htpasswd::parse(text, "htpasswd").warnings.join(" "))),
    ),
    ("pattern", r"^(z?ram|[[:alpha:]]+\d{2,3}?|\Qa.b\E|[^\x00-\x1f&&a])$", |text| {
        Pattern::new(&String::from_utf8_lossy(text)).map(drop)
    }),
    (
        "Accept",
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
         text/plain;version=0.0.4;escaping=allow-utf-8;q=0.3,*/*;q=0.2",
        |text| {
            let accept = String::from_utf8_lossy(text);
            negotiate::prefers_gzip(&accept);
            Err(negotiate::ContentType::from_accept(&accept).header())
        },
    ),
];

#[test]
fn what_operators_and_clients_write_is_taken_or_refused_in_one_line() {
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    for (name, sound, read) in TEXTS {
        for _ in 0..50 * rounds() {
            let damaged = damage(sound.as_bytes(), &mut dice);
            let shown = String::from_utf8_lossy(&damaged);
            let read = catch_unwind(|| read(&damaged));
            let outcome = read.unwrap_or_else(|_| panic!("{name} panicked: {shown:?}"));
            if let Err(said) = outcome {
                let is_line = !said.is_empty() && !said.contains('\n');
                assert!(is_line, "{name}: {said:?} of {shown:?}");
            }
        }
    }
}

/// What is wrong with what the collector did, if anything.
fn run(spec: &'static Spec, tree: &Path) -> Result<(), String> {
    let paths = Paths {
        proc: tree.join("proc"),
        sys: tree.join("sys"),
        rootfs: tree.join("rootfs"),
        udev: tree.join("udev"),
    };
    let flags = flags(spec, tree);
    let setup = Setup { flags: &flags, paths: &paths, enabled: &[spec.name] };
    let mut samples = Samples::default();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut collector = (spec.build)(&setup)?;
        let mut desk = Desk::new(&Roots::new(&paths), Arc::new(Shared::default()));
        let deadline = Instant::now() + Duration::from_secs(10);
        collector.collect(&mut desk.cx(deadline), &mut samples).map_err(|error| error.to_string())
    }));
    if let Err(error) = outcome.map_err(|_| "panicked".to_owned())?
        && (error.is_empty() || error.contains('\n'))
    {
        return Err(format!("{error:?} is not one line"));
    }
    let sources = [samples];
    let mut merge = Merge::default();
    merge.build(&sources);
    let mut exposition = Vec::new();
    text::write(&merge, &sources, &mut exposition);
    match parse::parse(&exposition) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("no exposition: {error}")),
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else if kind.is_symlink() {
            let link = fs::read_link(entry.path()).unwrap();
            std::os::unix::fs::symlink(link, target).unwrap();
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn regular_files(directory: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(directory).unwrap().map(Result::unwrap).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            regular_files(&entry.path(), files);
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
}

/// Pieces that parsers stumble over, put where others stood.
const PIECES: &[&[u8]] = &[
    b"",
    b" ",
    b"\n",
    b"\n\n",
    b"\t",
    b":",
    b"=",
    b",",
    b"-",
    b"-1",
    b"0",
    b"1.5",
    b"0x1f",
    b"1e3",
    b"NaN",
    b"18446744073709551615",
    b"99999999999999999999",
    b"\0",
    b"\xff\xfe",
    b"\xc3\xa9",
    b"\"",
    b"\\",
    b"[",
    b"]",
    b"(",
    b"{",
    b"/",
    b"%",
];

pub(crate) fn damage(sound: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = sound.to_vec();
    for _ in 0..=dice.below(3) {
        let at = dice.below(bytes.len() + 1);
        match dice.below(6) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(..at)),
            2 => {
                let lines: Vec<&[u8]> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
                let again = lines.get(dice.below(lines.len() + 1)).copied().unwrap_or(b"x");
                bytes = [&bytes, again].concat();
            }
            3 => {
                let end = bytes.len().min(at + dice.below(8));
                bytes.drain(at..end);
            }
            _ => {
                let piece = PIECES[dice.below(PIECES.len())];
                let end = bytes.len().min(at + dice.below(4));
                bytes.splice(at..end, piece.iter().copied());
            }
        }
    }
    bytes
}

/// Xorshift: the same damages in every run.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit.max(1) as u64).unwrap()
    }
}
