//! Sessions of users, from logind over D-Bus.

use crate::collector::prelude::*;
use crate::host::dbus::{Bus, Call, ObjectPath, Reply, Way};

pub static SPEC: Spec = Spec::new("logind", Off, "logind over D-Bus", &[], |_| {
    Ok(Box::new(Logind { bus: Bus::new("org.freedesktop.login1", Way::System) }))
});

static SESSIONS: Desc = gauge(
    "node_logind_sessions",
    "Sessions that logind has, by what they are; the seat is empty for those that have none.",
    &["class", "remote", "seat", "type"],
);

const PATH: &str = "/org/freedesktop/login1";
const MANAGER: &str = "org.freedesktop.login1.Manager";
const SESSION: &str = "org.freedesktop.login1.Session";

const REMOTES: [&str; 2] = ["true", "false"];

/// The first stands for all that are not known.
const TYPES: [&str; 7] = ["other", "unspecified", "tty", "x11", "wayland", "mir", "web"];
const CLASSES: [&str; 5] = ["other", "user", "greeter", "lock-screen", "background"];

struct Logind {
    bus: Bus,
}

/// What `ListSessions` returns of each: its name, the user's number and name, seat, path.
type Session<'a> = (&'a str, u32, &'a str, &'a str, ObjectPath<'a>);

/// What is known of a session, as places in the lists above.
#[derive(Debug, Clone, Copy, Default)]
struct Traits {
    remote: Option<usize>,
    kind: Option<usize>,
    class: Option<usize>,
}

impl Collector for Logind {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        let deadline = cx.give_up_at();
        let list = |method| Call::method(PATH, MANAGER, method);
        let seats = self.bus.reply(&list("ListSeats"), deadline)?;
        let mut seats: Vec<&str> = seats
            .read::<Vec<(&str, ObjectPath<'_>)>>()?
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        // Sessions over the network sit nowhere.
        seats.push("");
        let sessions = self.bus.reply(&list("ListSessions"), deadline)?;
        let sessions: Vec<Session<'_>> = sessions.read()?;

        const ASKED: [&str; 3] = ["Remote", "Type", "Class"];
        let calls = sessions.iter().flat_map(|(.., path)| {
            ASKED.map(|property| Call::property(path.as_str(), SESSION, property))
        });
        let mut traits = vec![Traits::default(); sessions.len()];
        self.bus.call_all(calls, deadline, |place, answer| {
            // A session may have ended since it was listed.
            let Ok(reply) = answer else { return Ok(()) };
            let traits = &mut traits[place / ASKED.len()];
            match place % ASKED.len() {
                0 => traits.remote = reply.property().map(|is_remote: bool| usize::from(!is_remote)),
                1 => traits.kind = known_or_first(&reply, &TYPES),
                _ => traits.class = known_or_first(&reply, &CLASSES),
            }
            Ok(())
        })?;
        push_counts(&seats, &sessions, &traits, out);
        Ok(())
    }
}

fn known_or_first(reply: &Reply, known: &[&str]) -> Option<usize> {
    let text: String = reply.property()?;
    Some(known.iter().position(|known| *known == text).unwrap_or(0))
}

/// Every combination is told, those without a session too.
fn push_counts(seats: &[&str], sessions: &[Session<'_>], traits: &[Traits], out: &mut Samples) {
    const COMBINATIONS: usize = REMOTES.len() * TYPES.len() * CLASSES.len();
    let mut counts = vec![[0u32; COMBINATIONS]; seats.len()];
    for ((_, _, _, seat, _), traits) in sessions.iter().zip(traits) {
        let seat = seats.iter().position(|known| known == seat);
        if let (Some(seat), Traits { remote: Some(remote), kind: Some(kind), class: Some(class) }) =
            (seat, *traits)
        {
            counts[seat][(remote * TYPES.len() + kind) * CLASSES.len() + class] += 1;
        }
    }
    for (seat, counts) in seats.iter().zip(&counts) {
        for (at, count) in counts.iter().enumerate() {
            let class = CLASSES[at % CLASSES.len()];
            let kind = TYPES[at / CLASSES.len() % TYPES.len()];
            let remote = REMOTES[at / CLASSES.len() / TYPES.len()];
            out.push(&SESSIONS, &[&class, &remote, seat, &kind], *count);
        }
    }
}
