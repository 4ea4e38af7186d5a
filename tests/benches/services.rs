//! What Apache and nginx in the same answer cost the agent, from one run on this host.
//!
//! `cargo bench --bench services`. Two agents with the default collectors, one of which reads the
//! status pages of a real Apache and a real nginx beside, are scraped in turn.

#![expect(
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench starts programs, prints and may panic"
)]

#[path = "../agent.rs"]
#[expect(dead_code, reason = "only its patience is wanted here")]
mod agent;
#[expect(dead_code, reason = "one kind of scrape is enough here")]
mod program;
#[path = "../services/real.rs"]
#[expect(dead_code, reason = "nobody is stopped here")]
mod real;

use std::path::Path;

use program::{Mode, Program};

const ROUNDS: usize = 10;
const SCRAPES: usize = 100;

fn main() {
    let (_servers, flags) = real::both();
    let agent = Path::new(env!("CARGO_BIN_EXE_hostwarden"));
    let mut without = Program::start("without", agent, &[]);
    let mut with = Program::start("with", agent, &flags);
    let mut cpu = [0.0; 2];
    let mut median = [0.0; 2];
    for _ in 0..ROUNDS {
        for (at, program) in [&mut without, &mut with].into_iter().enumerate() {
            let row = program.measure(Mode::Plain, SCRAPES);
            cpu[at] += row.cpu / ROUNDS as f64;
            median[at] += row.median / ROUNDS as f64;
        }
    }
    println!("{} scrapes each, Apache and nginx beside", ROUNDS * SCRAPES);
    println!("{:<8} {:>8} {:>8}", "services", "CPU ms", "p50 ms");
    for (at, name) in ["without", "with"].iter().enumerate() {
        println!("{name:<8} {:>8.3} {:>8.3}", cpu[at], median[at]);
    }
    println!("more     {:>8.3} {:>8.3}", cpu[1] - cpu[0], median[1] - median[0]);
}
