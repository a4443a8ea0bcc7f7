use super::*;
use rte_flow_rs::{ArpEthIpv4, Ipv6, Rss, Sctp};

const WIRE: u16 = ETHDEVS[0];
const ANY_ETH: Item = Item::Eth(Match::Any);
const V4: Item = Item::Ipv4(Match::Any);
const OUT: Action = Action::RepresentedPort(ETHDEVS[1]);
const ENODEV: i32 = 19;
const EINVAL: i32 = 22;
const ENOTSUP: i32 = 95;

fn refusal(profile: &str, raw: &RawFlow) -> (RefusalKind, i32) {
    let mut nic = nic(profile);
    let refused = nic.create(raw).unwrap_err();
    assert_eq!(nic.validate(raw).unwrap_err(), refused);
    assert_eq!(nic.rule_count(), 0);
    (refused.kind, refused.errno)
}

fn transfer(items: &[Item], actions: &[Action]) -> RawFlow {
    from_outside(WIRE, items, actions)
}

#[test]
fn each_profile_refuses_what_it_lacks() {
    let set = [Action::SetMacDst(MAC_A), OUT];
    let mark = raw(WIRE, INGRESS, &[ANY_ETH], &[Action::Mark(1), Action::Queue(0)]);
    let out = transfer(&[ANY_ETH], &[OUT]);
    let sctp = Item::Sctp(Match::<Sctp>::Any);
    let arp = Item::Arp(Match::<ArpEthIpv4>::Any);
    let copy = |place: usize| Action::Sample { ratio: 1, actions: vec![Action::RepresentedPort(ETHDEVS[place])] };
    use RefusalKind as K;
    for (profile, flow, want) in [
        ("none", &out, (K::AttrTransfer, ENOTSUP)),
        ("none", &mark, (K::AttrIngress, ENOTSUP)),
        ("mark-only", &out, (K::AttrTransfer, ENOTSUP)),
        ("e810", &transfer(&[ANY_ETH], &set), (K::Action, ENOTSUP)),
        ("e810", &transfer(&[ANY_ETH], &[Action::Jump(1)]), (K::Action, ENOTSUP)),
        ("e810", &transfer(&[ANY_ETH, V4], &[Action::DecTtl, OUT]), (K::Action, ENOTSUP)),
        ("e810", &transfer(&[ANY_ETH], &[Action::RepresentedPort(WIRE)]), (K::Action, ENOTSUP)),
        ("e810", &transfer(&[ANY_ETH, arp.clone()], &[OUT]), (K::Item, ENOTSUP)),
        ("connectx", &transfer(&[ANY_ETH, arp], &[OUT]), (K::Item, ENOTSUP)),
        ("connectx", &transfer(&[ANY_ETH, V4, sctp], &[OUT]), (K::Item, ENOTSUP)),
        ("e810", &transfer(&[ANY_ETH], &[OUT, Action::RepresentedPort(ETHDEVS[2])]), (K::Action, ENOTSUP)),
        ("connectx", &transfer(&[ANY_ETH], &[copy(1), copy(2), OUT]), (K::Action, ENOTSUP)),
        ("connectx", &transfer(&[ANY_ETH], &[Action::Mark(1), OUT]), (K::Action, ENOTSUP)),
    ] {
        assert_eq!(refusal(profile, flow), want, "{profile} {flow:?}");
    }
    let mirror = transfer(&[ANY_ETH], &[copy(2), OUT]);
    for (profile, flow) in [
        ("mark-only", &mark),
        ("e810", &mark),
        ("e810", &out),
        ("connectx", &out),
        ("connectx", &mirror),
        ("tiny", &out),
    ] {
        nic(profile).create(flow).unwrap();
    }
}

#[test]
fn masks_and_ranges() {
    let proto = Item::Ipv4(Match::Masked { spec: Ipv4::default(), mask: Ipv4 { proto: 0x0f, ..Ipv4::default() } });
    assert_eq!(refusal("connectx", &transfer(&[ANY_ETH, proto], &[OUT])), (RefusalKind::ItemMask, ENOTSUP));
    let bit = eth(Eth::default(), Eth { has_vlan: true, ..Eth::default() });
    assert_eq!(refusal("e810", &transfer(&[bit], &[OUT])), (RefusalKind::ItemMask, ENOTSUP));
    let ihl = Item::Ipv4(Match::Masked { spec: Ipv4::default(), mask: Ipv4 { version_ihl: 255, ..Ipv4::default() } });
    assert_eq!(refusal("full", &transfer(&[ANY_ETH, ihl], &[OUT])), (RefusalKind::ItemMask, ENOTSUP));
    let range = Item::Tcp(Match::Range {
        spec: Tcp { dst: 80, ..Tcp::default() },
        last: Tcp { dst: 90, ..Tcp::default() },
        mask: Tcp { dst: 0xffff, ..Tcp::default() },
    });
    assert_eq!(refusal("full", &transfer(&[ANY_ETH, V4, range], &[OUT])), (RefusalKind::ItemLast, ENOTSUP));
}

#[test]
fn nonsense_is_invalid() {
    use RefusalKind as K;
    let v6 = Item::Ipv6(Match::<Ipv6>::Any);
    let v4_src = Action::SetIpv4Src(IP_A);
    for (flow, want) in [
        (transfer(&[ANY_ETH, tcp_dst(80)], &[OUT]), (K::Item, EINVAL)),
        (transfer(&[V4, ANY_ETH], &[OUT]), (K::Item, EINVAL)),
        (transfer(&[ANY_ETH, V4, v6.clone()], &[OUT]), (K::Item, EINVAL)),
        (transfer(&[ANY_ETH, V4, vlan_vid(1)], &[OUT]), (K::Item, EINVAL)),
        (transfer(&[ANY_ETH], &[]), (K::ActionNum, EINVAL)),
        (transfer(&[ANY_ETH], &[Action::Drop, OUT]), (K::Action, EINVAL)),
        (transfer(&[ANY_ETH, v6], &[v4_src.clone(), OUT]), (K::Action, EINVAL)),
        (transfer(&[ANY_ETH, V4], &[Action::SetTpDst(1), OUT]), (K::Action, EINVAL)),
        (transfer(&[ANY_ETH], &[Action::OfPopVlan, OUT]), (K::Action, EINVAL)),
        (transfer(&[ANY_ETH], &[Action::OfSetVlanVid(1), OUT]), (K::Action, EINVAL)),
        (transfer(&[ANY_ETH, vlan_vid(1)], &[Action::OfSetVlanVid(4096), OUT]), (K::ActionConf, EINVAL)),
        (transfer(&[ANY_ETH], &[Action::OfPushVlan(0x0800), OUT]), (K::ActionConf, EINVAL)),
        (raw(WIRE, Attr { group: 2, ..TRANSFER }, &[ANY_ETH], &[Action::Jump(2)]), (K::ActionConf, EINVAL)),
        (raw(WIRE, Attr { group: 5000, ..TRANSFER }, &[ANY_ETH], &[OUT]), (K::AttrGroup, ENOTSUP)),
        (raw(WIRE, Attr { priority: 16, ..TRANSFER }, &[ANY_ETH], &[OUT]), (K::AttrPriority, ENOTSUP)),
        (raw(WIRE, Attr { egress: true, transfer: false, ..TRANSFER }, &[], &[OUT]), (K::AttrEgress, ENOTSUP)),
        (raw(WIRE, Attr { ingress: true, ..TRANSFER }, &[], &[OUT]), (K::AttrTransfer, EINVAL)),
        (raw(WIRE, INGRESS, &[ANY_ETH], &[Action::Mark(1)]), (K::ActionNum, EINVAL)),
        (raw(WIRE, INGRESS, &[ANY_ETH], &[Action::Mark(1 << 24), Action::Queue(0)]), (K::ActionConf, EINVAL)),
        (transfer(&[ANY_ETH], &[Action::RepresentedPort(99)]), (K::ActionConf, ENODEV)),
        (raw(99, TRANSFER, &[ANY_ETH], &[OUT]), (K::Unspecified, ENODEV)),
    ] {
        assert_eq!(refusal("connectx", &flow), want, "{flow:?}");
    }
    let mut cut = transfer(&[ANY_ETH, ipv4_dst(IP_B, [255; 4])], &[OUT]);
    cut.items[2].spec.as_mut().unwrap().truncate(10);
    assert_eq!(refusal("connectx", &cut), (K::ItemSpec, EINVAL));
    let mut no_spec = transfer(&[ANY_ETH, ipv4_dst(IP_B, [255; 4])], &[OUT]);
    no_spec.items[2].spec = None;
    assert_eq!(refusal("connectx", &no_spec), (K::ItemSpec, EINVAL));
    let mut no_conf = transfer(&[ANY_ETH], &[OUT]);
    no_conf.actions[0].conf = None;
    assert_eq!(refusal("connectx", &no_conf), (K::ActionConf, EINVAL));
}

#[test]
fn a_full_table_and_a_second_equal_rule() {
    let mut nic = nic("tiny");
    let rule = |last: u8| transfer(&[ANY_ETH, ipv4_dst([10, 0, 0, last], [255; 4])], &[OUT]);
    let rules: Vec<_> = (0..8).map(|i| nic.create(&rule(i)).unwrap()).collect();
    assert_eq!(nic.create(&rule(8)).unwrap_err().errno, 28);
    nic.destroy(rules[3]).unwrap();
    assert_eq!(nic.create(&rule(4)).unwrap_err().errno, 17);
    nic.create(&rule(8)).unwrap();
    assert_eq!(nic.destroy(rules[3]).unwrap_err().errno, 2);
    nic.flush(WIRE).unwrap();
    assert_eq!(nic.rule_count(), 0);
    assert_eq!(send(&mut nic, 0, &tcp4()), miss(0, &tcp4()));
}

#[test]
fn counters_that_outlive_rules_are_not_everywhere() {
    assert_eq!(nic("e810").create_counter().unwrap_err().errno, ENOTSUP);
    let unknown = Action::Indirect(rte_flow_rs::ActionHandle(77));
    assert_eq!(refusal("connectx", &transfer(&[ANY_ETH], &[unknown, OUT])), (RefusalKind::ActionConf, 2));
}

#[test]
fn every_profile_is_read_and_told_to_the_planner() {
    for name in Profile::NAMES {
        let caps = Profile::named(name).unwrap().capabilities();
        assert_eq!(caps.name, name);
        // The mock does at least what offload knows of such a NIC, and matches more fields at most.
        let Some(preset) = offload::Capabilities::preset(name) else { continue };
        let mut same = caps.clone();
        for (ours, theirs) in [
            (same.transfer.as_mut().map(|t| &mut t.fields), preset.transfer.as_ref().map(|t| &t.fields)),
            (same.partial.as_mut().map(|p| &mut p.fields), preset.partial.as_ref().map(|p| &p.fields)),
        ] {
            let (Some(ours), Some(theirs)) = (ours, theirs) else { continue };
            assert!(flow::field::FIELDS.iter().all(|f| ours.get(f.id) >= theirs.get(f.id)), "{name}");
            *ours = theirs.clone();
        }
        // Meters, headers and changes between copies depend on firmware and settings, so a preset does not promise them.
        same.limits = preset.limits;
        if let (Some(ours), Some(theirs)) = (&mut same.transfer, &preset.transfer) {
            assert!(ours.meter >= theirs.meter && ours.encap >= theirs.encap && ours.mark >= theirs.mark, "{name}");
            (ours.meter, ours.encap, ours.mark) = (theirs.meter, theirs.encap, theirs.mark);
            ours.rewrite_after_output = theirs.rewrite_after_output;
        }
        assert_eq!(same, preset);
    }
    assert!(matches!(Profile::named("x"), Err(ProfileError::Unknown(_))));
    for bad in ["items.x = {}", "items.eth = { x = \"any\" }", "transfer.actions = [\"x\"]", "?", "surplus = 1"] {
        assert!(matches!(Profile::parse("x", bad), Err(ProfileError::Invalid { .. })), "{bad}");
    }
}

#[test]
fn queues_that_representors_do_not_have() {
    let rss = |queues: &[u16]| Action::Rss(Rss { queues: queues.to_vec(), ..Rss::default() });
    let rule = |action: Action| raw(WIRE, INGRESS, &[ANY_ETH], &[Action::Mark(1), action]);
    let refused = |queues, action: Action| nic("connectx").with_queues(queues).create(&rule(action)).unwrap_err();
    for (queues, action, queue) in [(1, Action::Queue(1), 1), (4, Action::Queue(60_000), 60_000), (4, rss(&[0, 4]), 4)]
    {
        let error = refused(queues, action);
        assert_eq!((error.kind, error.errno), (RefusalKind::ActionConf, EINVAL));
        let want = format!("no receive queue {queue}: representors have {queues} of them, from 0");
        assert_eq!(error.message, want);
    }
    assert_eq!(refused(4, rss(&[])).errno, EINVAL);
    for own in [Rss { types: 1, ..Rss::default() }, Rss { level: 2, ..Rss::default() }] {
        let error = refused(4, Action::Rss(Rss { queues: vec![0], ..own }));
        assert_eq!((error.kind, error.errno), (RefusalKind::ActionConf, ENOTSUP));
    }
    for action in [Action::Queue(0), Action::Queue(3), rss(&[3, 0, 3])] {
        nic("connectx").with_queues(4).create(&rule(action)).unwrap();
    }
    nic("connectx").create(&rule(rss(&[0]))).unwrap();
}
