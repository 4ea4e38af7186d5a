//! What the files of a port's counters are told as.

use crate::collector::prelude::*;

const fn count(file: &'static str, name: &'static str, help: &'static str) -> Told {
    told(file, counter(name, help, super::LABELS))
}

/// The directory `counters`.
#[rustfmt::skip]
pub(super) static COUNTERS: [Told; 22] = [
    count("VL15_dropped", "node_infiniband_vl15_dropped_total", "Management packets dropped because the port was out of buffers."),
    count("excessive_buffer_overrun_errors", "node_infiniband_excessive_buffer_overrun_errors_total", "Times that buffers overran for longer than the threshold."),
    count("link_downed", "node_infiniband_link_downed_total", "Times that the link could not recover and went down."),
    count("link_error_recovery", "node_infiniband_link_error_recovery_total", "Times that the link recovered from an error."),
    count("local_link_integrity_errors", "node_infiniband_local_link_integrity_errors_total", "Times that local physical errors exceeded the threshold."),
    count("multicast_rcv_packets", "node_infiniband_multicast_packets_received_total", "Multicast packets received, bad ones included."),
    count("multicast_xmit_packets", "node_infiniband_multicast_packets_transmitted_total", "Multicast packets sent, bad ones included."),
    count("port_rcv_constraint_errors", "node_infiniband_port_constraint_errors_received_total", "Packets received and discarded for a partition or a version check."),
    count("port_rcv_data", "node_infiniband_port_data_received_bytes_total", "Data received on all lanes, in bytes."),
    count("port_rcv_discards", "node_infiniband_port_discards_received_total", "Packets received and discarded as the port was down or congested."),
    count("port_rcv_errors", "node_infiniband_port_errors_received_total", "Packets received with an error."),
    count("port_rcv_packets", "node_infiniband_port_packets_received_total", "Packets received, bad ones included."),
    count("port_rcv_remote_physical_errors", "node_infiniband_port_receive_remote_physical_errors_total", "Packets received that a switch had marked as bad."),
    count("port_rcv_switch_relay_errors", "node_infiniband_port_receive_switch_relay_errors_total", "Packets that the switch could not forward."),
    count("port_xmit_constraint_errors", "node_infiniband_port_constraint_errors_transmitted_total", "Packets not sent for a partition or a version check."),
    count("port_xmit_data", "node_infiniband_port_data_transmitted_bytes_total", "Data sent on all lanes, in bytes."),
    count("port_xmit_discards", "node_infiniband_port_discards_transmitted_total", "Packets not sent as the port was down or congested."),
    count("port_xmit_packets", "node_infiniband_port_packets_transmitted_total", "Packets sent, bad ones included."),
    count("port_xmit_wait", "node_infiniband_port_transmit_wait_total", "Ticks for which there was data to send and none could be sent."),
    count("symbol_error", "node_infiniband_symbol_error_total", "Minor errors found on the lanes of the link."),
    count("unicast_rcv_packets", "node_infiniband_unicast_packets_received_total", "Unicast packets received, bad ones included."),
    count("unicast_xmit_packets", "node_infiniband_unicast_packets_transmitted_total", "Unicast packets sent, bad ones included."),
];

/// The directory `counters_ext`.
#[rustfmt::skip]
pub(super) static COUNTERS_EXT: [Told; 8] = [
    count("port_multicast_rcv_packets", "node_infiniband_legacy_multicast_packets_received_total", "Multicast packets received, as kernels before 4.5 count."),
    count("port_multicast_xmit_packets", "node_infiniband_legacy_multicast_packets_transmitted_total", "Multicast packets sent, as kernels before 4.5 count."),
    count("port_rcv_data_64", "node_infiniband_legacy_data_received_bytes_total", "Data received on all lanes in bytes, as kernels before 4.5 count."),
    count("port_rcv_packets_64", "node_infiniband_legacy_packets_received_total", "Packets received, as kernels before 4.5 count."),
    count("port_unicast_rcv_packets", "node_infiniband_legacy_unicast_packets_received_total", "Unicast packets received, as kernels before 4.5 count."),
    count("port_unicast_xmit_packets", "node_infiniband_legacy_unicast_packets_transmitted_total", "Unicast packets sent, as kernels before 4.5 count."),
    count("port_xmit_data_64", "node_infiniband_legacy_data_transmitted_bytes_total", "Data sent on all lanes in bytes, as kernels before 4.5 count."),
    count("port_xmit_packets_64", "node_infiniband_legacy_packets_transmitted_total", "Packets sent, as kernels before 4.5 count."),
];

/// The directory `hw_counters`.
#[rustfmt::skip]
pub(super) static HW_COUNTERS: [Told; 30] = [
    count("duplicate_request", "node_infiniband_duplicate_requests_packets_total", "Packets of requests that had been served before."),
    count("implied_nak_seq_err", "node_infiniband_implied_nak_seq_errors_total", "Acknowledgements of a later packet than the one awaited."),
    count("local_ack_timeout_err", "node_infiniband_local_ack_timeout_errors_total", "Times that an acknowledgement did not come in time."),
    count("np_cnp_sent", "node_infiniband_np_cnp_packets_sent_total", "Congestion notifications sent."),
    count("np_ecn_marked_roce_packets", "node_infiniband_np_ecn_marked_roce_packets_received_total", "RoCE packets received that were marked for congestion."),
    count("out_of_buffer", "node_infiniband_out_of_buffer_drops_total", "Packets dropped because the receive queue was out of buffers."),
    count("out_of_sequence", "node_infiniband_out_of_sequence_packets_received_total", "Packets received out of sequence."),
    count("packet_seq_err", "node_infiniband_packet_sequence_errors_total", "Refusals received because of a wrong sequence."),
    count("req_cqe_error", "node_infiniband_req_cqes_errors_total", "Requests that were completed with an error."),
    count("req_cqe_flush_error", "node_infiniband_req_cqes_flush_errors_total", "Requests that were completed with a flush error."),
    count("req_remote_access_errors", "node_infiniband_req_remote_access_errors_total", "Requests that the other side refused access."),
    count("req_remote_invalid_request", "node_infiniband_req_remote_invalid_request_errors_total", "Requests that the other side found invalid."),
    count("resp_cqe_error", "node_infiniband_resp_cqes_errors_total", "Responses that were completed with an error."),
    count("resp_cqe_flush_error", "node_infiniband_resp_cqes_flush_errors_total", "Responses that were completed with a flush error."),
    count("resp_local_length_error", "node_infiniband_resp_local_length_errors_total", "Responses of a wrong length."),
    count("resp_remote_access_errors", "node_infiniband_resp_remote_access_errors_total", "Responses to requests that were refused access."),
    count("rnr_nak_retry_err", "node_infiniband_rnr_nak_retry_packets_received_total", "Refusals received because the receiver was not ready."),
    count("roce_adp_retrans", "node_infiniband_roce_adp_retransmits_total", "Adaptive retransmissions of RoCE."),
    count("roce_adp_retrans_to", "node_infiniband_roce_adp_retransmits_timeout_total", "Adaptive retransmissions of RoCE that came to a timeout."),
    count("roce_slow_restart", "node_infiniband_roce_slow_restart_used_total", "Times that RoCE started slowly again."),
    count("roce_slow_restart_cnps", "node_infiniband_roce_slow_restart_cnps_total", "Congestion notifications made by slow restarts of RoCE."),
    count("roce_slow_restart_trans", "node_infiniband_roce_slow_restart_total", "Times that RoCE went into the state of a slow restart."),
    count("rp_cnp_handled", "node_infiniband_rp_cnp_packets_handled_total", "Congestion notifications received and obeyed."),
    count("rp_cnp_ignored", "node_infiniband_rp_cnp_ignored_packets_received_total", "Congestion notifications received and ignored."),
    count("rx_atomic_requests", "node_infiniband_rx_atomic_requests_total", "Atomic requests received."),
    count("rx_dct_connect", "node_infiniband_rx_dct_connect_requests_total", "Connection requests received."),
    count("rx_icrc_encapsulated", "node_infiniband_rx_icrc_encapsulated_errors_total", "RoCE packets received with a wrong checksum."),
    count("rx_read_requests", "node_infiniband_rx_read_requests_total", "Read requests received."),
    count("rx_write_requests", "node_infiniband_rx_write_requests_total", "Write requests received."),
    told(LIFESPAN, gauge("node_infiniband_lifespan_seconds", "How long counters that were read may be told again, in whole seconds.", super::LABELS)),
];

/// Milliseconds, told as whole seconds.
pub(super) const LIFESPAN: &str = "lifespan";

/// Counts of words of four bytes.
pub(super) const IN_WORDS: [&str; 4] =
    ["port_rcv_data", "port_xmit_data", "port_rcv_data_64", "port_xmit_data_64"];
