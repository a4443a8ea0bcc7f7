//! OpenFlow actions and instructions, as rules hold them.

mod bundle;
mod ct;
mod learn;
mod reach;
mod subfield;

pub use bundle::{Bundle, BundleAlgorithm, HashFields};
pub use ct::{Ct, CtAlg, CtZone, Nat, NatRange};
pub use learn::{Learn, LearnSource, LearnSpec, LearnTarget};
pub use reach::{is_instruction, outputs_to_group, outputs_to_port};
pub use subfield::SubField;

use crate::field::FieldId;
use crate::port::OfPort;
use crate::value::Value;

/// One action of a rule's list. A rule without actions drops.
///
/// The older `mod_*` and `strip_vlan` forms are parsed into these. `SetField`, `Load`, `SetNwTtl`, `SetTunnel` and
/// `WriteMetadata` do the same: execute them by [`Action::as_set`].
///
/// OpenFlow 1.3's instructions are the last variants. All others are the content of its apply-actions instruction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Send a copy as it is now; reserved ports IN_PORT, NORMAL, FLOOD, ALL, LOCAL included.
    Output(OfPort),
    /// Send to the port whose number is in these bits; at most `max_len` bytes to a controller.
    OutputField { port: SubField, max_len: u16 },
    /// Send to a port, cut to `max_len` bytes (`output(port=,max_len=)`).
    OutputTruncated { port: OfPort, max_len: u32 },
    /// Send to a port through one of its queues.
    Enqueue { port: OfPort, queue: u32 },
    /// Send to the controller.
    Controller(Box<Controller>),
    /// Go on in a group.
    Group(u32),
    /// Pass through a meter, which may drop.
    Meter(u32),
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
    /// Add an outer tag with this ethertype, id 0 and priority 0 (as Open vSwitch; OpenFlow would copy those of the present tag).
    PushVlan(u16),
    /// Remove the outer tag; nothing when there is none (`strip_vlan`, `pop_vlan`).
    PopVlan,
    /// Decrement TTL or hop limit; at 1 or 0, stop: the packet is dropped.
    DecTtl,
    /// As `DecTtl`; a packet whose TTL runs out goes to these controllers.
    DecTtlControllers(Box<[u16]>),
    /// Copy bits from one field to another.
    Move { from: SubField, to: SubField },
    /// Set the tunnel key: 32 or 64 bits. As `SetField` of tun_id; text tells them apart.
    SetTunnel(u64),
    /// Send through this queue from now on.
    SetQueue(u32),
    /// Send through the default queue from now on.
    PopQueue,
    /// Put bits of a field on the stack.
    Push(SubField),
    /// Take the top of the stack into a field.
    Pop(SubField),
    /// Look up again, in `table` (the present one when `None`) with `port` as input port (the present one
    /// when `None`), then go on with this list (`resubmit`). `ct`: look up with addresses and ports of the connection's
    /// original direction.
    Resubmit { port: Option<OfPort>, table: Option<u8>, ct: bool },
    /// Make or refresh a rule.
    Learn(Box<Learn>),
    /// Choose one of several ports.
    Bundle(Box<Bundle>),
    /// Execute on a copy; the packet itself and the registers stay as they are.
    Clone(Vec<Action>),
    /// Does nothing; carries bytes.
    Note(Box<[u8]>),
    /// End all of the packet's processing but the action set.
    Exit,
    /// This rule's match is dimension `clause` (from 0) of `clauses` of conjunction `id`.
    Conjunction { id: u32, clause: u8, clauses: u8 },
    /// Set the bit to 1 when the packet is longer than `len` bytes, else to 0.
    CheckPktLarger { len: u16, result: SubField },
    /// Track the connection.
    Ct(Box<Ct>),
    /// Forget what tracking told about the packet.
    CtClear,
    /// Report some of the packets to a collector.
    Sample(Box<Sample>),
    /// Empty the action set (instruction).
    ClearActions,
    /// Add to the action set (instruction).
    WriteActions(Vec<Action>),
    /// Change bits of the metadata (instruction).
    WriteMetadata { value: u64, mask: u64 },
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
            Action::SetTunnel(id) => Some((FieldId::TunId, Value::from(*id), FieldId::TunId.def().ones())),
            Action::WriteMetadata { value, mask } => Some((FieldId::Metadata, Value::from(*value), Value::from(*mask))),
            Action::SetNwTtl(ttl) => Some((FieldId::IpTtl, Value::from(*ttl), FieldId::IpTtl.def().ones())),
            _ => None,
        }
    }
}

/// Send to the controller.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Controller {
    /// Most bytes of the packet to send.
    pub max_len: u16,
    pub reason: PacketInReason,
    /// Which controller; 0 all that did not choose an id.
    pub id: u16,
    /// Handed back with the packet.
    pub userdata: Box<[u8]>,
    /// Wait for the controller to resume the packet.
    pub pause: bool,
    /// Meter that limits what is sent.
    pub meter: Option<u32>,
}

impl Controller {
    /// At most `max_len` bytes to controller 0, by an action.
    #[must_use]
    pub fn new(max_len: u16) -> Controller {
        Controller {
            max_len,
            reason: PacketInReason::Action,
            id: 0,
            userdata: Box::default(),
            pause: false,
            meter: None,
        }
    }
}

impl Controller {
    /// Whether OpenFlow's own output action says all of it.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        *self == Controller::new(self.max_len)
    }
}

/// Why a packet goes to the controller (ofp_packet_in_reason).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PacketInReason {
    NoMatch,
    Action,
    InvalidTtl,
    ActionSet,
    Group,
    PacketOut,
}

/// Report some of the packets to a collector (IPFIX; ovs-actions(7)).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sample {
    /// Of 65,536 packets.
    pub probability: u16,
    pub collector_set_id: u32,
    pub obs_domain_id: u32,
    pub obs_point_id: u32,
    pub sampling_port: Option<OfPort>,
    /// Told to the collector; `None`: not said.
    pub egress: Option<bool>,
}
