//! `/proc/cpuinfo`, which each architecture writes in its own way.

use crate::collector::prelude::*;
use crate::number;

static INFO: Desc = gauge(
    "node_cpu_info",
    "What /proc/cpuinfo says of each CPU; always 1.",
    &[
        "cachesize", "core", "cpu", "family", "microcode", "model", "model_name", "package", "stepping",
        "vendor",
    ],
);
static FREQUENCY: Desc = gauge(
    "node_cpu_frequency_hertz",
    "Frequency of each CPU in hertz, from /proc/cpuinfo.",
    &["core", "cpu", "package"],
);
static FLAG_INFO: Desc =
    gauge("node_cpu_flag_info", "1 for each wanted flag of the first CPU.", &["flag"]);
static BUG_INFO: Desc =
    gauge("node_cpu_bug_info", "1 for each wanted bug of the first CPU.", &["bug"]);

/// What of the file is to be told.
pub(super) struct Wanted {
    pub(super) flags: Option<Pattern>,
    pub(super) bugs: Option<Pattern>,
    pub(super) frequency: bool,
}

pub(super) fn push(wanted: &Wanted, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
    let text = cx.proc.read("cpuinfo", cx.text)?;
    let mut is_first = true;
    READ(text, &mut |cpu| {
        cpu.push(wanted.frequency, out);
        if std::mem::take(&mut is_first) {
            push_words(&FLAG_INFO, wanted.flags.as_ref(), cpu.flags, out);
            push_words(&BUG_INFO, wanted.bugs.as_ref(), cpu.bugs, out);
        }
    })
}

fn push_words(
    desc: &'static Desc,
    wanted: Option<&Pattern>,
    words: &[u8],
    out: &mut Samples,
) {
    let Some(wanted) = wanted else { return };
    for word in Text::new("cpuinfo", words).fields().filter(|word| wanted.is_match(word.bytes)) {
        out.push(desc, &[&word.bytes], 1.0);
    }
}

/// One CPU; a label that its architecture does not know stays empty.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
struct Cpu<'a> {
    processor: u64,
    vendor: &'a [u8],
    family: &'a [u8],
    model: &'a [u8],
    model_name: &'a [u8],
    stepping: &'a [u8],
    microcode: &'a [u8],
    megahertz: f64,
    cache_size: &'a [u8],
    package: &'a [u8],
    core: &'a [u8],
    flags: &'a [u8],
    bugs: &'a [u8],
}

impl Cpu<'_> {
    fn push(&self, frequency: bool, out: &mut Samples) {
        let Self { processor, package, core, .. } = self;
        out.push(
            &INFO,
            &[
                &self.cache_size,
                core,
                processor,
                &self.family,
                &self.microcode,
                &self.model,
                &self.model_name,
                package,
                &self.stepping,
                &self.vendor,
            ],
            1.0,
        );
        if frequency {
            out.push(&FREQUENCY, &[core, processor, package], self.megahertz * 1e6);
        }
    }
}

/// Reads a whole file and hands over its CPUs in turn.
type Read = for<'a> fn(Text<'a>, &mut dyn FnMut(&Cpu<'a>)) -> Result<()>;

const READ: Read = if cfg!(any(target_arch = "x86", target_arch = "x86_64")) {
    |text, found| read_blocks(&X86, text, found)
} else if cfg!(any(target_arch = "arm", target_arch = "aarch64")) {
    read_arm
} else if cfg!(any(target_arch = "riscv32", target_arch = "riscv64")) {
    |text, found| read_blocks(&RISCV, text, found)
} else if cfg!(any(target_arch = "powerpc", target_arch = "powerpc64")) {
    |text, found| read_blocks(&POWERPC, text, found)
} else if cfg!(any(target_arch = "mips", target_arch = "mips64")) {
    |text, found| read_blocks(&MIPS, text, found)
} else if cfg!(target_arch = "loongarch64") {
    |text, found| read_blocks(&LOONGARCH, text, found)
} else if cfg!(target_arch = "s390x") {
    read_s390
} else {
    |_, _| Err(Error::failed("cpuinfo: not implemented on this architecture"))
};

/// How an architecture writes the file, when each CPU is a block that begins with `processor`.
struct Dialect {
    /// What the first line that is not blank must begin with.
    opening: &'static [u8],
    keys: &'static [(&'static [u8], Key)],
}

#[derive(Clone, Copy)]
enum Key {
    /// A field that becomes a label.
    Text(for<'a, 'b> fn(&'b mut Cpu<'a>) -> &'b mut &'a [u8]),
    Megahertz,
    /// A frequency with a unit behind it: `3425.000000MHz`.
    Clock,
    /// Not told, yet a bad one spoils the file.
    Integer,
    Float,
}

static X86: Dialect = Dialect {
    opening: b"processor",
    keys: &[
        (b"vendor", Key::Text(|cpu| &mut cpu.vendor)),
        (b"vendor_id", Key::Text(|cpu| &mut cpu.vendor)),
        (b"cpu family", Key::Text(|cpu| &mut cpu.family)),
        (b"model", Key::Text(|cpu| &mut cpu.model)),
        (b"model name", Key::Text(|cpu| &mut cpu.model_name)),
        (b"stepping", Key::Text(|cpu| &mut cpu.stepping)),
        (b"microcode", Key::Text(|cpu| &mut cpu.microcode)),
        (b"cpu MHz", Key::Megahertz),
        (b"cache size", Key::Text(|cpu| &mut cpu.cache_size)),
        (b"physical id", Key::Text(|cpu| &mut cpu.package)),
        (b"siblings", Key::Integer),
        (b"core id", Key::Text(|cpu| &mut cpu.core)),
        (b"cpu cores", Key::Integer),
        (b"cpuid level", Key::Integer),
        (b"flags", Key::Text(|cpu| &mut cpu.flags)),
        (b"bugs", Key::Text(|cpu| &mut cpu.bugs)),
        (b"bogomips", Key::Float),
        (b"clflush size", Key::Integer),
        (b"cache_alignment", Key::Integer),
    ],
};

static RISCV: Dialect = Dialect {
    opening: b"processor",
    keys: &[
        (b"hart", Key::Text(|cpu| &mut cpu.core)),
        (b"isa", Key::Text(|cpu| &mut cpu.model_name)),
    ],
};

static POWERPC: Dialect = Dialect {
    opening: b"processor",
    keys: &[(b"cpu", Key::Text(|cpu| &mut cpu.vendor)), (b"clock", Key::Clock)],
};

static MIPS: Dialect = Dialect {
    opening: SYSTEM_TYPE,
    keys: &[(b"cpu model", Key::Text(|cpu| &mut cpu.model_name)), (b"BogoMIPS", Key::Float)],
};

static LOONGARCH: Dialect = Dialect {
    opening: SYSTEM_TYPE,
    keys: &[
        (b"CPU Family", Key::Text(|cpu| &mut cpu.family)),
        (b"Model Name", Key::Text(|cpu| &mut cpu.model_name)),
    ],
};

/// Where the file begins with the machine, which is every CPU's vendor.
const SYSTEM_TYPE: &[u8] = b"system type";

impl Key {
    fn take<'a>(self, cpu: &mut Cpu<'a>, value: Text<'a>) -> Result<()> {
        match self {
            Key::Text(field) => *field(cpu) = value.bytes,
            Key::Megahertz => cpu.megahertz = value.parse()?,
            Key::Clock => cpu.megahertz = parse_clock(value)?,
            Key::Integer => drop(parse_u32(value)?),
            Key::Float => drop(value.parse::<f64>()?),
        }
        Ok(())
    }
}

fn read_blocks<'a>(
    dialect: &Dialect,
    text: Text<'a>,
    found: &mut dyn FnMut(&Cpu<'a>),
) -> Result<()> {
    let mut lines = lines(text);
    let (_, first) = first_line(text, &mut lines, &[dialect.opening])?;
    let (mut machine, mut current): (&[u8], _) = (b"", None);
    if dialect.opening == SYSTEM_TYPE {
        machine = first.bytes;
    } else {
        current = Some(Cpu { processor: parse_u32(first)?, ..Cpu::default() });
    }
    for (key, value) in lines.filter_map(split) {
        if key == b"processor" {
            let processor = parse_u32(value)?;
            if let Some(cpu) = current.replace(Cpu { processor, vendor: machine, ..Cpu::default() }) {
                found(&cpu);
            }
        } else if let Some((_, key)) = dialect.keys.iter().find(|(name, _)| *name == key) {
            // Before the first processor the original has no place for a value and dies.
            key.take(current.as_mut().ok_or_else(|| value.malformed())?, value)?;
        }
    }
    current.iter().for_each(found);
    Ok(())
}

/// Each CPU has a block, in which only 64-bit kernels in 32-bit mode name the model; old kernels
/// name it once, before the CPUs or in place of them. The features stand once or with each CPU.
fn read_arm<'a>(text: Text<'a>, found: &mut dyn FnMut(&Cpu<'a>)) -> Result<()> {
    // They may come after the CPUs they belong to.
    let features = lines(text).filter_map(split).filter(|(key, _)| key == b"Features").last();
    let flags = features.ok_or_else(|| Error::failed("cpuinfo: no Features"))?.1.bytes;
    let mut lines = lines(text);
    let mut common = Cpu { flags, ..Cpu::default() };
    let mut current = None;
    match first_line(text, &mut lines, &[b"processor", b"Processor"])? {
        (b"Processor", model) => common.model_name = model.bytes,
        (_, processor) => current = Some(Cpu { processor: parse_u32(processor)?, ..common }),
    }
    for (key, value) in lines.filter_map(split) {
        match key {
            b"processor" => {
                let processor = parse_u32(value)?;
                if let Some(cpu) = current.replace(Cpu { processor, ..common }) {
                    found(&cpu);
                }
            }
            b"BogoMIPS" => {
                current.get_or_insert(common);
                value.parse::<f64>()?;
            }
            b"model name" => {
                current.as_mut().ok_or_else(|| value.malformed())?.model_name = value.bytes;
            }
            _ => {}
        }
    }
    current.iter().for_each(found);
    Ok(())
}

/// First a line a CPU, `processor 0: version = FF, …`, then a block a CPU, `cpu number : 0`.
fn read_s390<'a>(text: Text<'a>, found: &mut dyn FnMut(&Cpu<'a>)) -> Result<()> {
    let is_block = |line: &Text<'_>| line.bytes.starts_with(b"cpu number");
    let mut head = lines(text);
    let (_, vendor) = first_line(text, &mut head, &[b"vendor_id"])?;
    let mut common = Cpu { vendor: vendor.bytes, ..Cpu::default() };
    let mut blocks = lines(text).skip_while(|line| !is_block(line)).peekable();
    for line in head.take_while(|line| !is_block(line)) {
        match split(line) {
            Some((b"bogomips per cpu", value)) => drop(value.parse::<f64>()?),
            Some((b"features", value)) => common.flags = value.bytes,
            _ => {}
        }
        let Some((left, _)) = line.split_once(b':') else { continue };
        let Some(number) = left.strip_prefix(b"processor") else { continue };
        let processor = number.bytes.trim_ascii_start();
        let is_number = processor.len() < number.bytes.len() && processor.iter().all(u8::is_ascii_digit);
        if !is_number {
            return Err(line.malformed());
        }
        let processor = parse_u32(Text { bytes: processor, ..number })?;
        let mut cpu = Cpu { processor, ..common };
        blocks.next();
        while let Some(line) = blocks.next_if(|line| !is_block(line)) {
            take_s390(&mut cpu, line)?;
        }
        found(&cpu);
    }
    // A block without its CPU has no place.
    match blocks.next() {
        Some(block) => Err(block.malformed()),
        None => Ok(()),
    }
}

fn take_s390<'a>(cpu: &mut Cpu<'a>, line: Text<'a>) -> Result<()> {
    match split(line) {
        Some((b"cpu MHz dynamic", value)) => cpu.megahertz = parse_clock(value)?,
        Some((b"physical id", value)) => cpu.package = value.bytes,
        Some((b"core id", value)) => cpu.core = value.bytes,
        Some((b"cpu cores" | b"siblings", value)) => drop(parse_u32(value)?),
        _ => {}
    }
    Ok(())
}

/// The lines up to one that is too long for the original's scanner.
fn lines(text: Text<'_>) -> impl Iterator<Item = Text<'_>> {
    text.scan().map_while(Result::ok)
}

/// Key and value of the first line that is not blank, which must begin with one of `openings`.
fn first_line<'a>(
    text: Text<'a>,
    lines: &mut impl Iterator<Item = Text<'a>>,
    openings: &[&[u8]],
) -> Result<(&'a [u8], Text<'a>)> {
    let first = lines.find(|line| !line.bytes.trim_ascii().is_empty());
    let first = first.ok_or_else(|| Error::truncated(text.path))?;
    let is_opening = openings.iter().any(|opening| first.bytes.starts_with(opening));
    split(first).filter(|_| is_opening).ok_or_else(|| first.malformed())
}

/// `cpu MHz\t\t: 2699.998`; a key without a value has no space behind its colon.
fn split(line: Text<'_>) -> Option<(&[u8], Text<'_>)> {
    let at = memchr::memmem::find(line.bytes, b": ")?;
    Some((line.bytes[..at].trim_ascii(), Text { bytes: &line.bytes[at + 2..], ..line }))
}

fn parse_u32(value: Text<'_>) -> Result<u64> {
    number::uint_any_base(value.bytes)
        .filter(|number| u32::try_from(*number).is_ok())
        .ok_or_else(|| value.malformed())
}

/// The first run of digits and points.
fn parse_clock(value: Text<'_>) -> Result<f64> {
    let is_part = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
    let start = value.bytes.iter().position(is_part).unwrap_or(value.bytes.len());
    let run = &value.bytes[start..];
    let end = run.iter().position(|byte| !is_part(byte)).unwrap_or(run.len());
    number::float(&run[..end]).ok_or_else(|| value.malformed())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The CPUs as lines of their labels and the frequency, or the error.
    fn read(reader: Read, text: &str) -> Result<Vec<String>> {
        let mut cpus = Vec::new();
        reader(Text::new("cpuinfo", text.as_bytes()), &mut |cpu| {
            let label = |text: &[u8]| String::from_utf8(text.to_vec()).unwrap();
            let labels = [cpu.package, cpu.core, cpu.vendor, cpu.family, cpu.model_name, cpu.flags];
            let labels = labels.map(label).join("|");
            cpus.push(format!("{}|{labels}|{}", cpu.processor, cpu.megahertz));
        })?;
        Ok(cpus)
    }

    fn x86(text: &str) -> Result<Vec<String>> {
        read(|text, found| read_blocks(&X86, text, found), text)
    }

    #[test]
    fn the_frequency_is_told_when_wanted() {
        let mut out = Samples::default();
        Cpu { processor: 3, megahertz: 2095.076, ..Cpu::default() }.push(true, &mut out);
        assert_eq!((out.len(), out.sample(1).value()), (2, 2_095_076_000.0));
        assert_eq!(out.sample(1).label_value(1), b"3");
    }

    #[test]
    fn on_x86_only_a_colon_and_a_space_make_a_value() {
        let cpus = x86(
            "\nprocessor\t: 0\nvendor_id\t: Own: Brand\nno colon\nmodel name\t:\nflags\t\t: a b\n\
             cpu MHz\t\t: 1200.5\n\nprocessor\t: 0x11\nphysical id\t: 1\ncore id\t\t: 3\n",
        );
        assert_eq!(cpus.unwrap(), ["0|||Own: Brand|||a b|1200.5", "17|1|3|||||0"]);
    }

    #[test]
    fn bad_files_of_x86() {
        for text in [
            "",
            "\n\n",
            "vendor_id\t: A\n",
            "processor\n",
            "processor:\n",
            "processor\t: -1\n",
            "processor\t: 4294967296\n",
            "processor\t: 0\ncpu MHz\t: fast\n",
            "processor\t: 0\nsiblings\t: x\n",
            "processor\t: 0\nbogomips\t: \n",
            "processor\t: 0\nprocessor\t: \n",
        ] {
            assert!(x86(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn arm_new_and_old() {
        let new = "processor\t: 0\nBogoMIPS\t: 48.00\nFeatures\t: fp asimd\nmodel name\t: A\n\n\
                   processor\t: 1\nBogoMIPS\t: 48.00\nFeatures\t: fp crc32\n";
        assert_eq!(read(read_arm, new).unwrap(), ["0|||||A|fp crc32|0", "1||||||fp crc32|0"]);
        let old = "Processor\t: ARMv7 rev 2\nprocessor\t: 0\nBogoMIPS\t: 1.5\n\nFeatures\t: vfp\n";
        assert_eq!(read(read_arm, old).unwrap(), ["0|||||ARMv7 rev 2|vfp|0"]);
        let single = "Processor\t: ARM926\nBogoMIPS\t: 1.5\nFeatures\t: swp\n";
        assert_eq!(read(read_arm, single).unwrap(), ["0|||||ARM926|swp|0"]);
        assert!(read(read_arm, "processor\t: 0\n").is_err());
        assert!(read(read_arm, "Processor\t: A\nmodel name\t: B\nFeatures\t: c\n").is_err());
    }

    #[test]
    fn other_architectures() {
        let riscv = "processor\t: 0\nhart\t\t: 4\nisa\t\t: rv64imafdc\n\nprocessor\t: 1\nhart\t\t: 1\n";
        let cpus = read(|text, found| read_blocks(&RISCV, text, found), riscv);
        assert_eq!(cpus.unwrap(), ["0||4|||rv64imafdc||0", "1||1|||||0"]);

        let powerpc = "processor\t: 0\ncpu\t\t: POWER9, altivec\nclock\t\t: 2300.5MHz (raised)\n";
        let cpus = read(|text, found| read_blocks(&POWERPC, text, found), powerpc);
        assert_eq!(cpus.unwrap(), ["0|||POWER9, altivec||||2300.5"]);
        let cpus = read(|text, found| read_blocks(&POWERPC, text, found), "processor\t: 0\nclock\t: ?\n");
        assert!(cpus.is_err());

        let mips = "system type\t\t: Own Board\nmachine\t: x\nprocessor\t\t: 0\ncpu model\t\t: M V1\n\
                    BogoMIPS\t\t: 9.5\n";
        let cpus = read(|text, found| read_blocks(&MIPS, text, found), mips);
        assert_eq!(cpus.unwrap(), ["0|||Own Board||M V1||0"]);
        let early = "system type\t: Own Board\ncpu model\t: M V1\n";
        assert!(read(|text, found| read_blocks(&MIPS, text, found), early).is_err());

        let loongarch = "system type\t\t: Own Board\n\nprocessor\t\t: 0\nCPU Family\t\t: Loongson-64bit\n\
                         Model Name\t\t: L-3\n\nprocessor\t\t: 1\n";
        let cpus = read(|text, found| read_blocks(&LOONGARCH, text, found), loongarch);
        assert_eq!(cpus.unwrap(), ["0|||Own Board|Loongson-64bit|L-3||0", "1|||Own Board||||0"]);
    }

    #[test]
    fn s390_pairs_lines_with_blocks() {
        let text = "vendor_id       : OWN/390\n# processors    : 2\nbogomips per cpu: 3000.00\n\
                    features\t: esan3 zarch\nprocessor 0: version = FF\nprocessor 5: version = FF\n\n\
                    cpu number      : 0\nphysical id     : 2\ncore id         : 1\n\
                    cpu MHz dynamic : 5000\n\ncpu number      : 5\ncpu MHz dynamic : 4900.5\n";
        let cpus = read(read_s390, text).unwrap();
        assert_eq!(cpus, ["0|2|1|OWN/390|||esan3 zarch|5000", "5|||OWN/390|||esan3 zarch|4900.5"]);
        assert!(read(read_s390, "vendor_id : A\nprocessor0: x\n").is_err());
        assert!(read(read_s390, "vendor_id : A\ncpu number : 0\ncore id : 1\n").is_err());
    }
}
