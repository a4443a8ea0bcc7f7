//! Writing down what a translation does. Costs a test of a pointer when nobody asked.

use super::unroll::{self, Unroll};
use super::{Env, Walk};
use crate::rule::Rule;
use crate::state::State;
use crate::trace::{Resumed, Trace, TraceNode, TraceOptions, TracePass, TraceRule, TraceStep, whole};
use flow::dp::{Dep, DepSet, DpAction, DropReason, HashSpec, RecircId, Translation};
use flow::field::FieldId;
use flow::{Action, FlowKey, Match, OfPort, Registers};

/// Most passes of one trace (OVS: 4,096).
const MAX_PASSES: usize = 4096;

/// The steps so far, each with the place of the one that it is within.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    steps: Vec<(Option<usize>, TraceStep)>,
    within: Option<usize>,
    /// Copies that come back.
    returns: Vec<Return>,
    /// The packet when its translation was over.
    end: Option<(FlowKey, Registers)>,
}

/// A copy of the packet that comes back.
#[derive(Debug)]
struct Return {
    id: RecircId,
    key: FlowKey,
    tracked: bool,
}

impl Recorder {
    fn push(&mut self, step: TraceStep) -> usize {
        self.steps.push((self.within, step));
        self.steps.len() - 1
    }

    fn tree(&self, within: Option<usize>) -> Vec<TraceNode> {
        let here = self.steps.iter().enumerate().filter(|(_, (parent, _))| *parent == within);
        here.map(|(i, (_, step))| TraceNode { step: step.clone(), steps: self.tree(Some(i)) }).collect()
    }
}

impl<'a> Walk<'a> {
    /// Write a step down, if anybody asked.
    pub(super) fn note(&mut self, step: impl FnOnce(&Self) -> TraceStep) {
        if self.trace.is_some() {
            let step = step(self);
            if let Some(trace) = &mut self.trace {
                trace.push(step);
            }
        }
    }

    /// What comes is within this step, until [`Walk::leave`].
    pub(super) fn enter(&mut self, step: impl FnOnce(&Self) -> TraceStep) -> Option<usize> {
        self.trace.as_ref()?;
        let step = step(self);
        let trace = self.trace.as_mut()?;
        let before = trace.within;
        trace.within = Some(trace.push(step));
        before
    }

    /// Where steps are written.
    pub(super) fn within(&self) -> Option<usize> {
        self.trace.as_ref()?.within
    }

    pub(super) fn leave(&mut self, to: Option<usize>) {
        if let Some(trace) = &mut self.trace {
            trace.within = to;
        }
    }

    pub(super) fn note_table(&mut self, table: u8, rule: Option<&Rule>) {
        self.enter(|_| {
            let rule = rule.map(|r| {
                Box::new(TraceRule {
                    matching: r.spec.matching.unpack(),
                    priority: r.spec.priority,
                    cookie: r.spec.cookie,
                })
            });
            TraceStep::Table { table, rule }
        });
        if rule.is_none() {
            self.note(|_| TraceStep::Action("drop".to_owned()));
        }
    }

    pub(super) fn note_action(&mut self, action: &Action) {
        self.note(|_| TraceStep::Action(flow::text::format_actions(std::slice::from_ref(action))));
    }

    pub(super) fn detail(&mut self, text: impl FnOnce(&Self) -> String) {
        self.note(|w| TraceStep::Detail(text(w)));
    }

    pub(super) fn note_reason(&mut self, reason: DropReason) {
        self.note(|_| {
            TraceStep::Warning(match reason {
                DropReason::OutputToInput => "skipping output to input port".to_owned(),
                DropReason::NoSuchPort => "Nonexistent output port".to_owned(),
                DropReason::NoSuchGroup => "output to nonexistent group".to_owned(),
                DropReason::NoLiveBucket => "no live bucket".to_owned(),
                DropReason::TtlExpired => "decrement TTL exception".to_owned(),
                other => other.name().replace('_', " "),
            })
        });
    }

    /// The packet, as it is now, comes back.
    pub(super) fn note_return(&mut self, id: RecircId, hash: Option<HashSpec>, tracked: bool) {
        if self.trace.is_some() {
            let mut key = *self.packet.key();
            key.in_port = self.packet.came().in_port;
            key.recirc_id = id.0.into();
            if let Some(spec) = hash {
                key.dp_hash = spec.of(&key).into();
            }
            if let Some(trace) = &mut self.trace {
                trace.returns.push(Return { id, key, tracked });
            }
        }
    }

    pub(super) fn note_end(&mut self) {
        if self.trace.is_some() {
            let end = (*self.packet.key(), self.packet.regs);
            if let Some(trace) = &mut self.trace {
                trace.end = Some(end);
            }
        }
    }
}

/// Follow a packet that comes in on OpenFlow port `key.in_port` of a bridge, and its copies that come back.
pub(crate) fn trace(
    env: Env<'_>,
    state: &State,
    bridge: &crate::state::Bridge,
    key: &FlowKey,
    options: &TraceOptions,
) -> Trace {
    let number = OfPort(u16::try_from(key.in_port.get()).unwrap_or(OfPort::NONE.0));
    let mut came = *key;
    if let Some(port) = bridge.ports.get(&number) {
        came.in_port = port.dp.0.into();
    }
    let mut ct_states = options.ct_states.iter().copied();
    let mut passes = Vec::new();
    let mut waiting = std::collections::VecDeque::from([None]);
    while let Some(back) = waiting.pop_front() {
        if passes.len() >= MAX_PASSES {
            break;
        }
        let back: Option<Return> = back;
        let mut key = came;
        let mut resumed = None;
        if let Some(back) = &back {
            key = back.key;
            let ct_state = back.tracked.then(|| ct_states.next().unwrap_or(0x21));
            if let Some(state) = ct_state {
                key.ct_state = state.into();
            }
            resumed = Some(Resumed { recirc_id: back.id, ct_state });
        }
        let frozen = resumed.and_then(|r| env.recircs.get(r.recirc_id));
        let from = match &resumed {
            None => Some((bridge, number.0, None)),
            Some(_) => frozen.as_deref().and_then(|f| Some((&**state.bridges.get(&f.bridge)?, f.in_port.0, Some(f)))),
        };
        // States are kept longer than a trace takes.
        let Some((bridge, in_port, frozen)) = from else { continue };
        let mut deps = DepSet::new();
        deps.push(Dep::PortOwner(flow::DpPort(key.in_port.get())));
        let begin = |unroll, deps| {
            let mut walk = Walk::new(env, state, bridge, &key, OfPort(in_port), deps);
            walk.trace = Some(Box::default());
            walk.enter(|w| TraceStep::Bridge(w.bridge.name.to_string()));
            match frozen {
                None => {
                    walk.unroll = unroll;
                    walk.start();
                }
                Some(frozen) => walk.resume(frozen),
            }
            walk.note_end();
            walk
        };
        let fresh = Walk::new(env, state, bridge, &key, OfPort(in_port), DepSet::new());
        let start = (*fresh.packet.key(), frozen.map_or(fresh.packet.regs, |f| f.regs));
        let mut walk = begin(Unroll::May, deps);
        let mut translation = walk.finish(&key);
        if !walk.is_good(&key, &translation) {
            walk = unroll::walk_again(&key, &walk, &mut translation, begin);
        }
        let recorder = walk.trace.take().unwrap_or_default();
        let end = recorder.end.unwrap_or(start);
        passes.push(TracePass {
            resumed,
            flow: whole(&start.0, &start.1),
            steps: recorder.tree(None),
            final_flow: (end != start).then(|| whole(&end.0, &end.1)),
            megaflow: megaflow(&start.0, &translation),
            dropped: translation.actions.iter().rev().find_map(|a| match a {
                DpAction::Drop(reason) => Some(*reason),
                _ => None,
            }),
            actions: translation.actions.iter().filter(|a| !matches!(a, DpAction::Drop(_))).cloned().collect(),
            translation,
        });
        waiting.extend(recorder.returns.into_iter().map(Some));
    }
    Trace { passes }
}

fn megaflow(key: &FlowKey, translation: &Translation) -> Match {
    let mut out = Match { mask: translation.mask, ..Match::default() };
    out.key = key.masked(&translation.mask);
    // OpenFlow ports have numbers of their own, 16 bits of them.
    out.set_exact(FieldId::InPort, FieldId::InPort.def().read_key(key).unwrap_or_default());
    out
}
