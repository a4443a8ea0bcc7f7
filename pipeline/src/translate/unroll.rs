//! `select` groups that hash in the datapath, unrolled: the switch computes the hash, and the flow is one connection's.
//!
//! Only for flows that hardware then takes whole ([`crate::Hardware`]); the flows of other groups stay as few as they are. What
//! packets meet is the same either way. That is sure only where the way by the datapath would have been one copy of
//! the packet, unchanged in length and not metered, of which something is sent: drops, and the bytes that
//! rules count, are told by pass.

use super::Walk;
use super::hash::look_spec;
use super::reserved::is_reserved;
use crate::group::Group;
use flow::dp::{Dep, DepSet, DpAction, HashSpec, Translation};
use flow::field::Prereq;
use flow::{FieldId, FlowKey, Mask};

/// Most buckets that are tried to see whether hardware would take any.
const MAX_TRIES: usize = 16;

/// Whether groups are unrolled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unroll {
    /// The datapath hashes. Nobody asks why.
    Never,
    /// The datapath hashes: hardware takes no bucket's flow. One flow for all connections of the protocol.
    Joined,
    /// The datapath hashes, as hardware does not take the flow of this packet's bucket, but of others. A flow for each connection,
    /// as one for all would take in those of the others.
    Apart,
    /// Where it fits. None was so far.
    May,
    /// The same, and the first takes the bucket in this place, whatever the hash.
    Try(usize),
    /// At least one group was.
    Did,
    /// One was, but the outcome may not be what it is by the datapath: not to be used.
    Lost,
}

/// Walk again, and as often as it takes to find out how: with groups unrolled, this was not [`Walk::is_good`].
#[cold]
#[inline(never)]
pub(super) fn walk_again<'a>(
    key: &FlowKey,
    first: &Walk<'a>,
    outcome: &mut Translation,
    begin: impl Fn(Unroll, DepSet) -> Walk<'a>,
) -> Walk<'a> {
    let (mut how, mut written) = (Unroll::Joined, outcome.written.take());
    for place in 0..first.buckets.min(MAX_TRIES) {
        let mut other = begin(Unroll::Try(place), std::mem::take(&mut outcome.deps));
        *outcome = other.finish(key);
        add(&mut written, outcome);
        if other.is_good(key, outcome) {
            how = Unroll::Apart;
            break;
        }
    }
    let mut walk = begin(how, std::mem::take(&mut outcome.deps));
    *outcome = walk.finish(key);
    // Dependencies are those of all walks.
    add(&mut written, outcome);
    outcome.written = written;
    walk
}

/// Take the bits that a walk has written to those of others.
fn add(written: &mut Option<Box<Mask>>, outcome: &mut Translation) {
    match (written.as_mut(), outcome.written.take()) {
        (Some(all), Some(more)) => all.unite(&more),
        (None, more) => *written = more,
        (Some(_), None) => {}
    }
}

impl<'a> Walk<'a> {
    /// Compute the hash here, if this is a group to unroll. The packet has it from now on, as if it had come back with it.
    pub(super) fn unroll(&mut self, group: &Group, spec: HashSpec) -> bool {
        self.depend(Dep::Hardware);
        let hardware = self.state.hardware.as_ref();
        // Packets that are decided one by one have no flows.
        let switched =
            hardware.is_some_and(|hw| hw.switches(self.packet.came_on())) && !is_reserved(self.packet.came().eth_dst);
        // After one in a copy that may be lost, there is none to be won.
        let over = matches!(self.unroll, Unroll::Never | Unroll::Did | Unroll::Lost);
        if !switched || over || !self.is_simple() {
            return false;
        }
        // What hardware can do depends on the protocol. Rules behind a decrement do not count packets whose TTL runs out
        // there: those have flows of their own.
        if self.packet.has(Prereq::Ip) {
            self.packet.look_at(FieldId::IpProto);
        }
        let lasts = !self.actions.contains(&DpAction::DecTtl) || self.packet.ttl_lasted();
        if !lasts || self.unroll == Unroll::Joined {
            return false;
        }
        let hash = look_spec(&mut self.packet, spec);
        if self.unroll == Unroll::Apart {
            return false;
        }
        if let Unroll::Try(place) = self.unroll {
            self.forced = Some(place);
        }
        (self.unroll, self.buckets) = (Unroll::Did, group.spec.buckets.len());
        self.mirrored_before = Some(self.mirrored);
        self.packet.set_hash(hash);
        self.detail(|_| format!("the switch computes the hash, {hash:#x}, so that hardware can take the flow"));
        true
    }

    /// Whether what was done so far is the same to rules behind it in this pass and in another one.
    fn is_simple(&self) -> bool {
        let simple = |a: &DpAction| matches!(a, DpAction::Set { .. } | DpAction::DecTtl);
        !self.forwarded && self.actions.iter().all(simple) && !self.packet.is_retagged()
    }

    /// Something that was done within a scope of its own is over: a copy that goes nowhere would count as a drop, if it came back.
    pub(super) fn unrolled_within(&mut self) {
        if !self.forwarded {
            self.unrolled_error();
        }
    }

    /// Do something on a copy. If it is the copy that would have come back, what comes after goes on as if it had left then.
    pub(super) fn unrolled_on_copy(&mut self, inner: impl FnOnce(&mut Self)) {
        let within = self.mirrored_before.is_some();
        inner(self);
        if !within && let Some(mirrored) = self.mirrored_before.take() {
            (self.mirrored, self.exit) = (mirrored, false);
        }
    }

    /// Something happened that may be otherwise in a pass of its own, such as a way through another bridge that is too long.
    pub(super) fn unrolled_error(&mut self) {
        if self.unroll == Unroll::Did {
            self.unroll = Unroll::Lost;
        }
    }

    /// Whether the outcome, in which groups may have been unrolled, can be used.
    pub(super) fn is_good(&self, key: &FlowKey, outcome: &Translation) -> bool {
        match self.unroll {
            Unroll::Did => {
                let hardware = self.state.hardware.as_ref();
                let takes = || hardware.is_some_and(|hw| hw.takes(key, &outcome.mask, &outcome.actions));
                self.forwarded && self.error.is_none() && takes()
            }
            other => other != Unroll::Lost,
        }
    }
}
