//! The page at `/` in a real Chromium, driven through ChromeDriver.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::agent::{Agent, PATIENCE, wait_for};

/// What the browser is started with: no window, and no look at the network but what a test asks for.
const ARGUMENTS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,900",
];

/// A browser with one window; it ends with the test.
struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    fn start() -> Self {
        let mut driver =
            Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).spawn().unwrap();
        // ChromeDriver was started successfully on port 40123.
        let port = BufReader::new(driver.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok)
            .find_map(|line| {
                line.split_once("successfully on port ")?.1.trim_end_matches('.').parse().ok()
            });
        let profile = tempfile::tempdir().unwrap();
        let mut arguments = ARGUMENTS.map(str::to_owned).to_vec();
        arguments.push(format!("--user-data-dir={}", profile.path().display()));
        let mut browser =
            Self { driver, port: port.unwrap(), session: String::new(), _profile: profile };
        let answer = browser.call(
            "POST",
            "",
            &format!(
                "{{\"capabilities\":{{\"alwaysMatch\":{{\"goog:loggingPrefs\":{{\"browser\":\"ALL\"}},\
                 \"goog:chromeOptions\":{{\"args\":{arguments:?}}}}}}}}}"
            ),
        );
        let (_, session) = answer.split_once("\"sessionId\":\"").unwrap();
        browser.session = format!("/{}", session.split('"').next().unwrap());
        browser
    }

    /// One command; returns the answer's JSON.
    fn call(&self, method: &str, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(
            stream,
            "{method} /session{}{path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}",
            self.session,
            body.len()
        )
        .unwrap();
        let mut lines = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(lines.read_line(&mut head).unwrap() > 0, "{head}");
        }
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
        });
        let mut answer = vec![0; length.unwrap()];
        lines.read_exact(&mut answer).unwrap();
        let answer = String::from_utf8(answer).unwrap();
        assert!(head.contains(" 200 "), "{path}: {answer}");
        answer
    }

    fn open(&self, url: &str) {
        self.call("POST", "/url", &format!("{{\"url\":{url:?}}}"));
    }

    /// What an expression is in the page, as JSON.
    fn eval(&self, expression: &str) -> String {
        let script = format!("return {expression}");
        let answer =
            self.call("POST", "/execute/sync", &format!("{{\"script\":{script:?},\"args\":[]}}"));
        let value = answer.strip_prefix("{\"value\":").and_then(|rest| rest.strip_suffix('}'));
        value.unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    fn is(&self, expression: &str) -> bool {
        self.eval(expression) == "true"
    }

    fn devtools(&self, command: &str, parameters: &str) {
        let body = format!("{{\"cmd\":{command:?},\"params\":{parameters}}}");
        self.call("POST", "/goog/cdp/execute", &body);
    }

    fn set_script(&self, is_on: bool) {
        let parameters = format!("{{\"value\":{}}}", !is_on);
        self.devtools("Emulation.setScriptExecutionDisabled", &parameters);
    }

    fn set_scheme(&self, scheme: &str) {
        let feature = format!("{{\"name\":\"prefers-color-scheme\",\"value\":{scheme:?}}}");
        self.devtools("Emulation.setEmulatedMedia", &format!("{{\"features\":[{feature}]}}"));
    }

    fn set_width(&self, width: u32) {
        let parameters = format!(
            "{{\"width\":{width},\"height\":900,\"deviceScaleFactor\":1,\"mobile\":{}}}",
            width < 600
        );
        self.devtools("Emulation.setDeviceMetricsOverride", &parameters);
    }

    /// What the console says of a page: errors, and what its policy kept out.
    fn console(&self) -> String {
        self.call("POST", "/se/log", "{\"type\":\"browser\"}")
    }

    /// Leaves a picture beside the build's output, for people.
    fn picture(&self, name: &str) {
        let answer = self.call("GET", "/screenshot", "");
        let png = answer.strip_prefix("{\"value\":\"").and_then(|rest| rest.strip_suffix("\"}"));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("page-{name}.png"));
        std::fs::write(path, BASE64_STANDARD.decode(png.unwrap()).unwrap()).unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() && !std::thread::panicking() {
            self.call("DELETE", "", "");
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// An agent behind a password, with a textfile whose name is none that one would choose.
fn agent(folder: &Path) -> Agent {
    let users = folder.join("htpasswd");
    std::fs::write(&users, "prom:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n").unwrap();
    std::fs::write(folder.join("<img src=x>.prom"), "mail_queue_size 3\n").unwrap();
    Agent::start(&[
        &format!("--web.htpasswd-file={}", users.display()),
        &format!("--collector.textfile.directory={}", folder.display()),
    ])
}

#[test]
fn the_page_is_readable_without_its_script_and_alive_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = agent(folder.path());
    let browser = Browser::start();
    let url = format!("http://prom:secret@{}/", agent.address);

    browser.set_script(false);
    browser.open(&url);
    assert_eq!(browser.eval("document.title"), "\"Node Exporter\"");
    for id in ["cpu", "load", "memory", "filesystems", "textfiles", "collectors"] {
        let is_seen =
            format!("document.getElementById('{id}').getBoundingClientRect().height > 20");
        assert!(browser.is(&is_seen), "{id}");
    }
    assert!(
        browser.is("document.getElementById('textfiles').innerText.includes('<img src=x>.prom')")
    );
    assert!(browser.is("document.querySelector('img') === null"));
    browser.picture("without-script");

    browser.set_script(true);
    browser.open(&url);
    wait_for("live figures", || browser.is("'live' in document.documentElement.dataset"));
    wait_for("lines", || {
        browser.is("document.querySelectorAll('.spark .line[d]').length > 3")
            && browser.is(
                "/^[0-9.]+.%$/.test(document.querySelector('[data-key=\\'cpu busy\\']').innerText)",
            )
    });
    assert!(browser.is("document.title.endsWith(' \\u00b7 Node Exporter')"));
    assert!(browser.is("document.getElementById('status').innerText.includes('Live')"));

    let mut grounds = Vec::new();
    for scheme in ["light", "dark"] {
        browser.set_scheme(scheme);
        for width in [1280, 360] {
            browser.set_width(width);
            let page = "document.documentElement";
            assert!(browser.is(&format!("{page}.scrollWidth <= {page}.clientWidth")), "{width}");
            browser.picture(&format!("{scheme}-{width}"));
        }
        grounds.push(browser.eval("getComputedStyle(document.body).backgroundColor"));
    }
    assert_ne!(grounds[0], grounds[1]);
    assert_eq!(browser.console(), "{\"value\":[]}");

    browser.eval("[...document.links].find((link) => link.innerText === 'Metrics').click()");
    wait_for("metrics", || browser.is("document.body.innerText.includes('\\nnode_load1 ')"));
    browser.open(&url);
    wait_for("live figures", || browser.is("'live' in document.documentElement.dataset"));
    agent.signal(rustix::process::Signal::TERM);
    agent.wait();
    wait_for("word of the silence", || {
        browser.is("document.getElementById('status').innerText.startsWith('No answer since')")
    });
}
