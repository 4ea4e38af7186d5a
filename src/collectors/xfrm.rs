//! Packets that IPsec dropped, by reason, from `/proc/net/xfrm_stat`.

use crate::collector::prelude::*;

pub static SPEC: Spec = Spec::new("xfrm", Off, "/proc/net/xfrm_stat", &[], |setup| {
    setup.need_proc()?;
    Ok(Box::new(collect))
});

macro_rules! table {
    ($($kernel:literal $name:literal $help:literal)*) => {
        [$((
            $kernel,
            counter(concat!("node_xfrm_", $name, "_packets_total"), $help, &[]),
        )),*]
    };
}

static TABLE: [(&str, Desc); 28] = table! {
    "XfrmInError" "in_error" "Received packets dropped for a reason that has no counter."
    "XfrmInBufferError" "in_buffer_error" "Received packets dropped for want of memory."
    "XfrmInHdrError" "in_hdr_error" "Received packets with a bad header."
    "XfrmInNoStates" "in_no_states" "Received packets of which no state knows address, SPI or protocol."
    "XfrmInStateProtoError" "in_state_proto_error" "Received packets that the transformation refused, as with a wrong key."
    "XfrmInStateModeError" "in_state_mode_error" "Received packets that the state's mode refused."
    "XfrmInStateSeqError" "in_state_seq_error" "Received packets with a sequence number out of the window."
    "XfrmInStateExpired" "in_state_expired" "Received packets whose state had expired."
    "XfrmInStateMismatch" "in_state_mismatch" "Received packets whose state has another option, as another encapsulation."
    "XfrmInStateInvalid" "in_state_invalid" "Received packets whose state was not valid."
    "XfrmInTmplMismatch" "in_tmpl_mismatch" "Received packets whose states fit no template of the policy."
    "XfrmInNoPols" "in_no_pols" "Received packets for whose states there is no policy."
    "XfrmInPolBlock" "in_pol_block" "Received packets that a policy discards."
    "XfrmInPolError" "in_pol_error" "Received packets on whose policy there was an error."
    "XfrmOutError" "out_error" "Packets not sent for a reason that has no counter."
    "XfrmOutBundleGenError" "out_bundle_gen_error" "Packets not sent because no bundle could be made."
    "XfrmOutBundleCheckError" "out_bundle_check_error" "Packets not sent because their bundle did not hold."
    "XfrmOutNoStates" "out_no_states" "Packets not sent because there was no state."
    "XfrmOutStateProtoError" "out_state_proto_error" "Packets not sent because the transformation refused them."
    "XfrmOutStateModeError" "out_state_mode_error" "Packets not sent because the state's mode refused them."
    "XfrmOutStateSeqError" "out_state_seq_error" "Packets not sent because the sequence numbers ran out."
    "XfrmOutStateExpired" "out_state_expired" "Packets not sent because the state had expired."
    "XfrmOutPolBlock" "out_pol_block" "Packets not sent because a policy discards them."
    "XfrmOutPolDead" "out_pol_dead" "Packets not sent because the policy was dead."
    "XfrmOutPolError" "out_pol_error" "Packets not sent because of an error on the policy."
    "XfrmFwdHdrError" "fwd_hdr_error" "Packets not forwarded because forwarding them is not allowed."
    "XfrmOutStateInvalid" "out_state_invalid" "Packets not sent because the state was not valid."
    "XfrmAcquireError" "acquire_error" "Packets dropped because their state was not acquired in full."
};

fn collect(cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
    let values = values(cx.proc.read("net/xfrm_stat", cx.text)?)?;
    for ((_, desc), value) in TABLE.iter().zip(values) {
        out.push(desc, &[], value);
    }
    Ok(())
}

/// `XfrmInNoStates 12`; what the kernel does not tell is 0.
fn values(text: Text<'_>) -> Result<[i64; TABLE.len()]> {
    let mut values = [0; TABLE.len()];
    for line in text.scan() {
        let line = line?;
        let mut fields = line.fields();
        let (Some(name), Some(value), None) = (fields.next(), fields.next(), fields.next()) else {
            return Err(line.malformed());
        };
        let value = value.parse()?;
        if let Some(at) = TABLE.iter().position(|(kernel, _)| kernel.as_bytes() == name.bytes) {
            values[at] = value;
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        for (text, expected) in [
            ("", Some((0, 0))),
            ("XfrmInError 3\nXfrmAcquireError \t 4\n", Some((3, 4))),
            ("XfrmInError 3\nXfrmInError -4\nXfrmNew 5", Some((-4, 0))),
            ("XfrmInError 3\n\n", None),
            ("XfrmInError\n", None),
            ("XfrmInError 3 4\n", None),
            ("XfrmNew x\n", None),
            ("XfrmInError 0x3\n", None),
        ] {
            let values = values(Text::new("net/xfrm_stat", text.as_bytes())).ok();
            assert_eq!(values.map(|values| (values[0], values[27])), expected, "{text}");
        }
    }
}
