//! How many plans a second one core makes, for typical flows and for ones that are refused: `cargo bench -p offload`.
//! Arguments: how many seconds each case takes, default 1.

use flow::dp::{DpAction, DpFlow, FlowId, Mark};
use flow::extract::{RxMeta, extract};
use flow::{DpPort, FieldId, Mask, Value, VlanTag};
use offload::{Capabilities, EswitchDomain, EthdevId, PortInfo, PortKind, World, plan};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Plans a second a core that typical flows must reach.
const GOAL: f64 = 2e6;

fn world(profile: &str) -> World {
    let Some(caps) = Capabilities::preset(profile) else { return World::new() };
    let caps = Arc::new(caps);
    (1..=4u16).fold(World::new(), |world, n| {
        let info = PortInfo {
            name: format!("p{n}"),
            kind: PortKind::VfRepresentor(n),
            ethdev: EthdevId(n),
            domain: Some(EswitchDomain(0)),
            rx_queues: 1,
            caps: Arc::clone(&caps),
        };
        world.with_port(DpPort(n.into()), info)
    })
}

/// Flows of TCP connections that differ in addresses and ports, as the pipeline makes them.
fn flows(fields: &[FieldId], actions: &[DpAction]) -> Vec<DpFlow> {
    let mut mask = Mask::ANY;
    for field in [FieldId::InPort, FieldId::RecircId, FieldId::VlanTci, FieldId::EthType].iter().chain(fields) {
        mask.require(*field);
    }
    let frame = |n: u16| {
        let [hi, lo] = n.to_be_bytes();
        let mut bytes = vec![2, 0, 0, 0, hi, lo, 2, 0, 0, 1, lo, hi, 8, 0, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0];
        bytes.extend([10, 0, hi, lo, 10, 1, lo, hi, hi, lo, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 2, 0, 0, 0, 0, 0, 0]);
        bytes.resize(60, 0);
        bytes
    };
    let flow = |n: u16| {
        let bytes = frame(n);
        let key = extract(&bytes, bytes.len(), &RxMeta::from_port(DpPort(1)));
        DpFlow {
            id: FlowId(n.into()),
            key: key.masked(&mask),
            mask,
            actions: actions.into(),
            deps: Default::default(),
            effects: Default::default(),
            mark: Mark(u32::from(n) + 1),
        }
    };
    (0..1024).map(flow).collect()
}

/// Seconds that this process had a CPU (proc(5), schedstat), so that others on the machine do not count.
fn cpu_time() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    Some(stat.split(' ').next()?.parse::<f64>().ok()? / 1e9)
}

fn measure(name: &str, flows: &[DpFlow], world: &World, time: Duration) -> f64 {
    let (start, ran) = (Instant::now(), cpu_time());
    let mut plans = 0u64;
    while start.elapsed() < time {
        for flow in flows {
            black_box(plan(black_box(flow), world));
        }
        plans += flows.len() as u64;
    }
    let wall = start.elapsed().as_secs_f64();
    let rate = plans as f64 / cpu_time().zip(ran).map_or(wall, |(now, then)| now - then);
    println!("{name:24} {:8.2} million plans a second", rate / 1e6);
    rate
}

fn main() {
    let seconds = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(1.0);
    let time = Duration::from_secs_f64(seconds);
    let (connectx, marking) = (world("connectx"), world("mark-only"));
    let out = DpAction::Output(DpPort(2));
    let set = |field: FieldId, value: u128| DpAction::Set { field, value: Value(value), mask: field.def().ones() };
    let l2 = [FieldId::EthSrc, FieldId::EthDst];
    let l3 = [FieldId::EthDst, FieldId::Ipv4Dst, FieldId::IpFrag];
    let acl = [
        FieldId::EthDst,
        FieldId::Ipv4Src,
        FieldId::Ipv4Dst,
        FieldId::IpProto,
        FieldId::IpFrag,
        FieldId::TcpSrc,
        FieldId::TcpDst,
    ];
    let route = [set(FieldId::EthSrc, 7), set(FieldId::EthDst, 8), DpAction::DecTtl, out.clone()];
    let tag = [DpAction::PushVlan(VlanTag { tpid: 0x8100.into(), tci: 0x1007.into() }), out.clone()];
    let typical = [
        measure("l2, output", &flows(&l2, std::slice::from_ref(&out)), &connectx, time),
        measure("acl (5-tuple), output", &flows(&acl, std::slice::from_ref(&out)), &connectx, time),
        measure("l3, route", &flows(&l3, &route), &connectx, time),
        measure("l2, push tag", &flows(&l2, &tag), &connectx, time),
        measure("acl, mark", &flows(&acl, std::slice::from_ref(&out)), &marking, time),
    ];
    measure("refused: two outputs", &flows(&acl, &[out.clone(), out.clone()]), &connectx, time);
    measure("refused: truncate", &flows(&acl, &[DpAction::Truncate(64), out]), &connectx, time);
    let slowest = typical.into_iter().fold(f64::INFINITY, f64::min);
    println!(
        r#"{{"bench":"offload plan","slowest_typical":{slowest:.0},"goal":">= {GOAL:.0} plans a second","pass":{}}}"#,
        slowest >= GOAL
    );
}
