//! `shuntctl demo`: real captures through a mock SmartNIC.
//!
//! Starts a daemon of its own in a temporary folder, makes a bridge over the uplink and four VFs, replays the captures
//! ([`traffic`]) and reports which flow was handled where and why ([`report`]). Nothing is left behind but the files of `--out`.

mod captures;
mod daemon;
mod report;
mod traffic;

pub use daemon::program;

use crate::client::{Client, path};
use crate::error::{Error, Result};
use crate::output::Output;
use api::{
    Ack, Bridge, Collected, DpFlowView, FailMode, FlowsAdd, Inject, MockView, OffloadSet, Port, PortType, paths,
};
use clap::ValueEnum;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Outside ends of the demo: the wire and four VFs.
const ENDS: usize = 5;
/// Frames of one request.
const CHUNK: usize = 256;
/// Frames after which what left is collected.
const COLLECT_AFTER: usize = 4096;
/// How long a replay that is not in lockstep takes, at least as fast as this allows.
const REPLAY: Duration = Duration::from_secs(3);
/// How long the switch may take to become quiet.
const QUIET: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    On,
    Off,
}

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of captures (*.pcap, *.pcapng) [default: those that come with shuntctl]
    #[arg(long, value_name = "DIR")]
    captures: Option<PathBuf>,
    /// File of flows in ovs-ofctl's syntax [default: rules that use all kinds of actions]
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Profile of the mock NIC: connectx, e810, mark-only, tiny, none
    #[arg(long, default_value = "connectx")]
    profile: String,
    /// Whether flows go into hardware
    #[arg(long, value_enum, default_value = "on")]
    offload: Switch,
    /// One frame at a time on a virtual clock, so that runs can be compared frame by frame
    #[arg(long)]
    lockstep: bool,
    /// Write what left each outside end, as pcap files
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub fn run(args: &Args, out: Output) -> Result<()> {
    let frames = traffic::load(args.captures.as_deref(), ENDS)?;
    let rules = traffic::rules(args.rules.as_deref())?;
    let daemon = daemon::Daemon::start(&args.profile, ENDS - 1, args.lockstep)?;
    let client = &daemon.client;
    set_up(client, rules, args.offload == Switch::On).map_err(|e| match &args.rules {
        Some(file) => crate::commands::flow::name_line(e, file, &std::fs::read_to_string(file).unwrap_or_default()),
        None => e,
    })?;
    let mut left = inject(client, &frames, args.lockstep)?;
    let mock = quiet(client, frames.len())?;
    let flows: Vec<DpFlowView> = client.get(paths::DP_FLOWS)?;
    collect(client, &mut left)?;
    if let Some(dir) = &args.out {
        traffic::write(dir, &mock.ends, &left)?;
    }
    let report = report::Report { mock, flows, left: left.frames.len(), out_dir: args.out.clone() };
    report.print(out)
}

fn set_up(client: &Client, flows: Vec<String>, offload: bool) -> Result<()> {
    let _: Ack = client.put(paths::OFFLOAD, &OffloadSet { enabled: offload, port: None })?;
    let bridge = Bridge::new("br0", FailMode::Secure);
    let _: Ack = client.post(paths::BRIDGES, &bridge)?;
    for end in 0..ENDS {
        let name = if end == 0 { "uplink".to_owned() } else { format!("pf0vf{}", end - 1) };
        let port = Port {
            devargs: Some(name.clone()),
            ofport: u16::try_from(end + 1).ok(),
            ..Port::new(name, PortType::Representor)
        };
        let _: Ack = client.post(&path(paths::BRIDGE_PORTS, &["br0"]), &port)?;
    }
    let _: Ack = client.post(&path(paths::FLOWS, &["br0"]), &FlowsAdd { flows, commands: false })?;
    Ok(())
}

/// Send the frames in. In lockstep the daemon takes its time; otherwise the pace is set here, so that flows
/// are learned and put into hardware while traffic runs. What left meanwhile is collected, so that no end overflows.
fn inject(client: &Client, frames: &[api::Frame], lockstep: bool) -> Result<Collected> {
    let mut left = Collected::default();
    let chunk = if lockstep { CHUNK } else { frames.len().div_ceil(1500).clamp(1, CHUNK) };
    let start = Instant::now();
    let chunks = frames.len().div_ceil(chunk).max(1);
    for (i, part) in frames.chunks(chunk).enumerate() {
        let _: usize = client.post(paths::MOCK_INJECT, &Inject { frames: part.to_vec() })?;
        if !lockstep {
            let due = REPLAY.mul_f64((i + 1) as f64 / chunks as f64);
            std::thread::sleep(due.saturating_sub(start.elapsed()));
        }
        if (i + 1) % COLLECT_AFTER.div_ceil(chunk) == 0 {
            collect(client, &mut left)?;
        }
    }
    Ok(left)
}

/// Take what has left the outside ends.
fn collect(client: &Client, left: &mut Collected) -> Result<()> {
    let more: Collected = client.post(paths::MOCK_COLLECT, &())?;
    left.frames.extend(more.frames);
    Ok(())
}

/// Wait until nothing is under way: all frames have moved, the books balance and stay as they are.
fn quiet(client: &Client, injected: usize) -> Result<MockView> {
    let start = Instant::now();
    let mut last: Option<MockView> = None;
    loop {
        let now: MockView = client.get(paths::MOCK_COUNTERS)?;
        let all = now.tally.frames_in == injected as u64;
        if all && now.tally.balances() && last.as_ref().is_some_and(|l| l.tally == now.tally) {
            return Ok(now);
        }
        if start.elapsed() > QUIET {
            return Err(Error::Demo(format!("the books do not balance after {} s: {:?}", QUIET.as_secs(), now.tally)));
        }
        last = Some(now);
        std::thread::sleep(Duration::from_millis(30));
    }
}
