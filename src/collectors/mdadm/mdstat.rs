//! The lines of `/proc/mdstat`.
//!
//! ```text
//! Personalities : [raid1] [raid6] [raid5] [raid4]
//! md3 : active raid6 sda1[8] sdh1[7] sdg1[6] sdf1[5] sde1[11](F) sdd1[3] sdc1[10](S) sdb1[9]
//!       5853468288 blocks super 1.2 level 6, 64k chunk, algorithm 2 [8/7] [UUUU_UUU]
//!       bitmap: 0/8 pages [0KB], 65536KB chunk
//!       [==>..................]  recovery = 12.6% (37043392/292945152) finish=127.5min speed=33440K/sec
//!
//! unused devices: <none>
//! ```

use memchr::memmem;

use crate::collector::prelude::*;
use crate::number::{self, split_digits};

pub(super) const RECOVERING: &[u8] = b"recovering";
pub(super) const CHECKING: &[u8] = b"checking";
pub(super) const RESYNCING: &[u8] = b"resyncing";
const RESHAPING: &[u8] = b"reshaping";

/// Words in an array's line of progress, the more important ones first, and the state they mean.
const ACTIONS: [(&[u8], &[u8]); 4] = [
    (b"recovery", RECOVERING),
    (b"reshape", RESHAPING),
    (b"check", CHECKING),
    (b"resync", RESYNCING),
];

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Array<'a> {
    pub(super) name: &'a [u8],
    pub(super) state: &'a [u8],
    pub(super) required: i64,
    pub(super) active: i64,
    pub(super) failed: usize,
    pub(super) spare: usize,
    pub(super) blocks: i64,
    pub(super) synced: i64,
}

pub(super) fn parse(text: Text<'_>, mut tell: impl FnMut(&Array<'_>)) -> Result<()> {
    let mut lines = text.bytes.split(|&byte| byte == b'\n').map(|bytes| Text { bytes, ..text });
    let mut is_introduced = false;
    while let Some(line) = lines.next() {
        let is_beside = line.bytes.starts_with(b" ") || line.bytes.starts_with(b"unused");
        if is_beside || line.trim().bytes.is_empty() {
            continue;
        }
        if !is_introduced && let Some(names) = line.strip_prefix(b"Personalities : ") {
            is_introduced = has_names(names)?;
            continue;
        }
        let mut below = lines.clone();
        let mut next = || below.next().ok_or_else(|| Error::truncated(text.path));
        tell(&Array::parse(line, next()?, [next()?, next()?])?);
    }
    Ok(())
}

/// `[raid1] [raid6]`
fn has_names(names: Text<'_>) -> Result<bool> {
    let mut is_any = false;
    for name in names.fields() {
        is_any = true;
        if name.bytes.len() < 2 {
            return Err(name.malformed());
        }
    }
    Ok(is_any)
}

impl<'a> Array<'a> {
    fn parse(head: Text<'a>, status: Text<'a>, below: [Text<'a>; 2]) -> Result<Self> {
        let mut fields = head.fields();
        let (name, _, state) = (fields.word()?, fields.word()?, fields.word()?);
        check_disks(head)?;
        let blocks = status.fields().parse()?;
        let [required, active] = disks(head, status)?;
        let mut array = Self {
            name,
            state,
            required,
            active,
            failed: count(head, b"(F)"),
            spare: count(head, b"(S)"),
            blocks,
            synced: blocks,
        };
        let progress = if has(below[0], b"bitmap") { below[1] } else { below[0] };
        if let Some((_, state)) = ACTIONS.iter().find(|(word, _)| has(progress, word)) {
            array.state = state;
            let is_waiting = has(progress, b"PENDING") || has(progress, b"DELAYED");
            array.synced = if is_waiting { 0 } else { synced(progress)? };
        }
        Ok(array)
    }
}

/// How many disks the array is made of, and how many of them are active.
fn disks(head: Text<'_>, status: Text<'_>) -> Result<[i64; 2]> {
    if has(head, b"raid0") || has(head, b"linear") {
        #[expect(clippy::cast_possible_wrap, reason = "a line is shorter")]
        let all = memchr::memchr_iter(b'[', head.bytes).count() as i64;
        return Ok([all, all]);
    }
    if has(head, b"inactive") {
        return Ok([0, 0]);
    }
    counts(status.bytes).ok_or_else(|| status.malformed())
}

/// The numbers in the last `[8/7] [UUUU_UUU]` behind the first `5853468288 blocks `.
fn counts(status: &[u8]) -> Option<[i64; 2]> {
    const BLOCKS: &[u8] = b" blocks ";

    let start = memmem::find_iter(status, BLOCKS)
        .find(|&at| at > 0 && status[at - 1].is_ascii_digit())?;
    let rest = &status[start + BLOCKS.len()..];
    let (required, active) = memchr::memrchr_iter(b'[', rest).find_map(|at| {
        let (required, rest) = split_digits(&rest[at + 1..])?;
        let (active, rest) = split_digits(rest.strip_prefix(b"/")?)?;
        let disks = rest.strip_prefix(b"] [")?;
        let end = disks.iter().position(|byte| !matches!(byte, b'U' | b'_'))?;
        (end > 0 && disks[end] == b']').then_some((required, active))
    })?;
    Some([number::int(required)?, number::int(active)?])
}

/// The first number of `(37043392/292945152)`; the rest of the line has to be well-formed, too.
fn synced(progress: Text<'_>) -> Result<i64> {
    let line = progress.bytes;
    let blocks = memchr::memchr_iter(b'(', line).find_map(|at| {
        let (synced, rest) = split_digits(&line[at + 1..])?;
        let (all, rest) = split_digits(rest.strip_prefix(b"/")?)?;
        rest.starts_with(b")").then_some((synced, all))
    });
    let synced = blocks.and_then(|(synced, all)| number::int(all).and(number::int(synced)));
    let is_float = |bytes: Option<&[u8]>| bytes.and_then(number::float).is_some();
    let share = between(line, b"= ", |rest| memchr::memrchr(b'%', rest));
    let is_well_formed = is_float(share.map(<[u8]>::trim_ascii))
        && is_float(between(line, b"finish=", |rest| memmem::rfind(rest, b"min")))
        && is_float(between(line, b"speed=", |rest| rest.iter().rposition(u8::is_ascii_uppercase)));
    synced.filter(|_| is_well_formed).ok_or_else(|| progress.malformed())
}

/// What stands after the first `start`, up to where it ends; not empty.
fn between<'a>(
    line: &'a [u8],
    start: &[u8],
    end: impl Fn(&[u8]) -> Option<usize>,
) -> Option<&'a [u8]> {
    let rest = &line[memmem::find(line, start)? + start.len()..];
    let end = end(rest).filter(|&end| end > 0)?;
    Some(&rest[..end])
}

/// `sda1[8](F)`: the last number in brackets has 32 bits.
fn check_disks(head: Text<'_>) -> Result<()> {
    for field in head.fields() {
        let number = memchr::memrchr_iter(b'[', field.bytes).find_map(|at| {
            let (number, rest) = split_digits(&field.bytes[at + 1..])?;
            rest.starts_with(b"]").then_some(number)
        });
        let fits = |digits| number::int(digits).is_some_and(|n| i32::try_from(n).is_ok());
        if number.is_some_and(|digits| !fits(digits)) {
            return Err(field.malformed());
        }
    }
    Ok(())
}

fn has(line: Text<'_>, word: &[u8]) -> bool {
    memmem::find(line.bytes, word).is_some()
}

fn count(line: Text<'_>, mark: &[u8]) -> usize {
    memmem::find_iter(line.bytes, mark).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Result<Vec<String>, String> {
        let mut told = Vec::new();
        let text = Text::new("mdstat", text.as_bytes());
        let outcome = parse(text, |array| {
            let Array { name, state, required, active, failed, spare, blocks, synced } = array;
            let [name, state] = [name, state].map(|bytes| String::from_utf8_lossy(bytes));
            told.push(format!(
                "{name} {state} {active}/{required} {failed}F {spare}S {synced}/{blocks}"
            ));
        });
        outcome.map(|()| told).map_err(|error| error.to_string())
    }

    #[test]
    fn arrays() {
        for (text, expected) in [
            ("", ""),
            ("Personalities : \nunused devices: <none>\n", ""),
            ("Personalities : [raid1] [raid0]\n \n\t\nunused devices: <none>\n", ""),
            (
                "md1 : active raid1 sdb1[1] sda1[0](S) sdc1[2](F) sdd1[3](F)\n \
                 100 blocks [4/2] [U_U_]\n\n",
                "md1 active 2/4 2F 1S 100/100",
            ),
            // The last pair of brackets counts, and what is behind it does not.
            (
                "md1 : active raid1 a[0]\n 100 blocks 7 blocks [9/9] [UU] x [2/1] [U_] [x/y]\n\n",
                "md1 active 1/2 0F 0S 100/100",
            ),
            ("md0 : active raid0 a[0] b[1] c[2]\n 90 blocks 64k chunks\n\n", "md0 active 3/3 0F 0S 90/90"),
            ("md0 : inactive sdb[1](S) sda[0](S)\n 90 blocks\n\n", "md0 inactive 0/0 0F 2S 90/90"),
            ("md0 : broken raid1 a[0]\n 9 blocks [1/0] [_]\n\n", "md0 broken 0/1 0F 0S 9/9"),
            (
                "md1 : active (auto-read-only) raid1 a[0]\n 9 blocks [1/1] [U]\n \tresync=PENDING\n\n",
                "md1 resyncing 1/1 0F 0S 0/9",
            ),
            (
                "md1 : active raid1 a[0]\n 9 blocks [1/1] [U]\n bitmap: 0/1 pages [0KB]\n \
                 [>] recovery = 12.6% (3/8) finish=1.5min speed=33440K/sec\n",
                "md1 recovering 1/1 0F 0S 3/9",
            ),
            (
                "md1 : active raid1 a[0]\n 9 blocks [1/1] [U]\n [>] check = 1% (3/8) \
                 finish=1min speed=3K/sec\n\nmd2 : active raid0 a[0]\n 1 blocks\n\n\n",
                "md1 checking 1/1 0F 0S 3/9, md2 active 1/1 0F 0S 1/1",
            ),
            (
                "md1 : active raid1 a[0]\n 9 blocks [1/1] [U]\n reshape = 1% (3/8) \
                 finish=1min speed=3K/sec resync\n\n",
                "md1 reshaping 1/1 0F 0S 3/9",
            ),
        ] {
            assert_eq!(told(text).map(|arrays| arrays.join(", ")), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_no_mdstat() {
        let progress = |text: &str| format!("md1 : active raid0 a[0]\n 9 blocks\n {text}\n\n");
        let good = "recovery = 1% (3/8) finish=1min speed=3K/sec";
        assert!(told(&progress(good)).is_ok());
        let damaged = [
            ("(3/8)", "(3/)"),
            ("(3/8)", "(3/99999999999999999999)"),
            ("= 1%", "= %"),
            ("= 1%", "=1%"),
            ("= 1%", "= x%"),
            ("=1min", "=min"),
            ("=1min", "=1xmin"),
            ("=3K", "=3k"),
            ("=3K", "=K"),
        ];
        let damaged = damaged.map(|(part, by)| progress(&good.replace(part, by)));
        for text in damaged.iter().map(String::as_str).chain([
            "Personalities : [raid1] x\n",
            "Personalities :\n",
            "Personalities : [raid1]\nPersonalities : [raid1]\n\n\n\n",
            "md1 :\n 9 blocks\n\n\n",
            "md1 : active raid0 a[0]\n 9 blocks\n",
            "md1 : active raid0 a[0]\n\n\n\n",
            "md1 : active raid0 a[0]\n x blocks\n\n\n",
            "md1 : active raid0 a[99999999999]\n 9 blocks\n\n\n",
            "md1 : active raid1 a[0]\n 9 blocks [1/1] [x]\n\n\n",
            "md1 : active raid1 a[0]\n 9 blocks [1/1] []\n\n\n",
            "md1 : active raid1 a[0]\n 9 blocks [1/1] [U\n\n\n",
            "md1 : active raid1 a[0]\n 9 block [1/1] [U]\n\n\n",
            "md1 : active raid1 a[0]\n 9 blocks [99999999999999999999/1] [U]\n\n\n",
        ]) {
            let error = told(text).unwrap_err();
            assert!(error.starts_with("mdstat: "), "{text:?}: {error}");
        }
    }
}
