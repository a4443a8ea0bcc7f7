//! What can be set on a network device and on a PF's VFs, as data: words for errors, bytes for the kernel.

use std::fmt;

use super::{
    uapi::{
        IFF_UP, IFINFO_LEN, IFLA_ADDRESS, IFLA_IFNAME, IFLA_MASTER, IFLA_MTU, IFLA_VF_INFO, IFLA_VF_LINK_STATE,
        IFLA_VF_MAC, IFLA_VF_RATE, IFLA_VF_SPOOFCHK, IFLA_VF_TRUST, IFLA_VF_VLAN, IFLA_VF_VLAN_INFO, IFLA_VF_VLAN_LIST,
        IFLA_VFINFO_LIST,
    },
    vf::{VfLinkState, VfRate, VfVlan, VlanProto},
};
use crate::{attr::AttrBuf, mac::Mac};

/// What to change of a network device; `None` is left as it is. The kernel applies what it can before the first refusal, in an
/// order of its own: change one thing at a time where that matters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkSettings {
    /// Administratively up, or down.
    pub up: Option<bool>,
    /// MTU, bytes.
    pub mtu: Option<u32>,
    /// Ethernet address.
    pub mac: Option<[u8; 6]>,
    /// Name (at most 15 bytes; kernels before 6.2 refuse it while the device is up).
    pub name: Option<String>,
    /// Interface index of the bridge, bond or VRF that it is to belong to; 0 takes it out.
    pub master: Option<u32>,
}

impl LinkSettings {
    pub(super) fn payload(&self, ifindex: u32) -> (Vec<u8>, AttrBuf) {
        let (flags, change) = self.up.map_or((0, 0), |up| (if up { IFF_UP } else { 0 }, IFF_UP));
        let mut attrs = AttrBuf::new();
        if let Some(mtu) = self.mtu {
            attrs.put_u32(IFLA_MTU, mtu);
        }
        if let Some(mac) = self.mac {
            attrs.put(IFLA_ADDRESS, &mac);
        }
        if let Some(name) = &self.name {
            attrs.put_str(IFLA_IFNAME, name);
        }
        if let Some(master) = self.master {
            attrs.put_u32(IFLA_MASTER, master);
        }
        (ifinfo(ifindex, flags, change).to_vec(), attrs)
    }
}

impl fmt::Display for LinkSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(up) = self.up {
            f.write_str(if up { " up" } else { " down" })?;
        }
        if let Some(mtu) = self.mtu {
            write!(f, " mtu {mtu}")?;
        }
        if let Some(mac) = self.mac {
            write!(f, " address {}", Mac(mac))?;
        }
        if let Some(name) = &self.name {
            write!(f, " name {name}")?;
        }
        match self.master {
            Some(0) => f.write_str(" nomaster"),
            Some(master) => write!(f, " master {master}"),
            None => Ok(()),
        }
    }
}

/// What to change of a VF through its PF's network device (`ip link set PF vf N ...`); `None` is left as it is. The
/// kernel carries these out one by one (address, VLAN, rate, spoof check, link state, trust) and stops at the first
/// that the driver refuses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VfSettings {
    /// Ethernet address; zeros take it back with most drivers.
    pub mac: Option<[u8; 6]>,
    /// VLAN; [`VfVlan::default`] is none.
    pub vlan: Option<VfVlan>,
    /// Both transmit rates: the kernel's request carries the two.
    pub rate: Option<VfRate>,
    /// Spoof check.
    pub spoof_check: Option<bool>,
    /// Link state.
    pub link_state: Option<VfLinkState>,
    /// Trust.
    pub trust: Option<bool>,
}

impl VfSettings {
    pub(super) fn payload(&self, ifindex: u32, vf: u32) -> (Vec<u8>, AttrBuf) {
        let mut info = AttrBuf::new();
        let pair = |value: u32| words(&[vf, value]);
        if let Some(mac) = self.mac {
            let mut bytes = vf.to_ne_bytes().to_vec();
            bytes.extend(mac);
            // `struct ifla_vf_mac` has room for 32 bytes of address, and the kernel wants them all.
            bytes.resize(36, 0);
            info.put(IFLA_VF_MAC, &bytes);
        }
        if let Some(VfVlan { id, qos, proto }) = self.vlan {
            let tag = words(&[vf, id.into(), qos.into()]);
            if proto == VlanProto::Dot1Q {
                info.put(IFLA_VF_VLAN, &tag);
            } else {
                let mut list = AttrBuf::new();
                let bytes = [&tag, &proto.ethertype().to_be_bytes()[..], &[0, 0]].concat();
                list.put(IFLA_VF_VLAN_INFO, &bytes);
                info.put(IFLA_VF_VLAN_LIST, list.as_bytes());
            }
        }
        if let Some(VfRate { min, max }) = self.rate {
            info.put(IFLA_VF_RATE, &words(&[vf, min, max]));
        }
        if let Some(on) = self.spoof_check {
            info.put(IFLA_VF_SPOOFCHK, &pair(on.into()));
        }
        if let Some(state) = self.link_state {
            info.put(IFLA_VF_LINK_STATE, &pair(state.number()));
        }
        if let Some(on) = self.trust {
            info.put(IFLA_VF_TRUST, &pair(on.into()));
        }
        // Without the nested flag, as iproute2 writes it: these attributes are older than the flag.
        let (mut list, mut attrs) = (AttrBuf::new(), AttrBuf::new());
        list.put(IFLA_VF_INFO, info.as_bytes());
        attrs.put(IFLA_VFINFO_LIST, list.as_bytes());
        (ifinfo(ifindex, 0, 0).to_vec(), attrs)
    }
}

impl fmt::Display for VfSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on = |on: bool| if on { "on" } else { "off" };
        if let Some(mac) = self.mac {
            write!(f, " mac {}", Mac(mac))?;
        }
        if let Some(vlan) = self.vlan {
            write!(f, " {vlan}")?;
        }
        if let Some(rate) = self.rate {
            write!(f, " min_tx_rate {} max_tx_rate {}", rate.min, rate.max)?;
        }
        if let Some(spoof_check) = self.spoof_check {
            write!(f, " spoofchk {}", on(spoof_check))?;
        }
        if let Some(state) = self.link_state {
            write!(f, " state {state}")?;
        }
        self.trust.map_or(Ok(()), |trust| write!(f, " trust {}", on(trust)))
    }
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_ne_bytes()).collect()
}

/// `struct ifinfomsg`.
pub(super) fn ifinfo(ifindex: u32, flags: u32, change: u32) -> [u8; IFINFO_LEN] {
    let mut bytes = [0; IFINFO_LEN];
    bytes[4..8].copy_from_slice(&ifindex.to_ne_bytes());
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..16].copy_from_slice(&change.to_ne_bytes());
    bytes
}
