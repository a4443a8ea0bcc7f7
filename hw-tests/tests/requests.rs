//! Requests as clients other than `shuntctl` may send them: metrics, and nonsense on every path.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use api::{Frame, Inject, paths};
use hw_tests::{Rig, run};
use std::collections::{BTreeMap, BTreeSet};

/// Check OpenMetrics text (version 1.0.0, "Text format") as far as it is used here: families in one piece, each with its
/// type; counters named `_total`; labels quoted; no series twice; `# EOF` last. The samples.
fn open_metrics(text: &str) -> BTreeMap<String, f64> {
    let body = text.strip_suffix("# EOF\n").unwrap_or_else(|| panic!("no # EOF at the end: {text}"));
    let (mut types, mut samples) = (BTreeMap::new(), BTreeMap::new());
    let mut family = String::new();
    let mut ended = BTreeSet::new();
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# ") {
            let words: Vec<&str> = rest.splitn(3, ' ').collect();
            let [what, name, value] = words.as_slice() else { panic!("{line}") };
            assert!(["HELP", "TYPE", "UNIT"].contains(what), "{line}");
            if *name != family {
                assert!(ended.insert(std::mem::replace(&mut family, (*name).to_owned())), "{line}: family in pieces");
                assert!(!ended.contains(*name), "{line}: family in pieces");
            }
            if *what == "TYPE" {
                assert!(types.insert((*name).to_owned(), (*value).to_owned()).is_none(), "{line}: type twice");
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        let name = series.split('{').next().unwrap();
        assert!(name.starts_with("shunt_") && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{line}");
        let base = match types.get(&family).map(String::as_str) {
            Some("counter") => name.strip_suffix("_total").unwrap_or_else(|| panic!("{line}: no _total")),
            Some("gauge") => name,
            other => panic!("{line}: type {other:?}"),
        };
        assert_eq!(base, family, "{line}: not of the family above it");
        if let Some(labels) = series.strip_prefix(name).filter(|l| !l.is_empty()) {
            let inner = labels.strip_prefix('{').and_then(|l| l.strip_suffix('}')).unwrap_or_else(|| panic!("{line}"));
            for label in inner.split("\",").map(|l| l.trim_end_matches('"')) {
                assert!(label.contains("=\""), "{line}");
            }
        }
        let value: f64 = value.parse().unwrap_or_else(|e| panic!("{line}: {e}"));
        assert!(samples.insert(series.to_owned(), value).is_none(), "{line}: twice");
    }
    samples
}

#[test]
fn metrics_are_open_metrics_and_count() {
    let rig = Rig::start("connectx,vfs=1").unwrap();
    let get = || {
        let (status, text) = rig.request("GET", paths::METRICS, "").unwrap();
        assert_eq!(status, 200);
        open_metrics(&text)
    };
    get();
    rig.ok(&["bridge", "add", "br0", "--fail-mode", "secure"]).unwrap();
    rig.ok(&["port", "add", "br0", "wire.1", "--type", "representor", "--devargs", "uplink"]).unwrap();
    rig.ok(&["flow", "add", "br0", "actions=drop"]).unwrap();
    let frames = vec![Frame { end: 0, at: 0, hex: "02".repeat(60) }];
    let _: usize = rig.post(paths::MOCK_INJECT, &Inject { frames }).unwrap();
    let rx = r#"shunt_port_packets_total{port="wire.1",direction="rx"}"#;
    let start = std::time::Instant::now();
    while get().get(rx) != Some(&1.0) {
        assert!(start.elapsed().as_secs() < 10, "{:?}", get());
    }
    assert_eq!(get().get(r#"shunt_datapath_drops_total{reason="rule_drop"}"#), Some(&1.0));
}

/// Numbers by chance, from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }
}

#[test]
fn nonsense_on_every_path_is_answered_and_nothing_panics() {
    let rig = Rig::start("tiny,vfs=1").unwrap();
    rig.ok(&["bridge", "add", "br0"]).unwrap();
    let all_paths = [
        "/v1/show",
        "/v1/bridges",
        "/v1/bridges/br0",
        "/v1/bridges/%00",
        "/v1/bridges/%ff",
        "/v1/ports",
        "/v1/bridges/br0/ports",
        "/v1/bridges/br0/ports/x",
        "/v1/bridges/br0/flows",
        "/v1/bridges/br0/flows?match=ip,,=&x=1",
        "/v1/bridges/br0/flows?match=%ff",
        "/v1/bridges/br0/fdb",
        "/v1/dp/flows",
        "/v1/dp/counters",
        "/v1/offload",
        "/v1/offload/explain?flow=-1",
        "/v1/offload/explain?flow=99999999999999999999",
        "/v1/offload/explain?flow=7",
        "/v1/eswitch",
        "/v1/vfs",
        "/v1/vfs?pf=%ff",
        "/v1/vfs/pf0vf0",
        "/v1/vfs/%2f",
        "/v1/representors",
        "/v1/representors/uplink",
        "/v1/nics",
        "/v1/nics?pf=x",
        "/v1/nics/converge",
        "/v1/nics/check",
        "/v1/mock/kernel",
        "/v1/mock/inject",
        "/v1/mock/collect",
        "/v1/mock/counters",
        "/metrics",
        "/",
        "/v1",
        "/v1//",
        "/v1/bridges/",
    ];
    let bodies = [
        "",
        "{}",
        "[]",
        "null",
        "{\"name\":\"\"}",
        "{\"name\":\"br0\"}",
        "{\"name\":\"x\\u0000\"}",
        "\u{1f980}",
        "{\"flows\":[]}",
        "{\"flows\":[\"\"]}",
        "{\"flows\":[\"actions=drop\",\"\\u0000\"]}",
        "{\"match\":\"priority=1\",\"strict\":true}",
        "{\"name\":\"p\",\"type\":\"dpdk\",\"devargs\":\"\\u0000\"}",
        "{\"name\":\"p\",\"type\":\"dpdk\",\"devargs\":\",,,\"}",
        "{\"name\":\"p\",\"type\":\"dpdk\",\"devargs\":\"net_pcap0\"}",
        "{\"name\":\"p\",\"type\":\"representor\",\"devargs\":\"pf9vf99999\"}",
        "{\"name\":\"p\",\"type\":\"memif\"}",
        "{\"enabled\":2}",
        "{\"pf\":\"\",\"mode\":\"legacy\"}",
        "{\"pf\":\"pci/0000:03:00.0\",\"mode\":\"legacy\",\"vfs\":4294967295}",
        "{\"frames\":[{\"end\":18446744073709551615,\"hex\":\"\"}]}",
        "{\"vf\":\"pf0vf0\",\"set\":{\"mac\":\"x\"}}",
        "{\"vf\":\"pf0vf0\",\"set\":{\"vlan\":{\"id\":65535}}}",
        "{\"representor\":\"pf0vf0\",\"bridge\":\"br0\"}",
        "{\"what\":\"rename\",\"from\":\"\",\"to\":\"\\u0000\"}",
        "{\"frames\":[{\"end\":0,\"hex\":\"\"}]}",
        "{\"frames\":[{\"end\":0,\"hex\":\"00\"}]}",
        "{\"frames\":[{\"end\":1,\"at\":18446744073709551615,\"hex\":\"ffff\"}]}",
        "{\"frames\":[{\"end\":0,\"hex\":\"\u{e9}\"}]}",
        "{\"a\":[[[[[[[[[[[[[[[[[[[[[[",
    ];
    let mut dice = Dice(7);
    let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
    for _ in 0..6000 {
        let (method, path, body) = (
            dice.of(&["GET", "POST", "POST", "PUT", "DELETE", "PATCH", "HEAD"]),
            dice.of(&all_paths),
            dice.of(&bodies),
        );
        let (status, answer) =
            rig.request(method, path, body).unwrap_or_else(|e| panic!("{method} {path} {body}: {e}"));
        *statuses.entry(status).or_default() += 1;
        assert_ne!(status, 500, "{method} {path} {body}: {answer}");
        if status != 200 && method != "HEAD" {
            let error: api::Error =
                serde_json::from_str(&answer).unwrap_or_else(|e| panic!("{method} {path}: {e}: {answer}"));
            assert!(!error.object.is_empty() && !error.message.is_empty(), "{answer}");
            assert_eq!(error.to_string().lines().count(), 1, "{answer}");
        }
    }
    // Too rare for the dice: what is there already.
    for _ in 0..2 {
        let (status, _) = rig.request("POST", paths::BRIDGES, "{\"name\":\"br0\"}").unwrap();
        *statuses.entry(status).or_default() += 1;
    }
    assert!([200, 400, 404, 409, 501].iter().all(|s| statuses.contains_key(s)), "{statuses:?}");
    rig.ok(&["show"]).unwrap();
    assert!(!rig.log().contains("panicked"), "{}", rig.log());
}

#[test]
fn a_state_file_that_cannot_be_had_is_refused_before_anything_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("s");
    let refused = |state: &str| {
        let args = ["--mock", "none", "--socket", socket.to_str().unwrap(), "--state", state];
        let out = run("shuntd", &args).unwrap();
        assert_eq!((out.code, out.stdout.as_str(), out.stderr.lines().count()), (Some(1), "", 1), "{out:?}");
        assert!(out.stderr.contains(&format!("state file {state}")), "{out:?}");
        assert!(!socket.exists(), "the socket is left behind");
    };
    refused("/proc/nosuch/state");
    refused("/dev/full");
    refused(dir.path().to_str().unwrap());
    let other = dir.path().join("text");
    std::fs::write(&other, "this is no database".repeat(300)).unwrap();
    refused(other.to_str().unwrap());
}
