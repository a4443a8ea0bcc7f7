//! Datapath actions in the form of `ovs-appctl ofproto/trace` and `dpctl/dump-flows`, for comparison with them.

use super::{CtSpec, DpAction, HashAlgorithm, PuntReason};
use crate::action::{CtAlg, Nat, NatRange, PacketInReason};
use crate::field::FieldId;
use crate::value::Value;
use std::fmt::{self, Display, Write};

/// Actions as Open vSwitch writes them: sets of one header together, `drop` for none. What it has no word for is written
/// as [`DpAction`] writes it.
#[derive(Clone, Copy, Debug)]
pub struct OvsActions<'a>(pub &'a [DpAction]);

impl<'a> OvsActions<'a> {
    /// For packets of this ethertype: it decides the name of what both versions of IP have. Without it, IPv4.
    #[must_use]
    pub fn of(self, eth_type: u16) -> impl Display + use<'a> {
        Typed { list: self.0, ipv6: eth_type == 0x86dd }
    }
}

impl Display for OvsActions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Typed { list: self.0, ipv6: false }.fmt(f)
    }
}

/// Actions for one version of IP.
struct Typed<'a> {
    list: &'a [DpAction],
    ipv6: bool,
}

impl Display for Typed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut rest, ipv6) = (self.list, self.ipv6);
        if rest.is_empty() {
            return f.write_str("drop");
        }
        while let Some((first, after)) = rest.split_first() {
            let DpAction::Set { field, .. } = first else {
                one(first, ipv6, f)?;
                rest = after;
                if !rest.is_empty() {
                    f.write_char(',')?;
                }
                continue;
            };
            let header = header(*field, ipv6);
            let same = |a: &DpAction| matches!(a, DpAction::Set { field, .. } if self::header(*field, ipv6) == header);
            let n = rest.iter().take_while(|a| same(a)).count();
            set(header, &rest[..n], f)?;
            rest = &rest[n..];
            if !rest.is_empty() {
                f.write_char(',')?;
            }
        }
        Ok(())
    }
}

/// The header that a field is in, by OVS's name for its key.
fn header(field: FieldId, ipv6: bool) -> &'static str {
    use FieldId as F;
    match field {
        F::EthSrc | F::EthDst => "eth",
        F::VlanVid | F::VlanPcp | F::VlanTci => "vlan",
        F::Ipv4Src | F::Ipv4Dst => "ipv4",
        F::Ipv6Src | F::Ipv6Dst | F::Ipv6Label => "ipv6",
        F::IpTos | F::IpDscp | F::IpEcn | F::IpTtl if ipv6 => "ipv6",
        F::IpTos | F::IpDscp | F::IpEcn | F::IpTtl => "ipv4",
        F::ArpSpa | F::ArpTpa | F::ArpSha | F::ArpTha | F::ArpOp => "arp",
        F::TcpSrc | F::TcpDst | F::TcpFlags => "tcp",
        F::UdpSrc | F::UdpDst => "udp",
        F::SctpSrc | F::SctpDst => "sctp",
        F::IcmpType | F::IcmpCode => "icmp",
        F::Icmpv6Type | F::Icmpv6Code => "icmpv6",
        F::NdTarget | F::NdSll | F::NdTll => "nd",
        _ => "",
    }
}

/// The name of a field within its header.
fn member(field: FieldId) -> &'static str {
    use FieldId as F;
    match field {
        F::EthSrc | F::Ipv4Src | F::Ipv6Src | F::TcpSrc | F::UdpSrc | F::SctpSrc => "src",
        F::EthDst | F::Ipv4Dst | F::Ipv6Dst | F::TcpDst | F::UdpDst | F::SctpDst => "dst",
        F::VlanVid => "vid",
        F::VlanPcp => "pcp",
        F::Ipv6Label => "label",
        F::IpTos | F::IpDscp | F::IpEcn => "tos",
        F::IpTtl => "ttl",
        F::ArpSpa => "sip",
        F::ArpTpa => "tip",
        F::ArpOp => "op",
        F::ArpSha => "sha",
        F::ArpTha => "tha",
        F::IcmpType | F::Icmpv6Type => "type",
        F::IcmpCode | F::Icmpv6Code => "code",
        F::NdTarget => "target",
        F::NdSll => "sll",
        F::NdTll => "tll",
        F::PktMark => "skb_mark",
        F::SkbPriority => "skb_priority",
        other => other.def().name,
    }
}

fn set(header: &str, sets: &[DpAction], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (i, action) in sets.iter().enumerate() {
        let DpAction::Set { field, value, mask } = action else { continue };
        let name = match (header, member(*field)) {
            ("ipv6", "ttl") => "hlimit",
            ("ipv6", "tos") => "tclass",
            (_, name) => name,
        };
        let text = set_value(*field, *value, *mask);
        match (header, i) {
            ("", 0) => write!(f, "set({name}({text}))")?,
            ("", _) => write!(f, ",set({name}({text}))")?,
            (_, 0) => write!(f, "set({header}({name}={text}")?,
            _ => write!(f, ",{name}={text}")?,
        }
    }
    if header.is_empty() { Ok(()) } else { f.write_str("))") }
}

fn set_value(field: FieldId, value: Value, mask: Value) -> String {
    use FieldId as F;
    match field {
        // DSCP and ECN are bits of one byte.
        F::IpDscp => format!("{:#x}/{:#x}", value.0 << 2, mask.0 << 2),
        F::IpEcn => format!("{:#x}/{:#x}", value.0, mask.0),
        F::IpTos => hex(value, mask, field),
        F::VlanVid => (value.0 & 0xfff).to_string(),
        F::PktMark | F::SkbPriority => hex(value, mask, field),
        _ => crate::text::field_value(field, value, mask),
    }
}

/// As C's `%#x`, which writes no prefix before 0.
fn hex(value: Value, mask: Value, field: FieldId) -> String {
    let one = |v: Value| if v == Value(0) { "0".to_owned() } else { format!("{:#x}", v.0) };
    if mask == field.def().ones() { one(value) } else { format!("{}/{}", one(value), one(mask)) }
}

fn one(action: &DpAction, ipv6: bool, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match action {
        DpAction::PushVlan(tag) => {
            f.write_str("push_vlan(")?;
            if tag.tpid != 0x8100 {
                write!(f, "tpid={:#06x},", tag.tpid.get())?;
            }
            write!(f, "vid={},pcp={})", tag.vid(), tag.tci.get() >> 13)
        }
        DpAction::Hash(spec) => match spec.algorithm {
            HashAlgorithm::L4 => write!(f, "hash(l4({}))", spec.basis),
            HashAlgorithm::SymmetricL4 => write!(f, "hash(sym_l4({}))", spec.basis),
        },
        DpAction::Ct(spec) => ct(spec, f),
        DpAction::Clone(list) => write!(f, "clone({})", Typed { list, ipv6 }),
        DpAction::Sample(s) => {
            let percent = f64::from(s.probability) * 100.0 / f64::from(u32::MAX);
            write!(f, "sample(sample={percent:.1}%,actions({}))", Typed { list: &s.actions, ipv6 })
        }
        DpAction::CheckLen(spec) => {
            let part = |list: &[DpAction]| Typed { list: without_drop(list), ipv6 }.to_string();
            let (greater, rest) = (part(&spec.greater), part(&spec.rest));
            write!(f, "check_pkt_len(size={},gt({greater}),le({rest}))", spec.len)
        }
        DpAction::Punt(PuntReason::Controller { max_len, reason, id }) => {
            let reason = match reason {
                PacketInReason::NoMatch => 0,
                PacketInReason::Action => 1,
                PacketInReason::InvalidTtl => 2,
                PacketInReason::ActionSet => 3,
                PacketInReason::Group => 4,
                PacketInReason::PacketOut => 5,
            };
            write!(f, "userspace(controller(reason={reason},controller_id={id},max_len={max_len}))")
        }
        DpAction::Drop(_) => f.write_str("drop"),
        other => write!(f, "{other}"),
    }
}

/// A list that only drops is empty for OVS.
fn without_drop(list: &[DpAction]) -> &[DpAction] {
    match list {
        [rest @ .., DpAction::Drop(_)] => rest,
        list => list,
    }
}

fn ct(spec: &CtSpec, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut parts: Vec<String> = Vec::new();
    if spec.commit {
        parts.push(if spec.force { "force_commit" } else { "commit" }.to_owned());
    }
    if spec.zone != 0 {
        parts.push(format!("zone={}", spec.zone));
    }
    if let Some((value, mask)) = spec.mark {
        parts.push(format!("mark={value:#x}/{mask:#x}"));
    }
    if let Some((value, mask)) = spec.label {
        parts.push(format!("label={value:#x}/{mask:#x}"));
    }
    match spec.alg {
        Some(CtAlg::Ftp) => parts.push("helper=ftp".to_owned()),
        Some(CtAlg::Tftp) => parts.push("helper=tftp".to_owned()),
        None => {}
    }
    match &spec.nat {
        Some(Nat::Existing) => parts.push("nat".to_owned()),
        Some(Nat::Source(range)) => parts.push(format!("nat({})", nat("src", range))),
        Some(Nat::Destination(range)) => parts.push(format!("nat({})", nat("dst", range))),
        None => {}
    }
    if parts.is_empty() { f.write_str("ct") } else { write!(f, "ct({})", parts.join(",")) }
}

fn nat(name: &str, range: &NatRange) -> String {
    let mut out = name.to_owned();
    if let Some((first, last)) = range.addresses {
        // The port comes behind a colon: an IPv6 address before it needs brackets.
        let one = |ip: std::net::IpAddr| match ip {
            std::net::IpAddr::V6(ip) if range.ports.is_some() => format!("[{ip}]"),
            ip => ip.to_string(),
        };
        let _ = write!(out, "={}", one(first));
        if last != first {
            let _ = write!(out, "-{}", one(last));
        }
    }
    if let Some((first, last)) = range.ports {
        let equals = if range.addresses.is_none() { "=" } else { "" };
        let _ = write!(out, "{equals}:{first}");
        if last != first {
            let _ = write!(out, "-{last}");
        }
    }
    for (on, word) in [(range.persistent, "persistent"), (range.hash, "hash"), (range.random, "random")] {
        if on {
            let _ = write!(out, ",{word}");
        }
    }
    out
}
