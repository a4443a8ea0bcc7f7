//! OpenFlow actions and instructions, as rules hold them.

use crate::field::FieldId;
use crate::port::OfPort;
use crate::value::Value;

/// One action of a rule's list. A rule without actions drops.
///
/// The older `mod_*`, `strip_vlan` and `load` forms are parsed into these.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Send a copy as it is now; reserved ports IN_PORT, NORMAL, FLOOD, ALL, LOCAL included.
    Output(OfPort),
    /// Send to the controller; at most `max_len` bytes.
    Controller { max_len: u16 },
    /// Change bits `mask` of a field to `value`.
    SetField { field: FieldId, value: Value, mask: Value },
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
