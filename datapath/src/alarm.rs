//! Wakes a thread that waits for work, at once or, without being called, after a while.

use parking_lot::{Condvar, Mutex};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// One waits, any number call. Calls that nobody has heeded yet are one.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    called: AtomicBool,
    waits: Mutex<()>,
    changed: Condvar,
}

impl Alarm {
    /// There is work. Costs a read of memory when there was already.
    pub(crate) fn call(&self) {
        if !self.called.load(Ordering::SeqCst) && !self.called.swap(true, Ordering::SeqCst) {
            // Whoever is about to wait has the lock, or sees the call.
            drop(self.waits.lock());
            self.changed.notify_one();
        }
    }

    /// Wait for a call, at most so long; whether there was one. It is heeded then.
    pub(crate) fn wait(&self, most: Duration) -> bool {
        let deadline = Instant::now() + most;
        let mut waits = self.waits.lock();
        while !self.called.load(Ordering::SeqCst) {
            if self.changed.wait_until(&mut waits, deadline).timed_out() {
                break;
            }
        }
        self.called.swap(false, Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_call_is_heard_before_and_during_the_wait_and_once() {
        let alarm = Arc::new(Alarm::default());
        assert!(!alarm.wait(Duration::from_millis(1)));
        alarm.call();
        alarm.call();
        assert!(alarm.wait(Duration::ZERO));
        assert!(!alarm.wait(Duration::ZERO));
        let other = Arc::clone(&alarm);
        let thread = std::thread::spawn(move || other.wait(Duration::from_secs(60)));
        std::thread::sleep(Duration::from_millis(5));
        let start = Instant::now();
        alarm.call();
        assert!(thread.join().unwrap());
        assert!(start.elapsed() < Duration::from_secs(30));
    }
}
