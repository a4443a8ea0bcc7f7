//! The tables of Open vSwitch's manual, "DPDK Device Memory Models", and pools made by them.

use super::formula::{self, mbuf_size, megabytes, per_port_mbufs, shared_mbufs};
use super::*;
use dpdk::hugepages::PageSize;
use dpdk::testing;

#[test]
fn shared_pools_are_those_of_the_manual() {
    let examples = [(1500, 3008, 788), (1800, 3008, 788), (6000, 7104, 1862), (9000, 10_176, 2667)];
    for (mtu, size, mb) in examples {
        assert_eq!(shared_mbufs(mtu), 262_144);
        assert_eq!((mbuf_size(mtu), megabytes(shared_mbufs(mtu), mtu)), (size, mb), "MTU {mtu}");
    }
    assert_eq!((shared_mbufs(1499), shared_mbufs(68)), (16_384, 16_384));
}

#[test]
fn pools_of_one_port_are_those_of_the_manual() {
    // Receive queues, PMDs, MTU; buffers, bytes of one, MB.
    let examples = [(1, 1, 1500, 22_560, 3008, 67), (1, 2, 6000, 24_608, 7104, 174), (2, 2, 9000, 26_656, 10_176, 271)];
    for (rx, pmds, mtu, mbufs, size, mb) in examples {
        assert_eq!(per_port_mbufs(rx, 2048, pmds + 1, 2048), mbufs);
        assert_eq!((mbuf_size(mtu), megabytes(mbufs, mtu)), (size, mb), "MTU {mtu}");
    }
    // The manual rounds the second up: 174.8.
    assert_eq!((24_608.0_f64 * 7104.0 / 1e6).round(), 175.0);
}

#[test]
fn shared_mtus_are_chosen_as_in_the_manual() {
    let config: SharedConfig = "9000,1500:1,6000:1".parse().unwrap();
    let rows = [
        (0, 1500, 9000),
        (0, 6000, 9000),
        (0, 9000, 9000),
        (0, 9300, 9300),
        (1, 1500, 1500),
        (1, 6000, 6000),
        (1, 9000, 9000),
        (1, 9300, 9300),
    ];
    for (node, mtu, based_on) in rows {
        assert_eq!(config.buffer_mtu(mtu, node), based_on, "MTU {mtu} on node {node}");
    }
    // Buffers for 1,500 hold 1,800 as well.
    assert_eq!(config.buffer_mtu(1800, 1), 1500);
    assert_eq!(config.to_string(), "9000,1500:1,6000:1");
    assert_eq!("".parse::<SharedConfig>().unwrap().buffer_mtu(1500, 0), 1500);
}

#[test]
fn bad_entries_are_named() {
    for (text, entry) in [
        ("9000,x", "x"),
        ("9000:", "9000:"),
        ("67", "67"),
        ("9703", "9703"),
        ("1500:32", "1500:32"),
        ("1500,,9000", ""),
        ("1500:1:2", "1500:1:2"),
        ("-1", "-1"),
    ] {
        let err = text.parse::<SharedConfig>().unwrap_err();
        assert_eq!(err.entry, entry, "{text}");
        assert!(err.to_string().contains("MTU:NODE"), "{err}");
    }
}

#[test]
fn ports_of_a_size_and_node_share_a_pool_in_the_plan() {
    let ports = [
        PortNeed::new("a", 1500),
        PortNeed::new("b", 1800),
        PortNeed::new("c", 9000),
        PortNeed { node: 1, ..PortNeed::new("d", 1500) },
        PortNeed::new("e", 9000),
    ];
    let pools = plan(&Settings::default(), &ports, None);
    let shown: Vec<_> = pools.iter().map(|p| (p.name.as_str(), p.ports.join(" "), p.mbufs, p.data_room)).collect();
    assert_eq!(
        shown,
        [
            (BASE, "a b".to_owned(), 262_144, 2176),
            ("mtu9000", "c e".to_owned(), 262_144, 9344),
            ("mtu1500-node1", "d".to_owned(), 262_144, 2176),
        ]
    );
    // At least the frames' bytes; a header and an mbuf more each, and little beside.
    for pool in &pools {
        let least = u64::from(pool.mbufs) * (u64::from(pool.data_room) + 128);
        assert!(pool.bytes > least && pool.bytes < least * 11 / 10 + (8 << 20), "{pool:?}");
    }
}

#[test]
fn ports_with_pools_of_their_own_get_the_formula_and_the_base_pool_stays_small() {
    let settings = Settings { per_port: true, ..Settings::default() };
    let ports = [PortNeed::new("a", 1500), PortNeed { rx_queues: 2, tx_queues: 3, ..PortNeed::new("b", 9000) }];
    let pools = plan(&settings, &ports, Some(0));
    let shown: Vec<_> = pools.iter().map(|p| (p.name.as_str(), p.mbufs, p.wanted)).collect();
    assert_eq!(shown, [(BASE, 16_384, None), ("a-mtu1500", 22_560, None), ("b-mtu9000", 26_656, None)]);
}

#[test]
fn shared_pools_are_halved_until_they_fit_but_not_below_16384() {
    let first = |have: u64| {
        let pools = plan(&Settings::default(), &[], Some(have));
        (pools[0].mbufs, pools[0].wanted)
    };
    assert_eq!(first(4 << 30), (262_144, None));
    assert_eq!(first(400 << 20), (131_072, Some(262_144)));
    assert_eq!(first(100 << 20), (32_768, Some(262_144)));
    assert_eq!(first(0), (16_384, Some(262_144)));
    let small = Settings { most: 32_767, ..Settings::default() };
    assert_eq!(plan(&small, &[], Some(0))[0].mbufs, 16_384);
    // What was asked for is asked for.
    let explicit = Settings { mbufs: Some(900_000), ..Settings::default() };
    assert_eq!(plan(&explicit, &[], Some(0))[0].mbufs, 900_000);
}

#[test]
fn missing_huge_pages_are_counted_and_the_command_makes_them() {
    let pages = |total, free| [PageSize { kib: 2048, total, free }];
    let enough = demand(100 << 20, &pages(64, 58));
    assert_eq!((enough.need_mib, enough.need_pages, enough.command), (116, 58, None));
    let short = demand(100 << 20, &pages(64, 50));
    assert_eq!(short.command.as_deref(), Some("echo 72 > /proc/sys/vm/nr_hugepages"));
    let large = [PageSize { kib: 1 << 20, total: 0, free: 0 }];
    let command = demand(1, &large).command.unwrap();
    assert_eq!(command, "echo 1 > /sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages");
    // A free page of 1 GiB is 512 of 2 MiB.
    let mixed = [PageSize { kib: 2048, total: 0, free: 0 }, PageSize { kib: 1 << 20, total: 1, free: 1 }];
    assert_eq!(demand(100 << 20, &mixed).command, None);
    assert!(demand(1, &[]).command.is_some());
}

fn small(mbufs: u32) -> Pools {
    let settings = Settings { mbufs: Some(mbufs), ..Settings::default() };
    Pools::start(testing::eal(), settings).unwrap()
}

#[test]
fn pools_are_made_for_ports_shared_and_let_go() {
    let pools = small(1023);
    let (a, b) = (pools.take(&PortNeed::new("a", 1500)).unwrap(), pools.take(&PortNeed::new("b", 1800)).unwrap());
    assert_eq!((a.label(), b.label()), (BASE, BASE));
    let c = pools.take(&PortNeed::new("c", 9000)).unwrap();
    assert_eq!((c.label(), c.frame_room(), c.size()), ("mtu9000", 9216, 1023));
    let shown = |pools: &Pools| -> Vec<_> { pools.view().into_iter().map(|p| (p.name, p.ports.join(" "))).collect() };
    assert_eq!(shown(&pools), [(BASE.to_owned(), "a b".to_owned()), ("mtu9000".to_owned(), "c".to_owned())]);
    // b grows: it has both pools until it is settled.
    let b = pools.take(&PortNeed::new("b", 8500)).unwrap();
    assert_eq!(shown(&pools)[1].1, "c b");
    pools.settle("b", &b);
    assert_eq!(shown(&pools), [(BASE.to_owned(), "a".to_owned()), ("mtu9000".to_owned(), "c b".to_owned())]);
    pools.release("b");
    pools.release("c");
    assert_eq!(shown(&pools), [(BASE.to_owned(), "a".to_owned())]);
    // A buffer is out: the pool is let go, not freed.
    let packet = c.alloc().unwrap();
    drop((a, b, c));
    assert!(dpdk::pools_waiting() > 0);
    assert_eq!(packet.headroom(), 128);
}

#[test]
fn a_pool_that_cannot_be_says_need_have_and_what_helps() {
    let pools = small(30_000_000 / 9216);
    let settings = Settings { mbufs: Some(900_000), ..Settings::default() };
    let greedy = Pools::with_base(testing::eal(), settings, pools.base());
    match greedy.take(&PortNeed::new("p", 9000)) {
        Err(MemoryError::NoMemory { mtu: 9000, mbufs: 900_000, need, have, remedy }) => {
            assert!(need > 7900 && have < need, "need {need} have {have}");
            assert!(remedy.contains("memory_mib = "), "{remedy}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(greedy.take(&PortNeed::new("p", u16::MAX)).unwrap_err(), MemoryError::Mtu { mtu: u16::MAX });
    assert_eq!(greedy.view().len(), 1);
    assert_eq!(formula::data_room(formula::MAX_MTU), Some(10_240 + 128));
}
