//! The kernel that we work on.

use std::time::Duration;

use devlink_rs::Devlink;
use netlink::{Error, KernelAccess, LinkClient, Protocol, RealKernel, Sysfs};

/// How long a step may take to show, and how often we look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Longest wait for a step to show in what is read back.
    pub deadline: Duration,
    /// Wait between two looks.
    pub poll: Duration,
}

impl Default for Pace {
    /// 30 s, and a look every 50 ms: VFs and their representors appear after the call that asks for them, one by one.
    fn default() -> Self {
        Pace { deadline: Duration::from_secs(30), poll: Duration::from_millis(50) }
    }
}

/// A kernel, real or fake, with the clients that are open on it.
pub struct Kernel {
    access: Box<dyn KernelAccess>,
    pub(crate) sysfs: Box<dyn Sysfs>,
    pub(crate) links: LinkClient,
    devlink: Option<Devlink>,
    pub(crate) pace: Pace,
}

impl std::fmt::Debug for Kernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kernel").field("access", &self.access).field("pace", &self.pace).finish_non_exhaustive()
    }
}

impl Kernel {
    /// Works on the kernel behind `access`.
    ///
    /// # Errors
    /// [`Error`] when sockets cannot be opened. A kernel without devlink is no error: its NICs have no eswitch.
    pub fn new(access: Box<dyn KernelAccess>) -> Result<Self, Error> {
        let open = |p| access.open(p).map_err(|source| Error::Io { op: "open", source });
        let links = LinkClient::new(open(Protocol::Route)?);
        let sysfs = access.sysfs();
        let mut kernel = Kernel { access, sysfs, links, devlink: None, pace: Pace::default() };
        kernel.devlink()?;
        Ok(kernel)
    }

    /// Works on the kernel of this host.
    ///
    /// # Errors
    /// As [`Kernel::new`].
    pub fn real() -> Result<Self, Error> {
        Self::new(Box::new(RealKernel))
    }

    /// Sets how long to wait.
    pub fn set_pace(&mut self, pace: Pace) {
        self.pace = pace;
    }

    /// The seams, for those who need sockets of their own.
    #[must_use]
    pub fn access(&self) -> &dyn KernelAccess {
        &*self.access
    }

    /// The devlink client; opened when devlink has come since (a module).
    pub(crate) fn devlink(&mut self) -> Result<Option<&mut Devlink>, Error> {
        if self.devlink.is_none() {
            let transport = self.access.open(Protocol::Generic).map_err(|source| Error::Io { op: "open", source })?;
            match Devlink::open(transport) {
                Ok(devlink) => self.devlink = Some(devlink),
                Err(Error::NoFamily { .. }) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(self.devlink.as_mut())
    }
}
