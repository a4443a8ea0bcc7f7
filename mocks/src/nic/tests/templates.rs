//! The template engine puts in the same rules as single calls do.

use super::*;
use rte_flow_rs::layout::action_type;
use rte_flow_rs::{
    ActionHandle, ActionMask, AsyncResult, Cookie, CountQuery, EngineConfig, LoweredActions, LoweredPattern, Queue,
    TemplateAttr,
};
use std::time::Duration;

const WIRE: u16 = ETHDEVS[0];
const OUT: Action = Action::RepresentedPort(ETHDEVS[1]);

struct Table {
    nic: Eswitch,
    table: u64,
}

fn pattern(ip: [u8; 4], port: u16) -> [Item; 4] {
    let from = Ethdev { port_id: WIRE };
    [
        Item::RepresentedPort(Match::Masked { spec: from, mask: Ethdev { port_id: 0xffff } }),
        Item::Eth(Match::Any),
        ipv4_dst(ip, [255, 255, 255, 0]),
        tcp_dst(port),
    ]
}

fn list(counter: u64, ttl: u8) -> [Action; 3] {
    [Action::Indirect(ActionHandle(counter)), Action::SetTtl(ttl), OUT]
}

fn table(faults: Faults, room: u32) -> Table {
    let mut nic = faulty("connectx", faults);
    let config = EngineConfig { queues: 2, queue_size: 8, ..EngineConfig::default() };
    nic.engine_configure(WIRE, &config).unwrap();
    let attr = TemplateAttr { transfer: true, relaxed_matching: true, ..TemplateAttr::default() };
    let items = super::super::rte_flow::raw_items(&LoweredPattern::new(&pattern(IP_B, 80)));
    let shape = nic.pattern_template_create(WIRE, attr, items).unwrap();
    let acts = list(0, 0);
    let masks = LoweredActions::masks(&acts, |i, _| match i {
        0 => ActionMask::Indirect(action_type::COUNT),
        _ => ActionMask::PerRule,
    });
    let raw = super::super::template::raw_actions;
    let actions = nic.actions_template_create(WIRE, attr, &raw(&LoweredActions::new(&acts)), &raw(&masks)).unwrap();
    let table = nic.table_create(WIRE, TRANSFER, room, &[shape], &[actions]).unwrap();
    Table { nic, table }
}

impl Table {
    fn queue(user: u64) -> Queue {
        Queue { id: 0, postpone: true, user }
    }

    fn create(&mut self, user: u64, items: &[Item], actions: &[Action]) -> Result<u64, i32> {
        let (items, actions) = (LoweredPattern::new(items), LoweredActions::new(actions));
        let made = self.nic.async_create(WIRE, Self::queue(user), self.table, (&items, 0), (&actions, 0), true);
        made.map_err(|refusal| refusal.errno)
    }

    fn ends(&mut self) -> Vec<(u64, bool)> {
        let mut ends: Vec<AsyncResult> = Vec::new();
        self.nic.push(WIRE, 0).unwrap();
        while self.nic.pull(WIRE, 0, &mut ends, 3).unwrap() > 0 {}
        ends.into_iter().map(|end| (end.user, end.done)).collect()
    }
}

#[test]
fn rules_are_in_when_they_are_pushed_and_out_when_they_are_taken_out() {
    let mut t = table(Faults::none(), 64);
    let counter = t.nic.async_counter_create(WIRE, Table::queue(1)).unwrap();
    let rule = t.create(2, &pattern(IP_B, 80), &list(counter, 9)).unwrap();
    assert_eq!(send(&mut t.nic, 0, &tcp4()), miss(0, &tcp4()), "not pushed yet");
    assert_eq!(t.ends(), [(1, true), (2, true)]);
    assert_eq!(only_frame(send(&mut t.nic, 0, &tcp4()))[22], 9);
    assert_eq!(t.nic.query_counter(counter, false).unwrap().packets, 1);
    let mut read = |user, reset| {
        t.nic.async_counter_query(WIRE, Table::queue(user), counter, reset).unwrap();
        let mut ends = Vec::new();
        assert_eq!(t.nic.pull(WIRE, 0, &mut ends, 3).unwrap(), 0, "not pushed yet");
        t.nic.push(WIRE, 0).unwrap();
        t.nic.pull(WIRE, 0, &mut ends, 3).unwrap();
        ends
    };
    let bytes = Some(tcp4().len() as u64);
    let once = CountQuery { packets: Some(1), bytes };
    assert_eq!(read(6, true), [AsyncResult { user: 6, done: true, count: Some(once) }]);
    let none = CountQuery { packets: Some(0), bytes: Some(0) };
    assert_eq!(read(7, false), [AsyncResult { user: 7, done: true, count: Some(none) }]);
    assert_eq!(t.nic.table_destroy(t.table).unwrap_err().errno, 16);
    t.nic.async_destroy(WIRE, Table::queue(3), rule).unwrap();
    t.nic.async_counter_destroy(WIRE, Table::queue(4), counter).unwrap();
    t.nic.async_destroy(WIRE, Table::queue(5), rule).unwrap();
    t.nic.async_counter_query(WIRE, Table::queue(8), counter, false).unwrap();
    assert_eq!(t.ends(), [(3, true), (4, true), (5, false), (8, false)]);
    assert_eq!(send(&mut t.nic, 0, &tcp4()), miss(0, &tcp4()));
    assert_eq!(t.nic.rule_count(), 0);
    t.nic.table_destroy(t.table).unwrap();
}

#[test]
fn what_the_engine_refuses() {
    let mut t = table(Faults::none(), 2);
    let counter = t.nic.create_counter().unwrap();
    assert_eq!(t.create(1, &pattern(IP_B, 80)[1..], &list(counter, 9)), Err(22), "another shape");
    assert_eq!(t.create(1, &pattern(IP_B, 80), &[OUT]), Err(22));
    assert_eq!(t.create(1, &pattern(IP_B, 80), &list(999, 9)), Err(2), "no such counter");
    t.create(1, &pattern(IP_B, 80), &list(counter, 9)).unwrap();
    t.create(2, &pattern(IP_B, 80), &list(counter, 9)).unwrap();
    assert_eq!(t.ends(), [(1, true), (2, false)], "the same match twice");
    t.create(3, &pattern(IP_B, 81), &list(counter, 9)).unwrap();
    assert_eq!(t.ends(), [(3, true)]);
    assert_eq!(t.create(4, &pattern(IP_B, 82), &list(counter, 9)), Err(28), "room for two");
    let mut small = table(Faults::none(), 64);
    let counter = small.nic.create_counter().unwrap();
    for user in 0..8 {
        small.create(user, &pattern(IP_B, 100 + user as u16), &list(counter, 9)).unwrap();
    }
    assert_eq!(small.create(9, &pattern(IP_B, 99), &list(counter, 9)), Err(11), "the queue is full");
    assert_eq!(small.ends().len(), 8);
    let many = EngineConfig { queues: 99, queue_size: 8, ..EngineConfig::default() };
    assert_eq!(small.nic.engine_configure(ETHDEVS[1], &many).unwrap_err().errno, 95);
    assert_eq!(nic("e810").engine_info(WIRE).unwrap_err().errno, 95);
}

/// The quick way into the tables and the way by single calls agree: same frames, same answers.
#[test]
fn both_ways_match_the_same() {
    for fault in [None, Some(Fault::MaskWidened), Some(Fault::MaskByteSwapped)] {
        let faults: Faults = fault.into_iter().collect();
        let mut t = table(faults.clone(), 64);
        let mut single = faulty("connectx", faults);
        let counters = (t.nic.create_counter().unwrap(), single.create_counter().unwrap());
        for (user, (ip, port)) in [(IP_B, 80), ([10, 0, 1, 9], 80), (IP_A, 443)].into_iter().enumerate() {
            t.create(user as u64, &pattern(ip, port), &list(counters.0, 9)).unwrap();
            single.create(&raw(WIRE, TRANSFER, &pattern(ip, port), &list(counters.1, 9))).ok();
        }
        t.ends();
        for place in 0..2 {
            for last in [0, 1, 2, 255] {
                for third in [0, 1] {
                    for port in [80u16, 81, 443] {
                        let mut frame = tcp4();
                        (frame[32], frame[33]) = (third, last);
                        frame[36..38].copy_from_slice(&port.to_be_bytes());
                        let both = (send(&mut t.nic, place, &frame), send(&mut single, place, &frame));
                        assert_eq!(both.0, both.1, "{fault:?} {third} {last} {port}");
                    }
                }
            }
        }
    }
}

#[test]
fn slow_insertions_end_later_and_lost_ones_seem_done() {
    let slow = Faults { insert_delay: Duration::from_millis(20), ..Faults::none() };
    let mut t = table(slow, 64);
    let counter = t.nic.create_counter().unwrap();
    t.create(1, &pattern(IP_B, 80), &list(counter, 9)).unwrap();
    assert_eq!(t.ends(), []);
    std::thread::sleep(Duration::from_millis(25));
    assert_eq!(t.ends(), [(1, true)]);
    let mut t = table(Faults { lose: 1.0, ..Faults::none() }, 64);
    let counter = t.nic.create_counter().unwrap();
    let rule = t.create(1, &pattern(IP_B, 80), &list(counter, 9)).unwrap();
    assert_eq!(t.ends(), [(1, true)]);
    assert_eq!(send(&mut t.nic, 0, &tcp4()), miss(0, &tcp4()));
    assert_eq!((t.nic.rule_count(), t.nic.destroy(rule)), (1, Ok(())));
}

#[test]
fn a_dead_device_comes_back_empty_and_a_reset_port_has_lost_its_rules() {
    let mut t = table(Faults::none(), 64);
    let counter = t.nic.create_counter().unwrap();
    t.nic.set_cookie(Some(Cookie(5)));
    t.nic.set_recording(true);
    t.create(1, &pattern(IP_B, 80), &list(counter, 9)).unwrap();
    t.ends();
    let held = t.nic.held();
    assert_eq!((held.len(), held[0].cookie, held[0].ethdev, held[0].queued), (1, Some(Cookie(5)), WIRE, true));
    let (items, actions) = held[0].record.as_ref().unwrap().read();
    assert_eq!((items.len(), actions[0].handle), (4, Some(ActionHandle(counter))));
    t.nic.reset_port(WIRE);
    assert_eq!((t.nic.rule_count(), t.nic.query_counter(counter, false).is_ok()), (0, true));
    t.nic.kill();
    assert_eq!(t.nic.push(WIRE, 0).unwrap_err().errno, 5);
    t.nic.revive();
    assert_eq!(t.nic.push(WIRE, 0).unwrap_err().errno, 22, "queues are gone too");
    let rule = raw(WIRE, TRANSFER, &pattern(IP_B, 80), &[OUT]);
    t.nic.create(&rule).unwrap();
    assert_eq!(t.nic.held().len(), 1);
}
