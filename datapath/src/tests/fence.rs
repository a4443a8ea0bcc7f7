//! Fences and quiescence on one thread; `models` has them on several.

use crate::fence::{Fences, Quiescence};

#[test]
fn offline_has_passed_everything_and_online_what_was_before() {
    let (fences, worker) = (Fences::default(), Quiescence::default());
    let before = fences.raise();
    assert!(worker.has_passed(before));
    assert!(worker.drained() < before);
    worker.online(&fences);
    assert!(worker.has_passed(before));
    let after = fences.raise();
    assert!(!worker.has_passed(after));
    worker.pass(fences.current());
    worker.drain(after);
    assert!(worker.has_passed(after) && worker.drained() >= after);
    assert!(worker.drained() <= after);
}
