//! Ports of rings and of DPDK's null and pcap drivers: no hardware, no privileges.

use super::*;
use crate::batch::MbufBatch;
use crate::mbuf::Mbuf;
use crate::ring::{RingMode, ring};
use crate::testing;
use crate::{HEADROOM, MempoolConfig};

/// Serialises tests that count or fill DPDK's port table.
static TABLE: Mutex<()> = Mutex::new(());

fn table() -> MutexGuard<'static, ()> {
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A ring port and its outside ends: what the port receives from, what it sends into.
fn ring_port(name: &str, size: u32) -> (Port, RingProducer, RingConsumer) {
    let eal = testing::eal();
    let (outside_tx, port_rx) = ring(eal, name, size, RingMode::SpSc).unwrap();
    let (port_tx, outside_rx) = ring(eal, name, size, RingMode::SpSc).unwrap();
    (Port::from_rings(eal, name, vec![port_rx], vec![port_tx]).unwrap(), outside_tx, outside_rx)
}

#[test]
fn ten_million_packets_through_ring_ports_and_the_pool_is_full_again() {
    const PACKETS: usize = 10_000_000;
    let _table = table();
    let pool = testing::mempool(4095);
    let (port, mut into, mut from) = ring_port("tenmillion", 1023);
    port.configure(&PortConfig::default(), &pool).unwrap();
    port.start().unwrap();
    let (mut rx, mut tx) = port.take_queues().unwrap();
    let (mut rx, mut tx) = (rx.remove(0), tx.remove(0));
    std::thread::scope(|scope| {
        let source = pool.clone();
        scope.spawn(move || {
            let _registered = testing::eal().register_thread().unwrap();
            let mut batch = MbufBatch::new();
            let mut made = 0;
            while made < PACKETS || !batch.is_empty() {
                let n = batch.room().min(32).min(PACKETS - made);
                if n > 0 && source.alloc_batch(&mut batch, n).is_ok() {
                    let start = batch.len() - n;
                    for packet in &mut batch[start..] {
                        packet.append(60).unwrap()[..8].copy_from_slice(&(made as u64).to_be_bytes());
                        made += 1;
                    }
                }
                if into.enqueue(&mut batch) == 0 {
                    std::thread::yield_now();
                }
            }
        });
        scope.spawn(move || {
            let _registered = testing::eal().register_thread().unwrap();
            let mut batch = MbufBatch::new();
            let mut moved = 0;
            while moved < PACKETS {
                let got = rx.burst(&mut batch);
                let sent = tx.burst(&mut batch);
                moved += sent;
                if got + sent == 0 {
                    std::thread::yield_now();
                }
            }
        });
        let mut batch = MbufBatch::new();
        let mut next = 0u64;
        while next < PACKETS as u64 {
            if from.dequeue(&mut batch) == 0 {
                std::thread::yield_now();
            }
            for packet in batch.drain() {
                assert_eq!(packet.data()[..8], next.to_be_bytes(), "lost or reordered");
                next += 1;
            }
        }
    });
    let stats = port.stats().unwrap();
    assert_eq!((stats.rx_packets, stats.tx_packets), (PACKETS as u64, PACKETS as u64));
    assert!(pool.is_full(), "{} buffers are missing", pool.in_use());
    port.close().unwrap();
}

#[test]
fn what_the_device_does_not_take_stays_in_the_batch() {
    let _table = table();
    let pool = testing::mempool(127);
    let (port, _into, from) = ring_port("short", 7);
    port.configure(&PortConfig::default(), &pool).unwrap();
    port.start().unwrap();
    let (_rx, mut tx) = port.take_queues().unwrap();
    let mut batch = MbufBatch::new();
    pool.alloc_batch(&mut batch, 10).unwrap();
    assert_eq!((tx[0].burst(&mut batch), batch.len()), (7, 3));
    assert_eq!((tx[0].burst(&mut batch), batch.len()), (0, 3));
    drop(batch);
    assert_eq!(pool.in_use(), 7);
    drop((_rx, tx, port, from, _into));
    assert!(pool.is_full(), "packets in rings of a closed port were lost");
}

#[test]
fn a_port_goes_through_its_states_in_order() {
    let _table = table();
    let pool = testing::mempool(127);
    let (port, _into, _from) = ring_port("states", 7);
    assert!(matches!(port.start(), Err(PortError::State { .. })));
    assert!(matches!(port.take_queues(), Err(PortError::State { .. })));
    assert_eq!(port.rx_metadata(), None);
    assert_eq!(port.negotiate_rx_metadata(RxMetadata::MARK).unwrap(), RxMetadata::MARK);
    assert_eq!(port.rx_metadata(), Some(RxMetadata::MARK), "net_ring does not negotiate");
    port.configure(&PortConfig::default(), &pool).unwrap();
    assert!(matches!(port.negotiate_rx_metadata(RxMetadata::MARK), Err(PortError::State { .. })));
    port.start().unwrap();
    assert!(matches!(port.configure(&PortConfig::default(), &pool), Err(PortError::State { .. })));
    let queues = port.take_queues().unwrap();
    assert!(matches!(port.take_queues(), Err(PortError::InUse { queues: 2, .. })));
    assert!(matches!(port.stop(), Err(PortError::InUse { queues: 2, .. })));
    assert!(matches!(port.clone().close(), Err(PortError::InUse { queues: 2, handles: 1, .. })));
    drop(queues);
    port.stop().unwrap();
    port.configure(&PortConfig::default(), &pool).unwrap();
    port.start().unwrap();
    assert!(port.link().unwrap().up);
    assert_eq!(port.info().unwrap().driver, "net_ring");
    assert_eq!(port.transfer_proxy().unwrap(), port.id());
    let queues = port.take_queues().unwrap();
    drop(port);
    // The queues keep the port open.
    assert_eq!(queues.0[0].port().name(), "states");
    drop(queues);
    assert!(ring_port_again("states"), "the device was not removed");
}

fn ring_port_again(name: &str) -> bool {
    let eal = testing::eal();
    let (_a, rx) = ring(eal, name, 7, RingMode::SpSc).unwrap();
    let (tx, _b) = ring(eal, name, 7, RingMode::SpSc).unwrap();
    Port::from_rings(eal, name, vec![rx], vec![tx]).is_ok()
}

#[test]
fn names_are_unique_and_bounded() {
    let _table = table();
    let (_port, _into, _from) = ring_port("twice", 7);
    assert!(!ring_port_again("twice"));
    let eal = testing::eal();
    for bad in ["", "nul\0byte", "a name that is much too long"] {
        let (_a, rx) = ring(eal, "t", 7, RingMode::SpSc).unwrap();
        let err = Port::from_rings(eal, bad, vec![rx], vec![]).unwrap_err();
        assert!(matches!(err, PortError::BadName { .. }), "{err}");
    }
}

#[test]
fn unknown_drivers_are_named_with_the_reason() {
    let _table = table();
    let err = Port::attach(testing::eal(), "net_nosuchdriver7,x=1").unwrap_err();
    let text = err.to_string();
    assert!(matches!(err, PortError::Attach { .. }), "{err}");
    assert!(text.contains("net_nosuchdriver7") && text.contains("E"), "{text}");
    let err = Port::attach(testing::eal(), "net_pcap77,rx_pcap=/nonexistent.pcap").unwrap_err();
    assert!(matches!(&err, PortError::Attach { devargs, .. } if devargs.contains("/nonexistent.pcap")), "{err}");
    // The failed device must not block its name.
    let good = Port::attach(testing::eal(), "net_null77").unwrap();
    assert!(Port::attach(testing::eal(), "net_null77").is_err());
    good.close().unwrap();
}

#[test]
fn null_devices_receive_and_send() {
    let _table = table();
    let pool = testing::mempool(2047);
    let port = Port::attach(testing::eal(), "net_null3,size=60").unwrap();
    assert_eq!(port.info().unwrap().driver, "net_null");
    let config = PortConfig { rx_queues: 1, tx_queues: 2, ..PortConfig::default() };
    let too_many = PortConfig { rx_queues: 5000, ..config.clone() };
    let err = port.configure(&too_many, &pool).unwrap_err();
    assert!(matches!(&err, PortError::Unsupported { what, .. } if what.contains("5000 receive queues")), "{err}");
    let strip = PortConfig { rx_offloads: RxOffloads::VLAN_STRIP, ..config.clone() };
    let err = port.configure(&strip, &pool).unwrap_err();
    assert!(err.to_string().contains("VLAN_STRIP"), "{err}");
    port.configure(&config, &pool).unwrap();
    port.start().unwrap();
    let (mut rx, mut tx) = port.take_queues().unwrap();
    assert_eq!((rx.len(), tx.len()), (1, 2));
    let mut batch = MbufBatch::new();
    for _ in 0..1000 {
        assert_eq!(rx[0].burst(&mut batch), 32);
        assert!(batch.iter().all(|p| p.pkt_len() == 60 && p.port() == port.id()));
        assert_eq!(tx[1].burst(&mut batch), 32);
    }
    drop((rx, tx));
    let stats = port.stats().unwrap();
    assert_eq!((stats.rx_packets, stats.tx_packets), (32_000, 32_000));
    port.close().unwrap();
    assert!(pool.is_full());
}

#[test]
fn pcap_devices_write_what_was_sent() {
    let _table = table();
    let pool = testing::mempool(2047);
    let file = std::env::temp_dir().join(format!("dpdk-port-test-{}.pcap", std::process::id()));
    let devargs = format!("net_pcap3,tx_pcap={}", file.display());
    let port = Port::attach(testing::eal(), &devargs).unwrap();
    port.configure(&PortConfig::default(), &pool).unwrap();
    port.start().unwrap();
    let (rx, mut tx) = port.take_queues().unwrap();
    let mut batch = MbufBatch::new();
    // One frame longer than a buffer.
    let frame: Vec<u8> = (0..3000u32).map(|i| i as u8).collect();
    batch.push(Mbuf::from_bytes(&pool, &frame).unwrap()).unwrap();
    assert_eq!(tx[0].burst(&mut batch), 1);
    drop((rx, tx));
    port.close().unwrap();
    let written = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    // pcap file header 24 bytes, record header 16.
    assert_eq!(&written[40..], &frame[..]);
    assert!(pool.is_full());
}

#[test]
fn the_port_limit_is_named() {
    let _table = table();
    let mut ports = Vec::new();
    let err = loop {
        let i = ports.len();
        assert!(i <= MAX_PORTS);
        match Port::attach(testing::eal(), &format!("net_null{}", 100 + i)) {
            Ok(port) => ports.push(port),
            Err(e) => break e,
        }
    };
    assert!(matches!(err, PortError::TooManyPorts { limit: MAX_PORTS, .. }), "{err}");
    assert!(err.to_string().contains("32"), "{err}");
    drop(ports);
    assert!(Port::attach(testing::eal(), "net_null100").is_ok(), "ports were not removed");
}

#[test]
fn descriptors_and_mtus_out_of_the_limits_are_refused_before_dpdk_hears_of_them() {
    let _table = table();
    let pool = testing::mempool(255);
    let port = Port::attach(testing::eal(), "net_null_lim").unwrap();
    let limits = DescriptorLimits { min: 64, max: 4096, align: 32 };
    assert!([64, 96, 4096].iter().all(|n| limits.allows(*n)));
    assert!([0, 32, 65, 4128].iter().all(|n| !limits.allows(*n)));
    assert_eq!([1, 100, 5000].map(|n| limits.nearest(n)), [64, 96, 4096]);
    let none = DescriptorLimits { min: 0, max: 0, align: 0 };
    assert!(none.allows(1) && none.nearest(2048) == 2048);
    let none = PortConfig { rx_descriptors: Some(0), ..PortConfig::default() };
    let err = port.configure(&none, &pool).unwrap_err();
    assert!(matches!(err, PortError::Descriptors { queue: "receive", asked: 0, min: 1, .. }), "{err}");
    let small = PortConfig { mtu: Some(10), ..PortConfig::default() };
    let err = port.configure(&small, &pool).unwrap_err();
    assert!(matches!(err, PortError::Mtu { asked: 10, min: 46, .. }), "{err}");
    let link = PortConfig { link_interrupt: true, ..PortConfig::default() };
    assert!(matches!(port.configure(&link, &pool).unwrap_err(), PortError::Unsupported { .. }));
    // Nothing was changed: it is still as new.
    assert_eq!(port.setup(), None);
    assert!(matches!(port.start(), Err(PortError::State { .. })));
    assert!(matches!(port.set_flow_control(FlowControl::default()), Err(PortError::Unsupported { .. })));
    assert_eq!(port.flow_control().unwrap(), None);
}

#[test]
fn a_long_frame_needs_large_buffers_where_the_device_cannot_spread_it() {
    let _table = table();
    let small = testing::mempool(255);
    let port = Port::attach(testing::eal(), "net_null_jumbo").unwrap();
    let jumbo = PortConfig { mtu: Some(9000), ..PortConfig::default() };
    let err = port.configure(&jumbo, &small).unwrap_err();
    assert!(matches!(err, PortError::Buffers { mtu: 9000, need: 9026, room: 2048, .. }), "{err}");
    let config = MempoolConfig { size: 255, data_room: 9216 + HEADROOM, ..MempoolConfig::default() };
    let large = Mempool::new(testing::eal(), "large", config).unwrap();
    port.configure(&jumbo, &large).unwrap();
    let setup = port.setup().unwrap();
    assert_eq!((setup.mtu, setup.buffer, setup.pool.as_str()), (9000, 9216, "large"));
    assert!(!setup.rx_offloads.contains(RxOffloads::SCATTER));
    port.start().unwrap();
    port.stop().unwrap();
    // Back again: the large pool is let go, and free when nobody else has it.
    port.configure(&PortConfig::default(), &small).unwrap();
    assert_eq!((port.setup().unwrap().mtu, large.handles()), (1500, 1));
    port.close().unwrap();
}

#[test]
fn counters_of_the_driver_are_read_by_name() {
    let _table = table();
    let pool = testing::mempool(255);
    let (port, mut into, _from) = ring_port("xstats", 63);
    port.configure(&PortConfig::default(), &pool).unwrap();
    port.start().unwrap();
    let (mut rx, _tx) = port.take_queues().unwrap();
    let mut batch = MbufBatch::new();
    pool.alloc_batch(&mut batch, 5).unwrap();
    assert_eq!(into.enqueue(&mut batch), 5);
    assert_eq!(rx[0].burst(&mut batch), 5);
    let xstats = port.xstats().unwrap();
    let of = |name: &str| xstats.iter().find(|(n, _)| n == name).map(|(_, v)| *v);
    assert_eq!((of("rx_good_packets"), of("rx_q0_packets"), of("nothing")), (Some(5), Some(5), None));
}

#[test]
fn a_device_that_reports_its_removal_is_marked_and_its_successor_is_not() {
    let _table = table();
    let pool = testing::mempool(255);
    let (port, _into, _from) = ring_port("unplugged", 63);
    port.configure(&PortConfig::default(), &pool).unwrap();
    port.start().unwrap();
    assert_eq!(port.removal(), None);
    // What DPDK calls when a driver sends the event.
    events::note_for_tests(port.id(), dpdk_sys::RTE_ETH_EVENT_INTR_RMV);
    assert_eq!(port.link_changes(), 0);
    assert_eq!(port.removal(), Some(Removal::Reported));
    assert_eq!(port.clone().removal(), Some(Removal::Reported));
    let id = port.id();
    drop((port, _into, _from));
    let (again, _into, _from) = ring_port("unplugged", 63);
    assert_eq!((again.id(), again.removal()), (id, None));
}

#[test]
fn attaching_and_closing_in_a_loop_leaves_nothing_behind() {
    let _table = table();
    let eal = testing::eal();
    // SAFETY: reads a global.
    let count = || unsafe { dpdk_sys::rte_eth_dev_count_total() };
    let before = count();
    for round in 0..20 {
        let pool = testing::mempool(1023);
        let port = Port::attach(eal, "net_null_loop,size=60").unwrap();
        let info = port.info().unwrap();
        let config = PortConfig { rx_queues: 4, tx_queues: 3, ..PortConfig::default() };
        port.configure(&config.with_useful_offloads(&info), &pool).unwrap();
        port.start().unwrap();
        let (mut rx, mut tx) = port.take_queues().unwrap();
        let mut batch = MbufBatch::new();
        for queue in &mut rx {
            assert_eq!(queue.burst(&mut batch), 32);
            assert_eq!(tx[2].burst(&mut batch), 32);
        }
        drop((batch, rx, tx));
        port.close().unwrap();
        assert!(pool.is_full(), "round {round}: {} buffers are missing", pool.in_use());
    }
    assert_eq!(count(), before);
}
