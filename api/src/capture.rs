//! Capture files as lists of frames, for the mock NIC's inject and collect requests.

use pcap_file::pcap::{PcapHeader, PcapPacket, PcapReader, PcapWriter};
use pcap_file::pcapng::{Block, PcapNgReader};
use pcap_file::{DataLink, PcapError, TsResolution};
use std::time::Duration;

/// One frame of a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapturedFrame {
    /// Time stamp, since the epoch of the file's clock.
    pub at: Duration,
    /// The bytes that the file holds: fewer than were on the wire when the capture cut them.
    pub data: Vec<u8>,
}

/// Why a capture file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaptureError {
    #[error("{file}: neither pcap nor pcapng: {why}; give a capture as tcpdump -w writes it")]
    Format { file: String, why: String },
    #[error("{file}: frame {frame}: {why}; the file is corrupt or was cut short")]
    Frame { file: String, frame: usize, why: String },
    #[error("{file}: link type {link} is not Ethernet; capture on an Ethernet interface")]
    LinkType { file: String, link: u32 },
}

/// All frames of a pcap (micro- or nanoseconds, either byte order) or pcapng file.
///
/// `file` is its name in errors.
pub fn read_capture(file: &str, bytes: &[u8]) -> Result<Vec<CapturedFrame>, CaptureError> {
    if bytes.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]) { read_pcapng(file, bytes) } else { read_pcap(file, bytes) }
}

fn why(error: &PcapError) -> String {
    match error {
        PcapError::IncompleteBuffer | PcapError::IoError(_) => "ends in the middle".to_owned(),
        other => other.to_string(),
    }
}

fn check_link(file: &str, link: DataLink) -> Result<(), CaptureError> {
    if link == DataLink::ETHERNET {
        Ok(())
    } else {
        Err(CaptureError::LinkType { file: file.to_owned(), link: link.into() })
    }
}

fn read_pcap(file: &str, bytes: &[u8]) -> Result<Vec<CapturedFrame>, CaptureError> {
    let mut reader =
        PcapReader::new(bytes).map_err(|e| CaptureError::Format { file: file.to_owned(), why: why(&e) })?;
    let header = reader.header();
    check_link(file, header.datalink)?;
    let unit = match header.ts_resolution {
        TsResolution::MicroSecond => 1_000,
        TsResolution::NanoSecond => 1,
    };
    let mut frames = Vec::new();
    // Raw packets: a frame that was cut to the snap length is no error.
    while let Some(packet) = reader.next_raw_packet() {
        let error = |why: String| CaptureError::Frame { file: file.to_owned(), frame: frames.len() + 1, why };
        let packet = packet.map_err(|e| error(why(&e)))?;
        if packet.data.len() > MAX_FRAME {
            return Err(error(format!("{} bytes, more than {MAX_FRAME}", packet.data.len())));
        }
        frames.push(CapturedFrame {
            at: Duration::new(u64::from(packet.ts_sec), 0)
                + Duration::from_nanos(u64::from(packet.ts_frac).saturating_mul(unit)),
            data: packet.data.into_owned(),
        });
    }
    Ok(frames)
}

fn read_pcapng(file: &str, bytes: &[u8]) -> Result<Vec<CapturedFrame>, CaptureError> {
    let mut reader =
        PcapNgReader::new(bytes).map_err(|e| CaptureError::Format { file: file.to_owned(), why: why(&e) })?;
    let mut frames = Vec::new();
    let mut links = Vec::new();
    while let Some(block) = reader.next_block() {
        let error = |why: String| CaptureError::Frame { file: file.to_owned(), frame: frames.len() + 1, why };
        match block.map_err(|e| error(why(&e)))? {
            Block::InterfaceDescription(interface) => links.push(interface.linktype),
            Block::EnhancedPacket(packet) => {
                let link = usize::try_from(packet.interface_id).ok().and_then(|i| links.get(i));
                check_link(file, *link.ok_or_else(|| error("names an interface that is not there".to_owned()))?)?;
                frames.push(CapturedFrame { at: packet.timestamp, data: packet.data.into_owned() });
            }
            _ => {}
        }
    }
    Ok(frames)
}

/// Longest frame that a capture may hold, in bytes: tcpdump's largest snap length.
pub const MAX_FRAME: usize = 262_144;

/// Frames as a pcap file with nanosecond time stamps.
pub fn write_capture(frames: &[CapturedFrame]) -> Result<Vec<u8>, PcapError> {
    let header = PcapHeader { ts_resolution: TsResolution::NanoSecond, snaplen: 262_144, ..PcapHeader::default() };
    let mut writer = PcapWriter::with_header(Vec::new(), header)?;
    for frame in frames {
        let len = u32::try_from(frame.data.len()).unwrap_or(u32::MAX);
        writer.write_packet(&PcapPacket::new(frame.at, len, &frame.data))?;
    }
    Ok(writer.into_writer())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<CapturedFrame> {
        (0..3u8).map(|i| CapturedFrame { at: Duration::new(5, u32::from(i)), data: vec![i; 60] }).collect()
    }

    #[test]
    fn what_was_written_is_read() {
        let bytes = write_capture(&sample()).unwrap();
        assert_eq!(read_capture("x", &bytes).unwrap(), sample());
    }

    #[test]
    fn a_cut_file_names_the_frame() {
        let bytes = write_capture(&sample()).unwrap();
        let error = read_capture("x.pcap", &bytes[..bytes.len() - 10]).unwrap_err();
        assert_eq!(error.to_string(), "x.pcap: frame 3: ends in the middle; the file is corrupt or was cut short");
    }

    #[test]
    fn other_bytes_are_refused_at_any_length() {
        for len in 0..200usize {
            let bytes: Vec<u8> = (0..len).map(|i| (i * 37 % 256) as u8).collect();
            assert!(matches!(read_capture("x", &bytes), Err(CaptureError::Format { .. })), "{len}");
        }
    }

    #[test]
    fn any_cut_and_any_flipped_byte_is_an_answer() {
        let bytes = write_capture(&sample()).unwrap();
        for i in 0..bytes.len() {
            let _ = read_capture("x", &bytes[..i]);
            let mut flipped = bytes.clone();
            flipped[i] ^= 0xff;
            let _ = read_capture("x", &flipped);
        }
    }
}
