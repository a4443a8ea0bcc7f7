//! What of a match can be kept: only fields that the packets it is about have.
//!
//! ovs-ofctl drops the rest with a message ("normalization"), then sends the match in OXM form, which cannot say a
//! few things either. Both are done here, so that a match means the same as in Open vSwitch.

use super::error::{Note, ParseError};
use crate::field::{FieldId, Prereq};
use crate::key::{VlanTag, frag};
use crate::matching::Match;
use crate::value::Value;

const IP: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const ARP: u16 = 0x0806;
const RARP: u16 = 0x8035;
const MPLS: u16 = 0x8847;
const MPLS_MULTICAST: u16 = 0x8848;

/// Clear what the match's packets cannot have, noting each field.
pub(super) fn normalise(m: &mut Match, notes: &mut Vec<Note>) -> Result<(), ParseError> {
    let eth_type = m.key.eth_type.get();
    let (proto, tp_src, tp_dst) = (m.key.nw_proto, m.key.tp_src.get(), m.key.tp_dst.get());
    let (ip4, ip6) = (eth_type == IP, eth_type == IPV6);
    let (ip, arp) = (ip4 || ip6, eth_type == ARP || eth_type == RARP);
    let (icmp, icmp6) = (ip4 && proto == 1, ip6 && proto == 58);
    let l4 = icmp || icmp6 || ip && matches!(proto, 6 | 17 | 132);
    let solicit = icmp6 && tp_src == 135 && tp_dst == 0;
    let advert = icmp6 && tp_src == 136 && tp_dst == 0;

    let mpls = matches!(eth_type, MPLS | MPLS_MULTICAST);
    let option = m.get(FieldId::TcpFlags);
    if (solicit || advert) && option.1 != Value(0) {
        // The same bits in OVS.
        m.set(FieldId::TcpFlags, Value(0), Value(0));
        m.set_exact(FieldId::NdOptionsType, option.0);
    }

    if ip4 && m.get(FieldId::Ipv6Label).1 != Value(0) {
        // Others are left out; this one ovs-ofctl sends to be refused.
        return Err(ParseError::Prerequisite {
            what: "ipv6_label".to_owned(),
            needs: Prereq::Ipv6.text(),
            remedy: "remove it, or match IPv6",
        });
    }

    if ip && m.key.nw_frag == frag::LATER && m.is_exact(FieldId::IpFrag) {
        return Err(ParseError::bad_value(
            "ip_frag",
            "2",
            "a later fragment is a fragment: set the bit of value 1 too",
        ));
    }

    // Of packets, these say the same as all bits do; and so does their text.
    match (m.key.nw_frag, m.mask.0.nw_frag) {
        (0, frag::ANY) => m.set_exact(FieldId::IpFrag, Value(0)),
        (frag::LATER, frag::LATER) => m.set_exact(FieldId::IpFrag, Value::from(frag::ANY | frag::LATER)),
        _ => {}
    }

    let mut keep = |id: FieldId, name: &'static str, ok: bool, needs: &'static str| {
        if !ok && m.get(id).1 != Value(0) {
            m.set(id, Value(0), Value(0));
            notes.push(Note::LeftOut { field: name, needs });
        }
    };
    keep(FieldId::Ipv4Src, "nw_src", ip4 || arp, "`ip` or `arp`");
    keep(FieldId::Ipv4Dst, "nw_dst", ip4 || arp, "`ip` or `arp`");
    keep(FieldId::IpProto, "nw_proto", ip || arp, "`ip`, `ipv6` or `arp`");
    keep(FieldId::IpDscp, "nw_tos", ip, "`ip` or `ipv6`");
    keep(FieldId::IpEcn, "nw_ecn", ip, "`ip` or `ipv6`");
    keep(FieldId::IpTtl, "nw_ttl", ip, "`ip` or `ipv6`");
    keep(FieldId::IpFrag, "nw_frag", ip, "`ip` or `ipv6`");
    keep(FieldId::Ipv6Src, "ipv6_src", ip6, "`ipv6`");
    keep(FieldId::Ipv6Dst, "ipv6_dst", ip6, "`ipv6`");
    keep(FieldId::Ipv6Label, "ipv6_label", ip6, "`ipv6`");
    keep(FieldId::TcpFlags, "tcp_flags", ip && proto == 6, "`tcp` or `tcp6`");
    keep(FieldId::TcpSrc, "tp_src", l4, "`tcp`, `udp`, `sctp`, `icmp`, or one of them for IPv6");
    keep(FieldId::TcpDst, "tp_dst", l4, "`tcp`, `udp`, `sctp`, `icmp`, or one of them for IPv6");
    keep(FieldId::NdTarget, "nd_target", solicit || advert, "`icmp6,icmp_type=135` (or 136) and no other code than 0");
    keep(
        FieldId::NdReserved,
        "nd_reserved",
        solicit || advert,
        "`icmp6,icmp_type=135` (or 136) and no other code than 0",
    );
    keep(FieldId::MplsLabel, "mpls_label", mpls, "`mpls` or `mplsm`");
    keep(FieldId::MplsTc, "mpls_tc", mpls, "`mpls` or `mplsm`");
    keep(FieldId::MplsBos, "mpls_bos", mpls, "`mpls` or `mplsm`");
    keep(FieldId::MplsTtl, "mpls_ttl", mpls, "`mpls` or `mplsm`");
    keep(FieldId::ArpSha, "arp_sha", arp || solicit, "`arp`, or for nd_sll `icmp6,icmp_type=135`");
    keep(FieldId::ArpTha, "arp_tha", arp || advert, "`arp`, or for nd_tll `icmp6,icmp_type=136`");

    if ip && matches!(proto, 6 | 17 | 132) && m.key.nw_frag & frag::LATER != 0 {
        let l4 = [(FieldId::TcpSrc, "tp_src"), (FieldId::TcpDst, "tp_dst"), (FieldId::TcpFlags, "tcp_flags")];
        if let Some((_, name)) = l4.into_iter().find(|(id, _)| m.get(*id).1 != Value(0)) {
            return Err(ParseError::Prerequisite {
                what: name.to_owned(),
                needs: "packets with an L4 header, which later fragments have not",
                remedy: "remove it, or `nw_frag=later`",
            });
        }
    }
    if icmp || icmp6 {
        // Type and code are bytes and matched as a whole.
        for (wide, byte) in [(FieldId::TcpSrc, FieldId::IcmpType), (FieldId::TcpDst, FieldId::IcmpCode)] {
            let (value, mask) = m.get(wide);
            if mask != Value(0) {
                m.set(wide, Value(0), Value(0));
                m.set_exact(byte, value);
            }
        }
    }
    connection(m, notes)?;
    vlan(m, notes)
}

/// The original direction of a connection is known of packets that are tracked and valid. OXM cannot say "no protocol",
/// and ports without one.
fn connection(m: &mut Match, notes: &mut Vec<Note>) -> Result<(), ParseError> {
    if m.key.ct_nw_proto == 0 {
        for (id, name) in
            [(FieldId::CtNwProto, "ct_nw_proto"), (FieldId::CtTpSrc, "ct_tp_src"), (FieldId::CtTpDst, "ct_tp_dst")]
        {
            if m.get(id).1 != Value(0) {
                m.set(id, Value(0), Value(0));
                notes.push(Note::LeftOut { field: name, needs: "a `ct_nw_proto` that is not 0" });
            }
        }
    }
    let original = [
        FieldId::CtNwProto,
        FieldId::CtNwSrc,
        FieldId::CtNwDst,
        FieldId::CtIpv6Src,
        FieldId::CtIpv6Dst,
        FieldId::CtTpSrc,
        FieldId::CtTpDst,
    ];
    for def in original.map(FieldId::def) {
        if m.get(def.id).1 != Value(0) && !m.satisfies(def.prereq) {
            return Err(ParseError::Prerequisite {
                what: def.name.to_owned(),
                needs: def.prereq.text(),
                remedy: "add it to the match",
            });
        }
    }
    Ok(())
}

/// OXM has the VLAN id with its present bit, maskable, and the priority, whole, of a tag that is there.
fn vlan(m: &mut Match, notes: &mut Vec<Note>) -> Result<(), ParseError> {
    let (vid, vid_mask) = m.get(FieldId::VlanVid);
    let (pcp, pcp_mask) = m.get(FieldId::VlanPcp);
    if pcp_mask == Value(0) {
        return Ok(());
    }
    m.set(FieldId::VlanPcp, Value(0), Value(0));
    if vid == Value(0) {
        // In a match for no tag (vlan_tci=0) the priority is zero anyway.
        if pcp != Value(0) || vid_mask.0 & u128::from(VlanTag::PRESENT) == 0 {
            notes.push(Note::LeftOut { field: "vlan_pcp", needs: "a tag (`vlan_tci` with the bit 0x1000)" });
        }
        return Ok(());
    }
    if vid.0 & u128::from(VlanTag::PRESENT) == 0 {
        return Err(ParseError::Prerequisite {
            what: "vlan_tci".to_owned(),
            needs: "the present bit 0x1000 in a match of id and priority",
            remedy: "set it in value and mask",
        });
    }
    m.set_exact(FieldId::VlanPcp, pcp);
    m.set(FieldId::VlanVid, vid, Value(vid_mask.0 | u128::from(VlanTag::PRESENT)));
    Ok(())
}
