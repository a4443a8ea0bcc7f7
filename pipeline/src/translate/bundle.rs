//! `bundle` and `bundle_load`: one of several ports.

use super::Walk;
use super::hash::{Hash, look_fields};
use flow::action::{Bundle, BundleAlgorithm};
use flow::{OfPort, Value};

impl<'a> Walk<'a> {
    pub(super) fn bundle(&mut self, bundle: &Bundle, last: bool) {
        let port = match bundle.algorithm {
            BundleAlgorithm::ActiveBackup => bundle.members.iter().copied().find(|p| self.port_is_live(*p)),
            BundleAlgorithm::Hrw => self.heaviest(bundle),
        };
        let port = port.unwrap_or(OfPort::NONE);
        match &bundle.load {
            Some(to) => {
                self.packet.write(to, Value::from(port.0));
            }
            None => self.output(port, last),
        }
    }

    /// The live member with the highest random weight.
    fn heaviest(&mut self, bundle: &Bundle) -> Option<OfPort> {
        let basis = u64::from(bundle.basis);
        // One member needs no hash.
        let hash = match bundle.members.len() {
            0 | 1 => Hash::new(basis),
            _ => look_fields(&mut self.packet, bundle.fields, basis),
        };
        let mut best: Option<(u32, OfPort)> = None;
        for (place, port) in (0u64..).zip(&bundle.members) {
            if self.port_is_live(*port) {
                let weight = hash.with(place);
                if best.is_none_or(|(had, _)| weight > had) {
                    best = Some((weight, *port));
                }
            }
        }
        best.map(|(_, port)| port)
    }
}
