//! Pattern items: what a rule matches.

use crate::layout::{self, item_type};

/// The fields of one item type, with their place in the C structure.
pub trait ItemFields: Copy + Default + std::fmt::Debug + PartialEq {
    /// Bytes of the C structure.
    const SIZE: usize;
    /// Writes the fields into a zeroed C structure of [`ItemFields::SIZE`] bytes.
    fn write(&self, out: &mut [u8]);
}

/// Which packets an item lets through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Match<T> {
    /// Any packet that has the header (spec, last and mask are null).
    #[default]
    Any,
    /// Those whose bits under `mask` are those of `spec`.
    Masked {
        /// Values.
        spec: T,
        /// Bits that count.
        mask: T,
    },
    /// Those whose value under `mask` lies between `spec` and `last`, both included.
    Range {
        /// Lower bound.
        spec: T,
        /// Upper bound.
        last: T,
        /// Bits that count.
        mask: T,
    },
}

/// One item of a pattern (`rte_flow_item`), outermost header first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// Nothing: a placeholder.
    Void,
    /// Any protocol, `num` layers of it.
    Any(Match<AnyLayers>),
    /// Ethernet.
    Eth(Match<Eth>),
    /// One VLAN tag.
    Vlan(Match<Vlan>),
    /// IPv4.
    Ipv4(Match<Ipv4>),
    /// IPv6.
    Ipv6(Match<Ipv6>),
    /// TCP.
    Tcp(Match<Tcp>),
    /// UDP.
    Udp(Match<Udp>),
    /// SCTP.
    Sctp(Match<Sctp>),
    /// ICMP.
    Icmp(Match<Icmp>),
    /// ICMPv6.
    Icmp6(Match<Icmp6>),
    /// ARP for Ethernet and IPv4.
    Arp(Match<ArpEthIpv4>),
    /// The mark that an earlier rule left.
    Mark(Match<MarkId>),
    /// Traffic that enters the switch from this ethdev (sent by the application).
    PortRepresentor(Match<Ethdev>),
    /// Traffic that enters the switch from the port this ethdev represents (a VF, the wire).
    RepresentedPort(Match<Ethdev>),
}

pub(crate) fn put(out: &mut [u8], at: usize, bytes: &[u8]) {
    out[at..at + bytes.len()].copy_from_slice(bytes);
}

/// Values as headers have them: numbers big-endian, addresses as they are.
trait Wire {
    type Bytes: AsRef<[u8]>;
    fn wire(self) -> Self::Bytes;
}

macro_rules! wire_numbers {
    ($($ty:ty)*) => { $(impl Wire for $ty {
        type Bytes = [u8; size_of::<$ty>()];
        fn wire(self) -> Self::Bytes {
            self.to_be_bytes()
        }
    })* };
}
wire_numbers!(u8 u16 u32);

impl<const N: usize> Wire for [u8; N] {
    type Bytes = [u8; N];
    fn wire(self) -> [u8; N] {
        self
    }
}

macro_rules! header {
    ($(#[$doc:meta])* $name:ident ($size:ident) {
        $($(#[$fdoc:meta])* $field:ident: $ty:ty = $at:ident,)*
    } $(bits { $($(#[$bdoc:meta])* $bit:ident = $bat:ident,)* })?) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name {
            $($(#[$fdoc])* pub $field: $ty,)*
            $($($(#[$bdoc])* pub $bit: bool,)*)?
        }

        impl ItemFields for $name {
            const SIZE: usize = layout::$size;
            fn write(&self, out: &mut [u8]) {
                $(put(out, layout::$at, self.$field.wire().as_ref());)*
                $($(if self.$bit { out[layout::$bat.0] |= layout::$bat.1; })*)?
            }
        }
    };
}

/// Items that are no headers: numbers in host order.
macro_rules! host {
    ($(#[$doc:meta])* $name:ident ($size:ident) { $(#[$fdoc:meta])* $field:ident: $ty:ty = $at:ident }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name {
            $(#[$fdoc])* pub $field: $ty,
        }

        impl ItemFields for $name {
            const SIZE: usize = layout::$size;
            fn write(&self, out: &mut [u8]) {
                put(out, layout::$at, &self.$field.to_ne_bytes());
            }
        }
    };
}

header! {
    /// Ethernet header (`rte_flow_item_eth`).
    Eth (ITEM_ETH_SIZE) {
        /// Destination MAC address.
        dst: [u8; 6] = ITEM_ETH_DST,
        /// Source MAC address.
        src: [u8; 6] = ITEM_ETH_SRC,
        /// EtherType, of the innermost header that the pattern does not describe by VLAN items.
        ether_type: u16 = ITEM_ETH_TYPE,
    } bits {
        /// The frame has at least one VLAN tag (in the mask: this counts).
        has_vlan = ITEM_ETH_HAS_VLAN,
    }
}
header! {
    /// VLAN tag (`rte_flow_item_vlan`).
    Vlan (ITEM_VLAN_SIZE) {
        /// PCP (3 bits), DEI (1), VID (12).
        tci: u16 = ITEM_VLAN_TCI,
        /// EtherType after the tag.
        inner_type: u16 = ITEM_VLAN_INNER_TYPE,
    } bits {
        /// Another tag follows.
        has_more_vlan = ITEM_VLAN_HAS_MORE_VLAN,
    }
}
header! {
    /// IPv4 header (`rte_flow_item_ipv4`; RFC 791).
    Ipv4 (ITEM_IPV4_SIZE) {
        /// Version (4 bits) and header length in words (4).
        version_ihl: u8 = ITEM_IPV4_VERSION_IHL,
        /// DSCP (6 bits) and ECN (2).
        tos: u8 = ITEM_IPV4_TOS,
        /// Flags (3 bits: reserved, DF, MF) and offset in 8-byte units (13).
        fragment_offset: u16 = ITEM_IPV4_FRAGMENT_OFFSET,
        /// Time to live.
        ttl: u8 = ITEM_IPV4_TTL,
        /// Protocol.
        proto: u8 = ITEM_IPV4_PROTO,
        /// Source address.
        src: [u8; 4] = ITEM_IPV4_SRC,
        /// Destination address.
        dst: [u8; 4] = ITEM_IPV4_DST,
    }
}
header! {
    /// IPv6 header (`rte_flow_item_ipv6`; RFC 8200).
    Ipv6 (ITEM_IPV6_SIZE) {
        /// Version (4 bits), traffic class (8), flow label (20).
        vtc_flow: u32 = ITEM_IPV6_VTC_FLOW,
        /// Next header.
        proto: u8 = ITEM_IPV6_PROTO,
        /// Hop limit.
        hop_limit: u8 = ITEM_IPV6_HOP_LIMITS,
        /// Source address.
        src: [u8; 16] = ITEM_IPV6_SRC,
        /// Destination address.
        dst: [u8; 16] = ITEM_IPV6_DST,
    } bits {
        /// The packet has a fragment extension header.
        has_frag_ext = ITEM_IPV6_HAS_FRAG_EXT,
    }
}
header! {
    /// TCP header (`rte_flow_item_tcp`; RFC 9293).
    Tcp (ITEM_TCP_SIZE) {
        /// Source port.
        src: u16 = ITEM_TCP_SRC_PORT,
        /// Destination port.
        dst: u16 = ITEM_TCP_DST_PORT,
        /// Data offset in words (upper 4 bits).
        data_off: u8 = ITEM_TCP_DATA_OFF,
        /// Flags, CWR to FIN.
        flags: u8 = ITEM_TCP_FLAGS,
    }
}
header! {
    /// UDP header (`rte_flow_item_udp`).
    Udp (ITEM_UDP_SIZE) {
        /// Source port.
        src: u16 = ITEM_UDP_SRC_PORT,
        /// Destination port.
        dst: u16 = ITEM_UDP_DST_PORT,
    }
}
header! {
    /// SCTP header (`rte_flow_item_sctp`).
    Sctp (ITEM_SCTP_SIZE) {
        /// Source port.
        src: u16 = ITEM_SCTP_SRC_PORT,
        /// Destination port.
        dst: u16 = ITEM_SCTP_DST_PORT,
    }
}
header! {
    /// ICMP header (`rte_flow_item_icmp`).
    Icmp (ITEM_ICMP_SIZE) {
        /// Type.
        icmp_type: u8 = ITEM_ICMP_TYPE,
        /// Code.
        code: u8 = ITEM_ICMP_CODE,
    }
}
header! {
    /// ICMPv6 header (`rte_flow_item_icmp6`).
    Icmp6 (ITEM_ICMP6_SIZE) {
        /// Type.
        icmp_type: u8 = ITEM_ICMP6_TYPE,
        /// Code.
        code: u8 = ITEM_ICMP6_CODE,
    }
}
header! {
    /// ARP for Ethernet and IPv4 (`rte_flow_item_arp_eth_ipv4`; RFC 826). The C structure has padding that the wire has not.
    ArpEthIpv4 (ITEM_ARP_SIZE) {
        /// Operation.
        op: u16 = ITEM_ARP_OP,
        /// Sender hardware address.
        sha: [u8; 6] = ITEM_ARP_SHA,
        /// Sender protocol address.
        spa: [u8; 4] = ITEM_ARP_SPA,
        /// Target hardware address.
        tha: [u8; 6] = ITEM_ARP_THA,
        /// Target protocol address.
        tpa: [u8; 4] = ITEM_ARP_TPA,
    }
}
host! {
    /// Layers of any protocol (`rte_flow_item_any`).
    AnyLayers (ITEM_ANY_SIZE) {
        /// Number of layers.
        num: u32 = ITEM_ANY_NUM
    }
}
host! {
    /// A mark (`rte_flow_item_mark`).
    MarkId (ITEM_MARK_SIZE) {
        /// Its value.
        id: u32 = ITEM_MARK_ID
    }
}
host! {
    /// A port by its ethdev (`rte_flow_item_ethdev`).
    Ethdev (ETHDEV_SIZE) {
        /// DPDK's port id.
        port_id: u16 = ETHDEV_PORT_ID
    }
}

impl Item {
    /// The item's type in the C interface.
    pub fn type_id(&self) -> u32 {
        match self {
            Item::Void => item_type::VOID,
            Item::Any(_) => item_type::ANY,
            Item::Eth(_) => item_type::ETH,
            Item::Vlan(_) => item_type::VLAN,
            Item::Ipv4(_) => item_type::IPV4,
            Item::Ipv6(_) => item_type::IPV6,
            Item::Tcp(_) => item_type::TCP,
            Item::Udp(_) => item_type::UDP,
            Item::Sctp(_) => item_type::SCTP,
            Item::Icmp(_) => item_type::ICMP,
            Item::Icmp6(_) => item_type::ICMP6,
            Item::Arp(_) => item_type::ARP_ETH_IPV4,
            Item::Mark(_) => item_type::MARK,
            Item::PortRepresentor(_) => item_type::PORT_REPRESENTOR,
            Item::RepresentedPort(_) => item_type::REPRESENTED_PORT,
        }
    }
}
