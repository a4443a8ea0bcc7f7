//! Real traffic, in the order in which the demo lets it in.

use flow::clock::Time;
use std::path::{Path, PathBuf};

/// A frame of a capture.
pub struct Frame {
    /// Where it enters.
    pub end: usize,
    pub at: Time,
    pub data: Vec<u8>,
}

/// The folders of captures that are there: those of the repository, and a larger set beside it.
pub fn folders() -> Vec<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../mocks/captures");
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/captures");
    let there = shared.is_dir();
    if !there {
        println!("skipped: no ../shared");
    }
    std::iter::once(own).chain(there.then_some(shared)).collect()
}

/// The first `most` frames of each capture of a folder. File i of the sorted ones enters at end i modulo 5, one file after the
/// other, each with its own time stamps; the clock never goes back.
pub fn load(folder: &Path, most: usize) -> Vec<Frame> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|x| x == "pcap" || x == "pcapng"));
    paths.sort();
    let (mut frames, mut now) = (Vec::new(), std::time::Duration::ZERO);
    for (i, path) in paths.iter().enumerate() {
        let captured = api::read_capture(&path.display().to_string(), &std::fs::read(path).unwrap()).unwrap();
        let start = now;
        let first = captured.first().map(|f| f.at).unwrap_or_default();
        for frame in captured.into_iter().take(most) {
            now = now.max(start + frame.at.saturating_sub(first));
            frames.push(Frame { end: i % 5, at: Time(now.as_nanos() as u64), data: frame.data });
        }
    }
    frames
}

/// The rules of `shuntctl demo`.
pub fn demo_rules() -> Vec<flow::rule::RuleSpec> {
    let text =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../ctl/src/demo/rules.flows")).unwrap();
    let lines = text.lines().map(|line| line.split('#').next().unwrap().trim()).filter(|line| !line.is_empty());
    lines.map(|line| flow::text::parse_flow(line, &|_: &str| None).unwrap()).collect()
}
