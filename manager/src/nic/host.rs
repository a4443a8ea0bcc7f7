//! The kernel that NICs are managed through, real or fake.

use api::{Error, ErrorKind};
use mocks::kernel::FakeKernel;
use representors::{Inventory, Kernel, Nic, Pace};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Which kernel. Cheap to copy; whoever works with it opens it for himself, so that nobody waits for a change that takes its time.
#[derive(Clone, Debug)]
pub enum Host {
    /// This host's.
    Real,
    /// A fake one, of the mock NIC, with how long steps are waited for, in milliseconds.
    Fake(FakeKernel, Arc<AtomicU64>),
}

impl Host {
    /// Open it.
    pub fn open(&self) -> Result<Kernel, Error> {
        let opened = match self {
            Host::Real => Kernel::real(),
            Host::Fake(fake, deadline) => Kernel::new(Box::new(fake.clone())).map(|mut kernel| {
                let deadline = Duration::from_millis(deadline.load(Ordering::Relaxed));
                kernel.set_pace(Pace { deadline, poll: Duration::from_millis(10) });
                kernel
            }),
        };
        opened.map_err(|e| {
            Error::new(ErrorKind::Unsupported, "kernel", format!("netlink cannot be opened: {e}"))
                .remedy("run shuntd with CAP_NET_ADMIN, outside of a sandbox without netlink")
        })
    }

    /// Whether waiting for an event of it is waiting at all: a fake one answers at once.
    #[must_use]
    pub fn waits(&self) -> bool {
        matches!(self, Host::Real)
    }

    /// All NICs.
    pub fn inventory(&self) -> Result<Inventory, Error> {
        inventory(&mut self.open()?)
    }
}

/// All NICs.
pub fn inventory(kernel: &mut Kernel) -> Result<Inventory, Error> {
    kernel.inventory().map_err(|e| Error::new(ErrorKind::Failed, "kernel", e))
}

/// A PF's eswitch as errors name it.
#[must_use]
pub fn object(nic: &Nic) -> String {
    format!("eswitch {}", nic.device)
}
