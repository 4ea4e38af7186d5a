//! Network and mount namespaces of a test's own.
//!
//! A namespace is a thread's or a process's, and so is the sysfs that shows it: the test starts its
//! own program again in new ones, which end with it.

#![expect(clippy::print_stdout, reason = "a test says what it leaves out")]

use std::process::Command;

/// Set for the process that has the namespaces to itself.
const INSIDE: &str = "HOSTWARDEN_TEST_NAMESPACE";

/// Runs `work` in namespaces of its own: the test of that name is started again inside.
pub(crate) fn inside(test: &str, work: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return work();
    }
    let script = "mount -t sysfs sysfs /sys && exec \"$0\" \"$@\"";
    let outcome = Command::new("timeout")
        .args(["120", "unshare", "--net", "--mount", "sh", "-c", script])
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(INSIDE, "1")
        .output();
    let output = match outcome {
        Ok(output) if !may_unshare() => {
            println!("left out: no namespaces here: {}", String::from_utf8_lossy(&output.stderr));
            return;
        }
        Ok(output) => output,
        Err(error) => {
            println!("left out: no unshare here: {error}");
            return;
        }
    };
    let (told, failed) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    print!("{told}");
    assert!(output.status.success(), "{told}{failed}");
    assert!(told.contains("1 passed"), "{test} was not found: {told}");
}

fn may_unshare() -> bool {
    let may = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
    may(Command::new("unshare").args(["--net", "--mount", "mount", "-t", "sysfs", "sysfs", "/sys"]))
        && may(Command::new("ip").arg("-V"))
}

pub(crate) fn ip(command: &str) {
    let output = Command::new("ip").args(command.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {command}: {}", String::from_utf8_lossy(&output.stderr));
}

pub(crate) fn ip_may(command: &str) -> bool {
    Command::new("ip").args(command.split(' ')).output().unwrap().status.success()
}
