//! What is wrong is refused with one clear line, and nothing is changed by it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use api::{BridgeView, FlowView, PortView};
use hw_tests::{Rig, run};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

fn rig() -> Rig {
    let rig = Rig::start("connectx,vfs=2").unwrap();
    rig.ok(&["bridge", "add", "br0", "--fail-mode", "secure"]).unwrap();
    rig.ok(&["port", "add", "br0", "wire", "--type", "representor", "--devargs", "uplink"]).unwrap();
    rig.ok(&["flow", "add", "br0", "in_port=1,actions=drop"]).unwrap();
    rig
}

/// All that a refused command must leave alone.
fn state(rig: &Rig) -> (Vec<BridgeView>, Vec<String>, Vec<String>) {
    let ports: Vec<PortView> = rig.json(&["port", "list"]).unwrap();
    let flows: Vec<FlowView> = rig.json(&["flow", "dump", "br0"]).unwrap();
    (
        rig.json(&["bridge", "list"]).unwrap(),
        ports.into_iter().map(|p| format!("{:?} {}", p.port, p.state)).collect(),
        flows.into_iter().map(|f| format!("{} {}", f.matching, f.actions)).collect(),
    )
}

#[test]
fn commands_are_refused_in_one_line_that_names_the_object_and_change_nothing() {
    let rig = rig();
    let before = state(&rig);
    let add = |flow| vec!["flow", "add", "br0", flow];
    let cases: Vec<(Vec<&str>, &[&str])> = vec![
        (add("nw_dts=10.0.0.1,actions=drop"), &["nw_dts", "nw_dst"]),
        (add("tcp_dst=80,actions=drop"), &["tcp_dst", "tcp"]),
        (add("ip,nw_dst=10.0.0.1"), &["actions"]),
        (add("ip,nw_dst=10.0.0.300,actions=drop"), &["10.0.0.300"]),
        (add("actions=frobnicate"), &["frobnicate"]),
        (add("actions=group:1"), &["group"]),
        (add("table=256,actions=drop"), &["256"]),
        (add("in_port=nosuch,actions=drop"), &["nosuch"]),
        (add("actions=output:nosuch"), &["nosuch"]),
        (vec!["flow", "add", "br9", "actions=drop"], &["br9"]),
        (vec!["flow", "dump", "br9"], &["br9"]),
        (vec!["flow", "del", "br0", "tcp_dst=80"], &["tcp_dst", "tcp"]),
        (vec!["flow", "dump", "br0", "tcp_dst=80"], &["tcp_dst", "tcp"]),
        (vec!["bridge", "add", "br0"], &["br0"]),
        (vec!["bridge", "add", "a/b"], &["a/b"]),
        (vec!["bridge", "add", "much-too-long-a-name"], &["much-too-long-a-name"]),
        (vec!["bridge", "del", "br9"], &["br9"]),
        (vec!["port", "del", "br0", "nosuch"], &["nosuch"]),
        (vec!["port", "add", "br0", "wire", "--type", "representor", "--devargs", "pf0vf0"], &["wire"]),
        (vec!["port", "add", "br0", "x", "--type", "representor", "--devargs", "uplink"], &["uplink", "wire"]),
        (vec!["port", "add", "br0", "x", "--type", "representor", "--devargs", "pf0vf9"], &["pf0vf9"]),
        (vec!["port", "add", "br0", "x", "--type", "representor"], &["--devargs"]),
        (vec!["port", "add", "br0", "x", "--type", "dpdk", "--devargs", "net_nosuch0"], &["net_nosuch0"]),
        (
            vec!["port", "add", "br0", "x", "--type", "dpdk", "--devargs", "net_pcap0,rx_pcap=/nosuch.pcap"],
            &["/nosuch.pcap"],
        ),
        (vec!["port", "add", "br0", "x", "--type", "dpdk", "--devargs", "net_null0", "--ofport", "1"], &["1", "wire"]),
        (vec!["port", "add", "br0", "x", "--type", "dpdk", "--devargs", "net_null0", "--ofport", "65530"], &["65530"]),
        (vec!["port", "add", "br0", "x", "--type", "dpdk", "--devargs", "net_null0", "--tag", "4095"], &["4095"]),
        (vec!["port", "add", "br0", "x", "--type", "memif"], &["memif"]),
        (vec!["port", "add", "br0", "x", "--type", "dpdk", "--devargs", "pf0vf0"], &["--type representor"]),
        (vec!["port", "add", "br0", "x"], &["--devargs"]),
        (vec!["offload", "explain", "123456"], &["123456"]),
        (vec!["eswitch", "set", "pci/0000:ff:00.0", "--mode", "switchdev"], &["pci/0000:ff:00.0"]),
    ];
    for (args, parts) in cases {
        let line = rig.refused(&args).unwrap();
        for part in parts {
            assert!(line.contains(part), "{args:?}: `{line}` does not name {part}");
        }
        assert_eq!(state(&rig), before, "{args:?} changed something");
    }
}

#[test]
fn a_file_of_flows_is_added_whole_or_not_at_all_and_the_line_is_named() {
    let rig = rig();
    let before = state(&rig);
    let file = rig.dir().join("f.flows");
    std::fs::write(
        &file,
        "# first\n\ntcp,tp_dst=1,actions=drop\ntcp,tp_dst=2,actions=drop\nudp,tp_dst=x,actions=drop\n",
    )
    .unwrap();
    let line = rig.refused(&["flow", "add-file", "br0", file.to_str().unwrap()]).unwrap();
    assert!(line.contains("f.flows:5"), "{line}");
    assert_eq!(state(&rig), before);
}

#[test]
fn wrong_usage_exits_with_2() {
    for args in [&["nosuch"][..], &["flow", "add"], &["demo", "--offload", "maybe"]] {
        assert_eq!(run("shuntctl", args).unwrap().code, Some(2), "{args:?}");
    }
    assert_eq!(run("shuntd", &["--mock", "cx9"]).unwrap().code, Some(2));
}

fn daemon_refuses(args: &[&str]) -> String {
    let out = run("shuntd", args).unwrap();
    assert_eq!((out.code, out.stdout.as_str(), out.stderr.lines().count()), (Some(1), "", 1), "{args:?}: {out:?}");
    out.stderr
}

#[test]
fn a_daemon_that_cannot_start_says_why_in_one_line() {
    let rig = rig();
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let socket = rig.socket().to_str().unwrap().to_owned();

    let said = daemon_refuses(&["--mock", "none", "--socket", &socket, "--state", &file("s")]);
    assert!(said.contains(&socket) && said.contains("another shuntd"), "{said}");

    let said = daemon_refuses(&["--mock", "none", "--socket", "/proc/nosuch/s.sock", "--state", &file("s")]);
    assert!(said.contains("/proc/nosuch"), "{said}");

    std::fs::write(file("c.toml"), "[datapath]\nmbufs = 10\nmemory_mib = \"much\"\n").unwrap();
    let said =
        daemon_refuses(&["--config", &file("c.toml"), "--mock", "none", "--socket", &file("x"), "--state", &file("s")]);
    assert!(said.contains("c.toml:3:14"), "{said}");

    std::fs::write(file("m.toml"), "[datapath]\nmbufs = 900000000\nmemory_mib = 64\n").unwrap();
    let said =
        daemon_refuses(&["--config", &file("m.toml"), "--mock", "none", "--socket", &file("x"), "--state", &file("s")]);
    assert!(said.contains("need") && said.contains("have"), "{said}");

    let said = daemon_refuses(&["--config", &file("nosuch.toml"), "--socket", &file("x"), "--state", &file("s")]);
    assert!(said.contains("nosuch.toml"), "{said}");
}

#[test]
fn corrupt_captures_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bad.pcap");
    let demo = || run("shuntctl", &["demo", "--captures", dir.path().to_str().unwrap()]).unwrap();
    let out = demo();
    assert_eq!(out.code, Some(1));
    assert!(out.stderr.contains("no *.pcap"), "{out:?}");
    std::fs::write(&path, b"this is no capture at all, whatever its name may say").unwrap();
    let out = demo();
    assert_eq!((out.code, out.stderr.lines().count()), (Some(1), 1));
    assert!(out.stderr.contains("bad.pcap") && out.stderr.contains("neither pcap nor pcapng"), "{out:?}");
    let mut bytes = api::write_capture(&[api::CapturedFrame { at: Duration::ZERO, data: vec![1; 60] }]).unwrap();
    bytes.truncate(bytes.len() - 1);
    std::fs::write(&path, bytes).unwrap();
    let out = demo();
    assert_eq!((out.code, out.stderr.lines().count()), (Some(1), 1));
    assert!(out.stderr.contains("bad.pcap: frame 1"), "{out:?}");
}

#[test]
fn clients_that_send_half_a_request_or_too_much_hold_nobody_up() {
    let rig = rig();
    let before = state(&rig);
    let mut half = UnixStream::connect(rig.socket()).unwrap();
    half.write_all(b"POST /v1/bridges HTTP/1.1\r\nhost: x\r\ncontent-le").unwrap();
    let mut half_body = UnixStream::connect(rig.socket()).unwrap();
    half_body.write_all(b"POST /v1/bridges HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\n{\"name\":\"half").unwrap();

    let mut large = UnixStream::connect(rig.socket()).unwrap();
    large.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
    large.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    large.write_all(b"POST /v1/bridges HTTP/1.1\r\nhost: x\r\ncontent-length: 104857600\r\n\r\n").unwrap();
    let block = vec![b' '; 1 << 20];
    // The daemon answers and closes long before all of it is sent.
    let sent = (0..100).take_while(|_| large.write_all(&block).is_ok()).count();
    let mut answer = String::new();
    let _ = large.read_to_string(&mut answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    assert!(sent < 100 || answer.starts_with("HTTP/1.1 4"), "100 MiB were taken without a word");

    assert_eq!(state(&rig), before);
    drop((half, half_body));
    rig.ok(&["bridge", "add", "br1"]).unwrap();
}

#[test]
fn answers_to_nonsense_are_typed_errors() {
    let rig = rig();
    let ask = |request: &str| {
        let mut stream = UnixStream::connect(rig.socket()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let error: api::Error = serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {answer}"));
        (head.split(' ').nth(1).unwrap().to_owned(), error)
    };
    let post = |path: &str, body: &str| {
        ask(&format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ))
    };
    assert_eq!(ask("GET /nosuch HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").0, "404");
    assert_eq!(
        ask("PATCH /v1/show HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").1.kind,
        api::ErrorKind::Unsupported
    );
    assert_eq!(post("/v1/bridges", "{\"name\": 5}").0, "400");
    assert!(post("/v1/bridges", "{\"name\":\"b\",\"colour\":1}").1.message.contains("colour"));
    assert_eq!(post("/v1/mock/inject", "{\"frames\":[{\"end\":99,\"hex\":\"00\"}]}").0, "400");
    assert_eq!(post("/v1/mock/inject", "{\"frames\":[{\"end\":0,\"hex\":\"0\"}]}").0, "400");
}

#[test]
fn a_frame_of_a_time_that_no_run_has_is_refused() {
    let rig = Rig::start("none,vfs=2,lockstep").unwrap();
    let frames = [vec![2; 60]];
    let century = 100 * 365 * 86_400 * 1000;
    let at_the_end_of_time = api::Inject { frames: vec![api::Frame { end: 0, at: u64::MAX, hex: "02".repeat(60) }] };
    let refused = rig.post::<usize>(api::paths::MOCK_INJECT, &at_the_end_of_time).unwrap_err().to_string();
    assert!(refused.contains("18446744073 s after the start, and a run lasts a century at most"), "{refused}");
    assert!(rig.ends(0, century + 1, &frames).is_err());
    // The run goes on as if it had not been asked, up to its last moment.
    for at in [1, century, century] {
        rig.ends(0, at, &frames).unwrap();
    }
}
