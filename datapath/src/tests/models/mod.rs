//! The code that makes threads agree, under loom: every order of their steps that the memory model of C11 allows, up to a number of
//! preemptions.
//!
//! It is the code itself, compiled here a second time with loom's atomics and locks; what surrounds it (polling, translating,
//! queues) is as short here as can be. Each model takes what it relies on as parameters, so that a test beside it can leave one
//! step out and show that the model sees that. docs/adr/0012 says which mutations of the code itself were tried.

mod changes;
mod grace;
mod marks;
mod records;

#[path = "../../arena.rs"]
#[expect(dead_code, reason = "models use part of it")]
mod arena;
#[path = "../../counters.rs"]
#[expect(dead_code, reason = "models use part of it")]
mod counters;
#[path = "../../fence.rs"]
mod fence;
#[path = "../../flows/mod.rs"]
#[expect(dead_code, reason = "models use part of it")]
mod flows;

/// What `crate::sync` has, of loom.
mod sync {
    pub(super) mod atomic {
        pub(in crate::tests::models) use loom::sync::atomic::{
            AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering, fence,
        };
    }

    /// Few, since loom knows each atomic of a record.
    pub(super) const ARENA_CHUNK: usize = 16;

    /// With the interface of parking_lot's.
    #[derive(Debug, Default)]
    pub(super) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(super) fn new(value: T) -> Mutex<T> {
            Mutex(loom::sync::Mutex::new(value))
        }

        pub(super) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
            self.0.lock().unwrap()
        }
    }
}

/// Run a model in every order with at most so many preemptions.
fn explore(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}
