//! Selection over time, and the spread of flows.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::time::Duration;

use bond::{
    BUCKETS, Bond, BondError, Config, Delays, Event, LacpStatus, Mode, RxState, bucket_slb, bucket_tcp, fields_slb,
    fields_tcp,
};
use flow::{DpPort, FlowKey, VlanTag, clock::Time};
use proptest::prelude::*;

fn ms(n: u64) -> Time {
    Time(n * 1_000_000)
}

fn bond(config: Config, ports: u32) -> Bond {
    let mut bond = Bond::new(config);
    for port in 0..ports {
        bond.add(DpPort(port), ms(0)).unwrap();
    }
    bond
}

fn carrier(bond: &mut Bond, port: u32, up: bool, now: Time) -> bool {
    bond.event(DpPort(port), Event::Carrier(up), now).unwrap()
}

fn tcp(n: u32) -> FlowKey {
    let mut key = FlowKey::ZERO;
    key.eth_src = [2, 0, 0, 0, (n >> 8) as u8, n as u8];
    key.eth_dst = [2, 0, 0, 0, 1, 1];
    key.eth_type = 0x0800.into();
    key.nw_proto = 6;
    key.ipv4_src = (0x0a00_0000 + n).into();
    key.ipv4_dst = 0x0a01_0001.into();
    key.tp_src = (1024 + (n % 40_000) as u16).into();
    key.tp_dst = 443.into();
    key
}

#[test]
fn active_backup_fails_over_and_comes_back_only_to_a_primary() {
    for (primary, after_return) in [(None, 1), (Some(DpPort(0)), 0)] {
        let mut bond = bond(Config { primary, ..Config::default() }, 3);
        assert_eq!(bond.choose(&tcp(1)), None);
        for port in [1, 0, 2] {
            carrier(&mut bond, port, true, ms(1));
        }
        assert_eq!(bond.active(), Some(DpPort(if primary.is_some() { 0 } else { 1 })));
        carrier(&mut bond, 0, false, ms(2));
        assert_eq!(bond.choose(&tcp(1)).unwrap().port, DpPort(1));
        assert!(bond.choose(&tcp(1)).unwrap().fields.is_empty());
        carrier(&mut bond, 0, true, ms(3));
        assert_eq!(bond.active(), Some(DpPort(after_return)));
        for port in 0..3 {
            carrier(&mut bond, port, false, ms(4));
        }
        assert_eq!(bond.choose(&tcp(1)), None);
    }
}

#[test]
fn delays_hold_back_flapping_links_but_never_the_last_one() {
    let delays = Delays { up: Duration::from_millis(100), down: Duration::from_millis(50) };
    let mut bond = bond(Config { delays, ..Config::default() }, 2);
    // Alone: no delay.
    assert!(carrier(&mut bond, 0, true, ms(0)));
    assert!(!carrier(&mut bond, 1, true, ms(10)));
    assert_eq!(bond.deadline(), Some(ms(110)));
    // A flap starts the delay again.
    carrier(&mut bond, 1, false, ms(60));
    carrier(&mut bond, 1, true, ms(70));
    assert!(!bond.run(ms(110)));
    assert!(!bond.members()[1].is_enabled());
    bond.run(ms(170));
    assert!(bond.members()[1].is_enabled());
    // Down for less than the delay is not noticed.
    carrier(&mut bond, 0, false, ms(200));
    carrier(&mut bond, 0, true, ms(220));
    assert!(!bond.run(ms(300)));
    carrier(&mut bond, 0, false, ms(300));
    assert_eq!(bond.active(), Some(DpPort(0)));
    assert!(bond.run(ms(350)));
    assert_eq!(bond.active(), Some(DpPort(1)));
    assert_eq!(bond.deadline(), None);
}

#[test]
fn balance_tcp_waits_for_a_partner() {
    let config = Config { mode: Mode::BalanceTcp, ..Config::default() };
    for fallback in [false, true] {
        let mut bond = bond(Config { fallback_to_active_backup: fallback, ..config }, 2);
        bond.set_lacp(LacpStatus::Configured, ms(0));
        carrier(&mut bond, 0, true, ms(1));
        carrier(&mut bond, 1, true, ms(1));
        let alone = bond.choose(&tcp(1));
        assert_eq!(alone.map(|c| (c.port, c.bucket)), fallback.then_some((DpPort(0), None)));
        for port in [0, 1] {
            bond.event(DpPort(port), Event::Lacp { rx: RxState::Current, in_sync: true }, ms(2)).unwrap();
        }
        bond.set_lacp(LacpStatus::Negotiated, ms(3));
        let ports: std::collections::BTreeSet<_> = (0..100).map(|n| bond.choose(&tcp(n)).unwrap().port).collect();
        assert_eq!(ports.len(), 2);
        bond.event(DpPort(0), Event::Lacp { rx: RxState::Current, in_sync: false }, ms(4)).unwrap();
        assert!((0..100).all(|n| bond.choose(&tcp(n)).unwrap().port == DpPort(1)));
    }
    // Without LACP at all it carries nothing.
    let mut bond = bond(config, 1);
    carrier(&mut bond, 0, true, ms(1));
    assert_eq!(bond.choose(&tcp(1)), None);
}

#[test]
fn fragments_of_a_packet_go_one_way() {
    let mut first = tcp(7);
    first.nw_frag = 1;
    let mut later = first;
    later.nw_frag = 3;
    (later.tp_src, later.tp_dst) = (0.into(), 0.into());
    assert_eq!(bucket_tcp(&first, 0), bucket_tcp(&later, 0));
}

#[test]
fn vlan_0_is_not_untagged() {
    let untagged = tcp(1);
    let mut tagged = untagged;
    tagged.vlans[0] = VlanTag { tpid: 0x8100.into(), tci: 0x1000.into() };
    let differ = |hash: fn(&FlowKey, u32) -> u16| (0..64).filter(|b| hash(&untagged, *b) != hash(&tagged, *b)).count();
    assert!(differ(bucket_slb) > 50 && differ(bucket_tcp) > 50);
}

#[test]
fn flows_spread_evenly() {
    for hash in [bucket_slb, bucket_tcp] {
        let n = 64 * BUCKETS as u32;
        let mut counts = [0f64; BUCKETS];
        (0..n).for_each(|i| counts[usize::from(hash(&tcp(i), 0))] += 1.0);
        // Chi-square with 255 degrees of freedom: 400 is passed by chance once in 10^8.
        let chi: f64 = counts.iter().map(|c| (c - 64.0) * (c - 64.0) / 64.0).sum();
        assert!(chi < 400.0, "{chi}");
    }
}

#[test]
fn members_join_once_and_leave_once() {
    let mut bond = bond(Config::default(), 1);
    assert_eq!(bond.add(DpPort(0), ms(0)), Err(BondError::AlreadyMember(DpPort(0))));
    assert_eq!(bond.remove(DpPort(5), ms(0)), Err(BondError::NoMember(DpPort(5))));
    carrier(&mut bond, 0, true, ms(0));
    bond.remove(DpPort(0), ms(1)).unwrap();
    assert_eq!(bond.active(), None);
}

proptest! {
    /// Against the definition: enabled is carrier (no delays here); buckets are even; only what must move moves.
    #[test]
    fn buckets_move_as_little_as_they_can(ports in 1u32..6, flips in prop::collection::vec((0u32..6, any::<bool>()), 1..40)) {
        let mut bond = bond(Config { mode: Mode::BalanceSlb, ..Config::default() }, ports);
        let keys: Vec<FlowKey> = (0..2000).map(tcp).collect();
        let mut up = vec![false; ports as usize];
        let mut before: Vec<_> = keys.iter().map(|k| bond.choose(k)).collect();
        for (n, (port, state)) in flips.into_iter().enumerate() {
            let port = port % ports;
            up[port as usize] = state;
            carrier(&mut bond, port, state, ms(n as u64));
            let after: Vec<_> = keys.iter().map(|k| bond.choose(k)).collect();
            let enabled = up.iter().filter(|u| **u).count();
            let mut buckets = std::collections::BTreeMap::new();
            for (old, new) in before.iter().zip(&after) {
                prop_assert_eq!(new.is_some(), enabled > 0);
                let Some(new) = new else { continue };
                prop_assert!(up[new.port.0 as usize]);
                buckets.insert(new.bucket, new.port);
                if let Some(old) = old && old.port != new.port {
                    prop_assert!(old.port == DpPort(port) || new.port == DpPort(port), "moved from {:?} to {:?}", old, new);
                }
            }
            if enabled > 0 {
                prop_assert_eq!(buckets.len(), BUCKETS, "2,000 stations fill all buckets");
                let count = |p: u32| buckets.values().filter(|v| v.0 == p).count();
                let counts: Vec<usize> = (0..ports).filter(|p| up[*p as usize]).map(count).collect();
                prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{:?}", counts);
            }
            prop_assert_eq!(bond.active().is_some(), enabled > 0);
            before = after;
        }
    }

    /// A bucket depends on the fields that are said to matter, and on no others.
    #[test]
    fn only_the_named_fields_matter(a in prop::array::uniform32(any::<u8>()), frag in 0u8..2, proto in prop::sample::select(vec![1u8, 6, 17, 132]), v6: bool, noise in any::<u32>()) {
        let mut key = tcp(u32::from(a[0]) << 8 | u32::from(a[1]));
        key.nw_proto = proto;
        key.nw_frag = frag;
        if v6 {
            key.eth_type = 0x86dd.into();
            key.ipv6_src.copy_from_slice(&a[..16]);
            key.ipv6_dst.copy_from_slice(&a[16..]);
        }
        let mut other = key;
        other.in_port = noise.into();
        other.dp_hash = noise.into();
        (other.nw_ttl, other.nw_tos) = (noise as u8, (noise >> 8) as u8);
        if v6 { other.ipv4_src = noise.into() } else { other.ipv6_src[0] = noise as u8 }
        if frag != 0 || proto == 1 { other.tp_src = (noise as u16).into() }
        prop_assert_eq!(bucket_tcp(&key, 1), bucket_tcp(&other, 1));
        let unnamed = [flow::FieldId::InPort, flow::FieldId::IpTtl];
        prop_assert!(fields_tcp(&key).iter().chain(fields_slb(&key)).all(|f| !unnamed.contains(f)));
        other.eth_dst[0] ^= 2;
        other.ipv4_dst = noise.into();
        prop_assert_eq!(bucket_slb(&key, 1), bucket_slb(&other, 1));
    }
}
