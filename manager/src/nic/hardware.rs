//! Flow rules of the host's own DPDK ports.
//!
//! A port that comes is asked what its device takes, by rules that are thrown away; one that takes none is let go at once. What
//! is claimed of a driver is the upper bound. A port that leaves is taken out of the planner's world first; its rules leave the
//! device with the engine, and what is left of them when the port is closed is taken out here.

use dpdk::Port;
use offload::rte_flow::ask;
use offload::{Capabilities, EswitchDomain, EthdevId, PortInfo, PortKind};
use representors::{Function, RepName};
use rte_flow_rs::{DriverFacts, RealRteFlow, Requirement, SharedRteFlow};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Asked;
use super::capability_files::CapabilityFiles;
use super::driver::{Driver, Marks};
use super::names::{self, Which};

/// What a device takes, and where it is.
#[derive(Clone, Debug)]
struct Device {
    asked: Asked,
    driver: Driver,
    domain: Option<EswitchDomain>,
    rx_queues: u16,
}

/// The ports whose devices take rules, by their numbers in DPDK.
#[derive(Debug)]
pub struct Hardware {
    rte_flow: SharedRteFlow<RealRteFlow>,
    devices: Mutex<HashMap<u16, Device>>,
    /// Why the others take none.
    refused: Mutex<HashMap<u16, String>>,
    files: CapabilityFiles,
}

impl Default for Hardware {
    fn default() -> Self {
        Hardware {
            rte_flow: SharedRteFlow::new(RealRteFlow::new()),
            devices: Mutex::default(),
            refused: Mutex::default(),
            files: CapabilityFiles::default(),
        }
    }
}

/// What may be claimed of a driver's devices before they are asked. DPDK's guides of the drivers (nics/mlx5, nics/ice, nics/i40e):
/// mlx5 takes rules of its eswitch, ice counts, drops, marks and redirects, and others mark at most. Whether transfer rules mark
/// depends on devargs.
fn claims(driver: &str, facts: &DriverFacts) -> Capabilities {
    let preset = match driver {
        "mlx5_pci" | "net_mlx5" | "mlx5_auxiliary" => "connectx",
        "net_ice" | "net_ice_dcf" => "e810",
        _ => "mark-only",
    };
    // The names are those of presets.
    let mut caps = Capabilities::preset(preset).unwrap_or_default();
    caps.name = driver.to_owned();
    // How many rules there is room for, the device says when it is full.
    caps.max_rules = None;
    if let Some(transfer) = &mut caps.transfer {
        transfer.mark = facts.mark_in_transfer;
    }
    caps
}

fn rx_queues(port: &Port) -> u16 {
    port.setup().map_or(0, |setup| setup.rx_queues)
}

impl Hardware {
    /// With what an administrator says of devices.
    #[must_use]
    pub fn with_files(files: CapabilityFiles) -> Hardware {
        Hardware { files, ..Hardware::default() }
    }

    /// Calls of rte_flow on these ports.
    #[must_use]
    pub fn rte_flow(&self) -> SharedRteFlow<RealRteFlow> {
        self.rte_flow.clone()
    }

    fn devices(&self) -> MutexGuard<'_, HashMap<u16, Device>> {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A port has come, set up and started. Takes as long as the device takes to answer.
    pub fn come(&self, port: &Port) {
        let Ok(info) = port.info() else { return };
        let (id, name) = (port.id(), port.name().to_owned());
        let mut api = self.rte_flow.clone();
        if let Err(e) = api.lock().add_port(port.clone()) {
            return self.refuse(id, &name, e.to_string());
        }
        let it = EthdevId(id);
        let driver = Driver::of(&info.driver, port, &mut api);
        let marks = Marks::of(&driver.facts, port.rx_metadata());
        let claims = claims(&info.driver, &driver.facts);
        let found = Asked::about(claims, marks, &self.files, |claims| ask(&mut api, claims, it, it));
        match found {
            Ok(asked) if asked.caps.transfer.is_some() || asked.caps.partial.is_some() => {
                tracing::info!(
                    "port {name}: driver {} takes rules: {} of {} were refused",
                    info.driver,
                    asked.probed.denied.len(),
                    asked.probed.rules
                );
                for need in driver.needs(&name) {
                    tracing::info!("{need}");
                }
                let domain = info.switch.as_ref().map(|s| EswitchDomain(s.domain_id));
                let device = Device { asked, driver, domain, rx_queues: rx_queues(port) };
                self.devices().insert(id, device);
            }
            Ok(Asked { probed, .. }) => {
                let why = probed.denied.first().map_or_else(String::new, |d| format!(": {}", d.error));
                self.refuse(id, &name, format!("driver {} takes none that mark, or switch, packets{why}", info.driver));
            }
            Err(e) => self.refuse(id, &name, format!("driver {} cannot be asked: {e}", info.driver)),
        }
    }

    fn refuse(&self, id: u16, name: &str, why: String) {
        tracing::info!("port {name}: no rules: {why}");
        drop(self.rte_flow.lock().remove_port(id));
        self.refused().insert(id, why);
    }

    fn refused(&self) -> MutexGuard<'_, HashMap<u16, String>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why a port's device takes no rules; `None` when it takes some, or is not known.
    #[must_use]
    pub fn why_not(&self, id: u16) -> Option<String> {
        self.refused().get(&id).cloned()
    }

    /// A port has been set up anew. What rules it had is gone, what it takes is not.
    pub fn again(&self, port: &Port) {
        if let Some(device) = self.devices().get_mut(&port.id()) {
            device.rx_queues = rx_queues(port);
        }
    }

    /// A port goes: what the device still has of it is taken out, and it is let go, so that it can be closed.
    pub fn gone(&self, id: u16) {
        self.refused().remove(&id);
        if self.devices().remove(&id).is_some() {
            drop(self.rte_flow.lock().remove_port(id));
        }
    }

    /// Drivers of the devices that take rules.
    #[must_use]
    pub fn describe(&self) -> String {
        let drivers: BTreeSet<String> = self.devices().values().map(|d| d.asked.caps.name.clone()).collect();
        drivers.into_iter().collect::<Vec<_>>().join(", ")
    }

    /// Whether a port's device takes rules.
    #[must_use]
    pub fn has(&self, id: u16) -> bool {
        self.devices().contains_key(&id)
    }

    /// What a port's device answered when it was asked.
    #[must_use]
    pub fn asked(&self, id: u16) -> Option<Asked> {
        self.devices().get(&id).map(|device| device.asked.clone())
    }

    /// What another start of a port would give, with other devargs.
    #[must_use]
    pub fn needs(&self, port_name: &str, id: u16) -> Vec<Requirement> {
        self.devices().get(&id).map_or_else(Vec::new, |device| device.driver.needs(port_name))
    }

    /// What the planner may know of a port.
    #[must_use]
    pub fn port_info(&self, port_name: &str, representor: Option<&str>, id: u16) -> Option<PortInfo> {
        let device = self.devices().get(&id)?.clone();
        let kind = match (device.domain, representor.and_then(names::which)) {
            (None, _) => PortKind::Nic,
            (Some(_), Some(Which::Of(RepName { function: Function::Vf(vf), .. }))) => PortKind::VfRepresentor(vf),
            (Some(_), _) => PortKind::Uplink,
        };
        Some(PortInfo {
            name: port_name.to_owned(),
            kind,
            ethdev: EthdevId(id),
            domain: device.domain,
            rx_queues: device.rx_queues,
            caps: device.asked.caps,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dpdk::{RingMode, ring, testing};

    #[test]
    fn what_is_claimed_is_of_the_driver() {
        let claims = |driver, devargs| claims(driver, &DriverFacts::of(driver).with(devargs));
        assert!(claims("mlx5_pci", "0000:03:00.0").transfer.is_some_and(|t| !t.mark));
        assert!(claims("mlx5_pci", "0000:03:00.0,dv_xmeta_en=1").transfer.is_some_and(|t| t.mark));
        assert!(claims("net_ice", "").transfer.is_some_and(|t| t.max_outputs == 1));
        let other = claims("net_i40e", "");
        assert!(other.transfer.is_none() && other.partial.is_some() && other.max_rules.is_none());
        assert_eq!(other.name, "net_i40e");
    }

    #[test]
    fn a_port_without_rules_is_let_go_at_once() {
        let eal = testing::eal();
        let (_in, rx) = ring(eal, "hardware_none", 31, RingMode::SpSc).unwrap();
        let (tx, _out) = ring(eal, "hardware_none", 31, RingMode::SpSc).unwrap();
        let port = Port::from_rings(eal, "hardware_none", vec![rx], vec![tx]).unwrap();
        let hardware = Hardware::default();
        hardware.come(&port);
        assert!(!hardware.has(port.id()));
        let why = hardware.why_not(port.id()).unwrap();
        assert!(why.starts_with("driver net_ring takes none that mark, or switch, packets: "), "{why}");
        assert!(hardware.port_info("p0", None, port.id()).is_none());
        assert!(hardware.rte_flow.lock().remove_port(port.id()).is_none(), "nothing holds it open");
    }
}
