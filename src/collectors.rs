//! The list of collectors. A new one is its file and one line here, in the order of the names.

use crate::collector::Spec;

macro_rules! collectors {
    ($($name:ident $(@ $home:ident)?)*) => {
        $(bring!($name $($home)?);)*

        /// Every collector there is.
        pub static ALL: &[&Spec] = &[$(&$name::SPEC),*];
    };
}

/// A file of this folder, or of another.
macro_rules! bring {
    ($name:ident) => {
        pub mod $name;
    };
    ($name:ident $home:ident) => {
        use crate::$home::$name;
    };
}

collectors! {
    apache @ services
    arp
    bcache
    bcachefs
    bonding
    btrfs
    buddyinfo
    cgroups
    conntrack
    cpu
    cpu_vulnerabilities
    cpufreq
    diskstats
    dmi
    dmmultipath
    drbd
    drm
    edac
    entropy
    ethtool
    fibrechannel
    filefd
    filesystem
    hwmon
    infiniband
    interrupts
    ipvs
    kernel_hung
    ksmd
    lnstat
    loadavg
    logind
    mdadm
    meminfo
    meminfo_numa
    mountstats
    netclass
    netdev
    netstat
    network_route
    nfs
    nfsd
    nginx @ services
    ntp
    nvme
    nvmesubsystem
    os
    pcidevice
    perf
    powersupplyclass
    pressure
    processes
    qdisc
    rapl
    runit
    schedstat
    selinux
    slabinfo
    sockstat
    softirqs
    softnet
    stat
    supervisord
    swap
    sysctl
    systemd
    tapestats
    tcpstat
    textfile
    thermal_zone
    time
    timex
    udp_queues
    uname
    vmstat
    watchdog
    wifi
    xfrm
    xfs
    zfs
    zoneinfo
}

/// The collector of that name.
pub fn find(name: &str) -> Option<&'static Spec> {
    ALL.iter().copied().find(|spec| spec.name == name)
}
