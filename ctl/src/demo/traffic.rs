//! What goes in and what comes out.

use super::captures::CAPTURES;
use crate::error::{Error, Result};
use api::{CapturedFrame, Collected, Frame, from_hex, read_capture, to_hex, write_capture};
use std::path::Path;
use std::time::Duration;

/// Rules of the demo when none are given.
const RULES: &str = include_str!("rules.flows");

/// The frames of all captures in the order in which they go in. File i of the sorted ones enters at end i modulo `ends`;
/// one file after the other, each with its own time stamps.
pub fn load(dir: Option<&Path>, ends: usize) -> Result<Vec<Frame>> {
    let files: Vec<(String, Vec<CapturedFrame>)> = match dir {
        Some(dir) => read_dir(dir)?,
        None => CAPTURES
            .iter()
            .map(|(name, bytes)| Ok(((*name).to_owned(), read_capture(name, bytes)?)))
            .collect::<Result<_>>()?,
    };
    let mut now = Duration::ZERO;
    let mut frames = Vec::new();
    for (i, (_, captured)) in files.into_iter().enumerate() {
        let start = now;
        let first = captured.first().map(|f| f.at).unwrap_or_default();
        for frame in captured {
            // Time stamps of real captures jump back now and then; the clock does not.
            now = now.max(start + frame.at.saturating_sub(first));
            frames.push(Frame {
                end: i % ends,
                at: u64::try_from(now.as_nanos()).unwrap_or(u64::MAX),
                hex: to_hex(&frame.data),
            });
        }
    }
    Ok(frames)
}

fn read_dir(dir: &Path) -> Result<Vec<(String, Vec<CapturedFrame>)>> {
    let error = |path: &Path, e: std::io::Error| Error::File { path: path.to_owned(), why: e.to_string() };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|e| error(dir, e))? {
        let path = entry.map_err(|e| error(dir, e))?.path();
        if path.extension().is_some_and(|x| x == "pcap" || x == "pcapng") {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(Error::File {
            path: dir.to_owned(),
            why: "no *.pcap or *.pcapng in it; name a folder of captures".into(),
        });
    }
    paths.sort();
    paths
        .iter()
        .map(|path| {
            let name = path.display().to_string();
            let bytes = std::fs::read(path).map_err(|e| error(path, e))?;
            Ok((name.clone(), read_capture(&name, &bytes)?))
        })
        .collect()
}

/// The flows of a file, or the demo's own.
pub fn rules(file: Option<&Path>) -> Result<Vec<String>> {
    let text = match file {
        Some(path) => {
            std::fs::read_to_string(path).map_err(|e| Error::File { path: path.to_owned(), why: e.to_string() })?
        }
        None => RULES.to_owned(),
    };
    let flow = |line: &str| line.split('#').next().unwrap_or_default().trim().to_owned();
    Ok(text.lines().map(flow).filter(|line| !line.is_empty()).collect())
}

/// Write what left each end to `DIR/NAME.pcap`.
pub fn write(dir: &Path, ends: &[String], left: &Collected) -> Result<()> {
    let error = |path: &Path, why: String| Error::File { path: path.to_owned(), why };
    std::fs::create_dir_all(dir).map_err(|e| error(dir, e.to_string()))?;
    for (end, name) in ends.iter().enumerate() {
        let path = dir.join(format!("{name}.pcap"));
        let frames: Vec<CapturedFrame> = left
            .frames
            .iter()
            .filter(|f| f.end == end)
            .map(|f| {
                let data =
                    from_hex(&f.hex).ok_or_else(|| Error::Demo(format!("bad frame from the daemon: {}", f.hex)))?;
                Ok(CapturedFrame { at: Duration::from_nanos(f.at), data })
            })
            .collect::<Result<_>>()?;
        let bytes = write_capture(&frames).map_err(|e| error(&path, e.to_string()))?;
        std::fs::write(&path, bytes).map_err(|e| error(&path, e.to_string()))?;
    }
    Ok(())
}
