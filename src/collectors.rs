//! The list of collectors. A new one is its file and one line here, in the order of the names.

use crate::collector::Spec;

macro_rules! collectors {
    ($($name:ident)*) => {
        $(pub mod $name;)*

        /// Every collector there is.
        pub static ALL: &[&Spec] = &[$(&$name::SPEC),*];
    };
}

collectors! {
    arp
    bonding
    conntrack
    cpu
    cpufreq
    entropy
    filefd
    filesystem
    hwmon
    ipvs
    lnstat
    loadavg
    logind
    meminfo
    netclass
    netdev
    netstat
    nfs
    nfsd
    ntp
    os
    perf
    pressure
    processes
    runit
    schedstat
    sockstat
    softirqs
    softnet
    stat
    supervisord
    sysctl
    systemd
    textfile
    thermal_zone
    time
    timex
    udp_queues
    uname
    vmstat
    xfrm
}

/// The collector of that name.
pub fn find(name: &str) -> Option<&'static Spec> {
    ALL.iter().copied().find(|spec| spec.name == name)
}
