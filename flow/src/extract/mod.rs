//! From packet bytes to a [`FlowKey`].

use crate::key::{FlowKey, VlanTag};
use crate::port::DpPort;

/// What is known of a packet beside its bytes.
#[derive(Clone, Copy, Debug)]
pub struct RxMeta {
    pub in_port: DpPort,
    /// Tags that the NIC took out of the bytes, outermost first.
    pub stripped: [VlanTag; 2],
}

impl RxMeta {
    /// All that is known is the port.
    #[must_use]
    pub fn from_port(in_port: DpPort) -> RxMeta {
        RxMeta { in_port, stripped: [VlanTag::default(); 2] }
    }
}

/// The key of a packet of `total_len` bytes whose first contiguous bytes are `head`.
#[must_use]
pub fn extract(head: &[u8], total_len: usize, meta: &RxMeta) -> FlowKey {
    let _ = (head, total_len);
    let mut key = FlowKey::ZERO;
    key.in_port = meta.in_port.0.into();
    key
}
