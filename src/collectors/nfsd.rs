//! Requests that this host's NFS server answered, from `/proc/net/rpc/nfsd`.

use super::nfs::{Line, V2, V2_COUNT, V3, V3_COUNT, push_requests};
use crate::collector::prelude::*;

pub static SPEC: Spec = Spec::new("nfsd", On, "/proc/net/rpc/nfsd", &[], |setup| {
    setup.need_proc()?;
    Ok(Box::new(collect))
});

static REPLY_CACHE: [Desc; 3] = [
    counter("node_nfsd_reply_cache_hits_total", "Repeated requests answered from the cache.", &[]),
    counter("node_nfsd_reply_cache_misses_total", "Requests whose answer was put there.", &[]),
    counter("node_nfsd_reply_cache_nocache_total", "Requests whose answer need not be kept.", &[]),
];
static STALE: Desc =
    counter("node_nfsd_file_handles_stale_total", "Requests for files that are gone.", &[]);
static DISK: [Desc; 2] = [
    counter("node_nfsd_disk_bytes_read_total", "Bytes read for clients.", &[]),
    counter("node_nfsd_disk_bytes_written_total", "Bytes written for clients.", &[]),
];
static THREADS: Desc = gauge("node_nfsd_server_threads", "Threads of the server.", &[]);
static READ_AHEAD_SIZE: Desc =
    gauge("node_nfsd_read_ahead_cache_size_blocks", "Entries of the read-ahead cache.", &[]);
static READ_AHEAD_MISSES: Desc = counter(
    "node_nfsd_read_ahead_cache_not_found_total",
    "Reads that found no entry in the read-ahead cache.",
    &[],
);
static PACKETS: Desc =
    counter("node_nfsd_packets_total", "Packets received over this protocol.", &["proto"]);
static CONNECTIONS: Desc =
    counter("node_nfsd_connections_total", "TCP connections accepted.", &[]);
static RPC_ERRORS: Desc = counter(
    "node_nfsd_rpc_errors_total",
    "Calls refused: bad format, bad credentials, bad client.",
    &["error"],
);
static RPCS: Desc = counter("node_nfsd_server_rpcs_total", "Remote procedure calls received.", &[]);
static REQUESTS: Desc = counter(
    "node_nfsd_requests_total",
    "Calls by protocol version and procedure.",
    &["method", "proto"],
);

fn collect(cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
    let text = cx
        .proc
        .read_present("net/rpc/nfsd", cx.text)?
        .ok_or_else(|| Error::no_data("the NFS server is not loaded"))?;
    let served = Served::parse(text)?;
    for (desc, value) in REPLY_CACHE.iter().zip(served.reply_cache) {
        out.push(desc, &[], value);
    }
    out.push(&STALE, &[], served.file_handles[0]);
    for (desc, value) in DISK.iter().zip(served.disk) {
        out.push(desc, &[], value);
    }
    out.push(&THREADS, &[], served.threads[0]);
    out.push(&READ_AHEAD_SIZE, &[], served.read_ahead[0]);
    out.push(&READ_AHEAD_MISSES, &[], served.read_ahead[11]);
    out.push(&PACKETS, &[&"udp"], served.net[1]);
    out.push(&PACKETS, &[&"tcp"], served.net[2]);
    out.push(&CONNECTIONS, &[], served.net[3]);
    out.push(&RPCS, &[], served.rpc[0]);
    for (error, value) in ["fmt", "auth", "cInt"].iter().zip(&served.rpc[2..]) {
        out.push(&RPC_ERRORS, &[error], *value);
    }
    // Nobody is told of the procedure that does nothing.
    push_requests(&REQUESTS, "2", V2.split_whitespace().zip(served.v2).skip(1), out);
    push_requests(&REQUESTS, "3", V3.split_whitespace().zip(served.v3).skip(1), out);
    let v4 = V4.split_whitespace().zip(served.v4).filter(|(method, _)| *method != "-");
    push_requests(&REQUESTS, "4", v4, out);
    out.push(&REQUESTS, &[&"WdelegGetattr", &"4"], served.wdeleg_getattr);
    Ok(())
}

/// Operations of version 4 in the kernel's order; those that the original leaves out are `-`.
const V4: &str = "- - - Access Close Commit Create DelegPurge DelegReturn GetAttr GetFH Link Lock \
    Lockt Locku Lookup LookupRoot Nverify Open OpenAttr OpenConfirm OpenDgrd PutFH - - Read \
    ReadDir ReadLink Remove Rename Renew RestoreFH SaveFH SecInfo SetAttr SetClientID \
    SetClientIDConfirm Verify Write RelLockOwner";
const V4_COUNT: usize = 40;

/// A kind of line that is missing counts nothing.
struct Served {
    reply_cache: [u64; 3],
    file_handles: [u64; 5],
    disk: [u64; 2],
    threads: [u64; 2],
    read_ahead: [u64; 12],
    net: [u64; 4],
    rpc: [u64; 5],
    v2: [u64; V2_COUNT],
    v3: [u64; V3_COUNT],
    v4: [u64; V4_COUNT],
    wdeleg_getattr: u64,
}

impl Served {
    fn parse(text: Text<'_>) -> Result<Self> {
        let mut served = Self {
            reply_cache: [0; _],
            file_handles: [0; _],
            disk: [0; _],
            threads: [0; _],
            read_ahead: [0; _],
            net: [0; _],
            rpc: [0; _],
            v2: [0; _],
            v3: [0; _],
            v4: [0; _],
            wdeleg_getattr: 0,
        };
        for text in text.scan() {
            let text = text?;
            // `th 8 0 0.000 0.000 0.000`: fractions of seconds stand there on older kernels.
            let is_threads = text.fields().next().is_some_and(|word| word.bytes == b"th");
            let line = Line::parse_first(text, if is_threads { 2 } else { usize::MAX })?;
            match line.word {
                b"rc" => served.reply_cache = line.exactly()?,
                b"fh" => served.file_handles = line.exactly()?,
                b"io" => served.disk = line.exactly()?,
                b"th" => served.threads = line.exactly()?,
                b"ra" => served.read_ahead = line.exactly()?,
                b"net" => served.net = line.exactly()?,
                b"rpc" => served.rpc = line.exactly()?,
                b"proc2" => served.v2 = line.counted()?,
                b"proc3" => served.v3 = line.counted()?,
                b"proc4" => {
                    let [count, _, _] = line.exactly()?;
                    if count != 2 {
                        return Err(text.malformed());
                    }
                }
                // The last came with Linux 2.6.
                b"proc4ops" => {
                    line.counted::<{ V4_COUNT - 1 }>()?;
                    served.v4 = line.counted_as_far_as_known()?;
                }
                b"wdeleg_getattr" => served.wdeleg_getattr = line.first(),
                _ => return Err(text.malformed()),
            }
        }
        Ok(served)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let ones = |count: usize| " 1".repeat(count);
        for (line, is_good) in [
            ("rc 1 2 3".to_owned(), true),
            ("rc 1 2".to_owned(), false),
            ("fh 1 2 3 4 5".to_owned(), true),
            ("fh 1 2 3 4".to_owned(), false),
            ("io 1 2".to_owned(), true),
            ("io 1 2 3".to_owned(), false),
            ("th 8 0".to_owned(), true),
            ("th 8 0 0.5 x".to_owned(), true),
            ("th 8".to_owned(), false),
            ("th 8 0.5".to_owned(), false),
            (format!("ra{}", ones(12)), true),
            (format!("ra{}", ones(11)), false),
            ("net 1 2 3 4".to_owned(), true),
            ("rpc 1 2 3 4 5".to_owned(), true),
            ("rpc 1 2 3".to_owned(), false),
            (format!("proc2 18{}", ones(18)), true),
            (format!("proc3 23{}", ones(23)), true),
            (format!("proc3 22{}", ones(23)), false),
            ("proc4 2 0 9".to_owned(), true),
            ("proc4 3 0 9".to_owned(), false),
            ("proc4 2 0 9 1".to_owned(), false),
            (format!("proc4ops 39{}", ones(39)), true),
            (format!("proc4ops 40{}", ones(40)), true),
            (format!("proc4ops 76{}", ones(76)), true),
            (format!("proc4ops 38{}", ones(38)), false),
            (format!("proc4ops 39{}", ones(40)), false),
            ("wdeleg_getattr 3 x".to_owned(), false),
            ("wdeleg_getattr 3 4".to_owned(), true),
            ("wdeleg_getattr".to_owned(), false),
            ("new 1".to_owned(), false),
            (String::new(), false),
        ] {
            let text = format!("{line}\n");
            let parsed = Served::parse(Text::new("net/rpc/nfsd", text.as_bytes()));
            assert_eq!(parsed.is_ok(), is_good, "{line}");
        }
    }

    #[test]
    fn each_count_has_a_name() {
        assert_eq!(V4.split_whitespace().count(), V4_COUNT);
    }
}
