//! Generic netlink: families that are found by name.

use std::time::Instant;

use rustix::io::Errno;

use super::{GENERIC, Message, Netlink};

/// `sizeof(struct genlmsghdr)`: what stands before the attributes.
pub const HEADER: usize = 4;

const GENL_ID_CTRL: u16 = 0x10;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;

/// One family, such as `ethtool` or `nl80211`.
#[derive(Debug)]
pub struct Family {
    name: &'static str,
    id: Option<u16>,
    netlink: Netlink,
    body: Vec<u8>,
}

impl Family {
    pub const fn new(name: &'static str) -> Self {
        Self { name, id: None, netlink: Netlink::new(Some(GENERIC)), body: Vec::new() }
    }

    /// Whether the kernel has this family.
    pub fn is_present(&mut self, deadline: Instant) -> Result<bool, Errno> {
        if self.id.is_none() {
            self.id = self.look_up(deadline)?;
        }
        Ok(self.id.is_some())
    }

    /// Asks for everything that `command` lists; see [`Netlink::dump`]. `NOENT` where the kernel
    /// does not have this family.
    pub fn dump(
        &mut self,
        command: u8,
        attributes: &[u8],
        deadline: Instant,
        each: impl FnMut(Option<Message<'_>>) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        if !self.is_present(deadline)? {
            return Err(Errno::NOENT);
        }
        let kind = self.id.ok_or(Errno::NOENT)?;
        self.write_body(command, attributes);
        let outcome = self.netlink.dump(kind, &self.body, deadline, each);
        if outcome == Err(Errno::NOENT) {
            // A module that is loaded again gets another number.
            self.id = None;
        }
        outcome
    }

    /// Goes through all families: asked for one by name, the kernel would run `modprobe` each time
    /// that it does not have it.
    fn look_up(&mut self, deadline: Instant) -> Result<Option<u16>, Errno> {
        let mut found = None;
        self.write_body(CTRL_CMD_GETFAMILY, &[]);
        let name = self.name.as_bytes();
        self.netlink.dump(GENL_ID_CTRL, &self.body, deadline, |message| {
            let Some(message) = message else { return Ok(()) };
            let (mut id, mut is_wanted) = (None, false);
            for (kind, payload) in message.attributes(HEADER) {
                match kind {
                    CTRL_ATTR_FAMILY_ID => id = payload.u16_at(0),
                    CTRL_ATTR_FAMILY_NAME => is_wanted = payload.text() == name,
                    _ => {}
                }
            }
            if is_wanted {
                found = id;
            }
            Ok(())
        })?;
        Ok(found)
    }

    fn write_body(&mut self, command: u8, attributes: &[u8]) {
        const VERSION: u8 = 1;
        self.body.clear();
        self.body.extend_from_slice(&[command, VERSION, 0, 0]);
        self.body.extend_from_slice(attributes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_controller_knows_itself_and_nothing_invented() {
        let deadline = Instant::now() + Duration::from_secs(5);
        assert!(Family::new("nlctrl").is_present(deadline).unwrap());
        assert!(!Family::new("hostwarden").is_present(deadline).unwrap());
    }
}
