//! Datapath flows as text, in the form of `ovs-appctl dpctl/dump-flows`.

use super::format::{Hex, Ipv6, Mac, ct_state, frag_name, tcp_flags};
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
    out.always("tunnel", |g| g.hex("tun_id", FieldId::TunId), false);
    out.value("skb_mark", FieldId::PktMark, |v, m| hex_masked(v, m, 32));
    out.value("ct_state", FieldId::CtState, |v, m| ct_state(v, m).to_string());
    out.value("ct_zone", FieldId::CtZone, |v, m| hex_masked(v, m, 16));
    out.value("ct_mark", FieldId::CtMark, |v, m| hex_masked(v, m, 32));
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
