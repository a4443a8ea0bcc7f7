//! Marks: a mark is given again only when no receive queue holds a packet with it, and mail is read before a drain is told of.

use super::explore;
use super::fence::{Fences, Quiescence};
use super::sync::Mutex;
use super::sync::atomic::{AtomicU64, Ordering};
use loom::sync::Arc;
use loom::thread;
use std::collections::VecDeque;

/// When a mark is given to another flow, of the same number here: generations come around again after 32.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Frees {
    /// When queues have drained past a fence that was raised after hardware let go.
    Drained,
    /// When workers have passed that fence.
    Passed,
    /// When queues have drained past a fence that was raised before.
    DrainedEarly,
}

#[derive(Default)]
struct Port {
    fences: Fences,
    quiescence: Quiescence,
    /// Marked packets, of flow 1 or 2.
    queue: Mutex<VecDeque<u64>>,
    /// What the worker is to forget.
    mail: Mutex<VecDeque<u64>>,
    /// Whose mark it is.
    owner: AtomicU64,
}

/// A worker polls, hardware puts a last packet of the old flow into the queue while it lets go of it, and control
/// gives the mark on.
fn a_mark_is_given_again(frees: Frees) {
    explore(3, move || {
        let port = Arc::new(Port::default());
        port.owner.store(1, Ordering::Relaxed);
        let worker = thread::spawn({
            let port = Arc::clone(&port);
            move || {
                let (mut target, mut forgotten) = (0, false);
                port.quiescence.online(&port.fences);
                for _ in 0..3 {
                    let fence = port.fences.current();
                    port.quiescence.pass(fence);
                    forgotten |= port.mail.lock().pop_front().is_some();
                    let packet = port.queue.lock().pop_front();
                    if let Some(flow) = packet {
                        let owner = port.owner.load(Ordering::Acquire);
                        assert_eq!(owner, flow, "a packet of one flow was taken for another's");
                    } else {
                        // Found empty since the target was taken, with all mail read.
                        port.quiescence.drain(target);
                        target = fence;
                    }
                    let again = port.owner.load(Ordering::Acquire) == 2;
                    assert!(!again || forgotten, "a flow was not forgotten when its mark was given again");
                }
                port.quiescence.offline();
            }
        });
        port.mail.lock().push_back(1);
        let early = port.fences.raise();
        port.queue.lock().push_back(1);
        let fence = port.fences.raise();
        let free = match frees {
            Frees::Drained => port.quiescence.drained() >= fence,
            Frees::Passed => port.quiescence.has_passed(fence),
            Frees::DrainedEarly => port.quiescence.drained() >= early,
        };
        if free {
            port.owner.store(2, Ordering::Release);
        }
        worker.join().unwrap();
    });
}

#[test]
fn no_packet_is_taken_for_another_flows() {
    a_mark_is_given_again(Frees::Drained);
}

#[test]
#[should_panic]
fn passing_is_not_draining() {
    a_mark_is_given_again(Frees::Passed);
}

#[test]
#[should_panic = "taken for another's"]
fn the_fence_is_raised_after_hardware_let_go() {
    a_mark_is_given_again(Frees::DrainedEarly);
}
