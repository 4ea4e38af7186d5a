//! `/proc/stat`: times of the CPUs and counts of the whole system, which two collectors tell.
//!
//! The kernel sums up every interrupt of every CPU for it, so that one read serves both.

use super::cursor::Text;
use crate::collector::{Error, Result};
use crate::number;

/// Times of one CPU in seconds: user, nice, system, idle, iowait, irq, softirq, steal, guest,
/// guest_nice.
pub type Seconds = [f64; 10];

/// Where idle time stands in [`Seconds`].
pub const IDLE: usize = 3;

/// Ticks a second in files for users, whatever the kernel counts itself.
const USER_HZ: f64 = 100.0;

/// What `/proc/stat` said; a line that is not there counts 0.
#[derive(Debug, Default)]
pub struct ProcStat {
    pub cpus: Vec<(i64, Seconds)>,
    /// The highest number among them.
    highest: i64,
    pub interrupts: u64,
    pub context_switches: u64,
    pub boot_time: u64,
    pub forks: u64,
    pub running: u64,
    pub blocked: u64,
    /// By vector, from HI to RCU.
    pub softirqs: [u64; 10],
}

impl ProcStat {
    /// Takes the file's content in place of what was known.
    pub fn parse(&mut self, text: Text<'_>) -> Result<()> {
        let cpus = std::mem::take(&mut self.cpus);
        *self = Self { cpus, highest: i64::MIN, ..Self::default() };
        self.cpus.clear();
        text.lines().try_for_each(|line| self.parse_line(line))
    }

    fn parse_line(&mut self, line: Text<'_>) -> Result<()> {
        let mut fields = line.fields();
        let (Some(key), Some(first)) = (fields.next(), fields.next()) else { return Ok(()) };
        match key.bytes {
            b"intr" => {
                self.interrupts = first.parse()?;
                // Nobody tells the single interrupts, but a bad one spoils the file.
                fields.try_for_each(|field| field.parse::<u64>().map(drop))?;
            }
            b"ctxt" => self.context_switches = first.parse()?,
            b"btime" => self.boot_time = first.parse()?,
            b"processes" => self.forks = first.parse()?,
            b"procs_running" => self.running = first.parse()?,
            b"procs_blocked" => self.blocked = first.parse()?,
            b"softirq" => {
                first.parse::<u64>()?;
                let (last, rest) = self.softirqs.split_last_mut().expect("vectors");
                for vector in rest {
                    *vector = fields.parse()?;
                }
                *last = last_number(fields.next(), line, number::uint)?;
            }
            [b'c', b'p', b'u', cpu @ ..] => {
                let seconds = parse_seconds(line)?;
                match cpu {
                    // The sum over all CPUs.
                    b"" => {}
                    _ => self.set(Text { bytes: cpu, ..key }.parse()?, seconds),
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn set(&mut self, cpu: i64, seconds: Seconds) {
        const SUM: i64 = -1;

        // The kernel names each CPU once, in order; only another file repeats one.
        let known = if cpu > self.highest {
            self.highest = cpu;
            None
        } else {
            self.cpus.iter_mut().find(|known| known.0 == cpu)
        };
        match known {
            _ if cpu == SUM => {}
            Some(known) => known.1 = seconds,
            None => self.cpus.push((cpu, seconds)),
        }
    }
}

/// `cpu0 444490 19 44449 22208 14 0 8 0 0 0`; old kernels have fewer columns.
fn parse_seconds(line: Text<'_>) -> Result<Seconds> {
    let mut seconds = Seconds::default();
    let mut fields = line.fields();
    fields.next();
    let (last, rest) = seconds.split_last_mut().expect("columns");
    for column in rest {
        *column = fields.parse_next::<f64>()?.unwrap_or_default() / USER_HZ;
    }
    if let Some(field) = fields.next() {
        *last = last_number(Some(field), line, number::float)? / USER_HZ;
    }
    Ok(seconds)
}

/// The last column that is asked for: what follows its number was never looked at.
fn last_number<T>(
    field: Option<Text<'_>>,
    line: Text<'_>,
    parse: impl Fn(&[u8]) -> Option<T>,
) -> Result<T> {
    let field = field.ok_or_else(|| Error::truncated(line.path))?;
    parse(field.bytes)
        .or_else(|| parse(leading_digits(field.bytes)))
        .ok_or_else(|| field.malformed())
}

fn leading_digits(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ProcStat> {
        let mut stat =
            ProcStat { forks: 99, cpus: vec![(9, Seconds::default())], ..ProcStat::default() };
        stat.parse(Text::new("stat", text.as_bytes())).map(|()| stat)
    }

    #[test]
    fn what_is_missing_counts_nothing() {
        let stat = parse("\nprocesses\nctxt 5\ncpu  7\ncpu3 100 200\ncpu-1 3\ncpu3 150 50 x\n");
        assert_eq!(stat.unwrap_err().to_string(), "stat: cannot parse \"x\"");
        let stat = parse("\nprocesses\nctxt 5\ncpu  7\ncpu3 100 200\ncpu1 1\ncpu-1 3\ncpu3 150\n")
            .unwrap();
        assert_eq!((stat.context_switches, stat.forks, stat.boot_time), (5, 0, 0));
        let mut seconds = Seconds::default();
        seconds[0] = 1.5;
        let mut other = Seconds::default();
        other[0] = 0.01;
        assert_eq!(stat.cpus, [(3, seconds), (1, other)]);
    }

    #[test]
    fn a_bad_number_on_any_known_line_is_an_error() {
        for (text, error) in [
            ("btime x\n", "stat: cannot parse \"x\""),
            ("intr 5 6 -7\n", "stat: cannot parse \"-7\""),
            ("cpu 1 a\n", "stat: cannot parse \"a\""),
            ("cpuidle 1\n", "stat: cannot parse \"idle\""),
            ("softirq 1 2 3\n", "stat: ends too early"),
            ("softirq x 1 2 3 4 5 6 7 8 9 10\n", "stat: cannot parse \"x\""),
            ("softirq 0 1 2 3 4 5 6 7 8 9 x\n", "stat: cannot parse \"x\""),
            ("procs_running 1.5\n", "stat: cannot parse \"1.5\""),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), error, "{text:?}");
        }
        assert!(parse("page x y\nswap x\n").is_ok());
    }

    #[test]
    fn after_the_last_known_column_anything_goes() {
        let stat =
            parse("softirq 0 1 2 3 4 5 6 7 8 9 10x y\ncpu0 1 2 3 4 5 6 7 8 9 10x y\n").unwrap();
        assert_eq!(stat.softirqs, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        assert_eq!(stat.cpus[0].1[9], 0.1);
    }
}
