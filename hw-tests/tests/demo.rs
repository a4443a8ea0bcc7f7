//! `shuntctl demo`: what it reports holds, and offload changes nothing of what leaves the switch.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use api::{DpFlowView, Handled, MockView, Tally};
use hw_tests::run;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const PROFILES: [&str; 6] = ["connectx", "e810", "mark-only", "tiny", "none", "full"];

/// What a run reported.
struct Report {
    flows: Vec<DpFlowView>,
    mock: MockView,
    tally: Tally,
}

impl Report {
    /// Frames that were not the first of their flow.
    fn later(&self) -> u64 {
        self.tally.frames_in - self.flows.len() as u64
    }
}

fn demo(args: &[&str]) -> Report {
    let out = run("shuntctl", &[&["demo", "--json"], args].concat()).unwrap();
    assert_eq!((out.code, out.stderr.as_str()), (Some(0), ""), "{args:?}");
    let lines: Vec<&str> = out.stdout.lines().collect();
    let [flows @ .., mock, last] = lines.as_slice() else { panic!("{args:?}: {}", out.stdout) };
    let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(last).unwrap();
    let names: BTreeSet<&str> = fields.keys().map(String::as_str).collect();
    let want = ["frames_in", "copies", "frames_out", "frames_dropped", "hardware", "partial", "software"];
    assert_eq!(names, BTreeSet::from(want), "{last}");
    let n = |name: &str| fields[name].as_u64().unwrap();
    assert_eq!(n("frames_in") + n("copies"), n("frames_out") + n("frames_dropped"), "{args:?}: {last}");
    assert_eq!(n("hardware") + n("partial") + n("software"), n("frames_in"), "{args:?}: {last}");
    let report = Report {
        flows: flows.iter().map(|line| serde_json::from_str(line).unwrap()).collect(),
        mock: serde_json::from_str(mock).unwrap(),
        tally: serde_json::from_str(last).unwrap(),
    };
    assert_eq!(report.mock.tally, report.tally);
    report
}

/// The shared captures that may lie beside the checkout.
fn shared() -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/captures");
    if !dir.is_dir() {
        println!("skipped: no ../shared");
        return None;
    }
    Some(dir)
}

/// Each profile does its share of the frames that `captures` says.
fn profiles_do_their_share(captures: &[&str]) {
    let of = |profile: &str| demo(&[&["--profile", profile], captures].concat());
    let report = of("connectx");
    assert!(report.tally.frames_in > 500 && report.flows.len() > 20, "{:?}", report.tally);
    assert!(report.tally.hardware * 2 >= report.later(), "connectx: {:?}", report.tally);
    let report = of("mark-only");
    assert!(report.tally.partial * 2 >= report.later(), "mark-only: {:?}", report.tally);
    assert_eq!(report.tally.hardware, 0);
    let report = of("none");
    assert_eq!(report.tally.software, report.tally.frames_in);
    assert_eq!(report.mock.rules_peak, 0);

    let report = of("tiny");
    assert!((1..=8).contains(&report.mock.rules_peak), "{} rules", report.mock.rules_peak);
    assert!(report.mock.rules <= report.mock.rules_peak);
    // What connectx takes as well, and what it would not take for a reason of its own.
    let says = |f: &DpFlowView, name: &str| f.reasons.iter().any(|r| r.name == name);
    let out: Vec<_> = report.flows.iter().filter(|f| f.handled == Handled::Software && !says(f, "Inexact")).collect();
    assert!(out.len() >= 20, "only {} flows found no room", out.len());
    for flow in out {
        assert!(says(flow, "TableFull"), "{}: {:?}", flow.flow, flow.reasons);
    }
}

#[test]
fn each_profile_does_its_share_of_the_own_captures() {
    profiles_do_their_share(&[]);
}

#[test]
fn each_profile_does_its_share_of_the_shared_captures() {
    let Some(dir) = shared() else { return };
    profiles_do_their_share(&["--captures", dir.to_str().unwrap()]);
}

#[test]
fn names_of_reasons_are_names_of_variants() {
    let report = demo(&["--profile", "tiny", "--lockstep"]);
    let none = demo(&["--profile", "none", "--lockstep"]);
    let names: BTreeSet<_> =
        report.flows.iter().chain(&none.flows).flat_map(|f| &f.reasons).map(|r| r.name.as_str()).collect();
    assert!(names.contains("NotOffloadCapable"), "{names:?}");
    for name in names {
        let pascal =
            name.starts_with(|c: char| c.is_ascii_uppercase()) && name.chars().all(|c| c.is_ascii_alphanumeric());
        assert!(pascal, "{name}");
    }
}

/// All files of a folder with their bytes.
fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        .collect();
    all.sort();
    all
}

fn on_and_off_write_the_same(extra: &[&str]) {
    for profile in PROFILES {
        let dir = tempfile::tempdir().unwrap();
        let written = |offload: &str| {
            let out = dir.path().join(offload);
            let args = ["--lockstep", "--profile", profile, "--offload", offload, "--out", out.to_str().unwrap()];
            let report = demo(&[&args[..], extra].concat());
            if offload == "off" {
                assert_eq!(report.tally.software, report.tally.frames_in, "{profile}");
            }
            (files(&out), report.tally.frames_out)
        };
        let ((on, frames), (off, _)) = (written("on"), written("off"));
        let names: Vec<_> = on.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["vf0.pcap", "vf1.pcap", "vf2.pcap", "vf3.pcap", "wire.pcap"]);
        let read = |(name, bytes): &(String, Vec<u8>)| api::read_capture(name, bytes).unwrap().len() as u64;
        assert_eq!(on.iter().map(read).sum::<u64>(), frames, "{profile}");
        assert!(frames > 0);
        for ((name, a), (_, b)) in on.iter().zip(&off) {
            assert!(a == b, "{profile} {extra:?}: {name} differs");
        }
    }
}

#[test]
fn offload_changes_no_byte_of_the_own_captures() {
    on_and_off_write_the_same(&[]);
}

#[test]
fn offload_changes_no_byte_of_the_shared_captures() {
    let Some(dir) = shared() else { return };
    on_and_off_write_the_same(&["--captures", dir.to_str().unwrap()]);
}

#[test]
fn rules_and_captures_can_be_given() {
    let dir = tempfile::tempdir().unwrap();
    let rules = dir.path().join("r.flows");
    std::fs::write(&rules, "# all to VF 2\nin_port=1,actions=output:4\n\npriority=1,actions=drop\n").unwrap();
    // Two files: the first enters at the wire, the second at VF 0.
    let captures = dir.path().join("captures");
    std::fs::create_dir(&captures).unwrap();
    let frame = |n: u8| api::CapturedFrame {
        at: std::time::Duration::from_millis(n.into()),
        data: [&[2, 0, 0, 0, 0, n, 2, 0, 0, 0, 0, 1, 8, 0], &[n; 50][..]].concat(),
    };
    let first: Vec<_> = (0..5).map(frame).collect();
    std::fs::write(captures.join("a.pcap"), api::write_capture(&first).unwrap()).unwrap();
    std::fs::write(captures.join("b.pcap"), api::write_capture(&[frame(9)]).unwrap()).unwrap();
    let out = dir.path().join("out");
    let path = |p: &Path| p.to_str().unwrap().to_owned();
    let report = demo(&["--rules", &path(&rules), "--captures", &path(&captures), "--out", &path(&out), "--lockstep"]);
    assert_eq!((report.tally.frames_in, report.tally.frames_out, report.tally.frames_dropped), (6, 5, 1));
    let left = api::read_capture("vf2", &std::fs::read(out.join("vf2.pcap")).unwrap()).unwrap();
    let bytes = |frames: &[api::CapturedFrame]| frames.iter().map(|f| f.data.clone()).collect::<Vec<_>>();
    assert_eq!(bytes(&left), bytes(&first));
}

#[test]
fn wrong_arguments_are_refused_in_one_line() {
    let refused = |args: &[&str], parts: &[&str]| {
        let out = run("shuntctl", &[&["demo"], args].concat()).unwrap();
        assert_eq!((out.code, out.stdout.as_str(), out.stderr.lines().count()), (Some(1), "", 1), "{args:?}: {out:?}");
        for part in parts {
            assert!(out.stderr.contains(part), "{args:?}: {}", out.stderr);
        }
    };
    refused(&["--profile", "cx9"], &["cx9", "connectx"]);
    refused(&["--captures", "/nosuch"], &["/nosuch"]);
    refused(&["--rules", "/nosuch.flows"], &["/nosuch.flows"]);
    let dir = tempfile::tempdir().unwrap();
    let rules = dir.path().join("r.flows");
    std::fs::write(&rules, "actions=drop\n# a comment\nip,nw_dst=1.2.3.4,actions=frobnicate\n").unwrap();
    refused(&["--rules", rules.to_str().unwrap()], &["r.flows:3", "frobnicate"]);
    // A file where a folder should be.
    refused(&["--lockstep", "--out", rules.to_str().unwrap()], &["r.flows"]);
}
