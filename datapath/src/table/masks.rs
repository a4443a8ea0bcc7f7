//! The masks of a worker's flows, once each.

use crate::mask::CompiledMask;
use crate::window::WindowMask;
use flow::Mask;
use hashbrown::HashMap;

/// Numbers for masks, below 65,535, and what they stand for.
#[derive(Debug, Default)]
pub(super) struct Masks {
    compiled: Vec<CompiledMask>,
    /// What is compared of flows; `None` for masks that look beyond the window.
    windows: Vec<Option<WindowMask>>,
    full: Vec<Mask>,
    users: Vec<u32>,
    free: Vec<usize>,
    by_mask: HashMap<Mask, usize>,
    /// The mask of the latest flow: the next one often has it too.
    latest: usize,
}

impl Masks {
    #[inline(always)]
    pub(super) fn get(&self, id: usize) -> Option<&CompiledMask> {
        self.compiled.get(id)
    }

    /// The mask as bits of the window, if it is no more than that and the place.
    #[inline(always)]
    pub(super) fn window(&self, id: usize) -> Option<&WindowMask> {
        self.windows.get(id)?.as_ref()
    }

    pub(super) fn full(&self, id: usize) -> Option<Mask> {
        self.full.get(id).copied()
    }

    /// The number of a mask, which has one more user now.
    pub(super) fn take(&mut self, mask: &Mask) -> Option<usize> {
        if let (Some(latest), Some(users)) = (self.full.get(self.latest), self.users.get_mut(self.latest))
            && *users > 0
            && latest.0.words() == mask.0.words()
        {
            *users += 1;
            return Some(self.latest);
        }
        if let Some(id) = self.by_mask.get(mask) {
            self.latest = *id;
            self.users[*id] += 1;
            return Some(*id);
        }
        let compiled = CompiledMask::new(mask);
        let window = WindowMask::is_all_of(mask).then(|| WindowMask::new(mask));
        let id = match self.free.pop() {
            Some(id) => {
                (self.compiled[id], self.windows[id]) = (compiled, window);
                (self.full[id], self.users[id]) = (*mask, 1);
                id
            }
            None if self.compiled.len() >= usize::from(u16::MAX) => return None,
            None => {
                self.compiled.push(compiled);
                self.windows.push(window);
                self.full.push(*mask);
                self.users.push(1);
                self.compiled.len() - 1
            }
        };
        self.by_mask.insert(*mask, id);
        Some(id)
    }

    /// A mask has one user less.
    pub(super) fn release(&mut self, id: usize) {
        let Some(users) = self.users.get_mut(id) else { return };
        *users -= 1;
        if *users == 0 {
            self.by_mask.remove(&self.full[id]);
            self.free.push(id);
        }
    }
}
