//! Outer headers: how many different ones a device holds, and an engine that keeps to it.

use super::*;
use flow::clock::Time;
use flow::dp::{DpAction, DpFlow, Encap, FlowId, FlowListener, Hits, Mark};
use flow::port::DpPort;
use flow::{FieldId, FlowKey, Mask, Value};
use offload::{
    Engine, EngineConfig, EswitchDomain, EthdevId, HitSink, Placement, PortInfo, PortKind, RteFlowBackend, World,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const ENOSPC: i32 = 28;
const OUT: Action = Action::RepresentedPort(ETHDEVS[1]);

/// `connectx` with room for so many headers.
fn switch(most: usize) -> Eswitch {
    let text = include_str!("../../../profiles/connectx.toml");
    let profile = Profile::parse("few", &format!("encap-headers = {most}\n{text}")).unwrap();
    Eswitch::new(profile, ETHDEVS.to_vec(), Faults::none(), 1)
}

fn header(n: u8) -> Vec<u8> {
    vec![n; 50]
}

fn with(n: u16, actions: &[Action]) -> RawFlow {
    from_outside(ETHDEVS[0], &[Item::Eth(Match::Any), Item::Ipv4(Match::Any), tcp_dst(n)], actions)
}

fn encap(n: u16, header: Vec<u8>) -> RawFlow {
    with(n, &[Action::RawEncap(header), OUT])
}

#[test]
fn a_profile_says_how_many_headers_there_is_room_for() {
    assert_eq!(switch(3).profile().capabilities().limits.encap_headers, Some(3));
    let limit = |name| Profile::named(name).unwrap().capabilities().limits.encap_headers;
    assert_eq!((limit("tiny"), limit("connectx")), (Some(2), None));
    assert!(Profile::parse("x", "encap-headers = -1").is_err());
}

#[test]
fn one_more_header_than_there_is_room_for_is_refused_and_one_that_is_there_is_not() {
    let mut nic = switch(2);
    let first = nic.create(&encap(1, header(1))).unwrap();
    nic.create(&encap(2, header(2))).unwrap();
    let third = encap(3, header(3));
    let refused = nic.create(&third).unwrap_err();
    assert_eq!(
        (refused.errno, refused.message.as_str()),
        (ENOSPC, "no room for another outer header: 2 of 2 are in use")
    );
    assert_eq!(nic.validate(&third).unwrap_err().errno, ENOSPC);
    let again = nic.create(&encap(4, header(1))).unwrap();
    nic.create(&with(5, &[OUT])).unwrap();
    nic.destroy(first).unwrap();
    assert_eq!((nic.outer_headers(), nic.create(&third).unwrap_err().errno), (2, ENOSPC), "another rule has it still");
    nic.destroy(again).unwrap();
    nic.create(&third).unwrap();
    // Those of copies are headers, too.
    nic.flush(ETHDEVS[0]).unwrap();
    assert_eq!(nic.outer_headers(), 0);
    let copy = |n| Action::Sample { ratio: 1, actions: vec![Action::RawEncap(header(n)), OUT] };
    nic.create(&with(6, &[copy(1), Action::RawEncap(header(2)), OUT])).unwrap();
    assert_eq!((nic.outer_headers(), nic.create(&third).unwrap_err().errno), (2, ENOSPC));
    nic.kill();
    nic.revive();
    nic.create(&third).unwrap();
    assert_eq!((nic.outer_headers(), switch(0).create(&third).unwrap_err().errno), (1, ENOSPC));
    // No rule is refused for its header where there is no limit.
    let mut free = super::nic("connectx");
    for n in 0..200 {
        free.create(&encap(n.into(), header(n))).unwrap();
    }
    assert_eq!(free.outer_headers(), 200);
}

struct NoSink;

impl HitSink for NoSink {
    fn hardware_hits(&self, _: &Arc<DpFlow>, _: Hits) {}
    fn hardware_gone(&self, _: &Arc<DpFlow>) {}
}

/// What the switch says of itself; with more headers if it lies. Ports 1 to 4 are its places.
fn world(nic: &Eswitch, lie: Option<u32>) -> World {
    let mut caps = nic.profile().capabilities();
    caps.limits.encap_headers = lie.or(caps.limits.encap_headers);
    let caps = Arc::new(caps);
    let port = |(n, ethdev): (u16, u16)| PortInfo {
        name: format!("p{n}"),
        kind: if n == 0 { PortKind::Uplink } else { PortKind::VfRepresentor(n - 1) },
        ethdev: EthdevId(ethdev),
        domain: Some(EswitchDomain(0)),
        rx_queues: 1,
        caps: Arc::clone(&caps),
    };
    let ports = (0..4).zip(ETHDEVS).map(|(n, ethdev)| (DpPort(u32::from(n) + 1), port((n, ethdev))));
    ports.fold(World::new(), |world, (number, info)| world.with_port(number, info))
}

fn flow(id: u64, outer: Option<u8>) -> Arc<DpFlow> {
    let (mut key, mut mask) = (FlowKey::ZERO, Mask::ANY);
    let fields = [
        (FieldId::InPort, 2),
        (FieldId::RecircId, 0),
        (FieldId::EthDst, 0x0200_0000_0001),
        (FieldId::EthType, 0x0800),
        (FieldId::Ipv4Dst, u128::from(id)),
    ];
    for (field, value) in fields {
        mask.require(field);
        key.set(field, Value(value));
    }
    let push = |n| DpAction::TunnelPush(Encap { header: header(n).into(), port: DpPort(1) });
    Arc::new(DpFlow {
        id: FlowId(id),
        key,
        mask,
        actions: [outer.map_or(DpAction::Output(DpPort(1)), push)].into_iter().collect(),
        deps: Default::default(),
        effects: Default::default(),
        mark: Mark(id as u32),
    })
}

fn engine(nic: &MockRteFlow, templates: bool, lie: Option<u32>) -> Arc<Engine> {
    let backend = RteFlowBackend::new(Box::new(nic.clone()));
    let backend = if templates { backend } else { backend.without_templates() };
    let world = nic.with(|nic| world(nic, lie));
    Engine::new(EngineConfig::default(), world, Box::new(backend), Arc::new(NoSink))
}

#[test]
fn an_engine_never_asks_for_more_headers_than_the_device_holds() {
    for (templates, most) in [(true, 3), (false, 3), (true, 1)] {
        let nic = MockRteFlow::of(switch(most));
        let engine = engine(&nic, templates, None);
        let mut alive = BTreeMap::new();
        let mut dice = 7u64;
        let mut random = |below: u64| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (dice >> 33) % below
        };
        for id in 1..400u64 {
            if random(5) < 3 {
                let outer = (random(4) > 0).then(|| random(7) as u8);
                alive.insert(id, outer);
                engine.flow_added(&flow(id, outer));
            } else if let Some(gone) = alive.keys().copied().nth(random(alive.len() as u64 + 1) as usize) {
                let outer = alive.remove(&gone).flatten();
                engine.flow_removed(&flow(gone, outer));
            }
            if random(3) == 0 {
                assert!(engine.settle(Time(id * 1_000_000), 1000));
                let wanted: BTreeSet<u8> = alive.values().flatten().copied().collect();
                assert_eq!(nic.with(|nic| nic.outer_headers()), wanted.len().min(most));
            }
        }
        assert!(engine.settle(Time(500_000_000), 1000));
        let status = engine.status();
        assert_eq!((status.tables[0].refused, status.full + status.partial), (0, alive.len()), "{status:?}");
        assert!(status.by_reason["EncapTableFull"] > 10 && status.full > 10, "{status:?}");
        alive.iter().for_each(|(id, outer)| engine.flow_removed(&flow(*id, *outer)));
        assert!(engine.settle(Time(1_000_000_000), 1000));
        assert_eq!(nic.with(|nic| (nic.outer_headers(), nic.rule_count())), (0, 0));
    }
}

#[test]
fn what_a_device_says_of_headers_is_not_taken_for_a_full_table() {
    for templates in [true, false] {
        let nic = MockRteFlow::of(switch(2));
        let engine = engine(&nic, templates, Some(100));
        // All at once: the queue does not say which of them is one too many.
        let flows: Vec<_> = [1, 2, 3, 4].map(Some).into_iter().chain([Some(1), None]).zip(1..).collect();
        flows.iter().for_each(|(outer, id)| engine.flow_added(&flow(*id, *outer)));
        assert!(engine.settle(Time(0), 1000));
        let places: Vec<_> = (1..=6).map(|id| engine.explain(FlowId(id)).unwrap().placement).collect();
        use Placement::{Full, Partial};
        assert_eq!(places, [Full, Full, Partial, Partial, Full, Full]);
        let said = engine.explain(FlowId(3)).unwrap().refusals;
        assert_eq!(said[0].name(), "DeviceTableFull");
        assert!(said[0].to_string().contains("no room for another outer header: 2 of 2 are in use"), "{}", said[0]);
        engine.flow_removed(&flow(2, Some(2)));
        assert!(engine.settle(Time(1_000_000), 1000));
        let status = engine.status();
        assert_eq!((status.full, status.partial, status.tables[0].encap_headers), (4, 1, 2));
    }
}
