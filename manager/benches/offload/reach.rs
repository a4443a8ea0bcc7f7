//! How long a flow takes from its first packet into hardware, on a switch with threads.

use super::{End, mock, print, switch_on, world_of};
use dpdk::Eal;
use flow::OfPort;
use flow::clock::{Clock, MonotonicClock};
use manager::switch::Driver;
use offload::{Hot, Policy};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Flows, one after the other.
const FLOWS: u16 = 50;
/// Packets of a flow come so far apart: 10,000 a second, ten times the threshold of `hot`.
const GAP: Duration = Duration::from_micros(100);

/// UDP to this port.
fn frame(number: u16) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    let ip = [0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    frame.extend(ip);
    frame.extend(1000u16.to_be_bytes());
    frame.extend(number.to_be_bytes());
    frame.extend([0, 26, 0, 0]);
    frame.resize(60, 0);
    frame
}

fn times(eal: &'static Eal, policy: Policy) -> Vec<Duration> {
    let mock = mock(eal, "connectx");
    let clock: Arc<dyn Clock> = Arc::new(MonotonicClock::default());
    let rule = |number: u16| {
        let text = format!("in_port=1,udp,tp_dst={number},actions=output:2");
        flow::text::parse_flow(&text, &|_: &str| None::<OfPort>).unwrap()
    };
    let rules: Vec<_> = (1..=FLOWS).map(rule).collect();
    let switch = switch_on(eal, &mock, clock, datapath::Config::default(), &rules);
    switch.set_world(world_of(&mock));
    let (nic, ..) = mock;
    let handle = nic.handle();
    switch.engine().set_policy(policy);
    switch.drive(Driver::threads(&switch, Some(nic)).unwrap());
    std::thread::sleep(Duration::from_millis(200));
    (1..=FLOWS)
        .map(|number| {
            let (before, frame, start) = (handle.rule_count(), frame(number), Instant::now());
            while handle.rule_count() == before && start.elapsed() < Duration::from_secs(5) {
                handle.inject(End::Wire, &frame).unwrap();
                let next = Instant::now() + GAP;
                while Instant::now() < next && handle.rule_count() == before {
                    std::thread::yield_now();
                }
            }
            let took = start.elapsed();
            for end in [End::Wire, End::Vf(0), End::Vf(1)] {
                handle.collect(end).unwrap();
            }
            took
        })
        .collect()
}

/// The slowest of most flows: the machine's own work makes some wait.
fn row(eal: &'static Eal, part: &str, policy: Policy, goal: Duration) {
    let mut took = times(eal, policy);
    took.sort_unstable();
    let ms = |at: usize| took[at].as_secs_f64() * 1e3;
    let (middle, most) = (ms(took.len() / 2), ms(took.len() * 95 / 100));
    let goal = goal.as_secs_f64() * 1e3;
    let more = format!(r#","ms_p50":{middle:.2},"ms_p95":{most:.2},"ms_most":{:.2}"#, ms(took.len() - 1));
    print(part, most / goal, &format!("<= {goal} ms from the first packet (95 %)"), most <= goal, &more);
}

pub fn reach(eal: &'static Eal) {
    row(eal, "reach all", Policy::All, Duration::from_millis(10));
    row(eal, "reach hot", Policy::Hot(Hot::default()), Duration::from_millis(100));
}
