//! What an NTP server says of itself and of our clock, by one SNTP query (RFC 5905).

use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _, UdpSocket};
use std::time::{Duration, Instant, SystemTime};

use rustix::rand::{GetRandomFlags, getrandom};

use crate::collector::prelude::*;
use crate::number::seconds;

static SERVER: Flag<String> =
    flags::text("collector.ntp.server", "127.0.0.1", "Address of the NTP server.");
static PORT: Flag<i64> = flags::integer("collector.ntp.server-port", "123", "UDP port of the server.");
static VERSION: Flag<i64> =
    flags::integer("collector.ntp.protocol-version", "4", "NTP version to speak: 2, 3 or 4.");
static IS_LOCAL: Flag<bool> = flags::switch(
    "collector.ntp.server-is-local",
    false,
    "Vouch that a server elsewhere than on this host is no public one.",
);
static TTL: Flag<i64> =
    flags::integer("collector.ntp.ip-ttl", "1", "How many hops a query may take; 0 for any.");
static MAX_DISTANCE: Flag<Duration> = flags::duration(
    "collector.ntp.max-distance",
    "3.46608s",
    "How far from its reference clock a sane server may be.",
);
static TOLERANCE: Flag<Duration> = flags::duration(
    "collector.ntp.local-offset-tolerance",
    "1ms",
    "How far a sane server's clock may provably be from ours.",
);

pub static SPEC: Spec = Spec::new(
    "ntp",
    Off,
    "an NTP server",
    &[&SERVER, &PORT, &VERSION, &IS_LOCAL, &TTL, &MAX_DISTANCE, &TOLERANCE],
    |setup| Ok(Box::new(Ntp::new(setup.flags)?)),
);

static STRATUM: Desc =
    gauge("node_ntp_stratum", "How many servers stand between this one and its clock.", &[]);
static LEAP: Desc = gauge(
    "node_ntp_leap",
    "Leap second at the end of the day: 1 is one more, 2 one less, 3 an unset clock.",
    &[],
);
static RTT: Desc = gauge("node_ntp_rtt_seconds", "Time that query and answer were under way.", &[]);
static OFFSET: Desc =
    gauge("node_ntp_offset_seconds", "How far the server's clock is ahead of ours.", &[]);
static REFERENCE: Desc = gauge(
    "node_ntp_reference_timestamp_seconds",
    "When the server's clock was last set, in seconds since 1970.",
    &[],
);
static ROOT_DELAY: Desc =
    gauge("node_ntp_root_delay_seconds", "Round trip from the server to its reference clock.", &[]);
static ROOT_DISPERSION: Desc = gauge(
    "node_ntp_root_dispersion_seconds",
    "Error that the server's clock may have gathered.",
    &[],
);
static SANITY: Desc = gauge(
    "node_ntp_sanity",
    "Whether the answer passes the checks of RFC 5905 and the limits set by flags.",
    &[],
);

/// How long a server may take: what ntpdate gives it.
const TIMEOUT: Duration = Duration::from_secs(1);

struct Ntp {
    server: String,
    port: u16,
    version: u8,
    ttl: i64,
    max_distance: Nanos,
    tolerance: Nanos,
    /// The midnight of the last leap second that was announced: servers drop the announcement
    /// right after, but may smear the second over the hours around.
    leap_midnight: Option<Nanos>,
}

/// Nanoseconds; of a moment, since 1970.
type Nanos = i64;

const SECOND: Nanos = 1_000_000_000;
const DAY: Nanos = 86_400 * SECOND;

impl Ntp {
    fn new(flags: &flags::Values) -> Result<Self, String> {
        let server = flags.get(&SERVER);
        let is_loopback =
            server.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
        if !flags.get(&IS_LOCAL) && !is_loopback {
            return Err("only IP address of local NTP server is valid for --collector.ntp.server".into());
        }
        let version = flags.get(&VERSION);
        let version = u8::try_from(version).ok().filter(|version| (2..=4).contains(version));
        let version = version.ok_or_else(|| {
            format!("invalid NTP protocol version {}; must be 2, 3, or 4", flags.get(&VERSION))
        })?;
        let port = u16::try_from(flags.get(&PORT)).ok().filter(|&port| port > 0);
        let port = port.ok_or_else(|| {
            let port = flags.get(&PORT);
            format!("invalid NTP port number {port}; must be between 1 and 65535 inclusive")
        })?;
        let nanos = |duration: Duration| Nanos::try_from(duration.as_nanos()).unwrap_or(Nanos::MAX);
        Ok(Self {
            server,
            port,
            version,
            ttl: flags.get(&TTL),
            max_distance: nanos(flags.get(&MAX_DISTANCE)),
            tolerance: nanos(flags.get(&TOLERANCE)),
            leap_midnight: None,
        })
    }
}

impl Collector for Ntp {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        let answer = self.ask(cx.give_up_at())?;
        out.push(&STRATUM, &[], answer.stratum);
        out.push(&LEAP, &[], answer.leap);
        out.push(&RTT, &[], seconds(answer.rtt()));
        out.push(&OFFSET, &[], seconds(answer.offset()));
        let reference = moment(answer.reference);
        // Whatever lies before 1970 is told as 0, and so is the first second after.
        let reference = if reference >= SECOND { reference as f64 / 1e9 } else { 0.0 };
        out.push(&REFERENCE, &[], reference);
        out.push(&ROOT_DELAY, &[], seconds(answer.root_delay));
        out.push(&ROOT_DISPERSION, &[], seconds(answer.root_dispersion));
        out.push(&SANITY, &[], self.is_sane(&answer));
        Ok(())
    }
}

impl Ntp {
    /// Sends one query and takes the first answer, be it good or bad.
    fn ask(&self, deadline: Instant) -> Result<Answer> {
        let (host, port) = host_and_port(&self.server, self.port)?;
        let io = |error: std::io::Error| {
            let errno = Errno::from_io_error(&error);
            // An expired timeout reads as EAGAIN.
            let is_late = errno == Some(Errno::AGAIN);
            let what = if is_late { "no answer".into() } else { error.to_string() };
            let what = what.split(" (os error").next().unwrap_or_default().to_lowercase();
            Error::failed(format!("ntp: {host} port {port}: {what}"))
        };
        let address = resolve(host, port).map_err(io)?;
        let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any).map_err(io)?;
        socket.connect(address).map_err(io)?;
        if self.ttl != 0 {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "as typed")]
            socket.set_ttl(self.ttl as u32).map_err(io)?;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        socket.set_read_timeout(Some(left.min(TIMEOUT).max(Duration::from_millis(1)))).map_err(io)?;

        let mut nonce = [0; 8];
        getrandom(&mut nonce[..], GetRandomFlags::empty()).map_err(|errno| io(errno.into()))?;
        let mut query = [0; Answer::LENGTH];
        query[0] = self.version << 3 | Answer::CLIENT;
        // The precision, which servers ignore.
        query[3] = 0x20;
        // What stands for our time is a random number: it comes back in the answer that belongs to
        // this query, and tells nobody our clock.
        query[40..].copy_from_slice(&nonce);
        let sent = ntp_now();
        socket.send(&query).map_err(io)?;
        let mut datagram = [0; 8192];
        let length = socket.recv(&mut datagram).map_err(io)?;
        let received = ntp_now();
        Answer::parse(&datagram[..length], nonce, sent, received)
            .map_err(|why| Error::failed(format!("ntp: {host} port {port}: {why}")))
    }

    fn is_sane(&mut self, answer: &Answer) -> bool {
        let now = moment(answer.transmit);
        if matches!(answer.leap, 1 | 2) {
            self.leap_midnight = Some(now - now % DAY + DAY);
        }
        let mut tolerance = self.tolerance;
        if self.leap_midnight.is_some_and(|midnight| (now - midnight).abs() < DAY) {
            tolerance = tolerance.saturating_add(SECOND);
        }
        answer.is_valid()
            && answer.root_distance() <= self.max_distance
            && answer.clock_error() <= tolerance
    }
}

/// The host in an address that may bring a port of its own: `host`, `host:port`, `[v6]:port`, `v6`.
fn host_and_port(address: &str, port: u16) -> Result<(&str, u16)> {
    let malformed = || Error::malformed("ntp: address", address.as_bytes());
    if address.is_empty() {
        return Err(malformed());
    }
    let (host, own) = if let Some(rest) = address.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or_else(malformed)?;
        match rest.strip_prefix(':') {
            Some(own) => (host, Some(own)),
            None if rest.is_empty() => (host, None),
            None => return Err(malformed()),
        }
    } else {
        match address.split_once(':') {
            Some((host, own)) if !own.contains(':') => (host, Some(own)),
            _ => (address, None),
        }
    };
    let own = own.map(|own| own.parse().map_err(|_| malformed())).transpose()?;
    Ok((host, own.unwrap_or(port)))
}

/// The first address of a host, of version 4 if it has one.
fn resolve(host: &str, port: u16) -> std::io::Result<SocketAddr> {
    let addresses = (host, port).to_socket_addrs()?;
    let mut first = None;
    for address in addresses {
        if address.is_ipv4() {
            return Ok(address);
        }
        first.get_or_insert(address);
    }
    first.ok_or_else(|| std::io::Error::other("no address"))
}

/// What a server answered, and when that came. Times are in NTP's 64 bits: seconds since 1900 and
/// 32 bits of fraction, which wrap around in 2036.
struct Answer {
    leap: u8,
    stratum: u8,
    root_delay: Nanos,
    root_dispersion: Nanos,
    reference: u64,
    /// When we sent, by our clock.
    origin: u64,
    /// When the server received and when it answered, by its clock.
    receive: u64,
    transmit: u64,
    /// When we received, by our clock.
    destination: u64,
}

impl Answer {
    const LENGTH: usize = 48;
    const CLIENT: u8 = 3;
    const SERVER: u8 = 4;

    fn parse(
        datagram: &[u8],
        nonce: [u8; 8],
        sent: u64,
        received: u64,
    ) -> Result<Self, &'static str> {
        let packet: &[u8; Self::LENGTH] = datagram.first_chunk().ok_or("answer too short")?;
        let word = |at: usize| {
            packet[at..].first_chunk().map_or(0, |bytes: &[u8; 4]| u32::from_be_bytes(*bytes))
        };
        let time = |at: usize| u64::from(word(at)) << 32 | u64::from(word(at + 4));
        let answer = Self {
            leap: packet[0] >> 6,
            stratum: packet[1],
            // 16 bits of seconds and 16 of fraction.
            root_delay: nanos(u64::from(word(4)) << 16),
            root_dispersion: nanos(u64::from(word(8)) << 16),
            reference: time(16),
            origin: sent,
            receive: time(32),
            transmit: time(40),
            destination: received,
        };
        match packet[0] & 7 {
            Self::SERVER if answer.transmit == 0 => Err("answer without a time"),
            Self::SERVER if packet[24..32] != nonce => Err("answer to another query"),
            Self::SERVER if answer.receive > answer.transmit => Err("clock ran backwards"),
            Self::SERVER => Ok(answer),
            _ => Err("answer of a mode other than a server's"),
        }
    }

    fn rtt(&self) -> Nanos {
        let ours = self.destination.wrapping_sub(self.origin).cast_signed();
        let theirs = self.transmit.wrapping_sub(self.receive).cast_signed();
        nanos(ours.wrapping_sub(theirs).max(0).cast_unsigned())
    }

    fn offset(&self) -> Nanos {
        let there = self.receive.wrapping_sub(self.origin).cast_signed();
        let back = self.transmit.wrapping_sub(self.destination).cast_signed();
        let offset = there.wrapping_add(back.wrapping_sub(there) / 2);
        nanos(offset.unsigned_abs()) * offset.signum()
    }

    fn root_distance(&self) -> Nanos {
        (self.rtt() + self.root_delay) / 2 + self.root_dispersion
    }

    /// By how much the clocks must differ at least: an answer cannot come before its query.
    fn clock_error(&self) -> Nanos {
        let before = self.origin.saturating_sub(self.receive);
        let after = self.transmit.saturating_sub(self.destination);
        nanos(before.max(after))
    }

    fn is_valid(&self) -> bool {
        const AGE_MAX: Nanos = (1 << 17) * SECOND;
        const DISPERSION_MAX: Nanos = 16 * SECOND;

        let age = moment(self.transmit) - moment(self.reference);
        (1..16).contains(&self.stratum)
            && (0..=AGE_MAX).contains(&age)
            && self.root_delay / 2 + self.root_dispersion <= DISPERSION_MAX
            && self.leap != 3
    }
}

/// 32 bits of seconds and 32 of fraction, to the nearest nanosecond.
fn nanos(time: u64) -> Nanos {
    let fraction = (time & 0xffff_ffff) * SECOND.cast_unsigned();
    let fraction = (fraction >> 32) + (fraction >> 31 & 1);
    ((time >> 32) * SECOND.cast_unsigned() + fraction).cast_signed()
}

/// Seconds from 1900 to 1970.
const EPOCH: u64 = 2_208_988_800;

/// The moment that an NTP time names. What would lie before 1970 is taken for a time after the
/// wrap in 2036.
fn moment(time: u64) -> Nanos {
    let wrapped = if time >> 32 < EPOCH { 1 << 32 } else { 0 };
    nanos(time) + (wrapped - EPOCH.cast_signed()) * SECOND
}

fn ntp_now() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let scaled = u64::from(now.subsec_nanos()) << 32;
    let fraction = (scaled + SECOND.cast_unsigned() / 2) / SECOND.cast_unsigned();
    (now.as_secs() + EPOCH) << 32 | fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (address, host, port) in [
            ("127.0.0.1", "127.0.0.1", 123),
            ("clock.example", "clock.example", 123),
            ("clock.example:9", "clock.example", 9),
            ("::1", "::1", 123),
            ("[::1]", "::1", 123),
            ("[fe80::1%eth0]:9", "fe80::1%eth0", 9),
        ] {
            assert_eq!(host_and_port(address, 123).unwrap(), (host, port));
        }
        for address in ["", "[::1", "[::1]9", "host:x", "host:", "host:65536"] {
            assert!(host_and_port(address, 123).is_err(), "{address}");
        }
    }

    #[test]
    fn times() {
        assert_eq!(nanos(0), 0);
        assert_eq!(nanos(1 << 31), SECOND / 2);
        // 4 of 2^32 parts are 0.93 nanoseconds.
        assert_eq!(nanos(4), 1);
        assert_eq!(nanos(2), 0);
        assert_eq!(nanos(3), 1);
        assert_eq!(nanos(u64::MAX), (1 << 32) * SECOND);
        assert_eq!(moment(EPOCH << 32), 0);
        assert_eq!(moment((EPOCH - 1) << 32), ((1 << 32) - 1) * SECOND);
        assert_eq!(moment(0), 2_085_978_496 * SECOND);
    }

    fn answer() -> Answer {
        let second = 1u64 << 32;
        let now = (EPOCH + 1_700_000_000) * second;
        Answer {
            leap: 0,
            stratum: 2,
            root_delay: SECOND / 50,
            root_dispersion: SECOND / 100,
            reference: now - 64 * second,
            origin: now,
            receive: now + second / 4,
            transmit: now + second / 2,
            destination: now + second,
        }
    }

    fn ntp() -> Ntp {
        Ntp::new(&flags::Values::default()).unwrap()
    }

    #[test]
    fn delays_and_offsets() {
        let mut answer = answer();
        assert_eq!(answer.rtt(), SECOND * 3 / 4);
        assert_eq!(answer.offset(), -SECOND / 8);
        assert_eq!(answer.clock_error(), 0);
        assert_eq!(answer.root_distance(), (SECOND * 3 / 4 + SECOND / 50) / 2 + SECOND / 100);
        assert!(ntp().is_sane(&answer));
        // The server claims to have held the answer for longer than it took.
        answer.receive = answer.origin - (1 << 33);
        assert_eq!(answer.rtt(), 0);
        assert_eq!(answer.clock_error(), 2 * SECOND);
        assert!(!ntp().is_sane(&answer));
        // Across the wrap of 2036.
        (answer.origin, answer.receive) = (u64::MAX - (1 << 32) + 1, 1 << 32);
        (answer.transmit, answer.destination) = (2 << 32, 2 << 32);
        assert_eq!((answer.offset(), answer.rtt()), (SECOND, 2 * SECOND));
    }

    #[test]
    fn insane_answers() {
        let changes: [fn(&mut Answer); 8] = [
            |answer| answer.stratum = 0,
            |answer| answer.stratum = 16,
            |answer| answer.leap = 3,
            |answer| answer.reference = 0,
            |answer| answer.reference = answer.transmit + (1 << 32),
            |answer| answer.reference = answer.transmit - (131_073 << 32),
            |answer| answer.root_dispersion = 17 * SECOND,
            |answer| answer.root_dispersion = 4 * SECOND,
        ];
        for change in changes {
            let mut answer = answer();
            change(&mut answer);
            assert!(!ntp().is_sane(&answer));
        }
    }

    #[test]
    fn around_a_leap_second_a_second_is_tolerated() {
        let mut ntp = ntp();
        let mut answer = answer();
        answer.receive = answer.origin - (1 << 31);
        assert!(!ntp.is_sane(&answer));
        answer.leap = 1;
        assert!(ntp.is_sane(&answer));
        answer.leap = 0;
        assert!(ntp.is_sane(&answer));
        // 22 November 2023, 22:13 UTC: a day and a half later.
        for time in [
            &mut answer.reference,
            &mut answer.origin,
            &mut answer.receive,
            &mut answer.transmit,
            &mut answer.destination,
        ] {
            *time += 129_600 << 32;
        }
        assert!(!ntp.is_sane(&answer));
    }
}
