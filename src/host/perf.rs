//! Counters of the kernel's performance monitoring, through `perf_event_open(2)`.

#![expect(unsafe_code, reason = "neither rustix nor libc wraps perf_event_open")]

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::ioctl::{IntegerSetter, Opcode, opcode};

/// `perf_event_attr.type` of linux/perf_event.h.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Type {
    Hardware = 0,
    Software = 1,
    Tracepoint = 2,
    HardwareCache = 3,
}

/// What is counted: the type, and a number that means something within it.
#[derive(Debug, Clone, Copy)]
pub struct Event {
    pub kind: Type,
    pub config: u64,
}

/// `struct perf_event_attr` as of its first version; the kernel takes what is missing for zeros.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    bp_type: u32,
    bp_addr: u64,
}

const DISABLED: u64 = 1 << 0;
const INHERIT: u64 = 1 << 1;
const EXCLUDE_HYPERVISOR: u64 = 1 << 6;

const TOTAL_TIMES: u64 = 1 << 0 | 1 << 1;
const GROUP: u64 = 1 << 3;

const ENABLE: Opcode = opcode::none(b'$', 0);
const WHOLE_GROUP: usize = 1;

/// One event on one CPU, for all processes.
#[derive(Debug)]
pub struct Counter {
    file: OwnedFd,
}

impl Counter {
    /// Opens the counter, stopped.
    pub fn open(event: Event, cpu: u32) -> Result<Self, Errno> {
        let flags = DISABLED | INHERIT | EXCLUDE_HYPERVISOR;
        open(event, cpu, flags, TOTAL_TIMES, None).map(|file| Self { file })
    }

    pub fn start(&self) -> Result<(), Errno> {
        enable(&self.file, 0)
    }

    /// What was counted since the start, as counted: not scaled up for the time that the event had
    /// to leave the hardware to others.
    pub fn read(&self) -> Result<u64, Errno> {
        // The value, and the times enabled and running. An event in error reads as an empty file.
        let mut words = [0; 24];
        rustix::io::read(&self.file, &mut words)?;
        Ok(word(&words, 0))
    }
}

/// Several events on one CPU that the kernel schedules and reads together.
#[derive(Debug)]
pub struct Group {
    /// The leader is the first.
    files: Vec<OwnedFd>,
    words: Vec<u8>,
}

impl Group {
    /// Opens the events, stopped; the error comes with the place of the event that did not open.
    pub fn open(events: &[Event], cpu: u32) -> Result<Self, (usize, Errno)> {
        let mut files: Vec<OwnedFd> = Vec::with_capacity(events.len());
        for (at, event) in events.iter().enumerate() {
            let flags = if at == 0 { DISABLED } else { 0 } | EXCLUDE_HYPERVISOR;
            let file = open(*event, cpu, flags, TOTAL_TIMES | GROUP, files.first());
            files.push(file.map_err(|errno| (at, errno))?);
        }
        let words = vec![0; 8 * (3 + files.len())];
        Ok(Self { files, words })
    }

    pub fn start(&self) -> Result<(), Errno> {
        self.files.first().map_or(Ok(()), |leader| enable(leader, WHOLE_GROUP))
    }

    /// What each event was counted, in the order they were opened in.
    pub fn read(&mut self) -> Result<impl Iterator<Item = u64>, Errno> {
        // How many values, the times enabled and running, the values.
        self.words.fill(0);
        if let Some(leader) = self.files.first() {
            rustix::io::read(leader, &mut self.words[..])?;
        }
        Ok((3..3 + self.files.len()).map(|at| word(&self.words, at)))
    }
}

fn word(words: &[u8], at: usize) -> u64 {
    words[8 * at..].first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes))
}

fn open(
    event: Event,
    cpu: u32,
    flags: u64,
    read_format: u64,
    leader: Option<&OwnedFd>,
) -> Result<OwnedFd, Errno> {
    /// `PERF_ATTR_SIZE_VER0`
    const SIZE: u32 = 64;
    const { assert!(size_of::<Attributes>() == SIZE as usize) };
    const ALL_PROCESSES: libc::pid_t = -1;
    const CLOSE_ON_EXEC: libc::c_ulong = 1 << 3;

    let attributes = Attributes {
        kind: event.kind as u32,
        size: SIZE,
        config: event.config,
        read_format,
        flags,
        ..Attributes::default()
    };
    let cpu = libc::c_int::try_from(cpu).map_err(|_| Errno::INVAL)?;
    let leader = leader.map_or(-1, AsRawFd::as_raw_fd);
    // SAFETY: the kernel reads `size` bytes of `attributes`, which outlives the call, and the
    // other arguments are integers.
    let file = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw const attributes,
            ALL_PROCESSES,
            cpu,
            leader,
            CLOSE_ON_EXEC,
        )
    };
    match i32::try_from(file) {
        // SAFETY: the kernel just opened this descriptor for us; nobody else knows of it.
        Ok(file) if file >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(file) }),
        _ => Err(last_errno()),
    }
}

fn enable(file: &OwnedFd, whole: usize) -> Result<(), Errno> {
    // SAFETY: PERF_EVENT_IOC_ENABLE takes an integer, 0 or PERF_IOC_FLAG_GROUP.
    unsafe { rustix::ioctl::ioctl(file.as_fd(), IntegerSetter::<ENABLE>::new_usize(whole)) }
}

/// How many CPUs this process may run on.
pub fn cpu_count() -> u32 {
    let mut mask = [0u64; 1024];
    // SAFETY: the mask is as long as the call is told; the kernel fills what it has CPUs for.
    let outcome =
        unsafe { libc::sched_getaffinity(0, size_of_val(&mask), mask.as_mut_ptr().cast()) };
    if outcome == 0 { mask.iter().map(|word| word.count_ones()).sum() } else { 1 }
}

fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
