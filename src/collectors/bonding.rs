//! Bonds and how many of their links are up, from rtnetlink, or from `/sys/class/net/BOND/bonding`
//! where that shows another network namespace or a fixture tree.

use crate::collector::prelude::*;
use crate::host::netlink::links::{Driver, Links, Mirror};

pub static SPEC: Spec = Spec::new("bonding", On, "rtnetlink links, /sys/class/net", &[], |_| {
    Ok(Box::new(Bonding::default()))
});

static SLAVES: Desc =
    gauge("node_bonding_slaves", "Links that are configured into the bond.", &["master"]);
static ACTIVE: Desc =
    gauge("node_bonding_active", "Links of the bond that its monitor finds up.", &["master"]);

/// The module makes this file; without it there are no bonds to speak of.
const MASTERS: &str = "class/net/bonding_masters";

/// `BOND_LINK_UP`, which sysfs spells `up`.
const UP: u8 = 0;

#[derive(Default)]
struct Bonding {
    mirror: Mirror,
    masters: Vec<u8>,
    slaves: Vec<u8>,
    slaves_path: String,
}

impl Collector for Bonding {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        match cx.sys.stat(MASTERS) {
            Ok(_) => {}
            Err(Errno::NOENT) => return Err(Error::no_data("the bonding module is not loaded")),
            Err(errno) => return Err(Error::io(MASTERS, errno)),
        }
        if let Some(links) = self.mirror.links(cx)? {
            tell(&links, out);
            return Ok(());
        }
        out.all_or_nothing(|out| self.read(cx, out)).absent_is_no_data()
    }
}

fn tell(links: &Links, out: &mut Samples) {
    for bond in links.iter().filter(|link| link.driver == Driver::Bond) {
        let slaves = links.iter().filter(|link| link.master == Some(bond.index));
        let statuses = slaves.filter_map(|link| link.bond_mii_status);
        let (slaves, active) = statuses.fold((0u32, 0u32), |(slaves, active), status| {
            (slaves + 1, active + u32::from(status == UP))
        });
        let master = bond.name.bytes();
        out.push(&SLAVES, &[&master], slaves);
        out.push(&ACTIVE, &[&master], active);
    }
}

impl Bonding {
    fn read(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        let Self { masters, slaves, slaves_path, .. } = self;
        for master in cx.sys.read_once(MASTERS, masters)?.fields() {
            let master = master.as_str()?;
            join(slaves_path, &["class/net/", master, "/bonding/slaves"]);
            let (mut count, mut active) = (0u32, 0u32);
            for slave in cx.sys.read_once(slaves_path, slaves)?.fields() {
                let slave = slave.as_str()?;
                let mut is_up = None;
                // Before Linux 3.19 the link was called slave_….
                for prefix in ["/lower_", "/slave_"] {
                    let status = "/bonding_slave/mii_status";
                    join(cx.path, &["class/net/", master, prefix, slave, status]);
                    if let Some(status) = cx.sys.read_present(cx.path, cx.text)? {
                        is_up = Some(status.trim().bytes == b"up");
                        break;
                    }
                }
                let is_up = is_up.ok_or_else(|| Error::no_data("a link left its bond"))?;
                count += 1;
                active += u32::from(is_up);
            }
            out.push(&SLAVES, &[&master], count);
            out.push(&ACTIVE, &[&master], active);
        }
        Ok(())
    }
}
