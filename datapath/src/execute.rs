//! Execution of a flow's program on a packet, through all of its passes.

use crate::counters::WorkerCounters;
use crate::egress::Egress;
use crate::lookup::Lookup;
use crate::packet::{self, Headers};
use crate::pmd::PmdShared;
use crate::program::{Forward, Handover, Nested, Program, Step};
use crate::punt::Punt;
use crate::random::Random;
use crate::shared::Shared;
use dpdk::{Mbuf, MbufBatch, Mempool};
use flow::clock::Time;
use flow::dp::{DpAction, DropReason, MeterId, PuntReason, RecircId, Verdict, raise_drop_precedence};
use flow::extract::{RxMeta, extract_into};
use flow::field::CONNECTION;
use flow::rewrite::{self, Outcome, Quick, QuickRewrite, Rewrite};
use flow::{DpPort, FieldId, FlowKey, Value};
use std::sync::Arc;

/// How often a packet may recirculate in a row, as in OVS.
pub(crate) const MAX_DEPTH: u8 = 8;

/// How often a packet and its copies may recirculate in all: copies that recirculate would multiply at each depth.
pub(crate) const MAX_PASSES: u16 = 256;

/// What one received packet carries through its passes.
struct Journey<'a> {
    now: Time,
    /// Outputs and drops so far.
    ends: u64,
    /// For programs that need it.
    deep: Option<Deep<'a>>,
}

/// What a program needs that hands the packet on with what is known beside its bytes.
struct Deep<'a> {
    lookup: &'a mut Lookup,
    /// No field of the bytes is set.
    metadata: FlowKey,
    depth: u8,
    passes: u16,
}

/// Executes programs for one worker.
#[derive(Debug)]
pub(crate) struct Executor {
    pub(crate) egress: Egress,
    shared: Arc<Shared>,
    me: Arc<PmdShared>,
    counters: Arc<WorkerCounters>,
    random: Random,
}

impl Executor {
    pub(crate) fn new(shared: Arc<Shared>, me: Arc<PmdShared>) -> Executor {
        let counters = Arc::clone(&me.counters);
        let random = Random::new(me.id);
        Executor { egress: Egress::new(Arc::clone(&counters), shared.pool.clone()), shared, me, counters, random }
    }

    /// Execute a program that needs no metadata on a packet; each of its ends is counted.
    #[inline]
    pub(crate) fn execute(&mut self, program: &Program, mut packet: Mbuf, now: Time) {
        let Some(forward) = program.forward() else {
            return self.go(program, packet, Journey { now, ends: 0, deep: None });
        };
        if let Some(rewrite) = &forward.rewrite
            && let Err(reason) = change(&mut packet, rewrite, &self.shared.pool)
        {
            return self.counters.count_drop(reason);
        }
        self.egress.send(forward.port, packet);
    }

    /// The same for packets of one flow, or of flows with the same program, in order; the batch is empty after.
    #[inline]
    pub(crate) fn execute_group(&mut self, program: &Program, packets: &mut MbufBatch, now: Time) {
        match program.forward() {
            Some(Forward { port, rewrite: None }) => self.egress.send_batch(*port, packets),
            _ => {
                for packet in packets.drain() {
                    self.execute(program, packet, now);
                }
            }
        }
    }

    /// Execute any program on a packet that was received on `port`.
    pub(crate) fn execute_deep(
        &mut self,
        program: &Program,
        packet: Mbuf,
        port: DpPort,
        now: Time,
        lookup: &mut Lookup,
    ) {
        let mut metadata = FlowKey::ZERO;
        metadata.in_port = port.0.into();
        let deep = Deep { lookup, metadata, depth: 0, passes: 0 };
        self.go(program, packet, Journey { now, ends: 0, deep: Some(deep) });
    }

    #[inline]
    fn go(&mut self, program: &Program, packet: Mbuf, mut journey: Journey<'_>) {
        self.run(program.steps(), packet, &mut journey);
        match journey.ends {
            0 => self.counters.count_drop(DropReason::RuleDrop),
            ends => self.counters.copies.add(ends - 1),
        }
    }

    fn run(&mut self, steps: &[Step], packet: Mbuf, journey: &mut Journey<'_>) {
        let mut packet = Some(packet);
        for step in steps {
            match step {
                Step::Output { port, max_len, how } => {
                    journey.ends += 1;
                    match self.hand_over(&mut packet, *how, *max_len) {
                        Some(packet) => self.egress.send(*port, packet),
                        None => self.counters.count_drop(DropReason::NoBuffer),
                    }
                }
                Step::Rewrite(rewrite) => {
                    let Some(packet) = &mut packet else { return };
                    if let Err(reason) = change(packet, rewrite, &self.shared.pool) {
                        return self.end(reason, journey);
                    }
                }
                Step::Meter(meter) => {
                    let Some(packet) = &mut packet else { return };
                    if let Err(reason) = self.police(*meter, packet, journey.now) {
                        return self.end(reason, journey);
                    }
                }
                Step::Nested(nested) => self.nested(nested, &mut packet, journey),
                Step::Sample { probability, actions } => {
                    if self.random.is_within(*probability) {
                        self.nested(actions, &mut packet, journey);
                    }
                }
                Step::CheckLen { len, greater, rest } => {
                    let longer = packet.as_ref().is_some_and(|p| packet::unpadded_len(p) > usize::from(*len));
                    self.nested(if longer { greater } else { rest }, &mut packet, journey);
                }
                Step::Recirc { id, how } => match self.hand_over(&mut packet, *how, u16::MAX) {
                    Some(packet) => self.recirculate(*id, packet, journey),
                    None => self.end(DropReason::NoBuffer, journey),
                },
                Step::Punt { reason, max_len, how } => {
                    if let Err(why) = self.punt(*reason, *max_len, *how, &mut packet, journey) {
                        self.end(why, journey);
                    }
                }
                Step::SetMetadata { .. } | Step::Hash(_) | Step::CtClear => {
                    if let (Some(deep), Some(packet)) = (&mut journey.deep, &packet) {
                        note(step, packet, &mut deep.metadata);
                    }
                }
                Step::Drop(reason) => self.end(*reason, journey),
            }
        }
    }

    /// One end of the packet: a drop.
    fn end(&self, reason: DropReason, journey: &mut Journey<'_>) {
        journey.ends += 1;
        self.counters.count_drop(reason);
    }

    #[inline]
    fn hand_over(&self, packet: &mut Option<Mbuf>, how: Handover, max_len: u16) -> Option<Mbuf> {
        let mut handed = match how {
            Handover::Move => packet.take()?,
            Handover::Share => packet.as_ref()?.clone_ref(&self.shared.pool).ok()?,
            Handover::Copy => packet.as_ref()?.deep_copy(&self.shared.pool).ok()?,
        };
        if max_len != u16::MAX {
            packet::truncate(&mut handed, usize::from(max_len), &self.shared.pool).ok()?;
        }
        Some(handed)
    }

    /// Execute on a copy. What it changes beside the bytes is undone after.
    fn nested(&mut self, nested: &Nested, packet: &mut Option<Mbuf>, journey: &mut Journey<'_>) {
        let Some(packet) = self.hand_over(packet, nested.how, u16::MAX) else {
            return self.end(DropReason::NoBuffer, journey);
        };
        let before = journey.deep.as_ref().map(|deep| deep.metadata);
        self.run(&nested.steps, packet, journey);
        if let (Some(deep), Some(before)) = (&mut journey.deep, before) {
            deep.metadata = before;
        }
    }

    /// Look the packet up again and execute what is found.
    #[inline(never)]
    fn recirculate(&mut self, id: RecircId, mut packet: Mbuf, journey: &mut Journey<'_>) {
        let now = journey.now;
        // Programs that recirculate need metadata, so it is there.
        let Some(deep) = journey.deep.as_mut().filter(|d| d.depth < MAX_DEPTH && d.passes < MAX_PASSES) else {
            return self.end(DropReason::RecircLimit, journey);
        };
        let before = deep.metadata;
        deep.metadata.recirc_id = id.0.into();
        deep.depth += 1;
        deep.passes += 1;
        // A short head would hide fields from the key.
        if packet::linearize_head(&mut packet, &self.shared.pool).is_err() {
            self.end(DropReason::NoBuffer, journey);
        } else {
            let key = key_of(&packet, &deep.metadata);
            let program = deep.lookup.another_pass(&key, packet.pkt_len(), now);
            self.run(program.steps(), packet, journey);
        }
        if let Some(deep) = &mut journey.deep {
            deep.metadata = before;
            deep.depth -= 1;
        }
    }

    /// Let a meter judge the packet.
    ///
    /// # Errors
    /// Why the packet is to be dropped.
    fn police(&mut self, meter: MeterId, packet: &mut Mbuf, now: Time) -> Result<(), DropReason> {
        let meters = self.shared.meters.as_ref().ok_or(DropReason::Unsupported)?;
        match meters.police(meter, now, u32::try_from(packet.pkt_len()).unwrap_or(u32::MAX)) {
            Verdict::Pass => Ok(()),
            Verdict::Drop => Err(DropReason::MeterDrop),
            Verdict::Remark { by } => remark(packet, by, &self.shared.pool),
        }
    }

    /// Queue a packet for a controller.
    fn punt(
        &mut self,
        reason: PuntReason,
        max_len: u16,
        how: Handover,
        packet: &mut Option<Mbuf>,
        journey: &mut Journey<'_>,
    ) -> Result<(), DropReason> {
        let metadata = journey.deep.as_ref().filter(|_| self.shared.punt_readers.any()).map(|deep| deep.metadata);
        let metadata = metadata.ok_or(DropReason::NoController)?;
        let total_len = packet.as_ref().map_or(0, |p| u32::try_from(p.pkt_len()).unwrap_or(u32::MAX));
        let packet = self.hand_over(packet, how, max_len).ok_or(DropReason::NoBuffer)?;
        let punt = Punt { packet, total_len, metadata, reason, at: journey.now };
        self.me.punts.push(punt).map_err(|_| DropReason::NoController)?;
        journey.ends += 1;
        self.counters.punted.add(1);
        Ok(())
    }
}

/// The key of a packet with this metadata.
fn key_of(packet: &Mbuf, metadata: &FlowKey) -> FlowKey {
    let mut key = *metadata;
    let port = DpPort(key.in_port.get());
    extract_into(&mut key, packet.data(), packet.pkt_len(), &RxMeta::from_port(port));
    key
}

/// Change what is known of a packet beside its bytes.
fn note(step: &Step, packet: &Mbuf, metadata: &mut FlowKey) {
    match step {
        Step::SetMetadata { field, value, mask } => {
            let had = metadata.get(*field).unwrap_or_default();
            metadata.set(*field, Value(had.0 & !mask.0 | value.0 & mask.0));
        }
        Step::Hash(spec) => metadata.dp_hash = spec.of(&key_of(packet, metadata)).into(),
        Step::CtClear => {
            for field in CONNECTION {
                metadata.set(field, Value(0));
            }
        }
        _ => {}
    }
}

/// Change the packet's bytes, which become its own before.
///
/// # Errors
/// Why the packet is to be dropped.
#[inline(always)]
fn change(packet: &mut Mbuf, rewrite: &Rewrite, pool: &Mempool) -> Result<(), DropReason> {
    if let Some(frame) = packet.whole_mut() {
        match rewrite.quick(frame) {
            Quick::Done => return Ok(()),
            Quick::Expired => return Err(DropReason::TtlExpired),
            Quick::Other => {}
        }
    }
    change_any(packet, rewrite, pool)
}

/// Change a packet in place if that is done in one go, as for most packets. `false`: it is as it was.
#[inline(always)]
pub(crate) fn change_quickly(packet: &mut Mbuf, rewrite: &QuickRewrite) -> bool {
    packet.whole_mut().is_some_and(|frame| rewrite.apply(frame) == Quick::Done)
}

#[inline(never)]
fn change_any(packet: &mut Mbuf, rewrite: &Rewrite, pool: &Mempool) -> Result<(), DropReason> {
    packet.make_exclusive(pool).map_err(|_| DropReason::NoBuffer)?;
    let mut at = 0;
    let mut copied_at = None;
    loop {
        match rewrite.run(&mut Headers(packet), at) {
            Ok(()) => return Ok(()),
            Err((Outcome::NoRoom, step)) if copied_at != Some(step) => {
                // A buffer of the pool has headroom.
                *packet = packet.deep_copy(pool).map_err(|_| DropReason::NoBuffer)?;
                (at, copied_at) = (step, Some(step));
            }
            Err((outcome, _)) => return Err(why_dropped(outcome)),
        }
    }
}

fn why_dropped(outcome: Outcome) -> DropReason {
    match outcome {
        Outcome::Expired => DropReason::TtlExpired,
        Outcome::NoRoom => DropReason::NoBuffer,
        Outcome::Done | Outcome::Absent | Outcome::NotRewrite | Outcome::ShortHead => DropReason::Unsupported,
    }
}

/// Raise the drop precedence of an IP packet.
fn remark(packet: &mut Mbuf, by: u8, pool: &Mempool) -> Result<(), DropReason> {
    // 0, which is no assured forwarding, when it is not IP.
    let dscp = key_of(packet, &FlowKey::ZERO).nw_tos >> 2;
    let raised = raise_drop_precedence(dscp, by);
    if raised == dscp {
        return Ok(());
    }
    packet.make_exclusive(pool).map_err(|_| DropReason::NoBuffer)?;
    let field = FieldId::IpDscp;
    let set = DpAction::Set { field, value: Value::from(raised), mask: field.def().ones() };
    match rewrite::apply(&mut Headers(packet), &set) {
        Outcome::Done | Outcome::Absent => Ok(()),
        outcome => Err(why_dropped(outcome)),
    }
}
