//! FLOOD and ALL.

use super::Walk;
use flow::dp::{Dep, DropReason};

impl<'a> Walk<'a> {
    /// As the packet is, whatever the VLANs.
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
