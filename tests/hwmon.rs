//! Sensors on a bus that does not answer: a pipe without a writer holds whoever opens it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use hostwarden::host::Paths;
use rustix::fs::{CWD, FileType, Mode};

use crate::agent::wait_for;
use crate::harness::Running;

const SENSOR: &str = "class/hwmon/hwmon1/temp1_input";

/// Three chips: one on a bus of its own, two on one I2C bus.
fn lay_out(sys: &Path) {
    for (chip, device) in
        [("hwmon0", "platform/good"), ("hwmon1", "i2c-1/1-0048"), ("hwmon2", "i2c-1/1-0049")]
    {
        let (chip, device) = (sys.join("class/hwmon").join(chip), sys.join("devices").join(device));
        fs::create_dir_all(&chip).unwrap();
        fs::create_dir_all(&device).unwrap();
        fs::write(chip.join("temp1_input"), "20000\n").unwrap();
        std::os::unix::fs::symlink(device, chip.join("device")).unwrap();
    }
}

#[test]
fn a_bus_that_hangs_takes_its_own_chips_along_and_is_tried_again() {
    let tree = tempfile::tempdir().unwrap();
    let sys = tree.path();
    lay_out(sys);
    let (sensor, pipe) = (sys.join(SENSOR), sys.join("pipe"));
    fs::remove_file(&sensor).unwrap();
    rustix::fs::mknodat(CWD, &sensor, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let paths = Paths { sys: sys.to_owned(), ..Paths::default() };
    let mut hwmon = Running::try_start("hwmon", &[], &paths).unwrap();

    let good = "node_hwmon_temp_celsius{chip=\"platform_good\",sensor=\"temp1\"} 20";
    assert_eq!(hwmon.scrape_within(Duration::from_secs(2)).lines, [good]);
    for _ in 0..20 {
        let said = hwmon.scrape_within(Duration::from_secs(60));
        assert_eq!(said.lines, [good]);
        assert_eq!(said.failure(), "class/hwmon/hwmon2: its bus has not answered");
        assert!(said.took < Duration::from_secs(30), "waited for a bus that was away");
    }

    fs::hard_link(&sensor, &pipe).unwrap();
    fs::write(sys.join("file"), "30000\n").unwrap();
    fs::rename(sys.join("file"), &sensor).unwrap();
    drop(fs::OpenOptions::new().write(true).open(&pipe).unwrap());
    wait_for("the bus", || hwmon.scrape().outcome.is_ok());
    assert_eq!(
        hwmon.scrape().good(),
        [
            "node_hwmon_temp_celsius{chip=\"i2c_1_1_0048\",sensor=\"temp1\"} 30",
            "node_hwmon_temp_celsius{chip=\"i2c_1_1_0049\",sensor=\"temp1\"} 20",
            good,
        ]
    );
}
