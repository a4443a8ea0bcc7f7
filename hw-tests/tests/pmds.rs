//! PMDs as their users see them: settings that stay, PMDs that come and go under traffic, what is refused, what is shown.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use api::{DpCaches, DpMisses, DpShow, Frame, Inject, PmdSettings, PmdView, RebalancePlan, RxqAssign, RxqView, paths};
use hw_tests::{Rig, run};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// PMDs of two daemons do not share a CPU, so only one test at a time has pinned ones.
static PINNED: Mutex<()> = Mutex::new(());

fn pinned() -> std::sync::MutexGuard<'static, ()> {
    PINNED.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A switch that sends what comes from the wire to the first VF and back. Other programs may poll on its CPUs.
fn rig() -> Rig {
    let rig = Rig::configured("none,vfs=2", "[datapath]\nshare_cpus = true\n").unwrap();
    ports(&rig);
    rig
}

fn ports(rig: &Rig) {
    rig.ok(&["bridge", "add", "br0", "--fail-mode", "secure"]).unwrap();
    for (name, end) in [("wire", "uplink"), ("vf0", "pf0vf0"), ("vf1", "pf0vf1")] {
        rig.ok(&["port", "add", "br0", name, "--type", "representor", "--devargs", end]).unwrap();
    }
    rig.ok(&["flow", "add", "br0", "in_port=1,actions=output:2"]).unwrap();
    rig.ok(&["flow", "add", "br0", "in_port=2,actions=output:1"]).unwrap();
}

fn cpus(rig: &Rig) -> Vec<Option<usize>> {
    let mut cpus: Vec<_> = rig.json::<Vec<PmdView>>(&["pmd", "show"]).unwrap().iter().map(|p| p.cpu).collect();
    cpus.sort_unstable();
    cpus
}

fn settings(rig: &Rig) -> PmdSettings {
    rig.json(&["pmd", "settings"]).unwrap()
}

fn inject(rig: &Rig, frames: usize) {
    let hex = format!("020000000001020000000002{}{}", "88b5", "00".repeat(46));
    let frames = (0..frames).map(|i| Frame { end: i % 2, at: 0, hex: hex.clone() }).collect();
    let _: serde_json::Value = rig.post(paths::MOCK_INJECT, &Inject { frames }).unwrap();
}

fn sent(rig: &Rig) -> u64 {
    rig.json::<api::DpCounters>(&["dp", "counters"]).unwrap().tx_packets
}

#[test]
fn pmds_come_and_go_and_no_packet_of_their_ports_is_lost() {
    let _one = pinned();
    let rig = rig();
    assert_eq!(cpus(&rig), [None]);
    let two = std::thread::available_parallelism().unwrap().get() > 1;
    let turns: &[&[&str]] = if two {
        &[&["--cpus", "0"], &["--cpus", "0,1"], &["--cpu-mask", "0x2"], &["--cpus", "any"], &["--cpus", "1"]]
    } else {
        &[&["--cpus", "0"], &["--cpus", "any"]]
    };
    let mut all = 0;
    for turn in turns.iter().chain(turns) {
        inject(&rig, 400);
        rig.ok(&[&["pmd", "set"], *turn].concat()).unwrap();
        inject(&rig, 400);
        all += 800;
    }
    let start = Instant::now();
    while sent(&rig) < all {
        assert!(start.elapsed() < Duration::from_secs(20), "{} of {all} sent", sent(&rig));
        std::thread::sleep(Duration::from_millis(5));
    }
    let counters: api::DpCounters = rig.json(&["dp", "counters"]).unwrap();
    assert_eq!((counters.rx_packets, counters.tx_packets, counters.drops.len()), (all, all, 0), "{counters:?}");
    assert_eq!(cpus(&rig), [if two { Some(1) } else { None }]);
    let queues: Vec<RxqView> = rig.json(&["pmd", "rxq"]).unwrap();
    assert!(queues.iter().all(|q| q.pmd.is_some() && !q.moving), "{queues:?}");
}

#[test]
fn settings_stay_over_restarts_until_they_are_reset() {
    let _one = pinned();
    let mut rig = rig();
    rig.configure(
        "[datapath]\nshare_cpus = true\nrxq_assign = \"roundrobin\"\n[datapath.pmd_auto_lb]\nload_threshold = 80\n",
    )
    .unwrap();
    rig.restart().unwrap();
    assert_eq!((settings(&rig).assign, settings(&rig).load_threshold), (RxqAssign::RoundRobin, 80));
    rig.ok(&["pmd", "set", "--cpus", "0", "--assign", "group", "--isolate", "false"]).unwrap();
    rig.ok(&["pmd", "auto-lb", "on", "--improvement-threshold", "40", "--interval", "5"]).unwrap();
    let before = settings(&rig);
    assert_eq!((before.cpus.as_slice(), before.assign, before.isolate), (&[0][..], RxqAssign::Group, false));
    assert_eq!(
        (before.auto_lb, before.load_threshold, before.improvement_threshold, before.interval),
        (true, 80, 40, 5)
    );
    assert_eq!(before.set, ["cpus", "assign", "isolate", "auto_lb", "improvement_threshold", "interval"]);
    rig.restart().unwrap();
    assert_eq!((settings(&rig), cpus(&rig)), (before, vec![Some(0)]));
    let shown = rig.ok(&["pmd", "auto-lb", "show"]).unwrap();
    assert!(shown.lines().any(|l| l.split_whitespace().eq(["interval", "5", "min"])), "{shown}");
    rig.ok(&["pmd", "auto-lb", "off"]).unwrap();
    assert!(!settings(&rig).auto_lb);
    rig.ok(&["pmd", "set", "--reset"]).unwrap();
    let after = settings(&rig);
    assert_eq!((after.cpus.len(), after.assign, after.set.len()), (0, RxqAssign::RoundRobin, 0));
    assert_eq!(cpus(&rig), [None]);
}

#[test]
fn what_cannot_be_is_refused_and_nothing_changes() {
    let _one = pinned();
    let rig = rig();
    let before = settings(&rig);
    for (args, part) in [
        (&["set", "--cpus", "1000"][..], "PMDs: cpus: CPU 1000 is not on this machine, which has 0"),
        (
            &["set", "--cpu-mask", "0x8000000000000000000000000000000000000000"],
            "PMDs: cpu_mask: CPU 159 is not on this machine",
        ),
        (&["set", "--cpus", ""], "PMDs: cpus: no CPU; "),
        (&["set", "--cpus", "0,0"], "PMDs: cpus: CPU 0 is there twice; "),
        (&["set", "--cpus", "zero"], "PMDs: cpus: `zero` is no CPU and no range of CPUs; "),
        (&["set", "--cpu-mask", "0x0"], "PMDs: cpu_mask: no CPU; "),
        (&["auto-lb", "on", "--load-threshold", "101"], "PMDs: load_threshold: 101 is no percentage; "),
        (&["auto-lb", "on", "--interval", "0"], "PMDs: interval: 0 minutes; "),
        (&["stats", "9"], "pmd 9: there is no such PMD; "),
    ] {
        let said = rig.refused(&[&["pmd"], args].concat()).unwrap();
        assert!(said.contains(part), "{args:?}: {said}");
        assert_eq!((settings(&rig), cpus(&rig)), (before.clone(), vec![None]));
    }
    for args in
        [&["pmd", "set"][..], &["pmd", "set", "--assign", "least"], &["pmd", "set", "--cpus", "0", "--cpu-mask", "1"]]
    {
        assert_eq!(rig.ctl(args).unwrap().code, Some(2), "{args:?}");
    }
}

#[test]
fn two_daemons_do_not_poll_on_one_cpu() {
    let _one = pinned();
    let first = rig();
    first.ok(&["pmd", "set", "--cpus", "0"]).unwrap();
    let taken = format!("CPU 0 is polled by thread pmd0 of shuntd (process {})", first.pid().unwrap());
    // Any pinned poller of this machine may be found first: this one's number is that of its PMD.
    let named = |said: &str| said.contains("CPU 0 is polled by thread") && said.contains("share_cpus = true");
    let mut second = Rig::start("none,vfs=0").unwrap();
    let said = second.refused(&["pmd", "set", "--cpus", "0"]).unwrap();
    assert!(named(&said), "{said}, not {taken}");
    assert_eq!(cpus(&second), [None]);
    let file = |name: &str| first.dir().join(name).to_str().unwrap().to_owned();
    std::fs::write(file("third.toml"), "[datapath]\npmd_cpu = 0\n").unwrap();
    let args = ["--mock", "none", "--config", &file("third.toml"), "--socket", &file("third"), "--state", &file("3")];
    let out = run("shuntd", &args).unwrap();
    assert!(out.code == Some(1) && named(&out.stderr) && out.stderr.lines().count() == 1, "{out:?}");
    // CPUs that were set through the API give way instead, and that is shown.
    second.configure("[datapath]\nshare_cpus = true\n").unwrap();
    second.restart().unwrap();
    second.ok(&["pmd", "set", "--cpus", "0"]).unwrap();
    second.configure("").unwrap();
    second.restart().unwrap();
    assert_eq!(cpus(&second), [None]);
    let trouble = settings(&second).trouble.unwrap();
    assert!(named(&trouble), "{trouble}");
    assert!(second.ok(&["pmd", "settings"]).unwrap().contains("not in force: cpus: CPU 0 is polled by thread"));
}

#[test]
fn pinned_queues_stay_pinned_until_they_are_let_go() {
    let _one = pinned();
    let mut rig = rig();
    let pin = |rig: &Rig, text: &str| rig.ok(&["port", "set", "br0", "wire", "--rxq-affinity", text]);
    let refused =
        |rig: &Rig, port: &str, text: &str| rig.refused(&["port", "set", "br0", port, "--rxq-affinity", text]).unwrap();
    let said = refused(&rig, "wire", "0:0");
    assert!(said.contains("port wire: queue 0 cannot be polled on CPU 0: no PMD runs there, none is pinned"), "{said}");
    rig.ok(&["pmd", "set", "--cpus", "0"]).unwrap();
    for (text, part) in [
        ("1:0", "port wire has no receive queue 1, it has 1; "),
        ("0:1000", "queue 0 cannot be polled on CPU 1000: no PMD runs there, they run on 0"),
        ("0", "rxq_affinity: `0` is not QUEUE:CPU; "),
        ("0:0,0:0", "rxq_affinity: queue 0 is there twice; "),
    ] {
        let said = refused(&rig, "wire", text);
        assert!(said.contains(part), "{said}");
    }
    let shown = |rig: &Rig| {
        let queues: Vec<RxqView> = rig.json(&["pmd", "rxq"]).unwrap();
        let isolated = rig.json::<Vec<PmdView>>(&["pmd", "show"]).unwrap()[0].isolated;
        (queues.iter().map(|q| (q.port.clone(), q.pin, q.pin_failed, q.pmd.is_some())).collect::<Vec<_>>(), isolated)
    };
    let queue = |port: &str, pin, failed, polled| (port.to_owned(), pin, failed, polled);
    let pinned = (
        vec![queue("wire", Some(0), false, true), queue("vf0", None, false, false), queue("vf1", None, false, false)],
        true,
    );
    pin(&rig, "0:0").unwrap();
    assert_eq!(shown(&rig), pinned, "the only PMD polls pinned queues only");
    rig.restart().unwrap();
    assert_eq!(shown(&rig), pinned);
    // Without that PMD the queue is polled like others, and is shown so.
    rig.ok(&["pmd", "set", "--cpus", "any"]).unwrap();
    let (queues, isolated) = shown(&rig);
    assert_eq!((queues[0].1, queues[0].2, isolated), (Some(0), true, false));
    assert!(queues.iter().all(|q| q.3), "{queues:?}");
    assert!(rig.ok(&["pmd", "rxq"]).unwrap().contains("no PMD on that CPU"));
    pin(&rig, "").unwrap();
    assert!(shown(&rig).0.iter().all(|q| q.1.is_none()));
    rig.restart().unwrap();
    assert!(shown(&rig).0.iter().all(|q| q.1.is_none()));
}

#[test]
fn caches_misses_and_limits_are_shown_in_100_columns() {
    let rig = Rig::start("none,vfs=2,lockstep").unwrap();
    ports(&rig);
    inject(&rig, 10);
    let steady = |text: String| text.lines().map(|l| l.trim_end().to_owned() + "\n").collect::<String>();
    let mut all = String::new();
    for args in [
        &["dp", "show"][..],
        &["dp", "caches"],
        &["dp", "misses", "0"],
        &["dp", "flows", "-m"],
        &["pmd", "settings"],
        &["pmd", "auto-lb", "show"],
        &["pmd", "rebalance", "--dry-run", "--assign", "group"],
        &["pmd", "rebalance", "--dry-run", "--assign", "roundrobin"],
    ] {
        let text = steady(rig.ok(args).unwrap());
        assert!(args.contains(&"-m") || text.lines().all(|l| l.chars().count() <= 100), "{text}");
        all += &format!("$ shuntctl {}\n{text}\n", args.join(" "));
    }
    insta::assert_snapshot!(all);
    let show: DpShow = rig.json(&["dp", "show"]).unwrap();
    assert_eq!((show.hit + show.missed, show.flows, show.flow_limit), (10, 2, 200_000));
    let caches: Vec<DpCaches> = rig.json(&["dp", "caches"]).unwrap();
    assert_eq!(caches[0].tables.as_ref().unwrap().len(), 2);
    let misses: Vec<DpMisses> = rig.json(&["dp", "misses"]).unwrap();
    assert_eq!((misses.len(), misses[1].table["new_flow"]), (2, 2));
    let plan: RebalancePlan = rig.json(&["pmd", "rebalance", "--dry-run"]).unwrap();
    assert!(plan.moves.is_empty() && plan.note.is_some());
    rig.refused(&["dp", "misses", "7"]).unwrap();
}
