//! With DPDK: rings, mbufs, metadata, and whole captures.

use super::*;
use dpdk::{MbufBatch, Port, PortConfig, RxQueue, TxQueue, testing};
use pcap_file::pcap::PcapReader;
use rte_flow_rs::{Class, LoweredActions, RteFlowApi};
use std::sync::atomic::{AtomicU32, Ordering};

/// A NIC and its representors, ready to be polled.
struct Bench {
    nic: MockNic,
    at: NicHandle,
    ports: Vec<Port>,
    rx: Vec<RxQueue>,
    tx: Vec<TxQueue>,
}

fn bench(profile: &str, change: impl FnOnce(&mut MockNicConfig)) -> Bench {
    static SERIAL: AtomicU32 = AtomicU32::new(0);
    let mut config = MockNicConfig::new(Profile::named(profile).unwrap());
    config.name = format!("t{}", SERIAL.fetch_add(1, Ordering::Relaxed));
    config.vfs = 2;
    config.buffers = 1023;
    config.ring_size = 63;
    change(&mut config);
    let (nic, representors) = MockNic::new(testing::eal(), config).unwrap();
    let pool = testing::mempool(255);
    let (mut rx, mut tx, mut ports) = (Vec::new(), Vec::new(), Vec::new());
    for representor in representors {
        let port = representor.port;
        port.configure(&PortConfig::default(), &pool).unwrap();
        port.start().unwrap();
        let (mut rxs, mut txs) = port.take_queues().unwrap();
        rx.push(rxs.remove(0));
        tx.push(txs.remove(0));
        ports.push(port);
    }
    Bench { at: nic.handle(), nic, ports, rx, tx }
}

impl Bench {
    /// Send back out what representor `from` receives at the representor `to`; how many packets.
    fn shuttle(&mut self, from: usize, to: usize) -> usize {
        let mut batch = MbufBatch::new();
        let n = self.rx[from].burst(&mut batch);
        self.tx[to].burst(&mut batch);
        n
    }
}

fn wire_to_vf0(bench: &Bench, actions: &[Action]) -> LoweredFlow {
    let port = Item::RepresentedPort(Match::Masked {
        spec: Ethdev { port_id: bench.ports[0].id() },
        mask: Ethdev { port_id: 0xffff },
    });
    LoweredFlow::new(TRANSFER, &[port, Item::Eth(Match::Any), Item::Ipv4(Match::Any)], actions)
}

#[test]
fn frames_go_round_and_marks_are_in_the_mbuf() {
    let mut b = bench("connectx", |_| {});
    b.at.inject(End::Wire, &tcp4()).unwrap();
    assert_eq!((b.at.waiting(), b.nic.is_quiet()), (1, false));
    assert_eq!((b.nic.step(), b.nic.step()), (1, 0));
    let mut batch = MbufBatch::new();
    assert_eq!(b.rx[0].burst(&mut batch), 1);
    let packet = batch.pop().unwrap();
    assert_eq!((packet.mark(), packet.flag(), packet.port()), (None, false, b.ports[0].id()));
    assert_eq!(packet.to_vec(), tcp4());

    let mut api = b.nic.rte_flow();
    let id = b.ports[0].id();
    let mark = LoweredFlow::new(INGRESS, &[Item::Eth(Match::Any)], &[Action::Mark(0x1234), Action::Queue(0)]);
    api.create(id, &mark).unwrap();
    b.at.inject(End::Wire, &tcp4()).unwrap();
    b.nic.step();
    assert_eq!(b.rx[0].burst(&mut batch), 1);
    assert_eq!((batch[0].mark(), batch[0].flag()), (Some(0x1234), true));
    // Marks do not leave with the packet.
    b.tx[2].burst(&mut batch);
    b.nic.step();
    assert_eq!(b.at.collect(End::Vf(1)).unwrap(), [tcp4()]);

    let out = wire_to_vf0(&b, &[Action::Count(0), Action::DecTtl, Action::RepresentedPort(b.ports[1].id())]);
    let rule = api.create(id, &out).unwrap();
    b.at.inject(End::Wire, &tcp4()).unwrap();
    b.nic.step();
    assert_eq!(b.at.collect(End::Vf(0)).unwrap()[0][22], 63);
    assert_eq!(api.query_count(id, rule, false).unwrap().bytes, Some(tcp4().len() as u64));
    api.destroy(id, rule).unwrap();
    assert_eq!(api.destroy(id, rule).unwrap_err().class(), Class::NotFound);
    let stats = b.at.stats();
    assert_eq!((stats.frames_in, stats.hardware, stats.partial, stats.software), (3, 1, 1, 1));
    assert_eq!((stats.frames_out, stats.from_representors), (2, 1));
    assert!(b.nic.is_quiet());
}

#[test]
fn the_api_says_what_the_device_is() {
    let b = bench("connectx", |config| config.domain = 7);
    let mut api = b.nic.rte_flow();
    let info = api.info(b.ports[1].id()).unwrap();
    assert_eq!((info.driver.as_str(), info.switch_domain), ("mock_connectx", Some(7)));
    assert_eq!(api.info(999).unwrap_err().class(), Class::DeviceDead);
    assert_eq!(api.pick_transfer_proxy(b.ports[1].id()), Ok(b.ports[0].id()));
    assert_eq!(info.meters.map(|m| m.max_meters), Some(4096));
    assert_eq!(api.meter_destroy(b.ports[0].id(), 1).unwrap_err().class(), Class::NotFound);
    let count = LoweredActions::new(&[Action::Count(0)]);
    let handle = api.action_create(b.ports[0].id(), TRANSFER, &count).unwrap();
    assert_eq!(api.action_query_count(b.ports[0].id(), handle, false).unwrap().packets, Some(0));
    let drop = LoweredActions::new(&[Action::Drop]);
    assert_eq!(api.action_create(b.ports[0].id(), TRANSFER, &drop).unwrap_err().class(), Class::Unsupported);
    b.at.kill();
    assert_eq!(api.action_destroy(b.ports[0].id(), handle).unwrap_err().class(), Class::DeviceDead);
}

#[test]
fn frames_of_any_length_pass() {
    let mut b = bench("connectx", |_| {});
    for len in [1, 14, 60, 1514, 2049, 9000, 65_550] {
        let frame: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
        b.at.inject(End::Vf(1), &frame).unwrap();
        b.nic.step();
        assert_eq!(b.shuttle(2, 0), 1, "{len}");
        b.nic.step();
        assert_eq!(b.at.collect(End::Wire).unwrap(), [frame], "{len}");
    }
    assert_eq!(b.at.inject(End::Wire, &[]), Err(InjectError::Length { end: End::Wire, len: 0 }));
    assert!(b.at.inject(End::Wire, &vec![0; 70_000]).is_err());
    assert!(matches!(b.at.inject(End::Vf(2), &tcp4()), Err(InjectError::NoSuchEnd { .. })));
    assert_eq!(b.at.stats().frames_in, 7);
}

#[test]
fn frames_lost_at_full_queues_have_a_name() {
    let mut b = bench("connectx", |config| {
        config.ring_size = 7;
        config.end_capacity = 16;
    });
    for _ in 0..16 {
        b.at.inject(End::Wire, &tcp4()).unwrap();
    }
    assert_eq!(b.at.inject(End::Wire, &tcp4()), Err(InjectError::Full { end: End::Wire, waiting: 16 }));
    while b.nic.step() > 0 {}
    let stats = b.at.stats();
    assert_eq!((stats.frames_in, stats.software, stats.drops.get("representor_full")), (16, 16, Some(&9)));
    let out = wire_to_vf0(&b, &[Action::RepresentedPort(b.ports[1].id())]);
    b.nic.rte_flow().create(b.ports[0].id(), &out).unwrap();
    for _ in 0..20 {
        b.at.inject(End::Wire, &tcp4()).unwrap();
        b.nic.step();
    }
    let stats = b.at.stats();
    assert_eq!((stats.hardware, stats.frames_out, stats.drops.get("end_full")), (20, 16, Some(&4)));
    assert_balance(&stats);
}

#[test]
fn rules_choose_the_queue_that_a_packet_comes_to() {
    let (mut nic, representors) = {
        let mut config = MockNicConfig::new(Profile::named("connectx").unwrap());
        (config.name, config.vfs, config.buffers, config.queues) = ("queues".into(), 0, 255, 4);
        MockNic::new(testing::eal(), config).unwrap()
    };
    let port = &representors[0].port;
    port.configure(&PortConfig { rx_queues: 4, tx_queues: 4, ..PortConfig::default() }, &testing::mempool(255))
        .unwrap();
    port.start().unwrap();
    let (mut rx, _tx) = port.take_queues().unwrap();
    let (at, mut api) = (nic.handle(), nic.rte_flow());
    // Packets of 32 pairs of addresses; which queues they came to.
    let mut queues = |nic: &mut MockNic| -> Vec<usize> {
        for n in 0..32 {
            let mut frame = udp4();
            frame[29] = n;
            at.inject(End::Wire, &frame).unwrap();
        }
        while nic.step() > 0 {}
        rx.iter_mut().map(|queue| queue.burst(&mut MbufBatch::new())).collect()
    };
    let all = queues(&mut nic);
    assert!(all.iter().sum::<usize>() == 32 && all.iter().all(|n| *n > 0), "{all:?}: no rule, any queue");
    let rss = rte_flow_rs::Rss { queues: vec![3, 1], ..rte_flow_rs::Rss::default() };
    for (action, to) in [(Action::Queue(2), vec![2]), (Action::Rss(rss), vec![1, 3])] {
        let flow = LoweredFlow::new(INGRESS, &[Item::Eth(Match::Any)], &[action]);
        let rule = api.create(port.id(), &flow).unwrap();
        let seen = queues(&mut nic);
        let used: Vec<usize> = (0..4).filter(|queue| seen[*queue] > 0).collect();
        assert_eq!((used, seen.iter().sum::<usize>()), (to, 32), "{seen:?}");
        api.destroy(port.id(), rule).unwrap();
    }
}

#[test]
fn more_ports_than_dpdk_has_are_refused_by_name() {
    let mut config = MockNicConfig::new(Profile::named("none").unwrap());
    config.vfs = 32;
    let refused = MockNic::new(testing::eal(), config).unwrap_err();
    assert!(matches!(refused, NicError::TooManyPorts { vfs: 32, limit: 32, .. }), "{refused}");
    assert!(refused.to_string().contains("at most 31 VFs"), "{refused}");
}

#[test]
fn a_thread_moves_packets_too() {
    let b = bench("connectx", |_| {});
    let out = wire_to_vf0(&b, &[Action::RepresentedPort(b.ports[1].id())]);
    b.nic.rte_flow().create(b.ports[0].id(), &out).unwrap();
    let thread = b.nic.spawn().unwrap();
    let mut got = 0;
    for _ in 0..100 {
        b.at.inject(End::Wire, &tcp4()).unwrap();
    }
    let start = std::time::Instant::now();
    while got < 100 && start.elapsed() < std::time::Duration::from_secs(60) {
        got += b.at.collect(End::Vf(0)).unwrap().len();
        std::thread::yield_now();
    }
    assert_eq!(got, 100);
    assert!(thread.stop().is_some_and(|nic| nic.is_quiet()));
}

#[test]
fn captures_pass_unchanged_through_software_and_are_read_whole() {
    let mut b = bench("connectx", |_| {});
    let mut frames = 0;
    for (name, bytes) in crate::captures::ALL {
        let mut reader = PcapReader::new(*bytes).unwrap();
        while let Some(packet) = reader.next_packet() {
            let data = packet.unwrap_or_else(|e| panic!("{name}: {e}")).data.into_owned();
            b.at.inject(End::Wire, &data).unwrap();
            b.nic.step();
            assert_eq!(b.shuttle(0, 1), 1);
            b.nic.step();
            assert_eq!(b.at.collect(End::Vf(0)).unwrap(), [data], "{name}");
            frames += 1;
        }
    }
    assert!(frames > 900, "{frames}");
    assert_eq!(b.at.stats().software, frames);
    assert!(crate::captures::ALL.is_sorted_by_key(|(name, _)| name));
    assert_eq!(crate::captures::named("arp.pcap").map(<[u8]>::len), Some(444));
}
