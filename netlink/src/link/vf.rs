//! Virtual functions as their PF's network device shows them (`IFLA_VFINFO_LIST`): what is read.
//!
//! The kernel asks the PF's driver for each VF (`ndo_get_vf_config`, `ndo_get_vf_stats`). What the driver does not
//! know it leaves at
//! -1, which reads as `None` here.

use std::fmt;

use super::uapi::{
    IFLA_VF_BROADCAST, IFLA_VF_INFO, IFLA_VF_LINK_STATE, IFLA_VF_MAC, IFLA_VF_RATE, IFLA_VF_RSS_QUERY_EN,
    IFLA_VF_SPOOFCHK, IFLA_VF_STATS, IFLA_VF_STATS_BROADCAST, IFLA_VF_STATS_MULTICAST, IFLA_VF_STATS_RX_BYTES,
    IFLA_VF_STATS_RX_DROPPED, IFLA_VF_STATS_RX_PACKETS, IFLA_VF_STATS_TX_BYTES, IFLA_VF_STATS_TX_DROPPED,
    IFLA_VF_STATS_TX_PACKETS, IFLA_VF_TRUST, IFLA_VF_TX_RATE, IFLA_VF_VLAN, IFLA_VF_VLAN_INFO, IFLA_VF_VLAN_LIST,
};
use crate::{
    attr::{Attr, Attrs, RawAttr},
    error::{Error, Result},
};

/// Which tag a VF's VLAN has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum VlanProto {
    /// 802.1Q (0x8100).
    #[default]
    Dot1Q,
    /// 802.1ad, a service tag (0x88a8).
    Dot1Ad,
    /// Another Ethertype.
    Other(u16),
}

impl VlanProto {
    /// The Ethertype.
    #[must_use]
    pub fn ethertype(self) -> u16 {
        match self {
            VlanProto::Dot1Q => 0x8100,
            VlanProto::Dot1Ad => 0x88a8,
            VlanProto::Other(n) => n,
        }
    }

    /// The tag with this Ethertype.
    #[must_use]
    pub fn from_ethertype(n: u16) -> Self {
        match n {
            0x8100 => VlanProto::Dot1Q,
            0x88a8 => VlanProto::Dot1Ad,
            n => VlanProto::Other(n),
        }
    }
}

impl fmt::Display for VlanProto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VlanProto::Dot1Q => f.write_str("802.1Q"),
            VlanProto::Dot1Ad => f.write_str("802.1ad"),
            VlanProto::Other(n) => write!(f, "{n:#06x}"),
        }
    }
}

/// The VLAN that the NIC tags a VF's packets with, unseen by the VF. `id` 0 with `qos` 0 is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct VfVlan {
    /// VLAN id, 0 to 4095.
    pub id: u16,
    /// Priority, 0 to 7.
    pub qos: u8,
    /// Which tag.
    pub proto: VlanProto,
}

impl fmt::Display for VfVlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "vlan {} qos {}", self.id, self.qos)?;
        if self.proto == VlanProto::Dot1Q { Ok(()) } else { write!(f, " proto {}", self.proto) }
    }
}

/// What link a VF sees (`IFLA_VF_LINK_STATE_*`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum VfLinkState {
    /// That of the uplink.
    #[default]
    Auto,
    /// Always up.
    Enable,
    /// Always down.
    Disable,
}

impl VfLinkState {
    pub(super) fn number(self) -> u32 {
        match self {
            VfLinkState::Auto => 0,
            VfLinkState::Enable => 1,
            VfLinkState::Disable => 2,
        }
    }
}

impl fmt::Display for VfLinkState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            VfLinkState::Auto => "auto",
            VfLinkState::Enable => "enable",
            VfLinkState::Disable => "disable",
        })
    }
}

/// Transmit rates of a VF, Mbit/s; 0 is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct VfRate {
    /// Guaranteed.
    pub min: u32,
    /// Limit.
    pub max: u32,
}

/// What the driver has counted for a VF.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VfStats {
    /// Packets that the VF received.
    pub rx_packets: u64,
    /// Packets that the VF sent.
    pub tx_packets: u64,
    /// Bytes that the VF received.
    pub rx_bytes: u64,
    /// Bytes that the VF sent.
    pub tx_bytes: u64,
    /// Broadcast packets that it received.
    pub broadcast: u64,
    /// Multicast packets that it received.
    pub multicast: u64,
    /// Packets to it that were dropped (kernel 4.17).
    pub rx_dropped: u64,
    /// Packets from it that were dropped (kernel 4.17).
    pub tx_dropped: u64,
}

/// A VF as its PF's driver describes it. `None`: the driver does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VfInfo {
    /// Number, from 0.
    pub vf: u32,
    /// Ethernet address that was given to it; zeros when none was.
    pub mac: Option<[u8; 6]>,
    /// VLAN.
    pub vlan: Option<VfVlan>,
    /// May it change its address, and receive what is not for it?
    pub trust: Option<bool>,
    /// Are packets with another source address than its own dropped?
    pub spoof_check: Option<bool>,
    /// Link state.
    pub link_state: Option<VfLinkState>,
    /// Transmit rates.
    pub rate: Option<VfRate>,
    /// May it read the RSS key and table that it shares with the PF?
    pub rss_query: Option<bool>,
    /// Counters, when they were asked for.
    pub stats: Option<VfStats>,
    /// Everything else, as it came.
    pub other: Vec<RawAttr>,
}

fn malformed(detail: String) -> Error {
    Error::Malformed { what: "VF information", detail }
}

/// The VFs in the value of an `IFLA_VFINFO_LIST`, by number. A VF that the driver would not describe is left out by the kernel.
pub(super) fn parse_list(list: Attrs<'_>) -> Result<Vec<VfInfo>> {
    let mut vfs: Vec<VfInfo> = Vec::new();
    for attr in list {
        let attr = attr?;
        if attr.kind == IFLA_VF_INFO {
            vfs.push(VfInfo::parse(attr.nested())?);
        }
    }
    vfs.sort_by_key(|vf| vf.vf);
    match vfs.windows(2).find(|w| w[0].vf == w[1].vf) {
        Some(twice) => Err(malformed(format!("VF {} is described twice", twice[0].vf))),
        None => Ok(vfs),
    }
}

impl VfInfo {
    fn parse(attrs: Attrs<'_>) -> Result<Self> {
        let mut info = VfInfo::default();
        let mut number = None;
        let mut about = |vf: u32| match *number.get_or_insert(vf) {
            known if known == vf => Ok(()),
            known => Err(malformed(format!("one entry is about VF {known} and VF {vf}"))),
        };
        for attr in attrs {
            let attr = attr?;
            match attr.kind {
                IFLA_VF_MAC => {
                    let [vf] = words(&attr)?;
                    about(vf)?;
                    // The field has room for 32 bytes; Ethernet's six come first.
                    info.mac = attr.value.get(4..10).and_then(|b| b.try_into().ok());
                    if info.mac.is_none() {
                        return Err(short(&attr));
                    }
                }
                IFLA_VF_VLAN => {
                    let [vf, id, qos] = words(&attr)?;
                    about(vf)?;
                    // Kernels from 4.9 on say it again in the list, with the protocol.
                    info.vlan = Some(info.vlan.unwrap_or(vlan(id, qos, VlanProto::Dot1Q)?));
                }
                IFLA_VF_VLAN_LIST => {
                    // The kernel has room for one tag in it (`MAX_VLAN_LIST_LEN`).
                    if let Some(tag) = attr.nested().find(IFLA_VF_VLAN_INFO)? {
                        let [vf, id, qos] = words(&tag)?;
                        about(vf)?;
                        let proto = tag.value.get(12..14).ok_or_else(|| short(&tag))?;
                        let proto = VlanProto::from_ethertype(u16::from_be_bytes([proto[0], proto[1]]));
                        info.vlan = Some(vlan(id, qos, proto)?);
                    }
                }
                IFLA_VF_TX_RATE => {
                    let [vf, max] = words(&attr)?;
                    about(vf)?;
                    info.rate = Some(info.rate.unwrap_or(VfRate { min: 0, max }));
                }
                IFLA_VF_RATE => {
                    let [vf, min, max] = words(&attr)?;
                    about(vf)?;
                    info.rate = Some(VfRate { min, max });
                }
                IFLA_VF_SPOOFCHK | IFLA_VF_TRUST | IFLA_VF_RSS_QUERY_EN => {
                    let [vf, setting] = words(&attr)?;
                    about(vf)?;
                    let setting = (setting != u32::MAX).then_some(setting != 0);
                    match attr.kind {
                        IFLA_VF_SPOOFCHK => info.spoof_check = setting,
                        IFLA_VF_TRUST => info.trust = setting,
                        _ => info.rss_query = setting,
                    }
                }
                IFLA_VF_LINK_STATE => {
                    let [vf, state] = words(&attr)?;
                    about(vf)?;
                    info.link_state = match state {
                        0 => Some(VfLinkState::Auto),
                        1 => Some(VfLinkState::Enable),
                        2 => Some(VfLinkState::Disable),
                        _ => None,
                    };
                }
                IFLA_VF_STATS => info.stats = Some(VfStats::parse(attr.nested())?),
                IFLA_VF_BROADCAST => {}
                _ => info.other.push(attr.to_raw()),
            }
        }
        info.vf = number.ok_or_else(|| malformed("an entry without a VF number".to_owned()))?;
        Ok(info)
    }
}

impl VfStats {
    fn parse(attrs: Attrs<'_>) -> Result<Self> {
        let mut stats = VfStats::default();
        for attr in attrs {
            let attr = attr?;
            let counter = match attr.kind {
                IFLA_VF_STATS_RX_PACKETS => &mut stats.rx_packets,
                IFLA_VF_STATS_TX_PACKETS => &mut stats.tx_packets,
                IFLA_VF_STATS_RX_BYTES => &mut stats.rx_bytes,
                IFLA_VF_STATS_TX_BYTES => &mut stats.tx_bytes,
                IFLA_VF_STATS_BROADCAST => &mut stats.broadcast,
                IFLA_VF_STATS_MULTICAST => &mut stats.multicast,
                IFLA_VF_STATS_RX_DROPPED => &mut stats.rx_dropped,
                IFLA_VF_STATS_TX_DROPPED => &mut stats.tx_dropped,
                _ => continue,
            };
            *counter = attr.u64()?;
        }
        Ok(stats)
    }
}

fn vlan(id: u32, qos: u32, proto: VlanProto) -> Result<VfVlan> {
    match (u16::try_from(id), u8::try_from(qos)) {
        // None at all; some drivers then have no protocol either.
        (Ok(0), Ok(0)) => Ok(VfVlan::default()),
        (Ok(id), Ok(qos)) if id < 4096 && qos < 8 => Ok(VfVlan { id, qos, proto }),
        _ => Err(malformed(format!("VLAN {id} with priority {qos}"))),
    }
}

/// The first `N` u32 of a structure; newer kernels may append to it.
fn words<const N: usize>(attr: &Attr<'_>) -> Result<[u32; N]> {
    let (words, _) = attr.value.as_chunks::<4>();
    let words = words.first_chunk::<N>().ok_or_else(|| short(attr))?;
    Ok(words.map(u32::from_ne_bytes))
}

fn short(attr: &Attr<'_>) -> Error {
    malformed(format!("attribute {} has only {} bytes", attr.kind, attr.value.len()))
}
