//! The four lines of stub_status.
//!
//! ```text
//! Active connections: 2
//! server accepts handled requests
//!  16 16 31
//! Reading: 0 Writing: 1 Waiting: 1
//! ```

use crate::collector::prelude::*;
use crate::exposition::Value;
use crate::services::Series;
use crate::services::problem::Problem;

static DESCS: [Desc; 7] = [
    gauge("nginx_connections_active", "Open connections, waiting ones included.", &[]),
    counter("nginx_connections_accepted", "Connections accepted since the start.", &[]),
    counter("nginx_connections_handled", "Accepted connections that no limit made drop.", &[]),
    counter("nginx_http_requests_total", "Requests served since the start.", &[]),
    gauge("nginx_connections_reading", "Connections on which a request's head is read.", &[]),
    gauge("nginx_connections_writing", "Connections on which an answer is made or sent.", &[]),
    gauge("nginx_connections_waiting", "Connections that are idle between requests.", &[]),
];

pub(super) fn tell(page: Text<'_>, series: &mut Series<'_>) -> Result<(), Problem> {
    let values = read(page).ok_or(Problem::NoStatusPage)?;
    for (desc, value) in DESCS.iter().zip(values) {
        series.push(desc, &[], value.to_f64());
    }
    Ok(())
}

/// The numbers in the page's order. Each must be there: half a page is none.
fn read(page: Text<'_>) -> Option<[i64; 7]> {
    let mut lines = page.lines();
    let active = lines.next()?.strip_prefix(b"Active connections:")?.trim().parse().ok()?;
    // Tengine has one column more.
    lines.next()?.strip_prefix(b"server accepts handled requests")?;
    let mut totals = lines.next()?.fields();
    let mut total = || totals.parse().ok();
    let [accepted, handled, requests] = [total()?, total()?, total()?];
    let mut states = lines.next()?.fields();
    let mut state = |name: &[u8]| {
        states.next().filter(|word| word.bytes == name)?;
        states.parse().ok()
    };
    let [reading, writing, waiting] =
        [state(b"Reading:")?, state(b"Writing:")?, state(b"Waiting:")?];
    Some([active, accepted, handled, requests, reading, writing, waiting])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(page: &str) -> Option<[i64; 7]> {
        read(Text::new("stub_status", page.as_bytes()))
    }

    #[test]
    fn pages() {
        let page = "Active connections: 1457 \nserver accepts handled requests\n \
                    6717066 6717065 65844359 \nReading: 1 Writing: 8 Waiting: 1448 \n";
        let all = Some([1457, 6_717_066, 6_717_065, 65_844_359, 1, 8, 1448]);
        assert_eq!(numbers(page), all);
        assert_eq!(numbers(page.trim_end()), all);
        assert_eq!(numbers(&page.replace(" \n", "\n")), all);
        assert_eq!(numbers(&page.replace('\n', "\r\n")), all);
        assert_eq!(numbers(&format!("{page}more\n")), all);
        let tengine = page.replace("requests", "requests request_time");
        assert_eq!(numbers(&tengine.replace("65844359", "65844359 1000")), all);
        assert_eq!(numbers(&page.replace("Waiting: 1448", "Waiting: -1")).unwrap()[6], -1);
        for (good, bad) in [
            ("1457", "18446744073709551615"),
            ("1457", "1.5"),
            ("1457", ""),
            ("Active", "active"),
            ("handled", "dropped"),
            ("65844359", ""),
            ("Writing: 8", "8"),
            ("Waiting: 1448", "Waiting:"),
        ] {
            assert_eq!(numbers(&page.replace(good, bad)), None, "{bad:?} for {good:?}");
        }
        for page in ["", "\n\n\n\n", "<html>", "Active connections: 1\n"] {
            assert_eq!(numbers(page), None, "{page:?}");
        }
    }
}
