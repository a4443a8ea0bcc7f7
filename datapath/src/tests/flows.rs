//! Life of a flow: statistics, marks, idling out, limits.

use super::*;
use flow::{FieldId, Value};

fn rig(config: Config) -> Rig {
    let rig = Rig::new(2, config);
    rig.slowpath.set_rules(FakeSlowpath::all(vec![out(2)]));
    rig.run();
    rig
}

const RULE: Effect = Effect::Rule(RuleId(1));

#[test]
fn statistics_are_what_was_sent_and_every_packet_is_replayed_once() {
    let mut rig = rig(Config { offload: true, ..Config::default() });
    let bytes = frame(1, 2, 3, 10);
    for _ in 0..100 {
        rig.inject(1, &bytes);
    }
    rig.clock.advance(SHORT);
    while rig.poll() > 0 {}
    assert_eq!(rig.slowpath.packets(RULE), 1, "the first packet at once");
    rig.run();
    rig.run();
    assert_eq!(rig.slowpath.packets(RULE), 100);
    let views = rig.dp.dump();
    assert_eq!(views.len(), 1);
    let want = Hits { packets: 100, bytes: 100 * bytes.len() as u64, used: rig.now() };
    assert_eq!((views[0].software, views[0].hardware), (want, Hits::default()));
    assert_eq!(rig.slowpath.replayed.lock()[&RULE], want);
    let counters = rig.dp.counters();
    assert_eq!((counters.miss, counters.installed, counters.tx), (1, 1, 100));
    // The rest of the first burst finds the cache filled by the install; later bursts are compared with the only flow.
    assert_eq!((counters.cache_hit, counters.megaflow_hit), (31, 68));
    let port = &rig.dp.ports()[0];
    assert_eq!((port.counters.rx_packets, port.counters.rx_bytes), (100, want.bytes));

    // The last hits of a removed flow are not lost.
    rig.inject(1, &bytes);
    rig.poll();
    rig.slowpath.set_rules(Vec::new());
    rig.run();
    assert_eq!(rig.slowpath.packets(RULE), 101);
    assert_eq!(rig.dp.flow_count(), 0);
    assert_eq!(rig.heard.removed.lock().len(), 1);
}

#[test]
fn a_flow_idles_out_unless_software_or_hardware_uses_it() {
    let mut rig = rig(Config { offload: true, ..Config::default() });
    rig.inject(1, &frame(1, 2, 3, 0));
    rig.poll();
    rig.clock.advance(Duration::from_secs(9));
    assert_eq!(rig.run().expired, 0);
    let flow = rig.heard.added.lock()[0].clone();
    rig.dp.hardware_hits(&flow, &Hits { packets: 5, bytes: 300, used: rig.now() });
    rig.clock.advance(Duration::from_secs(9));
    // A read without packets says nothing.
    rig.dp.hardware_hits(&flow, &Hits { packets: 0, bytes: 0, used: rig.now() });
    assert_eq!(rig.run().expired, 0);
    assert_eq!(rig.dp.dump()[0].hardware.packets, 5);
    rig.clock.advance(Duration::from_secs(2));
    assert_eq!(rig.run().expired, 1);
    assert_eq!(rig.dp.flow_count(), 0);
    assert_eq!(rig.slowpath.packets(RULE), 6);
    // Hardware's last report comes late.
    rig.dp.hardware_hits(&flow, &Hits { packets: 2, bytes: 100, used: rig.now() });
    assert_eq!(rig.slowpath.packets(RULE), 8);
}

#[test]
fn a_flow_in_hardware_expires_only_for_time_in_which_its_counter_was_read() {
    let mut rig = rig(Config { offload: true, idle: Duration::from_secs(10), ..Config::default() });
    rig.inject(1, &frame(1, 2, 3, 0));
    rig.poll();
    let flow = rig.heard.added.lock()[0].clone();
    rig.dp.hardware_read(&flow, Some(rig.now()));
    rig.clock.advance(Duration::from_secs(60));
    assert_eq!(rig.run().expired, 0, "nobody knows whether packets came");
    rig.dp.hardware_read(&flow, Some(rig.now()));
    rig.dp.hardware_hits(&flow, &Hits { packets: 1, bytes: 60, used: rig.now() });
    rig.clock.advance(Duration::from_secs(11));
    assert_eq!(rig.run().expired, 0);
    rig.dp.hardware_read(&flow, Some(rig.now()));
    assert_eq!(rig.run().expired, 1, "a reading says that none came");
}

#[test]
fn a_flow_that_hardware_let_go_of_expires_by_the_clock() {
    let mut rig = rig(Config { offload: true, idle: Duration::from_secs(10), ..Config::default() });
    rig.inject(1, &frame(1, 2, 3, 0));
    rig.poll();
    let flow = rig.heard.added.lock()[0].clone();
    rig.dp.hardware_read(&flow, Some(rig.now()));
    rig.dp.hardware_read(&flow, None);
    rig.clock.advance(Duration::from_secs(11));
    assert_eq!(rig.run().expired, 1);
}

#[test]
fn a_sample_tells_of_flows_that_had_packets_since_the_last() {
    let mut rig = rig(Config { offload: true, ..Config::default() });
    for n in 0..2 {
        rig.inject(1, &frame(1, 2, 3, n));
    }
    rig.poll();
    let mut sample = Vec::new();
    assert_eq!(rig.dp.sample(0, 1000, &mut sample), 0);
    let packets: u64 = sample.iter().map(|(_, n)| n).sum();
    assert_eq!(packets, 2);
    let flows = sample.len();
    sample.clear();
    rig.dp.sample(0, 1000, &mut sample);
    assert_eq!(sample, [], "nothing new");
    rig.inject(1, &frame(1, 2, 3, 0));
    rig.poll();
    assert_eq!((rig.dp.sample(0, 1, &mut sample), sample.len()), (1, 0), "no flow has the first place");
    assert_eq!(rig.dp.sample(1, 1000, &mut sample), 0);
    assert!(!sample.is_empty() && sample.len() <= flows);
}

#[test]
fn a_mark_finds_its_flow_and_a_stale_one_is_looked_up_by_bytes() {
    let mut rig = rig(Config { offload: true, flow_limit: 1, ..Config::default() });
    let bytes = frame(1, 2, 3, 0);
    rig.inject(1, &bytes);
    rig.poll();
    let flow = rig.heard.added.lock()[0].clone();
    let marked = |rig: &Rig, mark| {
        let mut packet = Mbuf::from_bytes(&rig.pool, &bytes).unwrap();
        packet.set_mark(Some(mark));
        packet
    };
    let packet = marked(&rig, flow.mark.0);
    rig.inject_mbuf(1, packet);
    rig.poll();
    assert_eq!((rig.dp.counters().mark_hit, rig.dp.counters().mark_unknown), (1, 0));
    // The same mark on another port is not believed.
    let packet = marked(&rig, flow.mark.0);
    rig.inject_mbuf(2, packet);
    rig.poll();
    assert_eq!((rig.dp.counters().mark_hit, rig.dp.counters().mark_unknown), (1, 1));
    assert_eq!(rig.collect(2).len(), 3);

    // The flow is replaced; packets that hardware marked before are still on their way.
    rig.slowpath.set_rules(vec![Rule { id: 2, ..FakeSlowpath::all(vec![out(1)])[0].clone() }]);
    rig.run();
    let packet = marked(&rig, flow.mark.0);
    rig.inject_mbuf(1, packet);
    rig.poll();
    assert_eq!((rig.dp.counters().mark_hit, rig.dp.counters().mark_unknown), (1, 2));
    assert_eq!((rig.collect(1).len(), rig.collect(2).len()), (1, 0));
    let second = rig.heard.added.lock()[1].clone();
    assert_ne!(flow.mark.0 & 0x3ffff, second.mark.0 & 0x3ffff, "the index rests");

    // Without word from hardware it rests for ever; with it, until the queues have drained.
    for _ in 0..5 {
        rig.poll();
        rig.run();
    }
    assert_eq!(rig.dp.marks_waiting(), 1);
    rig.dp.hardware_gone(&flow);
    rig.run();
    assert_eq!(rig.dp.marks_waiting(), 1);
    for _ in 0..3 {
        rig.poll();
    }
    assert_eq!(rig.run().released, 1);
    assert_eq!(rig.dp.marks_waiting(), 0);

    // The index comes back under another generation.
    rig.slowpath.set_rules(FakeSlowpath::all(vec![out(2)]));
    rig.run();
    rig.inject(1, &bytes);
    rig.poll();
    let third = rig.heard.added.lock()[2].clone();
    assert_eq!(third.mark.0 & 0x3ffff, flow.mark.0 & 0x3ffff);
    assert_ne!(third.mark, flow.mark);
    let packet = marked(&rig, flow.mark.0);
    rig.inject_mbuf(1, packet);
    rig.poll();
    assert_eq!((rig.dp.counters().mark_hit, rig.dp.counters().mark_unknown), (1, 3));
}

#[test]
fn packets_beyond_the_flow_limit_and_uncacheable_ones_are_forwarded_and_replayed() {
    let mut rig = rig(Config { flow_limit: 2, ..Config::default() });
    let mut port_rule = FakeSlowpath::all(vec![out(2)]);
    port_rule[0].mask.require(flow::FieldId::UdpDst);
    let rules = (0..5u16)
        .map(|i| {
            let mut rule = port_rule[0].clone();
            rule.key.tp_dst = i.into();
            rule
        })
        .collect();
    rig.slowpath.set_rules(rules);
    rig.run();
    for i in 0..5 {
        rig.inject(1, &frame(1, 2, i, 0));
    }
    rig.poll();
    assert_eq!(rig.collect(2).len(), 5);
    assert_eq!((rig.dp.flow_count(), rig.dp.counters().refused_limit), (2, 3));
    rig.slowpath.uncacheable.store(true, Ordering::Relaxed);
    rig.slowpath.changes.lock().push(TABLE);
    assert_eq!(rig.run().removed, 2);
    for _ in 0..3 {
        rig.inject(1, &frame(1, 2, 0, 0));
    }
    rig.poll();
    assert_eq!((rig.collect(2).len(), rig.dp.counters().uncacheable), (3, 3));
    assert_eq!(rig.slowpath.packets(RULE), 8);
}

#[test]
fn a_change_that_changes_nothing_keeps_the_flow() {
    let mut rig = rig(Config::default());
    rig.inject(1, &frame(1, 2, 3, 0));
    rig.poll();
    rig.slowpath.changes.lock().push(TABLE);
    let report = rig.run();
    assert_eq!((report.checked, report.removed), (1, 0));
    // A rule before it that looks at more makes the flow too wide, though its actions are the same.
    let mut rules = FakeSlowpath::all(vec![out(2)]);
    let mut narrow = rules[0].clone();
    narrow.mask.require(flow::FieldId::UdpDst);
    narrow.key.tp_dst = 9.into();
    narrow.id = 2;
    rules.insert(0, narrow);
    rig.slowpath.set_rules(rules);
    assert_eq!(rig.run().removed, 1);
}

#[test]
fn a_second_pmd_joins_a_flow_and_a_fence_waits_for_nobody_idle() {
    let slowpath = Arc::new(FakeSlowpath::default());
    slowpath.set_rules(FakeSlowpath::all(vec![out(1)]));
    let pool = Arc::new(testing::mempool(1023));
    let clock = Arc::new(VirtualClock::default());
    let heard = Arc::<Heard>::default();
    let dp = Datapath::new(
        Arc::clone(&slowpath) as _,
        Arc::clone(&heard) as _,
        Arc::clone(&clock) as _,
        Arc::clone(&pool),
        Config { offload: true, ..Config::default() },
    );
    let pmds = [dp.add_pmd().unwrap(), dp.add_pmd().unwrap()];
    let eal = testing::eal();
    let (in0, rx0) = dpdk::ring(eal, "q0", 63, RingMode::SpSc).unwrap();
    let (in1, rx1) = dpdk::ring(eal, "q1", 63, RingMode::SpSc).unwrap();
    let (tx0, _out0) = dpdk::ring(eal, "o0", 63, RingMode::SpSc).unwrap();
    let (tx1, _out1) = dpdk::ring(eal, "o1", 63, RingMode::SpSc).unwrap();
    let port = Port::from_rings(eal, "dp_two_queues", vec![rx0, rx1], vec![tx0, tx1]).unwrap();
    let config = dpdk::PortConfig { rx_queues: 2, tx_queues: 2, promiscuous: false, ..dpdk::PortConfig::default() };
    port.configure(&config, &pool).unwrap();
    port.start().unwrap();
    dp.add_port(DpPort(1), port, PortOptions { name: "two".into(), mtu: Some(1500), down: false }).unwrap();
    for mut end in [in0, in1] {
        let mut batch = MbufBatch::new();
        for _ in 0..10 {
            batch.push(Mbuf::from_bytes(&pool, &frame(1, 2, 3, 0)).unwrap()).unwrap();
        }
        end.enqueue(&mut batch);
    }
    for pmd in &pmds {
        pmd.poll_once(clock.now());
    }
    dp.revalidator().run(clock.now());
    let counters = dp.counters();
    assert_eq!((counters.miss, counters.installed, counters.adopted, counters.tx), (2, 1, 1, 20));
    assert_eq!((dp.flow_count(), heard.added.lock().len()), (1, 1));
    assert_eq!(dp.dump()[0].software.packets, 20);
    assert_eq!(slowpath.packets(RULE), 20);
    assert_eq!(dp.barrier(Duration::ZERO), WorkerFence::Fenced);
}

#[test]
fn dropped_packets_leave_a_burst_and_the_others_keep_their_order() {
    let reserved = DropReason::Reserved;
    let actions = [vec![], vec![out(2)], vec![out(3)], vec![DpAction::DecTtl, out(2)], vec![DpAction::Drop(reserved)]];
    let rules = actions.iter().zip(0u16..).map(|(actions, tp)| {
        let (mut mask, mut key) = (Mask::ANY, FlowKey::ZERO);
        mask.require_bits(FieldId::UdpDst.def(), Value(0xffff));
        key.set(FieldId::UdpDst, Value(u128::from(tp)));
        Rule { id: u64::from(tp), mask, key, actions: actions.clone() }
    });
    let mut rig = Rig::new(3, Config::default());
    rig.slowpath.set_rules(rules.collect());
    let bursts: [&[u16]; 8] = [
        &[0, 1, 2, 3, 4],
        &[1, 0, 1, 4, 1],
        &[0, 1],
        &[1, 0],
        &[0, 0, 4],
        &[0, 1, 2, 0, 3, 4, 1],
        &[3, 0, 3, 1],
        &[2, 4, 2],
    ];
    let mut seen = [0u64; 5];
    for (n, burst) in (0u8..).zip(bursts.iter().cycle().take(24)) {
        let mut want = [Vec::new(), Vec::new()];
        for (i, tp) in (0u8..).zip(*burst) {
            let bytes = frame(n, i, *tp, 4);
            rig.inject(1, &bytes);
            seen[usize::from(*tp)] += 1;
            match tp {
                1 | 3 => want[0].push((n, i)),
                2 => want[1].push((n, i)),
                _ => {}
            }
        }
        assert_eq!(rig.poll(), burst.len());
        for (port, want) in (2..).zip(want) {
            let got: Vec<(u8, u8)> = rig.collect(port).iter().map(|bytes| (bytes[29], bytes[33])).collect();
            assert_eq!(got, want, "burst {n} {burst:?} on port {port}");
        }
    }
    rig.run();
    let counters = rig.dp.counters();
    assert_eq!((counters.drops_by(DropReason::RuleDrop), counters.drops_by(reserved)), (seen[0], seen[4]));
    let hits = rig.slowpath.replayed.lock();
    let mut counted: Vec<u64> = hits.values().map(|hits| hits.packets).collect();
    counted.sort_unstable();
    seen.sort_unstable();
    assert_eq!(counted, seen);
}

#[test]
fn a_flow_that_is_expected_is_there_before_its_packet() {
    let mut rig = rig(Config { offload: true, ..Config::default() });
    let bytes = frame(1, 2, 3, 0);
    let key = flow::extract::extract(&bytes, bytes.len(), &flow::extract::RxMeta::from_port(DpPort(1)));
    assert!(rig.dp.expect(&key) && rig.dp.expect(&key), "twice is once");
    assert_eq!((rig.dp.flow_count(), rig.heard.added.lock().len(), rig.slowpath.packets(RULE)), (1, 1, 0));
    // A worker joins it, and the packet is counted once.
    rig.inject(1, &bytes);
    rig.poll();
    rig.run();
    assert_eq!((rig.dp.flow_count(), rig.collect(2).len(), rig.slowpath.packets(RULE)), (1, 1, 1));
    let counters = rig.dp.counters();
    assert_eq!((counters.installed, counters.adopted), (0, 1));
    // It follows changes, and ends as others do, also before a packet came.
    rig.slowpath.set_rules(FakeSlowpath::all(vec![out(1)]));
    rig.run();
    rig.inject(1, &bytes);
    rig.poll();
    assert_eq!((rig.collect(1).len(), rig.collect(2).len()), (1, 0));
    rig.slowpath.set_rules(Vec::new());
    rig.run();
    assert_eq!(rig.heard.added.lock().len(), rig.heard.removed.lock().len() + rig.dp.flow_count());
    rig.slowpath.uncacheable.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(!rig.dp.expect(&key), "nothing is kept of such packets");
}
