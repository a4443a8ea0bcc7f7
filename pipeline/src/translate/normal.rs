//! NORMAL: a VLAN-aware learning switch (ovs-actions(7), "The output action").
//!
//! As OVS (ofproto/ofproto-dpif-xlate.c, xlate_normal), but for: what it does with gratuitous ARP, which is learned from as
//! any packet (OVS locks an address that was announced so against what comes back over a bond); multicast
//! snooping; dot1q-tunnel ports.

use super::Walk;
use super::reserved::is_reserved;
use crate::port::{Admission, BondRef, Port, PriorityTags, VlanMode};
use flow::dp::{Dep, DropReason, Effect};
use flow::{FieldId, Mask, Value, VlanTag};

/// Group and other addresses of protocols between neighbours, beside 01:80:c2:00:00:0x (OVS: eth_addr_is_reserved): Extreme's
/// EDP and EAPS, Cisco's ISL, CDP and their like.
fn is_of_neighbours(mac: [u8; 6]) -> bool {
    matches!(
        mac,
        [0x00, 0xe0, 0x2b, 0, 0, 0 | 4 | 6]
            | [0x01, 0x00, 0x0c, 0, 0, 0]
            | [0x01, 0x00, 0x0c, 0xcc, 0xcc, 0xcc | 0xcd | 0xc0..=0xc7]
            | [0x01, 0x00, 0x0c, 0xcd, 0xcd, 0xcd]
    )
}

impl<'a> Walk<'a> {
    pub(super) fn normal(&mut self) {
        self.depend(Dep::Ports(self.bridge.id));
        let Some(member) = self.bridge.ports.get(&self.in_port()) else {
            return self.explain(DropReason::NoSuchPort);
        };
        let (from, bond) = self.lead(member);
        // Where the address was learned is asked for, and where it came from is told: both by address and VLAN.
        let mut bits = Mask::ANY;
        bits.require(FieldId::EthSrc);
        bits.require(FieldId::EthDst);
        bits.0.vlans[0].tci = (VlanTag::PRESENT | 0xfff).into();
        self.packet.look(&bits);
        let (src, dst) = (self.packet.key().eth_src, self.packet.key().eth_dst);
        let vid = self.packet.key().vlans[0].vid();
        if self.bridge.is_mirror_output(from.number) {
            return self.explain(DropReason::MirrorPort);
        }
        let Some(vlan) = from.vlan.input(vid) else {
            return self.explain(DropReason::VlanViolation);
        };
        if !self.bridge.options.forward_bpdu && (is_reserved(dst) || is_of_neighbours(dst)) {
            return self.explain(DropReason::Reserved);
        }
        if let Some(bond) = bond
            && !self.may_enter(bond, member, from, vlan)
        {
            return self.explain(DropReason::BondRefused);
        }
        if src[0] & 1 == 0 {
            self.effects.push(Effect::FdbRefresh { bridge: self.bridge.id, vlan, mac: src, port: from.dp });
        }
        match self.learned(vlan, dst) {
            Some(to) if self.bridge.is_mirror_output(to.number) => self.explain(DropReason::MirrorPort),
            Some(to) if to.number == from.number => self.explain(DropReason::SamePort),
            Some(to) => self.send_in_vlan(to, vlan),
            None => self.flood_vlan(from, vlan),
        }
    }

    /// The port that stands for a port: itself, or the lead of its bond.
    pub(super) fn lead(&self, port: &'a Port) -> (&'a Port, Option<BondRef>) {
        let bond = self.state.bonds.as_ref().and_then(|b| b.bond_of(self.bridge.id, port.number));
        let lead = bond.and_then(|bond| self.bridge.ports.get(&bond.lead));
        (lead.map_or(port, |p| &**p), bond)
    }

    /// Whether the packet may come in by a member of a bond.
    fn may_enter(&mut self, bond: BondRef, member: &Port, lead: &Port, vlan: u16) -> bool {
        let key = self.packet.key();
        let (src, dst) = (key.eth_src, key.eth_dst);
        let Some(bonds) = &self.state.bonds else { return true };
        match bonds.admits(bond.id, member.number, dst) {
            Admission::Accept => true,
            Admission::Drop => false,
            Admission::DropIfMoved => self.learned(vlan, src).is_none_or(|p| p.number == lead.number),
        }
    }

    /// The port of this bridge where a unicast address was learned.
    fn learned(&mut self, vlan: u16, mac: [u8; 6]) -> Option<&'a Port> {
        if mac[0] & 1 != 0 {
            return None;
        }
        self.depend(Dep::Fdb(self.bridge.id, vlan, mac));
        let dp = self.bridge.fdb.get((vlan, mac))?;
        let (owner, number) = self.state.owners.get(&dp)?;
        if *owner != self.bridge.id {
            return None;
        }
        self.bridge.ports.get(number).map(|p| self.lead(p).0)
    }

    fn flood_vlan(&mut self, from: &Port, vlan: u16) {
        let bridge = self.bridge;
        let goes =
            |p: &Port| p.number != from.number && p.flood && p.vlan.carries(vlan) && !bridge.is_mirror_output(p.number);
        // Each bond once, by its lead.
        let to: Vec<&Port> =
            bridge.ports.values().map(|p| &**p).filter(|p| goes(p) && self.lead(p).0.number == p.number).collect();
        let tagged = self.packet.has_tag();
        // An access port takes no packet with a second tag.
        let double = tagged && to.iter().any(|p| matches!(p.vlan, VlanMode::Access(_))) && self.has_second_tag();
        let mut sent = false;
        // Ports that take the packet as it is come first: fewer changes.
        for as_is in [true, false] {
            for port in to.iter().filter(|p| (p.vlan.tags(vlan) == tagged) == as_is) {
                if double && matches!(port.vlan, VlanMode::Access(_)) {
                    continue;
                }
                sent |= port.up || self.lead(port).1.is_some();
                if port.up || self.lead(port).1.is_some() {
                    self.send_in_vlan(port, vlan);
                }
            }
        }
        if !sent {
            self.explain(DropReason::NoFloodPort);
        }
    }

    /// Whether there is a VLAN behind the outer tag.
    fn has_second_tag(&mut self) -> bool {
        let mut bits = Mask::ANY;
        bits.0.vlans[1].tci = (VlanTag::PRESENT | 0xfff).into();
        self.packet.look(&bits);
        self.packet.key().vlans[1].vid() != 0
    }

    /// Send with the tag that the port wants; the packet itself keeps its own.
    pub(super) fn send_in_vlan(&mut self, to: &'a Port, vlan: u16) {
        let Some(port) = self.member(to, vlan).filter(|p| p.up) else {
            return self.explain(DropReason::PortDown);
        };
        let saved = self.packet.save_tags();
        if self.tag_for(to, vlan) {
            self.send(port);
        } else {
            self.explain(DropReason::VlanTooDeep);
        }
        self.packet.restore_tags(saved);
    }

    /// The port that sends for a port: itself, or a member of its bond.
    fn member(&mut self, lead: &'a Port, vlan: u16) -> Option<&'a Port> {
        let Some(bond) = self.lead(lead).1 else { return Some(lead) };
        let (key, bonds) = (*self.packet.key(), self.state.bonds.as_ref()?);
        let packet = &mut self.packet;
        let number = bonds.member(bond.id, vlan, &key, &mut |bits| packet.look(bits))?;
        self.bridge.ports.get(&number).map(|p| &**p)
    }

    /// Tag the packet as a port wants it that it leaves by in this VLAN. `false`: it has too many tags already.
    fn tag_for(&mut self, to: &Port, vlan: u16) -> bool {
        let had = self.packet.has_tag();
        let stripped = match &to.vlan {
            VlanMode::Access(_) => true,
            VlanMode::NativeUntagged { native, .. } => *native == vlan,
            VlanMode::Trunk(_) | VlanMode::NativeTagged { .. } => false,
        };
        if vlan != 0 && !stripped {
            if !had && !self.packet.push_tag(0x8100) {
                return false;
            }
            if self.packet.key().vlans[0].vid() != vlan {
                self.packet.write_tag(vlan, 0xfff);
            }
            return true;
        }
        if !had {
            return true;
        }
        // What is left is at most a priority.
        let keeps = match to.priority_tags {
            PriorityTags::Never if stripped => false,
            PriorityTags::Always if !stripped => true,
            _ => self.has_priority() && !(stripped && self.has_second_tag()),
        };
        if !keeps {
            self.packet.pop_tag();
        } else if self.packet.key().vlans[0].vid() != 0 {
            self.packet.write_tag(0, 0xfff);
        }
        true
    }

    /// Whether the priority in the outer tag, which is there, is not 0.
    fn has_priority(&mut self) -> bool {
        self.packet.look_bits(FieldId::VlanTci, Value(0xe000));
        self.packet.key().vlans[0].tci.get() & 0xe000 != 0
    }
}
