//! Records: what a worker counts for a flow while it is removed is found, and none of it is given to the next flow with its record.

use super::arena::Arena;
use super::explore;
use super::fence::{Fences, Quiescence};
use flow::clock::Time;
use flow::dp::Hits;
use loom::sync::Arc;
use loom::thread;

const OLD: u32 = 1;
/// The same record, the next generation.
const NEW: u32 = 1 << 18 | 1;

fn one() -> Hits {
    Hits { packets: 1, bytes: 60, used: Time(1) }
}

/// A worker counts what hits; control removes the flow, waits for the fence if it is told to, settles and gives the record on.
fn a_record_changes_hands(waits: bool) {
    explore(3, move || {
        let shared = Arc::new((Fences::default(), Quiescence::default(), Arena::new()));
        shared.2.begin(OLD, &Hits::default());
        let worker = thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                let (fences, quiescence, arena) = &*shared;
                let mut counted = [0, 0];
                quiescence.online(fences);
                for _ in 0..2 {
                    quiescence.pass(fences.current());
                    // As a packet that hits.
                    let Some(hot) = arena.get(1) else { continue };
                    match hot.mark() {
                        OLD => counted[0] += 1,
                        NEW => counted[1] += 1,
                        _ => continue,
                    }
                    hot.hits.add(1, 60, Time(1));
                }
                quiescence.offline();
                counted
            }
        });
        let (fences, quiescence, arena) = &*shared;
        arena.end(OLD);
        let fence = fences.raise();
        let settled = (!waits || quiescence.has_passed(fence)).then(|| {
            let last = arena.hits(OLD).packets;
            arena.begin(NEW, &one());
            last
        });
        let counted = worker.join().unwrap();
        match settled {
            Some(last) => assert_eq!([last, arena.hits(NEW).packets - 1], counted),
            None => assert_eq!([arena.hits(OLD).packets, 0], counted),
        }
    });
}

#[test]
fn no_hit_is_lost_or_given_to_another() {
    a_record_changes_hands(true);
}

#[test]
#[should_panic]
fn settling_needs_the_fence() {
    a_record_changes_hands(false);
}
