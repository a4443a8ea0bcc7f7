//! The programs of a worker's flows: flows that share one have one number for it.

use crate::program::Program;
use hashbrown::HashMap;
use std::sync::Arc;

#[derive(Debug, Default)]
pub(super) struct Programs {
    slots: Vec<Option<Arc<Program>>>,
    users: Vec<u32>,
    free: Vec<u32>,
    /// By where the program is, which does not change while it has a number.
    by_place: HashMap<usize, u32>,
    /// That of the latest flow: the next one often has it too.
    latest: u32,
}

impl Programs {
    #[inline(always)]
    pub(super) fn get(&self, id: usize) -> Option<&Arc<Program>> {
        self.slots.get(id)?.as_ref()
    }

    /// The number of a program, which has one more user now.
    pub(super) fn take(&mut self, program: &Arc<Program>) -> u32 {
        if let Some(Some(latest)) = self.slots.get(self.latest as usize)
            && Arc::ptr_eq(latest, program)
        {
            self.users[self.latest as usize] += 1;
            return self.latest;
        }
        let place = Arc::as_ptr(program).addr();
        if let Some(id) = self.by_place.get(&place) {
            self.users[*id as usize] += 1;
            self.latest = *id;
            return *id;
        }
        let id = match self.free.pop() {
            Some(id) => id,
            None => {
                self.slots.push(None);
                self.users.push(0);
                (self.slots.len() - 1) as u32
            }
        };
        self.slots[id as usize] = Some(Arc::clone(program));
        self.users[id as usize] = 1;
        self.by_place.insert(place, id);
        id
    }

    /// A program has one user less.
    pub(super) fn release(&mut self, id: usize) {
        let Some(users) = self.users.get_mut(id) else { return };
        *users -= 1;
        if *users == 0
            && let Some(program) = self.slots[id].take()
        {
            self.by_place.remove(&Arc::as_ptr(&program).addr());
            self.free.push(id as u32);
        }
    }
}
