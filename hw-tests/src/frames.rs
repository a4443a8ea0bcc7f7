//! Frames for scenarios, and what came of them.

use crate::{Rig, RigError};
use api::{Collected, Frame, Inject, paths};

/// A UDP packet over IPv4 without checksums: of station `from` to station `to` (the last bytes of their addresses), with this
/// source port.
#[must_use]
pub fn udp(from: u8, to: u8, port: u16) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from, 8, 0];
    let mut ip = vec![0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, from, 10, 0, 0, to];
    let sum: u32 = ip.chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(w[1])).sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    frame.extend(ip);
    frame.extend(port.to_be_bytes());
    frame.extend([0, 99, 0, 26, 0, 0]);
    frame.extend([0; 18]);
    frame
}

/// The frame with a VLAN tag.
#[must_use]
pub fn tagged(vlan: u16, frame: &[u8]) -> Vec<u8> {
    let (addresses, rest) = frame.split_at(12.min(frame.len()));
    let [high, low] = vlan.to_be_bytes();
    [addresses, &[0x81, 0, high, low], rest].concat()
}

/// VLAN of a frame's tag; `None` without one.
#[must_use]
pub fn vlan(frame: &[u8]) -> Option<u16> {
    match frame.get(12..16) {
        Some([0x81, 0, high, low]) => Some(u16::from_be_bytes([high & 0x0f, *low])),
        _ => None,
    }
}

impl Rig {
    /// Put frames into an outside end at a time in milliseconds, which moves the virtual clock; what left, as end and bytes.
    pub fn pass(&self, end: usize, at_ms: u64, frames: &[Vec<u8>]) -> Result<Vec<(usize, Vec<u8>)>, RigError> {
        let frame = |f: &Vec<u8>| Frame { end, at: at_ms * 1_000_000, hex: api::to_hex(f) };
        let _: usize = self.post(paths::MOCK_INJECT, &Inject { frames: frames.iter().map(frame).collect() })?;
        let left: Collected = self.post(paths::MOCK_COLLECT, &())?;
        Ok(left.frames.into_iter().map(|f| (f.end, api::from_hex(&f.hex).unwrap_or_default())).collect())
    }

    /// As [`Rig::pass`], the ends only.
    pub fn ends(&self, end: usize, at_ms: u64, frames: &[Vec<u8>]) -> Result<Vec<usize>, RigError> {
        Ok(self.pass(end, at_ms, frames)?.into_iter().map(|(end, _)| end).collect())
    }
}
