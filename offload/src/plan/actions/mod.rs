//! From datapath actions to hardware actions, in order; all or nothing.

mod set;

use super::add;
use crate::caps::{Limits, TransferCaps, VlanAbsent, is_unseen_outside};
use crate::refusal::{PortRefusal, Refusal, Refusals};
use crate::rule::{HwAction, HwMatch, InnerTag, L3Match, SharedObject, VlanMatch};
use crate::world::{EthdevId, PortInfo, World};
use flow::dp::{DpAction, DpActionKind, Encap, MeterId};
use flow::port::DpPort;
use flow::{FieldId, VlanTag};
use smallvec::{SmallVec, smallvec};
use std::sync::Arc;

/// What came of the actions.
#[derive(Debug, Default)]
pub(super) struct Translated {
    pub actions: SmallVec<[HwAction; 4]>,
    /// The outer header that is put in front.
    pub encap: Option<Arc<[u8]>>,
    pub shared: Vec<SharedObject>,
    /// The TTL that the packet came with is decremented.
    pub decrements: bool,
}

/// Translate all actions of a flow that comes in on `in_port`. May narrow `matches`, where an action is the same in
/// hardware for some of the flow's packets only.
pub(super) fn translate(
    actions: &[DpAction],
    in_port: DpPort,
    info: &PortInfo,
    world: &World,
    caps: &TransferCaps,
    matches: &mut HwMatch,
    refused: &mut Refusals,
) -> Translated {
    if matches!(actions, [rest @ .., DpAction::Drop(_)] if rest.iter().all(|a| is_unseen(a.kind()))) {
        // Whatever is done to a packet that is dropped is seen by nobody.
        if !caps.drop {
            add(refused, Refusal::Action(DpActionKind::Drop));
        }
        return Translated { actions: smallvec![HwAction::Drop], ..Translated::default() };
    }
    let mut t = Translator::new(in_port, info, world, caps, matches, refused);
    t.list(actions);
    t.finish()
}

/// The first actions that hardware can do before software does the rest, and how many: changes of the packet only.
pub(super) fn prefix(
    actions: &[DpAction],
    in_port: DpPort,
    info: &PortInfo,
    world: &World,
    caps: &TransferCaps,
    matches: &HwMatch,
) -> Option<(usize, HwMatch, Translated)> {
    let most = actions.iter().take_while(|a| is_change(a.kind())).count();
    // What is refused and what narrows the match depends on the actions before: try from the longest on.
    (1..=most.min(actions.len().saturating_sub(1))).rev().find_map(|n| {
        let (mut matches, mut refused) = (*matches, Refusals::new());
        let mut t = Translator::new(in_port, info, world, caps, &mut matches, &mut refused);
        t.list(&actions[..n]);
        let done = t.done();
        (refused.is_empty() && !done.actions.is_empty()).then_some((n, matches, done))
    })
}

/// Whether the action changes the packet, or what is known of it, and does nothing else.
fn is_unseen(kind: DpActionKind) -> bool {
    matches!(
        kind,
        DpActionKind::Set(_)
            | DpActionKind::PushVlan
            | DpActionKind::PopVlan
            | DpActionKind::CtClear
            | DpActionKind::Hash
    )
}

/// Whether the action changes the packet's bytes and does nothing else, but for a TTL that runs out.
fn is_change(kind: DpActionKind) -> bool {
    match kind {
        DpActionKind::Set(field) => !is_unseen_outside(field),
        other => matches!(other, DpActionKind::PushVlan | DpActionKind::PopVlan | DpActionKind::DecTtl),
    }
}

struct Translator<'a> {
    in_port: DpPort,
    info: &'a PortInfo,
    world: &'a World,
    caps: &'a TransferCaps,
    limits: &'a Limits,
    matches: &'a mut HwMatch,
    refused: &'a mut Refusals,
    out: SmallVec<[HwAction; 4]>,
    encap: Option<Arc<[u8]>>,
    shared: Vec<SharedObject>,
    outputs: usize,
    tags: Tags,
    /// The outer tag is one that this flow has added.
    pushed: bool,
    ttl: Ttl,
    decrements: bool,
    hashed: bool,
    metered: Option<MeterId>,
    /// There is a meter, be it one that hardware does not have.
    meters: bool,
    /// The meter does not see all packets of the flow: some are switched by software.
    splits_meter: bool,
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

impl<'a> Translator<'a> {
    fn new(
        in_port: DpPort,
        info: &'a PortInfo,
        world: &'a World,
        caps: &'a TransferCaps,
        matches: &'a mut HwMatch,
        refused: &'a mut Refusals,
    ) -> Translator<'a> {
        Translator {
            in_port,
            info,
            world,
            caps,
            limits: &info.caps.limits,
            tags: Tags::of(&matches.vlan),
            matches,
            refused,
            out: SmallVec::new(),
            encap: None,
            shared: Vec::new(),
            outputs: 0,
            pushed: false,
            ttl: Ttl::Original,
            decrements: false,
            hashed: false,
            metered: None,
            meters: false,
            splits_meter: false,
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        add(self.refused, refusal);
    }

    fn needs(&mut self, action: DpActionKind, field: FieldId) {
        self.refuse(Refusal::ActionNeedsMatch { action, field });
    }

    fn list(&mut self, actions: &[DpAction]) {
        for (i, action) in actions.iter().enumerate() {
            match action {
                DpAction::Clone(inner) if inner.iter().all(|a| a.kind() == DpActionKind::Output) => self.list(inner),
                // Nobody sees the packet after the copy.
                DpAction::Clone(inner) if i + 1 == actions.len() => self.list(inner),
                other => self.action(other),
            }
        }
    }

    fn action(&mut self, action: &DpAction) {
        let kind = action.kind();
        if let DpAction::Set { field, .. } = action
            && is_unseen_outside(*field)
        {
            // Seen by later passes and by controllers, and hardware sends nothing to them.
            return;
        }
        self.meters |= kind == DpActionKind::Meter;
        if !self.supported(action) {
            return;
        }
        let changes = !matches!(kind, DpActionKind::Output | DpActionKind::Drop | DpActionKind::CtClear);
        if changes && (self.encap.is_some() || self.outputs > 0 && !self.caps.rewrite_after_output) {
            return self.refuse(Refusal::RewriteAfterOutput(kind));
        }
        match action {
            DpAction::Output(port) => self.output(*port),
            DpAction::Set { field, value, mask } => self.set(*field, *value, *mask),
            DpAction::DecTtl => self.dec_ttl(),
            DpAction::PushVlan(tag) => self.push_vlan(tag),
            DpAction::PopVlan => self.pop_vlan(),
            DpAction::Meter(meter) => self.meter(*meter),
            DpAction::TunnelPush(encap) => self.tunnel_push(encap),
            // In a first pass nothing is known of a connection.
            DpAction::CtClear => {}
            // After a decrement, a drop counts under two names, by TTL; after an output, it is none.
            DpAction::Drop(_) => self.refuse(Refusal::DropAfter(match self.outputs {
                0 if self.meters => DpActionKind::Meter,
                0 => DpActionKind::DecTtl,
                _ => DpActionKind::Output,
            })),
            _ => self.refuse(Refusal::Action(kind)),
        }
    }

    /// Whether the device can do it at all. DSCP may be written as bits of the whole byte, id and priority as bits of the
    /// whole tag.
    fn supported(&mut self, action: &DpAction) -> bool {
        let kind = match action {
            DpAction::Set { field: FieldId::IpTos, .. } => DpActionKind::Set(FieldId::IpDscp),
            DpAction::Set { field: FieldId::VlanTci, .. } => DpActionKind::Set(FieldId::VlanVid),
            other => other.kind(),
        };
        if self.caps.supports(kind) {
            return true;
        }
        match kind {
            DpActionKind::Hash => {
                self.hashed = true;
                self.refuse(Refusal::HashDiffers);
            }
            // The pass after a hash is what the hash was for.
            DpActionKind::Recirc if self.hashed => {}
            DpActionKind::Recirc | DpActionKind::TunnelPop => self.refuse(Refusal::SecondPass(kind)),
            _ => self.refuse(Refusal::Action(action.kind())),
        }
        false
    }

    fn output(&mut self, port: DpPort) {
        self.outputs += 1;
        let why = match self.world.ports.get(&port) {
            None => PortRefusal::Unknown,
            Some(to) if to.domain.is_none() => PortRefusal::NotRepresentor,
            Some(to) if to.domain != self.info.domain => PortRefusal::OtherEswitch,
            Some(_) if port == self.in_port && !self.caps.hairpin => PortRefusal::InputPort,
            Some(to) => return self.send(to.ethdev),
        };
        self.refuse(Refusal::OutputPort { port, why });
    }

    /// The last output takes the packet; all before it are copies.
    fn send(&mut self, to: EthdevId) {
        for action in &mut self.out {
            if let HwAction::Output(port) = *action {
                *action = HwAction::Mirror(port);
            }
        }
        self.out.push(HwAction::Output(to));
    }

    fn meter(&mut self, meter: MeterId) {
        if let Err(refusal) = self.world.meter_in(meter, self.info.device()) {
            return self.refuse(refusal);
        }
        if self.metered.is_some() {
            return self.refuse(Refusal::Repeated(DpActionKind::Meter));
        }
        self.metered = Some(meter);
        self.shared.push(SharedObject::Meter(meter));
        self.out.push(HwAction::Meter(meter));
        // Such a device matches untagged packets only, and software switches the others.
        self.splits_meter |= self.caps.vlan_absent == VlanAbsent::ByPattern && self.matches.vlan == VlanMatch::Any;
    }

    fn tunnel_push(&mut self, encap: &Encap) {
        let (have, max) = (encap.header.len(), usize::from(self.caps.encap));
        if have > max {
            return self.refuse(Refusal::EncapTooLong { have, max });
        }
        self.out.push(HwAction::Encap);
        self.encap = Some(encap.header.as_ref().into());
        self.output(encap.port);
    }

    fn dec_ttl(&mut self) {
        if !matches!(self.matches.l3, L3Match::Ipv4 { .. } | L3Match::Ipv6 { .. }) {
            return self.needs(DpActionKind::DecTtl, FieldId::EthType);
        }
        self.ttl = match self.ttl {
            Ttl::Original => {
                self.decrements = true;
                // Packets that expire are software's, and never get to a meter in hardware.
                self.splits_meter |= self.metered.is_some();
                Ttl::Decremented
            }
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
            // One at most: this flow has added none that is still there.
            Tags::Exactly(n) => self.tags = Tags::Exactly(n + 1),
            // Two tags are as many as software handles; it drops a third.
            Tags::Some => return self.needs(DpActionKind::PushVlan, FieldId::Vlan1Tci),
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

    fn finish(mut self) -> Translated {
        if self.outputs > self.caps.max_outputs {
            self.refuse(Refusal::TooManyOutputs { have: self.outputs, max: self.caps.max_outputs });
        }
        if self.outputs == 0 && self.refused.is_empty() {
            self.refuse(Refusal::NoActions);
        }
        // What is done after the last output is seen by nobody, but what a meter counts.
        if let Some(last) = self.out.iter().rposition(|a| matches!(a, HwAction::Output(_))) {
            if self.out[last..].iter().any(|a| matches!(a, HwAction::Meter(_))) {
                self.refuse(Refusal::RewriteAfterOutput(DpActionKind::Meter));
            }
            self.out.truncate(last + 1);
        }
        self.done()
    }

    fn done(mut self) -> Translated {
        let have = self.out.iter().filter(|action| action.is_rewrite()).count();
        if let Some(max) = self.limits.rewrites.map(|max| max as usize)
            && have > max
        {
            self.refuse(Refusal::TooManyRewrites { have, max });
        }
        if let Some(meter) = self.metered.filter(|_| self.splits_meter) {
            self.refuse(Refusal::MeterSplit { meter });
        }
        Translated { actions: self.out, encap: self.encap, shared: self.shared, decrements: self.decrements }
    }
}
