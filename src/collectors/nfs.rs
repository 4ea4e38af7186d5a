//! Requests that this host made of NFS servers, from `/proc/net/rpc/nfs`.

use crate::collector::prelude::*;

pub static SPEC: Spec = Spec::new("nfs", On, "/proc/net/rpc/nfs", &[], |setup| {
    setup.need_proc()?;
    Ok(Box::new(collect))
});

static PACKETS: Desc = counter(
    "node_nfs_packets_total",
    "Packets sent and received over this protocol.",
    &["protocol"],
);
static CONNECTIONS: Desc =
    counter("node_nfs_connections_total", "TCP connections made to servers.", &[]);
static RPC: [Desc; 3] = [
    counter("node_nfs_rpcs_total", "Remote procedure calls made.", &[]),
    counter("node_nfs_rpc_retransmissions_total", "Calls sent again for want of an answer.", &[]),
    counter("node_nfs_rpc_authentication_refreshes_total", "Times credentials were renewed.", &[]),
];
static REQUESTS: Desc =
    counter("node_nfs_requests_total", "Calls by protocol version and procedure.", &["method", "proto"]);

fn collect(cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
    let text = cx
        .proc
        .read_present("net/rpc/nfs", cx.text)?
        .ok_or_else(|| Error::no_data("the NFS client is not loaded"))?;
    let Calls { net, rpc, v2, v3, v4 } = Calls::parse(text)?;
    out.push(&PACKETS, &[&"udp"], net[1]);
    out.push(&PACKETS, &[&"tcp"], net[2]);
    out.push(&CONNECTIONS, &[], net[3]);
    for (desc, value) in RPC.iter().zip(rpc) {
        out.push(desc, &[], value);
    }
    push_requests(&REQUESTS, "2", V2.split_whitespace().zip(v2), out);
    push_requests(&REQUESTS, "3", V3.split_whitespace().zip(v3), out);
    push_requests(&REQUESTS, "4", V4.split_whitespace().zip(v4), out);
    Ok(())
}

pub(super) fn push_requests<'a>(
    desc: &'static Desc,
    proto: &str,
    counts: impl Iterator<Item = (&'a str, u64)>,
    out: &mut Samples,
) {
    for (method, count) in counts {
        out.push(desc, &[&method, &proto], count);
    }
}

/// Procedures in the kernel's order, named as the original names them.
pub(super) const V2: &str = "Null GetAttr SetAttr Root Lookup ReadLink Read WrCache Write Create \
    Remove Rename Link SymLink MkDir RmDir ReadDir FsStat";
pub(super) const V2_COUNT: usize = 18;

pub(super) const V3: &str = "Null GetAttr SetAttr Lookup Access ReadLink Read Write Create MkDir \
    SymLink MkNod Remove RmDir Rename Link ReadDir ReadDirPlus FsStat FsInfo PathConf Commit";
pub(super) const V3_COUNT: usize = 22;

const V4: &str = "Null Read Write Commit Open OpenConfirm OpenNoattr OpenDowngrade Close Setattr \
    FsInfo Renew SetClientID SetClientIDConfirm Lock Lockt Locku Access Getattr Lookup LookupRoot \
    Remove Rename Link Symlink Create Pathconf StatFs ReadLink ReadDir ServerCaps DelegReturn \
    GetACL SetACL FsLocations ReleaseLockowner Secinfo FsidPresent ExchangeID CreateSession \
    DestroySession Sequence GetLeaseTime ReclaimComplete GetDeviceInfo LayoutGet LayoutCommit \
    LayoutReturn SecinfoNoName TestStateID FreeStateID GetDeviceList BindConnToSession \
    DestroyClientID Seek Allocate DeAllocate LayoutStats Clone";
const V4_COUNT: usize = 59;

/// A kind of line that is missing counts nothing.
struct Calls {
    net: [u64; 4],
    rpc: [u64; 3],
    v2: [u64; V2_COUNT],
    v3: [u64; V3_COUNT],
    v4: [u64; V4_COUNT],
}

impl Calls {
    fn parse(text: Text<'_>) -> Result<Self> {
        let mut calls =
            Self { net: [0; _], rpc: [0; _], v2: [0; _], v3: [0; _], v4: [0; _] };
        for line in text.scan() {
            let line = Line::parse(line?)?;
            match line.word {
                b"net" => calls.net = line.exactly()?,
                b"rpc" => calls.rpc = line.exactly()?,
                b"proc2" => calls.v2 = line.counted()?,
                b"proc3" => calls.v3 = line.counted()?,
                // Kernels differ in how many procedures they know.
                b"proc4" => calls.v4 = line.counted_as_far_as_known()?,
                _ => return Err(line.text.malformed()),
            }
        }
        Ok(calls)
    }
}

/// A word and numbers after it, of which some lines tell the count first:
/// `proc2 18 0 5 0 0 77 0 0 0 0 0 0 0 0 0 0 0 0 2`
pub(super) struct Line<'a> {
    pub(super) text: Text<'a>,
    pub(super) word: &'a [u8],
    numbers: [u64; NUMBERS_MAX],
    count: usize,
}

/// More than is told of any line.
const NUMBERS_MAX: usize = 64;

impl<'a> Line<'a> {
    pub(super) fn parse(text: Text<'a>) -> Result<Self> {
        Self::parse_first(text, usize::MAX)
    }

    /// Only so many numbers; what follows may be anything.
    pub(super) fn parse_first(text: Text<'a>, most: usize) -> Result<Self> {
        let mut fields = text.fields();
        let word = fields.word()?;
        let mut line = Self { text, word, numbers: [0; _], count: 0 };
        for field in fields.take(most) {
            let number = field.parse()?;
            if let Some(place) = line.numbers.get_mut(line.count) {
                *place = number;
            }
            line.count += 1;
        }
        if line.count == 0 { Err(text.malformed()) } else { Ok(line) }
    }

    pub(super) fn exactly<const N: usize>(&self) -> Result<[u64; N]> {
        let numbers = self.numbers.first_chunk().filter(|_| self.count == N);
        numbers.copied().ok_or_else(|| self.text.malformed())
    }

    /// After the count at least so many.
    pub(super) fn counted<const N: usize>(&self) -> Result<[u64; N]> {
        if self.count <= N { Err(self.text.malformed()) } else { self.counted_as_far_as_known() }
    }

    /// After the count so many; 0 for those that are missing.
    pub(super) fn counted_as_far_as_known<const N: usize>(&self) -> Result<[u64; N]> {
        let numbers = self.numbers[1..].first_chunk();
        let numbers = numbers.filter(|_| self.numbers[0] == (self.count - 1) as u64);
        numbers.copied().ok_or_else(|| self.text.malformed())
    }

    pub(super) fn first(&self) -> u64 {
        self.numbers[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let ones = |count: usize| " 1".repeat(count);
        for (line, is_good) in [
            ("net 1 2 3 4".to_owned(), true),
            ("net 1 2 3".to_owned(), false),
            ("net 1 2 3 4 5".to_owned(), false),
            ("net 1 2 3 -4".to_owned(), false),
            ("net".to_owned(), false),
            (String::new(), false),
            ("rpc 1 2 3".to_owned(), true),
            ("rpc 1 2 18446744073709551616".to_owned(), false),
            (format!("proc2 18{}", ones(18)), true),
            (format!("proc2 18{}", ones(17)), false),
            (format!("proc2 17{}", ones(17)), false),
            (format!("proc2 19{}", ones(19)), true),
            (format!("proc3 22{}", ones(22)), true),
            (format!("proc3 21{}", ones(22)), false),
            ("proc4 0".to_owned(), true),
            ("proc4 1".to_owned(), false),
            (format!("proc4 40{}", ones(40)), true),
            (format!("proc4 90{}", ones(90)), true),
            (format!("proc4 90{}x", ones(90)), false),
            (format!("proc5 9{}", ones(9)), false),
        ] {
            let text = format!("{line}\n");
            let parsed = Calls::parse(Text::new("net/rpc/nfs", text.as_bytes()));
            assert_eq!(parsed.is_ok(), is_good, "{line}");
        }
    }

    #[test]
    fn each_count_has_a_name() {
        let counts = [V2, V3, V4].map(|names| names.split_whitespace().count());
        assert_eq!(counts, [V2_COUNT, V3_COUNT, V4_COUNT]);
    }

    #[test]
    fn what_is_missing_is_0_and_the_last_line_counts() {
        let text = "proc4 3 7 8 9\nproc4 2 5 6\nrpc 1 2 3\nproc4 1 4\n";
        let calls = Calls::parse(Text::new("net/rpc/nfs", text.as_bytes())).unwrap();
        assert_eq!((calls.net, calls.rpc), ([0; 4], [1, 2, 3]));
        assert_eq!(calls.v4[..3], [4, 0, 0]);
    }
}
