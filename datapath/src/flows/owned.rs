//! Dependencies that nearly every flow has of its own: addresses that NORMAL asked for. They have no scope.

use flow::dp::Dep;
use hashbrown::HashMap;

/// Most of them that a flow keeps itself; with more, all of its dependencies make a class.
pub(crate) const OWN: usize = 2;

/// The numbers of a flow's own dependencies; 0: none.
pub(crate) type OwnDeps = [u32; OWN];

/// Whether flows that differ in this dependency are to share a class.
pub(crate) fn is_own(dep: &Dep) -> bool {
    matches!(dep, Dep::Fdb(..))
}

#[derive(Debug)]
struct Dependents {
    dep: Dep,
    /// Flows that depend on it, and some that did before.
    flows: Vec<u32>,
    live: usize,
}

/// Who depends on what.
#[derive(Debug)]
pub(crate) struct Owned {
    by_dep: HashMap<Dep, u32>,
    /// Number 0 is not used.
    entries: Vec<Option<Dependents>>,
    free: Vec<u32>,
}

impl Default for Owned {
    fn default() -> Self {
        Owned { by_dep: HashMap::new(), entries: vec![None], free: Vec::new() }
    }
}

impl Owned {
    /// A flow depends on these: at most [`OWN`].
    pub(crate) fn add<'d>(&mut self, flow: u32, deps: impl Iterator<Item = &'d Dep>) -> OwnDeps {
        let mut own = OwnDeps::default();
        for (place, dep) in own.iter_mut().zip(deps) {
            let id = match self.by_dep.get(dep) {
                Some(id) => *id,
                None => {
                    let id = self.free.pop().unwrap_or(self.entries.len() as u32);
                    let entry = Some(Dependents { dep: *dep, flows: Vec::new(), live: 0 });
                    match self.entries.get_mut(id as usize) {
                        Some(place) => *place = entry,
                        None => self.entries.push(entry),
                    }
                    self.by_dep.insert(*dep, id);
                    id
                }
            };
            if let Some(Some(entry)) = self.entries.get_mut(id as usize) {
                entry.flows.push(flow);
                entry.live += 1;
            }
            *place = id;
        }
        own
    }

    /// A flow depends on these no more. `still`: whether a flow depends on the one with this number.
    pub(crate) fn remove(&mut self, own: OwnDeps, still: impl Fn(u32, u32) -> bool) {
        for id in own.into_iter().filter(|id| *id != 0) {
            let Some(place) = self.entries.get_mut(id as usize) else { continue };
            let Some(entry) = place else { continue };
            entry.live = entry.live.saturating_sub(1);
            if entry.live == 0 {
                self.by_dep.remove(&entry.dep);
                *place = None;
                self.free.push(id);
            } else if entry.flows.len() > 2 * entry.live + 16 {
                // Those that went are taken out together.
                entry.flows.sort_unstable();
                entry.flows.dedup();
                entry.flows.retain(|flow| still(*flow, id));
                entry.flows.shrink_to(entry.live * 2);
            }
        }
    }

    pub(crate) fn dep(&self, id: u32) -> Option<Dep> {
        Some(self.entries.get(id as usize)?.as_ref()?.dep)
    }

    /// The number of a dependency, and the flows that may depend on it.
    pub(crate) fn dependents(&self, dep: &Dep) -> Option<(u32, &[u32])> {
        let id = *self.by_dep.get(dep)?;
        Some((id, &self.entries.get(id as usize)?.as_ref()?.flows))
    }
}
