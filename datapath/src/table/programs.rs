//! The programs of a worker's flows: flows that share one have one number for it.

use crate::arena::NO_PORT;
use crate::program::{Forward, Program};
use flow::rewrite::QuickRewrite;
use hashbrown::HashMap;
use std::sync::Arc;

/// What most programs do to most packets: a quick change, and out of one port. Half a cache line, apart from the
/// programs: flows may have as many of these as there are next hops.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
pub(crate) struct InPlace {
    /// [`NO_PORT`]: the program is none of these.
    pub(crate) port: u32,
    pub(crate) rewrite: QuickRewrite,
}

const _: () = assert!(size_of::<InPlace>() == 32);

impl InPlace {
    const NONE: InPlace = InPlace { port: NO_PORT, rewrite: QuickRewrite::NONE };

    fn of(program: &Program) -> InPlace {
        match program.forward() {
            Some(Forward { port, rewrite: Some(rewrite) }) => {
                rewrite.as_quick().map_or(Self::NONE, |quick| InPlace { port: port.0, rewrite: *quick })
            }
            _ => Self::NONE,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Programs {
    slots: Vec<Option<Arc<Program>>>,
    in_place: Vec<InPlace>,
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

    /// What the program with this number does in place.
    #[inline(always)]
    pub(super) fn in_place(&self, id: usize) -> Option<&InPlace> {
        self.in_place.get(id)
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
                self.in_place.push(InPlace::NONE);
                self.users.push(0);
                (self.slots.len() - 1) as u32
            }
        };
        self.slots[id as usize] = Some(Arc::clone(program));
        self.in_place[id as usize] = InPlace::of(program);
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
