//! Keys and certificates as an operator makes them, with openssl, once for all tests.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// `server` is RSA, self-signed and its own authority; `client` is signed by `ca` and bears the name test3; `plain` is signed by
/// `ca` and bears no name; `foreign` is signed by nobody; `renewed` is another `server`.
pub(crate) fn file(name: &str) -> PathBuf {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    FOLDER.get_or_init(make).path().join(name)
}

pub(crate) fn pem(name: &str) -> String {
    std::fs::read_to_string(file(name)).unwrap()
}

fn make() -> tempfile::TempDir {
    const LOCALHOST: &str = "subjectAltName=DNS:localhost,IP:127.0.0.1";
    let folder = tempfile::tempdir().unwrap();
    let issue = |name: &str, kind: &[&str], more: &[&str]| {
        let output = Command::new("openssl")
            .current_dir(folder.path())
            .args(["req", "-x509", "-nodes", "-days", "2", "-subj", &format!("/CN={name}")])
            .args(["-out", &format!("{name}.pem"), "-keyout", &format!("{name}.key")])
            .args(kind)
            .args(more)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let rsa = ["-newkey", "rsa:2048"];
    let ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
    let signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "basicConstraints=CA:FALSE"];
    issue("server", &rsa, &["-addext", LOCALHOST]);
    issue("renewed", &ec, &["-addext", LOCALHOST]);
    issue("ca", &ec, &[]);
    issue("client", &ec, &[&signed[..], &["-addext", "subjectAltName=DNS:test3"]].concat());
    issue("plain", &ec, &signed);
    issue("foreign", &ec, &["-addext", "subjectAltName=DNS:test3"]);
    folder
}
