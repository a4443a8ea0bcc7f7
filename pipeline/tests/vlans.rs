//! NORMAL with all VLAN modes and priority tags, against tables written down from ovs-vswitchd.conf.db(5): for each kind of port,
//! which VLAN each packet is in that comes in, and how a packet of each VLAN goes out.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use flow::clock::VirtualClock;
use flow::dp::{Hits, Resume, Slowpath};
use flow::rule::RuleSpec;
use flow::{Action, DpPort, FlowKey, OfPort, VlanTag};
use pipeline::{Config, FailMode, Pipeline, PortSpec, PriorityTags, RuleChange, VlanMode};
use std::sync::Arc;

/// A tag: VLAN id and priority.
type Tag = (u16, u16);

/// What comes in: nothing, a priority tag with priority 0 or 5, VLAN 10, 20 with a priority, 30.
const PACKETS: [Option<Tag>; 6] = [None, Some((0, 0)), Some((0, 5)), Some((10, 0)), Some((20, 3)), Some((30, 0))];

fn modes() -> Vec<(&'static str, VlanMode)> {
    let set = |v: &[u16]| v.iter().copied().collect();
    vec![
        ("access 10", VlanMode::Access(10)),
        ("access 0", VlanMode::Access(0)),
        ("trunk all", VlanMode::default()),
        ("trunk 10,20", VlanMode::Trunk(set(&[10, 20]))),
        ("native-tagged 10, trunks 20", VlanMode::NativeTagged { native: 10, trunks: set(&[20]) }),
        ("native-untagged 10, trunks 20", VlanMode::NativeUntagged { native: 10, trunks: set(&[20]) }),
    ]
}

/// In which VLAN each of [`PACKETS`] is; -1: it may not come in.
const IN: [[i32; 6]; 6] = [
    [10, 10, 10, -1, -1, -1],
    [0, 0, 0, -1, -1, -1],
    [0, 0, 0, 10, 20, 30],
    [-1, -1, -1, 10, 20, -1],
    [10, 10, 10, 10, 20, -1],
    [10, 10, 10, 10, 20, -1],
];

/// How a packet of VLAN 0, 10, 20, 30 goes out: `-` not at all, `u` untagged, `t` tagged. Untagged in VLAN 0 on a port that does
/// not strip tags (`p`): a priority stays.
const OUT: [&str; 6] = ["-u--", "u---", "pttt", "-tt-", "-tt-", "-ut-"];

fn expected(came: Option<Tag>, vlan: u16, out: u8, priority: PriorityTags) -> Option<Option<Tag>> {
    let pcp = came.map_or(0, |(_, pcp)| pcp);
    match out {
        b'-' => None,
        b't' => Some(Some((vlan, pcp))),
        b'u' if priority == PriorityTags::Never => Some(None),
        b'u' => Some((pcp != 0).then_some((0, pcp))),
        _ => Some(came.filter(|_| pcp != 0 || priority == PriorityTags::Always).map(|_| (0, pcp))),
    }
}

fn key(port: u32, tag: Option<Tag>) -> FlowKey {
    let mut key = FlowKey::ZERO;
    key.in_port = port.into();
    (key.eth_src, key.eth_dst, key.eth_type) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2], 0x88b5.into());
    if let Some((vid, pcp)) = tag {
        key.vlans[0] = VlanTag { tpid: 0x8100.into(), tci: (VlanTag::PRESENT | pcp << 13 | vid).into() };
    }
    key
}

fn tag_of(key: &FlowKey) -> Option<Tag> {
    key.vlans[0].is_present().then(|| (key.vlans[0].vid(), key.vlans[0].tci.get() >> 13))
}

#[test]
fn each_mode_takes_in_and_sends_out_what_the_tables_say() {
    let mut sent = 0;
    for priority in [PriorityTags::Never, PriorityTags::IfNonzero, PriorityTags::Always] {
        for (i, (in_name, in_mode)) in modes().into_iter().enumerate() {
            for (o, (out_name, out_mode)) in modes().into_iter().enumerate() {
                for learned in [false, true] {
                    let p = Pipeline::new(Arc::new(VirtualClock::default()), Config::default());
                    let bridge = p.add_bridge("br0", FailMode::Standalone).unwrap();
                    p.add_port(bridge, PortSpec { vlan: in_mode.clone(), ..PortSpec::new("in", DpPort(1)) }).unwrap();
                    let out =
                        PortSpec { vlan: out_mode.clone(), priority_tags: priority, ..PortSpec::new("out", DpPort(2)) };
                    let out = p.add_port(bridge, out).unwrap();
                    if learned {
                        for vlan in [0, 10, 20, 30] {
                            p.fdb_add(bridge, vlan, [2, 0, 0, 0, 0, 2], out).unwrap();
                        }
                    }
                    for (k, came) in PACKETS.into_iter().enumerate() {
                        let packet = key(1, came);
                        let t = p.translate(&Resume::default(), &packet);
                        let got: Vec<_> = common::execute(&t.actions, &packet).iter().map(|(_, k)| tag_of(k)).collect();
                        let vlan = IN[i][k];
                        let place = [0, 10, 20, 30].iter().position(|v| *v == vlan);
                        let mut how = place.map_or(b'-', |at| OUT[o].as_bytes()[at]);
                        // What was learned on a port goes there, whatever its VLANs are.
                        if learned && vlan >= 0 && how == b'-' {
                            how = match o {
                                0 | 1 => b'u',
                                _ if vlan == 0 => b'p',
                                _ => b't',
                            };
                        }
                        let want = expected(came, u16::try_from(vlan).unwrap_or(0), how, priority);
                        let context = format!("{in_name} to {out_name}, {priority:?}, {came:?}, learned {learned}");
                        assert_eq!(got, want.into_iter().collect::<Vec<_>>(), "{context}");
                        sent += got.len();
                    }
                }
            }
        }
    }
    assert!(sent > 300, "{sent}");
}

#[test]
fn a_second_vlan_keeps_a_packet_off_access_ports() {
    let p = Pipeline::new(Arc::new(VirtualClock::default()), Config::default());
    let bridge = p.add_bridge("br0", FailMode::Standalone).unwrap();
    p.add_port(bridge, PortSpec::new("trunk", DpPort(1))).unwrap();
    p.add_port(bridge, PortSpec { vlan: VlanMode::Access(10), ..PortSpec::new("access", DpPort(2)) }).unwrap();
    p.add_port(bridge, PortSpec::new("trunk2", DpPort(3))).unwrap();
    let mut packet = key(1, Some((10, 0)));
    let to = |packet: &FlowKey| -> Vec<u32> {
        let t = p.translate(&Resume::default(), packet);
        common::execute(&t.actions, packet).iter().map(|(p, _)| p.0).collect()
    };
    let mut both = to(&packet);
    both.sort_unstable();
    assert_eq!(both, [2, 3]);
    packet.vlans[1] = VlanTag { tpid: 0x8100.into(), tci: (VlanTag::PRESENT | 7).into() };
    assert_eq!(to(&packet), [3]);
}

#[test]
fn reserved_addresses_pass_when_the_bridge_says_so() {
    let p = Pipeline::new(Arc::new(VirtualClock::default()), Config::default());
    let bridge = p.add_bridge("br0", FailMode::Secure).unwrap();
    for n in 1..3 {
        p.add_port(bridge, PortSpec::new(format!("p{n}"), DpPort(n))).unwrap();
    }
    let rule = RuleSpec { actions: vec![Action::Output(OfPort::NORMAL)], ..RuleSpec::default() };
    p.apply(&[RuleChange::Add { bridge, rule }]).unwrap();
    for dst in [[1, 0x80, 0xc2, 0, 0, 0], [1, 0, 0x0c, 0xcc, 0xcc, 0xcc], [0, 0xe0, 0x2b, 0, 0, 4]] {
        let mut packet = key(1, None);
        packet.eth_dst = dst;
        let copies = || common::execute(&p.translate(&Resume::default(), &packet).actions, &packet).len();
        p.set_bridge_options(bridge, pipeline::BridgeOptions::default()).unwrap();
        assert_eq!(copies(), 0, "{dst:?}");
        let options = pipeline::BridgeOptions { forward_bpdu: true, ..Default::default() };
        p.set_bridge_options(bridge, options).unwrap();
        assert_eq!(copies(), 1, "{dst:?}");
    }
    p.replay(&[], &Hits::default());
}
