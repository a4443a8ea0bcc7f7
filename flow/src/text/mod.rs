//! The text of matches, actions and rules, as ovs-ofctl(8) and ovs-fields(7) define it.

use crate::field::FieldId;
use crate::value::Value;

/// A field's value as text, with its mask when it is not all ones.
#[must_use]
pub fn field_value(field: FieldId, value: Value, mask: Value) -> String {
    if mask == field.def().ones() { format!("{:#x}", value.0) } else { format!("{:#x}/{:#x}", value.0, mask.0) }
}
