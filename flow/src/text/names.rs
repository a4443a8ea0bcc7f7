//! Names that flow text knows beside those of the field table, and what ovs-fields(7) says of their form.

use crate::field::{FieldDef, FieldId};

/// How a field appears in text.
#[derive(Clone, Copy, Debug)]
pub(super) struct TextField {
    pub id: FieldId,
    /// OVS's own name first, then others.
    pub names: &'static [&'static str],
    /// Bytes that a number for it may fill.
    pub bytes: u8,
    /// Bits of it that `load` counts. For vlan_vid the present bit is not one of them.
    pub bits: u16,
    /// OXM and NXM names. The first is the one that is printed.
    pub oxm: &'static [&'static str],
    pub form: Form,
}

/// What a name means beside its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The field itself.
    Plain,
    /// VLAN id without present bit; 0xffff: no tag.
    DlVlan,
    /// VLAN priority, implying a tag.
    DlVlanPcp,
    /// The DSCP where it is in the traffic class: a multiple of 4.
    Tos,
}

impl TextField {
    pub fn def(&self) -> &'static FieldDef {
        self.id.def()
    }

    pub fn name(&self) -> &'static str {
        self.names[0]
    }
}

const fn row(
    id: FieldId,
    names: &'static [&'static str],
    bytes: u8,
    bits: u16,
    oxm: &'static [&'static str],
) -> TextField {
    TextField { id, names, bytes, bits, oxm, form: Form::Plain }
}

const fn special(mut row: TextField, form: Form) -> TextField {
    row.form = form;
    row
}

/// Every name of a field that text may use. Of rows with the same field, the first is printed.
#[rustfmt::skip]
pub(super) static TEXT_FIELDS: &[TextField] = &[
    row(FieldId::InPort, &["in_port"], 2, 16, &["NXM_OF_IN_PORT"]),
    row(FieldId::InPortOxm, &["in_port_oxm"], 4, 32, &["OXM_OF_IN_PORT"]),
    row(FieldId::ActsetOutput, &["actset_output"], 4, 32, &["ONFOXM_ET_ACTSET_OUTPUT", "OXM_OF_ACTSET_OUTPUT"]),
    row(FieldId::ConjId, &["conj_id"], 4, 32, &["NXM_NX_CONJ_ID"]),
    row(FieldId::RecircId, &["recirc_id"], 4, 32, &["NXM_NX_RECIRC_ID"]),
    row(FieldId::TunId, &["tun_id", "tunnel_id"], 8, 64, &["NXM_NX_TUN_ID", "OXM_OF_TUNNEL_ID"]),
    row(FieldId::TunSrc, &["tun_src"], 4, 32, &["NXM_NX_TUN_IPV4_SRC"]),
    row(FieldId::TunDst, &["tun_dst"], 4, 32, &["NXM_NX_TUN_IPV4_DST"]),
    row(FieldId::TunIpv6Src, &["tun_ipv6_src"], 16, 128, &["NXM_NX_TUN_IPV6_SRC"]),
    row(FieldId::TunIpv6Dst, &["tun_ipv6_dst"], 16, 128, &["NXM_NX_TUN_IPV6_DST"]),
    row(FieldId::TunFlags, &["tun_flags"], 2, 1, &["NXM_NX_TUN_FLAGS"]),
    row(FieldId::TunGbpId, &["tun_gbp_id"], 2, 16, &["NXM_NX_TUN_GBP_ID"]),
    row(FieldId::TunGbpFlags, &["tun_gbp_flags"], 1, 8, &["NXM_NX_TUN_GBP_FLAGS"]),
    row(FieldId::PktMark, &["pkt_mark"], 4, 32, &["NXM_NX_PKT_MARK"]),
    row(FieldId::CtState, &["ct_state"], 4, 32, &["NXM_NX_CT_STATE"]),
    row(FieldId::CtMark, &["ct_mark"], 4, 32, &["NXM_NX_CT_MARK"]),
    row(FieldId::CtZone, &["ct_zone"], 2, 16, &["NXM_NX_CT_ZONE"]),
    row(FieldId::CtLabel, &["ct_label"], 16, 128, &["NXM_NX_CT_LABEL"]),
    row(FieldId::CtNwProto, &["ct_nw_proto"], 1, 8, &["NXM_NX_CT_NW_PROTO"]),
    row(FieldId::CtNwSrc, &["ct_nw_src"], 4, 32, &["NXM_NX_CT_NW_SRC"]),
    row(FieldId::CtNwDst, &["ct_nw_dst"], 4, 32, &["NXM_NX_CT_NW_DST"]),
    row(FieldId::CtIpv6Src, &["ct_ipv6_src"], 16, 128, &["NXM_NX_CT_IPV6_SRC"]),
    row(FieldId::CtIpv6Dst, &["ct_ipv6_dst"], 16, 128, &["NXM_NX_CT_IPV6_DST"]),
    row(FieldId::CtTpSrc, &["ct_tp_src"], 2, 16, &["NXM_NX_CT_TP_SRC"]),
    row(FieldId::CtTpDst, &["ct_tp_dst"], 2, 16, &["NXM_NX_CT_TP_DST"]),
    row(FieldId::DpHash, &["dp_hash"], 4, 32, &["NXM_NX_DP_HASH", "NXOXM_ET_DP_HASH"]),
    row(FieldId::Metadata, &["metadata"], 8, 64, &["OXM_OF_METADATA"]),
    row(FieldId::Reg0, &["reg0"], 4, 32, &["NXM_NX_REG0"]),
    row(FieldId::Reg1, &["reg1"], 4, 32, &["NXM_NX_REG1"]),
    row(FieldId::Reg2, &["reg2"], 4, 32, &["NXM_NX_REG2"]),
    row(FieldId::Reg3, &["reg3"], 4, 32, &["NXM_NX_REG3"]),
    row(FieldId::Reg4, &["reg4"], 4, 32, &["NXM_NX_REG4"]),
    row(FieldId::Reg5, &["reg5"], 4, 32, &["NXM_NX_REG5"]),
    row(FieldId::Reg6, &["reg6"], 4, 32, &["NXM_NX_REG6"]),
    row(FieldId::Reg7, &["reg7"], 4, 32, &["NXM_NX_REG7"]),
    row(FieldId::Reg8, &["reg8"], 4, 32, &["NXM_NX_REG8"]),
    row(FieldId::Reg9, &["reg9"], 4, 32, &["NXM_NX_REG9"]),
    row(FieldId::Reg10, &["reg10"], 4, 32, &["NXM_NX_REG10"]),
    row(FieldId::Reg11, &["reg11"], 4, 32, &["NXM_NX_REG11"]),
    row(FieldId::Reg12, &["reg12"], 4, 32, &["NXM_NX_REG12"]),
    row(FieldId::Reg13, &["reg13"], 4, 32, &["NXM_NX_REG13"]),
    row(FieldId::Reg14, &["reg14"], 4, 32, &["NXM_NX_REG14"]),
    row(FieldId::Reg15, &["reg15"], 4, 32, &["NXM_NX_REG15"]),
    row(FieldId::Xreg0, &["xreg0"], 8, 64, &["OXM_OF_PKT_REG0"]),
    row(FieldId::Xreg1, &["xreg1"], 8, 64, &["OXM_OF_PKT_REG1"]),
    row(FieldId::Xreg2, &["xreg2"], 8, 64, &["OXM_OF_PKT_REG2"]),
    row(FieldId::Xreg3, &["xreg3"], 8, 64, &["OXM_OF_PKT_REG3"]),
    row(FieldId::Xreg4, &["xreg4"], 8, 64, &["OXM_OF_PKT_REG4"]),
    row(FieldId::Xreg5, &["xreg5"], 8, 64, &["OXM_OF_PKT_REG5"]),
    row(FieldId::Xreg6, &["xreg6"], 8, 64, &["OXM_OF_PKT_REG6"]),
    row(FieldId::Xreg7, &["xreg7"], 8, 64, &["OXM_OF_PKT_REG7"]),
    row(FieldId::Xxreg0, &["xxreg0"], 16, 128, &["NXM_NX_XXREG0"]),
    row(FieldId::Xxreg1, &["xxreg1"], 16, 128, &["NXM_NX_XXREG1"]),
    row(FieldId::Xxreg2, &["xxreg2"], 16, 128, &["NXM_NX_XXREG2"]),
    row(FieldId::Xxreg3, &["xxreg3"], 16, 128, &["NXM_NX_XXREG3"]),
    row(FieldId::EthSrc, &["eth_src", "dl_src"], 6, 48, &["NXM_OF_ETH_SRC", "OXM_OF_ETH_SRC"]),
    row(FieldId::EthDst, &["eth_dst", "dl_dst"], 6, 48, &["NXM_OF_ETH_DST", "OXM_OF_ETH_DST"]),
    row(FieldId::EthType, &["eth_type", "dl_type"], 2, 16, &["NXM_OF_ETH_TYPE", "OXM_OF_ETH_TYPE"]),
    row(FieldId::VlanTci, &["vlan_tci"], 2, 16, &["NXM_OF_VLAN_TCI"]),
    row(FieldId::VlanVid, &["vlan_vid"], 2, 12, &["OXM_OF_VLAN_VID"]),
    row(FieldId::VlanPcp, &["vlan_pcp"], 1, 3, &["OXM_OF_VLAN_PCP"]),
    special(row(FieldId::VlanVid, &["dl_vlan"], 2, 12, &[]), Form::DlVlan),
    special(row(FieldId::VlanPcp, &["dl_vlan_pcp"], 1, 3, &[]), Form::DlVlanPcp),
    row(FieldId::MplsLabel, &["mpls_label"], 4, 20, &["OXM_OF_MPLS_LABEL"]),
    row(FieldId::MplsTc, &["mpls_tc"], 1, 3, &["OXM_OF_MPLS_TC"]),
    row(FieldId::MplsBos, &["mpls_bos"], 1, 1, &["OXM_OF_MPLS_BOS"]),
    row(FieldId::MplsTtl, &["mpls_ttl"], 1, 8, &["NXM_NX_MPLS_TTL"]),
    row(FieldId::IpProto, &["nw_proto", "ip_proto"], 1, 8, &["NXM_OF_IP_PROTO", "OXM_OF_IP_PROTO"]),
    special(row(FieldId::IpTos, &["nw_tos"], 1, 8, &["NXM_OF_IP_TOS"]), Form::Tos),
    row(FieldId::IpDscp, &["ip_dscp"], 1, 6, &["OXM_OF_IP_DSCP"]),
    row(FieldId::IpEcn, &["nw_ecn", "ip_ecn"], 1, 2, &["NXM_NX_IP_ECN", "OXM_OF_IP_ECN"]),
    row(FieldId::IpTtl, &["nw_ttl"], 1, 8, &["NXM_NX_IP_TTL"]),
    row(FieldId::IpFrag, &["ip_frag", "nw_frag"], 1, 2, &["NXM_NX_IP_FRAG"]),
    row(FieldId::Ipv4Src, &["ip_src", "nw_src"], 4, 32, &["NXM_OF_IP_SRC", "OXM_OF_IPV4_SRC"]),
    row(FieldId::Ipv4Dst, &["ip_dst", "nw_dst"], 4, 32, &["NXM_OF_IP_DST", "OXM_OF_IPV4_DST"]),
    row(FieldId::Ipv6Src, &["ipv6_src"], 16, 128, &["NXM_NX_IPV6_SRC", "OXM_OF_IPV6_SRC"]),
    row(FieldId::Ipv6Dst, &["ipv6_dst"], 16, 128, &["NXM_NX_IPV6_DST", "OXM_OF_IPV6_DST"]),
    row(FieldId::Ipv6Label, &["ipv6_label"], 4, 20, &["NXM_NX_IPV6_LABEL", "OXM_OF_IPV6_FLABEL"]),
    row(FieldId::ArpOp, &["arp_op"], 2, 16, &["NXM_OF_ARP_OP", "OXM_OF_ARP_OP"]),
    row(FieldId::ArpSpa, &["arp_spa"], 4, 32, &["NXM_OF_ARP_SPA", "OXM_OF_ARP_SPA"]),
    row(FieldId::ArpTpa, &["arp_tpa"], 4, 32, &["NXM_OF_ARP_TPA", "OXM_OF_ARP_TPA"]),
    row(FieldId::ArpSha, &["arp_sha"], 6, 48, &["NXM_NX_ARP_SHA", "OXM_OF_ARP_SHA"]),
    row(FieldId::ArpTha, &["arp_tha"], 6, 48, &["NXM_NX_ARP_THA", "OXM_OF_ARP_THA"]),
    row(FieldId::TcpSrc, &["tcp_src", "tp_src"], 2, 16, &["NXM_OF_TCP_SRC", "OXM_OF_TCP_SRC"]),
    row(FieldId::TcpDst, &["tcp_dst", "tp_dst"], 2, 16, &["NXM_OF_TCP_DST", "OXM_OF_TCP_DST"]),
    row(FieldId::TcpFlags, &["tcp_flags"], 2, 12, &["NXM_NX_TCP_FLAGS", "ONFOXM_ET_TCP_FLAGS", "OXM_OF_TCP_FLAGS"]),
    row(FieldId::UdpSrc, &["udp_src"], 2, 16, &["NXM_OF_UDP_SRC", "OXM_OF_UDP_SRC"]),
    row(FieldId::UdpDst, &["udp_dst"], 2, 16, &["NXM_OF_UDP_DST", "OXM_OF_UDP_DST"]),
    row(FieldId::SctpSrc, &["sctp_src"], 2, 16, &["OXM_OF_SCTP_SRC"]),
    row(FieldId::SctpDst, &["sctp_dst"], 2, 16, &["OXM_OF_SCTP_DST"]),
    row(FieldId::IcmpType, &["icmp_type"], 1, 8, &["NXM_OF_ICMP_TYPE", "OXM_OF_ICMPV4_TYPE"]),
    row(FieldId::IcmpCode, &["icmp_code"], 1, 8, &["NXM_OF_ICMP_CODE", "OXM_OF_ICMPV4_CODE"]),
    row(FieldId::Icmpv6Type, &["icmpv6_type"], 1, 8, &["NXM_NX_ICMPV6_TYPE", "OXM_OF_ICMPV6_TYPE"]),
    row(FieldId::Icmpv6Code, &["icmpv6_code"], 1, 8, &["NXM_NX_ICMPV6_CODE", "OXM_OF_ICMPV6_CODE"]),
    row(FieldId::NdTarget, &["nd_target"], 16, 128, &["NXM_NX_ND_TARGET", "OXM_OF_IPV6_ND_TARGET"]),
    row(FieldId::NdSll, &["nd_sll"], 6, 48, &["NXM_NX_ND_SLL", "OXM_OF_IPV6_ND_SLL"]),
    row(FieldId::NdTll, &["nd_tll"], 6, 48, &["NXM_NX_ND_TLL", "OXM_OF_IPV6_ND_TLL"]),
    row(FieldId::NdReserved, &["nd_reserved"], 4, 32, &["ERICOXM_OF_ICMPV6_ND_RESERVED"]),
    row(FieldId::NdOptionsType, &["nd_options_type"], 1, 8, &["ERICOXM_OF_ICMPV6_ND_OPTIONS_TYPE"]),
];

/// Shorthands: name, ethertype, IP protocol (0: any).
pub(super) const PROTOCOLS: [(&str, u16, u8); 17] = [
    ("ip", 0x0800, 0),
    ("ipv4", 0x0800, 0),
    ("ip4", 0x0800, 0),
    ("arp", 0x0806, 0),
    ("icmp", 0x0800, 1),
    ("tcp", 0x0800, 6),
    ("udp", 0x0800, 17),
    ("sctp", 0x0800, 132),
    ("ipv6", 0x86dd, 0),
    ("ip6", 0x86dd, 0),
    ("icmp6", 0x86dd, 58),
    ("tcp6", 0x86dd, 6),
    ("udp6", 0x86dd, 17),
    ("sctp6", 0x86dd, 132),
    ("rarp", 0x8035, 0),
    ("mpls", 0x8847, 0),
    ("mplsm", 0x8848, 0),
];

/// Keys of a flow that are neither field nor shorthand.
pub(super) const KEYS: [&str; 22] = [
    "priority",
    "table",
    "cookie",
    "idle_timeout",
    "hard_timeout",
    "importance",
    "send_flow_rem",
    "check_overlap",
    "reset_counts",
    "no_packet_counts",
    "no_byte_counts",
    "out_port",
    "out_group",
    "actions",
    "duration",
    "n_packets",
    "n_bytes",
    "idle_age",
    "hard_age",
    "no_readonly_table",
    "allow_hidden_fields",
    "eth",
];

/// Match keys of Open vSwitch that are refused by name. A `<` stands for any number.
pub(super) const OTHER_FIELDS: [&str; 18] = [
    "packet_type",
    "tun_erspan_idx",
    "tun_erspan_ver",
    "tun_erspan_dir",
    "tun_erspan_hwid",
    "tun_gtpu_flags",
    "tun_gtpu_msgtype",
    "tun_metadata<",
    "nsh_flags",
    "nsh_mdtype",
    "nsh_np",
    "nsh_spi",
    "nsp",
    "nsh_si",
    "nsi",
    "nsh_c<",
    "nshc<",
    "nsh_ttl",
];

/// The field with this name.
pub(super) fn text_field(name: &str) -> Option<&'static TextField> {
    TEXT_FIELDS.iter().find(|f| f.names.contains(&name))
}

/// How a field is printed.
pub(super) fn text_of(id: FieldId) -> Option<&'static TextField> {
    TEXT_FIELDS.iter().find(|f| f.id == id)
}

/// The field with this name, or this OXM or NXM name.
pub(super) fn subfield(name: &str) -> Option<&'static TextField> {
    // The form of an OXM name that says that a mask follows is taken for the plain one, as OVS does.
    let oxm = name.strip_suffix("_W").unwrap_or(name);
    TEXT_FIELDS.iter().find(|f| f.oxm.contains(&oxm)).or_else(|| text_field(name))
}

/// The shorthand's ethertype and protocol.
pub(super) fn protocol(name: &str) -> Option<(u16, u8)> {
    PROTOCOLS.iter().find(|(n, ..)| *n == name).map(|(_, eth, proto)| (*eth, *proto))
}

/// Whether Open vSwitch knows a field, shorthand or key of that name which is not supported here.
pub(super) fn is_other_field(name: &str) -> bool {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    OTHER_FIELDS.iter().any(|other| match other.strip_suffix('<') {
        Some(prefix) => stem == prefix && stem.len() < name.len(),
        None => *other == name,
    })
}

/// What a mistyped match key was meant to be.
pub(super) fn nearest_key(name: &str) -> Option<&'static str> {
    let fields = TEXT_FIELDS.iter().flat_map(|f| f.names.iter().copied());
    nearest(name, fields.chain(PROTOCOLS.iter().map(|p| p.0)).chain(KEYS))
}

/// Longer than any name by more than the distance that would still be a typing mistake.
const LONGEST: usize = 24;

/// The candidate that a mistyped name was probably meant to be.
pub(super) fn nearest(name: &str, candidates: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    if name.is_empty() || name.len() > LONGEST {
        return None;
    }
    let most = (name.len() / 3).clamp(1, 3);
    // Lengths alone may tell that a candidate is too far: every file with a mistake in it is searched like this.
    let close = candidates.filter(|c| c.len().abs_diff(name.len()) <= most && c.len() <= LONGEST);
    close.map(|c| (distance(name, c), c)).filter(|(d, _)| *d <= most).min_by_key(|(d, _)| *d).map(|(_, c)| c)
}

/// Edits (change, add, remove, swap neighbours) between two names of at most [`LONGEST`] bytes: optimal string
/// alignment distance. Of longer ones, between their beginnings.
fn distance(a: &str, b: &str) -> usize {
    let cut = |s: &str| s.len().min(LONGEST);
    let (a, b) = (&a.as_bytes()[..cut(a)], &b.as_bytes()[..cut(b)]);
    let mut before = [0; LONGEST + 1];
    let mut last: [usize; LONGEST + 1] = std::array::from_fn(|j| j);
    for i in 1..=a.len() {
        let mut now = [i; LONGEST + 1];
        for j in 1..=b.len() {
            let cost = usize::from(!a[i - 1].eq_ignore_ascii_case(&b[j - 1]));
            now[j] = (last[j] + 1).min(now[j - 1] + 1).min(last[j - 1] + cost);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                now[j] = now[j].min(before[j - 2] + 1);
            }
        }
        (before, last) = (last, now);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = TEXT_FIELDS.iter().flat_map(|f| f.names.iter().chain(f.oxm)).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn mistyped_names_are_recognised() {
        assert_eq!(nearest_key("nw_dts"), Some("nw_dst"));
        assert_eq!(nearest_key("priorty"), Some("priority"));
        assert_eq!(nearest_key("tcpp"), Some("tcp"));
        assert_eq!(nearest_key("bananas"), None);
        assert_eq!(distance("abc", "abc"), 0);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance(&"a".repeat(1 << 20), "a"), LONGEST - 1);
    }

    #[test]
    fn numbered_names_are_known_by_their_stem() {
        assert!(is_other_field("tun_metadata12"));
        assert!(!is_other_field("tun_metadata"));
        assert!(is_other_field("nsh_c3"));
        assert!(!is_other_field("reg3"));
    }
}
