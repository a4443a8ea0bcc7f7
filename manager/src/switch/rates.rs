//! Tells the engine how much of each flow software switches: admission by rate, and eviction, live on it. And how many flows
//! there are, for connections to share them in time.

use super::Switch;
use super::unroll::Unrolling;
use datapath::Datapath;
use flow::clock::Time;
use offload::{Engine, FlowRate};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often some flows are looked at.
const EVERY: Duration = Duration::from_millis(20);
/// Flows looked at each time: all of a hundred thousand within a quarter of a second, at a few percent of a CPU.
const FLOWS: usize = 8192;

/// Goes round the datapath's flows.
#[derive(Debug, Default)]
pub(super) struct Rates {
    from: usize,
    last: Option<Time>,
    sample: Vec<(flow::dp::FlowId, u64)>,
}

impl Rates {
    /// Look at the next flows, when it is time.
    pub fn run(&mut self, datapath: &Datapath, engine: &Engine, unrolling: &Unrolling, now: Time) {
        if self.last.is_some_and(|last| now.since(last) < EVERY) {
            return;
        }
        self.last = Some(now);
        unrolling.set_flows(datapath.flow_count(), datapath.flow_limit().present);
        self.from = datapath.sample(self.from, FLOWS, &mut self.sample);
        let rates = self.sample.drain(..).map(|(flow, packets)| FlowRate { flow, packets }).collect();
        engine.rates(now, rates);
    }
}

/// Does that all the time; ends when dropped.
#[derive(Debug)]
pub(super) struct RatesThread {
    stop: Option<Sender<()>>,
    join: Option<JoinHandle<()>>,
}

impl RatesThread {
    /// # Errors
    /// When the system gives no thread.
    pub fn start(switch: &Switch) -> std::io::Result<RatesThread> {
        let (datapath, engine, clock) = (switch.datapath.clone(), switch.engine.clone(), switch.clock_handle());
        let unrolling = switch.unrolling.clone();
        let (stop, stopped) = channel();
        let join = std::thread::Builder::new().name("rates".into()).spawn(move || {
            let mut rates = Rates::default();
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(EVERY) {
                rates.run(&datapath, &engine, &unrolling, clock.now());
            }
        })?;
        Ok(RatesThread { stop: Some(stop), join: Some(join) })
    }
}

impl Drop for RatesThread {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(join) = self.join.take() {
            // A panic on it was reported when it happened.
            let _ = join.join();
        }
    }
}
