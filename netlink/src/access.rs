//! One handle on the kernel, real or fake.

use std::{fmt, io};

use crate::{
    processes::{OpenFile, open_files},
    sysfs::{RealSysfs, Sysfs},
    transport::{Protocol, SocketTransport, Transport},
};

/// Hands out the seams to one kernel. Everything obtained from one value must speak of the same kernel.
pub trait KernelAccess: Send + Sync + fmt::Debug {
    /// Opens a new netlink socket.
    ///
    /// # Errors
    /// As the system says.
    fn open(&self, protocol: Protocol) -> io::Result<Box<dyn Transport>>;

    /// Its sysfs.
    fn sysfs(&self) -> Box<dyn Sysfs>;

    /// Who has files open whose path begins with `prefix` (`/dev/vfio/`). Without the right to see a process it is not listed.
    fn open_files(&self, prefix: &str) -> Vec<OpenFile> {
        let _ = prefix;
        Vec::new()
    }
}

/// The kernel of this host (of this network namespace).
#[derive(Debug, Clone, Copy, Default)]
pub struct RealKernel;

impl KernelAccess for RealKernel {
    fn open(&self, protocol: Protocol) -> io::Result<Box<dyn Transport>> {
        Ok(Box::new(SocketTransport::open(protocol)?))
    }

    fn sysfs(&self) -> Box<dyn Sysfs> {
        Box::new(RealSysfs::default())
    }

    fn open_files(&self, prefix: &str) -> Vec<OpenFile> {
        open_files(std::path::Path::new("/proc"), prefix)
    }
}
