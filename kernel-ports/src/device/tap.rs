//! A TAP device of our own (linux/if_tun.h; Documentation/networking/tuntap.rst).

use super::{Buffer, FRONT, IoError, Received, index_of};
use crate::error::KernelPortError;
use crate::spec::Spec;
use rustix::io::Errno;
use std::io::IoSliceMut;
use std::os::fd::{AsFd, BorrowedFd};
use tun_rs::{DeviceBuilder, Layer, SyncDevice};

/// The device goes when this is dropped: it is not made persistent.
pub(crate) struct TapDevice(SyncDevice);

impl std::fmt::Debug for TapDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("TapDevice").field(&self.0.name().unwrap_or_default()).finish()
    }
}

impl TapDevice {
    pub(crate) fn open(spec: &Spec) -> Result<TapDevice, KernelPortError> {
        let ifname = spec.ifname.as_str();
        // Opening a name that is there would take over a persistent tap of somebody else.
        if index_of(ifname)?.is_some() {
            return Err(KernelPortError::Taken { ifname: ifname.to_owned() });
        }
        // The crate we use would make the device node, which is not ours to make.
        if !std::path::Path::new("/dev/net/tun").exists() {
            return Err(KernelPortError::NoTun { ifname: ifname.to_owned() });
        }
        // Frames come with a virtio_net_hdr, and TSO and USO are announced.
        let mut builder = DeviceBuilder::new().name(ifname).layer(Layer::L2).offload(true).mtu(spec.mtu());
        if let Some(mac) = spec.mac {
            builder = builder.mac_addr(mac);
        }
        let failed = |e| KernelPortError::os(ifname, "create the tap device", e);
        let device = builder.build_sync().map_err(failed)?;
        device.set_nonblocking(true).map_err(failed)?;
        Ok(TapDevice(device))
    }

    pub(crate) fn ifindex(&self) -> Option<u32> {
        let name = self.0.name().ok()?;
        index_of(&name).ok().flatten()
    }

    pub(crate) fn receive(&mut self, buffer: &mut Buffer) -> Result<Received, IoError> {
        let Buffer { header, frame } = buffer;
        let space = frame.get_mut(FRONT..).unwrap_or_default();
        let mut parts = [IoSliceMut::new(header), IoSliceMut::new(space)];
        let n = rustix::io::readv(self.as_fd(), &mut parts).map_err(meaning)?;
        let len = n.checked_sub(crate::vnet::LEN).ok_or(IoError::Refused)?;
        Ok(Received { len, tag: None })
    }
}

impl AsFd for TapDevice {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// What the tun driver means (drivers/net/tun.c).
pub(super) fn meaning(errno: Errno) -> IoError {
    match errno {
        Errno::AGAIN | Errno::INTR => IoError::WouldBlock,
        // `tun_get_user` while the device is not up.
        Errno::IO | Errno::NETDOWN => IoError::Down,
        Errno::BADFD | Errno::NODEV | Errno::NXIO | Errno::BADF => IoError::Gone,
        Errno::MSGSIZE => IoError::TooLong,
        _ => IoError::Refused,
    }
}
