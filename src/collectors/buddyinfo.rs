//! Free blocks of memory by size, from `/proc/buddyinfo`.

use crate::collector::prelude::*;

pub static SPEC: Spec = Spec::new("buddyinfo", Off, "/proc/buddyinfo", &[], |setup| {
    setup.need_proc()?;
    Ok(Box::new(collect))
});

static BLOCKS: Desc = gauge(
    "node_buddyinfo_blocks",
    "Free blocks of that size, which is the power of 2 to which a page is taken.",
    &["node", "size", "zone"],
);

/// `Node 0, zone    DMA32    759    572    791`
fn collect(cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
    let text = cx.proc.read("buddyinfo", cx.text)?;
    let mut columns = None;
    out.all_or_nothing(|out| {
        for line in text.scan() {
            let line = line?;
            let mut fields = line.fields();
            fields.word()?;
            let node = without_comma(fields.word()?);
            fields.word()?;
            let zone = without_comma(fields.word()?);
            let mut sizes = 0;
            for (size, blocks) in fields.enumerate() {
                out.push(&BLOCKS, &[&node, &size, &zone], blocks.parse::<f64>()?);
                sizes += 1;
            }
            if *columns.get_or_insert(sizes) != sizes {
                return Err(line.malformed());
            }
        }
        Ok(())
    })
}

fn without_comma(word: &[u8]) -> &[u8] {
    word.strip_suffix(b",").unwrap_or(word)
}
