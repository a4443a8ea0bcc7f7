//! A fake kernel: devlink, rtnetlink and sysfs of a host with SR-IOV NICs.
//!
//! It stands behind the same two seams as the real kernel (`netlink::Transport`, `netlink::Sysfs`) and gets and gives
//! the same bytes: it frames and parses netlink with code and constants of its own, so that a mistake in the clients'
//! codecs is not mirrored here. It enforces the orders that drivers want ([`Profile`]), sends multicast events, can
//! let virtual functions appear late, can rename network devices at any time, and fails on demand ([`Fault`],
//! [`FaultRule`], [`FakeKernel::chaos`]).
//!
//! It has what converging a NIC touches: eswitch and its modes, VFs with drivers, IOMMU groups and holders, their
//! settings both ways (`IFLA_VFINFO_LIST`, devlink port functions and rates), sub-functions, representors,
//! `hw-tc-offload`, bonds and qdiscs. What a driver refuses is taken from the driver's source (mlx5 in switchdev:
//! VLAN, spoof check and trust; ice: trust; netdevsim: rates), or was tried in the lab (igb: link state, service
//! tags).
//!
//! [`Recorded`] is another kernel: it says of a NIC what a file says, for drivers' ways that the model has not.
//!
//! Nothing waits in it: a `recv` without an answer returns at once, whatever its timeout, so that tests of lost answers are quick.

mod devlink;
mod ethtool;
mod fault;
mod functions;
mod model;
mod profile;
mod recorded;
mod route;
mod sockets;
mod sysfs;
mod wire;

#[cfg(test)]
mod tests;

use std::{
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use netlink::{KernelAccess, OpenFile, Protocol, Sysfs, Transport};

pub use fault::{Fault, FaultRule, Op};
pub use model::{NicSnapshot, NicSpec, SfSnapshot, VfSnapshot};
pub use profile::Profile;
pub use recorded::{BadRecord, Recorded};

use fault::Faults;
use model::Host;
use sockets::{FakeSocket, Sockets};

/// The fake kernel. Clones are handles on the same one.
#[derive(Clone, Default)]
pub struct FakeKernel(Arc<Mutex<World>>);

#[derive(Debug, Default)]
struct World {
    host: Host,
    sockets: Sockets,
    faults: Faults,
    journal: Vec<String>,
    events: u64,
}

impl fmt::Debug for FakeKernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeKernel").field("nics", &self.snapshot().len()).finish_non_exhaustive()
    }
}

impl FakeKernel {
    /// A host without NICs.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Plugs a NIC in: legacy mode, no VFs.
    pub fn add_nic(&self, spec: NicSpec) {
        let mut world = self.world();
        world.host.add_nic(spec);
        world.publish();
    }

    /// Renames a network device, as udev or a user does. False when there is none called `from`, or one called `to`.
    pub fn rename(&self, from: &str, to: &str) -> bool {
        let mut world = self.world();
        let done = world.host.rename(from, to);
        world.publish();
        done
    }

    /// From now on each new representor gets another name, so many operations after it came, as udev does.
    pub fn rename_new_after(&self, operations: u32) {
        self.world().host.renamer = Some(operations);
    }

    /// Pulls a NIC out, with its VFs and representors. False when there is none called `name`.
    pub fn remove_nic(&self, name: &str) -> bool {
        let mut world = self.world();
        let done = world.host.remove_nic(name);
        world.publish();
        done
    }

    /// The same, after so many operations.
    pub fn remove_nic_after(&self, name: &str, operations: u32) {
        self.world().host.vanishing.push((name.to_owned(), operations));
    }

    /// Adds a qdisc to the network device `dev`, or takes it away. False when that changes nothing.
    pub fn set_qdisc(&self, dev: &str, kind: &'static str, present: bool) -> bool {
        let mut world = self.world();
        let done = world.host.qdisc(dev, kind, present);
        world.publish();
        done
    }

    /// A bond called `name` of these network devices; `mode` as in linux/if_bonding.h.
    pub fn add_bond(&self, name: &str, mode: u8, ports: &[&str]) {
        let mut world = self.world();
        world.host.add_bond(name, mode, ports);
        world.publish();
    }

    /// A process opens the VFIO group of the function at `address`. False when there is none.
    pub fn hold(&self, address: &str, pid: u32, process: &str) -> bool {
        let mut world = self.world();
        let Some(group) = sysfs::iommu_group(&world.host, address) else { return false };
        let file = OpenFile { path: format!("/dev/vfio/{group}"), pid, name: process.to_owned() };
        world.host.holders.push(file);
        true
    }

    /// Packets pass between a VF of the NIC called `nic` and software: to the VF, or from it. False when there is no such VF.
    pub fn count(&self, nic: &str, vf: u16, to_vf: bool, packets: u64, bytes: u64) -> bool {
        self.world().host.count(nic, vf, to_vf, packets, bytes)
    }

    /// The driver of the NIC called `nic` tells of a VLAN of a VF, though nobody could have set it. False when there is no such VF.
    pub fn tell_vlan(&self, nic: &str, vf: u16, id: u16, qos: u8) -> bool {
        self.world().host.tell_vlan(nic, vf, id, qos)
    }

    /// Adds a fault to come.
    pub fn inject(&self, rule: FaultRule) {
        self.world().faults.add(rule);
    }

    /// From now on, about `per_mille` of a thousand operations meet a random fault, by `seed`. 0 ends it.
    pub fn chaos(&self, seed: u64, per_mille: u16) {
        self.world().faults.chaos(seed, per_mille);
    }

    /// Forgets all faults, and lets functions that are under way appear.
    pub fn calm(&self) {
        let mut world = self.world();
        world.faults = Faults::default();
        world.host.finish_pending();
        world.publish();
    }

    /// How many operations (netlink requests, sysfs accesses) there have been.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.world().faults.operations()
    }

    /// How many events there have been, and how often a socket that listens overran.
    #[must_use]
    pub fn events(&self) -> (u64, u64) {
        let world = self.world();
        (world.events, world.sockets.overruns())
    }

    /// What the NICs are like now, for tests to compare.
    #[must_use]
    pub fn snapshot(&self) -> Vec<NicSnapshot> {
        self.world().host.snapshot()
    }

    /// The changes that were carried out, in order, in words.
    #[must_use]
    pub fn journal(&self) -> Vec<String> {
        self.world().journal.clone()
    }

    fn world(&self) -> MutexGuard<'_, World> {
        // A test that panicked while holding the lock has failed already.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World {
    /// Counts an operation, lets time pass for functions under way, and says what goes wrong with it.
    fn begin(&mut self, op: Op) -> Option<Fault> {
        self.host.tick();
        self.publish();
        self.faults.next(op)
    }

    /// Sends the events that the model produced to the sockets that listen.
    fn publish(&mut self) {
        for event in self.host.take_events() {
            self.events += 1;
            if self.faults.take_event_loss() {
                continue;
            }
            let (protocol, group, bytes) = match event {
                model::Event::Link { gone, dev } => (Protocol::Route, route::GROUP_LINK, route::event(gone, &dev)),
                model::Event::Port { gone, attrs } => {
                    (Protocol::Generic, devlink::GROUP_CONFIG, devlink::event(gone, attrs))
                }
                model::Event::Qdisc { gone, ifindex, kind } => {
                    (Protocol::Route, route::GROUP_TC, route::qdisc_event(gone, ifindex, kind))
                }
            };
            self.sockets.multicast(protocol, group, &bytes);
        }
    }
}

impl KernelAccess for FakeKernel {
    fn open(&self, protocol: Protocol) -> io::Result<Box<dyn Transport>> {
        let id = self.world().sockets.open(protocol);
        Ok(Box::new(FakeSocket::new(self.clone(), id)))
    }

    fn sysfs(&self) -> Box<dyn Sysfs> {
        Box::new(sysfs::FakeSysfs(self.clone()))
    }

    fn open_files(&self, prefix: &str) -> Vec<OpenFile> {
        self.world().host.holders.iter().filter(|f| f.path.starts_with(prefix)).cloned().collect()
    }
}
