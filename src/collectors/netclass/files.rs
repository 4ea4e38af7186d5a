//! Network devices as the files below `class/net` say.

use std::fmt::Write as _;

use super::{ATTRIBUTES, Device, is_without_value, number};
use crate::collector::prelude::*;

#[derive(Default)]
pub(super) struct Files {
    devices: Listing,
    attributes: Listing,
    device: Device,
}

impl Files {
    /// Nothing is told when a device vanishes while its files are read.
    pub(super) fn tell(
        &mut self,
        filter: &Filter,
        cx: &mut Cx<'_>,
        out: &mut Samples,
        tell: &mut impl FnMut(&[u8], &mut Device, &mut Samples),
    ) -> Result<()> {
        let Self { devices, attributes, device } = self;
        list(cx.sys, "class/net", devices)?;
        out.all_or_nothing(|out| {
            for entry in devices.iter().filter(|entry| !entry.is_regular()) {
                if filter.drops(entry.name) {
                    continue;
                }
                cx.path.clear();
                // A String takes every write.
                let _ = write!(cx.path, "class/net/{}", entry.name);
                list(cx.sys, cx.path, attributes)?;
                read(attributes, device, cx)?;
                tell(entry.name.as_bytes(), device, out);
            }
            Ok(())
        })
    }
}

fn list(sys: &Root, path: &str, listing: &mut Listing) -> Result<()> {
    match sys.try_list(path, listing) {
        Ok(()) => Ok(()),
        Err(Errno::NOENT | Errno::ACCESS | Errno::PERM) => {
            Err(Error::no_data("class/net: a directory is not there or not readable"))
        }
        Err(errno) => Err(Error::io(path, errno)),
    }
}

/// Reads the attributes of the device whose directory is `cx.path`.
fn read(attributes: &Listing, device: &mut Device, cx: &mut Cx<'_>) -> Result<()> {
    device.clear();
    let directory = cx.path.len();
    for entry in attributes.iter().filter(|entry| entry.is_regular()) {
        let Device { address, broadcast, duplex, operstate, ifalias, numbers } = device;
        let text = match entry.name {
            "address" => Some(address),
            "broadcast" => Some(broadcast),
            "duplex" => Some(duplex),
            "operstate" => Some(operstate),
            "ifalias" => Some(ifalias),
            _ => None,
        };
        let place = match entry.name {
            "speed" => Some(&mut numbers.speed),
            name => ATTRIBUTES
                .iter()
                .find(|attribute| attribute.file == name)
                .map(|attribute| (attribute.place)(numbers)),
        };
        if text.is_none() && place.is_none() {
            continue;
        }
        cx.path.truncate(directory);
        let _ = write!(cx.path, "/{}", entry.name);
        let value = match cx.sys.attribute_once(cx.path, cx.text) {
            Ok(value) => value.bytes,
            Err(errno) if is_without_value(errno) => continue,
            Err(errno) => return Err(Error::io(cx.path, errno)),
        };
        if let Some(text) = text {
            text.extend_from_slice(value);
        }
        if let Some(place) = place {
            *place = Some(number(value));
        }
    }
    Ok(())
}
