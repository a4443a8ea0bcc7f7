//! What a key knows of a packet that is not in the packet's bytes.

use crate::field::{FieldDef, Place};
use crate::key::FlowKey;
use std::mem::offset_of;
use std::ops::Range;

/// The bytes of a [`FlowKey`] that come from the packet's bytes: between the metadata in front and the rare ones behind.
const FROM_BYTES: Range<usize> = offset_of!(FlowKey, eth_dst)..offset_of!(FlowKey, tun_src);

impl FieldDef {
    /// Whether the field is in the key but not in the packet's bytes: input port, tunnel, mark, connection, hash, priority.
    #[must_use]
    pub fn is_metadata(&self) -> bool {
        matches!(self.place, Place::Key { offset, .. } if !FROM_BYTES.contains(&usize::from(offset)))
    }
}

impl FlowKey {
    /// The key with nothing but its metadata.
    #[must_use]
    pub fn metadata(&self) -> FlowKey {
        let mut metadata = *self;
        zerocopy::IntoBytes::as_mut_bytes(&mut metadata)[FROM_BYTES].fill(0);
        metadata
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::{RxMeta, extract_into};
    use crate::field::datapath_fields;
    use crate::port::DpPort;
    use crate::rewrite::{FrameBuf, set_field};
    use crate::value::Value;
    use proptest::prelude::*;

    /// Starts of frames that have many fields.
    fn arb_frame() -> impl Strategy<Value = Vec<u8>> {
        let types = vec![[0x08, 0x00], [0x86, 0xdd], [0x08, 0x06], [0x81, 0x00], [0x88, 0x47]];
        let protos = vec![6u8, 17, 132, 1, 58];
        (prop::collection::vec(any::<u8>(), 0..120), prop::sample::select(types), prop::sample::select(protos))
            .prop_map(|(mut bytes, ethertype, proto)| {
                for (at, byte) in
                    [(12, ethertype[0]), (13, ethertype[1]), (14, 0x45), (16, 0), (17, 40), (20, 0), (23, proto)]
                {
                    if let Some(place) = bytes.get_mut(at) {
                        *place = byte;
                    }
                }
                bytes
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Extraction into a key with metadata adds the packet's fields and leaves the metadata alone.
        #[test]
        fn extraction_touches_no_metadata(bytes in arb_frame(), metadata in prop::collection::vec(any::<u8>(), size_of::<FlowKey>())) {
            let any: FlowKey = zerocopy::FromBytes::read_from_bytes(&metadata[..]).unwrap();
            let before = any.metadata();
            let mut key = before;
            extract_into(&mut key, &bytes, bytes.len(), &RxMeta::from_port(DpPort(before.in_port.get())));
            prop_assert_eq!(key.metadata(), before);
            let mut plain = FlowKey::ZERO;
            extract_into(&mut plain, &bytes, bytes.len(), &RxMeta::from_port(DpPort(0)));
            for def in datapath_fields().filter(|def| !def.is_metadata()) {
                prop_assert_eq!(def.read_key(&key), def.read_key(&plain), "{}", def.name);
            }
        }

        /// No metadata is in the bytes.
        #[test]
        fn setting_metadata_changes_no_bytes(bytes in arb_frame(), value in any::<u128>()) {
            for def in datapath_fields().filter(|def| def.is_metadata()) {
                let mut packet = FrameBuf::new(&bytes);
                prop_assert!(!set_field(&mut packet, def.id, Value(value & def.ones().0), def.ones()), "{}", def.name);
                prop_assert_eq!(packet.into_packet(), bytes.clone());
            }
        }
    }
}
