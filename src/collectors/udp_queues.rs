//! Bytes that wait in the queues of UDP sockets, from `/proc/net/udp` and `/proc/net/udp6`.

use crate::collector::prelude::*;

pub static SPEC: Spec =
    Spec::new("udp_queues", On, "/proc/net/udp, /proc/net/udp6", &[], |setup| {
        setup.need_proc()?;
        Ok(Box::new(collect))
    });

static QUEUES: Desc = gauge(
    "node_udp_queues",
    "Memory taken by datagrams that wait in UDP sockets, in bytes.",
    &["ip", "queue"],
);

fn collect(cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
    let mut is_absent = true;
    for (ip, path) in [("v4", "net/udp"), ("v6", "net/udp6")] {
        let Some(text) = cx.proc.read_present(path, cx.text)? else { continue };
        is_absent = false;
        let Queues { tx, rx } = sums(text)?;
        out.push(&QUEUES, &[&ip, &"tx"], tx);
        out.push(&QUEUES, &[&ip, &"rx"], rx);
    }
    if is_absent { Err(Error::no_data("the kernel has no UDP")) } else { Ok(()) }
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Queues {
    tx: u64,
    rx: u64,
}

fn sums(text: Text<'_>) -> Result<Queues> {
    let mut sums = Queues::default();
    for (at, line) in text.scan().enumerate() {
        let line = line?;
        if at > 0 {
            let Queues { tx, rx } = queues(line)?;
            sums = Queues { tx: sums.tx.wrapping_add(tx), rx: sums.rx.wrapping_add(rx) };
        }
    }
    Ok(sums)
}

/// Every column that the original reads is checked, for one bad socket fails the file:
/// `  31: 0100007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000   101        0 22610 2 0000000000000000 0`
fn queues(line: Text<'_>) -> Result<Queues> {
    const COLUMNS: usize = 13;

    let mut columns = [Text { bytes: b"", ..line }; COLUMNS];
    let mut count = 0;
    for (column, field) in columns.iter_mut().zip(line.fields()) {
        *column = field;
        count += 1;
    }
    if count < COLUMNS {
        return Err(line.malformed());
    }
    let [slot, local, remote, state, queues, _, _, uid, _, inode, _, _, drops] = columns;
    pair(slot)?.0.parse::<AnyBase<u64>>()?;
    for address in [local, remote] {
        let (ip, port) = pair(address)?;
        if !matches!(ip.bytes.len(), 8 | 32) || !ip.bytes.iter().all(u8::is_ascii_hexdigit) {
            return Err(ip.malformed());
        }
        port.parse::<Hex>()?;
    }
    state.parse::<Hex>()?;
    for number in [uid, inode, drops] {
        number.parse::<AnyBase<u64>>()?;
    }
    let (tx, rx) = pair(queues)?;
    let (Hex(tx), Hex(rx)) = (tx.parse()?, rx.parse()?);
    Ok(Queues { tx, rx })
}

/// Both sides of the only colon.
fn pair(field: Text<'_>) -> Result<(Text<'_>, Text<'_>)> {
    field
        .split_once(b':')
        .filter(|(_, right)| !right.bytes.contains(&b':'))
        .ok_or_else(|| field.malformed())
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: &str = "  31: 0100007F:0035 00000000:0000 07 0000000A:0000001F \
                      00:00000000 00000000   101        0 22610 2 0000000000000000 0";

    #[test]
    fn lines() {
        let v6 = V4.replace("0100007F", "00000000000000000000000001000000");
        for (line, is_good) in [
            (V4.to_owned(), true),
            (v6, true),
            (V4.replace("31:", "0x1f:"), true),
            (V4.replace("31:", "31:x"), true),
            (V4.replace(" 0 22610", " x 022"), true),
            (format!("{V4} x"), true),
            (String::new(), false),
            (V4.replace("31:", "31"), false),
            (V4.replace("31:", "31::"), false),
            (V4.replace("31:", "x:"), false),
            (V4.replace("0100007F", "0100007"), false),
            (V4.replace("0100007F", "0100007G"), false),
            (V4.replace("0100007F", "0100007F00"), false),
            (V4.replace(":0035", ":"), false),
            (V4.replace("00000000:0000 07", "00000000 07"), false),
            (V4.replace(" 07 ", " 0x7 "), false),
            (V4.replace("0A:", "0A:1:"), false),
            (V4.replace("0A:", "0G:"), false),
            (V4.replace("101", "-1"), false),
            (V4.replace("22610", "22610x"), false),
            (V4.replace("00000000 0", "00000000 y"), false),
            // The original crashes for want of the drops.
            (V4.strip_suffix(" 2 0000000000000000 0").unwrap().to_owned(), false),
            (V4.strip_suffix(" 0").unwrap().to_owned(), false),
        ] {
            let queues = queues(Text::new("net/udp", line.as_bytes())).ok();
            assert_eq!(queues, is_good.then_some(Queues { tx: 10, rx: 31 }), "{line}");
        }
    }

    #[test]
    fn the_first_line_is_none_and_the_others_are_summed() {
        for (text, expected) in [
            (String::new(), Some((0, 0))),
            ("x\n".to_owned(), Some((0, 0))),
            (format!("x\n{V4}\n{V4}\n"), Some((20, 62))),
            (format!("x\n{V4}\n\n"), None),
            (format!("{}\n{V4}", "x".repeat(1 << 16)), None),
        ] {
            let sums = sums(Text::new("net/udp", text.as_bytes())).ok();
            assert_eq!(sums, expected.map(|(tx, rx)| Queues { tx, rx }), "{text:.80}");
        }
    }
}
