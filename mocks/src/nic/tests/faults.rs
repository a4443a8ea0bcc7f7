//! Each planted bug is seen from outside, and seen only when it is planted.

use super::*;
use crate::nic::meter::Fate;
use rte_flow_rs::{MeterParams, MeterProfile};

const WIRE: u16 = ETHDEVS[0];
const ANY_ETH: Item = Item::Eth(Match::Any);
const OUT: Action = Action::RepresentedPort(ETHDEVS[1]);

/// All that a test can see of one run: what left, what software got, what rules counted; packets that a meter judged, that it
/// counted, and that it counted as dropped.
#[derive(Debug, PartialEq)]
struct Seen {
    deliveries: Vec<Vec<Delivery>>,
    counts: Vec<Option<Count>>,
    meter: (u64, u64, u64),
}

fn run(faults: Faults) -> Seen {
    let mut nic = faulty("connectx", faults);
    let v4 = |dst| ipv4_dst(dst, [255; 4]);
    let mut rules = Vec::new();
    let mut create = |nic: &mut Eswitch, flow: &RawFlow| rules.push(nic.create(flow).unwrap());
    let acts = [Action::Count(0), Action::SetIpv4Src([1, 2, 3, 4]), Action::DecTtl, OUT];
    // Of a lower priority, since it matches tagged packets too.
    let low = RawFlow { priority: 1, ..from_outside(WIRE, &[ANY_ETH, v4(IP_B), tcp_dst(80)], &acts) };
    create(&mut nic, &low);
    create(&mut nic, &from_outside(WIRE, &[ANY_ETH, vlan_vid(5)], &[Action::Count(0), Action::OfPopVlan, OUT]));
    create(&mut nic, &from_outside(WIRE, &[ANY_ETH, v4(IP_B), udp_dst(53)], &[Action::Count(0), Action::Drop]));
    let retag = [Action::OfSetVlanVid(9), OUT];
    create(&mut nic, &from_outside(WIRE, &[ANY_ETH, vlan_vid(6), Item::Ipv4(Match::Any), tcp_dst(80)], &retag));
    let half = [10, 9, 0, 0];
    create(&mut nic, &from_outside(WIRE, &[ANY_ETH, ipv4_dst(half, [255, 255, 0, 0]), udp_dst(99)], &[OUT]));
    let mark = raw(ETHDEVS[2], INGRESS, &[ANY_ETH, v4(IP_B)], &[Action::Mark(7), Action::Queue(0)]);
    create(&mut nic, &mark);
    // A meter that lets one packet pass.
    let profile = MeterProfile::SrTcm2697 { cir: 1, cbs: 1, ebs: 0, packet_mode: true };
    nic.meters.add_profile(1, profile).unwrap();
    nic.meters.add_policy(1, [Fate::Pass, Fate::Pass, Fate::Drop]).unwrap();
    nic.meters.create(1, MeterParams { profile: 1, policy: 1, shared: true }, 0).unwrap();
    create(&mut nic, &from_outside(ETHDEVS[3], &[ANY_ETH], &[Action::Meter(1), OUT]));

    let with_port = |mut frame: Vec<u8>, port: u16| {
        frame[36..38].copy_from_slice(&port.to_be_bytes());
        frame
    };
    let mut to_half = udp4();
    to_half[30..34].copy_from_slice(&[10, 9, 1, 2]);
    let mut deliveries = Vec::new();
    for (place, frame) in [
        (0, tcp4()),
        (0, with_port(tcp4(), 81)),
        (0, with_port(tcp4(), 1234)),
        (0, tagged(5)),
        (0, udp4()),
        (2, udp4()),
        (2, udp6()),
        (0, tagged(6)),
        (0, with_port(to_half, 99)),
        (3, udp4()),
        (3, udp6()),
    ] {
        deliveries.push(send(&mut nic, place, &frame));
    }
    let counts = rules.iter().map(|no| nic.query(*no, false).ok()).collect();
    nic.destroy(rules[0]).unwrap();
    deliveries.push(send(&mut nic, 0, &tcp4()));
    assert_balance(nic.stats());
    let stats = nic.meters.stats(1, false).unwrap();
    let counted = stats.packets.into_iter().flatten().sum();
    let meter = (nic.stats().metered, counted, stats.dropped_packets.unwrap());
    Seen { deliveries, counts, meter }
}

#[test]
fn without_faults_two_runs_are_equal() {
    let seen = run(Faults::none());
    assert_eq!(seen, run(Faults::none()));
    assert_eq!(seen.deliveries[1], miss(0, &seen_frame(&seen.deliveries[1])));
    assert_eq!(seen.deliveries[4], []);
}

fn seen_frame(deliveries: &[Delivery]) -> Vec<u8> {
    only_frame(deliveries.to_vec())
}

#[test]
fn each_fault_shows() {
    let right = run(Faults::none());
    for fault in Fault::EVERY {
        assert_ne!(run(Faults::none().with(*fault)), right, "{fault}");
        assert_eq!(fault.name().parse(), Ok(*fault));
    }
    assert!("x".parse::<Fault>().is_err());
}

/// The frames of a run with one fault, beside those of a run without.
fn beside(fault: Fault) -> (Seen, Seen) {
    (run(Faults::none()), run(Faults::none().with(fault)))
}

#[test]
fn the_field_or_bit_that_is_not_matched() {
    let (right, wrong) = beside(Fault::MatchFieldIgnored);
    assert_ne!(wrong.deliveries[2], right.deliveries[2], "any port matches");
    let (right, wrong) = beside(Fault::MaskWidened);
    assert_ne!(wrong.deliveries[1], right.deliveries[1], "80 and 81 match");
    assert_eq!(wrong.deliveries[2], right.deliveries[2], "1234 does not");
}

#[test]
fn rewrites_that_do_not_happen() {
    let ip = |seen: &Seen| only_frame(seen.deliveries[0].clone())[14..34].to_vec();
    let (right, wrong) = beside(Fault::RewriteSkipped);
    assert_eq!((ip(&right)[12..16].to_vec(), ip(&wrong)[12..16].to_vec()), (vec![1, 2, 3, 4], IP_A.to_vec()));
    let (right, wrong) = beside(Fault::DecTtlSkipped);
    assert_eq!((ip(&right)[8], ip(&wrong)[8]), (63, 64));
    let (right, wrong) = beside(Fault::ChecksumNotUpdated);
    assert_eq!(ip(&right)[12..], ip(&wrong)[12..]);
    assert_ne!(ip(&right)[10..12], ip(&wrong)[10..12]);
    assert_eq!(ip(&wrong)[10..12], tcp4()[24..26]);
    let (right, wrong) = beside(Fault::VlanNotPopped);
    assert_eq!(
        (right.deliveries[3].clone(), wrong.deliveries[3].clone()),
        (vec![outside(1, tcp4())], vec![outside(1, tagged(5))])
    );
}

#[test]
fn frames_that_go_wrong() {
    let (_, wrong) = beside(Fault::WrongPort);
    assert!(matches!(wrong.deliveries[0][..], [Delivery::Outside { place: 2, .. }]));
    let (_, wrong) = beside(Fault::DropIgnored);
    assert_eq!(wrong.deliveries[4], [outside(1, udp4())]);
    let (right, wrong) = beside(Fault::StaleMark);
    assert_eq!(right.deliveries[6], miss(2, &udp6()));
    assert_eq!(
        wrong.deliveries[6],
        [Delivery::Representor { place: 2, frame: udp6(), mark: Some(7), flag: true, queues: Queues::All }]
    );
}

#[test]
fn rules_that_come_and_go_wrongly() {
    let (_, wrong) = beside(Fault::RuleLost);
    assert_eq!(wrong.deliveries[0], miss(0, &tcp4()));
    let (right, wrong) = beside(Fault::RuleAliveAfterRemoval);
    assert_eq!(right.deliveries[11], miss(0, &tcp4()));
    assert_eq!(wrong.deliveries[11], right.deliveries[0]);
    let (right, wrong) = beside(Fault::CounterDoubled);
    let twice = |c: &Option<Count>| c.map(|c| Count { packets: c.packets * 2, bytes: c.bytes * 2 });
    assert_eq!(right.counts.iter().map(twice).collect::<Vec<_>>(), wrong.counts);
}

#[test]
fn meters_that_judge_or_count_wrongly() {
    let seen = |seen: &Seen| (seen.deliveries[9].len(), seen.deliveries[10].len(), seen.meter);
    let (right, wrong) = beside(Fault::MeterDropsGreen);
    assert_eq!((seen(&right), seen(&wrong)), ((1, 0, (2, 2, 1)), (0, 0, (2, 2, 1))));
    assert_eq!(seen(&beside(Fault::MeterPassesRed).1), (1, 1, (2, 2, 1)));
    assert_eq!(seen(&beside(Fault::MeterNotCounted).1), (1, 0, (2, 0, 0)));
}

#[test]
fn a_device_dies_after_so_many_operations() {
    let mut nic = faulty("connectx", Faults { dies_after: Some(3), ..Faults::none() });
    let drop = from_outside(WIRE, &[ANY_ETH], &[Action::Drop]);
    let rule = nic.create(&drop).unwrap();
    nic.validate(&from_outside(ETHDEVS[1], &[ANY_ETH], &[Action::Drop])).unwrap();
    assert_eq!(send(&mut nic, 0, &tcp4()), []);
    assert_eq!(nic.destroy(rule).unwrap_err().errno, 5);
    assert!(nic.is_dead());
    assert_eq!(send(&mut nic, 0, &tcp4()), miss(0, &tcp4()));
    assert_eq!(nic.create(&drop).unwrap_err().errno, 5);
    assert_eq!(nic.create_counter().unwrap_err().errno, 5);
}

#[test]
fn refusals_by_chance_follow_the_seed() {
    let refused = |seed| {
        let faults = Faults { refuse: 0.5, ..Faults::none() };
        let mut nic = Eswitch::new(Profile::named("connectx").unwrap(), ETHDEVS.to_vec(), faults, seed);
        let rule = |i: u8| from_outside(WIRE, &[ANY_ETH, ipv4_dst([10, 0, 1, i], [255; 4])], &[OUT]);
        (0..64).map(|i| nic.create(&rule(i)).is_err()).collect::<Vec<_>>()
    };
    assert_eq!(refused(1), refused(1));
    assert_ne!(refused(1), refused(2));
    let share = refused(3).iter().filter(|r| **r).count();
    assert!((16..48).contains(&share), "{share} of 64");
}
