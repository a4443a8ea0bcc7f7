//! Sending the packet.

use super::{Place, Walk};
use crate::port::Port;
use flow::action::{PacketInReason, SubField};
use flow::dp::{Dep, DpAction, DropReason, PuntReason};
use flow::{FieldId, OfPort, Value};

impl<'a> Walk<'a> {
    pub(super) fn output(&mut self, port: OfPort, last: bool) {
        match port {
            OfPort::NORMAL => self.normal(),
            OfPort::FLOOD => self.flood(false),
            OfPort::ALL => self.flood(true),
            OfPort::CONTROLLER => {
                let reason = match self.place {
                    Place::Rule => PacketInReason::Action,
                    Place::Bucket => PacketInReason::Group,
                    Place::ActionSet => PacketInReason::ActionSet,
                };
                let reason = self.punt_reason(reason);
                self.punt(u16::MAX, reason, 0);
            }
            OfPort::NONE => {}
            OfPort::TABLE => self.resubmit(None, 0, last),
            port => {
                if let Some(port) = self.reach(port) {
                    self.send_last(port, last);
                }
            }
        }
    }

    /// The port with this number, if the packet can be sent there.
    fn reach(&mut self, port: OfPort) -> Option<&'a Port> {
        let number = match port {
            OfPort::IN_PORT => self.in_port(),
            port if port == self.in_port() => {
                self.explain(DropReason::OutputToInput);
                return None;
            }
            port => port,
        };
        self.depend(Dep::Ports(self.bridge.id));
        match self.bridge.ports.get(&number) {
            None => self.explain(DropReason::NoSuchPort),
            Some(port) if !port.up => self.explain(DropReason::PortDown),
            Some(port) => return Some(port),
        }
        None
    }

    /// Send the packet, as it is now, out of a port that is up.
    pub(super) fn send(&mut self, port: &Port) {
        self.send_last(port, false);
    }

    /// As [`Walk::send`]; `last`: nothing comes after it.
    fn send_last(&mut self, port: &Port, last: bool) {
        if let Some(peer) = port.peer {
            return self.patch(peer, last);
        }
        if self.snaplen != 0 {
            self.packet.commit(&mut self.actions);
            self.actions.push(DpAction::Truncate(self.snaplen));
        }
        self.emit(DpAction::Output(port.dp));
        self.forwarded = true;
        self.mirror_out(port);
    }

    /// Send to the port whose number is in these bits.
    pub(super) fn output_field(&mut self, from: &SubField, max_len: u16, last: bool) {
        let port = self.packet.read(from);
        match u16::try_from(port.0).map(OfPort) {
            Ok(OfPort::CONTROLLER) => self.punt(max_len, PacketInReason::Action, 0),
            Ok(port) => self.output(port, last),
            Err(_) => self.explain(DropReason::NoSuchPort),
        }
    }

    /// Send cut to `max_len` bytes; reserved ports but IN_PORT and LOCAL take nothing so (ovs-actions(7)).
    pub(super) fn output_truncated(&mut self, port: OfPort, max_len: u32, _last: bool) {
        let sets = [OfPort::TABLE, OfPort::NORMAL, OfPort::FLOOD, OfPort::ALL, OfPort::CONTROLLER, OfPort::NONE];
        if sets.contains(&port) {
            return self.explain(DropReason::NoSuchPort);
        }
        // The cut is made at the next output, and a patch port is none.
        if let Some(port) = self.reach(port).filter(|p| p.peer.is_none()) {
            self.packet.commit(&mut self.actions);
            // No packet is longer than that.
            if let Ok(len) = u16::try_from(max_len) {
                self.actions.push(DpAction::Truncate(len));
            }
            self.send(port);
        }
    }

    /// Send through one of the port's queues.
    pub(super) fn enqueue(&mut self, port: OfPort, queue: u32, _last: bool) {
        if let Some(port) = self.reach(port) {
            let saved = self.packet.save();
            self.packet.set(FieldId::SkbPriority, Value::from(queue), FieldId::SkbPriority.def().ones());
            self.send(port);
            self.packet.restore(saved);
        }
    }

    /// Send to controllers.
    pub(super) fn punt(&mut self, max_len: u16, reason: PacketInReason, id: u16) {
        self.emit(DpAction::Punt(PuntReason::Controller { max_len, reason, id }));
        self.forwarded = true;
    }
}
