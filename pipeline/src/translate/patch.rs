//! Patch ports: the packet goes on in another bridge, as if it had come in there.

use super::{Place, Walk};
use crate::trace::TraceStep;
use flow::dp::{BridgeId, Dep, DropReason};
use flow::{OfPort, Registers};

impl<'a> Walk<'a> {
    /// Go through the tables of the bridge at the other end. What happens there does not come back.
    pub(super) fn patch(&mut self, (bridge, port): (BridgeId, OfPort), last: bool) {
        self.depend(Dep::Ports(bridge));
        let Some(peer) = self.state.bridges.get(&bridge) else { return self.explain(DropReason::NoSuchPort) };
        if !peer.ports.get(&port).is_some_and(|p| p.up) {
            return self.explain(DropReason::PortDown);
        }
        if !self.spend() {
            return;
        }
        let (home, table, rule, place) = (self.bridge, self.table, self.rule, self.place);
        let (stack, set) = (std::mem::take(&mut self.stack), std::mem::take(&mut self.action_set));
        let (tracked, mirrored) = (self.tracked, self.mirrored);
        if home.id != bridge {
            self.mirrored = 0;
        }
        (self.bridge, self.table, self.place) = (peer, 0, Place::Rule);
        let within = self.enter(|w| TraceStep::Bridge(w.bridge.name.to_string()));
        self.nest(true, |w| {
            w.scoped(|w| {
                w.packet.set_in_port(port.0);
                w.packet.regs = Registers { actset_output: u32::from(OfPort::UNSET.0).into(), ..Registers::default() };
                w.packet.clear_tunnel();
                w.packet.clear_tracking();
                w.tracked = Some(false);
                let Some(rule) = w.lookup(0, None) else { return };
                w.copied(&rule.spec.actions, last, |w, last| w.follow(rule, last));
            });
        });
        (self.bridge, self.table, self.rule, self.place) = (home, table, rule, place);
        (self.stack, self.action_set) = (stack, set);
        self.tracked = tracked;
        self.leave(within);
        if home.id != bridge {
            self.mirrored = mirrored;
        }
        self.exit = false;
        // What goes wrong there is not the concern of this bridge.
        if let Some(error) = self.error.take() {
            self.unrolled_error();
            self.explain(error);
        }
    }
}
