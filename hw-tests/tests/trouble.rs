//! What goes wrong around a running switch, with real packets: each trouble is counted under a name that `shuntctl` shows, the
//! switch gets over it, and whoever asks meanwhile is answered in time.
//!
//! Ports are DPDK's own: captures, played once or without end (`net_pcap`), rings that give back what they get (`net_ring`), and
//! sinks (`net_null`). A capture that is a named pipe makes a device slow: it is not there until somebody writes to the pipe, and
//! a PMD that reads from it stands still until there is something to read.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use api::{CapturedFrame, DpCounters, FlowView, MemView, PmdView, PortCounters, PortView, Rebalanced, RxqView};
use hw_tests::{Outcome, Rig, frames};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// What control waits for workers, for hardware and for a reading of counters, together, and what a busy machine adds.
const BOUND: Duration = Duration::from_millis(500 + 500 + 200 + 1800);
/// The same with a port that drains first.
const DRAIN_BOUND: Duration = Duration::from_secs(2).saturating_add(BOUND);

fn rig_with(config: &str) -> Rig {
    let rig = Rig::configured("none,vfs=1", config).unwrap();
    rig.ok(&["bridge", "add", "br0", "--fail-mode", "secure"]).unwrap();
    rig
}

fn rig() -> Rig {
    rig_with("")
}

/// A capture of so many frames, of flows in turn.
fn capture(rig: &Rig, name: &str, count: usize, flows: u16) -> PathBuf {
    let frame = |n: usize| CapturedFrame {
        at: Duration::from_micros(n as u64),
        data: frames::udp(1, 2, 1000 + (n % usize::from(flows)) as u16),
    };
    let path = rig.dir().join(name);
    let all: Vec<CapturedFrame> = (0..count).map(frame).collect();
    std::fs::write(&path, api::write_capture(&all).unwrap()).unwrap();
    path
}

fn add(rig: &Rig, name: &str, ofport: u16, devargs: &str, more: &[&str]) {
    let number = ofport.to_string();
    let args = ["port", "add", "br0", name, "--type", "dpdk", "--devargs", devargs, "--ofport", &number];
    rig.ok(&[&args[..], more].concat()).unwrap();
}

/// Run `shuntctl`, which must answer within a bound.
fn within(rig: &Rig, bound: Duration, args: &[&str]) -> Outcome {
    let start = Instant::now();
    let out = rig.ctl(args).unwrap();
    let took = start.elapsed();
    assert!(took < bound, "shuntctl {} took {took:?}", args.join(" "));
    out
}

/// Run `shuntctl` within its bound, which must succeed.
fn quick(rig: &Rig, args: &[&str]) -> String {
    let out = within(rig, BOUND, args);
    assert_eq!(out.code, Some(0), "{args:?}: {out:?}");
    out.stdout
}

/// All that is asked of a daemon in trouble, each within its bound.
fn answers(rig: &Rig) {
    for args in [
        &["port", "list"][..],
        &["pmd", "show"],
        &["pmd", "rxq"],
        &["dp", "counters"],
        &["flow", "dump", "br0"],
        &["show"],
    ] {
        quick(rig, args);
    }
    quick(rig, &["flow", "add", "br0", "priority=7,in_port=77,actions=drop"]);
    quick(rig, &["flow", "del", "br0", "in_port=77"]);
}

fn wait<T>(what: &str, mut done: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match done() {
            Ok(value) => return value,
            Err(why) => assert!(start.elapsed() < Duration::from_secs(30), "{what}: {why}"),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn port(rig: &Rig, name: &str) -> Option<PortView> {
    rig.json::<Vec<PortView>>(&["port", "list"]).unwrap().into_iter().find(|p| p.port.name == name)
}

fn state(rig: &Rig, name: &str) -> String {
    port(rig, name).map_or_else(|| "none".to_owned(), |p| p.state)
}

fn counters(rig: &Rig) -> DpCounters {
    rig.json(&["dp", "counters"]).unwrap()
}

/// Frames in and their copies are frames out, given to controllers, or dropped under a name.
fn is_balanced(c: &DpCounters) -> bool {
    let punted = c.events.get("punted").copied().unwrap_or_default();
    c.rx_packets + c.copies == c.tx_packets + punted + c.drops.values().sum::<u64>()
}

/// Counters when nothing moves any more.
fn at_rest(rig: &Rig) -> DpCounters {
    let mut last = counters(rig);
    wait("nothing moves", || {
        std::thread::sleep(Duration::from_millis(100));
        let now = counters(rig);
        let rests = (now.rx_packets, now.tx_packets, &now.drops) == (last.rx_packets, last.tx_packets, &last.drops);
        last = now;
        if rests && is_balanced(&last) { Ok(last.clone()) } else { Err(format!("{last:?}")) }
    })
}

/// How many packets were dropped, under these names and no others.
fn only(all: &DpCounters, names: &[&str]) -> u64 {
    assert!(all.drops.keys().all(|name| names.contains(&name.as_str())), "{all:?}");
    all.drops.values().sum()
}

/// How many packets came in while their port went: at most the burst that a PMD had at hand of each of so many queues.
fn late(all: &DpCounters, queues: u64) -> u64 {
    let late = all.drops.get("no_bridge").copied().unwrap_or_default();
    assert!(late <= 32 * queues, "{all:?}");
    late
}

fn devargs(driver: &str, path: &Path, more: &str) -> String {
    format!("{driver},rx_pcap={}{more}", path.display())
}

fn pipe(rig: &Rig, name: &str) -> PathBuf {
    let path = rig.dir().join(name);
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}

/// Frames are there before the port is: the first of them meets a bridge that knows the port.
#[test]
fn no_packet_that_waits_for_a_new_port_is_lost() {
    const FRAMES: u64 = 200;
    let rig = rig();
    let file = capture(&rig, "in.pcap", FRAMES as usize, 3);
    let out = rig.dir().join("out.pcap");
    add(&rig, "out", 2, &format!("net_pcap1,tx_pcap={}", out.display()), &[]);
    rig.ok(&["flow", "add", "br0", "in_port=1,actions=output:2"]).unwrap();
    for round in 1..=5 {
        add(&rig, "in", 1, &devargs("net_pcap0", &file, ""), &[]);
        let all = wait("all frames are out", || {
            let now = counters(&rig);
            if now.rx_packets == round * FRAMES && is_balanced(&now) { Ok(now) } else { Err(format!("{now:?}")) }
        });
        assert_eq!((all.tx_packets, all.drops.len()), (round * FRAMES, 0), "round {round}: {all:?}");
        rig.ok(&["port", "del", "br0", "in"]).unwrap();
    }
    rig.ok(&["port", "del", "br0", "out"]).unwrap();
    let sent = api::read_capture("out.pcap", &std::fs::read(&out).unwrap()).unwrap();
    assert_eq!(sent.len() as u64, 5 * FRAMES);
    let flows: Vec<FlowView> = rig.json(&["flow", "dump", "br0"]).unwrap();
    assert_eq!(flows.iter().map(|f| f.packets).sum::<u64>(), 5 * FRAMES);
}

#[test]
fn a_device_that_takes_its_time_holds_nobody_up() {
    let rig = rig();
    let slow = pipe(&rig, "slow.pcap");
    let file = capture(&rig, "frames.pcap", 10, 1);
    add(&rig, "out", 2, "net_null1,no-rx=1", &[]);
    rig.ok(&["flow", "add", "br0", "in_port=1,actions=output:2"]).unwrap();
    let args = devargs("net_pcap0", &slow, "");
    let adding = ["port", "add", "br0", "slow", "--type", "dpdk", "--devargs", &args];
    std::thread::scope(|scope| {
        let added = scope.spawn(|| rig.ctl(&adding).unwrap());
        wait("the port is shown", || match state(&rig, "slow") {
            s if s == "its device is being set up" => Ok(()),
            other => Err(other),
        });
        answers(&rig);
        quick(&rig, &["port", "set", "br0", "out", "--mtu", "2000"]);
        assert!(
            rig.refused(&["port", "add", "br0", "slow", "--type", "patch", "--peer", "x"]).unwrap().contains("br0")
        );
        let other = ["port", "add", "br0", "other", "--type", "dpdk", "--devargs", "net_pcap0,rx_pcap=x"];
        assert!(rig.refused(&other).unwrap().contains("net_pcap0 is port slow already"));
        quick(&rig, &["port", "add", "br0", "patch0", "--type", "patch", "--peer", "patch1"]);
        // The number is the port's already.
        assert_eq!(port(&rig, "patch0").unwrap().port.ofport, Some(3));
        let removal = within(&rig, DRAIN_BOUND, &["port", "del", "br0", "slow"]);
        assert!(removal.code == Some(1) && removal.stderr.contains("which takes long"), "{removal:?}");
        assert!(within(&rig, DRAIN_BOUND, &["bridge", "del", "br0"]).stderr.contains("port slow"));
        answers(&rig);
        std::fs::write(&slow, std::fs::read(&file).unwrap()).unwrap();
        let added = added.join().unwrap();
        assert_eq!(added.code, Some(0), "{added:?}");
    });
    assert_eq!((state(&rig, "slow"), port(&rig, "slow").unwrap().port.ofport), ("up".to_owned(), Some(1)));
    wait("its frames are out", || match counters(&rig) {
        now if now.tx_packets == 10 && now.drops.is_empty() => Ok(()),
        now => Err(format!("{now:?}")),
    });
    // One that fails in the end leaves nothing.
    quick(&rig, &["port", "del", "br0", "slow"]);
    std::thread::scope(|scope| {
        let added = scope.spawn(|| rig.ctl(&adding).unwrap());
        wait("the port is shown again", || if port(&rig, "slow").is_some() { Ok(()) } else { Err(String::new()) });
        std::fs::write(&slow, "no capture at all, as every driver would say of it").unwrap();
        let added = added.join().unwrap();
        assert!(added.code == Some(1) && added.stderr.contains("net_pcap0"), "{added:?}");
    });
    assert_eq!(port(&rig, "slow"), None);
    add(&rig, "slow", 1, &devargs("net_pcap0", &file, ""), &[]);
    quick(&rig, &["bridge", "del", "br0"]);
}

/// A PMD stands still in a driver, as under a debugger; a port is removed meanwhile.
#[test]
fn a_stalled_pmd_is_named_and_ports_drain_in_sight() {
    const FRAMES: u64 = 30;
    let rig = rig();
    let stuck = pipe(&rig, "stuck.pcap");
    let file = capture(&rig, "frames.pcap", FRAMES as usize, 1);
    add(&rig, "out", 2, "net_null1,no-rx=1", &[]);
    add(&rig, "gone", 3, "net_null3,no-rx=1", &[]);
    rig.ok(&["flow", "add", "br0", "in_port=1,actions=output:2"]).unwrap();
    let bytes = std::fs::read(&file).unwrap();
    let args = devargs("net_pcap0", &stuck, "");
    let (mut writer, added) = std::thread::scope(|scope| {
        let added = scope.spawn(|| {
            let start = Instant::now();
            (rig.ctl(&["port", "add", "br0", "stuck", "--devargs", &args, "--ofport", "1"]).unwrap(), start.elapsed())
        });
        let mut writer = std::fs::OpenOptions::new().write(true).open(&stuck).unwrap();
        // The file's head alone: the device is there, and whoever reads a frame waits.
        writer.write_all(&bytes[..24]).unwrap();
        writer.flush().unwrap();
        (writer, added.join().unwrap())
    });
    let (added, took) = added;
    assert!(added.code == Some(0) && took < DRAIN_BOUND, "{added:?} {took:?}");
    assert!(added.stdout.contains("pmd 0 has not taken the change yet"), "{added:?}");
    answers(&rig);
    let removal = within(&rig, DRAIN_BOUND, &["port", "del", "br0", "gone"]);
    assert!(removal.code == Some(0) && removal.stdout.contains("pmd 0 has not"), "{removal:?}");
    let shown = "draining: 1 PMD holds its queues";
    assert_eq!(state(&rig, "gone"), shown);
    assert!(quick(&rig, &["port", "show", "gone"]).contains(shown));
    for args in [
        &["port", "add", "br0", "gone", "--type", "patch", "--peer", "x"][..],
        &["port", "add", "br0", "more", "--type", "dpdk", "--devargs", "net_null3"],
        &["port", "del", "br0", "gone"],
        &["port", "set", "br0", "gone", "--down"],
    ] {
        let line = rig.refused(args).unwrap();
        assert!(line.contains("is being removed") && line.contains("shuntctl port list"), "{args:?}: {line}");
    }
    wait("the PMD is called stalled", || match rig.json::<Vec<PmdView>>(&["pmd", "show"]).unwrap() {
        pmds if pmds[0].stalled.is_some_and(|s| s >= 2) => Ok(()),
        pmds => Err(format!("{pmds:?}")),
    });
    answers(&rig);

    writer.write_all(&bytes[24..]).unwrap();
    drop(writer);
    let now = wait("frames are out", || match counters(&rig) {
        now if now.tx_packets == FRAMES => Ok(now),
        now => Err(format!("{now:?}")),
    });
    assert!(now.drops.is_empty() && now.rx_packets == FRAMES, "{now:?}");
    wait("the port is gone", || if port(&rig, "gone").is_none() { Ok(()) } else { Err(state(&rig, "gone")) });
    add(&rig, "gone", 3, "net_null3,no-rx=1", &[]);
    assert_eq!(state(&rig, "gone"), "up");
    assert_eq!(rig.json::<Vec<PmdView>>(&["pmd", "show"]).unwrap()[0].stalled, None);
}

#[test]
fn a_daemon_that_was_stopped_goes_on_where_it_was() {
    let rig = rig();
    let file = capture(&rig, "in.pcap", 1000, 10);
    add(&rig, "out", 2, "net_null1,no-rx=1", &[]);
    rig.ok(&["flow", "add", "br0", "in_port=1,actions=output:2"]).unwrap();
    add(&rig, "in", 1, &devargs("net_pcap0", &file, ",infinite_rx=1"), &[]);
    let pid = rig.pid().unwrap().to_string();
    let signal = |name: &str| assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    let before = counters(&rig).rx_packets;
    signal("-STOP");
    std::thread::sleep(Duration::from_millis(1200));
    signal("-CONT");
    answers(&rig);
    wait("packets flow again", || match counters(&rig).rx_packets {
        now if now > before + 10_000 => Ok(()),
        now => Err(format!("{before} {now}")),
    });
    quick(&rig, &["port", "del", "br0", "in"]);
    let all = at_rest(&rig);
    only(&all, &["no_bridge"]);
    assert_eq!(all.rx_packets, all.tx_packets + late(&all, 1), "{all:?}");
}

#[test]
fn ports_go_and_come_under_load_and_every_packet_has_its_end() {
    let rig = rig();
    let file = capture(&rig, "in.pcap", 1000, 40);
    let sink = |n: u16| format!("net_null{n},no-rx=1");
    for n in [2, 3] {
        add(&rig, &format!("out{n}"), n, &sink(n), &[]);
    }
    rig.ok(&["flow", "add", "br0", "in_port=1,actions=output:2,output:3"]).unwrap();
    for round in 0..4 {
        add(&rig, "in", 1, &devargs("net_pcap0", &file, ",infinite_rx=1"), &[]);
        wait(
            "load",
            || if port(&rig, "in").is_some_and(|p| p.rx_packets > 5000) { Ok(()) } else { Err(String::new()) },
        );
        quick(&rig, &["port", "del", "br0", "out3"]);
        answers(&rig);
        add(&rig, "out3", 3, &sink(3), &[]);
        quick(&rig, &["port", "del", "br0", "in"]);
        assert_eq!(port(&rig, "in"), None, "round {round}");
    }
    let all = at_rest(&rig);
    // Nothing but what was sent to a port that was not there is lost, or came in while its own port went.
    only(&all, &["no_bridge", "no_such_port"]);
    late(&all, 4);
    let view: MemView = rig.json(&["mem", "show"]).unwrap();
    assert!(view.pools.iter().all(|p| p.in_use == 0), "{view:?}");
}

/// Packets go round in a ring, until they have all the buffers that there are.
#[test]
fn without_buffers_reception_stops_by_name_and_comes_back_with_them() {
    let rig = rig_with("[datapath]\nmbufs = 511\n");
    let file = capture(&rig, "in.pcap", 20_000, 5);
    add(&rig, "ring", 2, "net_ring0", &[]);
    rig.ok(&["flow", "add", "br0", "in_port=1,actions=output:2"]).unwrap();
    rig.ok(&["flow", "add", "br0", "in_port=2,actions=in_port"]).unwrap();
    add(&rig, "in", 1, &devargs("net_pcap0", &file, ""), &[]);
    let missing = || {
        let stats: PortCounters = rig.json(&["port", "stats", "in"]).unwrap();
        stats.counters["device_rx_no_buffer"]
    };
    wait("no buffer is left", || if missing() > 0 { Ok(()) } else { Err(format!("{:?}", counters(&rig))) });
    let pools: MemView = rig.json(&["mem", "show"]).unwrap();
    let pool = pools.pools.iter().find(|p| p.ports.contains(&"in".to_owned())).unwrap();
    assert!(pool.free < 64, "{pool:?}");
    answers(&rig);
    // What goes round ends.
    quick(&rig, &["flow", "add", "br0", "in_port=2,actions=drop"]);
    let all = at_rest(&rig);
    assert_eq!(all.drops.keys().map(String::as_str).collect::<Vec<_>>(), ["rule_drop"], "{all:?}");
    let pools: MemView = rig.json(&["mem", "show"]).unwrap();
    assert!(pools.pools.iter().all(|p| p.in_use == 0), "{pools:?}");
    add(&rig, "out", 3, "net_null1,no-rx=1", &[]);
    quick(&rig, &["port", "del", "br0", "in"]);
    rig.ok(&["flow", "add", "br0", "in_port=1,actions=output:3"]).unwrap();
    let file = capture(&rig, "more.pcap", 100, 5);
    add(&rig, "in", 1, &devargs("net_pcap0", &file, ""), &[]);
    wait("packets flow", || match port(&rig, "out").unwrap().tx_packets {
        100 => Ok(()),
        now => Err(now.to_string()),
    });
    assert_eq!(missing(), 0);
}

/// A switch with two PMDs, each on a CPU of its own; `None`: there are no two CPUs.
fn two_pmds() -> Option<Rig> {
    if std::thread::available_parallelism().unwrap().get() < 2 {
        println!("skipped: two CPUs are needed");
        return None;
    }
    let rig = rig_with("[datapath]\nshare_cpus = true\n");
    rig.ok(&["pmd", "set", "--cpus", "0,1"]).unwrap();
    Some(rig)
}

fn queues(rig: &Rig, port: &str) -> Vec<RxqView> {
    let all: Vec<RxqView> = rig.json(&["pmd", "rxq"]).unwrap();
    all.into_iter().filter(|q| q.port == port).collect()
}

/// Each PMD sends through a queue of its own. That of the second one ends in a ring that nobody empties.
#[test]
fn a_queue_that_stops_taking_packets_harms_nobody_else_and_may_go_on() {
    const FRAMES: u64 = 5000;
    const RING: u64 = 1023;
    let Some(rig) = two_pmds() else { return };
    let file = capture(&rig, "in.pcap", FRAMES as usize, 20);
    add(&rig, "ring", 2, "net_ring0", &[]);
    add(&rig, "out", 3, "net_null1,no-rx=1", &[]);
    rig.ok(&["flow", "add", "br0", "in_port=1,actions=output:2,output:3"]).unwrap();
    rig.ok(&["flow", "add", "br0", "in_port=2,actions=drop"]).unwrap();
    let in_args = devargs("net_pcap0", &file, "");
    add(&rig, "in", 1, &in_args, &[]);
    let last = rig.json::<Vec<PmdView>>(&["pmd", "show"]).unwrap().iter().map(|p| p.pmd).max();
    assert_eq!(queues(&rig, "in")[0].pmd, last, "the third queue is the second PMD's");
    let all = at_rest(&rig);
    let lost = FRAMES - RING;
    assert_eq!(all.drops.iter().map(|(name, n)| (name.as_str(), *n)).collect::<Vec<_>>(), [("tx_full", lost)]);
    let (ring, out) = (port(&rig, "ring").unwrap(), port(&rig, "out").unwrap());
    assert_eq!((ring.tx_packets, ring.tx_dropped), (RING, lost));
    assert_eq!((out.tx_packets, out.tx_dropped), (FRAMES, 0));
    answers(&rig);
    // With a receive queue for each ring, somebody empties it.
    quick(&rig, &["port", "set", "br0", "ring", "--n-rxq", "2"]);
    wait("the ring is emptied", || match port(&rig, "ring").unwrap().rx_packets {
        RING => Ok(()),
        n => Err(n.to_string()),
    });
    quick(&rig, &["port", "del", "br0", "in"]);
    let few = capture(&rig, "few.pcap", 500, 20);
    add(&rig, "in", 1, &devargs("net_pcap0", &few, ""), &[]);
    wait("it takes packets again", || match port(&rig, "ring").unwrap() {
        p if p.tx_packets == RING + 500 && p.tx_dropped == lost && p.rx_packets == RING + 500 => Ok(()),
        p => Err(format!("{p:?}")),
    });
}

/// Two receive queues, each of a capture of its own.
#[test]
fn queues_of_a_port_move_between_pmds_under_load_and_lose_nothing() {
    let Some(rig) = two_pmds() else { return };
    let two =
        |a: &Path, b: &Path, more: &str| format!("net_pcap0,rx_pcap={},rx_pcap={}{more}", a.display(), b.display());
    let (small, large) = (capture(&rig, "small.pcap", 300, 7), capture(&rig, "large.pcap", 700, 30));
    add(&rig, "idle", 3, "net_null3,no-rx=1", &[]);
    add(&rig, "out", 2, "net_null1,no-rx=1", &[]);
    rig.ok(&["flow", "add", "br0", "in_port=1,actions=output:2"]).unwrap();
    add(&rig, "in", 1, &two(&small, &large, ""), &["--n-rxq", "2"]);
    wait("each queue's packets are counted", || match queues(&rig, "in") {
        q if q.iter().map(|q| q.packets).eq([300, 700]) => Ok(()),
        q => Err(format!("{q:?}")),
    });
    let shown = quick(&rig, &["pmd", "rxq"]);
    assert_eq!(shown.lines().filter(|line| line.split_whitespace().any(|word| word == "in")).count(), 2, "{shown}");
    quick(&rig, &["port", "del", "br0", "in"]);

    // Without end. Loads are known after some seconds; until then both may be one PMD's.
    add(&rig, "in", 1, &two(&small, &large, ",infinite_rx=1"), &["--n-rxq", "2"]);
    let on = |rig: &Rig| queues(rig, "in").iter().map(|q| q.pmd.unwrap()).collect::<Vec<_>>();
    let mut moved = 0;
    let mut turn = |args: &[&str]| {
        let before = on(&rig);
        quick(&rig, args);
        let received = |rig: &Rig| queues(rig, "in").iter().map(|q| q.packets).collect::<Vec<_>>();
        let then = received(&rig);
        wait("both queues are polled where they are", || {
            let (queues, now) = (queues(&rig, "in"), received(&rig));
            let polled = queues.iter().all(|q| !q.moving) && now.iter().zip(&then).all(|(now, then)| now > then);
            if polled { Ok(()) } else { Err(format!("{queues:?}")) }
        });
        moved += usize::from(on(&rig) != before);
    };
    for _ in 0..3 {
        turn(&["port", "set", "br0", "in", "--rxq-affinity", "0:0,1:0"]);
        turn(&["port", "set", "br0", "in", "--rxq-affinity", "0:1,1:0"]);
        turn(&["port", "set", "br0", "in", "--rxq-affinity", ""]);
        turn(&["pmd", "rebalance"]);
    }
    assert!(moved >= 3, "queues moved {moved} times only");
    wait("loads put them on a PMD each", || {
        let _: Rebalanced = rig.json(&["pmd", "rebalance"]).unwrap();
        let on = on(&rig);
        if on[0] != on[1] { Ok(()) } else { Err(format!("{on:?}")) }
    });
    quick(&rig, &["port", "del", "br0", "in"]);
    let all = at_rest(&rig);
    only(&all, &["no_bridge"]);
    assert_eq!(all.rx_packets, all.tx_packets + late(&all, 2), "{all:?}");
    let flows: Vec<FlowView> = rig.json(&["flow", "dump", "br0"]).unwrap();
    assert_eq!(flows.iter().map(|f| f.packets).sum::<u64>(), all.tx_packets);
    assert_eq!(port(&rig, "out").unwrap().tx_packets, all.tx_packets);
}
