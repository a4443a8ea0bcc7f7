//! The offload backend on the model: by templates and by single calls, with the same answers.

use super::*;
use offload::rte_flow::meters;
use offload::{
    Backend, Completion, DeviceErrorKind, DeviceKey, Done, EswitchDomain, EthdevId, HwAction, HwMatch, HwRule, L3Match,
    L4Match, Op, OpId, RteFlowBackend, RteFlowMemory, RuleKey, RuleRole, Table,
};
use std::sync::Arc;

const WIRE: EthdevId = EthdevId(ETHDEVS[0]);

fn rule(n: u16) -> Arc<HwRule> {
    let bits = |value| offload::Bits { value, mask: u16::MAX };
    let none = offload::Bits::default();
    let l3 =
        L3Match::Ipv4 { src: none_u32(), dst: none_u32(), proto: Some(6), tos: none8(), ttl: none8(), fragment: none };
    Arc::new(HwRule {
        role: RuleRole::Main,
        table: Table::Transfer { group: 0, priority: 1 },
        port: WIRE,
        matches: HwMatch {
            eth_type: Some(0x0800),
            l3,
            l4: L4Match::Tcp { src: none, dst: bits(n), flags: none },
            ..HwMatch::default()
        },
        actions: [HwAction::DecTtl, HwAction::Output(EthdevId(ETHDEVS[1]))].into_iter().collect(),
        encap: None,
        count: true,
    })
}

fn none_u32() -> offload::Bits<u32> {
    offload::Bits::default()
}

fn none8() -> offload::Bits<u8> {
    offload::Bits::default()
}

struct Bench {
    nic: MockRteFlow,
    backend: RteFlowBackend,
    next: u64,
}

fn bench(faults: Faults, templates: bool) -> Bench {
    let nic = MockRteFlow::of(faulty("connectx", faults));
    let backend = RteFlowBackend::new(Box::new(nic.clone()));
    Bench { backend: if templates { backend } else { backend.without_templates() }, nic, next: 0 }
}

impl Bench {
    /// All operations to their end, in the order of their numbers.
    fn run(&mut self, ops: impl IntoIterator<Item = Box<dyn Fn(OpId) -> Op>>) -> Vec<Result<Done, DeviceErrorKind>> {
        let first = self.next + 1;
        let ops: Vec<Op> = ops
            .into_iter()
            .map(|op| {
                self.next += 1;
                op(OpId(self.next))
            })
            .collect();
        let (mut taken, mut done): (usize, Vec<Completion>) = (0, Vec::new());
        for _ in 0..10_000 {
            taken += self.backend.submit(&ops[taken..]);
            self.backend.poll(&mut done);
            if taken == ops.len() && done.len() == ops.len() {
                break;
            }
        }
        done.sort_by_key(|c| c.id);
        assert_eq!(done.iter().map(|c| c.id.0).collect::<Vec<_>>(), (first..=self.next).collect::<Vec<_>>());
        done.into_iter().map(|c| c.result.map_err(|e| e.kind)).collect()
    }

    fn send(&self, port: u16) -> Vec<Delivery> {
        let mut frame = tcp4();
        frame[36..38].copy_from_slice(&port.to_be_bytes());
        self.nic.with(|nic| send(nic, 0, &frame))
    }

    fn hits(&self, port: u16) -> bool {
        matches!(self.send(port)[..], [Delivery::Outside { place: 1, .. }])
    }
}

fn insert(key: u64, n: u16) -> Box<dyn Fn(OpId) -> Op> {
    let rule = rule(n);
    Box::new(move |id| Op::Insert { id, key: RuleKey(key), rule: Arc::clone(&rule) })
}

fn update(old: u64, new: u64, n: u16) -> Box<dyn Fn(OpId) -> Op> {
    let rule = rule(n);
    Box::new(move |id| Op::Update { id, old: RuleKey(old), new: RuleKey(new), rule: Arc::clone(&rule) })
}

fn remove(key: u64) -> Box<dyn Fn(OpId) -> Op> {
    Box::new(move |id| Op::Remove { id, key: RuleKey(key) })
}

fn query(key: u64) -> Box<dyn Fn(OpId) -> Op> {
    Box::new(move |id| Op::Query { id, key: RuleKey(key) })
}

#[test]
fn both_ways_give_the_same_answers() {
    let answers = |templates| {
        let mut b = bench(Faults::none(), templates);
        let mut all = b.run([insert(1, 80), insert(2, 81), insert(3, 80), insert(4, 82)]);
        let queued = b.nic.with(|nic| nic.held().iter().filter(|rule| rule.queued).count());
        assert_eq!(queued, if templates { 3 } else { 0 });
        assert!(b.hits(80) && b.hits(81) && b.hits(82) && !b.hits(83));
        b.send(80);
        all.extend(b.run([query(1), query(2), update(4, 5, 90), remove(1), remove(9)]));
        assert!(!b.hits(80) && b.hits(81) && !b.hits(82) && b.hits(90));
        all.extend(b.run([remove(2), remove(5)]));
        assert_eq!(b.nic.with(|nic| (nic.rule_count(), nic.counters.len())), (0, 0), "nothing is left behind");
        all
    };
    let (templates, single) = (answers(true), answers(false));
    assert_eq!(
        templates[..4],
        [Ok(Done::Inserted), Ok(Done::Inserted), Err(DeviceErrorKind::Exists), Ok(Done::Inserted)]
    );
    let Ok(Done::Counted(counted)) = templates[4] else { panic!("{templates:?}") };
    assert_eq!((counted.packets, counted.bytes), (2, 2 * tcp4().len() as u64));
    assert_eq!(templates[7], Ok(Done::Removed { last: Some(counted), exact: true }));
    assert_eq!(templates, single);
}

#[test]
fn more_rules_than_a_queue_or_a_table_holds_go_in() {
    let mut b = bench(Faults::none(), true);
    let answers = b.run((0..5000).map(|n| insert(u64::from(n) + 1, n)));
    assert!(answers.iter().all(|a| *a == Ok(Done::Inserted)));
    assert_eq!(b.nic.with(|nic| nic.rule_count()), 5000);
    assert!(b.hits(4999) && b.hits(0) && !b.hits(5000));
    let counted = b.run((0..5000).map(|n| query(n + 1)));
    let hit = |a: &Result<Done, DeviceErrorKind>| matches!(a, Ok(Done::Counted(c)) if c.packets == 1);
    assert_eq!((0..5000).filter(|n| hit(&counted[*n])).collect::<Vec<_>>(), [0, 4999]);
    let answers = b.run((0..5000).map(|n| remove(n + 1)));
    assert!(answers.iter().all(|a| matches!(a, Ok(Done::Removed { exact: true, .. }))));
    assert_eq!(b.nic.with(|nic| (nic.rule_count(), nic.counters.len())), (0, 0));
}

#[test]
fn a_full_device_and_a_busy_one_say_so() {
    let nic = MockRteFlow::of(faulty("tiny", Faults::none()));
    let mut b = Bench { backend: RteFlowBackend::new(Box::new(nic.clone())), nic, next: 0 };
    let answers = b.run((0..10).map(|n| insert(u64::from(n) + 1, n)));
    assert_eq!(answers.iter().filter(|a| **a == Ok(Done::Inserted)).count(), 8);
    assert_eq!(answers[8..], [Err(DeviceErrorKind::TableFull), Err(DeviceErrorKind::TableFull)]);
    let mut b = bench(Faults { refuse: 1.0, ..Faults::none() }, true);
    assert_eq!(b.run([insert(1, 1)]), [Err(DeviceErrorKind::Busy)]);
    assert_eq!(b.nic.with(|nic| nic.counters.len()), 0);
}

#[test]
fn a_dead_device_ends_everything_and_comes_back() {
    let mut b = bench(Faults::none(), true);
    b.run([insert(1, 80)]);
    let rule = rule(81);
    b.backend.submit(&[Op::Insert { id: OpId(7), key: RuleKey(2), rule }]);
    b.nic.with(Eswitch::kill);
    let mut done = Vec::new();
    b.backend.poll(&mut done);
    assert_eq!(done.len(), 1);
    assert_eq!(done[0].result.as_ref().map_err(|e| e.kind), Err(DeviceErrorKind::Dead));
    let (device, ports) = (DeviceKey::Eswitch(EswitchDomain(0)), [WIRE]);
    assert_eq!(b.backend.revive(device, &ports).map_err(|e| e.kind), Err(DeviceErrorKind::Dead));
    b.nic.with(Eswitch::revive);
    b.backend.revive(device, &ports).unwrap();
    b.next = 10;
    assert_eq!(b.run([remove(1), insert(3, 80)]), [Err(DeviceErrorKind::NotFound), Ok(Done::Inserted)]);
    assert!(b.hits(80));
}

#[test]
fn rules_of_an_earlier_engine_are_adopted_and_leftovers_taken_out() {
    let ours = |generation| offload::backend::Cookie { instance: 77, generation };
    let mut b = bench(Faults::none(), true);
    assert_eq!(b.backend.adopt(ours(1)), []);
    b.run([insert(1, 80), insert(2, 81)]);
    assert!(b.hits(80));
    // One of ours that the memory does not know, and one of somebody else.
    let raw_rule = |port| {
        from_outside(ETHDEVS[0], &[Item::Eth(Match::Any), Item::Ipv4(Match::Any), tcp_dst(port)], &[Action::Drop])
    };
    b.nic.with(|nic| nic.create(&raw_rule(99)).unwrap());
    b.nic.with(|nic| {
        nic.set_cookie(Some(rte_flow_rs::Cookie(5 << 64)));
        nic.create(&raw_rule(100)).unwrap();
    });
    let memory: RteFlowMemory = b.backend.memory();
    let nic = b.nic.clone();
    drop(b);
    let mut b = Bench { backend: RteFlowBackend::with_memory(Box::new(nic.clone()), memory), nic, next: 100 };
    assert!(b.hits(80), "the rules went on");
    let mut adopted = b.backend.adopt(ours(2));
    adopted.sort_by_key(|a| a.key);
    assert_eq!(
        adopted.iter().map(|a| (a.key, a.cookie.generation)).collect::<Vec<_>>(),
        [(RuleKey(1), 1), (RuleKey(2), 1)]
    );
    assert_eq!((&*adopted[0].rule, adopted[0].counters.map(|c| c.packets)), (&*rule(80), Some(2)));
    assert_eq!(b.nic.with(|nic| nic.rule_count()), 3, "ours that nobody knows is gone, the other's stays");
    let answers = b.run([remove(1), insert(3, 82), query(2), remove(2), remove(3)]);
    assert!(matches!(answers[0], Ok(Done::Removed { exact: true, last: Some(c) }) if c.packets == 2));
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(b.nic.with(|nic| nic.held().len()), 1);
}

#[test]
fn a_device_without_age_takes_its_rules_and_tells_of_none() {
    let nic = MockRteFlow::of(nic("e810"));
    let backend = RteFlowBackend::new(Box::new(nic.clone())).with_age(10);
    let mut b = Bench { backend, nic, next: 0 };
    // A refusal that is not of the AGE comes first.
    let plain = |n| {
        let mut plain = (*rule(n)).clone();
        plain.actions.retain(|action| *action != HwAction::DecTtl);
        Arc::new(plain)
    };
    let put = |key, rule: Arc<HwRule>| -> Box<dyn Fn(OpId) -> Op> {
        Box::new(move |id| Op::Insert { id, key: RuleKey(key), rule: Arc::clone(&rule) })
    };
    let answers = b.run([put(1, rule(80)), put(2, plain(81)), put(3, plain(82))]);
    assert_eq!(answers, [Err(DeviceErrorKind::NotSupported), Ok(Done::Inserted), Ok(Done::Inserted)]);
    b.nic.with(|nic| nic.set_now(60_000_000_000));
    let mut idle = Vec::new();
    b.backend.aged(&mut idle);
    assert_eq!(idle, []);
}

#[test]
fn idle_rules_are_told_by_the_device_and_meters_are_made_there() {
    let nic = MockRteFlow::of(nic("connectx"));
    let backend = RteFlowBackend::new(Box::new(nic.clone())).with_age(10);
    let mut b = Bench { backend, nic, next: 0 };
    b.run([insert(1, 80), insert(2, 81)]);
    b.nic.with(|nic| nic.set_now(9_000_000_000));
    assert!(b.hits(81));
    b.nic.with(|nic| nic.set_now(11_000_000_000));
    let mut idle = Vec::new();
    b.backend.aged(&mut idle);
    assert_eq!(idle, [RuleKey(1)]);

    let spec = |rate| flow::meter::MeterSpec {
        id: 4,
        unit: flow::meter::MeterUnit::Pktps,
        burst: true,
        stats: true,
        bands: vec![flow::meter::Band { kind: flow::meter::BandKind::Drop, rate, burst_size: rate }],
    };
    let (id, mut api) = (flow::dp::MeterId(4), b.nic.clone());
    meters::set(&mut api, ETHDEVS[0], id, &spec(2)).unwrap();
    let metered = {
        let mut metered = (*rule(443)).clone();
        metered.actions.insert(0, HwAction::Meter(id));
        Arc::new(metered)
    };
    let op: Box<dyn Fn(OpId) -> Op> =
        Box::new(move |id| Op::Insert { id, key: RuleKey(9), rule: Arc::clone(&metered) });
    assert_eq!(b.run([op]), [Ok(Done::Inserted)]);
    assert_eq!((0..5).filter(|_| b.hits(443)).count(), 2);
    meters::set(&mut api, ETHDEVS[0], id, &spec(3)).unwrap();
    assert_eq!((0..5).filter(|_| b.hits(443)).count(), 3, "new rates, a full bucket");
    assert!(meters::remove(&mut api, ETHDEVS[0], id).is_err(), "a rule goes through it");
    b.run([remove(9)]);
    meters::remove(&mut api, ETHDEVS[0], id).unwrap();
    meters::set(&mut api, ETHDEVS[0], id, &spec(1)).unwrap();
}
