//! Samples that other programs leave in files, in the text format.
//!
//! A file is told whole or not at all, and never at the expense of another: what is wrong with it
//! stands in the log once and in a metric for as long as it lasts. Directories are read on threads
//! apart, because one may lie on a dead mount.

mod file;
mod source;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::collector::prelude::*;
use crate::isolated::Crew;
use file::{Block, Content, File, Told};
use source::Source;

static DIRECTORY: Flag<Vec<String>> = flags::list(
    "collector.textfile.directory",
    "",
    "Directory with files of metrics, *.prom; may be a pattern such as /srv/*/metrics.",
);
static KEEP: Flag<Duration> = flags::duration(
    "collector.textfile.keep",
    "5m",
    "How long the last good content stands for a file that is empty or torn by its writer; 0 for not at all.",
);

pub static SPEC: Spec = Spec::new(
    "textfile",
    On,
    "*.prom in the directories given",
    &[&DIRECTORY, &KEEP],
    |setup| {
        let mut directories = setup.flags.get(&DIRECTORY);
        // The default, an empty text, means that there is none.
        directories.retain(|directory| !directory.is_empty());
        Ok(Box::new(TextFile {
            directories: directories.into_iter().map(Arc::from).collect(),
            sources: Vec::new(),
            crew: Crew::default(),
            keep: setup.flags.get(&KEEP),
            rows: Vec::new(),
            accepted: Vec::new(),
            help: Vec::new(),
            faults: Vec::new(),
            logged: Vec::new(),
        }))
    },
);

/// How long a scrape waits for a directory: one on a disk takes far less, and one on a dead mount
/// never answers.
const PATIENCE: Duration = Duration::from_secs(2);

static MTIME: Desc = gauge(
    "node_textfile_mtime_seconds",
    "When the file that is told was last written, in seconds since 1970.",
    &["file"],
);
static SCRAPE_ERROR: Desc = gauge(
    "node_textfile_scrape_error",
    "1 if a directory or file could not be read, or not be told whole, else 0.",
    &[],
);
static ERROR: Desc = gauge(
    "hostwarden_textfile_error",
    "1 for each file, or directory, that is not told whole, with the line at fault and the reason.",
    &["file", "line", "reason"],
);
static KEPT: Desc = gauge(
    "hostwarden_textfile_kept",
    "1 for each file that is empty or torn, of which the last good content is told.",
    &["file"],
);

/// Whether a file with this text would be told whole, and has anything to tell.
pub fn check(text: &[u8]) -> std::result::Result<(), String> {
    let mut content = Content::default();
    content.read(text).map_err(|error| error.to_string())?;
    if content.families.is_empty() { Err("no sample".to_owned()) } else { Ok(()) }
}

struct TextFile {
    directories: Vec<Arc<str>>,
    /// In the order of the directories, without those that a hung mount has not given back.
    sources: Vec<Source>,
    crew: Crew<Source>,
    keep: Duration,
    /// All families of all files, by name and then as they stand.
    rows: Vec<Row>,
    /// Those of one name that are told.
    accepted: Vec<Row>,
    help: Vec<u8>,
    faults: Vec<Fault>,
    /// The faults of the scrape before, which are in the log already.
    logged: Vec<Fault>,
}

/// What is wrong with a file or directory.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fault {
    file: String,
    line: Option<u32>,
    what: String,
}

/// Where a family stands, by index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    source: usize,
    file: usize,
    family: usize,
}

impl Collector for TextFile {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        self.faults.clear();
        self.look(cx.give_up_at().min(cx.started + PATIENCE));
        let Self { sources, keep, rows, accepted, help, faults, logged, .. } = self;
        let files = Files { sources, now: cx.started, keep: *keep };
        files.list(rows);
        for same in rows.chunk_by(|a, b| files.name(*a) == files.name(*b)) {
            files.accept(same, accepted, faults);
            files.push(accepted, help, out);
        }
        files.push_states(faults, out);
        push_faults(faults, out);
        log(faults, logged);
        std::mem::swap(faults, logged);
        Ok(())
    }
}

impl TextFile {
    /// Brings the directories up to date, each apart from the others.
    fn look(&mut self, until: Instant) {
        let Self { directories, sources, crew, faults, .. } = self;
        for directory in &*directories {
            // Asked first: one that comes back in between is welcome, and no second one is sent.
            let is_away = crew.away_since(directory).is_some();
            crew.welcome(sources);
            if !is_away && !sources.iter().any(|source| source.directory == *directory) {
                sources.push(Source::new(directory));
            }
        }
        crew.run(sources, until);
        sources.sort_unstable_by_key(|source| {
            directories.iter().position(|directory| *directory == source.directory)
        });
        for directory in directories.iter().filter(|away| crew.away_since(away).is_some()) {
            let what = "does not answer".to_owned();
            faults.push(Fault { file: directory.to_string(), line: None, what });
        }
    }
}

fn push_faults(faults: &[Fault], out: &mut Samples) {
    for Fault { file, line, what } in faults {
        match line {
            Some(line) => out.push(&ERROR, &[file, line, what], 1.0),
            None => out.push(&ERROR, &[file, &"", what], 1.0),
        }
    }
    out.push(&SCRAPE_ERROR, &[], !faults.is_empty());
}

/// Notes what is wrong now and was not before, and what is right again.
fn log(faults: &[Fault], logged: &[Fault]) {
    for fault in faults.iter().filter(|fault| !logged.iter().any(|old| old.is_about(fault))) {
        let Fault { file, line, what } = fault;
        tracing::error!(file, line, err = what, "textfile refused");
    }
    for old in logged.iter().filter(|old| !faults.iter().any(|fault| fault.file == old.file)) {
        tracing::info!(file = old.file, "textfile no longer refused");
    }
}

impl Fault {
    /// Whether it is the same fault, though its words may have changed with the value at fault.
    fn is_about(&self, other: &Fault) -> bool {
        (&self.file, self.line) == (&other.file, other.line)
    }
}

/// What all files say at the time of a scrape.
#[derive(Clone, Copy)]
struct Files<'a> {
    sources: &'a [Source],
    now: Instant,
    keep: Duration,
}

impl<'a> Files<'a> {
    fn list(self, rows: &mut Vec<Row>) {
        rows.clear();
        for (source, files) in self.sources.iter().map(|source| source.files.as_slice()).enumerate() {
            for (file, state) in files.iter().enumerate() {
                let families =
                    state.content(self.now, self.keep).map_or(0, |content| content.families.len());
                rows.extend((0..families).map(|family| Row { source, file, family }));
            }
        }
        rows.sort_unstable_by(|a, b| self.name(*a).cmp(self.name(*b)).then(a.cmp(b)));
    }

    fn file(self, row: Row) -> &'a File {
        &self.sources[row.source].files.as_slice()[row.file]
    }

    fn family(self, row: Row) -> (&'a Content, &'a Block) {
        let content = self.file(row).content(self.now, self.keep);
        let content = content.unwrap_or_else(|| unreachable!("rows are of files that are told"));
        (content, &content.families[row.family])
    }

    fn name(self, row: Row) -> &'a [u8] {
        let (content, family) = self.family(row);
        content.first(family).name()
    }

    fn help(self, row: Row) -> Option<&'a [u8]> {
        let (content, family) = self.family(row);
        family.has_help.then(|| content.first(family).help())
    }

    /// Sorts out families of one name: the first HELP stands, and from the first other one on
    /// nothing more is taken. Those without HELP go along until then.
    fn accept(self, same: &[Row], accepted: &mut Vec<Row>, faults: &mut Vec<Fault>) {
        accepted.clear();
        let mut first: Option<(Row, &[u8])> = None;
        let mut is_disputed = false;
        for &row in same {
            let help = self.help(row);
            match first {
                Some((owner, settled)) => {
                    is_disputed |= help.is_some_and(|help| help != settled);
                    if is_disputed {
                        faults.push(self.dispute(row, owner));
                        continue;
                    }
                }
                None => first = help.map(|help| (row, help)),
            }
            accepted.push(row);
        }
    }

    fn dispute(self, row: Row, owner: Row) -> Fault {
        let (name, owner) = (String::from_utf8_lossy(self.name(row)), &self.file(owner).path);
        Fault {
            file: self.file(row).path.clone(),
            line: Some(self.family(row).1.line),
            what: format!("{name} has another HELP than in {owner}"),
        }
    }

    /// Tells families of one name. Those without HELP are given the files that they stand in.
    fn push(self, accepted: &[Row], help: &mut Vec<u8>, out: &mut Samples) {
        help.clear();
        for &row in accepted {
            help.extend_from_slice(if help.is_empty() { b"Read from " } else { b", " });
            help.extend_from_slice(self.file(row).path.as_bytes());
        }
        for &row in accepted {
            let (content, family) = self.family(row);
            let help = self.help(row).unwrap_or(help);
            out.copy_family(&content.samples, family.samples.clone(), help);
        }
    }

    /// Tells which files are told as they stand, and collects what is wrong with the others.
    fn push_states(self, faults: &mut Vec<Fault>, out: &mut Samples) {
        for source in self.sources {
            faults.extend_from_slice(&source.faults);
            for file in source.files.as_slice() {
                let content = match file.told(self.now, self.keep) {
                    Told::Said(content) => content,
                    Told::Kept(content) => {
                        out.push(&KEPT, &[&file.path], 1.0);
                        content
                    }
                    Told::Refused(fault) => {
                        faults.push(fault.clone());
                        continue;
                    }
                };
                if let Some(written) = content.written() {
                    out.push(&MTIME, &[&file.path], written);
                }
            }
        }
    }
}
