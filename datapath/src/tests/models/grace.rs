//! Fences: who has seen a worker pass one may free what the worker used before.

use super::explore;
use super::fence::{Fences, Quiescence};
use super::sync::atomic::{AtomicU64, Ordering, fence};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

/// How fences are used; the real way, or one with a step left out.
trait Protocol: Default + Send + Sync + 'static {
    fn online(&self);
    fn poll(&self);
    fn offline(&self);
    fn raise(&self) -> u64;
    fn has_passed(&self, fence: u64) -> bool;
}

/// The real one.
#[derive(Default)]
struct Real(Fences, Quiescence);

impl Protocol for Real {
    fn online(&self) {
        self.1.online(&self.0);
    }
    fn poll(&self) {
        self.1.pass(self.0.current());
    }
    fn offline(&self) {
        self.1.offline();
    }
    fn raise(&self) -> u64 {
        self.0.raise()
    }
    fn has_passed(&self, fence: u64) -> bool {
        self.1.has_passed(fence)
    }
}

/// The real one with one thing wrong, by number.
struct Broken<const HOW: u8> {
    number: AtomicU64,
    passed: AtomicU64,
}

impl<const HOW: u8> Default for Broken<HOW> {
    fn default() -> Self {
        Broken { number: AtomicU64::new(0), passed: AtomicU64::new(u64::MAX) }
    }
}

/// Coming online without the fence behind it.
const UNFENCED_ONLINE: u8 = 1;
/// Taking a number without the fence behind it.
const UNFENCED_RAISE: u8 = 2;
/// Going offline without telling that what was read before is done with.
const RELAXED_OFFLINE: u8 = 3;
/// Announcing the number that is to come.
const EARLY_PASS: u8 = 4;

impl<const HOW: u8> Protocol for Broken<HOW> {
    fn online(&self) {
        self.passed.store(self.number.load(Ordering::Acquire), Ordering::SeqCst);
        if HOW != UNFENCED_ONLINE {
            fence(Ordering::SeqCst);
        }
    }
    fn poll(&self) {
        let number = self.number.load(Ordering::Acquire);
        self.passed.store(number + u64::from(HOW == EARLY_PASS), Ordering::Release);
    }
    fn offline(&self) {
        let order = if HOW == RELAXED_OFFLINE { Ordering::Relaxed } else { Ordering::Release };
        self.passed.store(u64::MAX, order);
    }
    fn raise(&self) -> u64 {
        let number = self.number.fetch_add(1, Ordering::SeqCst) + 1;
        if HOW != UNFENCED_RAISE {
            fence(Ordering::SeqCst);
        }
        number
    }
    fn has_passed(&self, fence: u64) -> bool {
        self.passed.load(Ordering::Acquire) >= fence
    }
}

/// A worker uses a cell in two polls, unless it finds the cell dead. Control says that it is dead, and writes it when
/// the worker has passed the fence behind that. Loom sees when both use it.
fn a_cell_is_freed_behind_the_fence<P: Protocol>() {
    explore(3, || {
        let shared = Arc::new((P::default(), AtomicU64::new(0), UnsafeCell::new(0u64)));
        let worker = thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                let (protocol, dead, cell) = &*shared;
                protocol.online();
                for _ in 0..2 {
                    protocol.poll();
                    if dead.load(Ordering::Relaxed) == 0 {
                        assert_eq!(read(cell), 0);
                    }
                }
                protocol.offline();
            }
        });
        let (protocol, dead, cell) = &*shared;
        dead.store(1, Ordering::Relaxed);
        let fence = protocol.raise();
        if protocol.has_passed(fence) {
            write(cell);
        }
        worker.join().unwrap();
    });
}

/// Loom's cells give pointers; what it checks is who has one when.
fn read(cell: &UnsafeCell<u64>) -> u64 {
    cell.with(|pointer| u64::from(pointer.is_null()))
}

fn write(cell: &UnsafeCell<u64>) {
    cell.with_mut(|pointer| assert!(!pointer.is_null()));
}

#[test]
fn what_lies_behind_a_fence_is_free() {
    a_cell_is_freed_behind_the_fence::<Real>();
}

#[test]
fn the_same_by_hand() {
    a_cell_is_freed_behind_the_fence::<Broken<0>>();
}

#[test]
#[should_panic]
fn online_needs_its_fence() {
    a_cell_is_freed_behind_the_fence::<Broken<UNFENCED_ONLINE>>();
}

#[test]
#[should_panic]
fn raise_needs_its_fence() {
    a_cell_is_freed_behind_the_fence::<Broken<UNFENCED_RAISE>>();
}

#[test]
#[should_panic]
fn offline_releases() {
    a_cell_is_freed_behind_the_fence::<Broken<RELAXED_OFFLINE>>();
}

#[test]
#[should_panic]
fn a_number_is_announced_after_it_was_taken() {
    a_cell_is_freed_behind_the_fence::<Broken<EARLY_PASS>>();
}
