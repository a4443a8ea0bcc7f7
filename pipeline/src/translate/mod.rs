//! From a packet's key to what the datapath has to do: a walk through the tables of one snapshot.
//!
//! What actions do follows Open vSwitch (ofproto/ofproto-dpif-xlate.c), whose users rely on its corners too. One file for
//! each sort of action; `walk.rs` goes from rule to rule.

mod action_set;
mod actions;
mod bundle;
mod ct;
mod flood;
mod freeze;
mod group;
mod hash;
mod learn;
mod mirrors;
mod nest;
mod normal;
mod output;
mod packet;
mod patch;
mod record;
mod reserved;
mod unroll;
mod walk;

pub(crate) use action_set::allowed as allowed_in_set;
pub(crate) use freeze::Recircs;
pub(crate) use group::slots;
pub(crate) use record::trace;

use crate::changes::Changes;
use crate::rule::{Counters, Rule};
use crate::state::{Bridge, State};
use flow::action::Action;
use flow::dp::{Actions, Cacheable, Dep, DepSet, DpAction, DropReason, Effect, Hits, Resume, Translation};
use flow::{DpPort, FlowKey, Mask, OfPort, Value};
use freeze::Freezing;
use packet::Packet;
use record::Recorder;
use smallvec::SmallVec;
use unroll::Unroll;

/// What translation shares with others beside the snapshot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Env<'a> {
    pub(crate) recircs: &'a Recircs,
    pub(crate) changes: &'a Changes,
    /// What its rules are to count, when the packet is here for the first time.
    pub(crate) first: Option<&'a Hits>,
}

/// Translate a packet on one snapshot.
pub(crate) fn translate(env: Env<'_>, state: &State, at: &Resume, key: &FlowKey) -> Translation {
    let dp = DpPort(key.in_port.get());
    let mut deps = DepSet::new();
    deps.push(Dep::PortOwner(dp));
    let owner = state.owners.get(&dp).and_then(|(id, port)| Some((state.bridges.get(id)?, *port)));
    let Some((bridge, in_port)) = owner else {
        return refuse(key, deps, DropReason::NoBridge);
    };
    if at.recirc_id.0 == 0 {
        let mut walk = Walk::new(env, state, bridge, key, in_port, deps);
        walk.unroll = Unroll::May;
        walk.start();
        let mut outcome = walk.finish(key);
        if !walk.is_good(key, &outcome) {
            let begin = |unroll, deps| {
                let mut walk = Walk::new(env, state, bridge, key, in_port, deps);
                walk.unroll = unroll;
                walk.start();
                walk
            };
            walk = unroll::walk_again(key, &walk, &mut outcome, begin);
        }
        walk.count();
        return outcome;
    }
    let frozen = env.recircs.get(at.recirc_id);
    let home = (bridge.id, in_port);
    let at = frozen.as_deref().and_then(|f| Some((f, state.bridges.get(&f.bridge)?)));
    let Some((frozen, bridge)) = at else { return refuse(key, deps, DropReason::StaleRecirc) };
    let mut walk = Walk::new(env, state, bridge, key, frozen.in_port, deps);
    // That there still is such a bridge.
    walk.depend(Dep::Ports(frozen.bridge));
    if home != (frozen.bridge, frozen.in_port) {
        walk.packet.move_port();
    }
    walk.resume(frozen);
    walk.count();
    walk.finish(key)
}

/// Drop a packet about which nothing more is known.
fn refuse(key: &FlowKey, deps: DepSet, reason: DropReason) -> Translation {
    let mut packet = Packet::new(key, OfPort::NONE.0);
    reserved::exclude(packet.mask_mut(), key.eth_dst);
    Translation {
        mask: *packet.mask(),
        actions: SmallVec::from_iter([DpAction::Drop(reason)]),
        deps,
        written: None,
        effects: SmallVec::new(),
        cacheable: if reserved::is_reserved(key.eth_dst) { Cacheable::No } else { Cacheable::Yes },
    }
}

/// A translation under way.
struct Walk<'a> {
    env: Env<'a>,
    state: &'a State,
    bridge: &'a Bridge,
    packet: Packet<'a>,
    actions: Actions,
    /// How many of `actions` do something: up to the last output.
    useful: usize,
    /// Whether any copy of the packet goes anywhere.
    forwarded: bool,
    deps: DepSet,
    /// Bits that a lookup did not find as the packet came with them.
    written: Option<Box<Mask>>,
    effects: SmallVec<[Effect; 8]>,
    /// Counters of the rules so far, if they are to count.
    counters: SmallVec<[&'a Counters; 8]>,
    /// Why the first output that did not happen did not.
    reason: Option<DropReason>,
    /// Whether the last table had no rule.
    missed: bool,
    /// Ends the walk; the packet goes nowhere.
    error: Option<DropReason>,
    /// Ends the walk; what was done stays.
    exit: bool,
    /// The table that the present rule is in.
    table: u8,
    /// The present rule.
    rule: Option<&'a Rule>,
    /// Lookups that led to the same or an earlier table.
    depth: u32,
    /// Lookups within lookups.
    nested: u32,
    resubmits: u32,
    stack: SmallVec<[Value; 4]>,
    action_set: SmallVec<[&'a Action; 4]>,
    place: Place,
    /// Whether tracking has told about the packet; `None`: ask it.
    tracked: Option<bool>,
    /// The next lookup is for the original direction of the packet's connection.
    original: bool,
    /// Whether the packet has a hash of the datapath.
    hashed: bool,
    /// The packet has to come back, with what is in `frames` left to do.
    freezing: Option<Freezing>,
    /// Whether the switch hashes instead; buckets of the group for which it did, and the one that is to be taken.
    unroll: Unroll,
    buckets: usize,
    forced: Option<usize>,
    /// `mirrored` when it did, until the copy ends for which it did.
    mirrored_before: Option<u32>,
    frames: Vec<(u8, Vec<Action>)>,
    /// Writes down what happens, when somebody asked.
    trace: Option<Box<Recorder>>,
    /// Mirrors that the packet was sent to, by their places in the bridge.
    mirrored: u32,
    /// Most bytes of the copy that is being sent to a mirror; 0: all.
    snaplen: u16,
}

/// What sort of list is being executed: it is told to controllers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    Rule,
    Bucket,
    ActionSet,
}

impl<'a> Walk<'a> {
    #[inline]
    fn new(
        env: Env<'a>,
        state: &'a State,
        bridge: &'a Bridge,
        key: &'a FlowKey,
        in_port: OfPort,
        deps: DepSet,
    ) -> Walk<'a> {
        let mut walk = Walk {
            env,
            state,
            bridge,
            packet: Packet::new(key, in_port.0),
            actions: Actions::new(),
            useful: 0,
            forwarded: false,
            deps,
            written: None,
            effects: SmallVec::new(),
            counters: SmallVec::new(),
            reason: None,
            missed: false,
            error: None,
            exit: false,
            table: 0,
            rule: None,
            depth: 0,
            nested: 0,
            resubmits: 0,
            stack: SmallVec::new(),
            action_set: SmallVec::new(),
            place: Place::Rule,
            tracked: None,
            original: false,
            hashed: false,
            freezing: None,
            unroll: Unroll::Never,
            buckets: 0,
            forced: None,
            mirrored_before: None,
            frames: Vec::new(),
            trace: None,
            mirrored: 0,
            snaplen: 0,
        };
        walk.packet.regs.actset_output = u32::from(OfPort::UNSET.0).into();
        walk
    }

    /// All that happens to a packet that comes in.
    fn start(&mut self) {
        if self.bridge.is_mirror_output(self.in_port()) {
            self.depend(Dep::Ports(self.bridge.id));
            return self.explain(DropReason::MirrorPort);
        }
        self.mirror_in();
        self.tables(0, None, true);
        self.end();
    }

    /// An action that does something, on the packet as it is now.
    fn emit(&mut self, action: DpAction) {
        self.packet.commit(&mut self.actions);
        self.push(action);
    }

    /// An action that does something, whatever the packet is.
    fn push(&mut self, action: DpAction) {
        self.actions.push(action);
        self.useful = self.actions.len();
    }

    fn explain(&mut self, reason: DropReason) {
        self.note_reason(reason);
        self.reason.get_or_insert(reason);
    }

    fn depend(&mut self, dep: Dep) {
        if !self.deps.contains(&dep) {
            self.deps.push(dep);
        }
    }

    /// The OpenFlow port that the packet came in on, as far as actions know.
    fn in_port(&self) -> OfPort {
        OfPort(u16::try_from(self.packet.key().in_port.get()).unwrap_or(OfPort::NONE.0))
    }

    /// Let the rules count. At the end, when what they count with has come from memory.
    fn count(&self) {
        if let Some(first) = self.env.first {
            self.counters.iter().for_each(|counters| counters.add(first));
        }
    }

    /// The outcome; nothing of the walk is to be used after.
    fn finish(&mut self, key: &FlowKey) -> Translation {
        self.actions.truncate(self.useful);
        if self.error.is_some() {
            self.actions.clear();
        }
        if self.actions.is_empty() || !self.forwarded {
            let silent = if self.missed { DropReason::NoMatch } else { DropReason::RuleDrop };
            self.actions.push(DpAction::Drop(self.error.or(self.reason).unwrap_or(silent)));
        }
        reserved::exclude(self.packet.mask_mut(), key.eth_dst);
        let cacheable = if reserved::is_reserved(key.eth_dst) { Cacheable::No } else { Cacheable::Yes };
        Translation {
            mask: *self.packet.mask(),
            actions: std::mem::take(&mut self.actions),
            deps: std::mem::take(&mut self.deps),
            written: self.written.take(),
            effects: std::mem::take(&mut self.effects),
            cacheable,
        }
    }
}
