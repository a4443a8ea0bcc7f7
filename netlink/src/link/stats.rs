//! Counters of a network device (`struct rtnl_link_stats64`).

use crate::error::{Error, Result};

/// What a network device has counted since it came, as far as it matters to a switch. Of a representor: what went between it and
/// its function through software; of an uplink or VF what the driver counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// Packets received.
    pub rx_packets: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Bad packets received.
    pub rx_errors: u64,
    /// Packets that could not be sent.
    pub tx_errors: u64,
    /// Packets received and dropped for lack of room.
    pub rx_dropped: u64,
    /// Packets dropped on their way out.
    pub tx_dropped: u64,
    /// Multicast packets received.
    pub multicast: u64,
}

impl LinkStats {
    /// Reads the counters; newer kernels append to the structure.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        let (words, _) = bytes.as_chunks::<8>();
        let &[rx_packets, tx_packets, rx_bytes, tx_bytes, rx_errors, tx_errors, rx_dropped, tx_dropped, multicast, ..] =
            words
        else {
            return Err(Error::Malformed { what: "link counters", detail: format!("only {} bytes", bytes.len()) });
        };
        let n = u64::from_ne_bytes;
        Ok(LinkStats {
            rx_packets: n(rx_packets),
            tx_packets: n(tx_packets),
            rx_bytes: n(rx_bytes),
            tx_bytes: n(tx_bytes),
            rx_errors: n(rx_errors),
            tx_errors: n(tx_errors),
            rx_dropped: n(rx_dropped),
            tx_dropped: n(tx_dropped),
            multicast: n(multicast),
        })
    }
}
