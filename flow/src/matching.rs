//! OpenFlow matches.

use crate::field::{FieldId, Prereq};
use crate::key::{FlowKey, Mask, Registers, ct_state};
use crate::value::Value;
use zerocopy::IntoBytes;

/// A match: values and masks over the key and the registers. Values are masked already.
///
/// `in_port` holds the OpenFlow port number; the pipeline compares it with the OpenFlow number of the port that
/// a packet came in on, not with the datapath port of its key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Match {
    pub key: FlowKey,
    pub mask: Mask,
    pub regs: Registers,
    pub regs_mask: Registers,
}

impl Match {
    /// Require `field` to equal `value` in the bits of `mask`; what was required of it before is replaced.
    pub fn set(&mut self, field: FieldId, value: Value, mask: Value) {
        let def = field.def();
        def.set(&mut self.mask.0, &mut self.regs_mask, mask);
        def.set(&mut self.key, &mut self.regs, Value(value.0 & mask.0));
    }

    /// Require `field` to equal `value`.
    pub fn set_exact(&mut self, field: FieldId, value: Value) {
        self.set(field, value, field.def().ones());
    }

    /// The required value and bits of a field; a zero mask when it is a wildcard.
    #[must_use]
    pub fn get(&self, field: FieldId) -> (Value, Value) {
        let def = field.def();
        (def.get(&self.key, &self.regs), def.get(&self.mask.0, &self.regs_mask))
    }

    /// Whether all bits of the field are required.
    #[must_use]
    pub fn is_exact(&self, field: FieldId) -> bool {
        self.get(field).1 == field.def().ones()
    }

    /// Whether every packet that is matched has the fields with this prerequisite.
    #[must_use]
    pub fn satisfies(&self, prereq: Prereq) -> bool {
        let valid = || {
            let state = self.key.ct_state.get();
            // "Not invalid" has to be said.
            state & ct_state::OF_VALID != 0 || self.mask.0.ct_state.get() & ct_state::INVALID != 0
        };
        prereq.holds(&self.key)
            && match prereq {
                Prereq::CtIp | Prereq::CtIpv4 | Prereq::CtIpv6 => valid(),
                _ => true,
            }
    }

    /// Whether a packet with this key (its `in_port` an OpenFlow number) and these registers is matched.
    #[must_use]
    pub fn matches(&self, key: &FlowKey, regs: &Registers) -> bool {
        self.mask.matches(key, &self.key)
            && regs
                .as_bytes()
                .iter()
                .zip(self.regs_mask.as_bytes())
                .zip(self.regs.as_bytes())
                .all(|((r, m), want)| r & m == *want)
    }

    /// Whether every packet that `self` matches is matched by `other` too (OpenFlow's loose comparison).
    #[must_use]
    pub fn is_within(&self, other: &Match) -> bool {
        other.mask.is_within(&self.mask)
            && other.regs_mask.as_bytes().iter().zip(self.regs_mask.as_bytes()).all(|(o, s)| o & !s == 0)
            && self.key.masked(&other.mask) == other.key
            && self
                .regs
                .as_bytes()
                .iter()
                .zip(other.regs_mask.as_bytes())
                .zip(other.regs.as_bytes())
                .all(|((s, m), o)| s & m == *o)
    }
}
