//! Actions beyond rewrites: copies, meters, ages, headers on and off, registers, fields of fields.

use super::*;
use rte_flow_rs::{Field, GeneveOpt, MeterParams, MeterProfile, ModifyField, ModifyOp, ModifySource, Tag, Vni, Vxlan};

const WIRE: u16 = ETHDEVS[0];
const ETH_ANY: Item = Item::Eth(Match::Any);
const OUT: Action = Action::RepresentedPort(ETHDEVS[1]);

fn put(nic: &mut Eswitch, items: &[Item], actions: &[Action]) -> u64 {
    nic.create(&from_outside(WIRE, items, actions)).unwrap()
}

fn places(deliveries: &[Delivery]) -> Vec<(bool, usize, usize)> {
    deliveries
        .iter()
        .map(|d| match d {
            Delivery::Outside { place, frame } => (true, *place, frame.len()),
            Delivery::Representor { place, frame, .. } => (false, *place, frame.len()),
        })
        .collect()
}

#[test]
fn a_sample_copies_the_packet_as_it_is_then() {
    let mut nic = nic("full");
    let copy = |ratio, to| Action::Sample { ratio, actions: vec![Action::RepresentedPort(to)] };
    let acts = [copy(1, ETHDEVS[2]), Action::OfPushVlan(0x8100), copy(3, ETHDEVS[3]), OUT];
    put(&mut nic, &[ETH_ANY], &acts);
    let len = tcp4().len();
    let seen: Vec<_> = (0..4).map(|_| places(&send(&mut nic, 0, &tcp4()))).collect();
    let all = vec![(true, 2, len), (true, 3, len + 4), (true, 1, len + 4)];
    let some = vec![(true, 2, len), (true, 1, len + 4)];
    // Both samples of a rule count by the rule, one in three of six.
    assert!(seen.contains(&all) && seen.contains(&some), "{seen:?}");
    assert_eq!(nic.stats().copies, seen.iter().map(|s| s.len() as u64 - 1).sum::<u64>());
    assert_eq!((nic.stats().hardware, nic.stats().frames_in), (4, 4));
    let nowhere = Action::Sample { ratio: 1, actions: vec![Action::Mark(1)] };
    let refused = nic.create(&from_outside(ETHDEVS[1], &[ETH_ANY], &[nowhere, OUT])).unwrap_err();
    assert_eq!(refused.errno, 22);
}

fn meter(nic: &mut Eswitch, profile: MeterProfile) {
    nic.meters.add_profile(1, profile).unwrap();
    let policy = [super::super::meter::Fate::Pass, super::super::meter::Fate::Pass, super::super::meter::Fate::Drop];
    nic.meters.add_policy(2, policy).unwrap();
    nic.meters.create(3, MeterParams { profile: 1, policy: 2, shared: true }, 0).unwrap();
}

/// How many of these packets a meter lets through: of one length, at these times in milliseconds.
fn passed(profile: MeterProfile, times: &[u64]) -> usize {
    let mut nic = nic("connectx");
    meter(&mut nic, profile);
    put(&mut nic, &[ETH_ANY], &[Action::Meter(3), OUT]);
    let mut out = 0;
    for time in times {
        nic.set_now(time * 1_000_000);
        out += send(&mut nic, 0, &tcp4()).len();
    }
    let stats = nic.meters.stats(3, false).unwrap();
    assert_eq!(stats.dropped_packets, Some((times.len() - out) as u64));
    assert_eq!(nic.stats().hardware_dropped, (times.len() - out) as u64);
    assert_balance(nic.stats());
    out
}

#[test]
fn meters_pass_their_rate_and_burst() {
    let len = tcp4().len() as u64;
    let two = MeterProfile::SrTcm2697 { cir: len, cbs: 2 * len, ebs: 0, packet_mode: false };
    assert_eq!(passed(two, &[0, 0, 0, 0]), 2, "the burst");
    assert_eq!(passed(two, &[0, 0, 999, 1000, 1000, 2000]), 4, "and one a second");
    assert_eq!(passed(two, &[0, 0, 10_000, 10_000, 10_000]), 4, "never more than the burst");
    let excess = MeterProfile::SrTcm2697 { cir: len, cbs: len, ebs: len, packet_mode: false };
    assert_eq!(passed(excess, &[0, 0, 0, 3000, 3000, 3000]), 4, "what does not fit goes into the excess bucket");
    let packets = MeterProfile::SrTcm2697 { cir: 1, cbs: 3, ebs: 0, packet_mode: true };
    assert_eq!(passed(packets, &[0, 0, 0, 0, 1000, 1000]), 4);
    let peak = MeterProfile::TrTcm2698 { cir: len, pir: 2 * len, cbs: len, pbs: 2 * len, packet_mode: false };
    assert_eq!(passed(peak, &[0, 0, 0, 500, 500]), 3);
    let both = MeterProfile::TrTcm4115 { cir: len, eir: len, cbs: len, ebs: len, packet_mode: false };
    assert_eq!(passed(both, &[0, 0, 0, 1000, 1000, 1000]), 4);
}

#[test]
fn meters_are_held_by_their_rules() {
    let mut nic = nic("connectx");
    let missing = nic.create(&from_outside(WIRE, &[ETH_ANY], &[Action::Meter(3), OUT])).unwrap_err();
    assert_eq!(missing.errno, 2);
    meter(&mut nic, MeterProfile::SrTcm2697 { cir: 1, cbs: 1, ebs: 0, packet_mode: true });
    let rule = put(&mut nic, &[ETH_ANY], &[Action::Meter(3), OUT]);
    assert_eq!(nic.meters.destroy(3).unwrap_err().errno, 16);
    assert_eq!(nic.meters.delete_profile(1).unwrap_err().errno, 16);
    nic.meters.enable(3, false).unwrap();
    assert_eq!((0..3).map(|_| send(&mut nic, 0, &tcp4()).len()).sum::<usize>(), 3, "a meter that is off passes all");
    nic.destroy(rule).unwrap();
    nic.meters.destroy(3).unwrap();
    nic.meters.delete_profile(1).unwrap();
    nic.meters.delete_policy(2).unwrap();
}

#[test]
fn rules_age_by_their_hits() {
    let mut nic = nic("connectx");
    let rule = put(&mut nic, &[ETH_ANY], &[Action::Age { timeout: 10, context: 77 }, OUT]);
    let second = 1_000_000_000;
    nic.set_now(9 * second);
    assert_eq!(nic.aged(WIRE, 8).unwrap(), []);
    send(&mut nic, 0, &tcp4());
    nic.set_now(18 * second);
    assert_eq!(nic.query_age(rule).unwrap(), rte_flow_rs::AgeQuery { aged: false, idle_seconds: Some(9) });
    nic.set_now(19 * second);
    assert_eq!((nic.aged(WIRE, 8).unwrap(), nic.aged(WIRE, 8).unwrap()), (vec![77], vec![]), "told once");
    assert!(nic.query_age(rule).unwrap().aged);
    send(&mut nic, 0, &tcp4());
    nic.set_now(40 * second);
    assert_eq!(nic.aged(WIRE, 8).unwrap(), [77], "and again after a hit");
}

fn vxlan_header(src_ip: [u8; 4]) -> Vec<u8> {
    let mut out = Vec::new();
    PacketBuilder::ethernet2(MAC_B, MAC_A).ipv4(src_ip, IP_B, 64).udp(5555, 4789).write(&mut out, b"").unwrap();
    // A template has no lengths and no checksums.
    out[16..18].fill(0);
    out[24..26].fill(0);
    out[38..42].fill(0);
    out.extend([8, 0, 0, 0, 0, 0x12, 0x34, 0]);
    out
}

/// Checked with a parser that is not the model's.
fn assert_encapsulated(frame: &[u8], inner: &[u8], src_ip: [u8; 4]) {
    let outer = etherparse::SlicedPacket::from_ethernet(frame).unwrap();
    let Some(etherparse::NetSlice::Ipv4(ip)) = &outer.net else { panic!("{outer:?}") };
    let header = ip.header().to_header();
    assert_eq!((header.source, usize::from(header.total_len)), (src_ip, frame.len() - 14));
    assert_eq!(header.header_checksum, header.calc_header_checksum());
    let Some(etherparse::TransportSlice::Udp(udp)) = &outer.transport else { panic!("{outer:?}") };
    assert_eq!((udp.destination_port(), usize::from(udp.length())), (4789, frame.len() - 34));
    assert_eq!(udp.payload()[8..], *inner);
}

#[test]
fn headers_go_on_and_come_off() {
    let (mut nic, header) = (nic("connectx"), vxlan_header([10, 0, 0, 9]));
    put(&mut nic, &[ETH_ANY], &[Action::RawEncap(header.clone()), OUT]);
    let framed = only_frame(send(&mut nic, 0, &tcp4()));
    assert_encapsulated(&framed, &tcp4(), [10, 0, 0, 9]);

    // By items, with what they leave out filled in.
    let none = Match::Masked { spec: Udp { src: 5555, dst: 4789 }, mask: Udp::default() };
    let definition = vec![
        Item::Eth(Match::Masked {
            spec: Eth { dst: MAC_A, src: MAC_B, ether_type: 0x0800, ..Eth::default() },
            mask: Eth::default(),
        }),
        Item::Ipv4(Match::Masked {
            spec: Ipv4 { src: [10, 0, 0, 8], dst: IP_B, ttl: 64, proto: 17, ..Ipv4::default() },
            mask: Ipv4::default(),
        }),
        Item::Udp(none),
        Item::Vxlan(Match::Masked { spec: Vxlan { flags: 8, vni: Vni(0x1234) }, mask: Vxlan::default() }),
    ];
    let rule = raw(ETHDEVS[1], TRANSFER, &[source(ETHDEVS[1]), ETH_ANY], &[Action::VxlanEncap(definition), OUT]);
    nic.create(&rule).unwrap();
    let by_items = only_frame(send(&mut nic, 1, &tcp4()));
    assert_encapsulated(&by_items, &tcp4(), [10, 0, 0, 8]);

    // Inner headers are matched behind the tunnel's, and the tunnel comes off.
    let vni = Item::Vxlan(Match::Masked {
        spec: Vxlan { flags: 0, vni: Vni(0x1234) },
        mask: Vxlan { flags: 0, vni: Vni(0xff_ffff) },
    });
    let inner = [
        source(ETHDEVS[2]),
        ETH_ANY,
        Item::Ipv4(Match::Any),
        udp_dst(4789),
        vni,
        ETH_ANY,
        ipv4_dst(IP_B, [255; 4]),
        tcp_dst(80),
    ];
    nic.create(&raw(ETHDEVS[2], TRANSFER, &inner, &[Action::VxlanDecap, Action::DecTtl, OUT])).unwrap();
    let bare = only_frame(send(&mut nic, 2, &framed));
    assert_eq!((bare.len(), bare[22]), (tcp4().len(), 63));
    let mut other = framed.clone();
    other[48] ^= 1;
    assert_eq!(send(&mut nic, 2, &other), miss(2, &other), "another VNI");

    let off = [Action::RawDecap(vec![0; header.len()]), Action::RawEncap(vxlan_header([10, 0, 0, 7])), OUT];
    nic.create(&raw(ETHDEVS[3], TRANSFER, &[source(ETHDEVS[3]), ETH_ANY], &off)).unwrap();
    assert_encapsulated(&only_frame(send(&mut nic, 3, &framed)), &tcp4(), [10, 0, 0, 7]);
    let long = raw(ETHDEVS[3], Attr { priority: 1, ..TRANSFER }, &[ETH_ANY], &[Action::RawEncap(vec![0; 200]), OUT]);
    assert_eq!(nic.create(&long).unwrap_err().errno, 95);
}

fn source(ethdev: u16) -> Item {
    Item::RepresentedPort(Match::Masked { spec: Ethdev { port_id: ethdev }, mask: Ethdev { port_id: 0xffff } })
}

#[test]
fn options_of_geneve_and_keys_of_gre_are_matched() {
    let mut geneve = Vec::new();
    // Two options, of which the second is asked for; then an empty inner frame.
    let mut payload = vec![4, 0, 0x65, 0x58, 0, 0, 7, 0, 1, 2, 3, 1, 9, 9, 9, 9, 1, 2, 4, 1, 5, 6, 7, 8];
    payload.extend(udp4());
    PacketBuilder::ethernet2(MAC_A, MAC_B).ipv4(IP_A, IP_B, 64).udp(1000, 6081).write(&mut geneve, &payload).unwrap();
    let option = |data: [u8; 4]| {
        Item::GeneveOpt(Box::new(GeneveOpt {
            class: 0x0102,
            class_mask: 0xffff,
            opt_type: 4,
            type_mask: 0xff,
            data: data.to_vec(),
            data_mask: vec![0xff; 4],
        }))
    };
    let hits = |data| {
        let mut nic = nic("connectx");
        let head = [ETH_ANY, Item::Ipv4(Match::Any), udp_dst(6081), Item::Geneve(Match::Any), option(data), ETH_ANY];
        put(&mut nic, &head, &[Action::Drop]);
        send(&mut nic, 0, &geneve).is_empty()
    };
    assert!(hits([5, 6, 7, 8]));
    assert!(!hits([9, 9, 9, 9]), "the data of the other option");

    let mut gre = Vec::new();
    let mut payload = vec![0x20, 0, 0x08, 0x00, 0, 0, 0, 42];
    payload.extend(&udp4()[14..]);
    let builder = PacketBuilder::ethernet2(MAC_A, MAC_B).ipv4(IP_A, IP_B, 64);
    builder.write(&mut gre, etherparse::IpNumber::GRE, &payload).unwrap();
    let key = |key| {
        Item::GreKey(Match::Masked { spec: rte_flow_rs::GreKey { key }, mask: rte_flow_rs::GreKey { key: u32::MAX } })
    };
    let hits = |number, port| {
        let mut nic = nic("connectx");
        let gre_any = Item::Gre(Match::Any);
        put(
            &mut nic,
            &[ETH_ANY, Item::Ipv4(Match::Any), gre_any, key(number), Item::Ipv4(Match::Any), udp_dst(port)],
            &[Action::Drop],
        );
        send(&mut nic, 0, &gre).is_empty()
    };
    assert!(hits(42, 53));
    assert!(!hits(43, 53) && !hits(42, 54));
}

#[test]
fn registers_carry_from_group_to_group() {
    let mut nic = nic("connectx");
    let set = |data| Action::SetTag { index: 2, data, mask: 0xffff };
    let copied = Action::ModifyField(ModifyField {
        op: ModifyOp::Set,
        field: Field::Meta,
        level: 0,
        offset: 4,
        width: 8,
        source: ModifySource::Field { field: Field::Tag, level: 2, offset: 0 },
    });
    put(&mut nic, &[ETH_ANY, ipv4_dst(IP_B, [255; 4]), tcp_dst(80)], &[set(0xabcd), copied, Action::Jump(1)]);
    let tag = |data| Item::Tag(Match::Masked { spec: Tag { data, index: 2 }, mask: Tag { data: 0xffff, index: 0xff } });
    let meta = |data| {
        Item::Meta(Match::Masked { spec: rte_flow_rs::Meta { data }, mask: rte_flow_rs::Meta { data: u32::MAX } })
    };
    let second = Attr { group: 1, ..TRANSFER };
    nic.create(&raw(WIRE, second, &[tag(0xabcd), meta(0xcd0), ETH_ANY], &[OUT])).unwrap();
    nic.create(&raw(WIRE, second, &[tag(0xabce), ETH_ANY], &[Action::Drop])).unwrap();
    assert_eq!(send(&mut nic, 0, &tcp4()), [outside(1, tcp4())]);
    let beyond = raw(WIRE, TRANSFER, &[ETH_ANY], &[Action::SetTag { index: 8, data: 0, mask: 1 }, OUT]);
    assert_eq!(nic.create(&beyond).unwrap_err().errno, 95);
}

#[test]
fn fields_are_set_added_to_and_copied() {
    let modify =
        |op, field, width, source| Action::ModifyField(ModifyField { op, field, level: 0, offset: 0, width, source });
    let value = |bytes: &[u8]| {
        let mut value = [0; 16];
        value[..bytes.len()].copy_from_slice(bytes);
        ModifySource::Value(value)
    };
    let run = |act: Action| {
        let mut nic = nic("connectx");
        put(&mut nic, &[ETH_ANY, Item::Ipv4(Match::Any), tcp_dst(80)], &[act, OUT]);
        only_frame(send(&mut nic, 0, &tcp4()))
    };
    assert_eq!(run(modify(ModifyOp::Set, Field::Ipv4Src, 32, value(&[1, 2, 3, 4])))[26..30], [1, 2, 3, 4]);
    assert_eq!(run(modify(ModifyOp::Sub, Field::Ipv4Ttl, 8, value(&[1])))[22], 63);
    assert_eq!(run(modify(ModifyOp::Add, Field::TcpDst, 16, value(&[0, 3])))[36..38], [0, 83]);
    let copy = ModifySource::Field { field: Field::MacSrc, level: 0, offset: 0 };
    assert_eq!(run(modify(ModifyOp::Set, Field::MacDst, 48, copy))[..6], run(Action::DecTtl)[6..12]);
    let as_set = run(modify(ModifyOp::Set, Field::Ipv4Src, 32, value(&[1, 2, 3, 4])));
    assert_eq!(as_set, run(Action::SetIpv4Src([1, 2, 3, 4])), "checksums too");
    let mut nic = nic("connectx");
    let part = modify(ModifyOp::Set, Field::Ipv4Src, 8, value(&[1]));
    assert_eq!(nic.create(&from_outside(WIRE, &[ETH_ANY], &[part, OUT])).unwrap_err().errno, 95);
    let wide = modify(ModifyOp::Set, Field::Ipv4Src, 33, value(&[1]));
    assert_eq!(nic.create(&from_outside(WIRE, &[ETH_ANY], &[wide, OUT])).unwrap_err().errno, 22);
}
