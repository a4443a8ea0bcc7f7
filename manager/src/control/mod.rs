//! What the API asks for.
//!
//! One lock orders all changes. A change goes: check, do it to the switch, hand it to the state writer, let go of the lock, wait
//! for the fences and the disk, answer. Reading takes the lock for as long as a copy takes. Devices are set up and closed without
//! it (`attach`).

mod affinity;
mod attach;
mod bridges;
mod datapath_views;
mod devices;
mod dpdk_options;
mod errors;
mod fdb;
mod flows;
mod groups;
mod kernel_ports;
mod meters;
mod metrics;
mod mirrors;
mod mock;
mod names;
mod nics;
mod offload;
mod pmd_settings;
mod pmds;
mod port_checks;
mod ports;
mod restore;
mod tables;
mod trace;
mod views;

pub use dpdk_options::DpdkOptions;
pub use errors::{about, invalid};
pub use nics::NicWatch;

use crate::nic::Nic;
use crate::state::{Change, Desired, Store, StoreError};
use crate::switch::Switch;
use ::kernel_ports::{KernelPort, KernelPorts};
use api::{Ack, Error, ErrorKind};
use datapath::memory::{Pools, Settings};
use flow::DpPort;
use flow::dp::BridgeId;
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The daemon's brain.
#[derive(Debug)]
pub struct Control {
    switch: Arc<Switch>,
    store: Store,
    kernel: KernelPorts,
    nics: nics::Nics,
    /// Rules of the host's own DPDK ports.
    hardware: Option<Arc<crate::nic::Hardware>>,
    pools: Pools,
    inner: Mutex<Inner>,
    captures: Mutex<offload::Captures>,
    /// Work on a port has ended.
    worked: Condvar,
    started: Instant,
}

type Locked<'a> = MutexGuard<'a, Inner>;

#[derive(Debug)]
struct Inner {
    desired: Desired,
    nic: Nic,
    /// Bridges by name.
    bridges: BTreeMap<String, BridgeId>,
    /// Ports by name, as they are: one that could not be attached has the reason instead of a number.
    ports: BTreeMap<String, Attached>,
    /// The devices of those that face the kernel.
    kernel: BTreeMap<String, KernelPort>,
    offload: bool,
    /// Ports that are removed but for a worker that has not given them back, or a device that is being closed.
    draining: Vec<attach::Draining>,
    /// Ports that were to be drained so far.
    drained: u64,
    /// Ports without their device, by name: when it is looked for again.
    retries: BTreeMap<String, devices::Retry>,
    /// Rules that went by themselves.
    removals: flows::Removals,
    pmds: pmd_settings::Pmds,
}

/// A desired port and what became of it.
#[derive(Clone, Debug)]
struct Attached {
    bridge: String,
    port: api::Port,
    state: Result<DpPort, String>,
    work: Option<attach::Work>,
    /// Its number in DPDK, while it is in the switch.
    ethdev: Option<u16>,
    /// It is there for the sake of that work only: its name is not to be taken.
    claimed: bool,
}

impl Control {
    /// A control over a switch without bridges; [`Control::restore`] brings in what `desired` says.
    #[must_use]
    pub fn new(switch: Arc<Switch>, nic: Nic, store: Store) -> Control {
        let nics = nics::Nics::new(nic.kernel());
        let hardware = nic.hardware();
        let inner = Inner {
            desired: Desired::default(),
            nic,
            bridges: BTreeMap::new(),
            ports: BTreeMap::new(),
            kernel: BTreeMap::new(),
            offload: true,
            draining: Vec::new(),
            drained: 0,
            retries: BTreeMap::new(),
            removals: flows::Removals::default(),
            pmds: pmd_settings::Pmds::default(),
        };
        let kernel = KernelPorts::new(switch.eal(), switch.pool().clone());
        let pools = Pools::with_base(switch.eal(), Settings::default(), switch.pool().clone());
        Control {
            switch,
            store,
            kernel,
            nics,
            hardware,
            pools,
            inner: Mutex::new(inner),
            captures: Mutex::default(),
            worked: Condvar::new(),
            started: Instant::now(),
        }
    }

    /// With pools for ports; else all share the switch's own.
    #[must_use]
    pub fn with_pools(self, pools: Pools) -> Control {
        Control { pools, ..self }
    }

    /// With what the configuration says of NICs.
    #[must_use]
    pub fn with_nics(mut self, config: &crate::config::Config) -> Control {
        self.nics.configure(config);
        self
    }

    /// Take and count packets for controllers.
    pub fn drain_punted(&self) {
        self.switch.drain_punted();
    }

    fn lock(&self) -> Locked<'_> {
        // A panic under the lock ended one request; the state it left is what there is.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lock, for a change: refused while the state file cannot be written.
    fn change(&self) -> Result<Locked<'_>, Error> {
        self.store.ready().map_err(|e| self.store_error(&e, "nothing was changed"))?;
        Ok(self.lock())
    }

    /// Persist `changes`, fence, and answer. Takes the lock: the order of commits is the order of changes.
    fn commit(&self, inner: Locked<'_>, changes: Vec<Change>, changed: usize) -> Result<Ack, Error> {
        self.commit_after(inner, changes, changed, || ())
    }

    /// The same, with something to wait for before the fence.
    fn commit_after(
        &self,
        inner: Locked<'_>,
        changes: Vec<Change>,
        changed: usize,
        wait: impl FnOnce(),
    ) -> Result<Ack, Error> {
        let ticket = self.store.submit(changes);
        drop(inner);
        wait();
        // While the disk is at work.
        let mut ack = Ack::from(self.switch.fence());
        ticket
            .wait()
            .map_err(|e| self.store_error(&e, "the change is in force, and is written as soon as the file can be"))?;
        ack.changed = changed;
        Ok(ack)
    }

    fn store_error(&self, e: &StoreError, then: &str) -> Error {
        let why = match e {
            StoreError::Write { why, .. } => format!("cannot be written: {why}"),
            other => other.to_string(),
        };
        let object = format!("state file {}", self.store.path().display());
        Error::new(ErrorKind::Failed, object, format!("{why}; {then}")).remedy("free space or mend the file system")
    }
}
