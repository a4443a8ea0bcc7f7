//! From a packet's key to what the datapath has to do: a walk through the tables of one snapshot.

mod normal;
mod packet;
mod reserved;
mod tags;

use crate::port::Port;
use crate::rule::Rule;
use crate::state::{Bridge, State};
use flow::action::PacketInReason;
use flow::dp::{Actions, Cacheable, Dep, DepSet, DpAction, DropReason, Effect, PuntReason, Resume, Translation};
use flow::{Action, DpPort, FlowKey, OfPort};
use packet::Packet;
use smallvec::SmallVec;

/// Deepest nesting of resubmits (OVS: 64).
const MAX_DEPTH: u32 = 64;
/// Most lookups after the first (OVS: 4,096 resubmits).
const MAX_RESUBMITS: u32 = 4096;
/// Most datapath actions.
const MAX_ACTIONS: usize = 16384;

/// Translate a packet on one snapshot.
pub(crate) fn translate(state: &State, at: &Resume, key: &FlowKey) -> Translation {
    let dp = DpPort(key.in_port.get());
    let mut deps = DepSet::new();
    deps.push(Dep::PortOwner(dp));
    let owner = state.owners.get(&dp).and_then(|(id, port)| Some((state.bridges.get(id)?, *port)));
    let Some((bridge, in_port)) = owner else {
        return refuse(key, deps, DropReason::NoBridge);
    };
    if at.recirc_id.0 != 0 {
        // Nothing that this pipeline does makes a packet come back.
        return refuse(key, deps, DropReason::Unsupported);
    }
    let mut walk = Walk {
        state,
        bridge,
        packet: Packet::new(key, in_port.0),
        actions: Actions::new(),
        useful: 0,
        deps,
        effects: SmallVec::new(),
        reason: None,
        missed: false,
        error: None,
        depth: 0,
        resubmits: 0,
    };
    walk.tables(0, None);
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
        effects: SmallVec::new(),
        cacheable: if reserved::is_reserved(key.eth_dst) { Cacheable::No } else { Cacheable::Yes },
    }
}

/// A translation under way.
struct Walk<'a> {
    state: &'a State,
    bridge: &'a Bridge,
    packet: Packet<'a>,
    actions: Actions,
    /// How many of `actions` do something: up to the last output.
    useful: usize,
    deps: DepSet,
    effects: SmallVec<[Effect; 8]>,
    /// Why the first output that did not happen did not.
    reason: Option<DropReason>,
    /// Whether the last table had no rule.
    missed: bool,
    /// Ends the walk; the packet goes nowhere.
    error: Option<DropReason>,
    depth: u32,
    resubmits: u32,
}

impl<'a> Walk<'a> {
    /// Look up in a table, execute the rule, go on where it says. `in_port` is for the first lookup only.
    fn tables(&mut self, first: u8, in_port: Option<OfPort>) {
        let (mut table, mut in_port) = (first, in_port);
        loop {
            let Some(rule) = self.lookup(table, in_port.take()) else { return };
            match self.execute(rule, table) {
                Some(next) if self.error.is_none() && self.spend() => table = next,
                _ => return,
            }
        }
    }

    fn lookup(&mut self, table: u8, in_port: Option<OfPort>) -> Option<&'a Rule> {
        self.depend(Dep::Table(self.bridge.id, table));
        let mut key = *self.packet.key();
        if let Some(port) = in_port {
            key.in_port = u32::from(port.0).into();
        }
        let regs = self.packet.regs;
        let packet = &mut self.packet;
        let rule = self.bridge.table(table).and_then(|t| t.find(&key, &regs, |bits| packet.look(bits)));
        self.missed = rule.is_none();
        self.effects.push(match rule {
            Some(rule) => Effect::Rule(rule.id),
            None => Effect::TableMiss(self.bridge.id, table),
        });
        rule.map(|r| &**r)
    }

    /// Execute a rule's actions; the table to go on with, if it says so.
    fn execute(&mut self, rule: &'a Rule, table: u8) -> Option<u8> {
        for action in &rule.spec.actions {
            match action {
                Action::Output(port) => self.output(*port),
                Action::Controller(c) => self.controller(c.max_len),
                Action::SetField { .. } | Action::Load { .. } | Action::SetNwTtl(_) => {
                    if let Some((field, value, mask)) = action.as_set() {
                        self.packet.set(field, value, mask);
                    }
                }
                Action::ModVlanVid(vid) => self.mod_vlan(*vid, 0x0fff),
                Action::ModVlanPcp(pcp) => self.mod_vlan(u16::from(*pcp) << 13, 0xe000),
                Action::PushVlan(tpid) => {
                    if !self.packet.push_tag(*tpid) {
                        self.error = Some(DropReason::VlanTooDeep);
                    }
                }
                Action::PopVlan => self.packet.pop_tag(),
                Action::DecTtl => self.packet.dec_ttl(&mut self.actions),
                Action::Resubmit { port, table: to, .. } => self.resubmit(*port, to.unwrap_or(table)),
                Action::GotoTable(to) => return Some(*to),
                _ => self.error = Some(DropReason::Unsupported),
            }
            if self.actions.len() > MAX_ACTIONS {
                self.error = Some(DropReason::ResubmitLimit);
            }
            if self.error.is_some() {
                break;
            }
        }
        None
    }

    /// Pay for one more lookup.
    fn spend(&mut self) -> bool {
        self.resubmits += 1;
        if self.resubmits > MAX_RESUBMITS {
            self.error = Some(DropReason::ResubmitLimit);
        }
        self.error.is_none()
    }

    fn resubmit(&mut self, port: Option<OfPort>, table: u8) {
        if self.depth >= MAX_DEPTH {
            self.error = Some(DropReason::ResubmitLimit);
        } else if self.spend() {
            self.depth += 1;
            // IN_PORT means the port that it is in already.
            self.tables(table, port.filter(|p| *p != OfPort::IN_PORT));
            self.depth -= 1;
        }
    }

    fn mod_vlan(&mut self, value: u16, mask: u16) {
        if self.packet.has_tag() || self.packet.push_tag(0x8100) {
            self.packet.write_tag(value, mask);
        }
    }

    fn output(&mut self, port: OfPort) {
        match port {
            OfPort::NORMAL => self.normal(),
            OfPort::FLOOD => self.flood(false),
            OfPort::ALL => self.flood(true),
            OfPort::CONTROLLER => self.controller(u16::MAX),
            OfPort::NONE => {}
            OfPort::IN_PORT => self.output_to(self.in_port()),
            port if port == self.in_port() => self.explain(DropReason::OutputToInput),
            port => self.output_to(port),
        }
    }

    fn output_to(&mut self, number: OfPort) {
        self.depend(Dep::Ports(self.bridge.id));
        match self.bridge.ports.get(&number) {
            None => self.explain(DropReason::NoSuchPort),
            Some(port) if !port.up => self.explain(DropReason::PortDown),
            Some(port) => self.send(port),
        }
    }

    /// Send the packet, as it is now, out of a port that is up.
    fn send(&mut self, port: &Port) {
        self.emit(DpAction::Output(port.dp));
    }

    fn controller(&mut self, max_len: u16) {
        self.emit(DpAction::Punt(PuntReason::Controller { max_len, reason: PacketInReason::Action, id: 0 }));
    }

    fn emit(&mut self, action: DpAction) {
        self.packet.commit(&mut self.actions);
        self.actions.push(action);
        self.useful = self.actions.len();
    }

    fn explain(&mut self, reason: DropReason) {
        self.reason.get_or_insert(reason);
    }

    fn depend(&mut self, dep: Dep) {
        if !self.deps.contains(&dep) {
            self.deps.push(dep);
        }
    }

    fn finish(mut self, key: &FlowKey) -> Translation {
        self.actions.truncate(self.useful);
        if self.error.is_some() {
            self.actions.clear();
        }
        if self.actions.is_empty() {
            let silent = if self.missed { DropReason::NoMatch } else { DropReason::RuleDrop };
            self.actions.push(DpAction::Drop(self.error.or(self.reason).unwrap_or(silent)));
        }
        reserved::exclude(self.packet.mask_mut(), key.eth_dst);
        let cacheable = if reserved::is_reserved(key.eth_dst) { Cacheable::No } else { Cacheable::Yes };
        Translation {
            mask: *self.packet.mask(),
            actions: self.actions,
            deps: self.deps,
            effects: self.effects,
            cacheable,
        }
    }
}
