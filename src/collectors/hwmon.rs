//! Sensors of temperature, voltage, fans and the like, from `/sys/class/hwmon`.

mod bus;
mod name;
mod sensors;

use crate::collector::prelude::*;
use crate::isolated::Crew;
use bus::Bus;
use name::{Clean, Names};

static CHIP_INCLUDE: Flag<Option<Pattern>> = flags::pattern(
    "collector.hwmon.chip-include",
    "",
    "Chips to tell of, by the label `chip`; all others are left out.",
);
static CHIP_EXCLUDE: Flag<Option<Pattern>> =
    flags::pattern("collector.hwmon.chip-exclude", "", "Chips to leave out, by the label `chip`.");
static SENSOR_INCLUDE: Flag<Option<Pattern>> = flags::pattern(
    "collector.hwmon.sensor-include",
    "",
    "Sensors to tell of, as `chip;sensor`; all others are left out.",
);
static SENSOR_EXCLUDE: Flag<Option<Pattern>> =
    flags::pattern("collector.hwmon.sensor-exclude", "", "Sensors to leave out, as `chip;sensor`.");

pub static SPEC: Spec = Spec::new(
    "hwmon",
    On,
    "/sys/class/hwmon",
    &[&CHIP_INCLUDE, &CHIP_EXCLUDE, &SENSOR_INCLUDE, &SENSOR_EXCLUDE],
    |setup| {
        Ok(Box::new(Hwmon {
            chips: Filter::from_flags(setup.flags, &CHIP_EXCLUDE, &CHIP_INCLUDE),
            sensors: Filter::from_flags(setup.flags, &SENSOR_EXCLUDE, &SENSOR_INCLUDE),
            entries: Listing::default(),
            known: Vec::new(),
            buses: Vec::new(),
            crew: Crew::default(),
        }))
    },
);

static CHIP_NAMES: Desc = gauge(
    "node_hwmon_chip_names",
    "What the driver calls the chip; always 1.",
    &["chip", "chip_name"],
);

const DIRECTORY: &str = "class/hwmon";

struct Hwmon {
    chips: Filter,
    sensors: Filter,
    entries: Listing,
    known: Vec<Names>,
    /// Those whose sensors are not being read.
    buses: Vec<Bus>,
    crew: Crew<Bus>,
}

impl Collector for Hwmon {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        cx.sys.list(DIRECTORY, &mut self.entries).absent_is_no_data()?;
        self.name_chips(cx);
        self.crew.welcome(&mut self.buses);
        self.buses.iter_mut().for_each(Bus::clear);
        for names in self.known.iter().filter(|names| !self.chips.drops(&names.label)) {
            if self.crew.away_since(&names.bus).is_none() {
                bus::find(&mut self.buses, &names.bus, cx.sys).visit(&names.entry);
            }
        }
        self.buses.retain_mut(Bus::is_wanted);
        self.crew.run(&mut self.buses, cx.give_up_at());
        self.tell(cx, out)
    }
}

impl Hwmon {
    /// Names the chips that are there now.
    fn name_chips(&mut self, cx: &mut Cx<'_>) {
        let Self { entries, known, .. } = self;
        known.retain(|names| entries.names().any(|entry| entry == names.entry));
        for entry in entries.names() {
            if !known.iter().any(|names| names.entry == entry) {
                known.push(Names::new(entry));
            }
        }
        known.retain_mut(|names| names.look_up(cx).is_some());
        known.sort_unstable_by(|a, b| a.entry.cmp(&b.entry));
        for at in 0..known.len() {
            let (before, rest) = known.split_at_mut(at);
            let Some((names, after)) = rest.split_first_mut() else { unreachable!() };
            names.settle(before.iter().chain(after.iter()));
        }
    }

    /// Tells every chip that was read; the last one that was not fails the collector.
    fn tell(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        let mut outcome = Ok(());
        for names in self.known.iter().filter(|names| !self.chips.drops(&names.label)) {
            let read = self.buses.iter_mut().find_map(|bus| bus.readings(&names.entry));
            match read {
                Some(Ok(readings)) => {
                    push_name(names, cx.text, out);
                    readings.push(&names.label, &self.sensors, out);
                }
                Some(Err(error)) => outcome = Err(error),
                None => {
                    let entry = &names.entry;
                    let why = format!("{DIRECTORY}/{entry}: its bus has not answered");
                    outcome = Err(Error::failed(why));
                }
            }
        }
        outcome
    }
}

fn push_name(names: &Names, driver: &mut Vec<u8>, out: &mut Samples) {
    driver.clear();
    Clean(&names.driver).write(driver);
    if !driver.is_empty() {
        out.push(&CHIP_NAMES, &[&names.label, driver], 1.0);
    }
}
