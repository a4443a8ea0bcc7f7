//! The fast path is right: what leaves Shunt is what leaves Open vSwitch, byte for byte (`bench/verify.py`), and the traffic of the
//! benchmarks is what it was.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// What verify.py ends with when it cannot compare.
const SKIPPED: i32 = 77;

fn bench(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../bench").join(file)
}

fn python() -> bool {
    let there = Command::new("python3").arg("--version").output().is_ok();
    if !there {
        println!("skipped: no python3 to run bench/verify.py");
    }
    there
}

fn verify(scenarios: &[&str]) {
    if !python() {
        return;
    }
    let programs = hw_tests::program("shuntd").unwrap();
    let output = Command::new("python3")
        .arg(bench("verify.py"))
        .args(scenarios)
        .args(["--flows", "300", "--passes", "3"])
        .env("SHUNT_BIN", programs.parent().unwrap())
        // Open vSwitch is unpacked beside what other tests compare with.
        .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap())
        .output()
        .unwrap();
    let (told, why) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.code() == Some(SKIPPED) {
        println!("{}", why.trim());
        return;
    }
    assert!(output.status.success(), "{told}{why}");
    println!("{told}");
    let equal = told.lines().filter(|l| l.starts_with('{') && l.contains("\"equal\": true")).count();
    assert_eq!(equal, scenarios.len(), "{told}");
}

#[test]
fn scenarios_send_what_open_vswitch_sends() {
    verify(&["port", "acl", "l3", "l2", "pipeline", "masks30"]);
}

#[test]
fn shapes_send_what_open_vswitch_sends() {
    verify(&["ipv6", "vlan", "prefixes", "ports", "masks300"]);
}

/// FNV-1a.
fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, b| (hash ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))
}

/// Figures of other days and of other machines are compared with ours: scenario and seed must stand for the same traffic.
#[test]
fn traffic_of_the_same_arguments_stays_the_same() {
    if !python() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (pcap, rules) = (dir.path().join("t.pcap"), dir.path().join("t.flows"));
    let of = |scenario: &str| {
        let run = Command::new("python3")
            .arg(bench("traffic.py"))
            .args([scenario, "--flows", "1000", "--seed", "9", "--pcap"])
            .arg(&pcap)
            .arg("--rules")
            .arg(&rules)
            .output()
            .unwrap();
        assert!(run.status.success(), "{scenario}: {}", String::from_utf8_lossy(&run.stderr));
        format!("{scenario} {:x} {:x}", digest(&std::fs::read(&pcap).unwrap()), digest(&std::fs::read(&rules).unwrap()))
    };
    let all: Vec<_> = ["port", "acl", "l3", "l2", "pipeline"].into_iter().map(of).collect();
    assert_eq!(all, TRAFFIC);
}

const TRAFFIC: [&str; 5] = [
    "port 88d6eab13fb918b9 b4e5cbf24fb58a90",
    "acl 77879e511d21857f 9234b723bdc90b34",
    "l3 2505f6e6ee4d66ce a07df99205609941",
    "l2 be9b7e838c39e0cf c989946581b11fc4",
    "pipeline 32fd012180d35472 89ceaaa277750735",
];
