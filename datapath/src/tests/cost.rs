//! What actions cost, in instructions a packet: for callgrind, not a test.
//!
//! `COST=ROW valgrind --tool=callgrind --toggle-collect='*::cost::measured*' TEST_BINARY --ignored --exact tests::cost::actions`
//! runs 1,000 bursts of 32 packets of a row of [`ROWS`] in `measured`. The driver's share is in functions of librte_*.

use super::*;
use crate::egress::{TxPort, max_frame};
use crate::execute::Executor;
use crate::placement::PmdSpot;
use crate::pmd::PmdShared;
use crate::program::Program;
use crate::shared::Shared;
use crate::tx::TxHandle;
use flow::{FieldId, Value, VlanTag};

fn set(field: FieldId) -> DpAction {
    DpAction::Set { field, value: Value(2), mask: field.def().ones() }
}

fn row(name: &str) -> Vec<DpAction> {
    match name {
        "output" => vec![out(1)],
        "acl" => vec![set(FieldId::EthDst), DpAction::DecTtl, out(1)],
        "l3" => vec![set(FieldId::EthSrc), set(FieldId::EthDst), DpAction::DecTtl, out(1)],
        "nat" => vec![set(FieldId::Ipv4Dst), set(FieldId::UdpDst), DpAction::DecTtl, out(1)],
        "push" => vec![DpAction::PushVlan(VlanTag { tpid: 0x8100.into(), tci: 0x1005.into() }), out(1)],
        "flood" => vec![out(1), out(2), out(3)],
        other => panic!("no row {other:?}: output, acl, l3, nat, push, flood"),
    }
}

#[inline(never)]
fn measured(executor: &mut Executor, program: &Program, packets: &mut MbufBatch, one_by_one: bool) {
    if one_by_one {
        for packet in packets.drain() {
            executor.execute(program, packet, Time::default());
        }
    } else {
        executor.execute_group(program, packets, Time::default());
    }
    executor.egress.flush();
}

#[test]
#[ignore = "for callgrind"]
fn actions() {
    let name = std::env::var("COST").unwrap_or_else(|_| "output".into());
    let one_by_one = std::env::var("ONE_BY_ONE").is_ok();
    let _thread = testing::eal().register_thread().unwrap();
    let pool = Arc::new(testing::mempool(1023));
    let slowpath = Arc::<FakeSlowpath>::default();
    let clock = Arc::new(VirtualClock::default());
    let heard = Arc::<Heard>::default();
    let shared = Arc::new(Shared::new(slowpath, heard, None, clock, Arc::clone(&pool), Config::default()));
    let mut executor = Executor::new(shared, Arc::new(PmdShared::new(0, PmdSpot::default(), 16)));
    let mut ends = Vec::new();
    for port in 1..4 {
        let (device, end) = ring_port(&pool, 1);
        let (_, mut tx) = device.take_queues().unwrap();
        executor
            .egress
            .add(DpPort(port), TxPort::new(TxHandle::Own(tx.remove(0)), true, max_frame(1500), Arc::default()));
        ends.push(end);
    }
    let program = Program::new(&row(&name));
    let bytes = frame(1, 2, 3, 20);
    let mut sent = MbufBatch::new();
    for _ in 0..1000 {
        let mut packets = MbufBatch::new();
        pool.alloc_batch(&mut packets, dpdk::BURST).unwrap();
        for packet in packets.iter_mut() {
            packet.append(bytes.len()).unwrap().copy_from_slice(&bytes);
        }
        measured(&mut executor, &program, &mut packets, one_by_one);
        for end in &mut ends {
            while end.1.dequeue(&mut sent) > 0 {
                sent.clear();
            }
        }
    }
    assert!(pool.is_full());
}
