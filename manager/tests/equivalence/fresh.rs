//! What a switch does by its caches, tables and batches is what a fresh translation of each packet says.

use crate::case::{Case, Event};
use crate::meters::longest;
use crate::rig::{PORTS, Rig};
use flow::dp::{DpAction, MeterId, Resume, Slowpath};
use flow::extract::{RxMeta, extract};
use flow::rewrite::{FrameBuf, Outcome, apply};
use flow::{DpPort, FlowKey};
use mocks::nic::Faults;
use pipeline::testing::dp;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Execute a translation's actions on one packet, one after the other: what leaves, by port. `longest`: what meters let pass.
fn execute(actions: &[DpAction], frame: &[u8], longest: &HashMap<MeterId, usize>) -> Vec<Vec<Vec<u8>>> {
    let mut packet = FrameBuf::new(frame);
    let mut left = vec![Vec::new(); PORTS.len()];
    for action in actions {
        match action {
            DpAction::Output(port) => {
                let end = PORTS.iter().position(|number| dp(*number) == *port).unwrap();
                left[end].push(packet.packet().to_vec());
            }
            DpAction::Punt(_) | DpAction::Drop(_) => {}
            DpAction::Meter(id) if longest.get(id).is_some_and(|most| packet.packet().len() > *most) => break,
            DpAction::Meter(_) => {}
            change => match apply(&mut packet, change) {
                Outcome::Done | Outcome::Absent => {}
                Outcome::Expired => break,
                other => panic!("{change}: {other:?}"),
            },
        }
    }
    left
}

/// Run the packets of a case, each translated anew before it goes in; how many of them met a flow that was there.
fn check(case: &Case, offload: bool) -> (usize, usize) {
    let mut rig = case.rig("connectx", Faults::none(), offload);
    let (mut packets, before) = (0, rig.switch.datapath().counters().miss);
    let mut fresh = |rig: &mut Rig, end: usize, key: &FlowKey, frame: &[u8]| {
        let port: DpPort = dp(PORTS[end]);
        let mut found = extract(frame, frame.len(), &RxMeta::from_port(port));
        let translation = rig.switch.pipeline().translate(&Resume::default(), &found);
        found.in_port = 0.into();
        assert_eq!(found, *key, "seed {}, packet {packets}", case.seed);
        let meters = rig.switch.pipeline().meters(rig.bridge);
        let longest = meters.iter().filter_map(|m| Some((m.id, longest(&m.spec)?))).collect();
        let want = execute(&translation.actions, frame, &longest);
        rig.inject(end, frame);
        assert_eq!(rig.last_left(), want, "seed {}, packet {packets}", case.seed);
        packets += 1;
    };
    let mut now = flow::clock::Time(0);
    for event in &case.events {
        match event {
            Event::Packet { end, packet } => {
                now = now.after(Duration::from_millis(1));
                rig.advance(now);
                fresh(&mut rig, *end, &packet.key, &packet.frame);
            }
            Event::Wait(time) => {
                now = now.after(*time);
                rig.advance(now);
            }
            change => rig.event(change, offload),
        }
    }
    let missed = rig.switch.datapath().counters().miss - before;
    let run = rig.finish();
    assert_eq!(run.troubles, [""; 0], "seed {}", case.seed);
    (packets, packets - missed as usize)
}

#[test]
fn cached_is_as_fresh() {
    for offload in [false, true] {
        let start = Instant::now();
        let all = (1000..1600).map(|seed| check(&Case::new(seed), offload));
        let (packets, cached) = all.fold((0, 0), |sum, n| (sum.0 + n.0, sum.1 + n.1));
        println!("offload {offload}: {packets} packets, {cached} met a flow that was there, {:?}", start.elapsed());
        assert!(cached * 100 >= packets * 30, "{cached} of {packets}");
    }
}
