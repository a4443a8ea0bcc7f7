//! The kernel that NICs are managed through, real or fake.

use api::{Error, ErrorKind};
use mocks::kernel::FakeKernel;
use representors::{Inventory, Kernel, Nic};

/// Which kernel. Cheap to copy; whoever works with it opens it for himself, so that nobody waits for a change that takes its time.
#[derive(Clone, Debug)]
pub enum Host {
    /// This host's.
    Real,
    /// A fake one, of the mock NIC.
    Fake(FakeKernel),
}

impl Host {
    /// Open it.
    pub fn open(&self) -> Result<Kernel, Error> {
        let opened = match self {
            Host::Real => Kernel::real(),
            Host::Fake(fake) => Kernel::new(Box::new(fake.clone())),
        };
        opened.map_err(|e| {
            Error::new(ErrorKind::Unsupported, "kernel", format!("netlink cannot be opened: {e}"))
                .remedy("run shuntd with CAP_NET_ADMIN, outside of a sandbox without netlink")
        })
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

/// What PF of how many `n` stands for, in words: `pci/0000:08:00.0`.
#[must_use]
pub fn object(nic: &Nic) -> String {
    format!("eswitch {}", nic.device)
}
