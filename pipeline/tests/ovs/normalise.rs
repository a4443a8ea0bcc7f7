//! One form for what both switches answer.
//!
//! Two lists of datapath actions mean the same when they do the same to a packet: both are executed on the packet's key,
//! and what leaves is compared: on which port, with which fields and tags, cut to which length; what
//! the controller gets; where a meter, the tracker, a hash or a lookup comes in between. So it does not matter whether a
//! field is set whole or in part, in which order fields are set, whether a tag is changed in place or taken off and added again, or
//! whether a TTL is decremented or set to what that gives.
//!
//! Masks are compared by the number of bits that they require of each field.

use super::trace::Item;
use flow::dp::{DpAction, PuntReason};
use flow::{DpPort, FieldId, FlowKey, Mask, Value, VlanTag};
use std::collections::BTreeMap;

/// What a packet looks like where it leaves.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    /// Names of fields, with values other than zero.
    pub fields: Vec<(&'static str, u128)>,
    /// Outermost first: TPID and TCI.
    pub tags: Vec<(u16, u16)>,
    /// What the key has no place for: `skb_priority(0x1)`.
    pub beside: Vec<String>,
}

impl std::fmt::Debug for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.tags.iter().try_for_each(|(tpid, tci)| write!(f, "tag {tpid:#x}:{tci:#06x} "))?;
        self.fields.iter().try_for_each(|(name, value)| write!(f, "{name}={value:#x} "))?;
        write!(f, "{}", self.beside.join(" "))
    }
}

/// Something that can be seen of a list of actions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    Output {
        port: u32,
        cut: Option<u32>,
        packet: Seen,
    },
    Controller {
        max_len: u16,
        packet: Seen,
    },
    Meter(u32),
    /// `ct(...)` with its options in the order of their names.
    Track {
        options: Vec<String>,
        packet: Seen,
    },
    ClearTrack,
    Hash(String),
    Recirculate {
        packet: Seen,
    },
    /// Of 2^32.
    Sample {
        probability: u32,
        events: Vec<Event>,
    },
    Length {
        over: u32,
        longer: Vec<Event>,
        rest: Vec<Event>,
    },
    /// What neither is known nor left out.
    Other(String),
}

#[derive(Clone)]
struct State {
    key: FlowKey,
    beside: BTreeMap<String, String>,
    cut: Option<u32>,
    /// The TTL ran out: the rest of the list is not executed.
    stopped: bool,
    events: Vec<Event>,
}

impl State {
    fn new(came: &FlowKey) -> State {
        let mut key = *came;
        key.in_port = 0.into();
        State { key, beside: BTreeMap::new(), cut: None, stopped: false, events: Vec::new() }
    }

    fn seen(&self) -> Seen {
        let hidden = [FieldId::InPort, FieldId::RecircId, FieldId::DpHash];
        let mut key = self.key;
        // Tunnel metadata is seen on tunnel ports only, of which there is none: Open vSwitch does not set it for others.
        for def in flow::field::datapath_fields().filter(|d| d.name.starts_with("tun_")) {
            def.write_key(&mut key, Value(0));
        }
        let tags = key.vlans.iter().filter(|t| t.is_present()).map(|t| (t.tpid.get(), t.tci.get())).collect();
        key.vlans = Default::default();
        let mut fields = Vec::new();
        let mut taken = std::collections::HashSet::new();
        for def in flow::field::datapath_fields().filter(|d| !hidden.contains(&d.id)) {
            // Fields of several protocols share a place: the first of them stands for all.
            let flow::field::Place::Key { offset, bytes } = def.place else { continue };
            if (offset..offset + u16::from(bytes)).all(|b| taken.insert(b)) {
                let value = def.read_key(&key).unwrap_or_default().0;
                fields.extend((value != 0).then_some((def.name, value)));
            }
        }
        Seen { fields, tags, beside: self.beside.values().cloned().collect() }
    }

    fn output(&mut self, port: u32) {
        let event = Event::Output { port, cut: self.cut.take(), packet: self.seen() };
        self.events.push(event);
    }

    fn set(&mut self, field: FieldId, value: u128, mask: u128) {
        let old = self.key.get(field).expect("a field of the key").0;
        self.key.set(field, Value(old & !mask | value & mask));
    }

    fn push(&mut self, tag: VlanTag) {
        // Deeper tags than the key has are not seen by either.
        self.key.vlans = [tag, self.key.vlans[0]];
    }

    fn pop(&mut self) {
        self.key.vlans = [self.key.vlans[1], VlanTag::default()];
    }

    /// Run `inner` on a copy of the packet; what it does is seen, what it changes is not.
    fn fork(&mut self, inner: impl FnOnce(&mut State)) -> Vec<Event> {
        let mut copy = State { events: Vec::new(), cut: None, ..self.clone() };
        inner(&mut copy);
        copy.events
    }
}

/// Outputs with nothing between them may stand in any order: put them in one.
fn sort(mut events: Vec<Event>) -> Vec<Event> {
    let movable = |e: &Event| matches!(e, Event::Output { .. } | Event::Controller { .. });
    events.chunk_by_mut(|a, b| movable(a) && movable(b)).for_each(<[Event]>::sort);
    for event in &mut events {
        match event {
            Event::Sample { events, .. } => *events = sort(std::mem::take(events)),
            Event::Length { longer, rest, .. } => {
                *longer = sort(std::mem::take(longer));
                *rest = sort(std::mem::take(rest));
            }
            _ => {}
        }
    }
    events
}

/// What our actions do to a packet with this key.
pub fn ours(actions: &[DpAction], came: &FlowKey) -> Vec<Event> {
    let mut state = State::new(came);
    run_ours(&mut state, actions);
    sort(state.events)
}

fn run_ours(state: &mut State, actions: &[DpAction]) {
    for action in actions {
        if state.stopped {
            return;
        }
        match action {
            DpAction::Output(DpPort(port)) => state.output(*port),
            DpAction::Set { field, value, mask } => {
                assert_eq!(value.0 & !mask.0, 0, "{action}: bits outside of the mask");
                state.set(*field, value.0, mask.0);
            }
            DpAction::DecTtl if state.key.nw_ttl <= 1 => state.stopped = true,
            DpAction::DecTtl => state.key.nw_ttl -= 1,
            DpAction::PushVlan(tag) => state.push(*tag),
            DpAction::PopVlan => state.pop(),
            DpAction::Meter(id) => state.events.push(Event::Meter(id.0)),
            DpAction::Truncate(len) => state.cut = Some(u32::from(*len)),
            DpAction::Punt(PuntReason::Controller { max_len, .. }) => {
                state.events.push(Event::Controller { max_len: *max_len, packet: state.seen() });
            }
            DpAction::Recirc(_) => state.events.push(Event::Recirculate { packet: state.seen() }),
            DpAction::Clone(list) => {
                let events = state.fork(|s| run_ours(s, list));
                state.events.extend(events);
            }
            DpAction::Sample(spec) => {
                let events = state.fork(|s| run_ours(s, &spec.actions));
                state.events.push(Event::Sample { probability: spec.probability, events });
            }
            DpAction::CheckLen(spec) => {
                let longer = state.fork(|s| run_ours(s, &spec.greater));
                let rest = state.fork(|s| run_ours(s, &spec.rest));
                state.events.push(Event::Length { over: u32::from(spec.len), longer, rest });
            }
            DpAction::Drop(_) => {}
            other => state.events.push(Event::Other(other.to_string())),
        }
    }
}

/// What Open vSwitch's actions do to a packet with this key.
pub fn theirs(actions: &[Item], came: &FlowKey) -> Vec<Event> {
    let mut state = State::new(came);
    run_theirs(&mut state, actions);
    sort(state.events)
}

fn run_theirs(state: &mut State, actions: &[Item]) {
    for action in actions {
        if let Ok(port) = action.name.parse() {
            state.output(port);
            continue;
        }
        match action.name.as_str() {
            "drop" => {}
            "set" => action.args.iter().for_each(|group| set_theirs(state, group)),
            "push_vlan" => {
                let value = |name, or: u128| action.arg(name).map_or(or, |a| number(a.pair().1));
                let tci = VlanTag::PRESENT as u128 | value("vid", 0) | value("pcp", 0) << 13;
                state.push(VlanTag { tpid: (value("tpid", 0x8100) as u16).into(), tci: (tci as u16).into() });
            }
            "pop_vlan" => state.pop(),
            "meter" => state.events.push(Event::Meter(number(&action.args[0].name) as u32)),
            "trunc" => state.cut = Some(number(&action.args[0].name) as u32),
            "clone" => {
                let events = state.fork(|s| run_theirs(s, &action.args));
                state.events.extend(events);
            }
            "sample" => sample(state, action),
            "check_pkt_len" => {
                let list = |name| action.arg(name).map_or(&[][..], |i| &i.args);
                let longer = state.fork(|s| run_theirs(s, list("gt")));
                let rest = state.fork(|s| run_theirs(s, list("le")));
                let over = number(action.arg("size").expect("a size").pair().1) as u32;
                state.events.push(Event::Length { over, longer, rest });
            }
            "userspace" => match action.arg("controller").and_then(|c| c.arg("max_len")) {
                Some(max_len) => {
                    let max_len = number(max_len.pair().1) as u16;
                    state.events.push(Event::Controller { max_len, packet: state.seen() });
                }
                None => state.events.push(Event::Other(format!("{action:?}"))),
            },
            "recirc" => state.events.push(Event::Recirculate { packet: state.seen() }),
            "hash" => state.events.push(Event::Hash(action.args[0].name.clone())),
            "ct_clear" => state.events.push(Event::ClearTrack),
            "ct" => {
                let mut options: Vec<String> = action.args.iter().map(text).collect();
                options.sort();
                state.events.push(Event::Track { options, packet: state.seen() });
            }
            _ => state.events.push(Event::Other(text(action))),
        }
    }
}

fn sample(state: &mut State, action: &Item) {
    let percent = action.arg("sample").expect("a probability").pair().1.trim_end_matches('%');
    let percent: f64 = percent.parse().expect("per cent");
    let list = action.arg("actions").map_or(&[][..], |a| &a.args);
    let events = state.fork(|s| run_theirs(s, list));
    if percent >= 100.0 {
        state.events.extend(events);
    } else {
        let probability = (percent / 100.0 * 4_294_967_296.0) as u32;
        state.events.push(Event::Sample { probability, events });
    }
}

fn text(item: &Item) -> String {
    if item.args.is_empty() {
        return item.name.clone();
    }
    format!("{}({})", item.name, item.args.iter().map(text).collect::<Vec<_>>().join(","))
}

/// `ipv4(src=10.0.0.1,ttl=63)`: which of our fields, and what.
fn set_theirs(state: &mut State, group: &Item) {
    for member in &group.args {
        let (name, value) = member.pair();
        let field = match (group.name.as_str(), name) {
            ("eth", "src") => FieldId::EthSrc,
            ("eth", "dst") => FieldId::EthDst,
            ("ipv4", "src") => FieldId::Ipv4Src,
            ("ipv4", "dst") => FieldId::Ipv4Dst,
            ("ipv6", "src") => FieldId::Ipv6Src,
            ("ipv6", "dst") => FieldId::Ipv6Dst,
            ("ipv6", "label") => FieldId::Ipv6Label,
            ("ipv4", "tos") | ("ipv6", "tclass") => FieldId::IpTos,
            ("ipv4", "ttl") | ("ipv6", "hlimit") => FieldId::IpTtl,
            ("arp", "sip") => FieldId::ArpSpa,
            ("arp", "tip") => FieldId::ArpTpa,
            ("arp", "op") => FieldId::ArpOp,
            ("arp", "sha") => FieldId::ArpSha,
            ("arp", "tha") => FieldId::ArpTha,
            ("tcp" | "udp" | "sctp", "src") | ("icmp" | "icmpv6", "type") => FieldId::TcpSrc,
            ("tcp" | "udp" | "sctp", "dst") | ("icmp" | "icmpv6", "code") => FieldId::TcpDst,
            ("nd", "target") => FieldId::NdTarget,
            ("nd", "sll") => FieldId::NdSll,
            ("nd", "tll") => FieldId::NdTll,
            ("skb_mark", _) => FieldId::PktMark,
            ("skb_priority", _) => FieldId::SkbPriority,
            // Written out with the rest of the header, never changed.
            ("ipv4" | "ipv6", "proto" | "frag") => continue,
            _ => {
                let group_text = text(group);
                state.beside.insert(group.name.clone(), group_text);
                continue;
            }
        };
        let value = if group.name.starts_with("skb_") { name } else { value };
        let (value, mask) = value.split_once('/').unwrap_or((value, ""));
        let mask = if mask.is_empty() { u128::MAX } else { number(mask) };
        state.set(field, number(value), mask & field.def().ones().0);
    }
}

/// A number, MAC, IPv4 or IPv6 address.
pub fn number(text: &str) -> u128 {
    let text = text.trim();
    if let Some(hex) = text.strip_prefix("0x") {
        return u128::from_str_radix(hex, 16).unwrap_or_else(|e| panic!("{text}: {e}"));
    }
    if let Ok(n) = text.parse() {
        return n;
    }
    if let Ok(ip) = text.parse::<std::net::IpAddr>() {
        return match ip {
            std::net::IpAddr::V4(ip) => u128::from(ip.to_bits()),
            std::net::IpAddr::V6(ip) => ip.to_bits(),
        };
    }
    let bytes: Vec<_> = text.split(':').map(|b| u8::from_str_radix(b, 16)).collect();
    assert!(bytes.len() == 6 && bytes.iter().all(Result::is_ok), "{text:?} is no number and no address");
    bytes.into_iter().flatten().fold(0, |v, b| v << 8 | u128::from(b))
}

/// Number of required bits by field.
pub type Bits = BTreeMap<&'static str, u32>;

/// Fields of a match that are compared. Left out: input port, ethertype of tags, recirculation, which are exact on both sides or internal.
const COUNTED: [(&str, FieldId); 23] = [
    ("tun_id", FieldId::TunId),
    ("pkt_mark", FieldId::PktMark),
    ("ct_state", FieldId::CtState),
    ("ct_mark", FieldId::CtMark),
    ("ct_zone", FieldId::CtZone),
    ("eth_src", FieldId::EthSrc),
    ("eth_dst", FieldId::EthDst),
    ("eth_type", FieldId::EthType),
    ("vlan_tci", FieldId::VlanTci),
    ("vlan_tci1", FieldId::Vlan1Tci),
    ("nw_proto", FieldId::IpProto),
    ("nw_tos", FieldId::IpTos),
    ("nw_ttl", FieldId::IpTtl),
    ("nw_frag", FieldId::IpFrag),
    ("nw_src", FieldId::Ipv4Src),
    ("nw_dst", FieldId::Ipv4Dst),
    ("ipv6_src", FieldId::Ipv6Src),
    ("ipv6_dst", FieldId::Ipv6Dst),
    ("tp_src", FieldId::TcpSrc),
    ("tp_dst", FieldId::TcpDst),
    ("tcp_flags", FieldId::TcpFlags),
    ("arp_sha", FieldId::ArpSha),
    ("nd_target", FieldId::NdTarget),
];

/// Bits of our mask.
pub fn our_bits(mask: &Mask) -> Bits {
    let count = |id| mask.get(id).0.count_ones();
    let mut bits: Bits = COUNTED.iter().map(|(name, id)| (*name, count(*id))).collect();
    bits.insert("arp_tha", count(FieldId::ArpTha));
    bits.insert("ipv6_label", count(FieldId::Ipv6Label));
    bits.retain(|_, n| *n != 0);
    bits
}

/// Bits of the mask of a megaflow as `ofproto/trace` prints it.
pub fn their_bits(megaflow: &str) -> Bits {
    let mut bits = Bits::new();
    let mut add = |name: &'static str, n: u32| *bits.entry(name).or_default() += n;
    for part in megaflow.split(',') {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let masked = |width: u32| value.split_once('/').map_or(width, |(_, m)| prefix_or_mask(m, width));
        match name {
            "recirc_id" | "in_port" | "eth" | "packet_type" => {}
            "ip" | "ipv6" | "arp" | "rarp" | "mpls" | "mplsm" | "dl_type" => add("eth_type", 16),
            "tcp" | "udp" | "sctp" | "icmp" | "tcp6" | "udp6" | "sctp6" | "icmp6" => {
                add("eth_type", 16);
                add("nw_proto", 8);
            }
            "nw_proto" | "arp_op" => add("nw_proto", 8),
            "dl_src" => add("eth_src", masked(48)),
            "dl_dst" => add("eth_dst", masked(48)),
            "vlan_tci" => add("vlan_tci", masked(16)),
            "vlan_tci1" => add("vlan_tci1", masked(16)),
            // Vlan id and priority come with the bit that says that there is a tag.
            "dl_vlan" => add("vlan_tci", 13),
            "dl_vlan1" => add("vlan_tci1", 13),
            "dl_vlan_pcp" => add("vlan_tci", if megaflow.contains("dl_vlan=") { 3 } else { 4 }),
            "dl_vlan_pcp1" => add("vlan_tci1", if megaflow.contains("dl_vlan1=") { 3 } else { 4 }),
            "nw_src" | "arp_spa" => add("nw_src", masked(32)),
            "nw_dst" | "arp_tpa" => add("nw_dst", masked(32)),
            "ipv6_src" => add("ipv6_src", masked(128)),
            "ipv6_dst" => add("ipv6_dst", masked(128)),
            "ipv6_label" => add("ipv6_label", masked(20)),
            "nw_tos" => add("nw_tos", 6),
            "nw_ecn" => add("nw_tos", 2),
            "nw_ttl" => add("nw_ttl", 8),
            "nw_frag" => add("nw_frag", 2),
            "tp_src" => add("tp_src", masked(16)),
            "tp_dst" => add("tp_dst", masked(16)),
            "icmp_type" => add("tp_src", masked(8)),
            "icmp_code" => add("tp_dst", masked(8)),
            "arp_sha" | "nd_sll" => add("arp_sha", masked(48)),
            "arp_tha" | "nd_tll" => add("arp_tha", masked(48)),
            "nd_target" => add("nd_target", masked(128)),
            // `+syn-ack`, or all of them without a sign.
            "tcp_flags" if value.starts_with(['+', '-']) => {
                add("tcp_flags", value.matches(['+', '-']).count() as u32);
            }
            "tcp_flags" => add("tcp_flags", masked(12)),
            "ct_state" => add("ct_state", value.matches(['+', '-']).count().max(1) as u32),
            "ct_zone" => add("ct_zone", masked(16)),
            "ct_mark" => add("ct_mark", masked(32)),
            "pkt_mark" => add("pkt_mark", masked(32)),
            "tun_id" => add("tun_id", masked(64)),
            other => panic!("a field that is not counted yet: {other} in {megaflow}"),
        }
    }
    bits
}

/// How many bits `/24`, `/255.0.255.0`, `/0x00ff` or `/ff:00:..` require.
fn prefix_or_mask(mask: &str, width: u32) -> u32 {
    match mask.parse::<u32>() {
        Ok(prefix) => prefix,
        Err(_) => number(mask).count_ones().min(width),
    }
}

#[test]
fn bits_of_a_megaflow_are_counted() {
    let text = "recirc_id=0,eth,tcp,in_port=1,vlan_tci=0x0000/0x1fff,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00,\
                nw_src=10.0.0.0/8,nw_frag=no,tp_dst=0x50/0xfff0";
    let bits = their_bits(text);
    let want = [("eth_dst", 1), ("eth_type", 16), ("nw_frag", 2), ("nw_proto", 8), ("nw_src", 8), ("tp_dst", 12)];
    assert_eq!(bits, want.into_iter().chain([("vlan_tci", 13)]).collect());
}
