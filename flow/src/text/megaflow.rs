//! Datapath flows as text, in the form of `ovs-appctl dpctl/dump-flows`.

use super::format::{Hex, Ipv6, Mac, frag_name, tcp_flags};
use super::value::{CT_STATES, TUN_FLAGS};
use crate::field::FieldId;
use crate::key::{FlowKey, Mask};
use crate::value::Value;
use std::fmt::{Display, Write};
use std::net::Ipv4Addr;

/// `name(a=..,b=..)` of the fields that are matched.
struct Group<'a> {
    key: &'a FlowKey,
    mask: &'a Mask,
    text: String,
}

impl Group<'_> {
    fn get(&self, id: FieldId) -> (Value, Value) {
        (self.key.get(id).unwrap_or_default(), self.mask.get(id))
    }

    /// `name=value` or `name=value/mask`.
    fn member<D: Display>(
        &mut self,
        name: &str,
        id: FieldId,
        form: impl Fn(Value) -> D,
        mask_form: impl Fn(Value) -> D,
    ) {
        let (value, mask) = self.get(id);
        if mask == Value(0) {
            return;
        }
        let comma = if self.text.is_empty() { "" } else { "," };
        let _ = write!(self.text, "{comma}{name}={}", form(Value(value.0 & mask.0)));
        if mask != id.def().ones() {
            let _ = write!(self.text, "/{}", mask_form(mask));
        }
    }

    /// `name(inner)`, if there is something to say.
    fn inner(&mut self, name: &str, inner: &str, said: bool) {
        if said {
            let comma = if self.text.is_empty() { "" } else { "," };
            let _ = write!(self.text, "{comma}{name}({inner})");
        }
    }

    fn mac(&mut self, name: &str, id: FieldId) {
        let form = |v: Value| Mac(v.mac());
        self.member(name, id, form, form);
    }

    fn ipv4(&mut self, name: &str, id: FieldId) {
        let form = |v: Value| Ipv4Addr::from(v.0 as u32);
        self.member(name, id, form, form);
    }

    fn ipv6(&mut self, name: &str, id: FieldId) {
        self.member(name, id, |v| Ipv6(v.0), |v| Ipv6(v.0));
    }

    fn hex(&mut self, name: &str, id: FieldId) {
        self.member(name, id, |v| Hex(v.0), |v| Hex(v.0));
    }

    fn decimal(&mut self, name: &str, id: FieldId) {
        self.member(name, id, |v| v.0.to_string(), |v| Hex(v.0).to_string());
    }

    fn frag(&mut self) {
        let (value, mask) = self.get(FieldId::IpFrag);
        self.member(
            "frag",
            FieldId::IpFrag,
            |_| frag_name(value, FieldId::IpFrag.def().ones()).to_owned(),
            |_| Hex(mask.0).to_string(),
        );
    }
}

/// A megaflow's match: `recirc_id(0),in_port(2),eth(dst=..),eth_type(0x0800),ipv4(dst=10.0.0.0/255.0.0.0,frag=no)`.
/// Fields of layers that the flow's packets do not have are left out.
#[must_use]
pub fn format_dp_flow(key: &FlowKey, mask: &Mask) -> String {
    let mut out = Parts { key, mask, text: String::new() };
    let eth_type = key.eth_type.get();
    out.value("skb_priority", FieldId::SkbPriority, |v, m| hex_masked(v, m, 32));
    out.group("tunnel", tunnel);
    out.value("skb_mark", FieldId::PktMark, |v, m| hex_masked(v, m, 32));
    out.value("ct_state", FieldId::CtState, |v, m| signed_flags(&CT_STATES, v, m));
    out.value("ct_zone", FieldId::CtZone, |v, m| hex_masked(v, m, 16));
    out.value("ct_mark", FieldId::CtMark, |v, m| hex_masked(v, m, 32));
    out.value("ct_label", FieldId::CtLabel, |v, m| hex_masked(v, m, 128));
    connection(&mut out, eth_type);
    out.value("recirc_id", FieldId::RecircId, |v, m| hex_masked(v, m, 32));
    out.value("dp_hash", FieldId::DpHash, |v, m| hex_masked(v, m, 32));
    out.value("in_port", FieldId::InPort, |v, _| v.0.to_string());
    // Says that these are Ethernet packets, whatever their addresses.
    out.always("eth", eth, true);
    let tags = vlans(&mut out);
    if mask.get(FieldId::EthType) != Value(0) {
        out.item("eth_type", &format!("{eth_type:#06x}"));
        l3(&mut out, eth_type);
    }
    (0..tags).for_each(|_| out.text.push(')'));
    out.text
}

struct Parts<'a> {
    key: &'a FlowKey,
    mask: &'a Mask,
    text: String,
}

impl Parts<'_> {
    fn item(&mut self, name: &str, inner: &str) {
        let comma = if self.text.is_empty() || self.text.ends_with('(') { "" } else { "," };
        let _ = write!(self.text, "{comma}{name}({inner})");
    }

    fn value(&mut self, name: &str, id: FieldId, form: impl Fn(Value, Value) -> String) {
        let mask = self.mask.get(id);
        if mask != Value(0) {
            let value = self.key.get(id).unwrap_or_default();
            self.item(name, &form(Value(value.0 & mask.0), mask));
        }
    }

    fn always(&mut self, name: &str, members: impl Fn(&mut Group<'_>), even_empty: bool) {
        let mut group = Group { key: self.key, mask: self.mask, text: String::new() };
        members(&mut group);
        if even_empty || !group.text.is_empty() {
            self.item(name, &group.text);
        }
    }

    fn group(&mut self, name: &str, members: impl Fn(&mut Group<'_>)) {
        self.always(name, members, false);
    }
}

fn hex_masked(value: Value, mask: Value, bits: u16) -> String {
    if mask == Value::ones(bits) { Hex(value.0).to_string() } else { format!("{}/{}", Hex(value.0), Hex(mask.0)) }
}

/// Flags as `+set-unset`, whatever the mask.
fn signed_flags(names: &[&str], value: Value, mask: Value) -> String {
    let mut out = String::new();
    for (i, name) in names.iter().enumerate().filter(|(i, _)| mask.0 >> i & 1 != 0) {
        out.push(if value.0 >> i & 1 == 0 { '-' } else { '+' });
        out.push_str(name);
    }
    out
}

/// The outer header. That there is a key is not in a [`FlowKey`]: it is said when the key is matched.
fn tunnel(g: &mut Group<'_>) {
    g.hex("tun_id", FieldId::TunId);
    g.ipv4("src", FieldId::TunSrc);
    g.ipv4("dst", FieldId::TunDst);
    g.ipv6("ipv6_src", FieldId::TunIpv6Src);
    g.ipv6("ipv6_dst", FieldId::TunIpv6Dst);
    let mut policy = Group { key: g.key, mask: g.mask, text: String::new() };
    policy.decimal("id", FieldId::TunGbpId);
    policy.hex("flags", FieldId::TunGbpFlags);
    g.inner("vxlan", &format!("gbp({})", policy.text), !policy.text.is_empty());
    let (value, mask) = g.get(FieldId::TunFlags);
    let mut flags = signed_flags(&TUN_FLAGS, value, mask);
    let (id, id_mask) = g.get(FieldId::TunId);
    if id_mask != Value(0) && id != Value(0) {
        flags.push_str("+key");
    }
    g.inner("flags", &flags, !flags.is_empty());
}

/// The original direction of a tracked connection.
fn connection(out: &mut Parts<'_>, eth_type: u16) {
    match eth_type {
        0x0800 => out.group("ct_tuple4", |g| {
            g.ipv4("src", FieldId::CtNwSrc);
            g.ipv4("dst", FieldId::CtNwDst);
            g.decimal("proto", FieldId::CtNwProto);
            g.decimal("tp_src", FieldId::CtTpSrc);
            g.decimal("tp_dst", FieldId::CtTpDst);
        }),
        0x86dd => out.group("ct_tuple6", |g| {
            g.ipv6("src", FieldId::CtIpv6Src);
            g.ipv6("dst", FieldId::CtIpv6Dst);
            g.decimal("proto", FieldId::CtNwProto);
            g.decimal("src_port", FieldId::CtTpSrc);
            g.decimal("dst_port", FieldId::CtTpDst);
        }),
        _ => {}
    }
}

/// The outermost entry of a label stack: all of it, or each part with its mask.
fn mpls(key: &FlowKey, mask: &Mask) -> String {
    let get = |id| (key.get(id).unwrap_or_default().0 & mask.get(id).0, mask.get(id).0);
    let [label, tc, ttl, bos] = [FieldId::MplsLabel, FieldId::MplsTc, FieldId::MplsTtl, FieldId::MplsBos].map(get);
    if mask.0.mpls_lse.get() == u32::MAX {
        format!("label={},tc={},ttl={},bos={}", label.0, tc.0, ttl.0, bos.0)
    } else {
        format!(
            "label={}/{:#x},tc={}/{:x},ttl={}/{:#x},bos={}/{:x}",
            label.0, label.1, tc.0, tc.1, ttl.0, ttl.1, bos.0, bos.1
        )
    }
}

fn eth(group: &mut Group<'_>) {
    group.mac("src", FieldId::EthSrc);
    group.mac("dst", FieldId::EthDst);
}

/// Tags that are matched, each with what it encapsulates; how many parentheses are left open.
fn vlans(out: &mut Parts<'_>) -> usize {
    let mut open = 0;
    for (tag, mask) in out.key.vlans.iter().zip(out.mask.0.vlans.iter()) {
        let (tci, mask) = (tag.tci.get(), mask.tci.get());
        if mask == 0 || !tag.is_present() {
            break;
        }
        let mut inner = String::new();
        for (name, value, bits, all) in [("vid", tci & 0xfff, mask & 0xfff, 0xfff), ("pcp", tci >> 13, mask >> 13, 7)] {
            if bits != 0 {
                let comma = if inner.is_empty() { "" } else { "," };
                let _ = write!(inner, "{comma}{name}={}", value & bits);
                if bits != all {
                    let _ = write!(inner, "/{bits:#x}");
                }
            }
        }
        out.item("eth_type", &format!("{:#06x}", tag.tpid.get()));
        out.item("vlan", &inner);
        out.text.push_str(",encap(");
        open += 1;
    }
    open
}

fn l3(out: &mut Parts<'_>, eth_type: u16) {
    match eth_type {
        0x0800 => out.group("ipv4", |g| {
            g.ipv4("src", FieldId::Ipv4Src);
            g.ipv4("dst", FieldId::Ipv4Dst);
            g.decimal("proto", FieldId::IpProto);
            g.hex("tos", FieldId::IpTos);
            g.decimal("ttl", FieldId::IpTtl);
            g.frag();
        }),
        0x86dd => out.group("ipv6", |g| {
            g.ipv6("src", FieldId::Ipv6Src);
            g.ipv6("dst", FieldId::Ipv6Dst);
            g.hex("label", FieldId::Ipv6Label);
            g.decimal("proto", FieldId::IpProto);
            g.hex("tclass", FieldId::IpTos);
            g.decimal("hlimit", FieldId::IpTtl);
            g.frag();
        }),
        0x0806 | 0x8035 => out.group("arp", |g| {
            g.ipv4("sip", FieldId::Ipv4Src);
            g.ipv4("tip", FieldId::Ipv4Dst);
            g.decimal("op", FieldId::ArpOp);
            g.mac("sha", FieldId::ArpSha);
            g.mac("tha", FieldId::ArpTha);
        }),
        0x8847 | 0x8848 if out.mask.0.mpls_lse.get() != 0 => out.item("mpls", &mpls(out.key, out.mask)),
        _ => {}
    }
    let ports = |g: &mut Group<'_>| {
        g.decimal("src", FieldId::TcpSrc);
        g.decimal("dst", FieldId::TcpDst);
    };
    let icmp = |g: &mut Group<'_>| {
        g.decimal("type", FieldId::IcmpType);
        g.decimal("code", FieldId::IcmpCode);
    };
    match (eth_type, out.key.nw_proto) {
        (0x0800 | 0x86dd, 6) => {
            out.group("tcp", ports);
            out.value("tcp_flags", FieldId::TcpFlags, |v, m| tcp_flags(v, m).to_string());
        }
        (0x0800 | 0x86dd, 17) => out.group("udp", ports),
        (0x0800 | 0x86dd, 132) => out.group("sctp", ports),
        (0x0800, 1) => out.group("icmp", icmp),
        (0x86dd, 58) => {
            out.group("icmpv6", icmp);
            out.group("nd", |g| {
                g.ipv6("target", FieldId::NdTarget);
                g.mac("sll", FieldId::NdSll);
                g.mac("tll", FieldId::NdTll);
            });
            out.group("nd_ext", |g| {
                g.hex("nd_reserved", FieldId::NdReserved);
                g.decimal("nd_options_type", FieldId::NdOptionsType);
            });
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::VlanTag;

    fn flow(parts: &[(FieldId, u128, Option<u128>)]) -> (FlowKey, Mask) {
        let (mut key, mut mask) = (FlowKey::ZERO, Mask::ANY);
        for (id, value, bits) in parts {
            key.set(*id, Value(*value));
            mask.require_bits(id.def(), bits.map_or(id.def().ones(), Value));
        }
        (key, mask)
    }

    #[test]
    fn a_udp_flow_looks_as_in_ovs() {
        let (key, mask) = flow(&[
            (FieldId::RecircId, 0, None),
            (FieldId::InPort, 2, None),
            (FieldId::EthType, 0x0800, None),
            (FieldId::EthDst, 0x0011_2233_4455, None),
            (FieldId::Ipv4Dst, 0x0a01_0203, Some(0xff00_0000)),
            (FieldId::IpProto, 17, None),
            (FieldId::IpFrag, 0, None),
            (FieldId::UdpDst, 53, None),
        ]);
        assert_eq!(
            format_dp_flow(&key, &mask),
            "recirc_id(0),in_port(2),eth(dst=00:11:22:33:44:55),eth_type(0x0800),\
             ipv4(dst=10.0.0.0/255.0.0.0,proto=17,frag=no),udp(dst=53)"
        );
    }

    #[test]
    fn metadata_stand_before_the_headers() {
        let (key, mask) = flow(&[
            (FieldId::SkbPriority, 0x10001, None),
            (FieldId::TunId, 5, None),
            (FieldId::TunSrc, 0x0a00_0001, None),
            (FieldId::TunDst, 0x0a00_0002, Some(0xffff_ff00)),
            (FieldId::TunGbpId, 7, None),
            (FieldId::TunFlags, 0, None),
            (FieldId::PktMark, 3, Some(0xf)),
            (FieldId::CtState, 0x22, Some(0x32)),
            (FieldId::CtZone, 9, None),
            (FieldId::CtLabel, 1 << 64, Some(3 << 64)),
            (FieldId::CtNwSrc, 0x0a00_0003, None),
            (FieldId::CtNwProto, 6, None),
            (FieldId::CtTpDst, 80, None),
            (FieldId::RecircId, 4, None),
            (FieldId::DpHash, 1, Some(3)),
            (FieldId::InPort, 2, None),
            (FieldId::EthType, 0x0800, None),
        ]);
        assert_eq!(
            format_dp_flow(&key, &mask),
            "skb_priority(0x10001),tunnel(tun_id=0x5,src=10.0.0.1,dst=10.0.0.0/255.255.255.0,vxlan(gbp(id=7)),\
             flags(-oam+key)),skb_mark(0x3/0xf),ct_state(+est-inv+trk),ct_zone(0x9),\
             ct_label(0x10000000000000000/0x30000000000000000),ct_tuple4(src=10.0.0.3,proto=6,tp_dst=80),\
             recirc_id(0x4),dp_hash(0x1/0x3),in_port(2),eth(),eth_type(0x0800)"
        );
    }

    #[test]
    fn a_label_stack_shows_its_outermost_entry() {
        let lse = |label: u128, tc, bos, ttl, masked: Option<u128>| {
            flow(&[
                (FieldId::EthType, 0x8847, None),
                (FieldId::MplsLabel, label, masked),
                (FieldId::MplsTc, tc, masked),
                (FieldId::MplsBos, bos, masked),
                (FieldId::MplsTtl, ttl, masked.map(|_| 0)),
            ])
        };
        let (key, mask) = lse(100, 3, 1, 64, None);
        assert_eq!(format_dp_flow(&key, &mask), "eth(),eth_type(0x8847),mpls(label=100,tc=3,ttl=64,bos=1)");
        let (key, mask) = lse(101, 3, 1, 64, Some(1));
        assert_eq!(format_dp_flow(&key, &mask), "eth(),eth_type(0x8847),mpls(label=1/0x1,tc=1/1,ttl=0/0x0,bos=1/1)");
    }

    #[test]
    fn tags_encapsulate_the_rest() {
        let (mut key, mut mask) =
            flow(&[(FieldId::InPort, 1, None), (FieldId::EthType, 0x0806, None), (FieldId::ArpOp, 1, None)]);
        key.vlans[0] = VlanTag { tpid: 0x8100.into(), tci: 0x1005.into() };
        mask.0.vlans[0].tci = 0xffff.into();
        assert_eq!(
            format_dp_flow(&key, &mask),
            "in_port(1),eth(),eth_type(0x8100),vlan(vid=5,pcp=0),encap(eth_type(0x0806),arp(op=1))"
        );
    }
}
