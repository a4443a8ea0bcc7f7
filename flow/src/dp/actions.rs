//! Actions of a datapath flow.

use super::DropReason;
use crate::action::{CtAlg, Nat, PacketInReason};
use crate::field::FieldId;
use crate::key::VlanTag;
use crate::port::DpPort;
use crate::value::Value;
use smallvec::SmallVec;

/// The actions of a flow, in order.
pub type Actions = SmallVec<[DpAction; 4]>;

/// One action of a datapath flow. Executors that cannot do one refuse it by [`DpAction::kind`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DpAction {
    /// Send a copy, as the packet is now.
    Output(DpPort),
    /// Change bits `mask` of a field to `value`; checksums follow. Nothing on a packet that has no such field.
    Set { field: FieldId, value: Value, mask: Value },
    /// Decrement TTL or hop limit. At 1 or 0 the rest of the list is not executed: the packet is dropped with
    /// [`DropReason::TtlExpired`]. Checked here rather than matched, so that flows do not multiply by TTL.
    DecTtl,
    /// Add an outer tag with this ethertype and control information.
    PushVlan(VlanTag),
    /// Remove the outer tag.
    PopVlan,
    /// Pass through a meter, which may drop.
    Meter(MeterId),
    /// Compute `dp_hash`.
    Hash(HashSpec),
    /// Track the connection.
    Ct(Box<CtSpec>),
    /// Forget what tracking told about the packet.
    CtClear,
    /// Add an outer header.
    TunnelPush(Encap),
    /// Remove an outer header; the packet comes in again on the tunnel port.
    TunnelPop(DpPort),
    /// Look up again under this number.
    Recirc(RecircId),
    /// Execute on a copy; the packet itself stays as it is.
    Clone(Box<[DpAction]>),
    /// Execute on some packets only.
    Sample(SampleSpec),
    /// Choose by packet length.
    CheckLen(LenSpec),
    /// Cut the next output to so many bytes.
    Truncate(u16),
    /// Hand the packet to the slow path.
    Punt(PuntReason),
    /// Drop, and count it under this name. Always last.
    Drop(DropReason),
}

/// What sort of action it is: the unit in which executors say what they can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DpActionKind {
    Output,
    Set(FieldId),
    DecTtl,
    PushVlan,
    PopVlan,
    Meter,
    Hash,
    Ct,
    CtClear,
    TunnelPush,
    TunnelPop,
    Recirc,
    Clone,
    Sample,
    CheckLen,
    Truncate,
    Punt,
    Drop,
}

impl DpAction {
    /// The action's sort.
    #[must_use]
    pub fn kind(&self) -> DpActionKind {
        match self {
            DpAction::Output(_) => DpActionKind::Output,
            DpAction::Set { field, .. } => DpActionKind::Set(*field),
            DpAction::DecTtl => DpActionKind::DecTtl,
            DpAction::PushVlan(_) => DpActionKind::PushVlan,
            DpAction::PopVlan => DpActionKind::PopVlan,
            DpAction::Meter(_) => DpActionKind::Meter,
            DpAction::Hash(_) => DpActionKind::Hash,
            DpAction::Ct(_) => DpActionKind::Ct,
            DpAction::CtClear => DpActionKind::CtClear,
            DpAction::TunnelPush(_) => DpActionKind::TunnelPush,
            DpAction::TunnelPop(_) => DpActionKind::TunnelPop,
            DpAction::Recirc(_) => DpActionKind::Recirc,
            DpAction::Clone(_) => DpActionKind::Clone,
            DpAction::Sample(_) => DpActionKind::Sample,
            DpAction::CheckLen(_) => DpActionKind::CheckLen,
            DpAction::Truncate(_) => DpActionKind::Truncate,
            DpAction::Punt(_) => DpActionKind::Punt,
            DpAction::Drop(_) => DpActionKind::Drop,
        }
    }
}

impl std::fmt::Display for DpActionKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self {
            DpActionKind::Set(field) => return write!(f, "set({field})"),
            DpActionKind::Output => "output",
            DpActionKind::DecTtl => "dec_ttl",
            DpActionKind::PushVlan => "push_vlan",
            DpActionKind::PopVlan => "pop_vlan",
            DpActionKind::Meter => "meter",
            DpActionKind::Hash => "hash",
            DpActionKind::Ct => "ct",
            DpActionKind::CtClear => "ct_clear",
            DpActionKind::TunnelPush => "tnl_push",
            DpActionKind::TunnelPop => "tnl_pop",
            DpActionKind::Recirc => "recirc",
            DpActionKind::Clone => "clone",
            DpActionKind::Sample => "sample",
            DpActionKind::CheckLen => "check_pkt_len",
            DpActionKind::Truncate => "trunc",
            DpActionKind::Punt => "userspace",
            DpActionKind::Drop => "drop",
        };
        f.write_str(name)
    }
}

impl std::fmt::Display for DpAction {
    /// Close to the form of `ovs-appctl dpctl/dump-flows`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            DpAction::Output(port) => write!(f, "{port}"),
            DpAction::Set { field, value, mask } => {
                write!(f, "set({field}={})", crate::text::field_value(*field, *value, *mask))
            }
            DpAction::PushVlan(tag) => {
                write!(f, "push_vlan(tpid={:#06x},vid={},pcp={})", tag.tpid.get(), tag.vid(), tag.tci.get() >> 13)
            }
            DpAction::Meter(id) => write!(f, "meter({})", id.0),
            DpAction::Recirc(id) => write!(f, "recirc({:#x})", id.0),
            DpAction::Truncate(len) => write!(f, "trunc({len})"),
            DpAction::Drop(reason) => write!(f, "drop({})", reason.name()),
            DpAction::Clone(list) => write!(f, "clone({})", ActionList(list)),
            DpAction::Hash(HashSpec { algorithm: HashAlgorithm::L4, basis }) => write!(f, "hash(l4({basis}))"),
            DpAction::Hash(HashSpec { algorithm: HashAlgorithm::SymmetricL4, basis }) => {
                write!(f, "hash(sym_l4({basis}))")
            }
            DpAction::Sample(sample) => {
                let percent = f64::from(sample.probability) * 100.0 / f64::from(u32::MAX);
                write!(f, "sample(sample={percent:.1}%,actions({}))", ActionList(&sample.actions))
            }
            DpAction::CheckLen(check) => {
                let (greater, rest) = (ActionList(&check.greater), ActionList(&check.rest));
                write!(f, "check_pkt_len(size={},gt({greater}),le({rest}))", check.len)
            }
            other => write!(f, "{}", other.kind()),
        }
    }
}

/// A list of actions as text.
#[derive(Debug)]
pub struct ActionList<'a>(pub &'a [DpAction]);

impl std::fmt::Display for ActionList<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, action) in self.0.iter().enumerate() {
            write!(f, "{}{action}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// A meter of the datapath.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MeterId(pub u32);

/// A recirculation; 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecircId(pub u32);

/// Which hash, over what, from which start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HashSpec {
    pub algorithm: HashAlgorithm,
    pub basis: u32,
}

/// Hash algorithms of the datapath.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HashAlgorithm {
    /// Over addresses, protocol and ports.
    L4,
    /// The same for both directions.
    SymmetricL4,
}

/// Connection tracking.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CtSpec {
    pub zone: u16,
    pub commit: bool,
    pub force: bool,
    /// Value and mask of the connection mark to set.
    pub mark: Option<(u32, u32)>,
    /// Value and mask of the connection label to set.
    pub label: Option<(u128, u128)>,
    pub alg: Option<CtAlg>,
    pub nat: Option<Nat>,
}

/// An outer header, ready to be put in front; at most 128 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Encap {
    pub header: Box<[u8]>,
    /// Port that the encapsulated packet leaves by.
    pub port: DpPort,
}

/// Execute `actions` on about `probability` / 2^32 of the packets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SampleSpec {
    pub probability: u32,
    pub actions: Box<[DpAction]>,
}

/// Execute one list for packets longer than `len` bytes, the other for the rest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LenSpec {
    pub len: u16,
    pub greater: Box<[DpAction]>,
    pub rest: Box<[DpAction]>,
}

/// Why a packet goes to the slow path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PuntReason {
    /// `controller` action; at most so many bytes, to the controllers with this id.
    Controller { max_len: u16, reason: PacketInReason, id: u16 },
    /// A reserved link-local address (01:80:c2:00:00:0x).
    Reserved,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_actions_are_shown_as_dpctl_shows_them() {
        let list = |port| -> Box<[DpAction]> { [DpAction::PopVlan, DpAction::Output(DpPort(port))].into() };
        let actions = [
            DpAction::Hash(HashSpec { algorithm: HashAlgorithm::L4, basis: 7 }),
            DpAction::Hash(HashSpec { algorithm: HashAlgorithm::SymmetricL4, basis: 0 }),
            DpAction::Sample(SampleSpec { probability: u32::MAX / 10, actions: list(1) }),
            DpAction::CheckLen(LenSpec { len: 1500, greater: list(2), rest: [].into() }),
            DpAction::Clone(list(3)),
            DpAction::Recirc(RecircId(10)),
        ];
        let want = "hash(l4(7)),hash(sym_l4(0)),sample(sample=10.0%,actions(pop_vlan,1)),\
                    check_pkt_len(size=1500,gt(pop_vlan,2),le()),clone(pop_vlan,3),recirc(0xa)";
        assert_eq!(ActionList(&actions).to_string(), want);
    }
}
