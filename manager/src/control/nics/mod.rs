//! NICs: eswitches, VFs, representors, and the ports on them.
//!
//! A change of a NIC takes the kernel seconds. It has its turn (one change at a time) and never the control lock
//! while the kernel is at work:
//!
//! 1. What is desired from now on is on disk, so that a daemon that is killed meanwhile goes on where it was.
//! 2. Ports on what the change takes away leave the switch, and their rules the hardware (`ports`).
//! 3. The kernel does its part, each step verified, all rolled back when one fails (crate `representors`).
//! 4. Ports come back whose representors are there; others wait for theirs.
//!
//! Somebody else may change a NIC, too: that is noticed, told, and repaired when the configuration says so (`drift`).
//!
//! When 2 or 3 fails, what was desired before is desired again, and the ports come back just the same.

mod attach;
mod change;
mod check;
mod drift;
mod ports;
mod turn;
mod views;

pub use drift::NicWatch;

use crate::config::{Config, DriftPolicy};
use crate::nic::Host;
use drift::Watched;
use representors::DeviceId;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use turn::Turns;

/// What control knows of NICs beside the desired state.
#[derive(Debug)]
pub(super) struct Nics {
    host: Host,
    turns: Turns,
    /// The PF on whose eswitch no port may be opened now.
    off_limits: Mutex<Option<String>>,
    /// What others changed, by PF.
    watched: Mutex<BTreeMap<String, Watched>>,
    policy: DriftPolicy,
    /// PCI devices that DPDK may have, with their device arguments.
    pci: Vec<String>,
}

impl Nics {
    pub(super) fn new(host: Host) -> Nics {
        Nics {
            host,
            turns: Turns::default(),
            off_limits: Mutex::default(),
            watched: Mutex::default(),
            policy: DriftPolicy::default(),
            pci: Vec::new(),
        }
    }

    pub(super) fn configure(&mut self, config: &Config) {
        self.policy = config.nic.drift;
        self.pci.clone_from(&config.datapath.pci);
    }

    /// What the configuration says of a device that DPDK may have: `0000:08:00.0`, and its device arguments.
    fn pci(&self, device: &DeviceId) -> Option<&str> {
        let address = |entry: &&String| entry.split(',').next() == Some(&*device.name);
        self.pci.iter().find(address).filter(|_| device.bus == "pci").map(String::as_str)
    }

    /// From now on no port may be opened on this PF's eswitch, or on all again.
    fn set_off_limits(&self, pf: Option<&str>) {
        *self.off_limits.lock().unwrap_or_else(PoisonError::into_inner) = pf.map(str::to_owned);
    }

    /// Whether no port may be opened on this PF's eswitch.
    fn is_off_limits(&self, pf: &str) -> bool {
        self.off_limits.lock().unwrap_or_else(PoisonError::into_inner).as_deref() == Some(pf)
    }

    pub(super) fn host(&self) -> &Host {
        &self.host
    }
}
