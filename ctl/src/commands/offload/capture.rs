//! `shuntctl offload capture`: packets of flows that hardware handles, in a file.

use crate::client::{Client, path};
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::output::Output;
use api::{CaptureEnded, CapturePacket, CaptureRequest, CaptureStarted, CaptureTaken, paths};
use serde::Serialize;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long one request waits for packets, in milliseconds.
const WAIT_MS: u128 = 200;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// A datapath flow's number, from `dp flows`; or a match, such as 'in_port=1,tcp,nw_dst=10.0.0.1'
    #[arg(value_name = "FLOW|MATCH")]
    what: String,
    /// File to write, in pcap format; one that is there is replaced when the capture has begun
    #[arg(long, value_name = "FILE")]
    pcap: PathBuf,
    /// End after so many packets
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End after so many seconds [default: when interrupted, or after --count packets]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    seconds: Option<u64>,
    /// Bridge that the match is about [default: the one that there is]
    #[arg(long, value_name = "BRIDGE")]
    bridge: Option<String>,
}

/// What came of a capture.
#[derive(Debug, Serialize)]
struct Done {
    matching: String,
    packets: u64,
    /// Packets that came faster than they could be kept.
    lost: u64,
    /// Flows that were in software for it.
    flows: usize,
}

pub fn run(args: &Args, client: &Client, out: Output) -> Result<()> {
    // From here on a signal ends the capture in order.
    let interrupt = Interrupt::new()?;
    let flow = args.what.trim().parse().ok();
    let matching = flow.is_none().then(|| args.what.clone());
    let request = CaptureRequest { flow, matching, bridge: args.bridge.clone() };
    let started: CaptureStarted = client.post(paths::CAPTURES, &request)?;
    let at = path(paths::CAPTURE, &[&started.id.to_string()]);
    // A file that is there is worth more than a capture that cannot be.
    let done = Pcap::create(&args.pcap).and_then(|mut file| read(args, client, &at, &mut file, &interrupt));
    // Whatever went wrong, flows go back at once. When we are killed (SIGKILL) they go back as nobody reads any more.
    let ended: Result<CaptureEnded> = client.delete(&at, None::<&()>);
    let packets = done?;
    let ended = ended?;
    let done = Done { matching: started.matching, packets, lost: ended.lost, flows: started.flows };
    out.print(&done, |d| {
        let lost = if d.lost > 0 { format!(", {} lost", d.lost) } else { String::new() };
        format!("{} packets of {} captured{lost}; {} flows were in software for it", d.packets, d.matching, d.flows)
    })
}

/// Read until there is enough, or somebody interrupts; how many packets came.
fn read(args: &Args, client: &Client, at: &str, file: &mut Pcap, interrupt: &Interrupt) -> Result<u64> {
    let (start, mut packets) = (Instant::now(), 0);
    let enough = args.count.unwrap_or(u64::MAX);
    loop {
        let left = args.seconds.map(|s| Duration::from_secs(s).saturating_sub(start.elapsed()));
        let wait = left.map_or(WAIT_MS, |left| left.as_millis().min(WAIT_MS));
        let taken: CaptureTaken = client.get(&format!("{at}?wait_ms={wait}"))?;
        for packet in &taken.packets {
            if packets < enough {
                file.write(packet)?;
                packets += 1;
            }
        }
        file.flush()?;
        if packets >= enough || interrupt.is_told() || left.is_some_and(|left| left.is_zero()) {
            return Ok(packets);
        }
    }
}

/// A capture file that is written while packets come: one that is cut short at any time holds what came before.
#[derive(Debug)]
struct Pcap {
    path: PathBuf,
    file: std::io::BufWriter<File>,
}

impl Pcap {
    fn create(path: &Path) -> Result<Pcap> {
        let named = |e: std::io::Error| Error::File { path: path.to_owned(), why: e.to_string() };
        let file = std::io::BufWriter::new(File::create(path).map_err(named)?);
        let mut pcap = Pcap { path: path.to_owned(), file };
        // Magic of nanosecond time stamps, version 2.4, snap length, Ethernet (the format of libpcap, pcap-savefile(5)).
        let words: [u32; 6] = [0xa1b2_3c4d, 4 << 16 | 2, 0, 0, 262_144, 1];
        pcap.put(&words)?;
        pcap.flush()?;
        Ok(pcap)
    }

    fn put(&mut self, words: &[u32]) -> Result<()> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.file.write_all(&bytes).map_err(|e| self.named(&e))
    }

    fn write(&mut self, packet: &CapturePacket) -> Result<()> {
        let data = api::from_hex(&packet.hex).unwrap_or_default();
        let len = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let seconds = u32::try_from(packet.at / 1_000_000_000).unwrap_or(u32::MAX);
        self.put(&[seconds, (packet.at % 1_000_000_000) as u32, len, len])?;
        self.file.write_all(&data).map_err(|e| self.named(&e))
    }

    fn flush(&mut self) -> Result<()> {
        self.file.flush().map_err(|e| self.named(&e))
    }

    fn named(&self, e: &std::io::Error) -> Error {
        Error::File { path: self.path.clone(), why: e.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_one_that_others_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.pcap");
        let mut pcap = Pcap::create(&path).unwrap();
        let packet = CapturePacket { at: 5_000_000_007, port: "p".to_owned(), hex: "00".repeat(60) };
        pcap.write(&packet).unwrap();
        pcap.flush().unwrap();
        let frames = api::read_capture("x", &std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(frames, [api::CapturedFrame { at: Duration::new(5, 7), data: vec![0; 60] }]);
        assert!(Pcap::create(&dir.path().join("no/x.pcap")).unwrap_err().to_string().contains("no/x.pcap"));
    }
}
