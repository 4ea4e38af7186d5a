//! How pages are asked for, and what may go wrong.

use std::net::TcpListener;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hostwarden::exposition::parse;

use super::fake::{Fake, Reply, page, redirect, response, status};
use super::{APACHE_URI, NGINX_URI, SERVER_STATUS, STUB_STATUS, apache, file, nginx, refusal};
use crate::agent::{Agent, wait_for};
use crate::damage::{Dice, damage, rounds};
use crate::harness::{Running, Said};

fn reason(said: &Said) -> Option<&str> {
    said.lines.iter().find_map(|line| {
        let labels = line.strip_prefix("hostwarden_service_problem{")?;
        labels.split_once("reason=\"")?.1.split('"').next()
    })
}

/// What both collectors make of a server that answers so.
fn both(answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> [Said; 2] {
    let fake = Fake::start(answer);
    let url = format!("http://{}/status", fake.address);
    [apache(&[(APACHE_URI, &url)]).scrape(), nginx(&[(NGINX_URI, &url)]).scrape()]
}

fn assert_down(said: &[Said; 2], why: &str) {
    for (said, up) in said.iter().zip(["apache_up 0", "nginx_up 0"]) {
        assert!(said.lines.iter().any(|line| line == up), "{why}: {:?}", said.lines);
        assert_eq!(reason(said), Some(why), "{:?}", said.outcome);
        assert!(said.outcome.is_err(), "{why}");
        let names = ["hostwarden_", "apache_up", "apache_exporter_", "nginx_up", "nginx_exporter_"];
        let is_own = |line: &String| names.iter().any(|name| line.starts_with(name));
        assert!(said.lines.iter().all(is_own), "{why}: {:?}", said.lines);
    }
}

#[test]
fn a_server_that_does_not_show_its_status_is_down_for_a_reason() {
    for code in ["401 Unauthorized", "403 Forbidden", "404 Not Found", "503 Busy", "204 Nothing"] {
        assert_down(&both(move |_| status(code)), &code[..3]);
    }
    for (why, body) in [
        ("no_status_page", ""),
        ("no_status_page", "<html><body>It works!</body></html>"),
        ("no_status_page", "Active connections: 1 \nserver accepts handled requests\n"),
        ("no_status_page", "BusyWorkers: 1\nIdleWorkers: 2\n"),
    ] {
        assert_down(&both(move |_| page(body)), why);
    }
    // Each other's pages.
    let said = both(|_| page(SERVER_STATUS));
    assert_eq!([reason(&said[0]), reason(&said[1])], [None, Some("no_status_page")]);
    let said = both(|_| page(STUB_STATUS));
    assert_eq!([reason(&said[0]), reason(&said[1])], [Some("no_status_page"), None]);
    let people = "<html><head>\n<title>Apache Status</title>\n</head></html>";
    let said = both(move |_| page(people));
    assert_eq!(
        [reason(&said[0]), reason(&said[1])],
        [Some("auto_missing"), Some("no_status_page")]
    );
    let what = "the page for people: ?auto is missing in the URL";
    assert!(said[0].failure().ends_with(what), "{}", said[0].failure());
}

#[test]
fn answers_that_lie_break_off_or_never_end_are_no_pages() {
    for answer in [
        &b""[..],
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\nActive connections: 1 \n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
    ] {
        assert_down(&both(move |_| Reply::End(answer.to_vec())), "broken_answer");
    }
    let endless_page = || {
        let mut head = response("200 OK", "", "");
        head.truncate(b"HTTP/1.1 200 OK\r\n".len());
        head.extend_from_slice(b"\r\n");
        head.resize(1 << 16, b'_');
        Reply::Endless(head)
    };
    assert_down(&both(move |_| endless_page()), "too_long");
    let endless_head = || Reply::Endless(b"HTTP/1.1 200 OK\r\nX: y\r\n".to_vec());
    assert_down(&both(move |_| endless_head()), "broken_answer");
}

/// Whatever comes back, as a page or as HTTP, is told as an exposition and in one line.
#[test]
fn damaged_answers_cost_no_more_than_themselves() {
    let event = include_str!("pages/event.txt");
    for (collector, flag, sound) in
        [("apache", APACHE_URI, event), ("nginx", NGINX_URI, STUB_STATUS)]
    {
        let dice = Mutex::new(Dice(0x2545_f491_4f6c_dd1d));
        let fake = Fake::start(move |_| {
            let mut dice = dice.lock().unwrap();
            if dice.below(2) == 0 {
                let page = damage(sound.as_bytes(), &mut dice);
                let length = page.len();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
                Reply::Stay([head.into_bytes(), page].concat())
            } else {
                Reply::End(damage(&response("200 OK", "", sound), &mut dice))
            }
        });
        let url = format!("http://{}/", fake.address);
        let mut running = Running::start(collector, &[(flag, &url)]);
        for _ in 0..10 * rounds() {
            let said = running.scrape();
            let text = said.lines.join("\n") + "\n";
            assert!(text.contains(&format!("{collector}_up ")), "{text}");
            parse::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"));
            if let Err(error) = said.outcome {
                let error = error.to_string();
                assert!(error.starts_with(&url) && !error.contains('\n'), "{error:?}");
            }
        }
    }
}

#[test]
fn a_server_that_is_not_there_is_down_for_a_reason() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let plain = Fake::start(|_| page(SERVER_STATUS));
    for (url, why) in [
        (format!("http://{closed}/"), "refused"),
        (format!("https://{}/", plain.address), "tls"),
        ("unix:/nowhere/nginx.sock:/status".to_owned(), "no_socket"),
        ("unix:/dev/null".to_owned(), "refused"),
        // No name has a part of 64 letters: that is known without asking anybody.
        (format!("http://{}/", "x".repeat(64)), "unknown_host"),
    ] {
        let said = [apache(&[(APACHE_URI, &url)]).scrape(), nginx(&[(NGINX_URI, &url)]).scrape()];
        assert_down(&said, why);
    }
}

#[test]
fn a_server_that_hangs_or_trickles_is_given_up() {
    let short = Duration::from_millis(300);
    for way in 0..3 {
        let fake = Fake::start(move |_| match way {
            0 => Reply::Hang,
            1 => Reply::Trickle(response("200 OK", "", SERVER_STATUS)),
            _ => Reply::Trickle(response("200 OK", "", STUB_STATUS)),
        });
        let url = format!("http://{}/", fake.address);
        let said = [
            apache(&[(APACHE_URI, &url)]).scrape_within(short),
            nginx(&[(NGINX_URI, &url)]).scrape_within(short),
        ];
        assert_down(&said, "timeout");
    }
}

#[test]
fn several_servers_are_asked_at_once_and_told_apart() {
    let hung: Vec<Fake> = (0..5).map(|_| Fake::start(|_| Reply::Hang)).collect();
    let good = Fake::start(|_| page(STUB_STATUS));
    let mut urls: Vec<String> =
        hung.iter().map(|fake| format!("http://{}/status", fake.address)).collect();
    urls.push(format!("http://joe:secret@{}/status?token=secret", good.address));
    let flags: Vec<(&str, &str)> = urls.iter().map(|url| (NGINX_URI, url.as_str())).collect();
    let said = nginx(&flags).scrape();
    // One after another they would take five times two seconds.
    assert!(said.took < Duration::from_secs(6), "{:?}", said.took);
    let address = format!("addr=\"http://{}/status\"", good.address);
    let told = said.lines.iter().filter(|line| line.contains(&address));
    assert_eq!(told.count(), 8, "{:#?}", said.lines);
    assert!(said.lines.contains(&format!("nginx_connections_accepted{{{address}}} 16")));
    for url in &urls[..5] {
        assert!(said.lines.contains(&format!("nginx_up{{addr=\"{url}\"}} 0")), "{url}");
        let labels = format!("addr=\"{url}\",reason=\"timeout\",service=\"nginx\"");
        assert!(said.lines.contains(&format!("hostwarden_service_problem{{{labels}}} 1")));
    }
    assert!(said.failure().contains(&format!("{}: no answer in time; ", urls[0])));
    assert!(good.requests()[0].contains("authorization: basic am9lonnly3jlda==\r\n"));
}

#[test]
fn nothing_secret_is_told() {
    let fake = Fake::start(|_| status("401 Unauthorized"));
    let url = format!("http://joe:secret@{}/status?auto&key=secret", fake.address);
    let other = format!("http://{}/other", fake.address);
    let said = apache(&[(APACHE_URI, &url), (APACHE_URI, &other)]).scrape();
    assert!(said.lines.iter().all(|line| !line.contains("secret") && !line.contains("joe")));
    let why =
        format!("http://{0}/status: 401 Unauthorized; {other}: 401 Unauthorized", fake.address);
    assert_eq!(said.failure(), why);
    let wrong = refusal("apache", &[(APACHE_URI, "http://joe:secret@host:port/")]);
    assert_eq!(wrong, "--collector.apache.scrape-uri: http://host:port/: no such port");
}

#[test]
fn failures_are_counted() {
    let count = AtomicUsize::new(0);
    let fake = Fake::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => page(SERVER_STATUS),
        1 => status("503 Busy"),
        2 => page(&SERVER_STATUS.replace("Uptime: 9", "Uptime: soon")),
        _ => page(&SERVER_STATUS.replace("Total Accesses: 3\n", "")),
    });
    let mut running = apache(&[(APACHE_URI, &format!("http://{}/", fake.address))]);
    for (failures, up, why) in [
        (0, 1, None),
        (1, 0, Some("503")),
        (2, 1, Some("malformed")),
        (2, 1, Some("extended_status_off")),
    ] {
        let said = running.scrape();
        let counted = format!("apache_exporter_scrape_failures_total {failures}");
        assert!(said.lines.contains(&counted), "{counted}: {:#?}", said.lines);
        assert!(said.lines.contains(&format!("apache_up {up}")), "{:#?}", said.lines);
        assert_eq!(reason(&said), why);
    }
}

#[test]
fn a_connection_is_kept_and_replaced_when_the_server_lets_go() {
    let fake = Fake::start(|_| page(STUB_STATUS));
    let mut running = nginx(&[(NGINX_URI, &format!("http://{}/", fake.address))]);
    (0..5).for_each(|_| drop(running.scrape().good()));
    assert_eq!((fake.requests().len(), fake.connections()), (5, 1));

    // Ends each connection behind its first answer, without having said so.
    let fake = Fake::start(|_| Reply::End(response("200 OK", "", STUB_STATUS)));
    let mut running = nginx(&[(NGINX_URI, &format!("http://{}/", fake.address))]);
    (0..5).for_each(|_| drop(running.scrape().good()));
    assert_eq!((fake.requests().len(), fake.connections()), (5, 5));

    // Takes a second request and goes away over it.
    let count = AtomicUsize::new(0);
    let fake = Fake::start(move |_| match count.fetch_add(1, Ordering::SeqCst) % 2 {
        0 => page(STUB_STATUS),
        _ => Reply::End(Vec::new()),
    });
    let mut running = nginx(&[(NGINX_URI, &format!("http://{}/", fake.address))]);
    (0..5).for_each(|_| drop(running.scrape().good()));
    assert_eq!((fake.requests().len(), fake.connections()), (9, 5));
}

/// Whichever version of IP the server listens on.
#[test]
fn localhost_is_this_host() {
    let fake = Fake::start(|_| page(STUB_STATUS));
    let (_, port) = fake.address.split_once(':').unwrap();
    let lines = nginx(&[(NGINX_URI, &format!("http://LocalHost:{port}/"))]).scrape().good();
    assert!(lines.contains(&"nginx_up 1".to_owned()), "{lines:?}");
    assert!(fake.requests()[0].contains(&format!("\r\nhost: localhost:{port}\r\n")));
}

#[test]
fn redirections_are_followed_within_the_server_only() {
    let follow = |location: &'static str| {
        let fake = Fake::start(move |head| match head.split(' ').nth(1) {
            Some("/old") => redirect(location),
            Some("/new?auto") => page(SERVER_STATUS),
            Some("/1") => redirect("/2"),
            Some("/2") => redirect("/3"),
            Some("/3") => redirect("/4"),
            Some("/4") => redirect("/new?auto"),
            _ => redirect("/old"),
        });
        let said = apache(&[(APACHE_URI, &format!("http://{}/old", fake.address))]).scrape();
        (said, fake)
    };
    for (location, requests) in [("/new?auto", 2), ("/1", 6)] {
        let (said, fake) = follow(location);
        said.good();
        assert_eq!((fake.requests().len(), fake.connections()), (requests, 1), "{location}");
    }
    for (location, requests) in [("http://127.0.0.1:1/new?auto", 1), ("/circle", 6)] {
        let (said, fake) = follow(location);
        assert_eq!(reason(&said), Some("redirected"), "{location}");
        assert!(said.lines.contains(&"apache_up 0".to_owned()));
        assert_eq!(fake.requests().len(), requests, "{location}");
    }
}

#[test]
fn requests_carry_the_headers_that_were_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let headers = file(directory.path(), "headers", "# for the firewall\nX-Token: secret\n");
    let fake = Fake::on_socket(&directory.path().join("nginx.sock"), |_| page(STUB_STATUS));
    let url = format!("unix:{}:/stub?a=b", fake.address);
    nginx(&[(NGINX_URI, &url)]).scrape().good();
    let named = [
        (NGINX_URI, url.as_str()),
        ("collector.nginx.host-override", "www.example.org"),
        ("collector.nginx.headers-file", &headers),
    ];
    nginx(&named).scrape().good();
    let requests = fake.requests();
    for request in &requests {
        assert!(request.starts_with("get /stub?a=b http/1.1\r\n"), "{request}");
        assert!(request.contains("\r\nuser-agent: hostwarden/"), "{request}");
    }
    assert!(requests[0].contains("\r\nhost: unix\r\n"), "{}", requests[0]);
    assert!(!requests[0].contains("x-token"), "{}", requests[0]);
    assert!(requests[1].contains("\r\nhost: www.example.org\r\n"), "{}", requests[1]);
    assert!(requests[1].contains("\r\nx-token: secret\r\n"), "{}", requests[1]);
}

#[test]
fn settings_that_are_wrong_end_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let headers = file(directory.path(), "headers", "X-Token secret\n");
    let empty = file(directory.path(), "empty.pem", "");
    for (flags, why) in [
        (
            [("collector.apache.headers-file", headers.as_str()), (APACHE_URI, "http://a/")],
            format!("{headers}: line 1: no \"Name: value\""),
        ),
        (
            [("collector.apache.headers-file", "/nowhere/headers"), (APACHE_URI, "http://a/")],
            "open /nowhere/headers: no such file or directory".to_owned(),
        ),
        (
            [("collector.apache.ca-file", "/nowhere/ca.pem"), (APACHE_URI, "https://a/")],
            "open /nowhere/ca.pem: no such file or directory".to_owned(),
        ),
        (
            [("collector.apache.ca-file", empty.as_str()), (APACHE_URI, "https://a/")],
            format!("{empty}: no root trust anchors were provided"),
        ),
        (
            [("collector.apache.host-override", "a\nb"), (APACHE_URI, "http://a/")],
            "--collector.apache.scrape-uri: http://a/: no host".to_owned(),
        ),
    ] {
        assert_eq!(refusal("apache", &flags), why);
    }
}

#[test]
fn a_reload_reads_the_headers_again_and_keeps_them_when_they_are_broken() {
    let directory = tempfile::tempdir().unwrap();
    let headers = file(directory.path(), "headers", "X-Token: one\n");
    let fake = Fake::start(|_| page(STUB_STATUS));
    let agent = Agent::start(&[
        "--collector.disable-defaults",
        "--collector.nginx",
        &format!("--{NGINX_URI}=http://{}/", fake.address),
        &format!("--collector.nginx.headers-file={headers}"),
    ]);
    let token = || {
        assert_eq!(agent.get("/metrics").sample("nginx_up"), Some(1.0));
        let request = fake.requests().pop().unwrap();
        request.split_once("x-token: ").unwrap().1.split('\r').next().unwrap().to_owned()
    };
    let hangup = || agent.signal(rustix::process::Signal::HUP);
    assert_eq!(token(), "one");
    file(directory.path(), "headers", "X-Token: two\n");
    assert_eq!(token(), "one");
    hangup();
    wait_for("the new header", || token() == "two");
    file(directory.path(), "headers", "X-Token\n");
    hangup();
    wait_for("a complaint", || {
        assert_eq!(token(), "two");
        agent.log().contains("line 1: no")
    });
    assert!(agent.log().contains("keeping the settings read before"));
}
