//! How well the system clock is disciplined, from adjtimex(2).

use crate::collector::prelude::*;
use crate::host::timex;

pub static SPEC: Spec = Spec::new("timex", On, "adjtimex(2)", &[], |_| Ok(Box::new(collect)));

static SYNC_STATUS: Desc = gauge(
    "node_timex_sync_status",
    "Whether the clock is synchronised to a reliable reference.",
    &[],
);
static OFFSET: Desc = gauge(
    "node_timex_offset_seconds",
    "How far the clock is off its reference, in seconds.",
    &[],
);
static FREQUENCY: Desc = gauge(
    "node_timex_frequency_adjustment_ratio",
    "Speed of the clock in relation to its unadjusted speed.",
    &[],
);
static MAX_ERROR: Desc =
    gauge("node_timex_maxerror_seconds", "Largest error that the clock may have, in seconds.", &[]);
static ESTIMATED_ERROR: Desc = gauge(
    "node_timex_estimated_error_seconds",
    "Error that the clock is thought to have, in seconds.",
    &[],
);
static STATUS: Desc = gauge("node_timex_status", "Bits of the clock's status (STA_*).", &[]);
static CONSTANT: Desc = gauge(
    "node_timex_loop_time_constant",
    "Time constant of the loop that steers the clock; the higher, the slower.",
    &[],
);
static TICK: Desc = gauge("node_timex_tick_seconds", "Length of a clock tick, in seconds.", &[]);
static PPS_FREQUENCY: Desc = gauge(
    "node_timex_pps_frequency_hertz",
    "Frequency that the pulse-per-second signal suggests, scaled.",
    &[],
);
static PPS_JITTER: Desc =
    gauge("node_timex_pps_jitter_seconds", "Jitter of the pulse-per-second signal, in seconds.", &[]);
static PPS_SHIFT: Desc = gauge(
    "node_timex_pps_shift_seconds",
    "Pulse-per-second interval, as a power of two of seconds.",
    &[],
);
static PPS_STABILITY: Desc = gauge(
    "node_timex_pps_stability_hertz",
    "Mean change of the pulse-per-second frequency of late, scaled.",
    &[],
);
static PPS_JITTER_TOTAL: Desc =
    counter("node_timex_pps_jitter_total", "Pulses whose jitter went beyond the limit.", &[]);
static PPS_CALIBRATION_TOTAL: Desc =
    counter("node_timex_pps_calibration_total", "Calibration intervals of the pulse.", &[]);
static PPS_ERROR_TOTAL: Desc =
    counter("node_timex_pps_error_total", "Calibrations of the pulse that went wrong.", &[]);
static PPS_STABILITY_EXCEEDED_TOTAL: Desc = counter(
    "node_timex_pps_stability_exceeded_total",
    "Pulses whose frequency changed beyond the limit.",
    &[],
);
static TAI_OFFSET: Desc =
    gauge("node_timex_tai_offset_seconds", "How far TAI is ahead of UTC, in seconds.", &[]);

/// The state in which nothing keeps the clock right: `TIME_ERROR`.
const UNSYNCHRONISED: i32 = 5;

/// Set in the status when offset and jitter are in nanoseconds rather than microseconds.
const STA_NANO: i32 = 0x2000;

/// Frequencies are parts per million with 16 bits behind the point.
const SCALED_PPM: f64 = 1e6 * 65536.0;

fn collect(_: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
    let (state, timex) = timex::read().map_err(|errno| match errno {
        // Containers may be kept from it even for reading.
        Errno::PERM | Errno::ACCESS => Error::no_data("adjtimex: not permitted"),
        _ => Error::io("adjtimex", errno),
    })?;
    push(state, &timex, out);
    Ok(())
}

fn push(state: i32, timex: &libc::timex, out: &mut Samples) {
    let unit = if timex.status & STA_NANO == 0 { 1e6 } else { 1e9 };
    out.push(&SYNC_STATUS, &[], state != UNSYNCHRONISED);
    for (desc, value) in [
        (&OFFSET, timex.offset as f64 / unit),
        (&FREQUENCY, 1.0 + timex.freq as f64 / SCALED_PPM),
        (&MAX_ERROR, timex.maxerror as f64 / 1e6),
        (&ESTIMATED_ERROR, timex.esterror as f64 / 1e6),
        (&STATUS, f64::from(timex.status)),
        (&CONSTANT, timex.constant as f64),
        (&TICK, timex.tick as f64 / 1e6),
        (&PPS_FREQUENCY, timex.ppsfreq as f64 / SCALED_PPM),
        (&PPS_JITTER, timex.jitter as f64 / unit),
        (&PPS_SHIFT, f64::from(timex.shift)),
        (&PPS_STABILITY, timex.stabil as f64 / SCALED_PPM),
        (&PPS_JITTER_TOTAL, timex.jitcnt as f64),
        (&PPS_CALIBRATION_TOTAL, timex.calcnt as f64),
        (&PPS_ERROR_TOTAL, timex.errcnt as f64),
        (&PPS_STABILITY_EXCEEDED_TOTAL, timex.stbcnt as f64),
        (&TAI_OFFSET, f64::from(timex.tai)),
    ] {
        out.push(desc, &[], value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_follow_the_status() {
        let Ok((_, mut timex)) = timex::read() else { return };
        timex.offset = 1_500;
        timex.jitter = 3;
        timex.freq = 65_536;
        let value = |name: &str, state, timex: &libc::timex| {
            let mut out = Samples::default();
            push(state, timex, &mut out);
            assert_eq!(out.len(), 17);
            let sample = out.iter().find(|sample| sample.name() == name.as_bytes()).unwrap();
            sample.value()
        };
        timex.status = 0;
        assert_eq!(value("node_timex_offset_seconds", 0, &timex), 0.0015);
        assert_eq!(value("node_timex_pps_jitter_seconds", 0, &timex), 3e-6);
        assert_eq!(value("node_timex_frequency_adjustment_ratio", 0, &timex), 1.000_001);
        assert_eq!(value("node_timex_sync_status", 4, &timex), 1.0);
        timex.status = STA_NANO;
        assert_eq!(value("node_timex_offset_seconds", 0, &timex), 1.5e-6);
        assert_eq!(value("node_timex_pps_jitter_seconds", 0, &timex), 3e-9);
        assert_eq!(value("node_timex_sync_status", 5, &timex), 0.0);
    }
}
