//! Watchdog timers, from `/sys/class/watchdog`.

use crate::collector::prelude::*;

pub static SPEC: Spec = Spec::new("watchdog", On, "/sys/class/watchdog", &[], |setup| {
    setup.need_sys()?;
    Ok(Box::new(Watchdog::default()))
});

const fn number(file: &'static str, name: &'static str, help: &'static str) -> Told {
    told(file, gauge(name, help, &["name"]))
}

/// What files with a number are told as.
static NUMBERS: [Told; 7] = [
    number(
        "access_cs0",
        "node_watchdog_access_cs0",
        "Whether the system was started from its second flash chip.",
    ),
    number(
        "bootstatus",
        "node_watchdog_bootstatus",
        "Why the system was started last: WDIOF bits of linux/watchdog.h.",
    ),
    number("fw_version", "node_watchdog_fw_version", "Version of the timer's firmware."),
    number("nowayout", "node_watchdog_nowayout", "Whether the timer cannot be stopped once it runs."),
    number(
        "pretimeout",
        "node_watchdog_pretimeout_seconds",
        "How long before the reset the timer warns, in seconds.",
    ),
    number(
        "timeleft",
        "node_watchdog_timeleft_seconds",
        "Time left until the timer resets the system, in seconds.",
    ),
    number(
        "timeout",
        "node_watchdog_timeout_seconds",
        "How long the timer lets the system be silent, in seconds.",
    ),
];

static INFO: Desc = gauge(
    "node_watchdog_info",
    "What the driver says of the timer in words; always 1.",
    &["identity", "name", "options", "pretimeout_governor", "state", "status"],
);

/// Files that become labels of [`INFO`], in the order of the labels.
const TEXTS: [&str; 5] = ["identity", "options", "pretimeout_governor", "state", "status"];

const DIRECTORY: &str = "class/watchdog";

#[derive(Default)]
struct Watchdog {
    timers: Listing,
    directory: String,
    texts: Texts<{ TEXTS.len() }>,
}

const ABSENT: [Errno; 1] = [Errno::NOENT];

impl Collector for Watchdog {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        let Self { timers, directory, texts } = self;
        out.all_or_nothing(|out| {
            cx.sys.list(DIRECTORY, timers)?;
            for timer in timers.names() {
                join(directory, &[DIRECTORY, "/", timer]);
                push_numbers(timer, directory, cx, out)?;
                texts.read(directory, &TEXTS, &ABSENT, cx)?;
                let [identity, options, governor, state, status] = texts.all();
                let labels: &[&dyn LabelValue] =
                    &[&identity, &timer, &options, &governor, &state, &status];
                out.push(&INFO, labels, 1.0);
            }
            Ok(())
        })
        .map_err(|error| match error {
            Error::Io { errno: Errno::NOENT | Errno::ACCESS | Errno::PERM, .. } => {
                Error::no_data("class/watchdog: not there, or not for this user")
            }
            other => other,
        })
    }
}

fn push_numbers(
    timer: &str,
    directory: &str,
    cx: &mut Cx<'_>,
    out: &mut Samples,
) -> Result<()> {
    for number in &NUMBERS {
        let text = cx.attribute_unless(&ABSENT, &[directory, "/", number.name])?;
        if let Some(text) = text {
            let AnyBase::<i64>(value) = text.parse()?;
            number.push(&[&timer], value as f64, out);
        }
    }
    Ok(())
}
