//! The collector supervisord against a server in this process.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::harness::{Running, Said};

/// Takes one request and answers it with these bytes; the thread returns the request.
fn answer(mut stream: impl Read + Write, answer: &[u8]) -> String {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while !request.ends_with(b"</methodCall>") {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "the request ended early");
        request.extend_from_slice(&buffer[..count]);
    }
    // A client that has heard enough closes its end.
    let _ = stream.write_all(answer);
    String::from_utf8(request).unwrap()
}

fn serve(bytes: impl Into<Vec<u8>>) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let bytes = bytes.into();
    (address, std::thread::spawn(move || answer(listener.accept().unwrap().0, &bytes)))
}

fn ok(body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {length}\r\n\r\n{body}")
}

/// The document that supervisord sends for these `<struct>`s.
fn document(processes: &[String]) -> String {
    let values: String =
        processes.iter().map(|process| format!("<value>{process}</value>\n")).collect();
    format!(
        "<?xml version='1.0'?>\n<methodResponse>\n<params>\n<param>\n\
         <value><array><data>\n{values}</data></array></value>\n\
         </param>\n</params>\n</methodResponse>\n"
    )
}

fn process(members: &[(&str, &str)]) -> String {
    let members: String = members
        .iter()
        .map(|(name, value)| {
            format!("<member>\n<name>{name}</name>\n<value>{value}</value>\n</member>\n")
        })
        .collect();
    format!("<struct>\n{members}</struct>")
}

const MAILER: [(&str, &str); 14] = [
    ("name", "<string>mailer</string>"),
    ("group", "<string>mail &amp; more</string>"),
    ("start", "<int>1700000000</int>"),
    ("stop", "<int>0</int>"),
    ("now", "<int>1700000100</int>"),
    ("state", "<int>20</int>"),
    ("statename", "<string>RUNNING</string>"),
    ("spawnerr", "<string></string>"),
    ("exitstatus", "<int>0</int>"),
    ("logfile", "<string>/var/log/mailer</string>"),
    ("stdout_logfile", "<string>/var/log/mailer</string>"),
    ("stderr_logfile", "<string/>"),
    ("pid", "<int>4711</int>"),
    ("description", "<string>pid 4711, uptime 0:01:40</string>"),
];

const CRASHED: [(&str, &str); 5] = [
    ("name", "<string>queue</string>"),
    ("group", "<string>queue</string>"),
    ("start", "<i4> 1690000000 </i4>"),
    ("state", "<int>100</int>"),
    ("exitstatus", "<i8>-9</i8>"),
];

const TOLD: [&str; 7] = [
    "node_supervisord_exit_status{group=\"mail & more\",name=\"mailer\"} 0",
    "node_supervisord_exit_status{group=\"queue\",name=\"queue\"} -9",
    "node_supervisord_start_time_seconds{group=\"mail & more\",name=\"mailer\"} 1.7e+09",
    "node_supervisord_state{group=\"mail & more\",name=\"mailer\"} 20",
    "node_supervisord_state{group=\"queue\",name=\"queue\"} 100",
    "node_supervisord_up{group=\"mail & more\",name=\"mailer\"} 1",
    "node_supervisord_up{group=\"queue\",name=\"queue\"} 0",
];

fn two_processes() -> String {
    document(&[process(&MAILER), process(&CRASHED)])
}

fn ask(url: &str) -> Said {
    Running::start("supervisord", &[("collector.supervisord.url", url)]).scrape()
}

/// What the collector makes of these bytes as the server's answer.
fn said_of(bytes: impl Into<Vec<u8>>) -> Said {
    let (address, server) = serve(bytes);
    let said = ask(&format!("http://{address}/RPC2"));
    server.join().unwrap();
    said
}

#[test]
fn processes_are_told_over_tcp() {
    let (address, server) = serve(ok(&two_processes()));
    let lines = ask(&format!("http://joe:s%3Acret@{address}/RPC2")).good();
    assert_eq!(lines, TOLD);
    let request = server.join().unwrap().to_lowercase();
    assert!(request.starts_with("post /rpc2 http/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("\r\nhost: {address}\r\n")), "{request}");
    assert!(request.contains("\r\ncontent-type: text/xml\r\n"), "{request}");
    // joe:s:cret
    assert!(request.contains("\r\nauthorization: basic am9lonm6y3jlda==\r\n"), "{request}");
    assert!(request.contains("<methodname>supervisor.getallprocessinfo</methodname>"), "{request}");
}

#[test]
fn processes_are_told_over_a_unix_socket() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("super visor.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let document = two_processes();
    let server =
        std::thread::spawn(move || answer(listener.accept().unwrap().0, ok(&document).as_bytes()));
    let url = format!("unix://{}/super%20visor.sock", directory.path().display());
    assert_eq!(ask(&url).good(), TOLD);
    let request = server.join().unwrap().to_lowercase();
    assert!(request.starts_with("post /rpc2 http/1.1\r\n"), "{request}");
    assert!(request.contains("\r\nhost: unix\r\n"), "{request}");
}

#[test]
fn no_processes_are_no_fault() {
    assert!(said_of(ok(&document(&[]))).good().is_empty());
}

#[test]
fn an_answer_may_come_in_chunks_or_end_with_the_connection() {
    let document = two_processes();
    let (first, second) = document.split_at(500);
    let chunked = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n",
        first.len(),
        second.len()
    );
    assert_eq!(said_of(chunked).good(), TOLD);
    assert_eq!(said_of(format!("HTTP/1.0 200 OK\r\n\r\n{document}")).good(), TOLD);
}

#[test]
fn what_a_process_does_not_tell_is_that_of_the_one_before() {
    let body = document(&[process(&MAILER), process(&[("name", "<string>other</string>")])]);
    let lines = said_of(ok(&body)).good();
    let state = "node_supervisord_state{group=\"mail & more\",name=\"other\"} 20".to_owned();
    assert!(lines.contains(&state), "{lines:?}");
    let body = document(&[process(&[])]);
    let lines = said_of(ok(&body)).good();
    assert!(lines.contains(&"node_supervisord_state{group=\"\",name=\"\"} 0".to_owned()));
}

#[test]
fn a_wrong_type_fails_the_collector_and_keeps_what_came_before() {
    for (member, value, why) in [
        ("state", "<string>20</string>", "state is a string"),
        ("name", "<int>1</int>", "name is an int"),
        ("pid", "<boolean>1</boolean>", "pid is boolean"),
        ("start", "<nil/>", "start is nil"),
        (
            "statename",
            "<array><data><value><int>1</int></value></data></array>",
            "statename is array",
        ),
    ] {
        let broken = [("name", "<string>broken</string>"), (member, value)];
        let said = said_of(ok(&document(&[process(&MAILER), process(&broken)])));
        assert_eq!(said.failure(), format!("supervisord: process \"broken\": {why}"));
        assert_eq!(said.lines.len(), 4);
        assert!(said.lines.iter().all(|line| line.contains("name=\"mailer\"")));
    }
    // A member that nobody asks for may be anything.
    let odd = [("description", "<struct><member><name>a</name></member></struct>")];
    said_of(ok(&document(&[process(&odd)]))).good();
}

#[test]
fn an_answer_that_is_none_fails_the_collector() {
    let value = |value: &str| {
        format!(
            "<methodResponse><params><param><value>{value}</value></param></params></methodResponse>"
        )
    };
    let fault = "<methodResponse><fault><value><struct><member><name>faultCode</name>\
        <value><int>1</int></value></member><member><name>faultString</name>\
        <value><string>UNKNOWN_METHOD</string></value></member></struct></value></fault>";
    for (body, why) in [
        (String::new(), "malformed answer"),
        ("<html><body>hello</body></html>".into(), "malformed answer"),
        (fault.into(), "fault \"UNKNOWN_METHOD\""),
        (value("<string>x</string>"), "answer is no array"),
        (
            value("<array><data><value><int>1</int></value></data></array>"),
            "a process is no struct",
        ),
        (document(&[process(&[("state", "<int>2x</int>")])]), "malformed answer"),
        (document(&[process(&[("name", "<string>&nbsp;</string>")])]), "malformed answer"),
    ] {
        assert_eq!(said_of(ok(&body)).failure(), format!("supervisord: {why}"), "{body}");
    }
    let document = two_processes();
    let half = &document[..document.len() - 300];
    let said = said_of(format!("HTTP/1.0 200 OK\r\n\r\n{half}"));
    assert_eq!(said.failure(), "supervisord: malformed answer");
    assert_eq!(said.lines.len(), 4);
    let said = said_of(b"HTTP/1.0 200 OK\r\n\r\n\xff".to_vec());
    assert_eq!(said.failure(), "supervisord: malformed answer");
}

#[test]
fn what_goes_wrong_on_the_way_fails_the_collector() {
    let failure = |bytes: &[u8]| {
        let (address, server) = serve(bytes);
        let failure = ask(&format!("http://joe:secret@{address}/RPC2")).failure();
        server.join().unwrap();
        let rest = failure.strip_prefix(&format!("supervisord: http://{address}/RPC2: "));
        rest.unwrap_or_else(|| panic!("{failure}")).to_owned()
    };
    assert_eq!(
        failure(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"),
        "401 Unauthorized"
    );
    assert_eq!(failure(b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n"), "302 Found");
    assert!(!failure(b"").is_empty());
    assert!(!failure(b"SSH-2.0-OpenSSH\r\n").is_empty());
    assert!(
        !failure(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n<methodResponse>").is_empty()
    );
    let mut endless = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    endless.resize(17 << 20, b' ');
    assert_eq!(failure(&endless), "answer too long");
}

#[test]
fn a_server_that_hangs_is_given_up_at_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/RPC2", listener.local_addr().unwrap());
    let mut running = Running::start("supervisord", &[("collector.supervisord.url", &url)]);
    let said = running.scrape_within(Duration::from_millis(200));
    assert_eq!(said.failure(), format!("supervisord: {url}: no answer in time"));
    assert!(said.took < Duration::from_secs(5), "{:?}", said.took);
}

#[test]
fn a_url_that_leads_nowhere_fails_the_scrape_and_not_the_start() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (url, why) in [
        (format!("http://{closed}/RPC2"), "connection refused"),
        ("unix:///nowhere/supervisor.sock".into(), "no such file or directory"),
        ("https://localhost/RPC2".into(), "cannot speak https"),
        ("localhost:9001".into(), "no http:// before it"),
    ] {
        assert_eq!(ask(&url).failure(), format!("supervisord: {url}: {why}"));
    }
    assert!(ask("").outcome.is_err());
}
