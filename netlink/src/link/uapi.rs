//! Numbers of linux/rtnetlink.h, linux/if_link.h and linux/if.h.

pub(super) const RTM_NEWLINK: u16 = 16;
pub(super) const RTM_DELLINK: u16 = 17;
pub(super) const RTM_GETLINK: u16 = 18;
pub(super) const RTM_SETLINK: u16 = 19;
/// Length of `struct ifinfomsg`.
pub(super) const IFINFO_LEN: usize = 16;

pub(super) const IFLA_ADDRESS: u16 = 1;
pub(super) const IFLA_IFNAME: u16 = 3;
pub(super) const IFLA_MTU: u16 = 4;
pub(super) const IFLA_MASTER: u16 = 10;
pub(super) const IFLA_OPERSTATE: u16 = 16;
pub(super) const IFLA_LINKINFO: u16 = 18;
pub(super) const IFLA_NUM_VF: u16 = 21;
pub(super) const IFLA_VFINFO_LIST: u16 = 22;
pub(super) const IFLA_STATS64: u16 = 23;
pub(super) const IFLA_EXT_MASK: u16 = 29;
pub(super) const IFLA_CARRIER: u16 = 33;
pub(super) const IFLA_PHYS_PORT_ID: u16 = 34;
pub(super) const IFLA_PHYS_SWITCH_ID: u16 = 36;
pub(super) const IFLA_PHYS_PORT_NAME: u16 = 38;
pub(super) const IFLA_PROP_LIST: u16 = 52;
pub(super) const IFLA_ALT_IFNAME: u16 = 53;
pub(super) const IFLA_PARENT_DEV_NAME: u16 = 56;
pub(super) const IFLA_PARENT_DEV_BUS_NAME: u16 = 57;

pub(super) const IFLA_INFO_KIND: u16 = 1;
pub(super) const IFLA_INFO_DATA: u16 = 2;
pub(super) const IFLA_INFO_SLAVE_KIND: u16 = 4;
pub(super) const IFLA_INFO_SLAVE_DATA: u16 = 5;
pub(super) const IFLA_BOND_MODE: u16 = 1;
pub(super) const IFLA_BOND_SLAVE_STATE: u16 = 1;

pub(super) const IFLA_VF_INFO: u16 = 1;
pub(super) const IFLA_VF_MAC: u16 = 1;
pub(super) const IFLA_VF_VLAN: u16 = 2;
pub(super) const IFLA_VF_TX_RATE: u16 = 3;
pub(super) const IFLA_VF_SPOOFCHK: u16 = 4;
pub(super) const IFLA_VF_LINK_STATE: u16 = 5;
pub(super) const IFLA_VF_RATE: u16 = 6;
pub(super) const IFLA_VF_RSS_QUERY_EN: u16 = 7;
pub(super) const IFLA_VF_STATS: u16 = 8;
pub(super) const IFLA_VF_TRUST: u16 = 9;
pub(super) const IFLA_VF_VLAN_LIST: u16 = 12;
pub(super) const IFLA_VF_BROADCAST: u16 = 13;
pub(super) const IFLA_VF_VLAN_INFO: u16 = 1;

pub(super) const IFLA_VF_STATS_RX_PACKETS: u16 = 0;
pub(super) const IFLA_VF_STATS_TX_PACKETS: u16 = 1;
pub(super) const IFLA_VF_STATS_RX_BYTES: u16 = 2;
pub(super) const IFLA_VF_STATS_TX_BYTES: u16 = 3;
pub(super) const IFLA_VF_STATS_BROADCAST: u16 = 4;
pub(super) const IFLA_VF_STATS_MULTICAST: u16 = 5;
pub(super) const IFLA_VF_STATS_RX_DROPPED: u16 = 7;
pub(super) const IFLA_VF_STATS_TX_DROPPED: u16 = 8;

pub(super) const RTEXT_FILTER_VF: u32 = 1;
pub(super) const RTEXT_FILTER_SKIP_STATS: u32 = 1 << 3;

/// Administratively up (linux/if.h).
pub const IFF_UP: u32 = 1;
/// Multicast group of link events (linux/rtnetlink.h).
pub const RTNLGRP_LINK: u32 = 1;
