//! Tunnel offload on DPDK: the driver's items and actions are kept here under numbers.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ptr::null_mut;

use dpdk::Errno;
use dpdk_sys::{rte_flow_action, rte_flow_item, rte_flow_tunnel};

use crate::error::{ErrorKind, RteFlowError};
use crate::layout::item_type;
use crate::lower::no_error;
use crate::real::{NO_LISTS, RealRteFlow, done, errno_of, error};
use crate::tunnel::{RestoreInfo, Tunnel, TunnelKind};
use crate::{TunnelActions, TunnelItems};

/// `RTE_FLOW_RESTORE_INFO_*`.
const TUNNEL: u64 = 1;
const ENCAPSULATED: u64 = 1 << 1;
const GROUP_ID: u64 = 1 << 2;

/// An array of the driver's, with its length.
#[derive(Debug)]
struct Given<T> {
    port: u16,
    array: *mut T,
    len: u32,
}
// SAFETY: the arrays belong to their port, not to a thread; they are only read, and given back under `&mut RealRteFlow`.
unsafe impl<T> Send for Given<T> {}

impl<T> Given<T> {
    fn slice(&self) -> &[T] {
        if self.array.is_null() {
            return &[];
        }
        // SAFETY: the driver gave `len` elements and keeps them until they are given back, which takes this value away first.
        unsafe { std::slice::from_raw_parts(self.array, self.len as usize) }
    }
}

/// What drivers gave for tunnels.
#[derive(Debug, Default)]
pub(crate) struct Tunnels {
    actions: HashMap<TunnelActions, Given<rte_flow_action>>,
    items: HashMap<TunnelItems, Given<rte_flow_item>>,
}

impl Tunnels {
    pub(crate) fn actions(&self, port: u16, tunnel: TunnelActions) -> Option<&[rte_flow_action]> {
        self.actions.get(&tunnel).filter(|given| given.port == port).map(Given::slice)
    }

    pub(crate) fn items(&self, port: u16, tunnel: TunnelItems) -> Option<&[rte_flow_item]> {
        self.items.get(&tunnel).filter(|given| given.port == port).map(Given::slice)
    }

    pub(crate) fn forget(&mut self, port: u16) {
        self.actions.retain(|_, given| given.port != port);
        self.items.retain(|_, given| given.port != port);
    }
}

fn raw_tunnel(tunnel: &Tunnel) -> rte_flow_tunnel {
    // SAFETY: plain data, all-zero is valid.
    let mut raw: rte_flow_tunnel = unsafe { std::mem::zeroed() };
    raw.type_ = match tunnel.kind {
        TunnelKind::Vxlan => item_type::VXLAN,
        TunnelKind::Geneve => item_type::GENEVE,
        TunnelKind::Gre => item_type::GRE,
        TunnelKind::Other(ty) => ty,
    };
    raw.tun_id = tunnel.id;
    (raw.tp_src, raw.tp_dst) = (tunnel.ports.0.to_be(), tunnel.ports.1.to_be());
    (raw.tos, raw.ttl) = (tunnel.tos, tunnel.ttl);
    let addresses = &mut raw.__bindgen_anon_1;
    match tunnel.addresses {
        Some((IpAddr::V6(src), IpAddr::V6(dst))) => {
            raw.is_ipv6 = true;
            // SAFETY: both are 16 bytes (an array in one release, a structure of one in another) of a union of plain data that is
            // exclusively borrowed.
            unsafe {
                (&raw mut addresses.ipv6.src_addr).cast::<[u8; 16]>().write_unaligned(src.octets());
                (&raw mut addresses.ipv6.dst_addr).cast::<[u8; 16]>().write_unaligned(dst.octets());
            }
        }
        Some((IpAddr::V4(src), IpAddr::V4(dst))) => {
            addresses.ipv4.src_addr = u32::from(src).to_be();
            addresses.ipv4.dst_addr = u32::from(dst).to_be();
        }
        _ => {}
    }
    raw
}

fn read_tunnel(raw: &rte_flow_tunnel) -> Tunnel {
    // SAFETY: both members of the union are plain bytes; `is_ipv6` says which was written.
    let (src, dst) = unsafe {
        if raw.is_ipv6 {
            let ipv6 = &raw.__bindgen_anon_1.ipv6;
            let address = |bytes: *const [u8; 16]| IpAddr::V6(Ipv6Addr::from(bytes.read_unaligned()));
            (address((&raw const ipv6.src_addr).cast()), address((&raw const ipv6.dst_addr).cast()))
        } else {
            let ipv4 = raw.__bindgen_anon_1.ipv4;
            let address = |n: u32| IpAddr::V4(Ipv4Addr::from(u32::from_be(n)));
            (address(ipv4.src_addr), address(ipv4.dst_addr))
        }
    };
    Tunnel {
        kind: match raw.type_ {
            item_type::VXLAN => TunnelKind::Vxlan,
            item_type::GENEVE => TunnelKind::Geneve,
            item_type::GRE => TunnelKind::Gre,
            other => TunnelKind::Other(other),
        },
        id: raw.tun_id,
        addresses: (!src.is_unspecified() || !dst.is_unspecified()).then_some((src, dst)),
        ports: (u16::from_be(raw.tp_src), u16::from_be(raw.tp_dst)),
        tos: raw.tos,
        ttl: raw.ttl,
    }
}

fn unknown(operation: &'static str, port: u16) -> RteFlowError {
    RteFlowError::new(operation, port, ErrorKind::Handle, Errno::ENOENT, "no such tunnel")
}

impl RealRteFlow {
    pub(crate) fn decap_set(&mut self, port: u16, tunnel: &Tunnel) -> Result<TunnelActions, RteFlowError> {
        let operation = "rte_flow_tunnel_decap_set";
        let held = self.port_of(operation, port)?;
        let (mut raw, mut array, mut len, mut answer) = (raw_tunnel(tunnel), null_mut(), 0, no_error());
        // SAFETY: the port is open and serialised; the answers are writable.
        let ret = held.port.serialised(|_| unsafe {
            dpdk_sys::rte_flow_tunnel_decap_set(port, &mut raw, &mut array, &mut len, &mut answer)
        });
        done(operation, port, ret, &answer, &NO_LISTS)?;
        let handle = TunnelActions(self.handle());
        self.tunnels.actions.insert(handle, Given { port, array, len });
        Ok(handle)
    }

    pub(crate) fn decap_release(&mut self, port: u16, actions: TunnelActions) -> Result<(), RteFlowError> {
        let operation = "rte_flow_tunnel_action_decap_release";
        self.port_of(operation, port)?;
        let known = self.tunnels.actions.get(&actions).is_some_and(|given| given.port == port);
        let given = self.tunnels.actions.remove(&actions).filter(|_| known);
        let given = given.ok_or_else(|| unknown(operation, port))?;
        let (held, mut answer) = (self.port_of(operation, port)?, no_error());
        // SAFETY: the array is the driver's own, and nothing here has it any more.
        let ret = held.port.serialised(|_| unsafe {
            dpdk_sys::rte_flow_tunnel_action_decap_release(port, given.array, given.len, &mut answer)
        });
        done(operation, port, ret, &answer, &NO_LISTS)
    }

    pub(crate) fn match_set(&mut self, port: u16, tunnel: &Tunnel) -> Result<TunnelItems, RteFlowError> {
        let operation = "rte_flow_tunnel_match";
        let held = self.port_of(operation, port)?;
        let (mut raw, mut array, mut len, mut answer) = (raw_tunnel(tunnel), null_mut(), 0, no_error());
        // SAFETY: the port is open and serialised; the answers are writable.
        let ret = held.port.serialised(|_| unsafe {
            dpdk_sys::rte_flow_tunnel_match(port, &mut raw, &mut array, &mut len, &mut answer)
        });
        done(operation, port, ret, &answer, &NO_LISTS)?;
        let handle = TunnelItems(self.handle());
        self.tunnels.items.insert(handle, Given { port, array, len });
        Ok(handle)
    }

    pub(crate) fn match_release(&mut self, port: u16, items: TunnelItems) -> Result<(), RteFlowError> {
        let operation = "rte_flow_tunnel_item_release";
        self.port_of(operation, port)?;
        let known = self.tunnels.items.get(&items).is_some_and(|given| given.port == port);
        let given = self.tunnels.items.remove(&items).filter(|_| known);
        let given = given.ok_or_else(|| unknown(operation, port))?;
        let (held, mut answer) = (self.port_of(operation, port)?, no_error());
        // SAFETY: the array is the driver's own, and nothing here has it any more.
        let ret = held.port.serialised(|_| unsafe {
            dpdk_sys::rte_flow_tunnel_item_release(port, given.array, given.len, &mut answer)
        });
        done(operation, port, ret, &answer, &NO_LISTS)
    }

    /// What the drivers gave for a port's tunnels goes back.
    pub(crate) fn clear_tunnels(&mut self, port: u16) {
        let actions: Vec<_> = self.tunnels.actions.iter().filter(|(_, g)| g.port == port).map(|(h, _)| *h).collect();
        let items: Vec<_> = self.tunnels.items.iter().filter(|(_, g)| g.port == port).map(|(h, _)| *h).collect();
        for handle in actions {
            let _ = self.decap_release(port, handle);
        }
        for handle in items {
            let _ = self.match_release(port, handle);
        }
        self.tunnels.forget(port);
    }

    pub(crate) fn restore(&self, port: u16, packet: &mut dpdk::Mbuf) -> Result<RestoreInfo, RteFlowError> {
        let operation = "rte_flow_get_restore_info";
        self.port_of(operation, port)?;
        // SAFETY: plain data, all-zero is valid.
        let mut info: dpdk_sys::rte_flow_restore_info = unsafe { std::mem::zeroed() };
        let mut answer = no_error();
        // SAFETY: the port is open, the packet is live and exclusively borrowed, `info` is writable.
        let ret = unsafe { dpdk_sys::rte_flow_get_restore_info(port, packet.as_ptr(), &mut info, &mut answer) };
        if ret != 0 {
            return Err(error(operation, port, errno_of(ret), &answer, &NO_LISTS));
        }
        Ok(RestoreInfo {
            tunnel: (info.flags & TUNNEL != 0).then(|| read_tunnel(&info.tunnel)),
            encapsulated: info.flags & ENCAPSULATED != 0,
            group: (info.flags & GROUP_ID != 0).then_some(info.group_id),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tunnels_go_to_c_and_back() {
        let v4 = |a, b| IpAddr::V4(Ipv4Addr::new(10, 0, a, b));
        let tunnel = Tunnel {
            kind: TunnelKind::Vxlan,
            id: 0x1234,
            addresses: Some((v4(1, 2), v4(3, 4))),
            ports: (1000, 4789),
            tos: 8,
            ttl: 64,
        };
        let raw = raw_tunnel(&tunnel);
        assert_eq!((raw.type_, raw.tp_dst.to_ne_bytes(), raw.is_ipv6), (item_type::VXLAN, [0x12, 0xb5], false));
        assert_eq!(read_tunnel(&raw), tunnel);
        let v6 = |a| IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, a));
        let tunnel = Tunnel { kind: TunnelKind::Geneve, addresses: Some((v6(1), v6(2))), ..tunnel };
        assert_eq!(read_tunnel(&raw_tunnel(&tunnel)), tunnel);
    }
}
