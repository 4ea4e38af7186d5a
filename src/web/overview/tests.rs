//! Pages drawn of expositions.

use std::time::Duration;

use super::*;
use crate::collector::Error;
use crate::gather::Verdict;

const NOW: f64 = 1.8e9;

/// Hands `look` the page of these samples.
fn page<T>(text: &str, answers: &[Arc<gather::Answer>], look: impl FnOnce(&Page<'_>) -> T) -> T {
    let samples = figures::tests::samples(text);
    let sources = [&samples];
    let mut merge = Merge::default();
    merge.build(&sources);
    let facts = Facts {
        host: "web1 <b>".to_owned(),
        system: "Debian GNU/Linux 12".to_owned(),
        kernel: "Linux 6.1 x86_64".to_owned(),
        processor: String::new(),
        machine: String::new(),
    };
    let figures = Figures::new(&merge, &sources);
    look(&Page { figures, facts, answers, now: NOW, telemetry_path: "/metrics" })
}

fn drawn(text: &str, answers: &[Arc<gather::Answer>]) -> String {
    page(text, answers, |page| {
        let drawn = page.draw();
        assert!(drawn.starts_with("<!DOCTYPE html>\n") && drawn.ends_with("</html>\n"), "{drawn}");
        drawn
    })
}

fn answer(
    name: &'static str,
    verdict: Verdict,
    error: Option<&'static str>,
) -> Arc<gather::Answer> {
    let duration = Duration::from_micros(1500);
    let (samples, error) = (Samples::default(), error.map(Error::failed));
    Arc::new(gather::Answer { name, samples, verdict, duration, error })
}

fn findings(text: &str) -> Vec<(Grade, String)> {
    page(text, &[], |page| {
        let found = findings::find(page).into_iter();
        found.map(|finding| (finding.grade, finding.text.replace('\u{a0}', " "))).collect()
    })
}

#[test]
fn what_stands_out() {
    use Grade::{Bad, Notable};
    let space = |used: f64, kind: &str, read_only: u8| {
        let labels = format!("{{device=\"/dev/a\",fstype=\"{kind}\",mountpoint=\"/srv\"}}");
        format!(
            "node_filesystem_size_bytes{labels} 1e12\nnode_filesystem_free_bytes{labels} {free}\n\
             node_filesystem_avail_bytes{labels} {free}\nnode_filesystem_readonly{labels} {read_only}\n",
            free = 1e12 * (1.0 - used)
        )
    };
    let load = "node_load15 4.5\nnode_cpu_seconds_total{cpu=\"0\",mode=\"idle\"} 1\n";
    for (text, expected) in [
        ("node_load15 99\n", &[][..]),
        (&space(0.5, "ext4", 0), &[]),
        (&space(0.95, "ext4", 0), &[(Bad, "/srv is 95 % full, 46.6 GiB left")]),
        (
            &space(0.85, "xfs", 1),
            &[(Notable, "/srv is 85 % full, 140 GiB left"), (Notable, "/srv is mounted read-only")],
        ),
        (&space(1.0, "squashfs", 1), &[]),
        (load, &[(Bad, "Load 4.5 over 15 minutes, on 1 CPU")]),
        (
            "node_memory_MemTotal_bytes 100\nnode_memory_MemAvailable_bytes 7\n\
             node_memory_SwapTotal_bytes 100\nnode_memory_SwapFree_bytes 5\n",
            &[(Bad, "95 % of the swap is in use"), (Notable, "93 % of the memory is in use")],
        ),
        (
            "node_memory_MemTotal_bytes 100\nnode_memory_MemFree_bytes 2\n\
             node_memory_Buffers_bytes 1\nnode_memory_Cached_bytes 1\n",
            &[(Bad, "96 % of the memory is in use")],
        ),
        ("node_memory_SwapTotal_bytes 0\nnode_memory_SwapFree_bytes 0\n", &[]),
        (
            "node_systemd_unit_state{name=\"a.service\",state=\"failed\"} 1\n\
             node_systemd_unit_state{name=\"b.service\",state=\"failed\"} 0\n",
            &[(Bad, "Unit a.service has failed")],
        ),
        (
            "node_textfile_mtime_seconds{file=\"/t/a.prom\"} 1799827200\nhostwarden_textfile_error{file=\"/t/b\",line=\"2\",reason=\"odd\"} 1\n",
            &[(Bad, "/t/b, line 2: odd"), (Notable, "/t/a.prom was last written 2 days ago")],
        ),
        (
            "hostwarden_certificate_expiry_timestamp_seconds 1800864000\n",
            &[(Notable, "The certificate expires in 10 days")],
        ),
        (
            "hostwarden_certificate_expiry_timestamp_seconds 1799999999\n\
             hostwarden_config_last_reload_successful 0\n",
            &[
                (Bad, "The certificate has expired"),
                (Bad, "The configuration could not be read again; the last good one holds"),
            ],
        ),
        ("node_timex_sync_status 0\n", &[(Notable, "The clock is not synchronised")]),
        (
            "node_md_disks_required{device=\"md0\"} 2\nnode_md_disks{device=\"md0\",state=\"active\"} 1\n",
            &[(Bad, "RAID md0 lacks 1 of 2 disks")],
        ),
        (
            "smartmon_device_smart_healthy{disk=\"/dev/sda\",type=\"sat\"} 0\n",
            &[(Bad, "Disk /dev/sda says that it is failing")],
        ),
        (
            "node_nf_conntrack_entries 95\nnode_nf_conntrack_entries_limit 100\n",
            &[(Bad, "95 % of the connections that the firewall tracks are in use")],
        ),
        (
            "hostwarden_service_problem{service=\"apache\",reason=\"timeout\"} 1\n\
             hostwarden_service_problem{addr=\"http://a/\",service=\"nginx\",reason=\"404\"} 1\n",
            &[
                (Bad, "Status page of apache: timeout"),
                (Bad, "Status page of nginx at http://a/: 404"),
            ],
        ),
    ] {
        let found = findings(text);
        let found: Vec<(Grade, &str)> =
            found.iter().map(|(grade, text)| (*grade, &**text)).collect();
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn a_device_counts_once_and_by_its_shortest_mount() {
    let size = |device: &str, kind: &str, mount_point: &str| {
        format!(
            "node_filesystem_size_bytes{{device=\"{device}\",fstype=\"{kind}\",mountpoint=\"{mount_point}\"}} 9\n"
        )
    };
    let text = [
        size("/dev/a", "ext4", "/etc/bound/here"),
        size("/dev/a", "ext4", "/var"),
        size("tmpfs", "tmpfs", "/run"),
        size("/dev/b", "xfs", "/srv"),
        size("none", "proc", "/proc").replace("} 9", "} 0"),
    ]
    .concat();
    let storage = page(&text, &[], |page| {
        let all = filesystems::all(&page.figures).into_iter();
        all.map(|system| (system.mount_point.to_owned(), system.is_storage)).collect::<Vec<_>>()
    });
    let storage: Vec<(&str, bool)> = storage.iter().map(|(name, is)| (&**name, *is)).collect();
    assert_eq!(
        storage,
        [("/etc/bound/here", false), ("/run", false), ("/srv", true), ("/var", true)]
    );
}

#[test]
fn each_collector_with_its_verdict_and_cost() {
    let answers = [
        answer("cpu", Verdict::Answered, None),
        answer("nfs", Verdict::Failed, Some("net/rpc/nfs: cannot parse \"<i>\"")),
        answer("hwmon", Verdict::NoData, Some("no such directory")),
    ];
    let text = drawn("", &answers);
    for part in [
        "Collector nfs: failed",
        "<b>nfs</b> failed <span class=\"what\">net/rpc/nfs: cannot parse &quot;&lt;i&gt;&quot;</span>",
        "<li>cpu <span class=\"what\">1.5\u{a0}ms</span>",
        "Without a source on this host: hwmon",
        "<span class=\"dot bad\">",
        "href=\"metrics\">Metrics</a>",
        "<title>Node Exporter</title>",
        env!("CARGO_PKG_VERSION"),
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn what_others_wrote_is_text_and_nothing_else() {
    let hostile = "<script>alert(1)</script>' onload=x \\\"";
    let text = format!(
        "node_textfile_mtime_seconds{{file=\"{hostile}\"}} 1\nnode_boot_time_seconds 1\n\
         node_filesystem_size_bytes{{device=\"{hostile}\",fstype=\"{hostile}\",mountpoint=\"{hostile}\"}} 9\n\
         node_network_receive_bytes_total{{device=\"{hostile}\"}} 1\n\
         node_disk_io_time_seconds_total{{device=\"{hostile}\"}} 1\n\
         node_systemd_unit_state{{name=\"{hostile}\",state=\"failed\"}} 1\n"
    );
    let drawn = self::drawn(&text, &[]);
    assert!(
        drawn.matches("&lt;script&gt;alert(1)&lt;/script&gt;&#39; onload=x &quot;").count() > 5
    );
    assert!(!drawn.contains("<script>") && !drawn.contains("<b></b>"), "{drawn}");
    assert!(drawn.contains("web1 &lt;b&gt;"));
    // The policy would let neither through.
    assert!(!drawn.contains(" style=") && drawn.matches("<script").count() == 1);
}

#[test]
fn a_host_that_tells_nothing_has_a_page() {
    let text = drawn("", &[]);
    assert!(text.contains("Nothing stands out."), "{text}");
}
