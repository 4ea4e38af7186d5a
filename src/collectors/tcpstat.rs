//! TCP sockets by state, and what waits in their queues, from `NETLINK_INET_DIAG`.

use std::time::Instant;

use crate::collector::prelude::*;
use crate::host::netlink::{INET_DIAG, Message, Netlink};

pub static SPEC: Spec = Spec::new("tcpstat", Off, "inet_diag", &[], |_| {
    Ok(Box::new(TcpStat { netlink: Netlink::new(Some(INET_DIAG)) }))
});

static STATES: Desc = gauge(
    "node_tcp_connection_states",
    "TCP sockets in the state; for the two queues, bytes that wait in those of all sockets.",
    &["state"],
);

/// By number, from 1; what a newer kernel may add is told as the last.
const NAMES: [&str; 12] = [
    "established",
    "syn_sent",
    "syn_recv",
    "fin_wait1",
    "fin_wait2",
    "time_wait",
    "close",
    "close_wait",
    "last_ack",
    "listen",
    "closing",
    "unknown",
];

struct TcpStat {
    netlink: Netlink,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Counts {
    states: [u32; NAMES.len()],
    received: u64,
    to_send: u64,
}

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

impl Collector for TcpStat {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        let deadline = cx.give_up_at();
        let mut counts = self.count(AF_INET, Counts::default(), deadline)?;
        if cx.proc.exists("net/tcp6") {
            counts = self.count(AF_INET6, counts, deadline)?;
        }
        let seen = NAMES.iter().zip(counts.states).filter(|(_, count)| *count > 0);
        let mut has_sockets = false;
        for (name, count) in seen {
            out.push(&STATES, &[name], count);
            has_sockets = true;
        }
        if has_sockets {
            out.push(&STATES, &[&"rx_queued_bytes"], counts.received);
            out.push(&STATES, &[&"tx_queued_bytes"], counts.to_send);
        }
        Ok(())
    }
}

impl TcpStat {
    /// `counts` and the sockets of one more address family.
    fn count(&mut self, family: u8, counts: Counts, deadline: Instant) -> Result<Counts> {
        const SOCK_DIAG_BY_FAMILY: u16 = 20;
        const IPPROTO_TCP: u8 = 6;
        const ALL_STATES: u32 = 0xfff;

        // `struct inet_diag_req_v2`: family, protocol, extensions, padding, states, and a socket,
        // which is of no interest in a dump.
        let mut request = [0; 56];
        request[..2].copy_from_slice(&[family, IPPROTO_TCP]);
        request[4..8].copy_from_slice(&ALL_STATES.to_ne_bytes());
        let mut sum = counts;
        self.netlink
            .dump(SOCK_DIAG_BY_FAMILY, &request, deadline, |message| {
                match message {
                    None => sum = counts,
                    Some(message) => sum.add(message).ok_or(Errno::BADMSG)?,
                }
                Ok(())
            })
            .map_err(|errno| Error::io("SOCK_DIAG_BY_FAMILY", errno))?;
        Ok(sum)
    }
}

impl Counts {
    /// `struct inet_diag_msg`: family, state, timer, retransmissions, the socket's addresses in 48
    /// bytes, expiry, and the lengths of its queues.
    fn add(&mut self, message: Message<'_>) -> Option<()> {
        let body = message.body;
        let state = usize::from(body.u8_at(1)?);
        let place = state.wrapping_sub(1).min(NAMES.len() - 1);
        self.states[place] += 1;
        self.received += u64::from(body.u32_at(56)?);
        self.to_send += u64::from(body.u32_at(60)?);
        Some(())
    }
}
