//! The revalidator's own thread: sleeps until something has changed, or is due.

use super::{Revalidator, Shared};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Longest sleep. Time may be another than that of the system's clock.
const MOST_SLEEP: Duration = Duration::from_millis(100);

impl Revalidator {
    /// Run on a thread of its own until the handle is dropped: changes are followed within the interval of the configuration
    /// after they are made. While the flow limit is reached, idle flows are removed as often as they can have become idle.
    ///
    /// # Errors
    /// The thread cannot be made.
    pub fn spawn(&self) -> std::io::Result<RevalidatorThread> {
        let stop = Arc::new(AtomicBool::new(false));
        let alarm = Arc::downgrade(&self.shared);
        // A slow path that does not call is asked again and again.
        let calls = self.shared.slowpath.on_change(Box::new(move || {
            if let Some(shared) = alarm.upgrade() {
                shared.alarm.call();
            }
        }));
        let (this, stopped) = (self.clone(), Arc::clone(&stop));
        let thread = std::thread::Builder::new().name("revalidator".to_owned()).spawn(move || {
            this.work(calls, &stopped);
        })?;
        Ok(RevalidatorThread { shared: Arc::clone(&self.shared), stop, thread: Some(thread) })
    }

    fn work(&self, calls: bool, stopped: &AtomicBool) {
        let config = &self.shared.config;
        let mut swept = self.shared.clock.now();
        let mut most = Duration::ZERO;
        loop {
            let called = self.shared.alarm.wait(most);
            if called && !stopped.load(Ordering::Acquire) {
                // More changes are on their way, mostly.
                std::thread::sleep(config.change_interval);
            }
            if stopped.load(Ordering::Acquire) {
                return;
            }
            let now = self.shared.clock.now();
            let full = self.shared.registry.lock().is_full();
            let interval = if full { config.idle_at_limit / 4 } else { config.sweep_interval };
            let interval = interval.min(config.sweep_interval);
            if now.since(swept) >= interval {
                swept = now;
                self.run(now);
            } else {
                self.tick();
            }
            let rests = calls && !self.shared.revalidation.lock().is_burying();
            let due = interval.saturating_sub(self.shared.clock.now().since(swept));
            most = if rests { due.clamp(config.change_interval, MOST_SLEEP) } else { config.change_interval };
        }
    }
}

/// A running revalidator thread; dropping it stops the thread and waits for it.
#[derive(Debug)]
pub struct RevalidatorThread {
    shared: Arc<Shared>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for RevalidatorThread {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.shared.alarm.call();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
