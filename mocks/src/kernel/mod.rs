//! A fake kernel: devlink, rtnetlink and sysfs of a host with SR-IOV NICs.
//!
//! It stands behind the same two seams as the real kernel (`netlink::Transport`, `netlink::Sysfs`) and gets and gives the same bytes:
//! it frames and parses netlink with code and constants of its own, so that a mistake in the clients' codecs is not mirrored here.
//! It enforces the orders that drivers want ([`Profile`]), sends multicast events, can let virtual functions appear late, can rename
//! network devices at any time, and fails on demand ([`Fault`], [`FaultRule`], [`FakeKernel::chaos`]).
//!
//! Nothing waits in it: a `recv` without an answer returns at once, whatever its timeout, so that tests of lost answers are quick.

mod devlink;
mod fault;
mod model;
mod profile;
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

use netlink::{KernelAccess, Protocol, Sysfs, Transport};

pub use fault::{Fault, FaultRule, Op};
pub use model::{NicSnapshot, NicSpec, VfSnapshot};
pub use profile::Profile;

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
            if self.faults.take_event_loss() {
                continue;
            }
            let (protocol, group, bytes) = match event {
                model::Event::Link { gone, dev } => (Protocol::Route, route::GROUP_LINK, route::event(gone, &dev)),
                model::Event::Port { gone, device, port } => {
                    (Protocol::Generic, devlink::GROUP_CONFIG, devlink::event(&self.host, gone, &device, &port))
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
}
