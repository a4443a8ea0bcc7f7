use super::parsing::bent_frame;
use super::*;
use proptest::prelude::*;
use rte_flow_rs::{ArpEthIpv4, Icmp, Ipv6};

const WIRE: u16 = ETHDEVS[0];
const ANY_ETH: Item = Item::Eth(Match::Any);

fn hits(profile: &str, items: &[Item], frame: &[u8]) -> bool {
    let mut nic = nic(profile);
    nic.create(&from_outside(WIRE, items, &[Action::RepresentedPort(ETHDEVS[1])])).unwrap();
    let out = send(&mut nic, 0, frame);
    assert_balance(nic.stats());
    let hit = out == [outside(1, frame.to_vec())];
    assert!(hit || out == miss(0, frame), "{out:?}");
    hit
}

#[test]
fn addresses_and_ports() {
    let exact = [255; 4];
    assert!(hits("connectx", &[ANY_ETH, ipv4_dst(IP_B, exact), tcp_dst(80)], &tcp4()));
    assert!(!hits("connectx", &[ANY_ETH, ipv4_dst(IP_A, exact), tcp_dst(80)], &tcp4()));
    assert!(!hits("connectx", &[ANY_ETH, ipv4_dst(IP_B, exact), tcp_dst(81)], &tcp4()));
    assert!(hits("connectx", &[ANY_ETH, ipv4_dst([10, 0, 0, 77], [255, 255, 255, 0])], &tcp4()));
    assert!(hits("connectx", &[ANY_ETH, ipv4_dst([0, 0, 0, 2], [0, 0, 0, 3])], &tcp4()), "any mask");
    assert!(!hits("connectx", &[ANY_ETH, ipv4_dst(IP_B, exact), udp_dst(80)], &tcp4()), "another protocol");
}

#[test]
fn a_transport_item_needs_the_header_directly_behind_the_base_header() {
    let udp = udp6();
    let mut hop = udp[..54].to_vec();
    hop[20] = 0;
    hop[19] += 8;
    hop.extend([17, 0, 1, 4, 0, 0, 0, 0]);
    hop.extend(&udp[54..]);
    let v6 = Item::Ipv6(Match::Any);
    assert!(hits("connectx", &[ANY_ETH, v6.clone(), udp_dst(53)], &udp));
    assert!(!hits("connectx", &[ANY_ETH, v6.clone(), udp_dst(53)], &hop));
    assert!(hits("connectx", &[ANY_ETH, v6.clone()], &hop));
}

#[test]
fn fragments() {
    let not_fragment =
        Item::Ipv4(Match::Masked { spec: Ipv4::default(), mask: Ipv4 { fragment_offset: 0x3fff, ..Ipv4::default() } });
    let mut first = tcp4();
    first[20] = 0x20;
    assert!(hits("connectx", &[ANY_ETH, not_fragment.clone()], &tcp4()));
    assert!(!hits("connectx", &[ANY_ETH, not_fragment.clone()], &first));
    assert!(hits("connectx", &[ANY_ETH, Item::Ipv4(Match::Any), tcp_dst(80)], &first));
    first[21] = 1;
    assert!(!hits("connectx", &[ANY_ETH, Item::Ipv4(Match::Any), tcp_dst(80)], &first), "later fragment");
    let frag_ext = |has_frag_ext| {
        let mask = Ipv6 { has_frag_ext: true, ..Ipv6::default() };
        Item::Ipv6(Match::Masked { spec: Ipv6 { has_frag_ext, ..Ipv6::default() }, mask })
    };
    let udp = udp6();
    let mut fragment = udp[..54].to_vec();
    fragment[20] = 44;
    fragment[19] += 8;
    fragment.extend([17, 0, 0, 1, 0, 0, 0, 9]);
    fragment.extend(&udp[54..]);
    for (frame, is) in [(&udp, false), (&fragment, true)] {
        assert_eq!(hits("connectx", &[ANY_ETH, frag_ext(true)], frame), is);
        assert_eq!(hits("connectx", &[ANY_ETH, frag_ext(false)], frame), !is);
    }
}

#[test]
fn tags_by_bit() {
    let has_vlan = |has_vlan| eth(Eth { has_vlan, ..Eth::default() }, Eth { has_vlan: true, ..Eth::default() });
    let (plain, tag) = (tcp4(), tagged(5));
    assert!(hits("connectx", &[has_vlan(false)], &plain) && !hits("connectx", &[has_vlan(false)], &tag));
    assert!(!hits("connectx", &[has_vlan(true)], &plain) && hits("connectx", &[has_vlan(true)], &tag));
    // Without the bit, tagged packets match too (mlx5).
    assert!(hits("connectx", &[ANY_ETH, Item::Ipv4(Match::Any)], &tag));
    let ipv4 = eth(Eth { ether_type: 0x0800, ..Eth::default() }, Eth { ether_type: 0xffff, ..Eth::default() });
    assert!(hits("connectx", std::slice::from_ref(&ipv4), &tag));
    assert!(hits("connectx", &[ANY_ETH, vlan_vid(5), Item::Ipv4(Match::Any)], &tag));
    assert!(!hits("connectx", &[ANY_ETH, vlan_vid(6)], &tag));
    assert!(!hits("connectx", &[ANY_ETH, vlan_vid(0)], &plain));
}

#[test]
fn tags_by_pattern() {
    let ipv4 = eth(Eth { ether_type: 0x0800, ..Eth::default() }, Eth { ether_type: 0xffff, ..Eth::default() });
    let (plain, tag) = (tcp4(), tagged(5));
    assert!(hits("e810", std::slice::from_ref(&ipv4), &plain) && !hits("e810", std::slice::from_ref(&ipv4), &tag));
    assert!(hits("e810", &[ANY_ETH, Item::Ipv4(Match::Any)], &plain));
    assert!(!hits("e810", &[ANY_ETH, Item::Ipv4(Match::Any)], &tag));
    assert!(hits("e810", &[ANY_ETH, vlan_vid(5), Item::Ipv4(Match::Any)], &tag));
}

#[test]
fn arp_and_icmp() {
    let mut arp = [&MAC_B[..], &MAC_A[..], &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1]].concat();
    arp.extend([&MAC_A[..], &IP_A[..], &[0; 6], &IP_B[..]].concat());
    let item = |tpa| {
        let mask = ArpEthIpv4 { op: 0xffff, spa: [255; 4], tpa: [255; 4], sha: [255; 6], ..ArpEthIpv4::default() };
        Item::Arp(Match::Masked {
            spec: ArpEthIpv4 { op: 1, spa: IP_A, tpa, sha: MAC_A, ..ArpEthIpv4::default() },
            mask,
        })
    };
    assert!(hits("full", &[ANY_ETH, item(IP_B)], &arp));
    assert!(!hits("full", &[ANY_ETH, item(IP_A)], &arp));
    let mut ping = Vec::new();
    let builder = etherparse::PacketBuilder::ethernet2(MAC_A, MAC_B).ipv4(IP_A, IP_B, 64).icmpv4_echo_request(1, 2);
    builder.write(&mut ping, b"ping").unwrap();
    let echo = |icmp_type| {
        let mask = Icmp { icmp_type: 255, ..Icmp::default() };
        Item::Icmp(Match::Masked { spec: Icmp { icmp_type, ..Icmp::default() }, mask })
    };
    assert!(hits("connectx", &[ANY_ETH, Item::Ipv4(Match::Any), echo(8)], &ping));
    assert!(!hits("connectx", &[ANY_ETH, Item::Ipv4(Match::Any), echo(0)], &ping));
}

#[test]
fn priorities_groups_and_sources() {
    let mut nic = nic("connectx");
    let port = |port_id| Match::Masked { spec: Ethdev { port_id }, mask: Ethdev { port_id: 0xffff } };
    let rule = |priority, group, item, act| {
        raw(WIRE, Attr { priority, group, ..TRANSFER }, &[item, ANY_ETH, Item::Ipv4(Match::Any)], &[act])
    };
    let from_wire = Item::RepresentedPort(port(WIRE));
    nic.create(&rule(1, 0, from_wire.clone(), Action::RepresentedPort(ETHDEVS[1]))).unwrap();
    assert_eq!(send(&mut nic, 0, &tcp4()), [outside(1, tcp4())]);
    // A lower number goes first; a jump goes to rules of the other group, and what misses there to software.
    nic.create(&rule(0, 0, from_wire.clone(), Action::Jump(3))).unwrap();
    assert_eq!(send(&mut nic, 0, &tcp4()), miss(0, &tcp4()));
    let third = nic.create(&rule(0, 3, from_wire.clone(), Action::RepresentedPort(ETHDEVS[2]))).unwrap();
    assert_eq!(send(&mut nic, 0, &tcp4()), [outside(2, tcp4())]);
    nic.destroy(third).unwrap();
    assert_eq!(send(&mut nic, 0, &tcp4()), miss(0, &tcp4()));
    assert_eq!(send(&mut nic, 1, &tcp4()), miss(1, &tcp4()), "rules of another source");
    // What software sends goes out where it was sent, unless a rule is for it.
    let sent = |nic: &mut Eswitch| {
        let mut out = Vec::new();
        nic.forward(Source::Representor(2), tcp4(), &mut out);
        out
    };
    assert_eq!(sent(&mut nic), [outside(2, tcp4())]);
    nic.create(&rule(0, 0, Item::PortRepresentor(port(ETHDEVS[2])), Action::RepresentedPort(ETHDEVS[3]))).unwrap();
    assert_eq!(sent(&mut nic), [outside(3, tcp4())]);
    assert_eq!(nic.stats().from_representors, 2);
    assert_balance(nic.stats());
}

#[test]
fn marks_make_partial_frames_and_guards_do_not() {
    let mut nic = nic("connectx");
    let guard = nic.create(&from_outside(WIRE, &[ANY_ETH, Item::Ipv4(Match::Any)], &[Action::PortRepresentor(WIRE)]));
    guard.unwrap();
    assert_eq!(send(&mut nic, 0, &tcp4()), miss(0, &tcp4()));
    assert_eq!((nic.stats().software, nic.stats().partial), (1, 0));
    nic.create(&raw(WIRE, INGRESS, &[ANY_ETH], &[Action::Mark(0xabcdef), Action::Queue(0)])).unwrap();
    let marked =
        Delivery::Representor { place: 0, frame: tcp4(), mark: Some(0xabcdef), flag: true, queues: Queues::One(0) };
    assert_eq!(send(&mut nic, 0, &tcp4()), [marked]);
    assert_eq!(send(&mut nic, 1, &tcp4()), miss(1, &tcp4()), "another representor");
    assert_eq!((nic.stats().software, nic.stats().partial), (2, 1));
}

#[test]
fn counters_are_exact_and_indirect_ones_outlive_their_rules() {
    let mut nic = nic("connectx");
    let handle = nic.create_counter().unwrap();
    let indirect = Action::Indirect(rte_flow_rs::ActionHandle(handle));
    let items = [ANY_ETH, vlan_vid(5)];
    let acts = [Action::Count(0), indirect, Action::OfPopVlan, Action::RepresentedPort(ETHDEVS[1])];
    let rule = nic.create(&from_outside(WIRE, &items, &acts)).unwrap();
    let frame = tagged(5);
    for _ in 0..3 {
        assert_eq!(send(&mut nic, 0, &frame), [outside(1, tcp4())]);
    }
    send(&mut nic, 0, &tcp4());
    // Bytes as received, with the tag.
    let want = Count { packets: 3, bytes: 3 * frame.len() as u64 };
    assert_eq!((nic.query(rule, true), nic.query(rule, false)), (Ok(want), Ok(Count::default())));
    assert_eq!(nic.destroy_counter(handle).unwrap_err().errno, 16);
    nic.destroy(rule).unwrap();
    assert_eq!(nic.query_counter(handle, false), Ok(want));
    nic.destroy_counter(handle).unwrap();
    assert_eq!(nic.query_counter(handle, false).unwrap_err().errno, 2);
    assert_eq!((nic.stats().hardware, nic.stats().hardware_out, nic.stats().software), (3, 3, 1));
}

#[test]
fn copies_are_counted() {
    let mut nic = nic("full");
    let acts = [
        Action::RepresentedPort(ETHDEVS[1]),
        Action::SetMacDst(MAC_A),
        Action::RepresentedPort(ETHDEVS[2]),
        Action::PortRepresentor(ETHDEVS[0]),
    ];
    nic.create(&from_outside(WIRE, &[ANY_ETH], &acts)).unwrap();
    let out = send(&mut nic, 0, &tcp4());
    let mut changed = tcp4();
    changed[..6].copy_from_slice(&MAC_A);
    let to_software =
        Delivery::Representor { place: 0, frame: changed.clone(), mark: None, flag: false, queues: Queues::All };
    assert_eq!(out, [outside(1, tcp4()), outside(2, changed), to_software]);
    assert_eq!((nic.stats().partial, nic.stats().copies, nic.stats().hardware_out), (1, 2, 2));
}

#[test]
fn runts_match_nothing() {
    let mut nic = nic("connectx");
    nic.create(&raw(WIRE, TRANSFER, &[], &[Action::Drop])).unwrap();
    assert_eq!(send(&mut nic, 0, &tcp4()), []);
    assert_eq!(send(&mut nic, 0, &[1, 2, 3]), miss(0, &[1, 2, 3]));
    assert_eq!((nic.stats().hardware_dropped, nic.stats().hardware, nic.stats().software), (1, 1, 1));
}

proptest! {
    /// Whatever comes, each frame is hardware, partial or software, and there are as many out as in and copies, less drops.
    #[test]
    fn nothing_is_lost(frames in prop::collection::vec((0usize..4, bent_frame()), 1..30)) {
        let mut nic = nic("full");
        let v4 = Item::Ipv4(Match::Any);
        let two = [Action::DecTtl, Action::RepresentedPort(ETHDEVS[1]), Action::RepresentedPort(ETHDEVS[2])];
        nic.create(&from_outside(WIRE, &[ANY_ETH, v4.clone(), tcp_dst(80)], &two)).unwrap();
        nic.create(&raw(WIRE, Attr { priority: 1, ..TRANSFER }, &[ANY_ETH, v4], &[Action::Drop])).unwrap();
        nic.create(&raw(ETHDEVS[1], INGRESS, &[ANY_ETH], &[Action::Mark(1), Action::Queue(0)])).unwrap();
        let mut out = 0;
        for (place, frame) in &frames {
            out += send(&mut nic, *place, frame).len() as u64;
        }
        let stats = nic.stats();
        assert_balance(stats);
        prop_assert_eq!(stats.frames_in + stats.copies, out + stats.hardware_dropped);
        prop_assert_eq!(stats.frames_in, frames.len() as u64);
    }
}
