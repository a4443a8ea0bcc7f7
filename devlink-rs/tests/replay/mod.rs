//! Captures of a real kernel (the files of `tests/captures`), and a socket that answers with them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::{collections::VecDeque, io, path::PathBuf, time::Duration};

use netlink::Transport;

/// What id the captured kernel gave devlink.
pub const FAMILY: u16 = 23;

/// One command of iproute2, and what passed between it and the kernel.
#[derive(Debug, Clone, Default)]
pub struct Capture {
    pub command: String,
    pub request: Vec<u8>,
    pub replies: Vec<Vec<u8>>,
    /// What `devlink -j` printed.
    pub json: serde_json::Value,
    /// The first line that it printed when it was refused.
    pub refusal: Option<String>,
}

/// Names of all captures.
pub fn names() -> Vec<String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/captures");
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|f| f.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

/// Reads a capture.
pub fn capture(name: &str) -> Capture {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/captures/{name}.txt"));
    let mut capture = Capture::default();
    for line in std::fs::read_to_string(file).unwrap().lines() {
        let (mark, rest) = line.split_at(1);
        match (mark, rest.trim_start()) {
            ("#", _) => {}
            ("$", command) => capture.command = command.to_owned(),
            (">", hex) => capture.request = bytes(hex),
            ("<", hex) => capture.replies.push(bytes(hex)),
            ("=", json) => capture.json = serde_json::from_str(json).unwrap(),
            ("!", text) => capture.refusal = Some(text.to_owned()),
            _ => panic!("{name}: {line}"),
        }
    }
    capture
}

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes().chunks(2).map(|c| u8::from_str_radix(std::str::from_utf8(c).unwrap(), 16).unwrap()).collect()
}

/// Resolves the family, and answers everything else with the same messages.
pub struct Replay {
    replies: Vec<Vec<u8>>,
    queue: VecDeque<Vec<u8>>,
}

impl Replay {
    pub fn new(replies: Vec<Vec<u8>>) -> Box<Self> {
        Box::new(Replay { replies, queue: VecDeque::new() })
    }
}

impl Transport for Replay {
    fn send(&mut self, request: &[u8]) -> io::Result<()> {
        let seq = &request[8..12];
        let answer = |mut bytes: Vec<u8>| {
            if let Some(field) = bytes.get_mut(8..12) {
                field.copy_from_slice(seq);
            }
            bytes
        };
        if request[4..6] == [0x10, 0] {
            // CTRL_CMD_NEWFAMILY with the id; then the acknowledgement.
            let mut family = vec![28, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 6, 0, 1, 0];
            family.extend(FAMILY.to_le_bytes());
            family.extend([0, 0]);
            let mut ack = vec![36, 0, 0, 0, 2, 0, 0, 1];
            ack.resize(36, 0);
            self.queue.extend([answer(family), answer(ack)]);
        } else {
            self.queue.extend(self.replies.iter().cloned().map(answer));
        }
        Ok(())
    }

    fn recv(&mut self, _: Duration) -> io::Result<Option<Vec<u8>>> {
        Ok(self.queue.pop_front())
    }

    fn join(&mut self, _: u32) -> io::Result<()> {
        Ok(())
    }
}
