//! One form for what both switches answer.
//!
//! Two lists of datapath actions mean the same when they do the same to a packet: both are executed on the packet's key,
//! and what leaves is compared: on which port, with which fields and tags, cut to which length; what
//! the controller gets; where a meter, the tracker, a hash or a lookup comes in between. So it does not matter whether a
//! field is set whole or in part, in which order fields are set, whether a tag is changed in place or taken off and added again, or
//! whether a TTL is decremented or set to what that gives.
//!
//! Not seen are tunnel metadata and what tracking tells: neither leaves by a port.

use super::ours::reason_number;
use super::trace::Item;
use flow::action::{Nat, NatRange};
use flow::dp::{CtSpec, DpAction, PuntReason};
use flow::field::Place;
use flow::{DpPort, FieldId, FlowKey, Value, VlanTag};
use std::collections::{BTreeMap, HashSet};

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
        reason: u16,
        id: u16,
        packet: Seen,
    },
    /// From 0, in the order of the scene's.
    Meter(u32),
    /// `ct(...)` with its options in the order of their names.
    Track {
        options: Vec<String>,
        packet: Seen,
    },
    ClearTrack,
    /// `l4(0)`
    Hash(String),
    Recirculate {
        packet: Seen,
    },
    /// On a copy that passes through a meter.
    Copy(Vec<Event>),
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
    /// What the key has no place for, by name.
    beside: BTreeMap<String, String>,
    cut: Option<u32>,
    /// The TTL ran out: the rest of the list is not executed.
    stopped: bool,
    /// The action before: tracking, or a hash.
    tracked: Option<CtSpec>,
    hashed: bool,
    events: Vec<Event>,
    /// Packets that come back, but for those that have a hash: `ofproto/trace` does not follow them.
    returns: Vec<FlowKey>,
}

impl State {
    fn new(came: &FlowKey) -> State {
        State {
            key: *came,
            beside: BTreeMap::new(),
            cut: None,
            stopped: false,
            tracked: None,
            hashed: false,
            events: Vec::new(),
            returns: Vec::new(),
        }
    }

    fn seen(&self) -> Seen {
        let hidden = |name: &str| {
            name.starts_with("tun_")
                || name.starts_with("ct_")
                || ["in_port", "in_port_oxm", "recirc_id", "dp_hash"].contains(&name)
        };
        let mut key = self.key;
        let tags = key.vlans.iter().filter(|t| t.is_present()).map(|t| (t.tpid.get(), t.tci.get())).collect();
        key.vlans = Default::default();
        let mut fields = Vec::new();
        let mut taken = HashSet::new();
        for def in flow::field::datapath_fields().filter(|d| !hidden(d.name)) {
            // Fields of several protocols share a place: the first of them stands for all.
            let Place::Key { offset, bytes } = def.place else { continue };
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
        let mut copy = State { events: Vec::new(), returns: Vec::new(), cut: None, ..self.clone() };
        inner(&mut copy);
        self.returns.extend(copy.returns);
        copy.events
    }

    /// What was done to a copy. That it was a copy matters when a meter may drop it.
    fn copied(&mut self, events: Vec<Event>) {
        if events.iter().any(|e| matches!(e, Event::Meter(_))) {
            self.events.push(Event::Copy(events));
        } else {
            self.events.extend(events);
        }
    }

    /// The packet comes back under a number, as `ofproto/trace` imagines it: after tracking, as the first of a new connection,
    /// translated to the first address of the range.
    fn come_back(&mut self, recirc_id: u32) {
        let event = Event::Recirculate { packet: self.seen() };
        self.events.push(event);
        if self.hashed {
            return;
        }
        let mut copy = State { events: Vec::new(), ..self.clone() };
        copy.key.recirc_id = recirc_id.into();
        if let Some(ct) = &self.tracked {
            copy.key.ct_state = 0x21.into();
            copy.key.ct_zone = ct.zone.into();
            if let Some((value, mask)) = ct.mark {
                copy.set(FieldId::CtMark, value.into(), mask.into());
            }
            if let Some((value, mask)) = ct.label {
                copy.set(FieldId::CtLabel, value, mask);
            }
            let (fields, range) = match ct.nat {
                Some(Nat::Source(range)) => ([FieldId::Ipv4Src, FieldId::TcpSrc], range),
                Some(Nat::Destination(range)) => ([FieldId::Ipv4Dst, FieldId::TcpDst], range),
                _ => ([FieldId::Ipv4Src, FieldId::TcpSrc], NatRange::default()),
            };
            if let Some((std::net::IpAddr::V4(first), _)) = range.addresses {
                copy.set(fields[0], first.to_bits().into(), u128::MAX);
            }
            if let Some((first, _)) = range.ports {
                copy.set(fields[1], first.into(), u128::MAX);
            }
        }
        self.returns.push(copy.key);
    }
}

/// Each event says what the packet is then, so their order says nothing more, but for what a meter drops: put them in
/// one order. (Floods differ in theirs.)
fn sort(mut events: Vec<Event>) -> Vec<Event> {
    events.chunk_by_mut(|a, b| ![a, b].iter().any(|e| matches!(e, Event::Meter(_)))).for_each(<[Event]>::sort);
    for event in &mut events {
        match event {
            Event::Sample { events, .. } | Event::Copy(events) => *events = sort(std::mem::take(events)),
            Event::Length { longer, rest, .. } => {
                *longer = sort(std::mem::take(longer));
                *rest = sort(std::mem::take(rest));
            }
            _ => {}
        }
    }
    events
}

/// What our actions do to a packet with this key, and the packets that come back.
pub fn ours(actions: &[DpAction], came: &FlowKey) -> (Vec<Event>, Vec<FlowKey>) {
    let mut state = State::new(came);
    run_ours(&mut state, actions);
    (sort(state.events), state.returns)
}

fn run_ours(state: &mut State, actions: &[DpAction]) {
    for action in actions {
        if state.stopped {
            return;
        }
        if !matches!(action, DpAction::Recirc(_)) {
            (state.tracked, state.hashed) = (None, false);
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
            DpAction::Meter(id) => state.events.push(Event::Meter(id.0 % 3)),
            DpAction::Truncate(len) => state.cut = Some(u32::from(*len)),
            DpAction::Punt(PuntReason::Controller { max_len, reason, id }) => {
                let (reason, packet) = (reason_number(*reason), state.seen());
                state.events.push(Event::Controller { max_len: *max_len, reason, id: *id, packet });
            }
            DpAction::Ct(spec) => {
                let event = Event::Track { options: options(spec), packet: state.seen() };
                state.events.push(event);
                state.tracked = Some((**spec).clone());
            }
            DpAction::CtClear => state.events.push(Event::ClearTrack),
            DpAction::Hash(_) => {
                let inner = action.to_string();
                state.events.push(Event::Hash(inner["hash(".len()..inner.len() - 1].to_owned()));
                state.hashed = true;
            }
            DpAction::Recirc(id) => state.come_back(id.0),
            DpAction::Clone(list) => {
                let events = state.fork(|s| run_ours(s, list));
                state.copied(events);
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

/// As Open vSwitch writes them.
fn options(spec: &CtSpec) -> Vec<String> {
    let mut out = Vec::new();
    match (spec.commit, spec.force) {
        (_, true) => out.push("force_commit".to_owned()),
        (true, false) => out.push("commit".to_owned()),
        _ => {}
    }
    out.extend((spec.zone != 0).then(|| format!("zone={}", spec.zone)));
    out.extend(spec.mark.map(|(value, mask)| format!("mark={value:#x}/{mask:#x}")));
    let label = |(value, mask)| {
        if mask == u128::MAX { format!("label={value:#x}") } else { format!("label={value:#x}/{mask:#x}") }
    };
    out.extend(spec.label.map(label));
    out.extend(spec.nat.map(|nat| {
        let (side, range) = match nat {
            Nat::Existing => return "nat".to_owned(),
            Nat::Source(range) => ("src", range),
            Nat::Destination(range) => ("dst", range),
        };
        match range.addresses {
            Some((first, last)) if first == last => format!("nat({side}={first})"),
            other => format!("nat({side} {other:?})"),
        }
    }));
    out.sort();
    out
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
            "meter" => state.events.push(Event::Meter(number(&action.args[0].name) as u32 % 3)),
            "trunc" => state.cut = Some(number(&action.args[0].name) as u32),
            "clone" => {
                let events = state.fork(|s| run_theirs(s, &action.args));
                state.copied(events);
            }
            "sample" => sample(state, action),
            "check_pkt_len" => {
                let list = |name| action.arg(name).map_or(&[][..], |i| &i.args);
                let longer = state.fork(|s| run_theirs(s, list("gt")));
                let rest = state.fork(|s| run_theirs(s, list("le")));
                let over = number(action.arg("size").expect("a size").pair().1) as u32;
                state.events.push(Event::Length { over, longer, rest });
            }
            "userspace" => match action.arg("controller") {
                Some(to) => {
                    let value = |name| to.arg(name).map_or(0, |a| number(a.pair().1) as u16);
                    // Open vSwitch tells explicit misses, 6, from others.
                    let reason = if value("reason") == 6 { 0 } else { value("reason") };
                    let (max_len, id) = (value("max_len"), value("controller_id"));
                    state.events.push(Event::Controller { max_len, reason, id, packet: state.seen() });
                }
                None => state.events.push(Event::Other(text(action))),
            },
            "recirc" => state.events.push(Event::Recirculate { packet: state.seen() }),
            "hash" => state.events.push(Event::Hash(text(&action.args[0]))),
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
        state.copied(events);
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
