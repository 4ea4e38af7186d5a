//! Counters of the network protocols, from `/proc/net/netstat`, `/proc/net/snmp` and `/proc/net/snmp6`.

use crate::collector::prelude::*;

static FIELDS: Flag<Option<Pattern>> = flags::pattern(
    "collector.netstat.fields",
    concat!(
        "^(.*_(InErrors|InErrs)|Ip_Forwarding|Ip(6|Ext)_(InOctets|OutOctets)|Icmp6?_(InMsgs|OutMsgs)|",
        "TcpExt_(Listen.*|Syncookies.*|TCPSynRetrans|TCPTimeouts|TCPOFOQueue|TCPRcvQDrop)|",
        "Tcp_(ActiveOpens|InSegs|OutSegs|OutRsts|PassiveOpens|RetransSegs|CurrEstab)|",
        "Udp6?_(InDatagrams|OutDatagrams|NoPorts|RcvbufErrors|SndbufErrors))$",
    ),
    "Fields to tell, written Protocol_Field.",
);

pub static SPEC: Spec = Spec::new(
    "netstat",
    On,
    "/proc/net/netstat, /proc/net/snmp, /proc/net/snmp6",
    &[&FIELDS],
    |setup| {
        Ok(Box::new(Netstat { wanted: setup.flags.get(&FIELDS), ..Netstat::default() }))
    },
);

#[derive(Default)]
struct Netstat {
    wanted: Option<Pattern>,
    snmp: Vec<u8>,
    snmp6: Vec<u8>,
    plan: Plan,
    values: Vec<f64>,
}

impl Collector for Netstat {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        let files = Files {
            netstat: cx.proc.read("net/netstat", cx.text)?,
            snmp: cx.proc.read("net/snmp", &mut self.snmp)?,
            snmp6: cx.proc.read_present("net/snmp6", &mut self.snmp6)?,
        };
        if !self.plan.follow(&files, &mut self.values)? {
            self.plan = Plan::new(&files, self.wanted.as_ref())?;
            self.plan.follow(&files, &mut self.values)?;
        }
        for (family, value) in self.plan.families().zip(&self.values) {
            let id = out.family(&Underscored(&family.name), Kind::Untyped, &family.help);
            out.push_named(id, &[], *value);
        }
        Ok(())
    }
}

/// What to do with each field, in the order in which the files name them. The kernel names the
/// same fields at each scrape, but for the rare `Icmp6OutType143` that comes up later: so names
/// are matched and put together once.
#[derive(Default)]
struct Plan {
    steps: Vec<Step>,
}

struct Step {
    protocol: Box<[u8]>,
    /// None where a file begins a protocol.
    field: Option<Box<[u8]>>,
    task: Task,
}

enum Task {
    /// The same protocol or field comes again, and then counts.
    Skip,
    /// The original refuses the whole for a bad value of a field that it does not tell.
    Check,
    Tell(Family),
}

struct Family {
    name: Vec<u8>,
    help: String,
}

impl Plan {
    fn new(files: &Files<'_>, wanted: Option<&Pattern>) -> Result<Self> {
        let mut steps: Vec<Step> = Vec::new();
        let mut first_of_file = 0;
        let mut file = "";
        files.visit(|item| {
            if item.file != file {
                file = item.file;
                first_of_file = steps.len();
            }
            for (at, step) in steps.iter_mut().enumerate() {
                // A file's protocol takes the place of an earlier file's, a pair of lines that of
                // an earlier pair, a field that of its namesake.
                let is_over = match item.field {
                    Some((field, _)) if at >= first_of_file => step.field.as_deref() == Some(field),
                    _ => true,
                };
                if is_over && *step.protocol == *item.protocol {
                    step.task = Task::Skip;
                }
            }
            let task = match item.field {
                None => Task::Skip,
                Some((field, _)) => Task::new(item.file, item.protocol, field, wanted),
            };
            steps.push(Step {
                protocol: item.protocol.into(),
                field: item.field.map(|(field, _)| field.into()),
                task,
            });
        })?;
        Ok(Self { steps })
    }

    /// Reads the values that the plan is for, or finds that it is for other files.
    fn follow(&self, files: &Files<'_>, values: &mut Vec<f64>) -> Result<bool> {
        values.clear();
        let mut steps = self.steps.iter();
        let mut fits = true;
        let mut bad = None;
        files.visit(|item| {
            let step = steps.next().filter(|step| step.is_for(&item));
            let Some(step) = step else {
                fits = false;
                return;
            };
            let Some((_, value)) = item.field else { return };
            if matches!(step.task, Task::Skip) {
                return;
            }
            match value.parse() {
                Ok(value) if matches!(step.task, Task::Tell(_)) => values.push(value),
                Ok(_) => {}
                Err(error) => bad = Some(error),
            }
        })?;
        if !fits || steps.next().is_some() {
            return Ok(false);
        }
        bad.map_or(Ok(true), Err)
    }

    fn families(&self) -> impl Iterator<Item = &Family> {
        self.steps.iter().filter_map(|step| match &step.task {
            Task::Tell(family) => Some(family),
            _ => None,
        })
    }
}

impl Step {
    fn is_for(&self, item: &Item<'_>) -> bool {
        *self.protocol == *item.protocol
            && self.field.as_deref() == item.field.map(|(field, _)| field)
    }
}

impl Task {
    fn new(file: &str, protocol: &[u8], field: &[u8], wanted: Option<&Pattern>) -> Self {
        let key = [protocol, b"_", field].concat();
        if wanted.is_some_and(|wanted| !wanted.is_match(&key)) {
            return Task::Check;
        }
        let [protocol, field] = [protocol, field].map(String::from_utf8_lossy);
        Task::Tell(Family {
            name: [b"node_netstat_", &*key].concat(),
            help: format!("{protocol} {field}, from /proc/{file}."),
        })
    }
}

struct Files<'a> {
    netstat: Text<'a>,
    snmp: Text<'a>,
    snmp6: Option<Text<'a>>,
}

/// A protocol that a pair of lines begins, or one field with its value.
struct Item<'a> {
    file: &'a str,
    protocol: &'a [u8],
    field: Option<(&'a [u8], Text<'a>)>,
}

impl<'a> Files<'a> {
    fn visit(&self, mut visitor: impl FnMut(Item<'a>)) -> Result<()> {
        visit_pairs(self.netstat, &mut visitor)?;
        visit_pairs(self.snmp, &mut visitor)?;
        self.snmp6.map_or(Ok(()), |snmp6| visit_lines(snmp6, &mut visitor))
    }
}

/// One line names the fields, the next holds their values:
/// `Udp: InDatagrams NoPorts InErrors`, `Udp: 88542 120 0`
fn visit_pairs<'a>(text: Text<'a>, visitor: &mut impl FnMut(Item<'a>)) -> Result<()> {
    let file = text.path;
    let mut lines = text.scan();
    while let Some(names) = lines.next().transpose()? {
        let values = lines.next().transpose()?.unwrap_or(Text { bytes: b"", ..names });
        let spaces = |line: Text<'_>| memchr::memchr_iter(b' ', line.bytes).count();
        let mut fields = names.bytes.split(|&byte| byte == b' ');
        let Some([protocol @ .., _]) = fields.next() else { return Err(names.malformed()) };
        if spaces(names) != spaces(values) {
            return Err(values.malformed());
        }
        visitor(Item { file, protocol, field: None });
        let values = values.bytes.split(|&byte| byte == b' ').skip(1);
        for (name, value) in fields.zip(values) {
            let value = Text { bytes: value, ..names };
            visitor(Item { file, protocol, field: Some((name, value)) });
        }
    }
    Ok(())
}

/// `Icmp6InMsgs 177`, the two apart by blanks and a tab
fn visit_lines<'a>(text: Text<'a>, visitor: &mut impl FnMut(Item<'a>)) -> Result<()> {
    for line in text.scan() {
        let mut fields = line?.fields();
        let (Some(name), Some(value)) = (fields.next(), fields.next()) else { continue };
        let Some(six) = memchr::memchr(b'6', name.bytes) else { continue };
        let (protocol, name) = name.bytes.split_at(six + 1);
        visitor(Item { file: text.path, protocol, field: Some((name, value)) });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(netstat: &str, snmp: &str, snmp6: &str) -> Option<Vec<String>> {
        let [netstat, snmp, snmp6] = [netstat, snmp, snmp6].map(|text| text.replace('|', "\n"));
        let files = Files {
            netstat: Text::new("net/netstat", netstat.as_bytes()),
            snmp: Text::new("net/snmp", snmp.as_bytes()),
            snmp6: Some(Text::new("net/snmp6", snmp6.as_bytes())),
        };
        let plan = Plan::new(&files, Some(&Pattern::new("^.[^x]*$").unwrap())).ok()?;
        let mut values = Vec::new();
        assert!(plan.follow(&files, &mut values).ok()?);
        let names = plan.families().map(|family| String::from_utf8_lossy(&family.name["node_netstat_".len()..]));
        Some(names.zip(&values).map(|(name, value)| format!("{name}={value}")).collect())
    }

    #[test]
    fn fields_and_what_takes_their_place() {
        for (netstat, snmp, snmp6, expected) in [
            ("", "", "", Some("")),
            ("A: b c|A: 1 -2|", "", "", Some("A_b=1 A_c=-2")),
            ("A: b x|A: 1 2|", "", "", Some("A_b=1")),
            ("AB c|Q 1e3|", "", "", Some("A_c=1000")),
            ("A: b b|A: x 2|", "", "", Some("A_b=2")),
            ("A: b c|A: 1 2|A: b|A: 3", "", "", Some("A_b=3")),
            ("A: b c|A: 1 2|A:", "", "", Some("")),
            ("A: b|A: 1|B: c|B: 2|", "A: d|A: 3|", "", Some("B_c=2 A_d=3")),
            ("A6: b|A6: x|", "A6: c|A6: x|", "A6d 4|A6e 5|A6d 6", Some("A6_e=5 A6_d=6")),
            ("", "", "UdpLite66a 1 x|Icmp 2||A6| 6 \t 7 ", Some("UdpLite6_6a=1 6_=7")),
            ("A: b|A: 1|\n", "", "", None),
            ("|A: 1", "", "", None),
            ("A: b|A: 1 2|", "", "", None),
            ("A: b|", "", "", None),
            ("A: b x|A: 1 y|", "", "", None),
            ("A: b |A: 1 |", "", "", None),
            ("A: b|A: 1x|", "", "", None),
            ("", "A: b|A: ", "", None),
            ("", "", "A6b x", None),
        ] {
            let expected = expected.map(|all| all.split_whitespace().map(String::from).collect());
            assert_eq!(told(netstat, snmp, snmp6), expected, "{netstat} {snmp} {snmp6}");
        }
    }

    #[test]
    fn a_plan_knows_the_files_it_is_for() {
        let files = |netstat: &'static str| Files {
            netstat: Text::new("net/netstat", netstat.as_bytes()),
            snmp: Text::new("net/snmp", b"B: c\nB: 5\n"),
            snmp6: None,
        };
        let plan = Plan::new(&files("A: b\nA: 1\n"), None).unwrap();
        let mut values = Vec::new();
        for (netstat, expected) in [
            ("A: b\nA: 1\n", Some(true)),
            ("A: b\nQ: 2\n", Some(true)),
            ("A: c\nA: 1\n", Some(false)),
            ("D: b\nD: 1\n", Some(false)),
            ("A: b c\nA: 1 2\n", Some(false)),
            ("A:\nA:\n", Some(false)),
            ("", Some(false)),
            ("A: b\nA: 1\nE: f\nE: 1\n", Some(false)),
            ("A: c\nA: x\n", Some(false)),
            ("A: b\nA: x\n", None),
        ] {
            assert_eq!(plan.follow(&files(netstat), &mut values).ok(), expected, "{netstat}");
        }
    }
}
