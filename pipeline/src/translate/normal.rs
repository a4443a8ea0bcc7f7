//! NORMAL: a VLAN-aware learning switch (ovs-actions(7), "The output action").

use super::Walk;
use super::reserved::is_reserved;
use crate::port::Port;
use flow::dp::{Dep, DropReason, Effect};
use flow::{FieldId, Mask, VlanTag};

impl<'a> Walk<'a> {
    pub(super) fn normal(&mut self) {
        self.depend(Dep::Ports(self.bridge.id));
        let Some(from) = self.bridge.ports.get(&self.in_port()) else {
            return self.explain(DropReason::NoSuchPort);
        };
        // Where the address was learned is asked for, and where it came from is told: both by address and VLAN.
        let mut bits = Mask::ANY;
        bits.require(FieldId::EthSrc);
        bits.require(FieldId::EthDst);
        bits.0.vlans[0].tci = (VlanTag::PRESENT | 0xfff).into();
        self.packet.look(&bits);
        let (src, dst) = (self.packet.key().eth_src, self.packet.key().eth_dst);
        let vid = self.packet.key().vlans[0].vid();
        if is_reserved(dst) {
            return self.explain(DropReason::Reserved);
        }
        let Some(vlan) = from.vlan.input(vid) else {
            return self.explain(DropReason::VlanViolation);
        };
        if src[0] & 1 == 0 {
            self.effects.push(Effect::FdbRefresh { bridge: self.bridge.id, vlan, mac: src, port: from.dp });
        }
        match self.learned(vlan, dst) {
            Some(to) if to.number == from.number => self.explain(DropReason::SamePort),
            Some(to) if !to.up => self.explain(DropReason::PortDown),
            Some(to) => self.send_in_vlan(to, vlan),
            None => self.flood_vlan(from, vlan),
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
        self.bridge.ports.get(number).map(|p| &**p)
    }

    fn flood_vlan(&mut self, from: &Port, vlan: u16) {
        let bridge = self.bridge;
        let tagged = self.packet.has_tag();
        let goes = |p: &Port| p.number != from.number && p.up && p.flood && p.vlan.carries(vlan);
        let mut sent = false;
        // Ports that take the packet as it is come first: fewer changes.
        for as_is in [true, false] {
            for port in bridge.ports.values().filter(|p| goes(p) && (p.vlan.tags(vlan) == tagged) == as_is) {
                self.send_in_vlan(port, vlan);
                sent = true;
            }
        }
        if !sent {
            self.explain(DropReason::NoFloodPort);
        }
    }

    /// Send with the tag that the port wants; the packet itself keeps its own.
    fn send_in_vlan(&mut self, to: &Port, vlan: u16) {
        let saved = self.packet.save_tags();
        match (self.packet.has_tag(), to.vlan.tags(vlan)) {
            (true, true) => {
                if self.packet.key().vlans[0].vid() != vlan {
                    self.packet.write_tag(vlan, 0xfff);
                }
            }
            (true, false) => self.packet.pop_tag(),
            (false, true) => {
                if self.packet.push_tag(0x8100) {
                    self.packet.write_tag(vlan, 0xfff);
                }
            }
            (false, false) => {}
        }
        self.send(to);
        self.packet.restore_tags(saved);
    }

    /// FLOOD and ALL: as the packet is, whatever the VLANs.
    pub(super) fn flood(&mut self, all: bool) {
        self.depend(Dep::Ports(self.bridge.id));
        let (bridge, from) = (self.bridge, self.in_port());
        let mut sent = false;
        for port in bridge.ports.values().filter(|p| p.number != from && p.up && (all || p.flood)) {
            self.send(port);
            sent = true;
        }
        if !sent {
            self.explain(DropReason::NoFloodPort);
        }
    }
}
