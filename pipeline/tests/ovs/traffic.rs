//! The benchmark's scenarios (`bench/traffic.py`): the same frames through both switches give the same counters.

use super::daemon::{self, OvsPort};
use super::ours::Ours;
use super::scene::Setup;
use flow::DpPort;
use flow::clock::Time;
use flow::dp::{Hits, Resume, Slowpath};
use flow::extract::RxMeta;
use pipeline::{Select, VlanMode};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const SCENARIOS: [&str; 5] = ["port", "acl", "l3", "l2", "pipeline"];
/// A dummy port keeps so many frames until the switch takes them; more are lost.
const QUEUE: usize = 96;

/// Packets and bytes by table, priority and match.
type Counters = BTreeMap<String, (u64, u64)>;

/// The frames of a pcap file of traffic.py: little-endian, no options.
fn frames(pcap: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = &pcap[24..];
    let mut frames = Vec::new();
    while rest.len() >= 16 {
        let len = u32::from_le_bytes(rest[8..12].try_into().expect("4 bytes")) as usize;
        frames.push(rest[16..16 + len].to_vec());
        rest = &rest[16 + len..];
    }
    frames
}

/// Counters of a dump, with cookies (each rule has its own) as names.
fn their_counters(dump: &str) -> Counters {
    let mut counters = Counters::new();
    for line in dump.lines().filter(|l| l.contains("cookie=")) {
        let value = |name: &str| {
            let from = line.split_once(name).unwrap_or_else(|| panic!("no {name} in {line}")).1;
            from.split(',').next().unwrap_or_default().trim().to_owned()
        };
        let number = |name| value(name).parse().expect("a number");
        counters.insert(value("cookie=0x"), (number("n_packets="), number("n_bytes=")));
    }
    counters
}

fn scenario(name: &str, flows: &str, dir: &Path) -> (Vec<Vec<u8>>, Vec<String>) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bench/traffic.py");
    let (pcap, rules) = (dir.join(format!("{name}.pcap")), dir.join(format!("{name}.flows")));
    let mut command = Command::new("python3");
    command.arg(script).args([name, "--flows", flows, "--seed", "7", "--pcap"]).arg(&pcap).arg("--rules").arg(&rules);
    let output = command.output().expect("python3 runs");
    assert!(output.status.success(), "traffic.py {name}: {}", String::from_utf8_lossy(&output.stderr));
    let rules = std::fs::read_to_string(rules).expect("rules");
    let numbered = rules.lines().enumerate().map(|(i, line)| format!("cookie={:#x},{line}", i + 1)).collect();
    (frames(&std::fs::read(pcap).expect("frames")), numbered)
}

#[test]
fn traffic_scenarios_give_the_same_counters() {
    let Some(mut ovs) = daemon::start_or_skip() else { return };
    if Command::new("python3").arg("--version").output().is_err() {
        println!("skipped: no python3 to run bench/traffic.py");
        return;
    }
    let dir = std::env::temp_dir().join(format!("shunt-ovs-traffic-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory");
    let ports = [1, 2].map(|number| OvsPort { number, columns: Vec::new() });
    ovs.add_bridge("br0", &ports);
    let dp = ovs.dp_ports("br0");
    for name in SCENARIOS {
        let (frames, rules) = scenario(name, "500", &dir);
        let text = format!("delete\n{}\n", rules.join("\n"));
        ovs.ofctl(&[], "add-flows", "br0", &["-"], &text).unwrap_or_else(|e| panic!("{name}: {e}"));
        let sent = frames.len() as u64;
        let before = ovs.lookups();
        let mut given = 0;
        for some in frames.chunks(QUEUE) {
            let hex = some.iter().map(|f| f.iter().map(|b| format!("{b:02x}")).collect::<String>());
            let all: Vec<String> = std::iter::once("br0p1".to_owned()).chain(hex).collect();
            let all: Vec<&str> = all.iter().map(String::as_str).collect();
            ovs.control().call("netdev-dummy/receive", &all).expect("frames are taken");
            given += some.len() as u64;
            let since = Instant::now();
            while ovs.lookups() < before + given {
                assert!(since.elapsed() < Duration::from_secs(20), "{name}: {given} frames given, not all taken");
            }
        }
        // What datapath flows have counted goes to the rules when they are removed.
        ovs.control().call("revalidator/purge", &[]).expect("purged");
        let dump = ovs.ofctl(&[], "dump-flows", "br0", &[], "").expect("a dump");
        let theirs = their_counters(&dump);

        let ports = [1, 2].map(|n| (n, VlanMode::default(), true)).to_vec();
        let mut ours = Ours::new(Setup::Plain, &[ports], std::slice::from_ref(&dp));
        ours.add_rules(0, rules.iter().map(String::as_str));
        for (i, frame) in frames.iter().enumerate() {
            let meta = RxMeta::from_port(DpPort(ours.dp(1)));
            let key = flow::extract::extract(frame, frame.len(), &meta);
            let t = ours.pipeline.translate(&Resume::default(), &key);
            let hits = Hits { packets: 1, bytes: frame.len() as u64, used: Time(i as u64) };
            ours.pipeline.replay(&t.effects, &hits);
        }
        let all = ours.pipeline.dump(ours.bridges[0], &Select::default()).expect("a dump");
        let mine: Counters =
            all.iter().map(|e| (format!("{:x}", e.spec.cookie), (e.stats.packets, e.stats.bytes))).collect();
        let hit = mine.values().filter(|(packets, _)| *packets != 0).count();
        println!("{name}: {sent} frames, {} rules, {hit} of them hit", rules.len());
        // Some rules are said twice: the later one replaces the earlier.
        for (cookie, counted) in &mine {
            let rule = &rules[usize::from_str_radix(cookie, 16).expect("hexadecimal") - 1];
            assert_eq!(Some(counted), theirs.get(cookie), "{name}: ours and theirs of {rule}");
        }
        assert_eq!(mine.len(), theirs.len(), "{name}");
    }
    let _ = std::fs::remove_dir_all(&dir);
}
