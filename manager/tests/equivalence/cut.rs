//! Frames that end early: each frame of all captures, cut at each of its first 200 bytes, through the whole switch.

use crate::rig::{ENDS, Rig, Run, plain_ports};
use crate::traffic::{Frame, demo_rules, folders, load};
use flow::rule::RuleSpec;
use mocks::nic::{End, Faults, InjectError};
use std::time::Instant;

/// How much of a frame's beginning is looked at.
const DEPTH: usize = 200;
/// Frames that wait at one end at a time: rings and buffers have room for what floods make of them.
const BATCH: usize = 32;

/// The cuts of a frame; the shortest has one byte.
fn cuts(frame: &Frame) -> impl Iterator<Item = (usize, &[u8])> {
    (1..=frame.data.len().min(DEPTH)).map(|n| (frame.end, &frame.data[..n]))
}

/// Rules that drop no packet for what its headers lack, and change whatever is there. The demo's rules drop most cut frames,
/// because they have no TTL.
fn changing_rules() -> Vec<RuleSpec> {
    let rules = [
        "priority=9,tcp,actions=mod_tp_dst:8080,mod_nw_src:192.0.2.1,push_vlan:0x8100,output:1,output:2",
        "priority=9,udp,actions=mod_tp_src:53,mod_nw_dst:192.0.2.2,output:2,output:3",
        "priority=9,sctp,actions=mod_tp_src:1,output:1,output:3",
        "priority=8,vlan_tci=0x1000/0x1000,actions=pop_vlan,mod_dl_src:02:00:00:00:00:09,output:1,output:4",
        "priority=7,ip,actions=mod_nw_tos:32,mod_nw_src:192.0.2.3,output:1,output:5",
        "priority=7,ipv6,actions=set_field:2001:db8::9->ipv6_dst,output:1,output:2",
        "priority=0,actions=mod_dl_dst:02:00:00:00:00:08,push_vlan:0x8100,set_field:4106->vlan_vid,output:1,output:5",
    ];
    rules.iter().map(|rule| flow::text::parse_flow(rule, &|_: &str| None).unwrap()).collect()
}

#[test]
fn frames_cut_anywhere_pass() {
    for (what, rules) in [("the demo's rules", demo_rules()), ("rules that change all", changing_rules())] {
        for profile in ["connectx", "none"] {
            let start = Instant::now();
            let (frames_in, run) = in_batches(profile, &rules);
            println!("{what}, {profile}: {:?}, {:?}", run.tally, start.elapsed());
            assert_eq!(run.troubles, [""; 0], "{what}, {profile}");
            assert_eq!(run.tally.frames_in, frames_in);
            assert!(what == "the demo's rules" || run.tally.frames_out > frames_in / 2);
        }
    }
}

/// All cuts of all frames, some at a time; how many they were.
fn in_batches(profile: &str, rules: &[RuleSpec]) -> (u64, Run) {
    let mut rig = Rig::new(profile, Faults::none(), true, &plain_ports(), rules);
    let empty = rig.nic.inject(End::Wire, &[]);
    assert!(matches!(empty, Err(InjectError::Length { len: 0, .. })), "{empty:?}");
    let mut frames_in = 0;
    for folder in folders() {
        for frame in load(&folder, usize::MAX) {
            let all: Vec<_> = cuts(&frame).collect();
            frames_in += all.len() as u64;
            for batch in all.chunks(BATCH) {
                rig.inject_all(batch.iter().copied());
                rig.forget_left();
            }
        }
    }
    (frames_in, rig.finish())
}

/// One frame after the other, so that the order is the same however a frame is handled.
fn one_by_one(profile: &str, offload: bool, rules: &[RuleSpec], frames: &[Frame]) -> Run {
    let mut rig = Rig::new(profile, Faults::none(), offload, &plain_ports(), rules);
    for frame in frames {
        for (end, cut) in cuts(frame) {
            rig.inject(end, cut);
        }
    }
    rig.finish()
}

#[test]
fn frames_cut_anywhere_are_the_same_with_offload() {
    let start = Instant::now();
    for folder in folders() {
        let mut frames = load(&folder, 10);
        // The same frames at another end too: other rules of the demo wait there.
        let moved: Vec<_> =
            frames.iter().map(|f| Frame { end: (f.end + 1) % ENDS, at: f.at, data: f.data.clone() }).collect();
        frames.extend(moved);
        for (what, rules) in [("the demo's rules", demo_rules()), ("rules that change all", changing_rules())] {
            let off = one_by_one("none", false, &rules, &frames);
            assert_eq!(off.troubles, [""; 0]);
            for profile in ["connectx", "mark-only"] {
                let on = one_by_one(profile, true, &rules, &frames);
                if let Some(fault) = on.fault(&off) {
                    panic!("{}, {what}, {profile}: {fault}", folder.display());
                }
                println!("{}, {what}, {profile}: {:?}, {:?}", folder.display(), on.tally, start.elapsed());
            }
        }
    }
}
