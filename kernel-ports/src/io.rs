//! The thread that moves frames.

use crate::counters::Counter;
use crate::device::{Buffer, Device};
use crate::pump::Pump;
use crate::state::State;
use dpdk::Eal;
use parking_lot::Mutex;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Turns without a frame before the thread sleeps.
const SPINS: u32 = 32;
/// First and longest sleep. The switch's workers make no system call to wake the thread, so it looks into the rings by itself.
const SHORT: Duration = Duration::from_micros(20);
const LONG: Duration = Duration::from_millis(1);
/// How often slow things are looked at.
const TICK: Duration = Duration::from_millis(500);
/// A timer may be so late: the kernel's default of 50 microseconds is longer than the first sleeps.
const TIMER_SLACK: u64 = 1_000;

/// What the thread is asked.
#[derive(Debug)]
pub(crate) enum Order {
    Add(Box<Pump>),
    /// Take a port out and drop its device; then answer.
    Remove(u64, Sender<()>),
    /// The port's device, opened anew.
    Device(u64, Box<Device>),
    /// The port's device is gone, and why.
    Lose(u64, String),
    Stop,
}

#[derive(Debug)]
struct Mailbox {
    orders: Mutex<Vec<Order>>,
    wake: OwnedFd,
}

/// A handle to the thread.
#[derive(Debug)]
pub(crate) struct Io {
    mailbox: Arc<Mailbox>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Io {
    pub(crate) fn start(eal: &'static Eal) -> std::io::Result<Io> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let mailbox = Arc::new(Mailbox { orders: Mutex::default(), wake });
        let mine = Arc::clone(&mailbox);
        let thread = std::thread::Builder::new().name("kernel-io".into()).spawn(move || {
            // Without it buffers only come slower.
            let _registered = eal.register_thread().ok();
            let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(TIMER_SLACK));
            Worker { mailbox: mine, ports: Vec::new(), buffer: Buffer::new(), ticked: Instant::now() }.run();
        })?;
        Ok(Io { mailbox, thread: Mutex::new(Some(thread)) })
    }

    pub(crate) fn order(&self, order: Order) {
        self.mailbox.orders.lock().push(order);
        // It fails only when it is signalled already.
        let _ = rustix::io::write(&self.mailbox.wake, &1u64.to_ne_bytes());
    }
}

impl Drop for Io {
    fn drop(&mut self) {
        self.order(Order::Stop);
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
        }
    }
}

#[derive(Debug)]
struct Worker {
    mailbox: Arc<Mailbox>,
    ports: Vec<Pump>,
    buffer: Buffer,
    ticked: Instant,
}

impl Worker {
    fn run(mut self) {
        let mut idle: u32 = 0;
        while self.serve() {
            let moved: usize = self.ports.iter_mut().map(|port| port.step(&mut self.buffer)).sum();
            idle = if moved > 0 { 0 } else { u32::saturating_add(idle, 1) };
            self.wait(pause(idle));
            if self.ticked.elapsed() >= TICK {
                self.ticked = Instant::now();
                self.ports.iter_mut().for_each(Pump::tick);
            }
        }
    }

    /// Do what was asked; `false`: stop.
    fn serve(&mut self) -> bool {
        let orders = std::mem::take(&mut *self.mailbox.orders.lock());
        for order in orders {
            match order {
                Order::Add(port) => self.ports.push(*port),
                Order::Remove(id, done) => {
                    self.ports.retain(|port| port.shared.id != id);
                    // Nobody waits any more when this fails.
                    let _ = done.send(());
                }
                Order::Device(id, device) => {
                    if let Some(port) = self.port(id) {
                        port.shared.set_device(device.ifindex());
                        port.device = Some(*device);
                        port.readable = true;
                        port.shared.counters.add(Counter::kernel_device_back, 1);
                        port.shared.set_state(State::Up);
                    }
                }
                Order::Lose(id, why) => {
                    if let Some(port) = self.port(id) {
                        port.lose(&why);
                    }
                }
                Order::Stop => return false,
            }
        }
        true
    }

    fn port(&mut self, id: u64) -> Option<&mut Pump> {
        self.ports.iter_mut().find(|port| port.shared.id == id)
    }

    /// Sleep until a descriptor has something, or for as long as this.
    fn wait(&mut self, pause: Duration) {
        let forever = self.ports.is_empty();
        let mut events: Vec<PollFlags> = Vec::with_capacity(self.ports.len());
        {
            let mut fds = Vec::with_capacity(self.ports.len() + 1);
            fds.push(PollFd::new(&self.mailbox.wake, PollFlags::IN));
            for port in &self.ports {
                let mut interest = PollFlags::empty();
                interest.set(PollFlags::IN, port.has_room());
                interest.set(PollFlags::OUT, port.is_stuck());
                if let Some(device) = &port.device {
                    fds.push(PollFd::new(device, interest));
                }
            }
            let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(pause.subsec_nanos()) };
            // Interrupted or failed: as if nothing was there.
            let _ = poll(&mut fds, (!forever).then_some(&timeout));
            if fds.first().is_some_and(|wake| wake.revents().contains(PollFlags::IN)) {
                let _ = rustix::io::read(&self.mailbox.wake, &mut [0; 8]);
            }
            events.extend(fds.iter().skip(1).map(PollFd::revents));
        }
        let open = self.ports.iter_mut().filter(|port| port.device.is_some());
        for (port, events) in open.zip(events) {
            port.readable |= events.contains(PollFlags::IN);
            if events.intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL) {
                port.failed();
            }
        }
    }
}

/// How long to sleep after so many turns without a frame.
fn pause(idle: u32) -> Duration {
    match idle.checked_sub(SPINS) {
        None => Duration::ZERO,
        // Some turns of each length, then twice as long.
        Some(turns) => SHORT.saturating_mul(1 << (turns / 4).min(16)).min(LONG),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleeps_grow_to_a_millisecond_and_no_longer() {
        assert_eq!(pause(0), Duration::ZERO);
        assert_eq!(pause(SPINS), SHORT);
        assert!((0..1000).all(|n| pause(n) <= pause(n + 1)));
        assert_eq!(pause(SPINS + 24), LONG);
        assert_eq!(pause(u32::MAX), LONG);
    }
}
