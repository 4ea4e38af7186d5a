//! Fibre Channel ports of this host, from `/sys/class/fc_host`.

use crate::collector::prelude::*;

pub static SPEC: Spec = Spec::new("fibrechannel", On, "/sys/class/fc_host", &[], |setup| {
    setup.need_sys()?;
    Ok(Box::new(FibreChannel::default()))
});

static INFO: Desc = gauge(
    "node_fibrechannel_info",
    "What the driver says of the port in words; always 1.",
    &[
        "dev_loss_tmo", "fabric_name", "fc_host", "port_id", "port_name", "port_state",
        "port_type", "speed", "supported_classes", "supported_speeds", "symbolic_name",
    ],
);

/// Files that become labels of [`INFO`], in the order of the labels, and one that nobody tells,
/// yet must be readable.
const TEXTS: [&str; 11] = [
    "dev_loss_tmo", "fabric_name", "port_id", "port_name", "port_state", "port_type", "speed",
    "supported_classes", "supported_speeds", "symbolic_name", "node_name",
];

const PORT_STATE: usize = 4;

const fn count(file: &'static str, name: &'static str, help: &'static str) -> Told {
    told(file, counter(name, help, &["fc_host"]))
}

/// What files of a port's `statistics` are told as.
#[rustfmt::skip]
static COUNTS: [Told; 14] = [
    count("dumped_frames", "node_fibrechannel_dumped_frames_total", "Frames that were dropped because the host had no memory for them."),
    count("error_frames", "node_fibrechannel_error_frames_total", "Frames with an error."),
    count("fcp_packet_aborts", "node_fibrechannel_fcp_packet_aborts_total", "SCSI commands that were aborted."),
    count("invalid_crc_count", "node_fibrechannel_invalid_crc_total", "Frames whose checksum was wrong."),
    count("invalid_tx_word_count", "node_fibrechannel_invalid_tx_words_total", "Transmission words that were invalid."),
    count("link_failure_count", "node_fibrechannel_link_failure_total", "Times that the link failed."),
    count("loss_of_signal_count", "node_fibrechannel_loss_of_signal_total", "Times that the signal was lost."),
    count("loss_of_sync_count", "node_fibrechannel_loss_of_sync_total", "Times that synchronisation was lost."),
    count("nos_count", "node_fibrechannel_nos_total", "Not-operational sequences received."),
    count("rx_frames", "node_fibrechannel_rx_frames_total", "Frames received."),
    count("rx_words", "node_fibrechannel_rx_words_total", "Words received."),
    count("seconds_since_last_reset", "node_fibrechannel_seconds_since_last_reset_total", "Time since the counters were reset, in seconds."),
    count("tx_frames", "node_fibrechannel_tx_frames_total", "Frames sent."),
    count("tx_words", "node_fibrechannel_tx_words_total", "Words sent."),
];

/// What a driver says of a counter that it does not keep.
const NOT_KEPT: u64 = u64::MAX;

const DIRECTORY: &str = "class/fc_host";

#[derive(Default)]
struct FibreChannel {
    hosts: Listing,
    files: Listing,
    directory: String,
    texts: Texts<{ TEXTS.len() }>,
}

impl Collector for FibreChannel {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        let Self { hosts, files, directory, texts } = self;
        cx.sys.list(DIRECTORY, hosts).absent_is_no_data()?;
        out.all_or_nothing(|out| {
            for host in hosts.names() {
                join(directory, &[DIRECTORY, "/", host]);
                texts.read(directory, &TEXTS, &[Errno::NOENT], cx)?;
                let mut counts = read_counts(directory, files, cx)?;
                let [timeout, fabric, id, name, state, kind, speed, classes, speeds, symbolic, _] =
                    texts.all();
                let [fabric, id, name] = [fabric, id, name].map(without_prefix);
                let labels: &[&dyn LabelValue] = &[
                    &timeout, &fabric, &host, &id, &name, &state, &kind, &speed, &classes, &speeds,
                    &symbolic,
                ];
                out.push(&INFO, labels, 1.0);
                // A port that is switched off counts nothing, whatever its driver says.
                if texts.get(PORT_STATE).is_none_or(|state| state == b"Unknown") {
                    counts = [Some(0); COUNTS.len()];
                }
                for (told, count) in COUNTS.iter().zip(counts) {
                    if let Some(count) = count.filter(|count| *count != NOT_KEPT) {
                        told.push(&[&host], count as f64, out);
                    }
                }
            }
            Ok(())
        })
    }
}

fn read_counts(
    host: &str,
    files: &mut Listing,
    cx: &mut Cx<'_>,
) -> Result<[Option<u64>; COUNTS.len()]> {
    const UNTOLD: [Errno; 2] = [Errno::NOENT, Errno::OPNOTSUPP];

    let mut counts = [None; COUNTS.len()];
    join(cx.path, &[host, "/statistics"]);
    match cx.sys.try_list(cx.path, files) {
        Ok(()) => {}
        Err(Errno::NOENT) => return Ok(counts),
        Err(errno) => return Err(Error::io(cx.path, errno)),
    }
    for file in files.iter().filter(|file| file.is_regular()) {
        let Some(at) = COUNTS.iter().position(|told| told.name == file.name) else { continue };
        let text = cx.attribute_unless(&UNTOLD, &[host, "/statistics/", file.name])?;
        counts[at] = text.map(Text::parse::<AnyBase<u64>>).transpose()?.map(|AnyBase(count)| count);
    }
    Ok(counts)
}

/// `0x1000e0071bce95f2` without the `0x`, or whatever stands there.
fn without_prefix(id: &[u8]) -> &[u8] {
    if id.len() > 2 { &id[2..] } else { id }
}
