//! What systemd keeps for the agent: its port, a folder for a socket of its own, and secrets that only root may read.

use super::{Machine, publish, told_by_the_readme};
use crate::agent::wait_for;

const CONFIG: &str = "tls_server_config:
  cert_file: cert.pem
  key_file: /run/credentials/hostwarden.service/hostwarden.key
";

const OPTIONS: &str = "HOSTWARDEN_OPTS=\"--web.systemd-socket \
    --web.config.file=/etc/hostwarden/web.yml \
    --web.htpasswd-file=/run/credentials/hostwarden.service/hostwarden.htpasswd\"\n";

#[test]
fn port_and_secrets_come_from_systemd() {
    let machine = installed();
    let issued = rcgen::generate_simple_self_signed(["agent".to_owned()]).unwrap();
    let hash = hostwarden::web::password::hash(b"secret", 5).unwrap();
    for (path, content) in [
        ("/etc/credstore/hostwarden.key", issued.signing_key.serialize_pem()),
        ("/etc/credstore/hostwarden.htpasswd", format!("prom:{hash}\n")),
        ("/etc/hostwarden/cert.pem", issued.cert.pem()),
        ("/etc/hostwarden/web.yml", CONFIG.to_owned()),
        ("/etc/default/hostwarden", OPTIONS.to_owned()),
    ] {
        machine.write(path, content);
    }
    machine.sh("chmod 700 /etc/credstore && chmod 600 /etc/credstore/*");
    let [_, socket] = told_by_the_readme("A password and TLS").try_into().expect("two blocks");
    machine.sh(&socket);
    let scrape = |password: &str| {
        machine.output(&format!(
            "curl -sf --cacert /etc/hostwarden/cert.pem --resolve agent:9158:127.0.0.1 \
             -u prom:{password} https://agent:9158/metrics"
        ))
    };
    assert!(scrape("secret").status.success());
    assert!(!scrape("wrong").status.success());
    machine.sh("systemctl reload hostwarden");

    // Nobody is refused while the agent restarts.
    machine.sh("systemctl stop hostwarden");
    assert!(scrape("secret").status.success(), "{}", machine.journal());
    machine.sh("systemctl restart --no-block hostwarden");
    for _ in 0..20 {
        assert!(scrape("secret").status.success(), "{}", machine.journal());
    }
    wait_for("the agent", || machine.output("systemctl is-active hostwarden").status.success());
}

#[test]
fn a_socket_of_its_own_has_a_folder() {
    let machine = installed();
    let listen = "unix:/run/hostwarden/web.sock,mode=0660";
    let options = format!("HOSTWARDEN_OPTS=\"--web.listen-address={listen}\"\n");
    machine.write("/etc/default/hostwarden", options);
    machine.sh("systemctl restart hostwarden");
    assert_eq!(machine.sh("stat -c '%a %U' /run/hostwarden/web.sock"), "660 hostwarden\n");
    machine.sh("curl -sf --unix-socket /run/hostwarden/web.sock http://agent/metrics");
    machine.sh("systemctl stop hostwarden && ! test -e /run/hostwarden");
}

fn installed() -> Machine {
    let machine = Machine::boot("activated");
    publish(&machine);
    machine.sh("dpkg -i /srv/release/packages/hostwarden_0.1.0_*.deb");
    machine
}
