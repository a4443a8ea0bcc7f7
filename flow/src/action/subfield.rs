//! Part of a field, as `NXM_NX_REG0[0..15]` names it.

use crate::field::FieldId;
use crate::key::{FlowKey, Registers};
use crate::value::Value;

/// Bits `first` to `first + bits - 1` of a field, counted from the least significant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SubField {
    pub field: FieldId,
    pub first: u16,
    /// 1 to the field's width.
    pub bits: u16,
}

impl SubField {
    /// The whole field.
    #[must_use]
    pub fn whole(field: FieldId) -> SubField {
        SubField { field, first: 0, bits: field.def().bits }
    }

    /// The mask of the named bits within the field.
    #[must_use]
    pub fn mask(&self) -> Value {
        Value(Value::ones(self.bits).0 << self.first)
    }

    /// The named bits, right-aligned.
    #[must_use]
    pub fn read(&self, key: &FlowKey, regs: &Registers) -> Value {
        Value(self.field.def().get(key, regs).0 >> self.first & Value::ones(self.bits).0)
    }
}
