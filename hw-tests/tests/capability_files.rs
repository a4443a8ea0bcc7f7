//! Capability files that lie, by claiming too much and by limits that nobody means: frames go on, and the reason is shown.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use api::{DpFlowView, Handled, MockView, OffloadCapabilities, paths};
use hw_tests::frames::udp;
use hw_tests::{Rig, run};

/// A switch whose daemon has read `file`: `uplink` is port 1, the VFs are 2 and 3.
fn switch(profile: &str, file: &str) -> Rig {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("caps.toml");
    std::fs::write(&path, file).unwrap();
    let rig =
        Rig::with_args(&format!("{profile},vfs=2,lockstep"), &["--capabilities", path.to_str().unwrap()]).unwrap();
    rig.ok(&["bridge", "add", "br0", "--fail-mode", "secure"]).unwrap();
    for (number, name) in ["uplink", "pf0vf0", "pf0vf1"].into_iter().enumerate() {
        let number = (number + 1).to_string();
        rig.ok(&["port", "add", "br0", name, "--devargs", name, "--ofport", &number]).unwrap();
    }
    for rule in [
        "in_port=1,udp,tp_src=1,actions=output:2",
        "in_port=1,udp,tp_src=2,actions=dec_ttl,output:3",
        "in_port=1,udp,tp_src=3,actions=output:2,output:3",
        "in_port=1,arp,arp_op=1,actions=output:3",
    ] {
        rig.ok(&["flow", "add", "br0", rule]).unwrap();
    }
    rig
}

fn arp() -> Vec<u8> {
    let mut frame = [&[0xff; 6][..], &[2, 0, 0, 0, 0, 1], &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1]].concat();
    frame.extend([2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2]);
    frame.resize(60, 0);
    frame
}

/// Frames of each rule, and how many came out of each end.
fn traffic(rig: &Rig) -> [usize; 3] {
    let mut out = [0; 3];
    for n in 0..10 {
        let frames = [udp(1, 2, 1), udp(1, 2, 2), udp(1, 2, 3), arp()];
        for end in rig.ends(0, 1 + n, &frames).unwrap() {
            out[end] += 1;
        }
    }
    out
}

fn flows(rig: &Rig) -> Vec<DpFlowView> {
    rig.json(&["dp", "flows"]).unwrap()
}

fn reasons(rig: &Rig) -> Vec<String> {
    flows(rig).iter().flat_map(|f| f.reasons.iter().map(|r| r.name.clone())).collect()
}

/// All frames came out, and were counted.
fn nothing_is_lost(rig: &Rig) {
    assert_eq!(traffic(rig), [0, 20, 30]);
    let view: MockView = rig.json_of("GET", paths::MOCK_COUNTERS).unwrap();
    assert!(view.tally.balances() && view.tally.frames_dropped == 0, "{:?}", view.tally);
    let counted: u64 = flows(rig).iter().map(|f| f.software_packets + f.hardware_packets).sum();
    assert_eq!(counted, 40);
}

#[test]
fn without_a_file_the_profile_is_what_survives() {
    let rig = switch("connectx", "");
    nothing_is_lost(&rig);
    let caps: OffloadCapabilities = rig.json(&["offload", "capabilities", "uplink"]).unwrap();
    assert_eq!((caps.denied.len(), caps.asked > 60), (0, true), "{caps:?}");
    assert_eq!(reasons(&rig), ["MatchField"], "of ARP");
}

#[test]
fn claims_that_are_too_bold_are_found_out_by_asking() {
    let file = "[limits]\nrules = 1000000\nmeters = 1000000\n[transfer]\nmax-outputs = 9\nmeter = true\nencap = 512\nmark = true\n\
                hairpin = true\nset = [\"ipv6_label\"]\n[match]\narp_op = \"any\"\nsctp_dst = \"exact\"\n";
    let rig = switch("e810", file);
    nothing_is_lost(&rig);
    let caps: OffloadCapabilities = rig.json(&["offload", "capabilities", "uplink"]).unwrap();
    assert!(caps.file.as_ref().unwrap().ends_with("caps.toml"));
    let denied: Vec<&str> = caps.denied.iter().map(|d| d.claim.as_str()).collect();
    for claim in
        ["2 outputs", "meters", "action tnl_push", "match arp_op (exact), transfer", "match arp_op (exact), ingress"]
    {
        assert!(denied.contains(&claim), "{claim}: {denied:?}");
    }
    let text = rig.ok(&["offload", "capabilities", "uplink"]).unwrap();
    assert!(text.contains("with capability file ") && text.contains("claimed, and denied"), "{text}");
    let reasons = reasons(&rig);
    for reason in ["TooManyOutputs", "Action", "MatchField"] {
        assert!(reasons.iter().any(|r| r == reason), "{reason}: {reasons:?}");
    }
}

#[test]
fn more_rules_than_the_device_has_room_for_end_in_its_own_words() {
    let rig = switch("tiny", "[limits]\nrules = 1000000\n");
    rig.ok(&["flow", "add", "br0", "priority=1,in_port=1,udp,actions=output:2"]).unwrap();
    for n in 10..30 {
        rig.ok(&["flow", "add", "br0", &format!("priority=9,in_port=1,udp,tp_src={n},actions=output:2")]).unwrap();
    }
    let mut left = 0;
    for n in 10..30 {
        left += rig.ends(0, 1, &[udp(1, 2, n)]).unwrap().len();
    }
    assert_eq!(left, 20);
    let reasons = reasons(&rig);
    assert!(reasons.iter().any(|r| r == "DeviceTableFull" || r == "TableFull"), "{reasons:?}");
    let inside = flows(&rig).iter().filter(|f| f.handled == Handled::Hardware).count();
    assert!((6..=8).contains(&inside), "{inside}");
}

#[test]
fn limits_of_0_leave_it_to_software_with_a_reason() {
    for (file, reason, handled) in [
        ("[limits]\nrules = 0\n", "TableFull", Handled::Software),
        ("[limits]\nrules-per-group = 0\n", "TableFull", Handled::Software),
        ("[limits]\ncounters = 0\n", "NoCounter", Handled::Partial),
        ("[transfer]\nmax-outputs = 0\n", "Action", Handled::Partial),
        ("[match]\nin_port = \"no\"\neth_type = \"no\"\n", "MatchField", Handled::Software),
    ] {
        let rig = switch("connectx", file);
        nothing_is_lost(&rig);
        for flow in flows(&rig) {
            assert!(flow.reasons.iter().any(|r| r.name == reason || r.name == "MatchField"), "{file}: {flow:?}");
            assert!(flow.handled == handled || flow.flow.contains("arp"), "{file}: {flow:?}");
        }
        let text = rig.ok(&["offload", "explain"]).unwrap();
        assert!(text.contains(&format!("because: {reason}: ")) && text.contains("remedy: "), "{file}: {text}");
    }
}

#[test]
fn a_limit_that_is_lowered_binds() {
    let rig = switch("connectx", "[limits]\nrules = 2\n[transfer]\nmax-outputs = 1\n");
    nothing_is_lost(&rig);
    let view: MockView = rig.json_of("GET", paths::MOCK_COUNTERS).unwrap();
    assert!(view.rules_peak <= 2, "{view:?}");
    let reasons = reasons(&rig);
    assert!(["TableFull", "TooManyOutputs"].iter().all(|r| reasons.iter().any(|n| n == r)), "{reasons:?}");
}

/// Guards and rules that mark have no counter.
#[test]
fn counters_bind_the_flows_that_count() {
    let rig = switch("connectx", "[limits]\ncounters = 2\n");
    for n in 10..13 {
        rig.ok(&["flow", "add", "br0", &format!("priority=9,in_port=1,udp,tp_src={n},actions=dec_ttl,output:2")])
            .unwrap();
    }
    rig.ok(&["flow", "add", "br0", "priority=9,in_port=1,udp,tp_src=20,actions=mod_nw_ecn:1,output:2"]).unwrap();
    let left: usize = [10, 11, 12].into_iter().map(|n| rig.ends(0, 1, &[udp(1, 2, n)]).unwrap().len()).sum();
    assert_eq!(left, 3);
    rig.ends(0, 2, &[udp(1, 2, 20)]).unwrap();
    let handled: Vec<Handled> = flows(&rig).iter().map(|f| f.handled).collect();
    let count = |wanted| handled.iter().filter(|h| **h == wanted).count();
    assert_eq!((count(Handled::Hardware), count(Handled::Partial), count(Handled::Software)), (2, 1, 1), "{handled:?}");
    assert_eq!(reasons(&rig).iter().filter(|r| *r == "CounterTableFull").count(), 1);
    let text = rig.ok(&["offload", "explain"]).unwrap();
    assert!(text.contains("the device's counters are all in use (2 of 2)"), "{text}");
}

#[test]
fn a_file_that_is_wrong_ends_the_start_with_its_name_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let start = |path: &str| {
        let [socket, state] = ["s.sock", "s.redb"].map(|n| folder.path().join(n).display().to_string());
        let args = ["--mock", "tiny,vfs=1", "--socket", &socket, "--state", &state, "--capabilities", path];
        let out = run("shuntd", &args).unwrap();
        assert_eq!((out.code, out.stdout.as_str()), (Some(1), ""), "{out:?}");
        out.stderr
    };
    let file = folder.path().join("connectx.toml");
    for (text, part) in [
        ("[limits]\nrule = 7\n", "connectx.toml:2:1: unknown field `rule`, expected one of "),
        ("[limits]\nrules = -1\n", "connectx.toml:2:9: invalid value: integer `-1`, expected u32"),
        (
            "[match]\nnw_src = \"any\"\ncolour = \"any\"\n",
            "connectx.toml:3:1: there is no field \"colour\"; names are ",
        ),
        ("[limits\n", "connectx.toml:1:"),
    ] {
        std::fs::write(&file, text).unwrap();
        for path in [file.as_path(), folder.path()] {
            let said = start(path.to_str().unwrap());
            assert!(said.starts_with("shuntd: capability file ") && said.contains(part), "{said}");
            assert_eq!(said.lines().count(), 1, "{said}");
        }
    }
    let said = start("/nosuch/folder");
    assert!(said.starts_with("shuntd: capability file /nosuch/folder: No such file or directory"), "{said}");
}
