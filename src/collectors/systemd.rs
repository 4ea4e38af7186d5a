//! Units of systemd and what state they are in, over D-Bus.

use std::fmt::Write as _;
use std::time::Instant;

use crate::collector::filter::renamed;
use crate::collector::prelude::*;
use crate::collector::tally::Tally;
use crate::flags::Values;
use crate::host::dbus::{Bus, Call, ObjectPath, Reply, Way};
use crate::number;

static INCLUDE: Flag<Option<Pattern>> = flags::pattern(
    "collector.systemd.unit-include",
    ".+",
    "Units that are told; the whole name has to match.",
);
static EXCLUDE: Flag<Option<Pattern>> = flags::pattern(
    "collector.systemd.unit-exclude",
    r".+\.(automount|device|mount|scope|slice)",
    "Units that are not told; the whole name has to match.",
);
static OLD_INCLUDE: Flag<Option<Pattern>> =
    flags::pattern("collector.systemd.unit-whitelist", "", "Old name of unit-include.").hidden();
static OLD_EXCLUDE: Flag<Option<Pattern>> =
    flags::pattern("collector.systemd.unit-blacklist", "", "Old name of unit-exclude.").hidden();
static PRIVATE: Flag<bool> = flags::switch(
    "collector.systemd.private",
    false,
    "Ask over systemd's own socket, which takes root, rather than over the system bus.",
)
.hidden();
static TASKS: Flag<bool> = flags::switch(
    "collector.systemd.enable-task-metrics",
    false,
    "Tell how many tasks services have, and may have.",
);
static RESTARTS: Flag<bool> = flags::switch(
    "collector.systemd.enable-restarts-metrics",
    false,
    "Tell how often services were restarted.",
);
static START_TIMES: Flag<bool> = flags::switch(
    "collector.systemd.enable-start-time-metrics",
    false,
    "Tell since when units are active.",
);

pub static SPEC: Spec = Spec::new(
    "systemd",
    Off,
    "systemd over D-Bus",
    &[
        &INCLUDE,
        &EXCLUDE,
        &OLD_INCLUDE,
        &OLD_EXCLUDE,
        &PRIVATE,
        &TASKS,
        &RESTARTS,
        &START_TIMES,
    ],
    |setup| Ok(Box::new(Systemd::new(setup.flags)?)),
);

static VERSION: Desc = gauge(
    "node_systemd_version",
    "systemd's version as a number; the label has the whole of it.",
    &["version"],
);
static VIRTUALIZATION: Desc = gauge(
    "node_systemd_virtualization_info",
    "What systemd finds that this host runs in: a hypervisor, a container or none; always 1.",
    &["virtualization_type"],
);
static UNITS: Desc =
    gauge("node_systemd_units", "Units that systemd has loaded, by state.", &["state"]);
static UNIT_STATE: Desc = gauge(
    "node_systemd_unit_state",
    "1 for the state that the unit is in; the type is a service's or a mount's.",
    &["name", "state", "type"],
);
static RESTART: Desc = counter(
    "node_systemd_service_restart_total",
    "Restarts of the service by systemd on its own account.",
    &["name"],
);
static START_TIME: Desc = gauge(
    "node_systemd_unit_start_time_seconds",
    "When the unit became active, in seconds since 1970; 0 where it is not.",
    &["name"],
);
static TASKS_CURRENT: Desc =
    gauge("node_systemd_unit_tasks_current", "Tasks in the service's control group.", &["name"]);
static TASKS_MAX: Desc =
    gauge("node_systemd_unit_tasks_max", "Tasks that the service may have.", &["name"]);
static LAST_TRIGGER: Desc = gauge(
    "node_systemd_timer_last_trigger_seconds",
    "When the timer last elapsed, in seconds since 1970.",
    &["name"],
);
static ACCEPTED: Desc = counter(
    "node_systemd_socket_accepted_connections_total",
    "Connections that the socket unit took.",
    &["name"],
);
static CONNECTED: Desc = gauge(
    "node_systemd_socket_current_connections",
    "Connections of the socket unit that are open.",
    &["name"],
);
static REFUSED: Desc = gauge(
    "node_systemd_socket_refused_connections_total",
    "Connections that the socket unit refused.",
    &["name"],
);
static RUNNING: Desc = gauge(
    "node_systemd_system_running",
    "1 if the system is up with no unit failed: the state `running`.",
    &[],
);

const BUS_NAME: &str = "org.freedesktop.systemd1";
const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";

/// Always told, units in them or not.
const STATES: [&str; 5] = ["active", "activating", "deactivating", "inactive", "failed"];

/// As of which version systemd tells the system's state and when timers elapsed.
const TELLS_SYSTEM_STATE: f64 = 212.0;

struct Systemd {
    include: Pattern,
    exclude: Pattern,
    tells_tasks: bool,
    tells_restarts: bool,
    tells_start_times: bool,
    bus: Bus,
    /// What is to be asked, by the unit's place in the list.
    questions: Vec<(usize, &'static Question)>,
    states: Tally,
}

impl Systemd {
    fn new(flags: &Values) -> Result<Self, String> {
        let way = if flags.get(&PRIVATE) { Way::Private } else { Way::Either };
        Ok(Self {
            include: pattern(flags, &OLD_INCLUDE, &INCLUDE)?,
            exclude: pattern(flags, &OLD_EXCLUDE, &EXCLUDE)?,
            tells_tasks: flags.get(&TASKS),
            tells_restarts: flags.get(&RESTARTS),
            tells_start_times: flags.get(&START_TIMES),
            bus: Bus::new(BUS_NAME, way),
            questions: Vec::new(),
            states: Tally::default(),
        })
    }
}

/// The pattern, for the whole of a name.
fn pattern(
    flags: &Values,
    old: &Flag<Option<Pattern>>,
    new: &Flag<Option<Pattern>>,
) -> Result<Pattern, String> {
    let pattern = renamed(flags, old, new)?;
    Pattern::anchored(pattern.as_ref().map_or("", Pattern::as_str))
}

impl Collector for Systemd {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        let outcome = self.tell(cx.give_up_at(), out);
        self.bus.rest();
        outcome
    }
}

/// What `ListUnits` returns of each unit: name, description, load state, active state, sub state,
/// the unit it follows, path, and the job under way: number, type, path.
type Unit<'a> = (
    &'a str,
    &'a str,
    &'a str,
    &'a str,
    &'a str,
    &'a str,
    ObjectPath<'a>,
    u32,
    &'a str,
    ObjectPath<'a>,
);

impl Systemd {
    fn tell(&mut self, deadline: Instant, out: &mut Samples) -> Result<()> {
        let version = self.bus.call(&manager("Version"), deadline)?.ok();
        let (version, text) = version.and_then(|reply| number_and_text(&reply)).unwrap_or_default();
        out.push(&VERSION, &[&text], version);
        let virtualization = match self.bus.call(&manager("Virtualization"), deadline)? {
            Ok(reply) => reply.property::<String>().unwrap_or_default(),
            Err(_) => "unknown".to_owned(),
        };
        let virtualization = if virtualization.is_empty() { "none" } else { &virtualization };
        out.push(&VIRTUALIZATION, &[&virtualization], 1.0);

        let list = Call::method(MANAGER_PATH, MANAGER, "ListUnits");
        let reply = self.bus.reply(&list, deadline)?;
        let units: Vec<Unit<'_>> = reply.read()?;
        self.push_summary(&units, out);
        let tells_system_state = version >= TELLS_SYSTEM_STATE;
        self.push_states_and_ask(&units, tells_system_state, out);
        self.push_answers(&units, deadline, out)?;

        if tells_system_state {
            let reply = self.bus.reply(&manager("SystemState"), deadline)?;
            out.push(&RUNNING, &[], reply.property::<String>().is_some_and(|it| it == "running"));
        }
        Ok(())
    }

    fn push_summary(&mut self, units: &[Unit<'_>], out: &mut Samples) {
        self.states.clear();
        for (_, _, _, state, ..) in units {
            self.states.count(state.as_bytes());
        }
        for (state, count) in self.states.iter() {
            out.push(&UNITS, &[&state], count);
        }
        for state in STATES {
            if !self.states.iter().any(|(seen, _)| seen == state.as_bytes()) {
                out.push(&UNITS, &[&state], 0u32);
            }
        }
    }

    /// Tells what the list says of the units, and notes what else has to be asked.
    fn push_states_and_ask(
        &mut self,
        units: &[Unit<'_>],
        tells_timers: bool,
        out: &mut Samples,
    ) {
        self.questions.clear();
        for (at, (name, _, load_state, state, ..)) in units.iter().enumerate() {
            let is_wanted = self.include.is_match(name.as_bytes())
                && !self.exclude.is_match(name.as_bytes())
                && *load_state == "loaded";
            if !is_wanted {
                continue;
            }
            let kind = name.rsplit_once('.').map_or("", |(_, kind)| kind);
            let mut ask = |questions: &'static [Question]| {
                self.questions.extend(questions.iter().map(|question| (at, question)));
            };
            match kind {
                "service" => ask(&SERVICE_TYPE),
                "mount" => ask(&MOUNT_TYPE),
                _ => push_state(out, name, state, ""),
            }
            match kind {
                "service" if self.tells_restarts => ask(&SERVICE_RESTARTS),
                "timer" if tells_timers => ask(&TIMER_LAST),
                "socket" => ask(&SOCKET_CONNECTIONS),
                _ => {}
            }
            if kind == "service" && self.tells_tasks {
                ask(&SERVICE_TASKS);
            }
            match *state {
                "active" if self.tells_start_times => ask(&ACTIVE_SINCE),
                _ if self.tells_start_times => out.push(&START_TIME, &[name], 0.0),
                _ => {}
            }
        }
    }

    fn push_answers(
        &mut self,
        units: &[Unit<'_>],
        deadline: Instant,
        out: &mut Samples,
    ) -> Result<()> {
        let questions = &self.questions;
        let calls = questions.iter().map(|(unit, question)| {
            Call::property(unit_path(units[*unit].0), question.interface, question.property)
        });
        // Of a socket, nothing is told after a refusal. Replies come in the order of the calls.
        let mut refused = None;
        self.bus.call_all(calls, deadline, |place, answer| {
            let (unit, question) = questions[place];
            let (name, _, _, state, ..) = units[unit];
            let is_after_refusal = refused == Some((unit, SOCKET));
            match answer {
                Ok(_) if is_after_refusal => {}
                Ok(reply) => question
                    .push(&reply, name, state, out)
                    .ok_or_else(|| question.unexpected(name))?,
                Err(_) if matches!(question.told, Told::Type) => push_state(out, name, state, ""),
                Err(_) => refused = Some((unit, question.interface)),
            }
            Ok(())
        })
    }
}

/// A property of a unit, and what becomes of it.
#[derive(Debug)]
struct Question {
    interface: &'static str,
    property: &'static str,
    told: Told,
}

#[derive(Debug, Clone, Copy)]
enum Told {
    /// The label of the unit's state.
    Type,
    /// A number of 32 bits.
    Count(&'static Desc),
    /// A number of 64 bits; all ones where there is none.
    Tasks(&'static Desc),
    Microseconds(&'static Desc),
}

const UNIT: &str = "org.freedesktop.systemd1.Unit";
const SERVICE: &str = "org.freedesktop.systemd1.Service";
const MOUNT: &str = "org.freedesktop.systemd1.Mount";
const SOCKET: &str = "org.freedesktop.systemd1.Socket";
const TIMER: &str = "org.freedesktop.systemd1.Timer";

static SERVICE_TYPE: [Question; 1] = [Question::new(SERVICE, "Type", Told::Type)];
static SERVICE_RESTARTS: [Question; 1] = [Question::new(SERVICE, "NRestarts", Told::Count(&RESTART))];
static SERVICE_TASKS: [Question; 2] = [
    Question::new(SERVICE, "TasksCurrent", Told::Tasks(&TASKS_CURRENT)),
    Question::new(SERVICE, "TasksMax", Told::Tasks(&TASKS_MAX)),
];
static MOUNT_TYPE: [Question; 1] = [Question::new(MOUNT, "Type", Told::Type)];
static SOCKET_CONNECTIONS: [Question; 3] = [
    Question::new(SOCKET, "NAccepted", Told::Count(&ACCEPTED)),
    Question::new(SOCKET, "NConnections", Told::Count(&CONNECTED)),
    Question::new(SOCKET, "NRefused", Told::Count(&REFUSED)),
];
static TIMER_LAST: [Question; 1] = [Question::new(TIMER, "LastTriggerUSec", Told::Microseconds(&LAST_TRIGGER))];
static ACTIVE_SINCE: [Question; 1] = [Question::new(UNIT, "ActiveEnterTimestamp", Told::Microseconds(&START_TIME))];

impl Question {
    const fn new(interface: &'static str, property: &'static str, told: Told) -> Self {
        Self { interface, property, told }
    }

    /// Tells the reply, unless it is of another type.
    fn push(&self, reply: &Reply, name: &str, state: &str, out: &mut Samples) -> Option<()> {
        match self.told {
            Told::Type => push_state(out, name, state, &reply.property::<String>()?),
            Told::Count(desc) => out.push(desc, &[&name], reply.property::<u32>()?),
            Told::Tasks(desc) => match reply.property()? {
                u64::MAX => {}
                tasks => out.push(desc, &[&name], tasks),
            },
            Told::Microseconds(desc) => {
                out.push(desc, &[&name], reply.property::<u64>()? as f64 / 1e6);
            }
        }
        Some(())
    }

    fn unexpected(&self, unit: &str) -> Error {
        Error::failed(format!("{unit}: {} is of an unexpected type", self.property))
    }
}

fn push_state(out: &mut Samples, name: &str, state: &str, kind: &str) {
    for each in STATES {
        out.push(&UNIT_STATE, &[&name, &each, &kind], each == state);
    }
}

fn manager(property: &str) -> Call<'_> {
    Call::property(MANAGER_PATH, MANAGER, property)
}

/// The version as a number, and as it is written.
fn number_and_text(reply: &Reply) -> Option<(f64, String)> {
    let text: String = reply.property()?;
    Some((number::float(version_number(&text))?, text))
}

/// `/org/freedesktop/systemd1/unit/cron_2eservice`
fn unit_path(name: &str) -> String {
    let mut path = format!("{MANAGER_PATH}/unit/");
    for (at, byte) in name.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => path.push(char::from(byte)),
            b'0'..=b'9' if at > 0 => path.push(char::from(byte)),
            // A String takes every write.
            _ => drop(write!(path, "_{byte:02x}")),
        }
    }
    if name.is_empty() {
        path.push('_');
    }
    path
}

/// The number in a version: `252` of `252.39-1~deb12u1`, `256.7` of `v256.7`: at least three
/// digits, and more after a full stop. Empty where there is none.
fn version_number(version: &str) -> &[u8] {
    let bytes = version.as_bytes();
    let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut at = 0;
    while at < bytes.len() {
        let whole = digits(at);
        if whole >= 3 {
            let end = at + whole;
            let fraction = if bytes.get(end) == Some(&b'.') { digits(end + 1) } else { 0 };
            return &bytes[at..if fraction > 0 { end + 1 + fraction } else { end }];
        }
        at += whole.max(1);
    }
    b""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_units() {
        for (name, path) in [
            ("cron.service", "cron_2eservice"),
            ("0day.mount", "_30day_2emount"),
            ("a_b-\u{e9}.socket", "a_5fb_2d_c3_a9_2esocket"),
            ("", "_"),
        ] {
            assert_eq!(unit_path(name), format!("/org/freedesktop/systemd1/unit/{path}"));
        }
    }

    #[test]
    fn numbers_of_versions() {
        for (version, number) in [
            ("239", "239"),
            ("252.39-1~deb12u1", "252.39"),
            ("v257~rc1", "257"),
            ("systemd 99.1000.5.7", "1000.5"),
            ("245.", "245"),
            ("12.34", ""),
            ("", ""),
        ] {
            assert_eq!(version_number(version), number.as_bytes(), "{version}");
        }
    }
}
