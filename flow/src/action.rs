//! OpenFlow actions and instructions, as rules hold them.

use crate::field::FieldId;
use crate::port::OfPort;
use crate::value::Value;

/// One action of a rule's list. A rule without actions drops.
///
/// The older `mod_*` and `strip_vlan` forms are parsed into these. `SetField`, `Load` and `SetNwTtl` do the same:
/// execute them by [`Action::as_set`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Send a copy as it is now; reserved ports IN_PORT, NORMAL, FLOOD, ALL, LOCAL included.
    Output(OfPort),
    /// Send to the controller; at most `max_len` bytes.
    Controller { max_len: u16 },
    /// Change bits `mask` of a field to `value`.
    SetField { field: FieldId, value: Value, mask: Value },
    /// As `SetField`. OpenFlow up to 1.4 tells `load` of a whole field from `set_field` of it, and so does text.
    Load { field: FieldId, value: Value, mask: Value },
    /// As `SetField` of `nw_ttl`: OpenFlow 1.1's own action for it (`mod_nw_ttl`).
    SetNwTtl(u8),
    /// Set the VLAN id of the outer tag, adding a tag when there is none (`mod_vlan_vid`).
    ModVlanVid(u16),
    /// Set the priority of the outer tag, adding a tag with id 0 when there is none (`mod_vlan_pcp`).
    ModVlanPcp(u8),
    /// Add an outer tag with this ethertype, id and priority copied from the present outer tag, or 0.
    PushVlan(u16),
    /// Remove the outer tag; nothing when there is none (`strip_vlan`, `pop_vlan`).
    PopVlan,
    /// Decrement TTL or hop limit; at 1 or 0, stop: the packet is dropped.
    DecTtl,
    /// Look up again, in `table` (the present one when `None`) with `port` as input port (the present one
    /// when `None`), then go on with this list (`resubmit`).
    Resubmit { port: Option<OfPort>, table: Option<u8> },
    /// Go on in a later table; always last (`goto_table`).
    GotoTable(u8),
}

impl Action {
    /// The field that the action sets, its new value, and the bits of it that change.
    #[must_use]
    pub fn as_set(&self) -> Option<(FieldId, Value, Value)> {
        match self {
            Action::SetField { field, value, mask } | Action::Load { field, value, mask } => {
                Some((*field, *value, *mask))
            }
            Action::SetNwTtl(ttl) => Some((FieldId::IpTtl, Value::from(*ttl), FieldId::IpTtl.def().ones())),
            _ => None,
        }
    }
}
