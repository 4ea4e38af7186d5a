//! What a scrape costs the agent and a real node_exporter, from one run on this host.
//!
//! `cargo bench --bench beside [-- --scrapes N] [--flags "--collector.x ..."]`. Both run the same
//! collectors: the agent's defaults, or what `--flags` names.

#![expect(
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench starts programs, prints and may panic"
)]

#[expect(dead_code, reason = "nobody needs a password here")]
mod program;

use std::path::Path;

use program::{Mode, Program, defaults_known_to, node_exporter};

fn main() {
    let peer = node_exporter();
    let options = Options::read(&peer);
    let mut programs = [
        Program::start("node_exporter", &peer, &options.flags),
        Program::start("hostwarden", Path::new(env!("CARGO_BIN_EXE_hostwarden")), &options.flags),
    ];
    println!("{} scrapes a row, {} flags", options.scrapes, options.flags.len());
    println!(
        "{:<14} {:<6} {:>10} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "program", "mode", "CPU ms", "p50 ms", "p99 ms", "RSS MiB", "anon MiB", "samples"
    );
    for mode in [Mode::Plain, Mode::Gzip] {
        let rows = programs.each_mut().map(|program| program.measure(mode, options.scrapes));
        for (program, row) in programs.iter().zip(&rows) {
            println!(
                "{:<14} {:<6} {:>10.3} {:>8.2} {:>8.2} {:>8.1} {:>8.1} {:>8}",
                program.name,
                mode.name(),
                row.cpu,
                row.median,
                row.slowest,
                row.resident,
                row.anonymous,
                row.samples
            );
        }
        let [theirs, ours] = rows;
        println!(
            "{:<14} {:<6} CPU 1/{:.1}, p50 1/{:.1}, RSS 1/{:.1}",
            "ratio",
            mode.name(),
            theirs.cpu / ours.cpu,
            theirs.median / ours.median,
            theirs.resident / ours.resident
        );
    }
    for program in &mut programs {
        match program.system_calls() {
            Some(calls) => println!("{}: {calls:.0} system calls a scrape", program.name),
            None => println!("{}: system calls not counted, strace is missing", program.name),
        }
    }
    let ours = &mut programs[1];
    let before = ours.scraped;
    while ours.scraped < before.max(10_000) {
        ours.scrape(Mode::Plain);
    }
    let (resident, anonymous) = ours.memory();
    println!(
        "hostwarden after {} scrapes: RSS {resident:.1} MiB, {anonymous:.1} anonymous",
        ours.scraped
    );
}

struct Options {
    scrapes: usize,
    flags: Vec<String>,
}

impl Options {
    fn read(peer: &Path) -> Self {
        let mut options = Self { scrapes: 500, flags: defaults_known_to(peer) };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--scrapes" => options.scrapes = arguments.next().unwrap().parse().unwrap(),
                "--flags" => {
                    let flags = arguments.next().unwrap();
                    options.flags = flags.split_whitespace().map(str::to_owned).collect();
                    options.flags.push("--collector.disable-defaults".to_owned());
                }
                // Cargo's own.
                "--bench" => {}
                other => panic!("{other}: no such option"),
            }
        }
        options
    }
}
