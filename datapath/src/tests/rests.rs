//! Packets that come changed: hardware has done a flow's first actions, and its mark says which.

use super::actions::{arb_action, arb_frame};
use super::model::{By, Model, Packet};
use super::*;
use crate::PmdSpot;
use flow::extract::{RxMeta, extract};
use flow::rewrite::{FrameBuf, Outcome, apply};
use flow::{FieldId, Value, VlanTag};
use proptest::prelude::*;

const RULE: Effect = Effect::Rule(RuleId(1));
fn set(field: FieldId, value: u128) -> DpAction {
    DpAction::Set { field, value: Value(value), mask: field.def().ones() }
}

fn push(vid: u16) -> DpAction {
    DpAction::PushVlan(VlanTag { tpid: 0x8100.into(), tci: (0x1000 | vid).into() })
}

/// What hardware makes of a frame; `None`: it would not do the same as software.
fn changed(frame: &[u8], actions: &[DpAction]) -> Option<Vec<u8>> {
    let mut packet = FrameBuf::new(frame);
    actions.iter().all(|action| apply(&mut packet, action) == Outcome::Done).then(|| packet.into_packet())
}

fn offloading(actions: Vec<DpAction>) -> Rig {
    let rig = Rig::new(3, Config { offload: true, ..Config::default() });
    rig.slowpath.set_rules(FakeSlowpath::all(actions));
    rig.run();
    rig
}

impl Rig {
    fn inject_marked(&mut self, port: u32, frame: &[u8], mark: Mark) {
        let mut packet = Mbuf::from_bytes(&self.pool, frame).unwrap();
        packet.set_mark(Some(mark.0));
        self.inject_mbuf(port, packet);
    }

    /// The flow of a frame that comes in on port 1; it is sent, and what leaves is forgotten.
    fn flow_of(&mut self, frame: &[u8]) -> Arc<DpFlow> {
        self.inject(1, frame);
        self.poll();
        (1..=3).for_each(|port| drop(self.collect(port)));
        self.heard.added.lock().last().unwrap().clone()
    }

    fn stale(&self) -> u64 {
        self.dp.counters().drops_by(DropReason::StaleMark)
    }
}

#[test]
fn a_packet_that_came_changed_goes_on_behind_and_counts_as_it_came() {
    let list = vec![set(FieldId::EthDst, 7), push(5), out(2), push(6), out(3)];
    let mut rig = offloading(list.clone());
    let bytes = frame(1, 2, 3, 10);
    let flow = rig.flow_of(&bytes);
    let marks = [1, 2].map(|done| rig.dp.rest_mark(&flow, done).unwrap());
    assert_eq!(rig.dp.rest_mark(&flow, 2), Some(marks[1]), "the same again");
    assert!(marks[0] != marks[1] && marks.iter().all(|mark| mark.is_of_changed() && mark.0 >> Mark::BITS == 0));
    let want = [changed(&bytes, &list[..2]).unwrap(), changed(&bytes, &[&list[..2], &list[3..4]].concat()).unwrap()];
    rig.clock.advance(SHORT);
    for (done, mark) in [(1, marks[0]), (2, marks[1])] {
        let came = changed(&bytes, &list[..done]).unwrap();
        rig.inject_marked(1, &came, mark);
        rig.inject_marked(1, &came, mark);
        rig.poll();
        for (port, want) in [2, 3].into_iter().zip(&want) {
            assert_eq!(rig.collect(port), [want.clone(), want.clone()], "{done} done");
        }
    }
    let counters = rig.dp.counters();
    assert_eq!((counters.mark_hit, counters.mark_resumed, counters.mark_unknown, counters.miss), (4, 4, 0, 1));
    // One flow, of whose packets each counts once, as long as it was when hardware received it.
    let want = Hits { packets: 5, bytes: 5 * bytes.len() as u64, used: rig.now() };
    let views = rig.dp.dump();
    assert_eq!((views.len(), views[0].software), (1, want));
    let mut sample = Vec::new();
    rig.dp.sample(0, 100, &mut sample);
    assert_eq!(sample, [(flow.id, 5)]);
    rig.run();
    rig.run();
    assert_eq!(rig.slowpath.replayed.lock()[&RULE], want);
}

#[test]
fn frames_that_hardware_made_shorter_count_as_they_came() {
    let mut rig = offloading(vec![DpAction::PopVlan, set(FieldId::EthDst, 9), DpAction::DecTtl, out(2)]);
    let bytes = changed(&frame(1, 2, 3, 10), &[push(5)]).unwrap();
    let flow = rig.flow_of(&bytes);
    let came = changed(&bytes, &flow.actions[..2]).unwrap();
    assert_eq!(came.len() + 4, bytes.len());
    let mark = rig.dp.rest_mark(&flow, 2).unwrap();
    (0..40).for_each(|_| rig.inject_marked(1, &came, mark));
    while rig.poll() > 0 {}
    assert_eq!(rig.collect(2), vec![changed(&came, &[DpAction::DecTtl]).unwrap(); 40]);
    rig.run();
    let hits = rig.slowpath.replayed.lock()[&RULE];
    assert_eq!((hits.packets, hits.bytes), (41, 41 * bytes.len() as u64));
}

#[test]
fn a_flow_whose_packets_come_changed_does_not_idle_out() {
    let mut rig = offloading(vec![set(FieldId::EthDst, 7), out(2)]);
    let bytes = frame(1, 2, 3, 0);
    let flow = rig.flow_of(&bytes);
    let mark = rig.dp.rest_mark(&flow, 1).unwrap();
    for _ in 0..3 {
        rig.clock.advance(Duration::from_secs(9));
        rig.inject_marked(1, &changed(&bytes, &flow.actions[..1]).unwrap(), mark);
        rig.poll();
        assert_eq!(rig.run().expired, 0);
    }
    rig.clock.advance(Duration::from_secs(11));
    assert_eq!(rig.run().expired, 1);
}

/// The flow is replaced. What was changed for the old one is the old one's, until hardware has let go and the queues have drained.
#[test]
fn what_was_changed_for_a_flow_is_not_taken_for_the_next_ones() {
    let mut rig = offloading(vec![set(FieldId::EthDst, 7), push(5), out(2)]);
    let bytes = frame(1, 2, 3, 0);
    let flow = rig.flow_of(&bytes);
    let mark = rig.dp.rest_mark(&flow, 1).unwrap();
    let came = changed(&bytes, &flow.actions[..1]).unwrap();
    rig.inject_marked(1, &came, mark);
    rig.poll();
    rig.slowpath.set_rules(vec![Rule { id: 2, ..FakeSlowpath::all(vec![set(FieldId::EthDst, 8), out(3)])[0].clone() }]);
    rig.run();
    assert_eq!(rig.slowpath.packets(RULE), 2);
    assert_eq!(rig.dp.rest_mark(&flow, 2), None, "it is gone");
    let next = rig.flow_of(&bytes);
    let other = rig.dp.rest_mark(&next, 1).unwrap();
    assert_ne!(other, mark);
    // Late, and from before.
    for _ in 0..5 {
        rig.collect(2);
        rig.inject_marked(1, &came, mark);
        rig.inject_marked(1, &changed(&bytes, &next.actions[..1]).unwrap(), other);
        rig.poll();
        rig.run();
        assert_eq!(rig.collect(2), [changed(&bytes, &flow.actions[..2]).unwrap()]);
        assert_eq!(rig.collect(3), [changed(&bytes, &next.actions[..1]).unwrap()]);
    }
    assert_eq!(rig.stale(), 0);
    // Hardware lets go; one more packet is in the queue.
    rig.inject_marked(1, &came, mark);
    rig.dp.hardware_gone(&flow);
    rig.run();
    rig.poll();
    rig.run();
    assert_eq!(rig.collect(2).len(), 1);
    for _ in 0..4 {
        rig.poll();
        rig.run();
    }
    assert_eq!(rig.dp.marks_waiting(), 0, "both marks are free");
    assert_eq!(rig.slowpath.replayed.lock()[&RULE].packets, 8);
    assert_eq!(rig.slowpath.replayed.lock()[&RULE].bytes, 8 * bytes.len() as u64);
    // No packet comes any more; were there one, it would be dropped under its name.
    rig.inject_marked(1, &came, mark);
    rig.poll();
    assert_eq!((rig.stale(), rig.dp.counters().mark_unknown), (1, 1));
    assert_eq!((rig.collect(2).len(), rig.collect(3).len()), (0, 0));
}

/// Indexes of rests come back as those of flows, and of flows as those of rests, under other generations.
#[test]
fn numbers_of_rests_are_used_again() {
    let mut rig = Rig::new(3, Config { offload: true, flow_limit: 1, ..Config::default() });
    let bytes = frame(1, 2, 3, 0);
    let mut seen: HashMap<u32, Mark> = HashMap::new();
    let mut reused = 0;
    for round in 0..20u16 {
        rig.slowpath.set_rules(vec![Rule {
            id: u64::from(round) + 10,
            ..FakeSlowpath::all(vec![push(round), out(2)])[0].clone()
        }]);
        rig.run();
        let flow = rig.flow_of(&bytes);
        // Not in every round, so that the numbers change places.
        let rest = (round % 2 == 0).then(|| rig.dp.rest_mark(&flow, 1).unwrap());
        for mark in rest.into_iter().chain([flow.mark]) {
            let before = seen.insert(mark.0 & 0x3ffff, mark);
            assert_ne!(before, Some(mark));
            reused += u32::from(before.is_some_and(|before| before.is_of_changed() != mark.is_of_changed()));
        }
        let came = changed(&bytes, &flow.actions[..1]).unwrap();
        match rest {
            Some(mark) => rig.inject_marked(1, &came, mark),
            None => rig.inject(1, &bytes),
        }
        // By its own mark, as it came.
        rig.inject_marked(1, &bytes, flow.mark);
        rig.poll();
        assert_eq!(rig.collect(2), [came.clone(), came]);
        rig.slowpath.set_rules(Vec::new());
        rig.run();
        rig.dp.hardware_gone(&flow);
        for _ in 0..5 {
            rig.poll();
            rig.run();
        }
        let hits = rig.slowpath.replayed.lock()[&Effect::Rule(RuleId(u64::from(round) + 10))];
        assert_eq!((hits.packets, hits.bytes), (3, 3 * bytes.len() as u64));
        assert_eq!(rig.dp.marks_waiting(), 0);
    }
    assert!(reused > 5, "{reused}");
    assert_eq!(rig.stale(), 0);
}

#[test]
fn a_worker_that_never_met_the_flow_goes_on_with_its_rest() {
    let mut rig = offloading(vec![set(FieldId::EthDst, 7), push(5), out(2)]);
    let bytes = frame(1, 2, 3, 0);
    let flow = rig.flow_of(&bytes);
    let mark = rig.dp.rest_mark(&flow, 2).unwrap();
    let second = rig.dp.add_pmd_at(PmdSpot { cpu: Some(1), numa: 0 }).unwrap();
    rig.dp.set_affinity(DpPort(1), "0:1".parse().unwrap()).unwrap();
    rig.poll();
    let came = changed(&bytes, &flow.actions[..2]).unwrap();
    for _ in 0..3 {
        rig.inject_marked(1, &came, mark);
        second.poll_once(rig.now());
        second.poll_once(rig.now());
    }
    assert_eq!(rig.collect(2), vec![came; 3]);
    assert_eq!((rig.dp.counters().mark_resumed, rig.dp.counters().miss), (3, 1));
    rig.run();
    assert_eq!(rig.slowpath.replayed.lock()[&RULE].bytes, 4 * bytes.len() as u64);
    rig.pmd = second;
}

#[test]
fn there_is_no_rest_where_hardware_may_not_go_ahead() {
    let list = vec![set(FieldId::EthDst, 7), out(2), push(5), out(3)];
    let mut rig = offloading(list);
    let bytes = frame(1, 2, 3, 0);
    let flow = rig.flow_of(&bytes);
    let has = |rig: &Rig, done| rig.dp.rest_mark(&flow, done).is_some();
    let found: Vec<bool> = (0..6).map(|done| has(&rig, done)).collect();
    // Nothing done, an output done, nothing left.
    assert_eq!(found, [false, true, false, false, false, false]);
    // Not on another port, and no number that was not given.
    let mark = rig.dp.rest_mark(&flow, 1).unwrap();
    let came = changed(&bytes, &flow.actions[..1]).unwrap();
    rig.inject_marked(2, &came, mark);
    rig.inject_marked(1, &came, Mark(Mark::CHANGED | flow.mark.0));
    rig.inject_marked(1, &came, Mark(mark.0 ^ 1 << 18));
    rig.inject_marked(1, &came, Mark(0xff_ffff));
    rig.poll();
    assert_eq!((rig.stale(), rig.dp.counters().mark_unknown, rig.dp.counters().mark_hit), (4, 4, 0));
    assert_eq!((rig.collect(2).len(), rig.collect(3).len()), (0, 0));
    // Metadata is not in the bytes, and later passes are not hardware's.
    let mut rig = offloading(vec![set(FieldId::PktMark, 1), DpAction::Recirc(RecircId(1)), out(2)]);
    let flow = rig.flow_of(&bytes);
    assert_eq!((1..3).find_map(|done| rig.dp.rest_mark(&flow, done)), None);
    // Without hardware nobody is told of flows.
    let unknown = DpFlow {
        id: FlowId(99),
        actions: flow.actions.clone(),
        deps: Default::default(),
        effects: Default::default(),
        ..*flow
    };
    assert_eq!(rig.dp.rest_mark(&Arc::new(unknown), 1), None);
}

/// Who holds the registry does not keep packets of marks waiting that nobody knows.
#[test]
fn marks_that_nobody_knows_take_no_lock() {
    let mut rig = offloading(vec![set(FieldId::EthDst, 7), out(2)]);
    let bytes = frame(1, 2, 3, 0);
    let flow = rig.flow_of(&bytes);
    let mark = rig.dp.rest_mark(&flow, 1).unwrap();
    let came = changed(&bytes, &flow.actions[..1]).unwrap();
    // With other indexes than that of the rest: none at all, the flow's, the one that comes next.
    for unknown in [Mark::CHANGED, Mark::CHANGED | flow.mark.0, mark.0 + 1] {
        rig.inject_marked(1, &came, Mark(unknown));
    }
    let shared = Arc::clone(&rig.dp.shared);
    let held = shared.registry.lock_now();
    // Would wait forever.
    rig.poll();
    drop(held);
    assert_eq!((rig.stale(), rig.dp.counters().mark_unknown), (3, 3));
    rig.inject_marked(1, &came, mark);
    rig.poll();
    assert_eq!((rig.collect(2).len(), rig.dp.counters().mark_resumed), (1, 1));
}

fn arb_change() -> impl Strategy<Value = DpAction> {
    prop_oneof![
        any::<u64>().prop_map(|v| set(FieldId::EthDst, u128::from(v) & 0xffff_ffff_ffff)),
        any::<u32>().prop_map(|v| set(FieldId::Ipv4Src, u128::from(v))),
        any::<u16>().prop_map(|v| set(FieldId::UdpDst, u128::from(v))),
        Just(DpAction::DecTtl),
        (0u16..4096).prop_map(push),
        Just(DpAction::PopVlan),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever hardware does first, and whatever is left: frames, drops, punts, meters and counters are those of all actions in
    /// software.
    #[test]
    fn first_actions_elsewhere_and_the_rest_here_are_all_actions_here(
        first in prop::collection::vec(arb_change(), 1..4),
        left in prop::collection::vec(arb_action(), 1..5),
        passes in prop::collection::vec(prop::collection::vec(arb_action(), 0..4), 3),
        frames in prop::collection::vec((arb_frame(), 1..4usize), 1..12),
    ) {
        // One rig for all cases: ports are few.
        static RIG: Mutex<Option<(Rig, crate::Punts, u64)>> = Mutex::new(None);
        static SHARE: Mutex<[usize; 2]> = Mutex::new([0; 2]);
        let mut guard = RIG.lock();
        let (rig, reader, serial) = guard.get_or_insert_with(|| {
            let rig = Rig::new(3, Config { punt_queue: 100, offload: true, ..Config::default() });
            let reader = rig.dp.punts();
            (rig, reader, 1)
        });
        let all = [&first[..], &left[..]].concat();
        let lists: Vec<(By, [Vec<DpAction>; 2])> =
            std::iter::once(&all).chain(&passes).map(|list| (By::Mac, [list.clone(), list.clone()])).collect();
        let mut model = Model { lists: lists.clone(), ..Model::default() };
        frames.iter().for_each(|(bytes, _)| model.receive(Packet::received(bytes)));
        // As much as rings, pool and punts hold; twice.
        prop_assume!(model.sent.len() < 400 && model.punted.len() < 50);

        let rule = *serial;
        *serial += 2 * lists.len() as u64;
        let rules = (0u32..).zip(&lists).flat_map(|(i, (by, lists))| by.rules(i, rule + 2 * u64::from(i), lists));
        rig.slowpath.set_rules(rules.collect());
        rig.run();
        // Once as they are, so that there are flows.
        for (bytes, _) in &frames {
            rig.inject(1, bytes);
        }
        while rig.poll() > 0 {}
        rig.run();
        let mut punted = Vec::new();
        reader.take(usize::MAX, &mut punted);
        punted.clear();
        (1..=3).for_each(|port| drop(rig.collect(port)));
        rig.slowpath.replayed.lock().clear();
        *rig.meters.metered.lock() = (0, 0);
        let before = rig.dp.counters();

        let flows = rig.dp.dump();
        let mut marked = 0;
        for (bytes, done) in &frames {
            let key = extract(bytes, bytes.len(), &RxMeta::from_port(DpPort(1)));
            let flow = flows.iter().find(|view| key.masked(&view.flow.mask) == view.flow.key).map(|view| &view.flow);
            let done = *done.min(&first.len());
            let came = changed(bytes, &first[..done]).filter(|_| bytes.len() >= 14);
            match flow.zip(came).map(|(flow, came)| (rig.dp.rest_mark(flow, done).unwrap(), came)) {
                Some((mark, came)) => {
                    rig.inject_marked(1, &came, mark);
                    marked += 1;
                }
                None => rig.inject(1, bytes),
            }
        }
        while rig.poll() > 0 {}
        for port in 1..=3 {
            let mut want: Vec<_> = model.sent.iter().filter(|(p, _)| *p == port).map(|(_, f)| f.clone()).collect();
            let mut got = rig.collect(port);
            want.sort();
            got.sort();
            prop_assert_eq!(got, want, "port {}", port);
        }
        reader.take(usize::MAX, &mut punted);
        let mut got: Vec<_> = punted
            .into_iter()
            .map(|p| (p.data, p.total_len, p.metadata.pkt_mark.get(), p.metadata.dp_hash.get()))
            .collect();
        got.sort();
        model.punted.sort();
        prop_assert_eq!(&got, &model.punted);
        let after = rig.dp.counters();
        let dropped: Vec<u64> = (0..DROP_REASONS).map(|i| after.drops[i] - before.drops[i]).collect();
        let mut want = vec![0; DROP_REASONS];
        model.drops.iter().for_each(|reason| want[*reason as usize] += 1);
        prop_assert_eq!(dropped, want);
        prop_assert_eq!(*rig.meters.metered.lock(), model.metered);
        prop_assert_eq!(after.mark_resumed - before.mark_resumed, marked);
        rig.run();
        for ((recirc, bit), packets) in &model.hits {
            let id = Effect::Rule(RuleId(rule + 2 * u64::from(*recirc) + *bit as u64));
            prop_assert_eq!(rig.slowpath.packets(id), *packets, "pass {} bit {}", recirc, bit);
        }
        let bytes: u64 = frames.iter().map(|(bytes, _)| bytes.len() as u64).filter(|len| *len >= 14).sum();
        let replayed = rig.slowpath.replayed.lock();
        let counted: u64 = (0..2).filter_map(|bit| replayed.get(&Effect::Rule(RuleId(rule + bit)))).map(|hits| hits.bytes).sum();
        prop_assert_eq!(counted, bytes);
        drop(replayed);
        let mut share = SHARE.lock();
        *share = [share[0] + marked as usize, share[1] + frames.len()];
        // After some cases: what this is for does occur.
        prop_assert!(share[1] < 500 || share[0] * 10 >= share[1], "{:?} packets came changed", share);
        // Marks come back.
        let gone = std::mem::take(&mut *rig.heard.removed.lock());
        gone.iter().for_each(|flow| rig.dp.hardware_gone(flow));
        rig.heard.added.lock().clear();
        prop_assert_eq!(rig.pool.in_use(), 0, "buffers leak");
    }
}
