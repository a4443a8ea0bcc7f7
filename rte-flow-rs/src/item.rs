//! Pattern items: what a rule matches.

use crate::layout::{self, item_type};

/// The fields of one item type, with their place in the C structure.
pub trait ItemFields: Clone + Default + std::fmt::Debug + PartialEq {
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
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// IPv6's fragment extension header.
    Ipv6FragExt(Match<Ipv6FragExt>),
    /// VXLAN, behind UDP. What follows it in the pattern is the inner packet.
    Vxlan(Match<Vxlan>),
    /// GENEVE, behind UDP.
    Geneve(Match<Geneve>),
    /// One option of GENEVE, behind its item.
    GeneveOpt(Box<GeneveOpt>),
    /// GRE.
    Gre(Match<Gre>),
    /// The key of GRE, behind its item.
    GreKey(Match<GreKey>),
    /// Bytes at a place.
    Raw(Box<Raw>),
    /// A register that an earlier rule set.
    Tag(Match<Tag>),
    /// The metadata that an earlier rule, or the sender, set.
    Meta(Match<Meta>),
    /// The mark that an earlier rule left.
    Mark(Match<MarkId>),
    /// Traffic that enters the switch from this ethdev (sent by the application).
    PortRepresentor(Match<Ethdev>),
    /// Traffic that enters the switch from the port this ethdev represents (a VF, the wire).
    RepresentedPort(Match<Ethdev>),
    /// Traffic of an ethdev, in the words of older drivers; DPDK has deprecated it in favour of the two above.
    PortId(Match<PortId>),
    /// All items that the driver wants for a tunnel that it restores ([`crate::RteFlowApi::tunnel_match`]); they come first.
    Tunnel(TunnelItems),
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

/// A virtual network identifier of 24 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Vni(pub u32);

impl Wire for Vni {
    type Bytes = [u8; 3];
    fn wire(self) -> [u8; 3] {
        let [_, a, b, c] = self.0.to_be_bytes();
        [a, b, c]
    }
}

/// An option of GENEVE (`rte_flow_item_geneve_opt`; RFC 8926, section 3.5), with the bits of it that count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GeneveOpt {
    /// Option class.
    pub class: u16,
    /// Bits of it that count.
    pub class_mask: u16,
    /// Type; the top bit says that the option is critical.
    pub opt_type: u8,
    /// Bits of it that count.
    pub type_mask: u8,
    /// Data, up to 124 bytes; filled up with zeros to whole words.
    pub data: Vec<u8>,
    /// Bits of the data that count; what is missing counts nothing.
    pub data_mask: Vec<u8>,
}

/// Most bytes of data in an option of GENEVE: 31 words.
pub const GENEVE_OPT_DATA: usize = 124;

/// Bytes at a place (`rte_flow_item_raw`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Raw {
    /// From the end of the previous item, not from the start of the packet.
    pub relative: bool,
    /// Look for the pattern from the offset on.
    pub search: bool,
    /// Bytes to skip.
    pub offset: i32,
    /// How far a search goes; 0: to the end.
    pub limit: u16,
    /// The bytes.
    pub pattern: Vec<u8>,
    /// Bits of them that count; what is missing counts nothing.
    pub mask: Vec<u8>,
}

/// Items that a driver gave for a tunnel; a number that its owner checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TunnelItems(pub u64);

impl GeneveOpt {
    /// Spec and mask, and what their pointers are to point to: both as long as an option can be, so that a reader that trusts
    /// either length stays inside.
    pub(crate) fn lower(&self) -> [(Vec<u8>, Vec<u8>); 2] {
        let words = self.data.len().min(GENEVE_OPT_DATA).div_ceil(4);
        let one = |class: u16, opt_type: u8, len: u8, data: &[u8]| {
            let mut bytes = vec![0; layout::ITEM_GENEVE_OPT_SIZE];
            put(&mut bytes, layout::ITEM_GENEVE_OPT_CLASS, &class.to_be_bytes());
            put(&mut bytes, layout::ITEM_GENEVE_OPT_TYPE, &[opt_type]);
            put(&mut bytes, layout::ITEM_GENEVE_OPT_LEN, &[len]);
            (bytes, resized(data, GENEVE_OPT_DATA))
        };
        [
            one(self.class, self.opt_type, words as u8, &self.data),
            one(self.class_mask, self.type_mask, 0x1f, &self.data_mask),
        ]
    }
}

impl Raw {
    /// As [`GeneveOpt::lower`]: both patterns have the length that a reader gets from spec and mask together.
    pub(crate) fn lower(&self) -> [(Vec<u8>, Vec<u8>); 2] {
        let len = self.pattern.len().min(usize::from(u16::MAX));
        let one = |bits: u8, offset: i32, limit: u16, length: u16, pattern: &[u8]| {
            let mut bytes = vec![0; layout::ITEM_RAW_SIZE];
            put(&mut bytes, 0, &[bits]);
            put(&mut bytes, layout::ITEM_RAW_OFFSET, &offset.to_ne_bytes());
            put(&mut bytes, layout::ITEM_RAW_LIMIT, &limit.to_ne_bytes());
            put(&mut bytes, layout::ITEM_RAW_LENGTH, &length.to_ne_bytes());
            (bytes, resized(pattern, len))
        };
        let bits = u8::from(self.relative) | u8::from(self.search) << 1;
        [one(bits, self.offset, self.limit, len as u16, &self.pattern), one(3, -1, u16::MAX, u16::MAX, &self.mask)]
    }
}

fn resized(bytes: &[u8], len: usize) -> Vec<u8> {
    let mut out = bytes.to_vec();
    out.resize(len, 0);
    out
}

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
    ($(#[$doc:meta])* $name:ident ($size:ident) { $($(#[$fdoc:meta])* $field:ident: $ty:ty = $at:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name {
            $($(#[$fdoc])* pub $field: $ty,)*
        }

        impl ItemFields for $name {
            const SIZE: usize = layout::$size;
            fn write(&self, out: &mut [u8]) {
                $(put(out, layout::$at, &self.$field.to_ne_bytes());)*
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
header! {
    /// IPv6 fragment extension header (`rte_flow_item_ipv6_frag_ext`; RFC 8200, section 4.5).
    Ipv6FragExt (ITEM_IPV6_FRAG_EXT_SIZE) {
        /// Next header.
        next_header: u8 = ITEM_IPV6_FRAG_EXT_NEXT_HEADER,
        /// Offset in 8-byte units (13 bits), reserved (2), more fragments (1).
        frag_data: u16 = ITEM_IPV6_FRAG_EXT_FRAG_DATA,
        /// Identification.
        id: u32 = ITEM_IPV6_FRAG_EXT_ID,
    }
}
header! {
    /// VXLAN header (`rte_flow_item_vxlan`; RFC 7348).
    Vxlan (ITEM_VXLAN_SIZE) {
        /// Flags: 0x08 when the VNI is valid.
        flags: u8 = ITEM_VXLAN_FLAGS,
        /// VXLAN network identifier.
        vni: Vni = ITEM_VXLAN_VNI,
    }
}
header! {
    /// GENEVE header (`rte_flow_item_geneve`; RFC 8926).
    Geneve (ITEM_GENEVE_SIZE) {
        /// Version (2 bits), length of the options in words (6), O, C, reserved (6).
        ver_opt_len: u16 = ITEM_GENEVE_VER_OPT_LEN,
        /// EtherType of what follows; 0x6558 for Ethernet.
        protocol: u16 = ITEM_GENEVE_PROTOCOL,
        /// Virtual network identifier.
        vni: Vni = ITEM_GENEVE_VNI,
    }
}
header! {
    /// GRE header (`rte_flow_item_gre`; RFC 2784, RFC 2890).
    Gre (ITEM_GRE_SIZE) {
        /// C, reserved, K (bit 13), S (bit 12), reserved, version (3 bits).
        flags: u16 = ITEM_GRE_FLAGS,
        /// EtherType of what follows; 0x6558 for Ethernet.
        protocol: u16 = ITEM_GRE_PROTOCOL,
    }
}
header! {
    /// Key of GRE (RFC 2890).
    GreKey (ITEM_GRE_KEY_SIZE) {
        /// The key.
        key: u32 = ITEM_GRE_KEY_KEY,
    }
}
host! {
    /// A register (`rte_flow_item_tag`).
    Tag (ITEM_TAG_SIZE) {
        /// Its value.
        data: u32 = ITEM_TAG_DATA,
        /// Which register. In a mask: all ones.
        index: u8 = ITEM_TAG_INDEX
    }
}
host! {
    /// The metadata (`rte_flow_item_meta`).
    Meta (ITEM_META_SIZE) {
        /// Its value.
        data: u32 = ITEM_META_DATA
    }
}
host! {
    /// A port (`rte_flow_item_port_id`).
    PortId (ITEM_PORT_ID_SIZE) {
        /// DPDK's port id.
        id: u32 = ITEM_PORT_ID_ID
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
            Item::Ipv6FragExt(_) => item_type::IPV6_FRAG_EXT,
            Item::Vxlan(_) => item_type::VXLAN,
            Item::Geneve(_) => item_type::GENEVE,
            Item::GeneveOpt(_) => item_type::GENEVE_OPT,
            Item::Gre(_) => item_type::GRE,
            Item::GreKey(_) => item_type::GRE_KEY,
            Item::Raw(_) => item_type::RAW,
            Item::Tag(_) => item_type::TAG,
            Item::Meta(_) => item_type::META,
            Item::PortId(_) => item_type::PORT_ID,
            // Stands for whatever the driver gave; without the driver it is nothing.
            Item::Tunnel(_) => item_type::VOID,
        }
    }
}
