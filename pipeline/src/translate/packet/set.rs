//! Changing the packet.

use super::Packet;
use super::tags::{MAX_TAGS, Tag, Tags};
use flow::action::SubField;
use flow::dp::{Actions, DpAction};
use flow::field::{CONNECTION, TUNNEL};
use flow::{FieldId, Value, VlanTag};

/// The order in which changed fields are committed: that of OVS, layer by layer.
fn rank(field: FieldId) -> u8 {
    use FieldId as F;
    match field {
        F::EthSrc => 0,
        F::EthDst => 1,
        F::ArpSha | F::ArpTha | F::ArpSpa | F::ArpTpa | F::ArpOp => 2,
        F::Ipv4Src | F::Ipv6Src => 3,
        F::Ipv4Dst | F::Ipv6Dst => 4,
        F::Ipv6Label => 5,
        F::IpTos | F::IpDscp | F::IpEcn => 6,
        F::IpTtl => 7,
        F::SkbPriority => 20,
        F::PktMark => 21,
        _ => 10,
    }
}

impl Packet<'_> {
    /// Change bits of a field, if the packet has it. Whether it has.
    pub(in crate::translate) fn set(&mut self, field: FieldId, value: Value, mask: Value) -> bool {
        self.changed |= field.def().is_in_key();
        let def = field.def();
        // `nw_tos` is the DSCP where it is in the traffic class: the ECN is not its to change.
        let changeable = if field == FieldId::IpTos { 0xfc } else { def.ones().0 };
        let mut mask = mask.0 & changeable;
        let value = value.0 & mask;
        match field {
            FieldId::VlanTci => {
                self.set_tci(value as u16, mask as u16);
                return true;
            }
            FieldId::VlanVid | FieldId::VlanPcp => {
                let there = self.has_tag();
                match field {
                    _ if !there => {}
                    FieldId::VlanVid => self.write_tag(value as u16, mask as u16 & 0xfff),
                    _ => self.write_tag((value as u16) << 13, (mask as u16) << 13),
                }
                return there;
            }
            _ => {}
        }
        if !self.has(def.prereq) {
            return false;
        }
        let mut whole = def.get(&self.now.key, &self.regs).0 & !mask | value;
        if !def.is_in_key() || matches!(field, FieldId::InPort | FieldId::InPortOxm) {
            if def.is_in_key() {
                // An OpenFlow number has 16 bits.
                whole &= 0xffff;
            }
            def.set(&mut self.now.key, &mut self.regs, Value(whole));
            return true;
        }
        if field == FieldId::IpTtl && mask != def.ones().0 {
            self.look_at(field);
            mask = def.ones().0;
        }
        def.write_key(&mut self.now.key, Value(whole));
        let own = self.now.own.get(field).0 & !mask;
        def.write_key(&mut self.now.own.0, Value(own));
        if !TUNNEL.contains(&field) && !CONNECTION.contains(&field) && !self.touched.contains(&field) {
            let at = self.touched.iter().take_while(|f| rank(**f) <= rank(field)).count();
            self.touched.insert(at, field);
        }
        true
    }

    /// A field is what the packet came with.
    pub(in crate::translate) fn unset(&mut self, field: FieldId) {
        let def = field.def();
        if let Some(came) = self.came.get(field) {
            def.write_key(&mut self.now.key, came);
            def.write_key(&mut self.now.own.0, def.ones());
        }
    }

    /// Change a part of a field.
    pub(in crate::translate) fn write(&mut self, to: &SubField, value: Value) -> bool {
        let mask = to.mask();
        self.set(to.field, Value(value.0 << to.first & mask.0), mask)
    }

    /// Decrement the TTL, if there is one.
    pub(in crate::translate) fn dec_ttl(&mut self, actions: &mut Actions) {
        self.changed = true;
        if !self.is_ip() {
            return;
        }
        let ttl = self.now.key.nw_ttl;
        if self.now.own.0.nw_ttl == 0 {
            // A constant: no need to ask the packet.
            if ttl > 1 {
                self.now.key.nw_ttl = ttl - 1;
                return;
            }
        }
        // The datapath's is to be the one that is decremented.
        self.commit_field(FieldId::IpTtl, actions);
        if self.now.own.0.nw_ttl != 0 {
            self.now.decrements += 1;
            self.sent().decrements = self.now.decrements;
        }
        actions.push(DpAction::DecTtl);
        self.now.key.nw_ttl = ttl.saturating_sub(1);
        self.sent().key.nw_ttl = ttl.saturating_sub(1);
    }

    // ---- VLAN tags

    /// The tags as they are now, to go back to with [`Packet::restore_tags`].
    pub(in crate::translate) fn save_tags(&self) -> Tags {
        self.now.tags.clone()
    }

    pub(in crate::translate) fn restore_tags(&mut self, tags: Tags) {
        self.changed = true;
        self.now.tags = tags;
        self.now.key.vlans = self.now.tags.view();
    }

    /// Change bits of the outer tag, which is there.
    pub(in crate::translate) fn write_tag(&mut self, value: u16, mask: u16) {
        self.changed = true;
        if let Some(tag) = self.now.tags.stack.first_mut() {
            tag.write(value, mask);
        }
        self.now.key.vlans = self.now.tags.view();
    }

    pub(in crate::translate) fn pop_tag(&mut self) {
        self.changed = true;
        if self.has_tag() {
            self.now.tags.pop();
            self.now.key.vlans = self.now.tags.view();
        }
    }

    /// Add an outer tag with id and priority 0. `false`: there is no room for one more.
    pub(in crate::translate) fn push_tag(&mut self, tpid: u16) -> bool {
        self.changed = true;
        // How many tags there are decides: look at the presence of all there may be.
        for source in self.now.tags.popped..MAX_TAGS {
            self.require_tag(source, 0, VlanTag::PRESENT);
            if !self.came.vlans[source].is_present() {
                break;
            }
        }
        if self.now.tags.stack.len() >= MAX_TAGS {
            return false;
        }
        let new = VlanTag { tpid: tpid.into(), tci: VlanTag::PRESENT.into() };
        let tag = Tag { id: self.next_tag, tag: new, source: 0, own: 0, own_tpid: false };
        self.next_tag += 1;
        self.now.tags.push(tag);
        self.now.key.vlans = self.now.tags.view();
        true
    }

    fn set_tci(&mut self, value: u16, mask: u16) {
        let there = self.has_tag();
        let stays = if mask & VlanTag::PRESENT != 0 { value & VlanTag::PRESENT != 0 } else { there };
        match (there, stays) {
            (_, false) => self.pop_tag(),
            (false, true) => {
                if self.push_tag(0x8100) {
                    self.write_tag(value, !VlanTag::PRESENT);
                }
            }
            (true, true) => self.write_tag(value, mask & !VlanTag::PRESENT),
        }
    }
}
