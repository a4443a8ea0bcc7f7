//! The planner: pure, no I/O, no clock, no memory.
//!
//! A rule must never match a packet that the flow does not match. Where rte_flow cannot say exactly what the
//! flow says, the planner either narrows the rule (software gets the rest, with the same result) or refuses.

mod actions;
mod explain;
mod guards;
mod help;
mod matching;

#[cfg(test)]
mod actions_tests;
#[cfg(test)]
mod explain_tests;
#[cfg(test)]
mod matching_tests;
#[cfg(test)]
mod reasons_tests;
#[cfg(test)]
mod soundness_tests;
#[cfg(test)]
pub(crate) mod tests;

pub use explain::{Explained, Step, StepOf, Where, explain};
pub use help::{Change, what_would_help};

use crate::caps::{CounterKind, PartialCaps, TransferCaps};
use crate::refusal::{Refusal, Refusals};
use crate::rule::{HwAction, HwMatch, HwProgram, HwRule, Plan, RuleRole, Table};
use crate::world::{PortInfo, PortKind, World};
use flow::dp::{Cacheable, DpFlow, Mark, Resume};
use flow::port::DpPort;
use smallvec::{SmallVec, smallvec};
use std::sync::Arc;

/// What to do with a flow. Pure.
#[must_use]
pub fn plan(flow: &DpFlow, world: &World) -> Plan {
    let info = match admit(flow.in_port(), world) {
        Ok(info) => info,
        Err(refused) => return Plan::Software(refused),
    };
    match full(flow, info, world) {
        Ok(program) => Plan::Full(program),
        Err(refused) => fall_back(flow, world, refused),
    }
}

/// What to do with the packets of a translation: those that are decided one by one have no flow to put into hardware. Pure.
#[must_use]
pub fn plan_translated(flow: &DpFlow, cacheable: Cacheable, world: &World) -> Plan {
    match cacheable {
        Cacheable::Yes => plan(flow, world),
        Cacheable::No => Plan::Software(smallvec![Refusal::NotCacheable]),
    }
}

/// What is left for a flow whose full plan was refused, by the planner or by the device.
#[must_use]
pub fn fall_back(flow: &DpFlow, world: &World, mut refused: Refusals) -> Plan {
    let info = match admit(flow.in_port(), world) {
        Ok(info) => info,
        Err(more) => return Plan::Software(also(refused, more)),
    };
    if !world.partial {
        return Plan::Software(refused);
    }
    if let Some((done, program)) = prefix(flow, info, world) {
        if world.resume {
            return Plan::Partial { program, resume: Resume::default(), done, refused };
        }
        add(&mut refused, Refusal::NoResume { done });
    }
    marked(flow, info, world, refused)
}

/// What is left for a flow of which hardware does not even do the first actions: a mark.
#[must_use]
pub fn only_mark(flow: &DpFlow, world: &World, refused: Refusals) -> Plan {
    match admit(flow.in_port(), world) {
        Ok(info) if world.partial => marked(flow, info, world, refused),
        Ok(_) => Plan::Software(refused),
        Err(more) => Plan::Software(also(refused, more)),
    }
}

fn marked(flow: &DpFlow, info: &PortInfo, world: &World, refused: Refusals) -> Plan {
    match partial(flow, info, world) {
        Ok(program) => Plan::Partial { program, resume: Resume::default(), done: 0, refused },
        Err(more) => Plan::Software(also(refused, more)),
    }
}

/// Add a reason that is not there yet.
pub(crate) fn add(refusals: &mut Refusals, refusal: Refusal) {
    if !refusals.contains(&refusal) {
        refusals.push(refusal);
    }
}

fn also(mut refused: Refusals, more: Refusals) -> Refusals {
    more.into_iter().for_each(|refusal| add(&mut refused, refusal));
    refused
}

/// Whether the port's device takes rules, then whether flows of the port are to be there: what a device cannot do no wish changes.
fn admit(port: DpPort, world: &World) -> Result<&PortInfo, Refusals> {
    match world.ports.get(&port) {
        Some(info) if takes_rules(info) => world.admits(port).map(|()| info),
        _ => Err(smallvec![Refusal::NotOffloadCapable { port }]),
    }
}

fn takes_rules(info: &PortInfo) -> bool {
    let switches = info.caps.transfer.is_some() && info.domain.is_some();
    info.kind != PortKind::Virtual && (switches || info.caps.partial.is_some())
}

#[inline]
fn full(flow: &DpFlow, info: &PortInfo, world: &World) -> Result<HwProgram, Refusals> {
    let (Some(caps), Some(_)) = (&info.caps.transfer, info.domain) else {
        return Err(smallvec![Refusal::NotOffloadCapable { port: flow.in_port() }]);
    };
    let (mut matches, mut refused) = matching::translate(&flow.key, &flow.mask, &caps.fields, caps.vlan_absent);
    let done = actions::translate(&flow.actions, flow.in_port(), info, world, caps, &mut matches, &mut refused);
    transfer(info, caps, matches, done, true, refused)
}

/// The first of a flow's actions in hardware, and a mark; how many they are. It pays only when bytes are changed.
fn prefix(flow: &DpFlow, info: &PortInfo, world: &World) -> Option<(usize, HwProgram)> {
    let caps = splits(info)?;
    if !fits(flow.mark) {
        return None;
    }
    let (matches, refused) = matching::translate(&flow.key, &flow.mask, &caps.fields, caps.vlan_absent);
    if !refused.is_empty() {
        return None;
    }
    let (n, matches, mut done) = actions::prefix(&flow.actions, flow.in_port(), info, world, caps, &matches)?;
    done.actions.extend([HwAction::Mark(flow.mark), HwAction::ToRepresentor(info.ethdev)]);
    // The worker counts what comes to it marked.
    Some((n, transfer(info, caps, matches, done, false, Refusals::new()).ok()?))
}

/// The embedded switch, if hardware can do the first actions there and leave the rest to software.
fn splits(info: &PortInfo) -> Option<&TransferCaps> {
    info.caps.transfer.as_ref().filter(|caps| caps.mark && caps.to_representor && info.domain.is_some())
}

/// The rules of the embedded switch for this match and these actions, guards first.
#[inline]
fn transfer(
    info: &PortInfo,
    caps: &TransferCaps,
    matches: HwMatch,
    done: actions::Translated,
    count: bool,
    mut refused: Refusals,
) -> Result<HwProgram, Refusals> {
    if count && caps.counter == CounterKind::None {
        add(&mut refused, Refusal::NoCounter);
    }
    // What hardware drops without being counted, software has to drop.
    let guards = guards::needed(&matches, done.decrements, count, caps, &mut refused);
    if !refused.is_empty() {
        return Err(refused);
    }
    let rule = |role, priority, matches, actions, encap, count| {
        let table = Table::Transfer { group: 0, priority };
        Arc::new(HwRule { role, table, port: info.ethdev, matches, actions, encap, count })
    };
    let aside = HwAction::ToRepresentor(info.ethdev);
    let mut rules: SmallVec<[Arc<HwRule>; 2]> =
        guards.into_iter().map(|(role, matches)| rule(role, 0, matches, smallvec![aside], None, false)).collect();
    rules.push(rule(RuleRole::Main, main_priority(caps), matches, done.actions, done.encap, count));
    Ok(HwProgram { rules, shared: done.shared })
}

/// Whether a mark is one that every device carries.
fn fits(mark: Mark) -> bool {
    mark.0 != 0 && mark.0 >> Mark::BITS == 0
}

/// Guards are at priority 0, the highest.
fn main_priority(caps: &TransferCaps) -> u32 {
    u32::from(caps.priorities >= 2)
}

/// A rule that does nothing but mark.
fn partial(flow: &DpFlow, info: &PortInfo, world: &World) -> Result<HwProgram, Refusals> {
    if let Some(caps) = splits(info).filter(|_| world.resume) {
        return partial_in_eswitch(flow, info, caps);
    }
    let Some(caps) = &info.caps.partial else {
        return Err(smallvec![Refusal::NotOffloadCapable { port: flow.in_port() }]);
    };
    let (matches, mut refused) = matching::translate(&flow.key, &flow.mask, &caps.fields, caps.vlan_absent);
    if !fits(flow.mark) {
        add(&mut refused, Refusal::NoMark);
    }
    let Some(spread) = spread(info, caps) else {
        add(&mut refused, Refusal::NoSpread { queues: info.rx_queues });
        return Err(refused);
    };
    if !refused.is_empty() {
        return Err(refused);
    }
    let rule = HwRule {
        role: RuleRole::Main,
        table: Table::Ingress { group: 0, priority: 0 },
        port: info.ethdev,
        matches,
        actions: smallvec![HwAction::Mark(flow.mark), spread],
        encap: None,
        count: false,
    };
    Ok(HwProgram { rules: smallvec![Arc::new(rule)], shared: Vec::new() })
}

/// The same where the embedded switch marks packets that it has changed: a rule behind it could match what those have become, and
/// write another flow's mark over theirs.
fn partial_in_eswitch(flow: &DpFlow, info: &PortInfo, caps: &TransferCaps) -> Result<HwProgram, Refusals> {
    let (matches, mut refused) = matching::translate(&flow.key, &flow.mask, &caps.fields, caps.vlan_absent);
    if !fits(flow.mark) {
        add(&mut refused, Refusal::NoMark);
    }
    if !refused.is_empty() {
        return Err(refused);
    }
    let rule = HwRule {
        role: RuleRole::Main,
        table: Table::Transfer { group: 0, priority: main_priority(caps) },
        port: info.ethdev,
        matches,
        actions: smallvec![HwAction::Mark(flow.mark), HwAction::ToRepresentor(info.ethdev)],
        encap: None,
        count: false,
    };
    Ok(HwProgram { rules: smallvec![Arc::new(rule)], shared: Vec::new() })
}

/// A marked packet must still come to a queue that is polled.
fn spread(info: &PortInfo, caps: &PartialCaps) -> Option<HwAction> {
    match info.rx_queues {
        0 => None,
        1 => Some(HwAction::Queue(0)),
        queues => caps.rss.then_some(HwAction::Rss { queues }),
    }
}
