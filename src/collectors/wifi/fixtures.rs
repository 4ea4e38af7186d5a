//! Wireless interfaces as JSON files tell them.

use serde::Deserialize;

use super::{HardwareAddress, Station, base64_address, push_frequency, push_network};
use crate::collector::prelude::*;
use crate::host::json;

pub(super) struct Fixtures {
    directory: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Interface {
    name: String,
    frequency: i64,
    /// Not told, but it has to be a number.
    #[serde(rename = "type")]
    _kind: i64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Network {
    ssid: String,
    #[serde(deserialize_with = "base64_address")]
    bssid: HardwareAddress,
    status: i64,
}

impl Fixtures {
    pub(super) fn new(directory: String) -> Self {
        Self { directory }
    }
}

impl Collector for Fixtures {
    fn collect(&mut self, cx: &mut Cx<'_>, out: &mut Samples) -> Result<()> {
        let root = Root::new(&self.directory);
        let interfaces: Option<Vec<Interface>> = json::read(&root, "interfaces.json", cx.text)?;
        for Interface { name, frequency, .. } in interfaces.iter().flatten() {
            if name.is_empty() {
                continue;
            }
            push_frequency(out, name.as_bytes(), *frequency);
            let network = json::read(&root, &format!("{name}/bss.json"), cx.text);
            if let Some(network) = unless_absent::<Option<Network>>(network)? {
                let Network { ssid, bssid, status } = network.unwrap_or_default();
                push_network(out, name.as_bytes(), &bssid, ssid.as_bytes(), status);
            }
            let stations = json::read(&root, &format!("{name}/stationinfo.json"), cx.text);
            let stations = unless_absent::<Option<Vec<Station>>>(stations)?.flatten();
            stations.iter().flatten().for_each(|station| station.push(out, name.as_bytes()));
        }
        Ok(())
    }
}

fn unless_absent<T>(outcome: Result<T>) -> Result<Option<T>> {
    match outcome {
        Err(error) if error.is_absent() => Ok(None),
        outcome => outcome.map(Some),
    }
}
