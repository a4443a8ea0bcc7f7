//! Between datapath and pipeline: translation, what it depended on, what it did, and who was hit.

use super::{Actions, Change, RecircId};
use crate::clock::Time;
use crate::key::{FlowKey, Mask};
use crate::port::DpPort;
use crate::rule::RuleSpec;
use smallvec::SmallVec;
use std::sync::Arc;

/// Where a translation starts: the beginning, or where an earlier pass left off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resume {
    /// 0: from the first table.
    pub recirc_id: RecircId,
}

/// A rule of one bridge; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(pub u64);

/// A bridge; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BridgeId(pub u32);

/// Something that a translation depended on. When it changes, flows that depend on it are looked at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dep {
    /// The rules of a table: one was added, changed or removed.
    Table(BridgeId, u8),
    /// Where an address was learned, or that it was not.
    Fdb(BridgeId, u16, [u8; 6]),
    /// The ports of a bridge: number, VLAN mode, flooding, up or down. Its mirrors.
    Ports(BridgeId),
    /// A group: its kind or buckets.
    Group(BridgeId, u32),
    /// A meter: that it is there.
    Meter(BridgeId, u32),
    /// To which bridge a datapath port belongs.
    PortOwner(DpPort),
    /// A recirculation: that packets that come back under it are known.
    Recirc(RecircId),
    /// What hardware can do: whether it pays to have a flow for each connection.
    Hardware,
}

/// All that a translation depended on.
pub type DepSet = SmallVec<[Dep; 6]>;

/// What a packet of a flow does beside being forwarded. Replayed from hits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Counts for this rule and keeps it from idling out.
    Rule(RuleId),
    /// Counts as a miss of this table.
    TableMiss(BridgeId, u8),
    /// The source address was seen on this port in this VLAN: learn it or keep it.
    FdbRefresh { bridge: BridgeId, vlan: u16, mac: [u8; 6], port: DpPort },
    /// Counts for this bucket of a group.
    Bucket { bridge: BridgeId, group: u32, bucket: u32 },
    /// Makes or refreshes a rule, by a `learn` action.
    Learn(Arc<LearnedRule>),
    /// Counts for this mirror.
    Mirror { bridge: BridgeId, mirror: u32 },
    /// Counts for this hash bucket of a bond.
    BondBucket { bond: u32, bucket: u16 },
    /// Keeps this neighbour.
    Neighbour { bridge: BridgeId, entry: u32 },
}

/// A rule that a `learn` action makes of a packet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LearnedRule {
    pub bridge: BridgeId,
    pub rule: RuleSpec,
    /// What was learned goes with the last rule that learns it (`delete_learned`): none is made when that is gone.
    pub goes_with_learner: bool,
    /// Most rules that this action may have learned; 0: no limit.
    pub limit: u32,
}

/// Whether a translation may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cacheable {
    /// For all packets that the mask covers, until a dependency changes.
    Yes,
    /// For this packet only.
    No,
}

/// The answer of the slow path: what to do with a packet, and for which others the same is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Translation {
    /// Bits of the key that were looked at. Every packet equal in them has the same translation.
    pub mask: Mask,
    /// Never empty: a packet that goes nowhere has a `Drop` with its reason.
    pub actions: Actions,
    pub deps: DepSet,
    /// Bits of the key that the packet no longer had as it came when something of `deps` was asked about it: scopes of
    /// changes ([`Change::scope`]) are not compared in them. `None`: it had all of them.
    pub written: Option<Box<Mask>>,
    pub effects: SmallVec<[Effect; 8]>,
    pub cacheable: Cacheable,
}

/// Packets of a flow since the last report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hits {
    pub packets: u64,
    /// Bytes of the frames as received, without FCS.
    pub bytes: u64,
    /// When the last of them was seen. For hardware: when the counter was read.
    pub used: Time,
}

impl Hits {
    /// Add another report.
    pub fn add(&mut self, other: &Hits) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.used = self.used.max(other.used);
    }
}

/// What the datapath asks of the pipeline. Called from several threads.
pub trait Slowpath: Send + Sync {
    /// What to do with a packet, without doing it: changes nothing.
    fn translate(&self, at: &Resume, key: &FlowKey) -> Translation;

    /// [`Slowpath::translate`] for a packet that is here for the first time, whose effects are done at once: as
    /// [`Slowpath::replay`] with `first`.
    fn translate_first(&self, at: &Resume, key: &FlowKey, first: &Hits) -> Translation {
        let translation = self.translate(at, key);
        self.replay(&translation.effects, first);
        translation
    }

    /// Do what packets of a flow do beside being forwarded: count for rules, learn addresses.
    fn replay(&self, effects: &[Effect], hits: &Hits);

    /// Move what has changed since the last call into `changes`. Flows that depend on any of it and have a packet in its
    /// scope must be looked at again. Does not block.
    fn take_changes(&self, changes: &mut Vec<Change>);

    /// Call this from now on when there is something for [`Slowpath::take_changes`] again, from any thread. `false`: it is never
    /// called, and changes have to be asked for now and then.
    fn on_change(&self, _call: Box<dyn Fn() + Send + Sync>) -> bool {
        false
    }
}

/// A flow's number; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowId(pub u64);

/// The number that hardware puts on packets of a flow: `changed | generation | index`, 24 bits, never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark(pub u32);

impl Mark {
    /// Number of bits that every NIC carries (mlx5: 24).
    pub const BITS: u32 = 24;
    /// Of marks of packets that hardware has changed: what they are looked up by is not what they came with.
    pub const CHANGED: u32 = 1 << 23;

    /// Whether hardware has done some of the flow's actions on packets with this mark.
    #[must_use]
    pub fn is_of_changed(self) -> bool {
        self.0 & Self::CHANGED != 0
    }
}

/// A datapath flow. It does not change: an update is another flow.
#[derive(Debug, PartialEq, Eq)]
pub struct DpFlow {
    pub id: FlowId,
    /// Masked by `mask`.
    pub key: FlowKey,
    pub mask: Mask,
    pub actions: Actions,
    pub deps: DepSet,
    pub effects: SmallVec<[Effect; 8]>,
    /// The mark of packets that hardware matched to this flow.
    pub mark: Mark,
}

impl DpFlow {
    /// The port that its packets come in on. Every datapath flow matches it exactly.
    #[must_use]
    pub fn in_port(&self) -> DpPort {
        DpPort(self.key.in_port.get())
    }
}

/// What the datapath tells about its flows: the way into hardware. Calls return at once.
pub trait FlowListener: Send + Sync {
    /// A flow was installed.
    fn flow_added(&self, flow: &Arc<DpFlow>);
    /// A flow is no longer valid, or idle: take it out of hardware, then report its last hits.
    fn flow_removed(&self, flow: &Arc<DpFlow>);
}

/// How far a change has come on the workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerFence {
    /// No packet received from now on meets the old state.
    Fenced,
    /// This PMD thread did not answer in time.
    TimedOut { pmd: u32 },
}

/// How far a change has come in hardware.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HardwareFence {
    /// No stale rule is left.
    Fenced,
    /// So many operations are under way.
    Pending(usize),
    /// The device did not do it.
    Failed(String),
}

/// The answer to a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The state after the change.
    pub epoch: u64,
    pub workers: WorkerFence,
    pub hardware: HardwareFence,
}
