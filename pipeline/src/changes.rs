//! What has changed since the datapath last asked.

use flow::Match;
use flow::dp::{Change, Dep, Scope};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

/// Most scopes that are told of one thing; when there are more, all packets are meant.
const MAX_SCOPES: usize = 1024;

/// Changed things, each once.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Those that concern all packets.
    whole: HashSet<Dep>,
    /// Those that concern some packets; none of `whole`.
    scoped: HashMap<Dep, Vec<Arc<Scope>>>,
}

impl Told {
    fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.scoped.is_empty()
    }

    /// It changed for all packets.
    pub(crate) fn insert(&mut self, dep: Dep) {
        if self.whole.insert(dep) && !self.scoped.is_empty() {
            self.scoped.remove(&dep);
        }
    }

    pub(crate) fn extend(&mut self, deps: impl IntoIterator<Item = Dep>) {
        deps.into_iter().for_each(|dep| self.insert(dep));
    }

    /// It changed for the packets of a scope; `None`: for all.
    pub(crate) fn insert_scoped(&mut self, dep: Dep, scope: impl FnOnce() -> Option<Arc<Scope>>) {
        if self.whole.contains(&dep) {
            return;
        }
        let scopes = self.scoped.entry(dep).or_default();
        match scope().filter(|_| scopes.len() < MAX_SCOPES) {
            Some(scope) if scopes.last().is_some_and(|last| *last == scope) => {}
            Some(scope) => scopes.push(scope),
            None => self.insert(dep),
        }
    }

    fn merge(&mut self, other: Told) {
        self.extend(other.whole);
        for (dep, scopes) in other.scoped {
            for scope in scopes {
                self.insert_scoped(dep, || Some(scope));
            }
        }
    }

    fn list(self, into: &mut Vec<Change>) {
        into.extend(self.whole.into_iter().map(Change::from));
        for (dep, scopes) in self.scoped {
            into.extend(scopes.into_iter().map(|scope| Change { dep, scope: Some(scope) }));
        }
    }
}

/// The packets that a rule with this match can concern, as they come in: `in_port` is a datapath port here, the one that
/// `ports` tells for an OpenFlow number. Registers say nothing: they are not part of a packet.
pub(crate) fn scope_of(
    matching: &Match,
    ports: impl FnOnce(flow::OfPort) -> Option<flow::DpPort>,
) -> Option<Arc<Scope>> {
    let (mut key, mut mask) = (matching.key, matching.mask);
    if mask.0.in_port.get() != 0 {
        let exact = matching.is_exact(flow::FieldId::InPort);
        let number = u16::try_from(key.in_port.get()).ok().filter(|_| exact);
        // A number that no port has is met only by packets that were given it.
        let port = number.and_then(|n| ports(flow::OfPort(n)));
        key.in_port = port.map_or(0, |p| p.0).into();
        mask.0.in_port = if port.is_some() { u32::MAX } else { 0 }.into();
    }
    Scope::new(&key, &mask).map(Arc::new)
}

/// What is to be told. Written after the change can be seen, so that whoever takes it sees the change.
#[derive(Default)]
pub(crate) struct Changes {
    told: Mutex<Told>,
    /// To be called when there is something again.
    call: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl std::fmt::Debug for Changes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Changes").field("told", &self.told).finish_non_exhaustive()
    }
}

impl Changes {
    pub(crate) fn add(&self, deps: impl IntoIterator<Item = Dep>) {
        self.tell(|told| told.extend(deps));
    }

    pub(crate) fn merge(&self, more: Told) {
        self.tell(|told| told.merge(more));
    }

    fn tell(&self, tell: impl FnOnce(&mut Told)) {
        let mut told = self.told.lock();
        let before = told.is_empty();
        tell(&mut told);
        let first = before && !told.is_empty();
        drop(told);
        if let Some(call) = self.call.get().filter(|_| first) {
            call();
        }
    }

    pub(crate) fn take(&self, into: &mut Vec<Change>) {
        let taken = std::mem::take(&mut *self.told.lock());
        taken.list(into);
    }

    /// See [`flow::dp::Slowpath::on_change`]. For one caller.
    pub(crate) fn on_change(&self, call: Box<dyn Fn() + Send + Sync>) -> bool {
        let set = self.call.set(call).is_ok();
        if let Some(call) = self.call.get().filter(|_| set && !self.told.lock().is_empty()) {
            call();
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flow::dp::BridgeId;
    use flow::{DpPort, FieldId, OfPort, Value};

    fn scope(port: u16) -> Option<Arc<Scope>> {
        let mut m = Match::default();
        m.set_exact(FieldId::EthType, Value::from(port));
        scope_of(&m, |_| None)
    }

    #[test]
    fn all_packets_swallow_some_and_too_many_scopes_are_all_packets() {
        let (a, b) = (Dep::Table(BridgeId(1), 0), Dep::Table(BridgeId(1), 1));
        let (mut told, mut changes) = (Told::default(), Vec::new());
        told.insert_scoped(a, || scope(1));
        told.insert_scoped(a, || scope(1));
        told.insert_scoped(b, || scope(2));
        told.insert(b);
        told.insert_scoped(b, || scope(3));
        told.list(&mut changes);
        changes.sort_by_key(|c| c.dep);
        assert_eq!(changes, [Change { dep: a, scope: scope(1) }, Change { dep: b, scope: None }]);

        let mut told = Told::default();
        (0..=MAX_SCOPES as u16).for_each(|i| told.insert_scoped(a, || scope(i)));
        changes.clear();
        told.list(&mut changes);
        assert_eq!(changes, [Change::from(a)]);
    }

    #[test]
    fn a_scope_has_the_datapath_s_port_and_no_registers() {
        let mut m = Match::default();
        m.set_exact(FieldId::InPort, Value::from(3u32));
        m.set_exact(FieldId::Reg0, Value::from(3u32));
        let of = |port: Option<u32>| scope_of(&m, |p| port.map(DpPort).filter(|_| p == OfPort(3)));
        let mut wanted = Match::default();
        wanted.set_exact(FieldId::InPort, Value::from(77u32));
        assert_eq!(of(Some(77)), Scope::new(&wanted.key, &wanted.mask).map(Arc::new));
        assert_eq!(of(None), None);
    }
}
