//! Replicated block devices, from `/proc/drbd`.

use crate::collector::prelude::*;

pub static SPEC: Spec =
    Spec::new("drbd", Off, "/proc/drbd", &[], |_| Ok(Box::new(Drbd { device: String::new() })));

/// DRBD counts in these.
const KIBIBYTE: f64 = 1024.0;

/// Keys of numbers, the unit that they count in, and what they are told as.
static NUMBERS: [(&[u8], f64, Desc); 12] = [
    (
        b"ns",
        KIBIBYTE,
        counter("node_drbd_network_sent_bytes_total", "Bytes sent to the peer.", &["device"]),
    ),
    (
        b"nr",
        1.0,
        counter(
            "node_drbd_network_received_bytes_total",
            "Received from the peer, in units of 1024 bytes in spite of the name.",
            &["device"],
        ),
    ),
    (
        b"dw",
        KIBIBYTE,
        counter("node_drbd_disk_written_bytes_total", "Bytes written to the local disk.", &["device"]),
    ),
    (
        b"dr",
        KIBIBYTE,
        counter("node_drbd_disk_read_bytes_total", "Bytes read from the local disk.", &["device"]),
    ),
    (
        b"al",
        1.0,
        counter("node_drbd_activitylog_writes_total", "Updates of the activity log.", &["device"]),
    ),
    (b"bm", 1.0, counter("node_drbd_bitmap_writes_total", "Updates of the bitmap.", &["device"])),
    (
        b"lo",
        1.0,
        gauge("node_drbd_local_pending", "Requests that the local disk has open.", &["device"]),
    ),
    (
        b"pe",
        1.0,
        gauge("node_drbd_remote_pending", "Requests that the peer has not answered.", &["device"]),
    ),
    (
        b"ua",
        1.0,
        gauge(
            "node_drbd_remote_unacknowledged",
            "Requests of the peer that have not been answered.",
            &["device"],
        ),
    ),
    (
        b"ap",
        1.0,
        gauge(
            "node_drbd_application_pending",
            "Requests of the host that have not been answered.",
            &["device"],
        ),
    ),
    (b"ep", 1.0, gauge("node_drbd_epochs", "Epochs under way.", &["device"])),
    (
        b"oos",
        KIBIBYTE,
        gauge("node_drbd_out_of_sync_bytes", "Bytes that are out of sync.", &["device"]),
    ),
];

/// Keys of states of both nodes, the good one, and what they are told as.
static STATES: [(&[u8], &[u8], Desc); 2] = [
    (
        b"ro",
        b"Primary",
        gauge("node_drbd_node_role_is_primary", "1 if the node is primary.", &["device", "node"]),
    ),
    (
        b"ds",
        b"UpToDate",
        gauge(
            "node_drbd_disk_state_is_up_to_date",
            "1 if the node's disk is up to date.",
            &["device", "node"],
        ),
    ),
];

static CONNECTED: Desc =
    gauge("node_drbd_connected", "1 if the node is connected to its peer.", &["device"]);

struct Drbd {
    /// Whose numbers are being read.
    device: String,
}

impl Collector for Drbd {
    // version: 8.4.11 (api:1/proto:86-101)
    //  0: cs:Connected ro:Primary/Secondary ds:UpToDate/UpToDate C r-----
    //     ns:1204 nr:0 dw:1204 dr:9002 al:12 bm:0 lo:0 pe:0 ua:0 ap:0 ep:1 wo:f oos:0
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        self.device.clear();
        self.device.push_str("unknown");
        for word in cx.proc.read("drbd", cx.text).absent_is_no_data()?.fields() {
            let Some((key, value)) = word.split_once(b':') else { continue };
            if !value.bytes.contains(&b':') {
                self.push(key, value, out)?;
            }
        }
        Ok(())
    }
}

impl Drbd {
    fn push(&mut self, key: Text<'_>, value: Text<'_>, out: &mut Samples) -> Result<()> {
        if value.bytes.is_empty()
            && let Ok(number) = key.parse::<u64>()
        {
            self.device.clear();
            self.device.push_str("drbd");
            self.device.push_str(itoa::Buffer::new().format(number));
            return Ok(());
        }
        let device = &self.device;
        if let Some((_, unit, desc)) = NUMBERS.iter().find(|(name, ..)| *name == key.bytes) {
            out.push(desc, &[device], value.parse::<f64>()? * unit);
        } else if let Some((_, good, desc)) = STATES.iter().find(|(name, ..)| *name == key.bytes) {
            let mut states = value.bytes.split(|&byte| byte == b'/');
            let (local, remote) = (states.next(), states.next().ok_or_else(|| value.malformed())?);
            out.push(desc, &[device, &"local"], local == Some(*good));
            out.push(desc, &[device, &"remote"], remote == *good);
        } else if key.bytes == b"cs" {
            out.push(&CONNECTED, &[device], value.bytes == b"Connected");
        }
        Ok(())
    }
}
