//! The one table of fields.
//!
//! Names, masks and prerequisites follow the OVS manual ovs-fields(7).

use crate::key::{FlowKey, Registers, ct_state};
use crate::value::Value;
use std::mem::offset_of;

/// Where a field's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a [`FlowKey`]: byte offset and number of bytes.
    Key { offset: u16, bytes: u8 },
    /// In [`Registers`]: byte offset and number of bytes.
    Registers { offset: u16, bytes: u8 },
}

/// What a packet must be for a field to exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Prereq {
    /// Any packet.
    None,
    /// A VLAN tag is there (`vlan_vid` matched with its present bit).
    VlanVid,
    /// eth_type 0x0806 or 0x8035 (RARP).
    Arp,
    /// eth_type 0x0800 or 0x86dd.
    Ip,
    /// eth_type 0x0800.
    Ipv4,
    /// eth_type 0x86dd.
    Ipv6,
    /// IP with protocol 6, not a later fragment.
    Tcp,
    /// IP with protocol 17, not a later fragment.
    Udp,
    /// IP with protocol 132, not a later fragment.
    Sctp,
    /// IPv4 with protocol 1.
    Icmp,
    /// IPv6 with next header 58.
    Icmpv6,
    /// ICMPv6 type 135 or 136, code 0.
    Nd,
    /// ICMPv6 type 135, code 0.
    NdSolicit,
    /// ICMPv6 type 136, code 0.
    NdAdvert,
    /// eth_type 0x8847 or 0x8848.
    Mpls,
    /// A tracked and valid connection: one of `new`, `est`, `rel`, `rpl`, `snat`, `dnat`, or `trk` and not `inv`.
    CtIp,
    /// Such a connection over IPv4.
    CtIpv4,
    /// Such a connection over IPv6.
    CtIpv6,
}

impl Prereq {
    /// Whether a packet with this key has the field. For a rule's match see [`crate::Match::satisfies`].
    #[must_use]
    pub fn holds(self, key: &FlowKey) -> bool {
        let eth_type = key.eth_type.get();
        let ip = |proto: u8| matches!(eth_type, 0x0800 | 0x86dd) && key.nw_proto == proto;
        let l4 = |proto: u8| ip(proto) && key.nw_frag & crate::key::frag::LATER == 0;
        let icmpv6 = eth_type == 0x86dd && key.nw_proto == 58;
        let nd = |types: &[u16]| icmpv6 && types.contains(&key.tp_src.get()) && key.tp_dst.get() == 0;
        let connection = || {
            let state = key.ct_state.get();
            state & ct_state::OF_VALID != 0 || state & (ct_state::TRACKED | ct_state::INVALID) == ct_state::TRACKED
        };
        match self {
            Prereq::None => true,
            Prereq::VlanVid => key.vlans[0].is_present(),
            Prereq::Arp => matches!(eth_type, 0x0806 | 0x8035),
            Prereq::Ip => matches!(eth_type, 0x0800 | 0x86dd),
            Prereq::Ipv4 => eth_type == 0x0800,
            Prereq::Ipv6 => eth_type == 0x86dd,
            Prereq::Tcp => l4(6),
            Prereq::Udp => l4(17),
            Prereq::Sctp => l4(132),
            Prereq::Icmp => eth_type == 0x0800 && key.nw_proto == 1,
            Prereq::Icmpv6 => icmpv6,
            Prereq::Nd => nd(&[135, 136]),
            Prereq::NdSolicit => nd(&[135]),
            Prereq::NdAdvert => nd(&[136]),
            Prereq::Mpls => matches!(eth_type, 0x8847 | 0x8848),
            Prereq::CtIp => connection(),
            Prereq::CtIpv4 => eth_type == 0x0800 && connection(),
            Prereq::CtIpv6 => eth_type == 0x86dd && connection(),
        }
    }

    /// The fields that [`Prereq::holds`] looks at: whoever depends on its answer has matched them.
    #[must_use]
    pub fn fields(self) -> &'static [FieldId] {
        match self {
            Prereq::None => &[],
            Prereq::VlanVid => &[FieldId::VlanVid],
            Prereq::Arp | Prereq::Ip | Prereq::Ipv4 | Prereq::Ipv6 | Prereq::Mpls => &[FieldId::EthType],
            Prereq::CtIp => &[FieldId::CtState],
            Prereq::CtIpv4 | Prereq::CtIpv6 => &[FieldId::EthType, FieldId::CtState],
            Prereq::Tcp | Prereq::Udp | Prereq::Sctp => &[FieldId::EthType, FieldId::IpProto, FieldId::IpFrag],
            Prereq::Icmp | Prereq::Icmpv6 => &[FieldId::EthType, FieldId::IpProto],
            Prereq::Nd | Prereq::NdSolicit | Prereq::NdAdvert => {
                &[FieldId::EthType, FieldId::IpProto, FieldId::TcpSrc, FieldId::TcpDst]
            }
        }
    }

    /// What to write into a match to fulfil it.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Prereq::None => "nothing",
            Prereq::VlanVid => "a VLAN tag",
            Prereq::Arp => "`arp` or `rarp`",
            Prereq::Ip => "`ip` or `ipv6`",
            Prereq::Ipv4 => "`ip`",
            Prereq::Ipv6 => "`ipv6`",
            Prereq::Tcp => "`tcp` or `tcp6`",
            Prereq::Udp => "`udp` or `udp6`",
            Prereq::Sctp => "`sctp` or `sctp6`",
            Prereq::Icmp => "`icmp`",
            Prereq::Icmpv6 => "`icmp6`",
            Prereq::Nd => "`icmp6,icmp_type=135` or `icmp6,icmp_type=136`",
            Prereq::NdSolicit => "`icmp6,icmp_type=135`",
            Prereq::NdAdvert => "`icmp6,icmp_type=136`",
            Prereq::Mpls => "`mpls` or `mplsm`",
            Prereq::CtIp => "a valid connection (`ct_state=+trk-inv`, `+est`, `+new` ...)",
            Prereq::CtIpv4 => "`ip` and a valid connection (`ct_state=+trk-inv`, `+est`, `+new` ...)",
            Prereq::CtIpv6 => "`ipv6` and a valid connection (`ct_state=+trk-inv`, `+est`, `+new` ...)",
        }
    }
}

/// What a packet must be for `field` to exist.
#[must_use]
pub fn prerequisites(field: FieldId) -> Prereq {
    field.def().prereq
}

/// How a value is written in text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Decimal,
    Hex,
    Mac,
    Ipv4,
    Ipv6,
    OfPort,
    Frag,
    TcpFlags,
    TunFlags,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct FieldDef {
    pub id: FieldId,
    /// The name in text.
    pub name: &'static str,
    /// Other names that text may use.
    pub aliases: &'static [&'static str],
    /// The bytes that hold the field.
    pub place: Place,
    /// Width in bits.
    pub bits: u16,
    /// How far the field is shifted left within its bytes, in bits.
    pub shift: u8,
    pub prereq: Prereq,
    /// Whether a match may leave out some of its bits.
    pub maskable: bool,
    /// Whether an action may change it.
    pub writable: bool,
    pub format: Format,
}

impl FieldDef {
    /// The value of an exact match on this field.
    #[must_use]
    pub fn ones(&self) -> Value {
        Value::ones(self.bits)
    }

    /// Whether the field is part of a datapath flow.
    #[must_use]
    pub fn is_in_key(&self) -> bool {
        matches!(self.place, Place::Key { .. })
    }
}

/// The name of a field in code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum FieldId {
    /// Input port. In a key: the datapath port; in a rule: the OpenFlow port.
    InPort,
    /// Recirculation of the packet (internal).
    RecircId,
    /// Tunnel key.
    TunId,
    /// Packet mark.
    PktMark,
    /// Connection state bits.
    CtState,
    /// Connection mark.
    CtMark,
    /// Connection zone.
    CtZone,
    /// Datapath hash (internal).
    DpHash,
    /// OpenFlow 1.1 metadata.
    Metadata,
    /// Register 0.
    Reg0,
    /// Register 1.
    Reg1,
    /// Register 2.
    Reg2,
    /// Register 3.
    Reg3,
    /// Register 4.
    Reg4,
    /// Register 5.
    Reg5,
    /// Register 6.
    Reg6,
    /// Register 7.
    Reg7,
    /// Register 8.
    Reg8,
    /// Register 9.
    Reg9,
    /// Register 10.
    Reg10,
    /// Register 11.
    Reg11,
    /// Register 12.
    Reg12,
    /// Register 13.
    Reg13,
    /// Register 14.
    Reg14,
    /// Register 15.
    Reg15,
    /// Ethernet source.
    EthSrc,
    /// Ethernet destination.
    EthDst,
    /// Ethertype behind VLAN tags.
    EthType,
    /// Ethertype of the outer tag (internal).
    VlanTpid,
    /// Outer tag: priority, present bit, id.
    VlanTci,
    /// Outer VLAN id with the present bit 0x1000.
    VlanVid,
    /// Outer VLAN priority.
    VlanPcp,
    /// Ethertype of the inner tag (internal).
    Vlan1Tpid,
    /// Inner tag (internal).
    Vlan1Tci,
    /// IP protocol, or IPv6 next header behind extension headers.
    IpProto,
    /// Whole traffic class byte; in text nw_tos is its DSCP, shifted left by 2.
    IpTos,
    /// DSCP.
    IpDscp,
    /// ECN.
    IpEcn,
    /// TTL or hop limit.
    IpTtl,
    /// Fragment bits.
    IpFrag,
    /// IPv4 source.
    Ipv4Src,
    /// IPv4 destination.
    Ipv4Dst,
    /// IPv6 source.
    Ipv6Src,
    /// IPv6 destination.
    Ipv6Dst,
    /// IPv6 flow label.
    Ipv6Label,
    /// ARP opcode.
    ArpOp,
    /// ARP sender protocol address.
    ArpSpa,
    /// ARP target protocol address.
    ArpTpa,
    /// ARP sender MAC.
    ArpSha,
    /// ARP target MAC.
    ArpTha,
    /// TCP source port.
    TcpSrc,
    /// TCP destination port.
    TcpDst,
    /// TCP flags.
    TcpFlags,
    /// UDP source port.
    UdpSrc,
    /// UDP destination port.
    UdpDst,
    /// SCTP source port.
    SctpSrc,
    /// SCTP destination port.
    SctpDst,
    /// ICMP type.
    IcmpType,
    /// ICMP code.
    IcmpCode,
    /// ICMPv6 type.
    Icmpv6Type,
    /// ICMPv6 code.
    Icmpv6Code,
    /// Neighbour discovery target.
    NdTarget,
    /// Source link-layer address of a neighbour solicitation.
    NdSll,
    /// Target link-layer address of a neighbour advertisement.
    NdTll,
    /// Egress queue that an action chose (internal).
    SkbPriority,
    /// Outer IPv4 source.
    TunSrc,
    /// Outer IPv4 destination.
    TunDst,
    /// Outer IPv6 source.
    TunIpv6Src,
    /// Outer IPv6 destination.
    TunIpv6Dst,
    /// Tunnel flags.
    TunFlags,
    /// VXLAN group policy id.
    TunGbpId,
    /// VXLAN group policy flags.
    TunGbpFlags,
    /// Connection label.
    CtLabel,
    /// Protocol of the connection's original direction.
    CtNwProto,
    /// IPv4 source of the connection's original direction.
    CtNwSrc,
    /// IPv4 destination of the connection's original direction.
    CtNwDst,
    /// IPv6 source of the connection's original direction.
    CtIpv6Src,
    /// IPv6 destination of the connection's original direction.
    CtIpv6Dst,
    /// L4 source port of the connection's original direction.
    CtTpSrc,
    /// L4 destination port of the connection's original direction.
    CtTpDst,
    /// MPLS label of the outermost entry.
    MplsLabel,
    /// MPLS traffic class of the outermost entry.
    MplsTc,
    /// MPLS bottom-of-stack bit of the outermost entry.
    MplsBos,
    /// MPLS TTL of the outermost entry.
    MplsTtl,
    /// Conjunction that the lookup fulfilled.
    ConjId,
    /// Port that the action set would send to.
    ActsetOutput,
    /// Input port in the 32-bit form of OpenFlow 1.1; the same bytes as `in_port`.
    InPortOxm,
    /// Registers 0 and 1.
    Xreg0,
    /// Registers 2 and 3.
    Xreg1,
    /// Registers 4 and 5.
    Xreg2,
    /// Registers 6 and 7.
    Xreg3,
    /// Registers 8 and 9.
    Xreg4,
    /// Registers 10 and 11.
    Xreg5,
    /// Registers 12 and 13.
    Xreg6,
    /// Registers 14 and 15.
    Xreg7,
    /// Registers 0 to 3.
    Xxreg0,
    /// Registers 4 to 7.
    Xxreg1,
    /// Registers 8 to 11.
    Xxreg2,
    /// Registers 12 to 15.
    Xxreg3,
    /// Flags and reserved bits of a neighbour discovery message.
    NdReserved,
    /// First link-layer address option of a neighbour discovery message: 1 source, 2 target, 0 none.
    NdOptionsType,
}

impl FieldId {
    /// The field's row.
    #[must_use]
    #[inline]
    pub fn def(self) -> &'static FieldDef {
        &FIELDS[self as usize]
    }

    /// The field with this name or alias.
    #[must_use]
    pub fn by_name(name: &str) -> Option<FieldId> {
        FIELDS.iter().find(|def| def.name == name || def.aliases.contains(&name)).map(|def| def.id)
    }
}

impl std::fmt::Display for FieldId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.def().name)
    }
}

/// What tracking tells about a packet: state, zone, mark and label of its connection, and the original direction's addresses.
pub const CONNECTION: [FieldId; 11] = [
    FieldId::CtState,
    FieldId::CtZone,
    FieldId::CtMark,
    FieldId::CtLabel,
    FieldId::CtNwProto,
    FieldId::CtNwSrc,
    FieldId::CtNwDst,
    FieldId::CtIpv6Src,
    FieldId::CtIpv6Dst,
    FieldId::CtTpSrc,
    FieldId::CtTpDst,
];

/// What the outer header of a tunnel tells, or is to tell.
pub const TUNNEL: [FieldId; 8] = [
    FieldId::TunId,
    FieldId::TunSrc,
    FieldId::TunDst,
    FieldId::TunIpv6Src,
    FieldId::TunIpv6Dst,
    FieldId::TunFlags,
    FieldId::TunGbpId,
    FieldId::TunGbpFlags,
];

/// The rows that live in a [`FlowKey`].
pub fn datapath_fields() -> impl Iterator<Item = &'static FieldDef> {
    FIELDS.iter().filter(|def| def.is_in_key())
}

const fn key(offset: usize, bytes: u8) -> Place {
    Place::Key { offset: offset as u16, bytes }
}

const fn reg(offset: usize, bytes: u8) -> Place {
    Place::Registers { offset: offset as u16, bytes }
}

/// All fields, in the order of [`FieldId`].
#[rustfmt::skip]
pub static FIELDS: [FieldDef; 101] = [
    FieldDef { id: FieldId::InPort, name: "in_port", aliases: &[], place: key(offset_of!(FlowKey, in_port), 4), bits: 32, shift: 0, prereq: Prereq::None, maskable: false, writable: true, format: Format::OfPort },
    FieldDef { id: FieldId::RecircId, name: "recirc_id", aliases: &[], place: key(offset_of!(FlowKey, recirc_id), 4), bits: 32, shift: 0, prereq: Prereq::None, maskable: false, writable: false, format: Format::Hex },
    FieldDef { id: FieldId::TunId, name: "tun_id", aliases: &["tunnel_id"], place: key(offset_of!(FlowKey, tun_id), 8), bits: 64, shift: 0, prereq: Prereq::None, maskable: true, writable: true, format: Format::Hex },
    FieldDef { id: FieldId::PktMark, name: "pkt_mark", aliases: &[], place: key(offset_of!(FlowKey, pkt_mark), 4), bits: 32, shift: 0, prereq: Prereq::None, maskable: true, writable: true, format: Format::Hex },
    FieldDef { id: FieldId::CtState, name: "ct_state", aliases: &[], place: key(offset_of!(FlowKey, ct_state), 4), bits: 8, shift: 0, prereq: Prereq::None, maskable: true, writable: false, format: Format::Hex },
    FieldDef { id: FieldId::CtMark, name: "ct_mark", aliases: &[], place: key(offset_of!(FlowKey, ct_mark), 4), bits: 32, shift: 0, prereq: Prereq::None, maskable: true, writable: true, format: Format::Hex },
    FieldDef { id: FieldId::CtZone, name: "ct_zone", aliases: &[], place: key(offset_of!(FlowKey, ct_zone), 2), bits: 16, shift: 0, prereq: Prereq::None, maskable: false, writable: false, format: Format::Hex },
    FieldDef { id: FieldId::DpHash, name: "dp_hash", aliases: &[], place: key(offset_of!(FlowKey, dp_hash), 4), bits: 32, shift: 0, prereq: Prereq::None, maskable: true, writable: false, format: Format::Hex },
    FieldDef { id: FieldId::Metadata, name: "metadata", aliases: &[], place: reg(offset_of!(Registers, metadata), 8), bits: 64, shift: 0, prereq: Prereq::None, maskable: true, writable: true, format: Format::Hex },
    FieldDef { id: FieldId::Reg0, name: "reg0", aliases: &[], place: reg(offset_of!(Registers, regs), 4), bits: 32, shift: 0, prereq: Prereq::None, maskable: true, writable: true, format: Format::Hex },
    FieldDef { id: FieldId::Reg1, name: "reg1", aliases: &[], place: reg(offset_of!(Registers, regs) + 4, 4), bits: 32, shift: 0, prereq: Prereq::None, maskable: true, writable: true, format: Format::Hex },
    FieldDef { id: FieldId::Reg2, name: "reg2", aliases: &[], place: reg(offset_of!(Registers, regs) + 8, 4), bits: 32, shift: 0, prereq: Prereq::None, maskable: true, writable: true, format: Format::Hex },
    FieldDef { id: FieldId::Reg3, name: "reg3", aliases: &[], place: reg(offset_of!(Registers, regs) + 12, 4), bits: 32, shift: 0, prereq: Prereq::None, maskable: true, writable: true, format: Format::Hex },
    FieldDef { id: FieldId::Reg4, name: "reg4", aliases: &[], place: reg(offset_of!(Registers, regs) + 16, 4), bits: 32, shift: 0, prereq: Prereq::None, maskable: true, writable: true, format: Format::Hex },
    FieldDef { id: FieldId::Reg5, name: "reg5", aliases: &[], place: reg(offset_of!(Registers, regs) + 20, 4), bits: 32, shift: 0, prereq: Prereq::None, maskable: true, writable: true, format: Format::Hex },
    FieldDef { id: FieldId::Reg6, name: "reg6", aliases: &[], place: reg(offset_of!(Registers, regs) + 24, 4), bits: 32, shift: 0, prereq: Prereq::None, maskable: true, writable: true, format: Format::Hex },
    FieldDef { id: FieldId::Reg7, name: "reg7", aliases: &[], place: reg(offset_of!(Registers, regs) + 28, 4), bits: 32, shift: 0, prereq: Prereq::None, maskable: true, writable: true, format: Format::Hex },
    FieldDef { id: FieldId::Reg8, name: "reg8", aliases: &[], place: reg(offset_of!(Registers, regs) + 32, 4), bits: 32, shift: 0, prereq: Prereq::None, maskable: true, writable: true, format: Format::Hex },
    FieldDef { id: FieldId::Reg9, name: "reg9", aliases: &[], place: reg(offset_of!(Registers, regs) + 36, 4), bits: 32, shift: 0, prereq: Prereq::None, maskable: true, writable: true, format: Format::Hex },
    FieldDef { id: FieldId::Reg10, name: "reg10", aliases: &[], place: reg(offset_of!(Registers, regs) + 40, 4), bits: 32, shift: 0, prereq: Prereq::None, maskable: true, writable: true, format: Format::Hex },
    FieldDef { id: FieldId::Reg11, name: "reg11", aliases: &[], place: reg(offset_of!(Registers, regs) + 44, 4), bits: 32, shift: 0, prereq: Prereq::None, maskable: true, writable: true, format: Format::Hex },
    FieldDef { id: FieldId::Reg12, name: "reg12", aliases: &[], place: reg(offset_of!(Registers, regs) + 48, 4), bits: 32, shift: 0, prereq: Prereq::None, maskable: true, writable: true, format: Format::Hex },
    FieldDef { id: FieldId::Reg13, name: "reg13", aliases: &[], place: reg(offset_of!(Registers, regs) + 52, 4), bits: 32, shift: 0, prereq: Prereq::None, maskable: true, writable: true, format: Format::Hex },
    FieldDef { id: FieldId::Reg14, name: "reg14", aliases: &[], place: reg(offset_of!(Registers, regs) + 56, 4), bits: 32, shift: 0, prereq: Prereq::None, maskable: true, writable: true, format: Format::Hex },
    FieldDef { id: FieldId::Reg15, name: "reg15", aliases: &[], place: reg(offset_of!(Registers, regs) + 60, 4), bits: 32, shift: 0, prereq: Prereq::None, maskable: true, writable: true, format: Format::Hex },
    FieldDef { id: FieldId::EthSrc, name: "eth_src", aliases: &["dl_src"], place: key(offset_of!(FlowKey, eth_src), 6), bits: 48, shift: 0, prereq: Prereq::None, maskable: true, writable: true, format: Format::Mac },
    FieldDef { id: FieldId::EthDst, name: "eth_dst", aliases: &["dl_dst"], place: key(offset_of!(FlowKey, eth_dst), 6), bits: 48, shift: 0, prereq: Prereq::None, maskable: true, writable: true, format: Format::Mac },
    FieldDef { id: FieldId::EthType, name: "eth_type", aliases: &["dl_type"], place: key(offset_of!(FlowKey, eth_type), 2), bits: 16, shift: 0, prereq: Prereq::None, maskable: false, writable: false, format: Format::Hex },
    FieldDef { id: FieldId::VlanTpid, name: "vlan_tpid", aliases: &[], place: key(offset_of!(FlowKey, vlans), 2), bits: 16, shift: 0, prereq: Prereq::None, maskable: true, writable: false, format: Format::Hex },
    FieldDef { id: FieldId::VlanTci, name: "vlan_tci", aliases: &[], place: key(offset_of!(FlowKey, vlans) + 2, 2), bits: 16, shift: 0, prereq: Prereq::None, maskable: true, writable: true, format: Format::Hex },
    FieldDef { id: FieldId::VlanVid, name: "vlan_vid", aliases: &[], place: key(offset_of!(FlowKey, vlans) + 2, 2), bits: 13, shift: 0, prereq: Prereq::None, maskable: true, writable: true, format: Format::Hex },
    FieldDef { id: FieldId::VlanPcp, name: "vlan_pcp", aliases: &["dl_vlan_pcp"], place: key(offset_of!(FlowKey, vlans) + 2, 2), bits: 3, shift: 13, prereq: Prereq::VlanVid, maskable: false, writable: true, format: Format::Decimal },
    FieldDef { id: FieldId::Vlan1Tpid, name: "vlan1_tpid", aliases: &[], place: key(offset_of!(FlowKey, vlans) + 4, 2), bits: 16, shift: 0, prereq: Prereq::None, maskable: true, writable: false, format: Format::Hex },
    FieldDef { id: FieldId::Vlan1Tci, name: "vlan1_tci", aliases: &[], place: key(offset_of!(FlowKey, vlans) + 6, 2), bits: 16, shift: 0, prereq: Prereq::None, maskable: true, writable: false, format: Format::Hex },
    FieldDef { id: FieldId::IpProto, name: "nw_proto", aliases: &["ip_proto"], place: key(offset_of!(FlowKey, nw_proto), 1), bits: 8, shift: 0, prereq: Prereq::Ip, maskable: false, writable: false, format: Format::Decimal },
    FieldDef { id: FieldId::IpTos, name: "nw_tos", aliases: &[], place: key(offset_of!(FlowKey, nw_tos), 1), bits: 8, shift: 0, prereq: Prereq::Ip, maskable: true, writable: true, format: Format::Decimal },
    FieldDef { id: FieldId::IpDscp, name: "ip_dscp", aliases: &[], place: key(offset_of!(FlowKey, nw_tos), 1), bits: 6, shift: 2, prereq: Prereq::Ip, maskable: false, writable: true, format: Format::Decimal },
    FieldDef { id: FieldId::IpEcn, name: "nw_ecn", aliases: &["ip_ecn"], place: key(offset_of!(FlowKey, nw_tos), 1), bits: 2, shift: 0, prereq: Prereq::Ip, maskable: false, writable: true, format: Format::Decimal },
    FieldDef { id: FieldId::IpTtl, name: "nw_ttl", aliases: &[], place: key(offset_of!(FlowKey, nw_ttl), 1), bits: 8, shift: 0, prereq: Prereq::Ip, maskable: false, writable: true, format: Format::Decimal },
    FieldDef { id: FieldId::IpFrag, name: "ip_frag", aliases: &["nw_frag"], place: key(offset_of!(FlowKey, nw_frag), 1), bits: 2, shift: 0, prereq: Prereq::Ip, maskable: true, writable: false, format: Format::Frag },
    FieldDef { id: FieldId::Ipv4Src, name: "nw_src", aliases: &["ip_src"], place: key(offset_of!(FlowKey, ipv4_src), 4), bits: 32, shift: 0, prereq: Prereq::Ipv4, maskable: true, writable: true, format: Format::Ipv4 },
    FieldDef { id: FieldId::Ipv4Dst, name: "nw_dst", aliases: &["ip_dst"], place: key(offset_of!(FlowKey, ipv4_dst), 4), bits: 32, shift: 0, prereq: Prereq::Ipv4, maskable: true, writable: true, format: Format::Ipv4 },
    FieldDef { id: FieldId::Ipv6Src, name: "ipv6_src", aliases: &[], place: key(offset_of!(FlowKey, ipv6_src), 16), bits: 128, shift: 0, prereq: Prereq::Ipv6, maskable: true, writable: true, format: Format::Ipv6 },
    FieldDef { id: FieldId::Ipv6Dst, name: "ipv6_dst", aliases: &[], place: key(offset_of!(FlowKey, ipv6_dst), 16), bits: 128, shift: 0, prereq: Prereq::Ipv6, maskable: true, writable: true, format: Format::Ipv6 },
    FieldDef { id: FieldId::Ipv6Label, name: "ipv6_label", aliases: &[], place: key(offset_of!(FlowKey, ipv6_label), 4), bits: 20, shift: 0, prereq: Prereq::Ipv6, maskable: true, writable: true, format: Format::Hex },
    FieldDef { id: FieldId::ArpOp, name: "arp_op", aliases: &[], place: key(offset_of!(FlowKey, nw_proto), 1), bits: 8, shift: 0, prereq: Prereq::Arp, maskable: false, writable: true, format: Format::Decimal },
    FieldDef { id: FieldId::ArpSpa, name: "arp_spa", aliases: &[], place: key(offset_of!(FlowKey, ipv4_src), 4), bits: 32, shift: 0, prereq: Prereq::Arp, maskable: true, writable: true, format: Format::Ipv4 },
    FieldDef { id: FieldId::ArpTpa, name: "arp_tpa", aliases: &[], place: key(offset_of!(FlowKey, ipv4_dst), 4), bits: 32, shift: 0, prereq: Prereq::Arp, maskable: true, writable: true, format: Format::Ipv4 },
    FieldDef { id: FieldId::ArpSha, name: "arp_sha", aliases: &[], place: key(offset_of!(FlowKey, arp_sha), 6), bits: 48, shift: 0, prereq: Prereq::Arp, maskable: true, writable: true, format: Format::Mac },
    FieldDef { id: FieldId::ArpTha, name: "arp_tha", aliases: &[], place: key(offset_of!(FlowKey, arp_tha), 6), bits: 48, shift: 0, prereq: Prereq::Arp, maskable: true, writable: true, format: Format::Mac },
    FieldDef { id: FieldId::TcpSrc, name: "tcp_src", aliases: &["tp_src"], place: key(offset_of!(FlowKey, tp_src), 2), bits: 16, shift: 0, prereq: Prereq::Tcp, maskable: true, writable: true, format: Format::Decimal },
    FieldDef { id: FieldId::TcpDst, name: "tcp_dst", aliases: &["tp_dst"], place: key(offset_of!(FlowKey, tp_dst), 2), bits: 16, shift: 0, prereq: Prereq::Tcp, maskable: true, writable: true, format: Format::Decimal },
    FieldDef { id: FieldId::TcpFlags, name: "tcp_flags", aliases: &[], place: key(offset_of!(FlowKey, tcp_flags), 2), bits: 12, shift: 0, prereq: Prereq::Tcp, maskable: true, writable: false, format: Format::TcpFlags },
    FieldDef { id: FieldId::UdpSrc, name: "udp_src", aliases: &[], place: key(offset_of!(FlowKey, tp_src), 2), bits: 16, shift: 0, prereq: Prereq::Udp, maskable: true, writable: true, format: Format::Decimal },
    FieldDef { id: FieldId::UdpDst, name: "udp_dst", aliases: &[], place: key(offset_of!(FlowKey, tp_dst), 2), bits: 16, shift: 0, prereq: Prereq::Udp, maskable: true, writable: true, format: Format::Decimal },
    FieldDef { id: FieldId::SctpSrc, name: "sctp_src", aliases: &[], place: key(offset_of!(FlowKey, tp_src), 2), bits: 16, shift: 0, prereq: Prereq::Sctp, maskable: true, writable: true, format: Format::Decimal },
    FieldDef { id: FieldId::SctpDst, name: "sctp_dst", aliases: &[], place: key(offset_of!(FlowKey, tp_dst), 2), bits: 16, shift: 0, prereq: Prereq::Sctp, maskable: true, writable: true, format: Format::Decimal },
    FieldDef { id: FieldId::IcmpType, name: "icmp_type", aliases: &[], place: key(offset_of!(FlowKey, tp_src) + 1, 1), bits: 8, shift: 0, prereq: Prereq::Icmp, maskable: false, writable: true, format: Format::Decimal },
    FieldDef { id: FieldId::IcmpCode, name: "icmp_code", aliases: &[], place: key(offset_of!(FlowKey, tp_dst) + 1, 1), bits: 8, shift: 0, prereq: Prereq::Icmp, maskable: false, writable: true, format: Format::Decimal },
    FieldDef { id: FieldId::Icmpv6Type, name: "icmpv6_type", aliases: &[], place: key(offset_of!(FlowKey, tp_src) + 1, 1), bits: 8, shift: 0, prereq: Prereq::Icmpv6, maskable: false, writable: true, format: Format::Decimal },
    FieldDef { id: FieldId::Icmpv6Code, name: "icmpv6_code", aliases: &[], place: key(offset_of!(FlowKey, tp_dst) + 1, 1), bits: 8, shift: 0, prereq: Prereq::Icmpv6, maskable: false, writable: true, format: Format::Decimal },
    FieldDef { id: FieldId::NdTarget, name: "nd_target", aliases: &[], place: key(offset_of!(FlowKey, nd_target), 16), bits: 128, shift: 0, prereq: Prereq::Nd, maskable: true, writable: true, format: Format::Ipv6 },
    FieldDef { id: FieldId::NdSll, name: "nd_sll", aliases: &[], place: key(offset_of!(FlowKey, arp_sha), 6), bits: 48, shift: 0, prereq: Prereq::NdSolicit, maskable: true, writable: true, format: Format::Mac },
    FieldDef { id: FieldId::NdTll, name: "nd_tll", aliases: &[], place: key(offset_of!(FlowKey, arp_tha), 6), bits: 48, shift: 0, prereq: Prereq::NdAdvert, maskable: true, writable: true, format: Format::Mac },
    FieldDef { id: FieldId::SkbPriority, name: "skb_priority", aliases: &[], place: key(offset_of!(FlowKey, skb_priority), 4), bits: 32, shift: 0, prereq: Prereq::None, maskable: false, writable: false, format: Format::Hex },
    FieldDef { id: FieldId::TunSrc, name: "tun_src", aliases: &[], place: key(offset_of!(FlowKey, tun_src), 4), bits: 32, shift: 0, prereq: Prereq::None, maskable: true, writable: true, format: Format::Ipv4 },
    FieldDef { id: FieldId::TunDst, name: "tun_dst", aliases: &[], place: key(offset_of!(FlowKey, tun_dst), 4), bits: 32, shift: 0, prereq: Prereq::None, maskable: true, writable: true, format: Format::Ipv4 },
    FieldDef { id: FieldId::TunIpv6Src, name: "tun_ipv6_src", aliases: &[], place: key(offset_of!(FlowKey, tun_ipv6_src), 16), bits: 128, shift: 0, prereq: Prereq::None, maskable: true, writable: true, format: Format::Ipv6 },
    FieldDef { id: FieldId::TunIpv6Dst, name: "tun_ipv6_dst", aliases: &[], place: key(offset_of!(FlowKey, tun_ipv6_dst), 16), bits: 128, shift: 0, prereq: Prereq::None, maskable: true, writable: true, format: Format::Ipv6 },
    FieldDef { id: FieldId::TunFlags, name: "tun_flags", aliases: &[], place: key(offset_of!(FlowKey, tun_flags), 2), bits: 1, shift: 0, prereq: Prereq::None, maskable: true, writable: true, format: Format::TunFlags },
    FieldDef { id: FieldId::TunGbpId, name: "tun_gbp_id", aliases: &[], place: key(offset_of!(FlowKey, tun_gbp_id), 2), bits: 16, shift: 0, prereq: Prereq::None, maskable: true, writable: true, format: Format::Decimal },
    FieldDef { id: FieldId::TunGbpFlags, name: "tun_gbp_flags", aliases: &[], place: key(offset_of!(FlowKey, tun_gbp_flags), 1), bits: 8, shift: 0, prereq: Prereq::None, maskable: true, writable: true, format: Format::Hex },
    FieldDef { id: FieldId::CtLabel, name: "ct_label", aliases: &[], place: key(offset_of!(FlowKey, ct_label), 16), bits: 128, shift: 0, prereq: Prereq::None, maskable: true, writable: true, format: Format::Hex },
    FieldDef { id: FieldId::CtNwProto, name: "ct_nw_proto", aliases: &[], place: key(offset_of!(FlowKey, ct_nw_proto), 1), bits: 8, shift: 0, prereq: Prereq::CtIp, maskable: false, writable: false, format: Format::Decimal },
    FieldDef { id: FieldId::CtNwSrc, name: "ct_nw_src", aliases: &[], place: key(offset_of!(FlowKey, ct_nw_src), 4), bits: 32, shift: 0, prereq: Prereq::CtIpv4, maskable: true, writable: false, format: Format::Ipv4 },
    FieldDef { id: FieldId::CtNwDst, name: "ct_nw_dst", aliases: &[], place: key(offset_of!(FlowKey, ct_nw_dst), 4), bits: 32, shift: 0, prereq: Prereq::CtIpv4, maskable: true, writable: false, format: Format::Ipv4 },
    FieldDef { id: FieldId::CtIpv6Src, name: "ct_ipv6_src", aliases: &[], place: key(offset_of!(FlowKey, ct_ipv6_src), 16), bits: 128, shift: 0, prereq: Prereq::CtIpv6, maskable: true, writable: false, format: Format::Ipv6 },
    FieldDef { id: FieldId::CtIpv6Dst, name: "ct_ipv6_dst", aliases: &[], place: key(offset_of!(FlowKey, ct_ipv6_dst), 16), bits: 128, shift: 0, prereq: Prereq::CtIpv6, maskable: true, writable: false, format: Format::Ipv6 },
    FieldDef { id: FieldId::CtTpSrc, name: "ct_tp_src", aliases: &[], place: key(offset_of!(FlowKey, ct_tp_src), 2), bits: 16, shift: 0, prereq: Prereq::CtIp, maskable: true, writable: false, format: Format::Decimal },
    FieldDef { id: FieldId::CtTpDst, name: "ct_tp_dst", aliases: &[], place: key(offset_of!(FlowKey, ct_tp_dst), 2), bits: 16, shift: 0, prereq: Prereq::CtIp, maskable: true, writable: false, format: Format::Decimal },
    FieldDef { id: FieldId::MplsLabel, name: "mpls_label", aliases: &[], place: key(offset_of!(FlowKey, mpls_lse), 4), bits: 20, shift: 12, prereq: Prereq::Mpls, maskable: false, writable: true, format: Format::Decimal },
    FieldDef { id: FieldId::MplsTc, name: "mpls_tc", aliases: &[], place: key(offset_of!(FlowKey, mpls_lse), 4), bits: 3, shift: 9, prereq: Prereq::Mpls, maskable: false, writable: true, format: Format::Decimal },
    FieldDef { id: FieldId::MplsBos, name: "mpls_bos", aliases: &[], place: key(offset_of!(FlowKey, mpls_lse), 4), bits: 1, shift: 8, prereq: Prereq::Mpls, maskable: false, writable: false, format: Format::Decimal },
    FieldDef { id: FieldId::MplsTtl, name: "mpls_ttl", aliases: &[], place: key(offset_of!(FlowKey, mpls_lse), 4), bits: 8, shift: 0, prereq: Prereq::Mpls, maskable: false, writable: true, format: Format::Decimal },
    FieldDef { id: FieldId::ConjId, name: "conj_id", aliases: &[], place: reg(offset_of!(Registers, conj_id), 4), bits: 32, shift: 0, prereq: Prereq::None, maskable: false, writable: false, format: Format::Decimal },
    FieldDef { id: FieldId::ActsetOutput, name: "actset_output", aliases: &[], place: reg(offset_of!(Registers, actset_output), 4), bits: 32, shift: 0, prereq: Prereq::None, maskable: false, writable: false, format: Format::OfPort },
    FieldDef { id: FieldId::InPortOxm, name: "in_port_oxm", aliases: &[], place: key(offset_of!(FlowKey, in_port), 4), bits: 32, shift: 0, prereq: Prereq::None, maskable: false, writable: true, format: Format::OfPort },
    FieldDef { id: FieldId::Xreg0, name: "xreg0", aliases: &[], place: reg(offset_of!(Registers, regs), 8), bits: 64, shift: 0, prereq: Prereq::None, maskable: true, writable: true, format: Format::Hex },
    FieldDef { id: FieldId::Xreg1, name: "xreg1", aliases: &[], place: reg(offset_of!(Registers, regs) + 8, 8), bits: 64, shift: 0, prereq: Prereq::None, maskable: true, writable: true, format: Format::Hex },
    FieldDef { id: FieldId::Xreg2, name: "xreg2", aliases: &[], place: reg(offset_of!(Registers, regs) + 16, 8), bits: 64, shift: 0, prereq: Prereq::None, maskable: true, writable: true, format: Format::Hex },
    FieldDef { id: FieldId::Xreg3, name: "xreg3", aliases: &[], place: reg(offset_of!(Registers, regs) + 24, 8), bits: 64, shift: 0, prereq: Prereq::None, maskable: true, writable: true, format: Format::Hex },
    FieldDef { id: FieldId::Xreg4, name: "xreg4", aliases: &[], place: reg(offset_of!(Registers, regs) + 32, 8), bits: 64, shift: 0, prereq: Prereq::None, maskable: true, writable: true, format: Format::Hex },
    FieldDef { id: FieldId::Xreg5, name: "xreg5", aliases: &[], place: reg(offset_of!(Registers, regs) + 40, 8), bits: 64, shift: 0, prereq: Prereq::None, maskable: true, writable: true, format: Format::Hex },
    FieldDef { id: FieldId::Xreg6, name: "xreg6", aliases: &[], place: reg(offset_of!(Registers, regs) + 48, 8), bits: 64, shift: 0, prereq: Prereq::None, maskable: true, writable: true, format: Format::Hex },
    FieldDef { id: FieldId::Xreg7, name: "xreg7", aliases: &[], place: reg(offset_of!(Registers, regs) + 56, 8), bits: 64, shift: 0, prereq: Prereq::None, maskable: true, writable: true, format: Format::Hex },
    FieldDef { id: FieldId::Xxreg0, name: "xxreg0", aliases: &[], place: reg(offset_of!(Registers, regs), 16), bits: 128, shift: 0, prereq: Prereq::None, maskable: true, writable: true, format: Format::Hex },
    FieldDef { id: FieldId::Xxreg1, name: "xxreg1", aliases: &[], place: reg(offset_of!(Registers, regs) + 16, 16), bits: 128, shift: 0, prereq: Prereq::None, maskable: true, writable: true, format: Format::Hex },
    FieldDef { id: FieldId::Xxreg2, name: "xxreg2", aliases: &[], place: reg(offset_of!(Registers, regs) + 32, 16), bits: 128, shift: 0, prereq: Prereq::None, maskable: true, writable: true, format: Format::Hex },
    FieldDef { id: FieldId::Xxreg3, name: "xxreg3", aliases: &[], place: reg(offset_of!(Registers, regs) + 48, 16), bits: 128, shift: 0, prereq: Prereq::None, maskable: true, writable: true, format: Format::Hex },
    FieldDef { id: FieldId::NdReserved, name: "nd_reserved", aliases: &[], place: key(offset_of!(FlowKey, nd_reserved), 4), bits: 32, shift: 0, prereq: Prereq::Nd, maskable: false, writable: true, format: Format::Decimal },
    FieldDef { id: FieldId::NdOptionsType, name: "nd_options_type", aliases: &[], place: key(offset_of!(FlowKey, nd_options_type), 1), bits: 8, shift: 0, prereq: Prereq::Nd, maskable: false, writable: false, format: Format::Decimal },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_the_order_of_their_ids_and_fit_their_bytes() {
        for (i, def) in FIELDS.iter().enumerate() {
            assert_eq!(def.id as usize, i, "{}", def.name);
            let (Place::Key { bytes, .. } | Place::Registers { bytes, .. }) = def.place;
            assert!(def.bits + u16::from(def.shift) <= u16::from(bytes) * 8, "{}", def.name);
        }
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = FIELDS.iter().flat_map(|d| std::iter::once(&d.name).chain(d.aliases)).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn a_value_written_is_the_value_read_and_nothing_else_changes() {
        for def in datapath_fields() {
            let mut key = FlowKey::ZERO;
            def.write_key(&mut key, Value(u128::MAX));
            assert_eq!(def.read_key(&key), Some(def.ones()), "{}", def.name);
            let set: u32 = key.words().iter().map(|w| u64::from_ne_bytes(*w).count_ones()).sum();
            assert_eq!(set, u32::from(def.bits), "{}", def.name);
        }
    }
}
