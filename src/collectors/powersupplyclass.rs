//! Batteries and other power supplies, from `/sys/class/power_supply`.

use crate::collector::prelude::*;

static IGNORED: Flag<Option<Pattern>> =
    flags::pattern("collector.powersupply.ignored-supplies", "^$", "Power supplies to leave out.");

pub static SPEC: Spec =
    Spec::new("powersupplyclass", On, "/sys/class/power_supply", &[&IGNORED], |setup| {
        Ok(Box::new(PowerSupplyClass {
            ignored: setup.flags.get(&IGNORED),
            supplies: Listing::default(),
            files: Listing::default(),
            texts: Texts::default(),
        }))
    });

const fn number(file: &'static str, name: &'static str, help: &'static str) -> Told {
    told(file, gauge(name, help, &["power_supply"]))
}

/// What files with a number are told as.
#[rustfmt::skip]
static NUMBERS: [Told; 49] = [
    number("authentic", "node_power_supply_authentic", "Whether the supply proved to be genuine."),
    number("calibrate", "node_power_supply_calibrate", "Whether the battery is being calibrated."),
    number("capacity", "node_power_supply_capacity", "Charge of the battery in percent."),
    number("capacity_alert_max", "node_power_supply_capacity_alert_max", "Charge above which the driver warns, in percent."),
    number("capacity_alert_min", "node_power_supply_capacity_alert_min", "Charge below which the driver warns, in percent."),
    number("cycle_count", "node_power_supply_cyclecount", "Full charge cycles that the battery has gone through."),
    number("online", "node_power_supply_online", "Whether the supply feeds the system: 0 no, 1 at a fixed voltage, 2 at one that it can choose."),
    number("present", "node_power_supply_present", "Whether the battery is in its bay."),
    number("time_to_empty_now", "node_power_supply_time_to_empty_seconds", "Time until the battery is empty, in seconds."),
    number("time_to_full_now", "node_power_supply_time_to_full_seconds", "Time until the battery is full, in seconds."),
    number("current_boot", "node_power_supply_current_boot", "Current when the system started, in amperes.").per(1e6),
    number("current_max", "node_power_supply_current_max", "Highest current that the supply can deliver, in amperes.").per(1e6),
    number("current_now", "node_power_supply_current_ampere", "Current that flows now, in amperes.").per(1e6),
    number("energy_empty", "node_power_supply_energy_empty", "Energy at which the battery counts as empty, in watt hours.").per(1e6),
    number("energy_empty_design", "node_power_supply_energy_empty_design", "Energy at which the battery counts as empty by design, in watt hours.").per(1e6),
    number("energy_full", "node_power_supply_energy_full", "Energy of the full battery, as last seen, in watt hours.").per(1e6),
    number("energy_full_design", "node_power_supply_energy_full_design", "Energy of the full battery by design, in watt hours.").per(1e6),
    number("energy_now", "node_power_supply_energy_watthour", "Energy in the battery now, in watt hours.").per(1e6),
    number("voltage_boot", "node_power_supply_voltage_boot", "Voltage when the system started, in volts.").per(1e6),
    number("voltage_max", "node_power_supply_voltage_max", "Highest voltage of the supply, in volts.").per(1e6),
    number("voltage_max_design", "node_power_supply_voltage_max_design", "Highest voltage of the supply by design, in volts.").per(1e6),
    number("voltage_min", "node_power_supply_voltage_min", "Lowest voltage of the supply, in volts.").per(1e6),
    number("voltage_min_design", "node_power_supply_voltage_min_design", "Lowest voltage of the supply by design, in volts.").per(1e6),
    number("voltage_now", "node_power_supply_voltage_volt", "Voltage now, in volts.").per(1e6),
    number("voltage_ocv", "node_power_supply_voltage_ocv", "Voltage of the battery without load, in volts.").per(1e6),
    number("charge_control_limit", "node_power_supply_charge_control_limit", "Charging current that is set now, in amperes where the driver counts in millionths.").per(1e6),
    number("charge_control_limit_max", "node_power_supply_charge_control_limit_max", "Highest charging current that can be set, in amperes where the driver counts in millionths.").per(1e6),
    number("charge_counter", "node_power_supply_charge_counter", "Charge that has gone in and out since the gauge was reset, in ampere hours.").per(1e6),
    number("charge_empty", "node_power_supply_charge_empty", "Charge at which the battery counts as empty, in ampere hours.").per(1e6),
    number("charge_empty_design", "node_power_supply_charge_empty_design", "Charge at which the battery counts as empty by design, in ampere hours.").per(1e6),
    number("charge_full", "node_power_supply_charge_full", "Charge of the full battery, as last seen, in ampere hours.").per(1e6),
    number("charge_full_design", "node_power_supply_charge_full_design", "Charge of the full battery by design, in ampere hours.").per(1e6),
    number("charge_now", "node_power_supply_charge_ampere", "Charge in the battery now, in ampere hours.").per(1e6),
    number("charge_term_current", "node_power_supply_charge_term_current", "Current at which charging ends, in amperes.").per(1e6),
    number("constant_charge_current", "node_power_supply_constant_charge_current", "Current that the charger holds, in amperes.").per(1e6),
    number("constant_charge_current_max", "node_power_supply_constant_charge_current_max", "Highest current that the charger can hold, in amperes.").per(1e6),
    number("constant_charge_voltage", "node_power_supply_constant_charge_voltage", "Voltage that the charger holds, in volts.").per(1e6),
    number("constant_charge_voltage_max", "node_power_supply_constant_charge_voltage_max", "Highest voltage that the charger can hold, in volts.").per(1e6),
    number("precharge_current", "node_power_supply_precharge_current", "Current while an empty battery is being woken, in amperes.").per(1e6),
    number("input_current_limit", "node_power_supply_input_current_limit", "Current that may be drawn from the supply, in amperes.").per(1e6),
    number("power_now", "node_power_supply_power_watt", "Power that flows now, in watts.").per(1e6),
    number("temp", "node_power_supply_temp_celsius", "Temperature of the supply, in degrees Celsius.").per(10.0),
    number("temp_alert_max", "node_power_supply_temp_alert_max_celsius", "Temperature above which the driver warns, in degrees Celsius.").per(10.0),
    number("temp_alert_min", "node_power_supply_temp_alert_min_celsius", "Temperature below which the driver warns, in degrees Celsius.").per(10.0),
    number("temp_ambient", "node_power_supply_temp_ambient_celsius", "Temperature around the supply, in degrees Celsius.").per(10.0),
    number("temp_ambient_max", "node_power_supply_temp_ambient_max_celsius", "Highest temperature around the supply that it works at, in degrees Celsius.").per(10.0),
    number("temp_ambient_min", "node_power_supply_temp_ambient_min_celsius", "Lowest temperature around the supply that it works at, in degrees Celsius.").per(10.0),
    number("temp_max", "node_power_supply_temp_max_celsius", "Highest temperature that the supply works at, in degrees Celsius.").per(10.0),
    number("temp_min", "node_power_supply_temp_min_celsius", "Lowest temperature that the supply works at, in degrees Celsius.").per(10.0),
];

/// Numbers that nobody tells, yet a bad one fails the collector.
const CHECKED_NUMBERS: [&str; 7] = [
    "charge_avg", "current_avg", "energy_avg", "power_avg", "time_to_empty_avg",
    "time_to_full_avg", "voltage_avg",
];

static INFO: Desc = gauge(
    "node_power_supply_info",
    "What the driver says of the supply in words, as far as it says anything; always 1.",
    &[
        "capacity_level", "charge_type", "health", "manufacturer", "model_name", "power_supply",
        "scope", "serial_number", "status", "technology", "type", "usb_type",
    ],
);

/// Files that become labels of [`INFO`].
const TEXTS: [&str; 11] = [
    "capacity_level", "charge_type", "health", "manufacturer", "model_name", "scope",
    "serial_number", "status", "technology", "type", "usb_type",
];

/// Errors with which a driver says that it does not know.
const UNTOLD: [Errno; 3] = [Errno::NOENT, Errno::OPNOTSUPP, Errno::NODEV];

const DIRECTORY: &str = "class/power_supply";

struct PowerSupplyClass {
    ignored: Option<Pattern>,
    supplies: Listing,
    files: Listing,
    texts: Texts<{ TEXTS.len() }>,
}

impl Collector for PowerSupplyClass {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        let Self { ignored, supplies, files, texts } = self;
        cx.sys.list(DIRECTORY, supplies).absent_is_no_data()?;
        let is_ignored =
            |supply: &&str| ignored.as_ref().is_some_and(|ignored| ignored.is_match(supply.as_bytes()));
        out.all_or_nothing(|out| {
            for supply in supplies.names().filter(|supply| !is_ignored(supply)) {
                join(cx.path, &[DIRECTORY, "/", supply]);
                cx.sys.list(cx.path, files)?;
                texts.clear();
                for file in files.iter().filter(|file| file.is_regular()) {
                    push_file(supply, file.name, texts, cx, out)?;
                }
                push_info(supply, texts, out);
            }
            Ok(())
        })
        .absent_is_no_data()
    }
}

fn push_file(
    supply: &str,
    file: &str,
    texts: &mut Texts<{ TEXTS.len() }>,
    cx: &mut Cx<'_>,
    out: &mut Samples,
) -> Result<()> {
    let number = Told::find(&NUMBERS, file);
    let text = TEXTS.iter().position(|text| *text == file);
    if number.is_none() && text.is_none() && !CHECKED_NUMBERS.contains(&file) {
        return Ok(());
    }
    let value = cx.attribute_unless(&UNTOLD, &[DIRECTORY, "/", supply, "/", file])?;
    let Some(value) = value else { return Ok(()) };
    if let Some(text) = text {
        texts.set(text, value.bytes);
        return Ok(());
    }
    let AnyBase::<i64>(value) = value.parse()?;
    if let Some(number) = number {
        number.push(&[&supply], value as f64, out);
    }
    Ok(())
}

/// Tells what one supply says in words, if anything.
fn push_info(supply: &str, texts: &Texts<{ TEXTS.len() }>, out: &mut Samples) {
    let values = texts.all().map(Repaired);
    let mut labels: [(&str, &dyn LabelValue); TEXTS.len() + 1] =
        [("power_supply", &supply); TEXTS.len() + 1];
    let mut count = 1;
    for (name, value) in TEXTS.iter().zip(&values).filter(|(_, value)| !value.0.is_empty()) {
        labels[count] = (name, value);
        count += 1;
    }
    out.push_labelled(&INFO, &labels[..count], 1.0);
}
