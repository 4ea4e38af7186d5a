use super::*;
use std::fmt::Write as _;

/// What Go's parser accepts, with the same said plainly; empty if nothing is said.
#[rustfmt::skip]
const ACCEPTED: &[(&str, &str)] = &[
    // Blanks and comments
    ("", ""),
    ("\n \t\n\n", ""),
    ("up 1\n  \t", "# TYPE up untyped\nup 1\n"),
    (" \tup\t 1\n", "# TYPE up untyped\nup 1\n"),
    ("#\n# \n# HELP\n#HELP \n# TYPE up\n# TYPE up \n# no comment \\x on \"it\n#up 1\n# help up x y\n# HELP\r\n", ""),
    ("# HELP \"of.nothing\"\n# TYPE \"a\\\\\\n\\\"\"\n", ""),

    // HELP
    ("# HELP up Is it?\n", ""),
    ("#\tHELP  up \t Is it?  \nup 1\n", "# HELP up Is it?  \n# TYPE up untyped\nup 1\n"),
    ("up 1\n# HELP up Is it?\n", "# HELP up Is it?\n# TYPE up untyped\nup 1\n"),
    ("# HELP up a\\\\b\\nc\\\"d\"e\r\nup 1\n", "# HELP up a\\\\b\\nc\"d\"e\r\n# TYPE up untyped\nup 1\n"),
    ("# HELP \"up\" Is it?\nup 1\n", "# HELP up Is it?\n# TYPE up untyped\nup 1\n"),
    ("# HELP up\n# HELP up \n# HELP up Is it?\nup 1\n", "# HELP up Is it?\n# TYPE up untyped\nup 1\n"),

    // TYPE
    ("# TYPE up gauge\n", ""),
    ("# TYPE up\tgauge\nup 1\n", "# TYPE up gauge\nup 1\n"),
    ("# TYPE up cOuNtEr\nup 1\n", "# TYPE up counter\nup 1\n"),
    ("# TYPE up untyped\nup 1\n", "# TYPE up untyped\nup 1\n"),
    ("# TYPE up ga\\uge\nup 1\n", "# TYPE up gauge\nup 1\n"),
    ("# TYPE up \n# TYPE up gauge\nup 1\n", "# TYPE up gauge\nup 1\n"),

    // Families
    ("b 1\na 2\nb 3\n", "# TYPE b untyped\nb 1\nb 3\n# TYPE a untyped\na 2\n"),
    ("# HELP b B.\n# TYPE a gauge\na 1\nb 2\n", "# HELP b B.\n# TYPE b untyped\nb 2\n# TYPE a gauge\na 1\n"),
    ("up 1\nup 1\n", "# TYPE up untyped\nup 1\nup 1\n"),

    // Names
    (":a:9_Z 1\n", "# TYPE :a:9_Z untyped\n:a:9_Z 1\n"),
    ("\"up\" 1\n", "# TYPE up untyped\nup 1\n"),
    ("\"up\"1\n", "# TYPE up untyped\nup 1\n"),
    ("u\"p\" 1\n", "# TYPE up untyped\nup 1\n"),
    ("up{u\"p\"=\"1\",\"b\"=\"2\"} 1\n", "# TYPE up untyped\nup{b=\"2\",up=\"1\"} 1\n"),
    ("{up} 1\n{ \"up\" , }2\n", "# TYPE up untyped\nup 1\nup 2\n"),
    ("{up,b=\"1\",a=\"2\"} 1\n{b=\"1\",\"a:b\"} 2\n", "# TYPE up untyped\nup{a=\"2\",b=\"1\"} 1\n# TYPE a:b untyped\na:b{b=\"1\"} 2\n"),
    ("# TYPE t histogram\n{le=\"1\",t_bucket} 3\n", "# TYPE t histogram\nt_bucket{le=\"1\"} 3\nt_sum 0\nt_count 0\n"),

    // Labels
    ("up{} 1\nup { }2\n", "# TYPE up untyped\nup 1\nup 2\n"),
    ("up{ b\t= \"1\" , a=\"2\", }1\n", "# TYPE up untyped\nup{a=\"2\",b=\"1\"} 1\n"),
    ("up{a=\"\",_a9=\"{},=# \t\r\"} 1\n", "# TYPE up untyped\nup{_a9=\"{},=# \t\r\",a=\"\"} 1\n"),
    ("up{a=\"\\\\\\\"\\n\"} 1\n", "# TYPE up untyped\nup{a=\"\\\\\\\"\\n\"} 1\n"),
    ("up{a=\"\\\\\",b=\"ü\"} 1\n", "# TYPE up untyped\nup{a=\"\\\\\",b=\"ü\"} 1\n"),
    ("up{__name=\"a\",le=\"b\",quantile=\"c\"} 1\n", "# TYPE up untyped\nup{__name=\"a\",le=\"b\",quantile=\"c\"} 1\n"),

    // Values
    ("up{a=\"b\"}-1\nup+2\nup.5\nup-.5e-3\n", "# TYPE up untyped\nup{a=\"b\"} -1\nup 2\nup 0.5\nup -0.0005\n"),
    ("up nAn\nup INF\nup -infinity\nup +Inf\n", "# TYPE up untyped\nup NaN\nup inf\nup -inf\nup inf\n"),
    ("up 08\nup 1.\nup 1E2\nup -0\nup 1e-999\n", "# TYPE up untyped\nup 8\nup 1\nup 100\nup -0\nup 0\n"),
    ("up 1.234000e+03\n", "# TYPE up untyped\nup 1234\n"),

    // Timestamps
    ("up 1 \t1700000000000\nup 2\t-5\nup 3 +0005\n", "# TYPE up untyped\nup 1 1700000000000\nup 2 -5\nup 3 5\n"),
    ("up 1 9223372036854775807\nup 1 -9223372036854775808\n", "# TYPE up untyped\nup 1 9223372036854775807\nup 1 -9223372036854775808\n"),

    // Summaries
    (
        "# TYPE t summary\nt_sum 1.5\nt{quantile=\"0.9\"} 2\nt{quantile=\"0.5\"} NaN\nt_count 3.9\n",
        "# TYPE t summary\nt{quantile=\"0.5\"} NaN\nt{quantile=\"0.9\"} 2\nt_sum 1.5\nt_count 3\n",
    ),
    (
        "# TYPE t summary\nt_count 1\nt{quantile=\"0.5\",a=\"b\"} 2\n",
        "# TYPE t summary\nt_sum 0\nt_count 1\nt{a=\"b\",quantile=\"0.5\"} 2\nt_sum{a=\"b\"} 0\nt_count{a=\"b\"} 0\n",
    ),
    (
        "# TYPE t summary\nt_sum{a=\"1\",b=\"2\"} 1\nt_sum{c=\"3\"} 9\nt_count{b=\"2\",a=\"1\"} 2\n",
        "# TYPE t summary\nt_sum{a=\"1\",b=\"2\"} 1\nt_count{a=\"1\",b=\"2\"} 2\nt_sum{c=\"3\"} 9\nt_count{c=\"3\"} 0\n",
    ),
    ("# TYPE t summary\nt 5\n", "# TYPE t summary\nt_sum 0\nt_count 0\n"),
    ("# TYPE t summary\nt{quantile=\"NaN\"} 5\n", "# TYPE t summary\nt_sum 0\nt_count 0\n"),
    (
        "# TYPE t summary\nt{quantile=\"1\"} 5\nt{quantile=\".2\",quantile=\"1.0\"} 6\n",
        "# TYPE t summary\nt{quantile=\"1\"} 6\nt_sum 0\nt_count 0\n",
    ),
    ("# TYPE t summary\nt_count -1\n", "# TYPE t summary\nt_sum 0\nt_count 0\n"),
    ("# TYPE t summary\nt_count 1 3\nt_sum 1 2\nt_sum 1\n", "# TYPE t summary\nt_sum 1\nt_count 1 2\n"),
    (
        "# TYPE t summary\nt_bucket{le=\"1\"} 3\n",
        "# TYPE t_bucket untyped\nt_bucket{le=\"1\"} 3\n",
    ),
    ("# TYPE t summary\n# HELP t_sum About t.\nt_count 1\n", "# HELP t About t.\n# TYPE t summary\nt_sum 0\nt_count 1\n"),
    (
        "t_count 7\n# TYPE t summary\nt_count 8\nt_sum 9\n",
        "# TYPE t_count untyped\nt_count 7\nt_count 8\n# TYPE t summary\nt_sum 9\nt_count 0\n",
    ),
    (
        "# HELP t_sum \n# TYPE t summary\nt_sum 9\n",
        "# TYPE t_sum untyped\nt_sum 9\n",
    ),
    ("# TYPE t gauge\nt_sum 1\n_sum 2\n", "# TYPE t_sum untyped\nt_sum 1\n# TYPE _sum untyped\n_sum 2\n"),

    // Histograms
    (
        "# TYPE t histogram\nt_bucket{le=\"+Inf\"} 4\nt_bucket{le=\"0.5\"} 3\nt_sum 1.5\nt_count 4\n",
        "# TYPE t histogram\nt_bucket{le=\"0.5\"} 3\nt_bucket{le=\"inf\"} 4\nt_sum 1.5\nt_count 4\n",
    ),
    (
        "# TYPE t histogram\nt_bucket{le=\"1\",a=\"b\"} 3\nt_count 4\n",
        "# TYPE t histogram\nt_bucket{a=\"b\",le=\"1\"} 3\nt_sum{a=\"b\"} 0\nt_count{a=\"b\"} 0\nt_sum 0\nt_count 4\n",
    ),
    ("# TYPE t histogram\nt{le=\"1\"} 3\n", "# TYPE t histogram\nt_bucket{le=\"1\"} 3\nt_sum 0\nt_count 0\n"),
    ("# TYPE t histogram\nt 3\nt_bucket -3\n", "# TYPE t histogram\nt_sum 0\nt_count 0\n"),
    ("# TYPE t histogram\nt_bucket{le=\"nan\"} -3\nt_sum{le=\"1\"} -3\n", "# TYPE t histogram\nt_sum -3\nt_count 0\n"),
    (
        "# TYPE t histogram\nt_bucket{le=\"1\"} 2.5\nt_count 1e300\nt_bucket{le=\"1\"} 3.5\n",
        "# TYPE t histogram\nt_bucket{le=\"1\"} 3\nt_sum 0\nt_count 18446744073709551615\n",
    ),
    ("# TYPE t histogram\nt_count -0\n", "# TYPE t histogram\nt_sum 0\nt_count 0\n"),
    ("# TYPE t histogram\nt_sum{quantile=\"x\"} 1\n", "# TYPE t histogram\nt_sum{quantile=\"x\"} 1\nt_count{quantile=\"x\"} 0\n"),
];

#[test]
fn accepts_what_go_accepts() {
    for &(text, plain) in ACCEPTED {
        match parse(text.as_bytes()) {
            Ok(exposition) => assert_eq!(encode(&exposition.families), plain, "{text:?}"),
            Err(refusal) => panic!("{text:?}: {refusal}"),
        }
    }
}

#[rustfmt::skip]
const REFUSED: &[(&[u8], &str)] = &[
    // The end
    (b"up 1", "line 1: ends without a newline"),
    (b"\nup 1\nup 2 ", "line 3: ends without a newline"),
    (b"# comment", "line 1: ends without a newline"),

    // Names
    (b"\r\n", r#"line 1: invalid metric name "\r""#),
    (b"\xef\xbb\xbfup 1\n", r#"line 1: invalid metric name "\u{feff}up""#),
    (b"9a{b=\"c\"} 1\n", r#"line 1: invalid metric name "9a{b=\"c\"}""#),
    (b"@up 1\n", r#"line 1: invalid metric name "@up""#),
    (b"\"a.b\" 1\n", r#"line 1: invalid metric name "a.b""#),
    (b"{\"a.b\"} 1\n", r#"line 1: invalid metric name "a.b""#),
    (b"{\"a\\\\\"} 1\n", r#"line 1: invalid metric name "a\\""#),
    (b"\"\xff\" 1\n", "line 1: invalid metric name \"\u{fffd}\""),
    (b"\"\" 1\n", r#"line 1: invalid metric name "\"\"""#),
    (b"\"up 1\n", r#"line 1: no closing quote after "up 1""#),
    (b"\"a\\x\" 1\n", r"line 1: unknown escape \x"),
    (b"# HELP met-ric x\n", r#"line 1: invalid metric name "met-ric""#),
    (b"# TYPE 9\n", r#"line 1: invalid metric name "9""#),
    (b"# TYPE up\r\n", r#"line 1: invalid metric name "up\r""#),
    (b"# HELP a.b\n", r#"line 1: invalid metric name "a.b""#),
    (b"# HELP \"a.b\" x\n", r#"line 1: invalid metric name "a.b""#),
    (b"# HELP \"a.b\n", r#"line 1: no closing quote after "a.b""#),
    (b"{} 1\n", "line 1: labels without a metric name"),
    (b"up 1\n{a=\"b\"} 1\n", "line 2: labels without a metric name"),
    (b"{a:b} 1\n", r#"line 1: no = after label name "a""#),
    (b"{a,b} 1\n", r#"line 1: no = after label name "b""#),
    (b"{a b=\"c\"} 1\n", r#"line 1: no = after label name "a""#),

    // HELP and TYPE
    (b"# HELP up a\n# HELP up b\n", "line 2: second HELP for up"),
    (b"# HELP up a\\tb\n", r"line 1: unknown escape \t"),
    (b"# HELP up a\\\n", "line 1: backslash at the end of the line"),
    (b"# TYPE up gauge\n# TYPE up gauge\n", "line 2: second TYPE for up"),
    (b"up 1\n# TYPE up gauge\n", "line 2: TYPE for up after its samples"),
    (b"# TYPE up bla\n", r#"line 1: unknown type "bla" for up"#),
    (b"# TYPE up gauge \n", r#"line 1: unknown type "gauge " for up"#),
    (b"# TYPE up gauge\r\n", r#"line 1: unknown type "gauge\r" for up"#),
    (b"# TYPE up gauge_histogram\n", r#"line 1: unknown type "gauge_histogram" for up"#),
    (b"# TYPE up gaugehistogram\n", r#"line 1: unknown type "gaugehistogram" for up"#),
    (b"# TYPE t summary\n# HELP t a\n# HELP t_sum b\n", "line 3: second HELP for t"),
    (b"# TYPE t histogram\n# TYPE t_bucket counter\n", "line 2: second TYPE for t"),

    // Labels
    (b"up{@=\"a\"} 1\n", r#"line 1: invalid label name "@=\"a\"}""#),
    (b"up{,} 1\n", r#"line 1: invalid label name ",}""#),
    (b"up{a=\"b\",,} 1\n", r#"line 1: invalid label name ",}""#),
    (b"up{9b=\"x\"} 1\n", r#"line 1: invalid label name "9b=\"x\"}""#),
    (b"up{\"\"=\"x\"} 1\n", r#"line 1: invalid label name "\"\"=\"x\"}""#),
    (b"up{\"a.b\"=\"x\"} 1\n", r#"line 1: invalid label name "a.b""#),
    (b"up{\"a:b\"=\"x\"} 1\n", r#"line 1: invalid label name "a:b""#),
    (b"up{__name__=\"x\"} 1\n", "line 1: label name __name__ is reserved"),
    (b"up{a} 1\n", r#"line 1: no = after label name "a""#),
    (b"up{a+=\"b\"} 1\n", r#"line 1: no = after label name "a""#),
    (b"up{a=b} 1\n", "line 1: no opening quote before the value of label a"),
    (b"up{a=\"b\n\"} 1\n", r#"line 1: no closing quote after "b""#),
    (b"up{a=\"\\t\"} 1\n", r"line 1: unknown escape \t"),
    (b"up{a=\"b\\\n", r#"line 1: no closing quote after "b\\""#),
    (b"up{a=\"\xbd\"} 1\n", "line 1: label a is not UTF-8: \"\u{fffd}\""),
    (b"up{a=\"b\"c=\"d\"} 1\n", r#"line 1: neither comma nor brace before "c=\"d\"} 1""#),
    (b"up{a=\"b\"\n", r#"line 1: neither comma nor brace before """#),
    (b"up{a=\"1\",b=\"2\",a=\"3\"} 1\n", "line 1: label a twice in up"),
    (b"# TYPE t summary\nt{le=\"1\",le=\"1\"} 1\n", "line 2: label le twice in t"),
    (b"# TYPE t summary\nt{quantile=\"x\"} 1\n", r#"line 2: cannot parse quantile="x" as a number"#),
    (b"# TYPE t summary\nt_sum{quantile=\"\"} 1\n", r#"line 2: cannot parse quantile="" as a number"#),
    (b"# TYPE t histogram\nt_bucket{le=\"0x1p-3\"} 1\n", r#"line 2: cannot parse le="0x1p-3" as a number"#),

    // Values and timestamps
    (b"up\n", r#"line 1: cannot parse "" as a value"#),
    (b"up 1.2.3\n", r#"line 1: cannot parse "1.2.3" as a value"#),
    (b"up=1\n", r#"line 1: cannot parse "=1" as a value"#),
    (b"up 1\r\n", r#"line 1: cannot parse "1\r" as a value"#),
    (b"up 1e309\n", r#"line 1: cannot parse "1e309" as a value"#),
    (b"up +nan\n", r#"line 1: cannot parse "+nan" as a value"#),
    (b"up infi\n", r#"line 1: cannot parse "infi" as a value"#),
    (b"up 1_000\n", r#"line 1: cannot parse "1_000" as a value"#),
    (b"up 0x1\n", r#"line 1: cannot parse "0x1" as a value"#),
    (b"up 0x1p-3\n", r#"line 1: cannot parse "0x1p-3" as a value"#),
    (b"up 0X1P3\n", r#"line 1: cannot parse "0X1P3" as a value"#),
    (b"up{}{} 1\n", r#"line 1: cannot parse "{}" as a value"#),
    (b"up 1 \n", "line 1: blank after the value, but no timestamp"),
    (b"up 1 2.5\n", r#"line 1: cannot parse "2.5" as a timestamp"#),
    (b"up 1 2_5\n", r#"line 1: cannot parse "2_5" as a timestamp"#),
    (b"up 1 -\n", r#"line 1: cannot parse "-" as a timestamp"#),
    (b"up 1 9223372036854775808\n", r#"line 1: cannot parse "9223372036854775808" as a timestamp"#),
    (b"up 1 2 \n", r#"line 1: " " after the timestamp"#),
    (b"up 1 2 3\n", r#"line 1: " 3" after the timestamp"#),
    (b"# TYPE t histogram\nt_count -0.5\n", "line 2: negative count -0.5 in t"),
    (b"# TYPE t histogram\nt_bucket{le=\"1\"} -1\n", "line 2: negative count -1 in t"),
];

#[test]
fn refuses_what_go_refuses() {
    for &(text, refusal) in REFUSED {
        let shown = String::from_utf8_lossy(text);
        match parse(text) {
            Ok(exposition) => panic!("{shown:?} taken for {exposition:?}"),
            Err(found) => assert_eq!(found.to_string(), refusal, "{shown:?}"),
        }
    }
}

#[test]
fn repairs_help_that_is_not_utf8() {
    for text in [&b"# HELP up caf\xe9\nup 1\n"[..], b"# HELP up \\\\caf\xe9\nup 1\n"] {
        let help = parse(text).unwrap().families[0].help.clone().unwrap();
        assert_eq!(help.trim_start_matches('\\'), "caf\u{fffd}");
    }
}

#[test]
fn cuts_long_tokens_in_messages() {
    let long = [&b"up "[..], &[b'x'; 10_000], b"\n"].concat();
    let refusal = parse(&long).unwrap_err().to_string();
    assert_eq!(refusal, format!("line 1: cannot parse \"{}\"… as a value", "x".repeat(40)));
}

#[test]
fn knows_the_lines() {
    let exposition = parse(b"# TYPE t summary\n\nt_sum 1\na 1\nt_count 2 55\nb 1 66\n").unwrap();
    let lines: Vec<u32> = exposition.families.iter().map(|family| family.samples[0].line).collect();
    assert_eq!(lines, [3, 4, 6]);
    assert_eq!(exposition.timestamped, Some(5));
}

#[test]
fn keeps_many_series_apart() {
    // No two label sets alike, though their bytes in a row would be.
    let mut text = String::from("# TYPE t histogram\n");
    for i in 0..500 {
        let (a, b) = (format!("{i}"), format!("{}", i % 7));
        for part in ["count", "sum"] {
            writeln!(text, "t_{part}{{a=\"{a}\",b=\"{b}\"}} 1").unwrap();
            writeln!(text, "t_{part}{{b=\"{b}\",a=\"{a}b\"}} 1").unwrap();
        }
    }
    let exposition = parse(text.as_bytes()).unwrap();
    assert_eq!(exposition.families[0].samples.len(), 1000);
    for metric in &exposition.families[0].samples {
        assert_eq!(metric.value, Value::Histogram { buckets: vec![], sum: 1.0, count: 1 });
    }
}

const SAMPLE: &str = "\
# HELP mail_queue_size Mails that wait.
mail_queue_size 12

  # TYPE\tmail_box_size gauge
mail_box_size{user=\"anna\", host = \"m\\\\1\\\"\\n\",}1.5e+03 1700000000000
{\"mail_box_size\",user=\"bert\"} +Inf
# TYPE wait summary
wait{quantile=\"0.5\"} 0.25
wait{quantile=\"0.9\",to=\"x\"} NaN
wait_sum 17.5
wait_count 42
# TYPE size_bytes histogram
size_bytes_bucket{le=\"1024\"} 3
size_bytes_bucket{le=\"+Inf\"} 5
size_bytes_sum 4e3
size_bytes_count 5
# end
";

/// Whatever happens to a text, it is refused, or read as one that reads the same when written plainly.
#[test]
fn survives_damage() {
    const BYTES: &[u8] = b" \t\n\r\"\\{}=,#:_019aeN+-.p\0\xc3\xff";
    check(SAMPLE.as_bytes());
    for (at, &old) in SAMPLE.as_bytes().iter().enumerate() {
        let (before, after) = (&SAMPLE.as_bytes()[..at], &SAMPLE.as_bytes()[at + 1..]);

        let last = before.rsplit(|&b| b == b'\n').next().unwrap_or_default();
        let is_whole = last.iter().all(|b| matches!(b, b' ' | b'\t'));
        assert!(check(before) == is_whole, "cut at {at}");

        check(&[before, after].concat());
        for &new in BYTES {
            check(&[before, &[new], after].concat());
            check(&[before, &[new, old], after].concat());
        }
    }
    let lines: Vec<&str> = SAMPLE.split_inclusive('\n').collect();
    for from in 0..lines.len() {
        for to in 0..lines.len() {
            let mut lines = lines.clone();
            let moved = lines.remove(from);
            lines.insert(to, moved);
            check(lines.concat().as_bytes());
            lines.push(moved);
            check(lines.concat().as_bytes());
        }
    }
}

/// node_exporter's own answer on its fixtures, when it is at hand.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test reads its data itself")]
fn reads_node_exporter() {
    let path =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/conformance/node_exporter-1.12.1-e2e.txt");
    let Ok(text) = std::fs::read(path) else { return };
    assert!(check(&text));
    let exposition = parse(&text).unwrap();
    let samples = exposition.families.iter().map(|family| family.samples.len()).sum::<usize>();
    assert_eq!((exposition.families.len(), samples), (1181, 3027));
    assert_eq!(exposition.timestamped, None);
}

/// Whether it parses; if so, writing it and parsing that must change nothing.
fn check(text: &[u8]) -> bool {
    let Ok(exposition) = parse(text) else { return false };
    if are_parts_taken(&exposition.families) {
        return true;
    }
    let plain = encode(&exposition.families);
    let again = parse(plain.as_bytes()).map(|again| encode(&again.families));
    assert_eq!(again.as_ref(), Ok(&plain), "{:?}", String::from_utf8_lossy(text));
    true
}

/// Whether there is a family `t_sum` beside a summary `t`: that parses if `t_sum` comes first, but cannot be written, since then
/// the summary's own sum goes to `t_sum`.
fn are_parts_taken(families: &[Family<'_>]) -> bool {
    let parts: Vec<String> = families
        .iter()
        .filter(|family| matches!(family.kind, Kind::Summary | Kind::Histogram))
        .flat_map(|family| {
            ["_sum", "_count", "_bucket"].map(|part| format!("{}{part}", family.name))
        })
        .collect();
    families.iter().any(|family| parts.iter().any(|part| *part == family.name))
}

fn encode(families: &[Family<'_>]) -> String {
    let mut out = String::new();
    for Family { name, help, kind, samples } in families {
        if let Some(help) = help {
            let help = help.replace('\\', "\\\\").replace('\n', "\\n");
            writeln!(out, "# HELP {name} {help}").unwrap();
        }
        writeln!(out, "# TYPE {name} {}", kind.as_str()).unwrap();
        for Metric { labels, value, timestamp, .. } in samples {
            let timestamp = timestamp.map(|at| format!(" {at}")).unwrap_or_default();
            let plain = braced(labels, None);
            match value {
                Value::Number(value) => writeln!(out, "{name}{plain} {value}{timestamp}").unwrap(),
                Value::Summary { quantiles, sum, count } => {
                    for (quantile, value) in quantiles {
                        let own = braced(labels, Some(("quantile", *quantile)));
                        writeln!(out, "{name}{own} {value}").unwrap();
                    }
                    writeln!(out, "{name}_sum{plain} {sum}").unwrap();
                    writeln!(out, "{name}_count{plain} {count}{timestamp}").unwrap();
                }
                Value::Histogram { buckets, sum, count } => {
                    for (bound, value) in buckets {
                        let own = braced(labels, Some(("le", *bound)));
                        writeln!(out, "{name}_bucket{own} {value}").unwrap();
                    }
                    writeln!(out, "{name}_sum{plain} {sum}").unwrap();
                    writeln!(out, "{name}_count{plain} {count}{timestamp}").unwrap();
                }
            }
        }
    }
    out
}

fn braced(labels: &[Label<'_>], own: Option<(&str, f64)>) -> String {
    let mut pairs: Vec<String> = labels
        .iter()
        .map(|(name, value)| {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            format!("{name}=\"{value}\"")
        })
        .collect();
    pairs.extend(own.map(|(name, number)| format!("{name}=\"{number}\"")));
    if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) }
}
