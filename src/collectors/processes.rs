//! Processes and threads by state, from `/proc/PID/stat` and `/proc/PID/task/TID/stat`.

use std::fmt::Write as _;

use crate::collector::prelude::*;
use crate::collector::tally::Tally;
use crate::number;

pub static SPEC: Spec =
    Spec::new("processes", Off, "/proc/PID/stat, /proc/PID/task", &[], |setup| {
        setup.need_proc()?;
        Ok(Box::new(Processes::default()))
    });

static THREADS: Desc = gauge("node_processes_threads", "Threads of all processes.", &[]);
static MAX_THREADS: Desc = gauge(
    "node_processes_max_threads",
    "Threads that the kernel allows, from sys/kernel/threads-max.",
    &[],
);
static STATE: Desc = gauge("node_processes_state", "Processes in each state.", &["state"]);
static THREAD_STATE: Desc =
    gauge("node_processes_threads_state", "Threads in each state.", &["thread_state"]);
static PIDS: Desc = gauge("node_processes_pids", "Processes.", &[]);
static MAX_PROCESSES: Desc = gauge(
    "node_processes_max_processes",
    "Process and thread numbers that the kernel gives out, from sys/kernel/pid_max.",
    &[],
);

#[derive(Default)]
struct Processes {
    pids: Listing,
    tids: Listing,
    states: Tally,
    thread_states: Tally,
    /// Scratch for a thread's file, while the process's is still looked at.
    path: String,
    text: Vec<u8>,
}

impl Collector for Processes {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        let (processes, threads) = self.count(cx)?;
        out.push(&THREADS, &[], threads);
        let max_threads: u64 = cx.proc.read("sys/kernel/threads-max", cx.text)?.trim().parse()?;
        out.push(&MAX_THREADS, &[], max_threads);
        for (state, count) in self.states.iter() {
            out.push(&STATE, &[&Repaired(state)], count);
        }
        for (state, count) in self.thread_states.iter() {
            out.push(&THREAD_STATE, &[&Repaired(state)], count);
        }
        let max_processes: u64 = cx.proc.read("sys/kernel/pid_max", cx.text)?.trim().parse()?;
        out.push(&PIDS, &[], processes);
        out.push(&MAX_PROCESSES, &[], max_processes);
        Ok(())
    }
}

impl Processes {
    /// How many processes and threads there are; their states are counted on the way. Those that
    /// end meanwhile do not count.
    fn count(&mut self, cx: &mut Cx<'_>) -> Result<(u32, i64)> {
        let Self { pids, tids, states, thread_states, path, text } = self;
        let (mut processes, mut threads) = (0, 0i64);
        states.clear();
        thread_states.clear();
        cx.proc.list("", pids)?;
        for pid in pids.names().filter_map(|name| number::int(name.as_bytes())) {
            set_path(cx.path, format_args!("{pid}/stat"));
            let Some(stat) = unless_gone(cx.proc.read_once(cx.path, cx.text))? else { continue };
            let stat = Stat::parse(stat)?;
            processes += 1;
            threads = threads.wrapping_add(stat.threads);
            states.count(stat.state);
            // Where one thread is all, its directory tells nothing more.
            if cx.proc.is_live() && stat.threads == 1 {
                thread_states.count(stat.state);
                continue;
            }
            set_path(path, format_args!("{pid}/task"));
            if unless_gone(cx.proc.list(path, tids))?.is_none() {
                continue;
            }
            for tid in tids.names().filter_map(|name| number::int(name.as_bytes())) {
                if tid == pid {
                    // Read already, as the process.
                    thread_states.count(stat.state);
                    continue;
                }
                set_path(path, format_args!("{pid}/task/{tid}/stat"));
                if let Some(stat) = unless_gone(cx.proc.read_once(path, text))? {
                    thread_states.count(Stat::parse(stat)?.state);
                }
            }
        }
        Ok((processes, threads))
    }
}

fn set_path(path: &mut String, text: std::fmt::Arguments<'_>) {
    path.clear();
    // A String takes every write.
    let _ = path.write_fmt(text);
}

/// `None` for what ended since it was listed.
fn unless_gone<T>(outcome: Result<T>) -> Result<Option<T>> {
    match outcome {
        Err(Error::Io { errno: Errno::NOENT | Errno::SRCH, .. }) => Ok(None),
        outcome => outcome.map(Some),
    }
}

/// What is told of a process or thread.
struct Stat<'a> {
    state: &'a [u8],
    threads: i64,
}

/// The numbers after the state, signed or unsigned: from the parent's number to the children's
/// guest time. One that does not fit spoils the file.
const NUMBERS: &[u8; 41] = b"sssssuuuuuuussssssuusuuuuuuuuuuuuusuuuuss";
const THREAD_COUNT: usize = 16;

impl<'a> Stat<'a> {
    /// `1 (systemd) S 0 1 1 0 -1 4194560 …`; a name may hold parentheses and spaces itself.
    fn parse(text: Text<'a>) -> Result<Self> {
        let bytes = text.bytes;
        let malformed = || text.malformed();
        let open = memchr::memchr(b'(', bytes).ok_or_else(malformed)?;
        let close = memchr::memrchr(b')', bytes).filter(|close| *close > open);
        let rest = bytes.get(close.ok_or_else(malformed)? + 2..).ok_or_else(malformed)?;
        let rest = rest.trim_ascii_start();
        let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
        let (state, mut rest) = rest.split_at(end);
        let mut threads = 0;
        for (at, sign) in NUMBERS.iter().enumerate() {
            let number = scan(&mut rest, *sign == b's').ok_or_else(malformed)?;
            if at == THREAD_COUNT {
                threads = number;
            }
        }
        Ok(Self { state, threads })
    }
}

/// The next number as Go's `Fscan` reads it: it ends where its digits end, and what comes then is
/// the next one. An unsigned one beyond `i64` comes out negative.
fn scan(rest: &mut &[u8], is_signed: bool) -> Option<i64> {
    let text = rest.trim_ascii_start();
    let sign = usize::from(is_signed && matches!(text.first(), Some(b'+' | b'-')));
    let (prefix, base) = match text[sign..] {
        [b'0', b'x' | b'X', ..] => (2, 16),
        [b'0', b'o' | b'O', ..] => (2, 8),
        [b'0', b'b' | b'B', ..] => (2, 2),
        [b'0', ..] => (1, 8),
        _ => (0, 10),
    };
    let is_digit = |byte: &u8| *byte == b'_' || char::from(*byte).is_digit(base);
    let start = sign + prefix;
    let digits = text[start..].iter().take_while(|byte| is_digit(byte)).count();
    let (token, after) = text.split_at(start + digits);
    *rest = after;
    match is_signed {
        true => number::int_any_base(token),
        false => number::uint_any_base(token).map(u64::cast_signed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "26231 (a) (b c) S 1 -2 0 34816 -1 4218112 1677 122 9 3 1 2 0 0 20 0 7 0 \
                        82375 56274944 1981 18446744073709551615 4194304 6294284 140736914091744 \
                        140736914087944 139965136429984 0 0 12288 1870679807 0 0 0 17 0 0 0 31 0 0";

    #[test]
    fn stats() {
        let number = |from: &str, to: &str| STAT.replacen(from, to, 1);
        for (text, state_and_threads) in [
            (STAT.to_owned(), Some(("S", 7))),
            (format!("{STAT} 1 2 x"), Some(("S", 7))),
            (number(") S ", ") Rx\t"), Some(("Rx", 7))),
            (number(" 7 0 ", " 0x10 0 "), Some(("S", 16))),
            // One number less, and another torn into two.
            (number(" 7 0 ", " 7-1 "), Some(("S", 7))),
            (number(" 0 7 0 ", " 08 0 "), Some(("S", 8))),
            (number("(a) (b c)", "(a"), None),
            (number("(a) (b c)", ")("), None),
            ("1 (a)".to_owned(), None),
            ("1 (a) ".to_owned(), None),
            ("1 (a) S 1".to_owned(), None),
            (number(" 7 0 ", " seven 0 "), None),
            (number(" 1677 ", " -1677 "), None),
            (number(" 7 0 ", " 9223372036854775808 0 "), None),
            (STAT.strip_suffix(" 0").unwrap().to_owned(), None),
        ] {
            let stat = Stat::parse(Text::new("1/stat", text.as_bytes())).ok();
            let expected = state_and_threads.map(|(state, threads)| (state.as_bytes(), threads));
            assert_eq!(stat.map(|stat| (stat.state, stat.threads)), expected, "{text}");
        }
    }
}
