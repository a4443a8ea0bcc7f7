//! The kernel that we work on.

use std::time::Duration;

use devlink_rs::{DeviceId, Devlink, VersionKind};
use netlink::{Error, FeatureClient, KernelAccess, LinkClient, Protocol, RealKernel, Sysfs};

use crate::run::Boundary;

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
    features: Option<FeatureClient>,
    pub(crate) pace: Pace,
    pub(crate) hook: Option<Hook>,
}

pub(crate) type Hook = Box<dyn FnMut(&Boundary<'_>) + Send>;

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
        let mut kernel =
            Kernel { access, sysfs, links, devlink: None, features: None, pace: Pace::default(), hook: None };
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

    /// Calls `hook` at each boundary of a step, for progress and for tests that end there. It must not block.
    pub fn on_boundary(&mut self, hook: impl FnMut(&Boundary<'_>) + Send + 'static) {
        self.hook = Some(Box::new(hook));
    }

    /// The seams, for those who need sockets of their own.
    #[must_use]
    pub fn access(&self) -> &dyn KernelAccess {
        &*self.access
    }

    /// Version of the firmware that a device runs, as its driver tells it (devlink-info: `fw.version`, `fw`, `fw.mgmt`); `None` when it
    /// tells none.
    pub fn firmware(&mut self, device: &DeviceId) -> Option<String> {
        let info = self.devlink().ok()??.info(device).ok()??;
        let running = |name: &str| info.versions.iter().find(|v| v.kind == VersionKind::Running && v.name == name);
        ["fw.version", "fw", "fw.mgmt"].into_iter().find_map(running).map(|v| v.value.clone())
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

    /// The client for features of network devices; `None` on kernels that have ethtool by ioctl only.
    pub(crate) fn features(&mut self) -> Result<Option<&mut FeatureClient>, Error> {
        if self.features.is_none() {
            let transport = self.access.open(Protocol::Generic).map_err(|source| Error::Io { op: "open", source })?;
            match FeatureClient::open(transport) {
                Ok(features) => self.features = Some(features),
                Err(Error::NoFamily { .. }) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(self.features.as_mut())
    }
}
