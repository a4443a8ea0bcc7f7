//! From datapath actions to hardware actions, in order; all or nothing.

use super::add;
use crate::caps::{FieldCaps, MaskCap, TransferCaps};
use crate::refusal::{PortRefusal, Refusal, Refusals};
use crate::rule::{Bits, HwAction, HwMatch, InnerTag, L3Match, L4Match, VlanMatch};
use crate::world::{PortInfo, World};
use flow::dp::{DpAction, DpActionKind, DpFlow};
use flow::port::DpPort;
use flow::{FieldId, Value, VlanTag};
use smallvec::{SmallVec, smallvec};

const ICMPV6: u8 = 58;

/// What came of the actions.
pub(super) struct Translated {
    pub actions: SmallVec<[HwAction; 4]>,
    /// The TTL that the packet came with is decremented.
    pub decrements: bool,
}

/// Translate all actions of a flow. May narrow `matches`, where an action is the same in hardware for some of
/// the flow's packets only.
pub(super) fn translate(
    flow: &DpFlow,
    info: &PortInfo,
    world: &World,
    caps: &TransferCaps,
    matches: &mut HwMatch,
    refused: &mut Refusals,
) -> Translated {
    let mut t = Translator {
        in_port: flow.in_port(),
        info,
        world,
        caps,
        tags: Tags::of(&matches.vlan),
        matches,
        refused,
        out: SmallVec::new(),
        outputs: 0,
        pushed: false,
        ttl: Ttl::Original,
    };
    let decided = matches!(flow.actions.as_slice(), [rest @ .., DpAction::Drop(_)]
        if rest.iter().all(|a| is_rewrite(a.kind())));
    if decided {
        // Whatever is done to a packet that is dropped is seen by nobody.
        t.supported(DpActionKind::Drop);
        return Translated { actions: smallvec![HwAction::Drop], decrements: false };
    }
    for action in &flow.actions {
        t.action(action);
    }
    t.finish()
}

/// Whether the action changes the packet and does nothing else.
fn is_rewrite(kind: DpActionKind) -> bool {
    matches!(kind, DpActionKind::Set(_) | DpActionKind::PushVlan | DpActionKind::PopVlan)
}

struct Translator<'a> {
    in_port: DpPort,
    info: &'a PortInfo,
    world: &'a World,
    caps: &'a TransferCaps,
    matches: &'a mut HwMatch,
    refused: &'a mut Refusals,
    out: SmallVec<[HwAction; 4]>,
    outputs: usize,
    tags: Tags,
    /// The outer tag is one that this flow has added.
    pushed: bool,
    ttl: Ttl,
}

/// What is known of the number of tags that a packet carries.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tags {
    Unknown,
    /// At least one.
    Some,
    Exactly(u8),
}

impl Tags {
    fn of(vlan: &VlanMatch) -> Tags {
        match vlan {
            VlanMatch::Any => Tags::Unknown,
            VlanMatch::Absent { .. } => Tags::Exactly(0),
            VlanMatch::Tagged { inner: InnerTag::Any, .. } => Tags::Some,
            VlanMatch::Tagged { inner: InnerTag::Absent { .. }, .. } => Tags::Exactly(1),
        }
    }
}

/// What is known of the TTL.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ttl {
    Original,
    Decremented,
    Set(u8),
}

impl Translator<'_> {
    fn refuse(&mut self, refusal: Refusal) {
        add(self.refused, refusal);
    }

    fn supported(&mut self, kind: DpActionKind) -> bool {
        let yes = self.caps.supports(kind);
        if !yes {
            self.refuse(Refusal::Action(kind));
        }
        yes
    }

    fn needs(&mut self, action: DpActionKind, field: FieldId) {
        self.refuse(Refusal::ActionNeedsMatch { action, field });
    }

    fn action(&mut self, action: &DpAction) {
        let kind = action.kind();
        if let DpAction::Meter(meter) = action {
            return self.refuse(Refusal::MeterSplit { meter: *meter });
        }
        if !self.supported_as_asked(action) {
            return;
        }
        if self.outputs > 0 && kind != DpActionKind::Output {
            return self.refuse(if kind == DpActionKind::Drop {
                Refusal::Action(kind)
            } else {
                Refusal::RewriteAfterOutput(kind)
            });
        }
        match action {
            DpAction::Output(port) => self.output(*port),
            DpAction::Set { field, value, mask } => self.set(*field, *value, *mask),
            DpAction::DecTtl => self.dec_ttl(),
            DpAction::PushVlan(tag) => self.push_vlan(tag),
            DpAction::PopVlan => self.pop_vlan(),
            // After a decrement, a drop counts under two names, by TTL: software does that.
            _ => self.refuse(Refusal::Action(kind)),
        }
    }

    /// DSCP may be written as bits of the whole byte, id and priority as bits of the whole tag.
    fn supported_as_asked(&mut self, action: &DpAction) -> bool {
        let kind = match action {
            DpAction::Set { field: FieldId::IpTos, .. } => DpActionKind::Set(FieldId::IpDscp),
            DpAction::Set { field: FieldId::VlanTci, .. } => DpActionKind::Set(FieldId::VlanVid),
            other => other.kind(),
        };
        let yes = self.caps.supports(kind);
        if !yes {
            self.refuse(Refusal::Action(action.kind()));
        }
        yes
    }

    fn output(&mut self, port: DpPort) {
        self.outputs += 1;
        let why = match self.world.ports.get(&port) {
            None => PortRefusal::Unknown,
            Some(to) if to.domain.is_none() => PortRefusal::NotRepresentor,
            Some(to) if to.domain != self.info.domain => PortRefusal::OtherEswitch,
            Some(_) if port == self.in_port && !self.caps.hairpin => PortRefusal::InputPort,
            Some(to) => return self.out.push(HwAction::Output(to.ethdev)),
        };
        self.refuse(Refusal::OutputPort { port, why });
    }

    fn dec_ttl(&mut self) {
        if !matches!(self.matches.l3, L3Match::Ipv4 { .. } | L3Match::Ipv6 { .. }) {
            return self.needs(DpActionKind::DecTtl, FieldId::EthType);
        }
        self.ttl = match self.ttl {
            Ttl::Original => Ttl::Decremented,
            Ttl::Decremented => return self.refuse(Refusal::Repeated(DpActionKind::DecTtl)),
            Ttl::Set(0 | 1) => return self.refuse(Refusal::TtlExpires),
            Ttl::Set(ttl) => Ttl::Set(ttl - 1),
        };
        self.out.push(HwAction::DecTtl);
    }

    fn push_vlan(&mut self, tag: &VlanTag) {
        if self.pushed {
            return self.refuse(Refusal::Repeated(DpActionKind::PushVlan));
        }
        match self.tags {
            Tags::Exactly(n) if n < 2 => self.tags = Tags::Exactly(n + 1),
            // Two tags are as many as software handles; it drops a third.
            Tags::Exactly(_) | Tags::Some => return self.needs(DpActionKind::PushVlan, FieldId::Vlan1Tci),
            Tags::Unknown => return self.needs(DpActionKind::PushVlan, FieldId::VlanTci),
        }
        self.pushed = true;
        let tpid = tag.tpid.get();
        if !matches!(tpid, 0x8100 | 0x88a8) {
            return self.refuse(Refusal::Inexact { field: FieldId::VlanTpid });
        }
        self.out.push(HwAction::PushVlan { tpid, vid: tag.vid(), pcp: (tag.tci.get() >> 13) as u8 });
    }

    fn pop_vlan(&mut self) {
        self.tags = match self.tags {
            Tags::Exactly(n) if n > 0 => Tags::Exactly(n - 1),
            Tags::Some => Tags::Unknown,
            Tags::Exactly(_) | Tags::Unknown => return self.needs(DpActionKind::PopVlan, FieldId::VlanTci),
        };
        // What is now outermost is not the tag that the match speaks of.
        self.pushed = false;
        self.out.push(HwAction::PopVlan);
    }

    fn set(&mut self, field: FieldId, value: Value, mask: Value) {
        let kind = DpActionKind::Set(field);
        let value = Value(value.0 & mask.0);
        if mask.0 == 0 {
            return;
        }
        match field {
            FieldId::VlanTci => return self.set_tci(field, value.0 as u16, mask.0 as u16),
            FieldId::VlanVid => return self.set_tci(field, value.0 as u16, mask.0 as u16),
            FieldId::VlanPcp => return self.set_tci(field, (value.0 as u16) << 13, (mask.0 as u16) << 13),
            FieldId::IpTos => {
                return match mask.0 {
                    0xfc => self.set_in_ip(kind, FieldId::IpDscp, Value(value.0 >> 2)),
                    // The two low bits are ECN, which no action sets.
                    m if m & 3 != 0 => self.refuse(Refusal::Action(DpActionKind::Set(FieldId::IpEcn))),
                    _ => self.refuse(Refusal::PartialSet { field }),
                };
            }
            _ => {}
        }
        if mask.0 & field.def().ones().0 != field.def().ones().0 {
            return self.refuse(Refusal::PartialSet { field });
        }
        match field {
            FieldId::EthSrc | FieldId::EthDst => self.out.push(HwAction::Set { field, value }),
            FieldId::IpDscp => self.set_in_ip(kind, field, value),
            FieldId::IpTtl => {
                if self.ttl == Ttl::Decremented {
                    return self.refuse(Refusal::Action(kind));
                }
                self.ttl = Ttl::Set(value.0 as u8);
                self.set_in_ip(kind, field, value);
            }
            FieldId::Ipv4Src | FieldId::Ipv4Dst => self.set_address4(kind, field, value),
            FieldId::Ipv6Src | FieldId::Ipv6Dst => self.set_address6(kind, field, value),
            FieldId::TcpSrc | FieldId::TcpDst => self.set_port(kind, field, value, 6),
            FieldId::UdpSrc | FieldId::UdpDst => self.set_port(kind, field, value, 17),
            _ => self.refuse(Refusal::Action(kind)),
        }
    }

    /// `value` and `mask` over the whole tag; the present bit (12) is no bit of the wire.
    fn set_tci(&mut self, field: FieldId, value: u16, mask: u16) {
        let kind = DpActionKind::Set(field);
        if matches!(self.tags, Tags::Unknown | Tags::Exactly(0)) {
            return self.needs(kind, FieldId::VlanTci);
        }
        if mask & VlanTag::PRESENT != 0 && value & VlanTag::PRESENT == 0 {
            return self.refuse(Refusal::Action(kind));
        }
        let (vid, pcp) = (mask & 0x0fff, mask >> 13);
        if !matches!(vid, 0 | 0x0fff) || !matches!(pcp, 0 | 7) {
            return self.refuse(Refusal::PartialSet { field });
        }
        if !self.pushed {
            // Software keeps no drop-eligible bit, hardware does: leave frames that have it to software.
            match &mut self.matches.vlan {
                VlanMatch::Tagged { tci, .. } if self.out.iter().all(|a| *a != HwAction::PopVlan) => {
                    tci.mask |= VlanTag::PRESENT;
                }
                _ => return self.needs(kind, FieldId::Vlan1Tci),
            }
        }
        if vid != 0 {
            self.out.push(HwAction::Set { field: FieldId::VlanVid, value: Value(u128::from(value & 0x0fff)) });
        }
        if pcp != 0 {
            if !self.caps.set.contains(FieldId::VlanPcp) {
                return self.refuse(Refusal::Action(DpActionKind::Set(FieldId::VlanPcp)));
            }
            self.out.push(HwAction::Set { field: FieldId::VlanPcp, value: Value(u128::from(value >> 13)) });
        }
    }

    fn set_in_ip(&mut self, kind: DpActionKind, field: FieldId, value: Value) {
        match self.matches.l3 {
            L3Match::Ipv4 { .. } | L3Match::Ipv6 { .. } => self.out.push(HwAction::Set { field, value }),
            L3Match::None | L3Match::Arp { .. } => self.needs(kind, FieldId::EthType),
        }
    }

    fn set_address4(&mut self, kind: DpActionKind, field: FieldId, value: Value) {
        if !matches!(self.matches.l3, L3Match::Ipv4 { .. }) {
            return self.needs(kind, FieldId::EthType);
        }
        if self.unfragmented(kind) {
            self.out.push(HwAction::Set { field, value });
        }
    }

    /// The checksum that covers the address is behind all extension headers: only packets without any are sure.
    fn set_address6(&mut self, kind: DpActionKind, field: FieldId, value: Value) {
        match self.matches.l3 {
            // Devices differ in whether they keep ICMPv6's checksum, which covers the addresses too.
            L3Match::Ipv6 { proto: Some(ICMPV6), .. } => {
                return self.refuse(Refusal::Inexact { field: FieldId::IpProto });
            }
            L3Match::Ipv6 { proto: Some(_), .. } => {}
            L3Match::Ipv6 { .. } => return self.needs(kind, FieldId::IpProto),
            _ => return self.needs(kind, FieldId::EthType),
        }
        self.out.push(HwAction::Set { field, value });
    }

    fn set_port(&mut self, kind: DpActionKind, field: FieldId, value: Value, wanted: u8) {
        match self.matches.l3 {
            L3Match::Ipv4 { proto: Some(proto), .. } | L3Match::Ipv6 { proto: Some(proto), .. } if proto == wanted => {}
            _ => return self.needs(kind, FieldId::IpProto),
        }
        if !self.unfragmented(kind) {
            return;
        }
        if self.matches.l4 == L4Match::None {
            let (src, dst) = (Bits::default(), Bits::default());
            self.matches.l4 = match wanted {
                6 => L4Match::Tcp { src, dst, flags: Bits::default() },
                _ => L4Match::Udp { src, dst },
            };
        }
        self.out.push(HwAction::Set { field, value });
    }

    /// Narrow the match to packets that are no fragments: the transport checksum of a fragment covers bytes that
    /// are not in it, and devices differ in what they do then.
    fn unfragmented(&mut self, kind: DpActionKind) -> bool {
        if can_match_fragments(&self.caps.fields) {
            match &mut self.matches.l3 {
                L3Match::Ipv4 { fragment, .. } if fragment.value == 0 => {
                    fragment.mask = 0x3fff;
                    return true;
                }
                L3Match::Ipv6 { no_fragment, .. } => {
                    *no_fragment = true;
                    return true;
                }
                _ => {}
            }
        }
        self.needs(kind, FieldId::IpFrag);
        false
    }

    fn finish(mut self) -> Translated {
        if self.outputs > self.caps.max_outputs && self.caps.max_outputs > 0 {
            self.refuse(Refusal::TooManyOutputs { have: self.outputs, max: self.caps.max_outputs });
        }
        if self.outputs == 0 && self.refused.is_empty() {
            self.refuse(Refusal::NoActions);
        }
        let decrements = self.ttl == Ttl::Decremented;
        Translated { actions: self.out, decrements }
    }
}

fn can_match_fragments(fields: &FieldCaps) -> bool {
    fields.get(FieldId::IpFrag) != MaskCap::No
}
