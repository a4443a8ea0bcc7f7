//! A packet socket bound to a device (packet(7), linux/if_packet.h).

use super::{Buffer, FRONT, IoError, Received, index_of};
use crate::error::KernelPortError;
use crate::spec::Spec;
use nix::sys::socket::sockopt::SetStruct;
use nix::sys::socket::{
    AddressFamily, GetSockOpt as _, LinkAddr, MsgFlags, SetSockOpt as _, SockFlag, SockProtocol, SockType, bind,
    recvmsg, socket, sockopt,
};
use nix::{getsockopt_impl, setsockopt_impl};
use rustix::io::Errno;
use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// `PACKET_IGNORE_OUTGOING`, Linux 4.20.
const PACKET_IGNORE_OUTGOING: libc::c_int = 23;
/// Bytes of `struct tpacket_auxdata` with its `cmsghdr`, and some more.
const CONTROL: usize = 64;
/// How much the kernel may hold for us each way, in bytes.
const SOCKET_BUFFER: usize = 4 << 20;

/// Gives a value of four bytes to an option.
type SetInt<'a> = SetStruct<'a, libc::c_int>;

#[derive(Clone, Copy, Debug)]
struct VnetHdr;
setsockopt_impl!(VnetHdr, libc::SOL_PACKET, libc::PACKET_VNET_HDR, libc::c_int, SetInt);

#[derive(Clone, Copy, Debug)]
struct AuxData;
setsockopt_impl!(AuxData, libc::SOL_PACKET, libc::PACKET_AUXDATA, libc::c_int, SetInt);

#[derive(Clone, Copy, Debug)]
struct IgnoreOutgoing;
setsockopt_impl!(IgnoreOutgoing, libc::SOL_PACKET, PACKET_IGNORE_OUTGOING, libc::c_int, SetInt);

#[derive(Clone, Copy, Debug)]
struct AddMembership;
setsockopt_impl!(
    AddMembership,
    libc::SOL_PACKET,
    libc::PACKET_ADD_MEMBERSHIP,
    libc::packet_mreq,
    SetStruct<libc::packet_mreq>
);

#[derive(Clone, Copy, Debug)]
struct Statistics;
getsockopt_impl!(
    Statistics,
    libc::SOL_PACKET,
    libc::PACKET_STATISTICS,
    libc::tpacket_stats,
    nix::sys::socket::sockopt::GetStruct<libc::tpacket_stats>
);

/// A socket on a device that is somebody else's. It makes the device promiscuous for as long as it is open.
#[derive(Debug)]
pub(crate) struct PacketDevice {
    socket: OwnedFd,
    ifindex: u32,
    control: [u8; CONTROL],
}

impl PacketDevice {
    pub(crate) fn open(spec: &Spec) -> Result<PacketDevice, KernelPortError> {
        let ifname = spec.ifname.as_str();
        let gone = || KernelPortError::NoDevice { ifname: ifname.to_owned() };
        let failed = |what| move |e: nix::Error| KernelPortError::os(ifname, what, e.into());
        let ifindex = index_of(ifname)?.ok_or_else(gone)?;
        let address = address_of(ifname)?.filter(|a| a.ifindex() == ifindex as usize).ok_or_else(gone)?;
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll)
            .map_err(failed("open a packet socket"))?;
        let set_up = "set the packet socket up";
        VnetHdr.set(&socket, &1).map_err(failed(set_up))?;
        AuxData.set(&socket, &1).map_err(failed(set_up))?;
        IgnoreOutgoing.set(&socket, &1).map_err(failed(set_up))?;
        // Without the right to exceed the limits the kernel's own stay, which is slower but works.
        for result in
            [sockopt::RcvBufForce.set(&socket, &SOCKET_BUFFER), sockopt::SndBufForce.set(&socket, &SOCKET_BUFFER)]
        {
            if let Err(e) = result {
                tracing::debug!("{ifname}: socket buffers stay small: {e}");
            }
        }
        // The address says no protocol, so the socket keeps the one that it was made for: all.
        bind(socket.as_raw_fd(), &address).map_err(failed("bind a packet socket"))?;
        let promiscuous = libc::packet_mreq {
            mr_ifindex: ifindex as libc::c_int,
            mr_type: libc::PACKET_MR_PROMISC as libc::c_ushort,
            mr_alen: 0,
            mr_address: [0; 8],
        };
        AddMembership.set(&socket, &promiscuous).map_err(failed("make the device promiscuous"))?;
        Ok(PacketDevice { socket, ifindex, control: [0; CONTROL] })
    }

    pub(crate) fn ifindex(&self) -> u32 {
        self.ifindex
    }

    pub(crate) fn receive(&mut self, buffer: &mut Buffer) -> Result<Received, IoError> {
        loop {
            let space = buffer.frame.get_mut(FRONT..).unwrap_or_default();
            let (n, whole, mine) = {
                let mut parts = [IoSliceMut::new(&mut buffer.header), IoSliceMut::new(space)];
                let got = recvmsg::<LinkAddr>(
                    self.socket.as_raw_fd(),
                    &mut parts,
                    Some(&mut self.control),
                    MsgFlags::MSG_DONTWAIT,
                )
                .map_err(|e| meaning(Errno::from_raw_os_error(e as i32)))?;
                // Between its making and its binding the socket heard all devices.
                let mine = got.address.is_some_and(|a| a.ifindex() == self.ifindex as usize);
                (got.bytes, !got.flags.contains(MsgFlags::MSG_TRUNC), mine)
            };
            if !mine {
                continue;
            }
            let len = n.checked_sub(crate::vnet::LEN).filter(|_| whole).ok_or(IoError::Refused)?;
            return Ok(Received { len, tag: tag(&self.control) });
        }
    }

    pub(crate) fn error(&self) -> IoError {
        match sockopt::SocketError.get(&self.socket) {
            Ok(0) => IoError::WouldBlock,
            Ok(errno) => meaning(Errno::from_raw_os_error(errno)),
            Err(_) => IoError::Gone,
        }
    }

    pub(crate) fn missed(&self) -> u64 {
        Statistics.get(&self.socket).map_or(0, |s| u64::from(s.tp_drops))
    }
}

impl AsFd for PacketDevice {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The device's own address, which has its number.
fn address_of(ifname: &str) -> Result<Option<LinkAddr>, KernelPortError> {
    let all = nix::ifaddrs::getifaddrs().map_err(|e| KernelPortError::os(ifname, "look for the device", e.into()))?;
    let mut named = all.filter(|a| a.interface_name == ifname);
    Ok(named.find_map(|a| a.address.and_then(|a| a.as_link_addr().copied())))
}

/// The VLAN tag in a control message `PACKET_AUXDATA`, whose layout is `cmsghdr` and then `tpacket_auxdata`: status, len and
/// snaplen (4 bytes each), mac, net, vlan_tci and vlan_tpid (2 bytes each).
fn tag(control: &[u8; CONTROL]) -> Option<(u16, u16)> {
    const WORD: usize = size_of::<usize>();
    const DATA: usize = WORD + 8;
    let int = |at: usize| control.get(at..at + 4).and_then(|b| b.try_into().ok()).map(i32::from_ne_bytes);
    let short = |at: usize| control.get(at..at + 2).and_then(|b| b.try_into().ok()).map(u16::from_ne_bytes);
    let len = control.get(..WORD).and_then(|b| b.try_into().ok()).map(usize::from_ne_bytes)?;
    if len < DATA + 20 || int(WORD)? != libc::SOL_PACKET || int(WORD + 4)? != libc::PACKET_AUXDATA {
        return None;
    }
    let status = int(DATA)? as u32;
    if status & libc::TP_STATUS_VLAN_VALID == 0 {
        return None;
    }
    let tpid = if status & libc::TP_STATUS_VLAN_TPID_VALID == 0 { 0x8100 } else { short(DATA + 18)? };
    Some((tpid, short(DATA + 16)?))
}

/// What a packet socket means (net/packet/af_packet.c).
pub(super) fn meaning(errno: Errno) -> IoError {
    match errno {
        Errno::AGAIN | Errno::INTR | Errno::NOBUFS => IoError::WouldBlock,
        Errno::NETDOWN => IoError::Down,
        Errno::NODEV | Errno::NXIO | Errno::BADF => IoError::Gone,
        Errno::MSGSIZE => IoError::TooLong,
        _ => IoError::Refused,
    }
}
