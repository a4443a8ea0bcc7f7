//! The kernel's side of a port: a file descriptor that frames go through, each behind a `virtio_net_hdr`.

mod packet;
mod tap;

use crate::error::KernelPortError;
use crate::spec::{Kind, Spec};
use crate::vnet;
use packet::PacketDevice;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd};
use tap::TapDevice;

/// Longest frame that the kernel hands over: 64 KiB of packet (`GSO_LEGACY_MAX_SIZE`) and its link header.
pub(crate) const MAX_FRAME: usize = 65_536 + 64;
/// Free bytes before a received frame, for a VLAN tag to be put in.
pub(crate) const FRONT: usize = 4;

/// What a device is.
#[derive(Debug)]
pub(crate) enum Device {
    Tap(TapDevice),
    Packet(PacketDevice),
}

/// A frame as it was received, in a [`Buffer`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received {
    /// Bytes of the frame, from [`FRONT`] on.
    pub(crate) len: usize,
    /// TPID and TCI of a VLAN tag that the kernel keeps beside the bytes.
    pub(crate) tag: Option<(u16, u16)>,
}

/// Why nothing was received or sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IoError {
    /// Nothing there, or no room.
    WouldBlock,
    /// The device is down.
    Down,
    /// The device is gone: this descriptor is of no more use.
    Gone,
    /// The frame is longer than the device takes.
    TooLong,
    /// This frame not; others may.
    Refused,
}

/// Place for one frame and its header.
#[derive(Debug)]
pub(crate) struct Buffer {
    pub(crate) header: [u8; vnet::LEN],
    pub(crate) frame: Vec<u8>,
}

impl Buffer {
    pub(crate) fn new() -> Buffer {
        Buffer { header: [0; vnet::LEN], frame: vec![0; FRONT + MAX_FRAME] }
    }
}

impl Device {
    /// Make or bind the device of a port.
    pub(crate) fn open(spec: &Spec) -> Result<Device, KernelPortError> {
        match spec.kind {
            Kind::Tap | Kind::Internal => TapDevice::open(spec).map(Device::Tap),
            Kind::AfPacket => PacketDevice::open(spec).map(Device::Packet),
        }
    }

    /// Its number in this network namespace; `None`: it is in another one.
    pub(crate) fn ifindex(&self) -> Option<u32> {
        match self {
            Device::Tap(tap) => tap.ifindex(),
            Device::Packet(packet) => Some(packet.ifindex()),
        }
    }

    pub(crate) fn receive(&mut self, buffer: &mut Buffer) -> Result<Received, IoError> {
        match self {
            Device::Tap(tap) => tap.receive(buffer),
            Device::Packet(packet) => packet.receive(buffer),
        }
    }

    /// Send a frame: a zero header and the frame's parts.
    pub(crate) fn send(&self, parts: &[IoSlice<'_>]) -> Result<(), IoError> {
        let sent = rustix::io::writev(self.as_fd(), parts);
        match self {
            Device::Tap(_) => sent.map(drop).map_err(tap::meaning),
            Device::Packet(_) => sent.map(drop).map_err(packet::meaning),
        }
    }

    /// What a descriptor in an error state has to say.
    pub(crate) fn error(&self) -> IoError {
        match self {
            // A tap's descriptor has an error only when there is no device behind it.
            Device::Tap(_) => IoError::Gone,
            Device::Packet(packet) => packet.error(),
        }
    }

    /// Frames that the kernel dropped since this was last asked.
    pub(crate) fn missed(&self) -> u64 {
        match self {
            Device::Tap(_) => 0,
            Device::Packet(packet) => packet.missed(),
        }
    }

    /// Whether the descriptor takes frames now: a tap's does only while the device is up.
    pub(crate) fn is_writable(&self) -> bool {
        let fd = self.as_fd();
        let mut fds = [PollFd::new(&fd, PollFlags::OUT)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        matches!(poll(&mut fds, Some(&at_once)), Ok(n) if n > 0) && fds[0].revents().contains(PollFlags::OUT)
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Device::Tap(tap) => tap.as_fd(),
            Device::Packet(packet) => packet.as_fd(),
        }
    }
}

/// Number of the device of this name in this network namespace.
pub(crate) fn index_of(ifname: &str) -> Result<Option<u32>, KernelPortError> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice, socket_with};
    let failed = |e: Errno| KernelPortError::os(ifname, "look for the device", e.into());
    let any = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None).map_err(failed)?;
    match netdevice::name_to_index(&any, ifname) {
        Ok(index) => Ok(Some(index)),
        Err(Errno::NODEV) => Ok(None),
        Err(e) => Err(failed(e)),
    }
}
