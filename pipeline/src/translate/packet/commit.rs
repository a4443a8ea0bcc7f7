//! Making the datapath's packet what the packet is now.

use super::Packet;
use super::tags::Tag;
use flow::dp::{Actions, DpAction};
use flow::{FieldId, FlowKey, Value, VlanTag};

/// Whether it is kept beside the packet: committed last.
fn is_metadata(field: FieldId) -> bool {
    matches!(field, FieldId::SkbPriority | FieldId::PktMark)
}

impl Packet<'_> {
    /// Make the datapath's packet what the packet is now.
    pub(in crate::translate) fn commit(&mut self, actions: &mut Actions) {
        if !self.changed && self.sent.is_none() {
            return;
        }
        let mut i = 0;
        while let Some(field) = self.touched.get(i).copied().filter(|f| !is_metadata(*f)) {
            self.commit_field(field, actions);
            i += 1;
        }
        self.commit_tags(actions);
        while let Some(field) = self.touched.get(i).copied() {
            self.commit_field(field, actions);
            i += 1;
        }
    }

    pub(super) fn commit_field(&mut self, field: FieldId, actions: &mut Actions) {
        let def = field.def();
        let read = |key: &FlowKey| def.read_key(key).unwrap_or_default().0;
        let ttl = field == FieldId::IpTtl;
        let seen = |p: &Self| match read(&p.mask.0) {
            // After a decrement, part of it is a function of all of it.
            part if ttl && part != def.ones().0 => 0,
            bits => bits,
        };
        let (value, own) = (read(&self.now.key), read(&self.now.own.0));
        let seen_now = seen(self);
        let decrements = self.now.decrements;
        let sent = self.sent();
        let had = Bits { value: read(&sent.key), own: read(&sent.own.0), seen: seen_now };
        let mut bits = Bits { value, own, seen: had.seen };
        let same_place = !ttl || decrements == sent.decrements;
        let need = bits.differ(&had, same_place) & def.ones().0;
        if need == 0 {
            return;
        }
        if need & own & !bits.seen != 0 {
            // Bits that go back to what the packet came with must be known.
            self.look_bits(field, Value(if ttl { def.ones().0 } else { need & own }));
            bits.seen = seen(self);
        }
        let mask = bits.constants(def.ones().0);
        let value = bits.value & mask;
        actions.push(DpAction::Set { field, value: Value(value), mask: Value(mask) });
        let sent = self.sent();
        def.write_key(&mut sent.key, Value(had.value & !mask | value));
        def.write_key(&mut sent.own.0, Value(had.own & !mask));
        if ttl {
            sent.decrements = 0;
        }
    }

    fn commit_tags(&mut self, actions: &mut Actions) {
        let as_it_is = match &self.sent {
            Some(sent) => self.now.tags == sent.tags,
            None => self.now.tags.is_as_came(),
        };
        if as_it_is {
            return;
        }
        let (want, have) = (self.now.tags.clone(), self.sent().tags.clone());
        let (mut want_stack, mut have_stack) = (want.stack.to_vec(), have.stack.to_vec());
        want_stack.reverse();
        have_stack.reverse();
        // Tags at the bottom that can stay: the same ones, of which only the outermost can be changed in place.
        let same = want_stack.iter().zip(&have_stack).take_while(|(w, h)| w.id == h.id).count();
        let changed = (0..same).find(|i| self.tag_differs(&want_stack[*i], &have_stack[*i]) != 0);
        let mut keep = changed.map_or(same, |i| i + 1);
        if changed.is_none() && have_stack.len() == same + 1 && want_stack.len() == same + 1 {
            // Another tag in the place of one: the same TPID makes it a change in place.
            let (w, h) = (want_stack[same], have_stack[same]);
            for t in [w, h] {
                if t.own_tpid {
                    self.require_tag(t.source, 0xffff, 0);
                }
            }
            keep += usize::from(w.tag.tpid == h.tag.tpid);
        }
        for _ in keep..have_stack.len() {
            actions.push(DpAction::PopVlan);
        }
        if keep > 0 {
            self.change_tag(&want_stack[keep - 1], &have_stack[keep - 1], actions);
        }
        for tag in &want_stack[keep..] {
            let tpid = if tag.own_tpid { 0xffff } else { 0 };
            self.require_tag(tag.source, tpid, tag.own);
            actions.push(DpAction::PushVlan(tag.tag));
        }
        self.sent().tags = want;
    }

    /// Bits of the TCI that must be written to make `have` into `want`.
    fn tag_differs(&self, want: &Tag, have: &Tag) -> u16 {
        let (w, h) = (self.tag_bits(want), self.tag_bits(have));
        (w.differ(&h, want.id == have.id) & 0xffff) as u16 & !VlanTag::PRESENT
    }

    fn tag_bits(&self, tag: &Tag) -> Bits {
        let seen = self.mask.0.vlans.get(tag.source).map_or(0, |m| m.tci.get());
        Bits { value: tag.tci().into(), own: tag.own.into(), seen: seen.into() }
    }

    fn change_tag(&mut self, want: &Tag, have: &Tag, actions: &mut Actions) {
        let need = self.tag_differs(want, have);
        // Bits that go back to what the packet came with must be known.
        self.require_tag(want.source, 0, need & want.own);
        let bits = self.tag_bits(want);
        for (field, place, shift) in [(FieldId::VlanVid, 0x0fff, 0), (FieldId::VlanPcp, 0xe000, 13)] {
            if need & place != 0 {
                let mask = bits.constants(place.into());
                let value = Value((bits.value & mask) >> shift);
                actions.push(DpAction::Set { field, value, mask: Value(mask >> shift) });
            }
        }
    }
}

/// Some bits of one state of the packet.
struct Bits {
    value: u128,
    /// The packet's own.
    own: u128,
    /// Required by the mask, so their value is that of all packets of the flow.
    seen: u128,
}

impl Bits {
    /// Bits that may differ from `had`; `same_place`: own bits of both are the same bits of the packet.
    fn differ(&self, had: &Bits, same_place: bool) -> u128 {
        let unchanged = if same_place { self.own & had.own } else { 0 };
        let known = (!self.own | self.seen) & (!had.own | had.seen);
        let equal = known & !(self.value ^ had.value);
        !(unchanged | equal)
    }

    /// All bits of `place` whose value is known: writing those that are right already makes a set simpler.
    fn constants(&self, place: u128) -> u128 {
        (!self.own | self.seen) & place
    }
}
