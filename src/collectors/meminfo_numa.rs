//! Memory of each NUMA node, from `/sys/devices/system/node/node*/meminfo` and `numastat`.

use crate::collector::prelude::*;

pub static SPEC: Spec =
    Spec::new("meminfo_numa", Off, "/sys/devices/system/node/node*", &[], |_| {
        Ok(Box::new(MeminfoNuma::default()))
    });

const DIRECTORY: &str = "devices/system/node";

const MEMORY_HELP: &str = "Memory of the NUMA node, in bytes, or in pages where meminfo has no unit.";
const STAT_HELP: &str = "Pages that the NUMA node gave out, by where they were asked for.";

#[derive(Default)]
struct MeminfoNuma {
    nodes: Listing,
    name: Vec<u8>,
}

impl Collector for MeminfoNuma {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        let Self { nodes, name } = self;
        // A kernel without NUMA has no such directory.
        let _ = cx.sys.try_list(DIRECTORY, nodes);
        out.all_or_nothing(|out| {
            for (node, number) in nodes.names().filter_map(numbered) {
                join(cx.path, &[DIRECTORY, "/", node, "/meminfo"]);
                for line in cx.sys.read(cx.path, cx.text)?.scan() {
                    push_memory(line?, name, out)?;
                }
                join(cx.path, &[DIRECTORY, "/", node, "/numastat"]);
                for line in cx.sys.read(cx.path, cx.text)?.scan() {
                    push_stat(line?, number, name, out)?;
                }
            }
            Ok(())
        })
    }
}

/// `node12`, and the 12 in it.
fn numbered(node: &str) -> Option<(&str, &str)> {
    let rest = node.strip_prefix("node")?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    (digits > 0).then_some((node, &rest[..digits]))
}

/// `Node 0 Active(anon):    701324 kB`
fn push_memory(line: Text<'_>, name: &mut Vec<u8>, out: &mut Samples) -> Result<()> {
    let mut fields = line.fields();
    let Some(_) = fields.next() else { return Ok(()) };
    let node = fields.word()?;
    let key = fields.word()?;
    let value: f64 = fields.parse()?;
    let value = match (fields.next().map(|unit| unit.bytes), fields.next()) {
        (None, None) => value,
        (Some(b"kB"), None) => value * 1024.0,
        _ => return Err(line.malformed()),
    };
    name.clear();
    name.extend_from_slice(b"node_memory_numa_");
    let bare = name.len();
    write_key(key, name);
    if name.len() == bare {
        return Err(line.malformed());
    }
    let family = out.family(&Underscored(&name[..]), Kind::Gauge, MEMORY_HELP);
    out.push_named(family, &[("node", &node)], value);
    Ok(())
}

/// `Active(anon):` as `Active_anon`.
fn write_key(key: &[u8], out: &mut Vec<u8>) {
    let colons = key.iter().rev().take_while(|byte| **byte == b':').count();
    let key = &key[..key.len() - colons];
    let parentheses = memchr::memchr(b'(', key).zip(memchr::memrchr(b')', key));
    match parentheses.filter(|(open, close)| open < close) {
        Some((open, close)) => {
            out.extend_from_slice(&key[..open]);
            out.push(b'_');
            out.extend_from_slice(&key[open + 1..close]);
            out.extend_from_slice(&key[close + 1..]);
        }
        None => out.extend_from_slice(key),
    }
}

/// `numa_hit 193460335812`
fn push_stat(line: Text<'_>, node: &str, name: &mut Vec<u8>, out: &mut Samples) -> Result<()> {
    let mut fields = line.fields();
    let Some(key) = fields.next() else { return Ok(()) };
    let value: f64 = fields.parse()?;
    if fields.next().is_some() {
        return Err(line.malformed());
    }
    name.clear();
    for part in [b"node_memory_numa_", key.bytes, b"_total"] {
        name.extend_from_slice(part);
    }
    let family = out.family(&Underscored(&name[..]), Kind::Counter, STAT_HELP);
    out.push_named(family, &[("node", &node)], value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        for (key, written) in [
            ("MemFree:", "MemFree"),
            ("Active(anon):", "Active_anon"),
            ("a(b)c(d)e::", "a_b)c(de"),
            (")a(", ")a("),
            ("()", "_"),
            (":", ""),
        ] {
            let mut out = Vec::new();
            write_key(key.as_bytes(), &mut out);
            assert_eq!(std::str::from_utf8(&out), Ok(written));
        }
    }
}
