//! Mirrors: copies of what comes in and goes out (OVS: ofproto/ofproto-dpif-xlate.c, mirror_packet).
//!
//! A packet is mirrored to each destination once, until an action changes it: what it is then is mirrored again.

use super::Walk;
use super::reserved::is_reserved;
use crate::mirror::{MirrorOutput, MirrorSpec};
use crate::port::Port;
use flow::dp::{Dep, Effect};
use flow::{Action, FieldId, Mask, VlanTag};

impl<'a> Walk<'a> {
    /// Mirror the packet as it comes in.
    pub(super) fn mirror_in(&mut self) {
        if self.bridge.mirrors.is_empty() {
            return;
        }
        if let Some(port) = self.bridge.ports.get(&self.in_port()) {
            let (port, _) = self.lead(port);
            self.mirror(port, |m| m.select_all || m.select_src.contains(&port.number));
        }
    }

    /// Mirror the packet, as it is now, that goes out by a port.
    pub(super) fn mirror_out(&mut self, port: &Port) {
        if self.bridge.mirrors.is_empty() {
            return;
        }
        if let Some(port) = self.bridge.ports.get(&port.number) {
            let (port, _) = self.lead(port);
            self.mirror(port, |m| m.select_all || m.select_dst.contains(&port.number));
        }
    }

    /// An action is about to be executed: a packet that it changes is another one to mirrors.
    pub(super) fn mirror_again(&mut self, action: &Action) {
        let changes = match action {
            Action::PushVlan(_)
            | Action::PopVlan
            | Action::ModVlanVid(_)
            | Action::ModVlanPcp(_)
            | Action::DecTtl
            | Action::DecTtlControllers(_)
            | Action::SetNwTtl(_) => true,
            Action::SetField { field, .. } | Action::Load { field, .. } => {
                let def = field.def();
                def.is_in_key() && *field != FieldId::InPort && self.packet.has(def.prereq)
            }
            _ => false,
        };
        if changes {
            self.mirrored = 0;
        }
    }

    /// Mirror a packet that is on a port to the mirrors that choose it.
    fn mirror(&mut self, port: &'a Port, chooses: impl Fn(&MirrorSpec) -> bool) {
        let bridge = self.bridge;
        if !bridge.mirrors.iter().any(|m| chooses(&m.spec)) {
            return;
        }
        self.depend(Dep::Ports(bridge.id));
        let mut bits = Mask::ANY;
        bits.0.vlans[0].tci = (VlanTag::PRESENT | 0xfff).into();
        self.packet.look(&bits);
        let Some(vlan) = port.vlan.input(self.packet.key().vlans[0].vid()) else { return };
        for (i, mirror) in bridge.mirrors.iter().enumerate() {
            let spec = &mirror.spec;
            // Copies may be mirrored too, by other mirrors: look anew each time.
            if self.mirrored >> i & 1 != 0
                || !chooses(spec)
                || spec.select_vlan.as_ref().is_some_and(|set| !set.contains(vlan))
            {
                continue;
            }
            for (j, other) in bridge.mirrors.iter().enumerate() {
                if other.spec.output == spec.output {
                    self.mirrored |= 1 << j;
                }
            }
            self.effects.push(Effect::Mirror { bridge: bridge.id, mirror: mirror.id });
            self.snaplen = spec.snaplen;
            match spec.output {
                MirrorOutput::Port(to) => {
                    if let Some(to) = bridge.ports.get(&to) {
                        self.send_in_vlan(self.lead(to).0, vlan);
                    }
                }
                MirrorOutput::Vlan(to) if to != vlan => {
                    self.packet.look_at(FieldId::EthDst);
                    if !is_reserved(self.packet.key().eth_dst) {
                        self.send_to_all_of(to);
                    }
                }
                MirrorOutput::Vlan(_) => {}
            }
            self.snaplen = 0;
        }
    }

    /// Send to all ports that carry a VLAN, but for those of mirrors.
    fn send_to_all_of(&mut self, vlan: u16) {
        let bridge = self.bridge;
        for port in bridge.ports.values() {
            let lead = self.lead(port).0.number == port.number;
            if lead && port.up && port.vlan.carries(vlan) && !bridge.is_mirror_output(port.number) {
                self.send_in_vlan(port, vlan);
            }
        }
    }
}
