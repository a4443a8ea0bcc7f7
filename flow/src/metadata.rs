//! What a key knows of a packet that is not in the packet's bytes.

use crate::field::{FieldDef, Place};
use crate::key::FlowKey;
use std::mem::offset_of;
use std::ops::Range;

/// The bytes of a [`FlowKey`] that come from the packet's bytes: between the metadata in front and the rare ones behind, and
/// what so few packets have that it is last of all.
const FROM_BYTES: [Range<usize>; 2] = [
    offset_of!(FlowKey, eth_dst)..offset_of!(FlowKey, tun_src),
    offset_of!(FlowKey, nd_reserved)..size_of::<FlowKey>(),
];

impl FieldDef {
    /// Whether the field is in the key but not in the packet's bytes: input port, tunnel, mark, connection, hash, priority.
    #[must_use]
    pub fn is_metadata(&self) -> bool {
        let from_bytes = |offset| FROM_BYTES.iter().any(|range| range.contains(&usize::from(offset)));
        matches!(self.place, Place::Key { offset, .. } if !from_bytes(offset))
    }
}

impl FlowKey {
    /// The key with nothing but its metadata.
    #[must_use]
    pub fn metadata(&self) -> FlowKey {
        let mut metadata = *self;
        for range in FROM_BYTES {
            zerocopy::IntoBytes::as_mut_bytes(&mut metadata)[range].fill(0);
        }
        metadata
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FieldId;
    use crate::extract::{RxMeta, extract_into};
    use crate::field::{CONNECTION, TUNNEL, datapath_fields};
    use crate::port::DpPort;
    use crate::rewrite::{FrameBuf, set_field};
    use crate::value::Value;
    use proptest::prelude::*;

    #[test]
    fn metadata_are_ports_passes_tunnels_connections_and_what_actions_leave() {
        use FieldId as F;
        let others = [F::InPort, F::InPortOxm, F::RecircId, F::PktMark, F::DpHash, F::SkbPriority];
        for def in datapath_fields() {
            let wanted = TUNNEL.contains(&def.id) || CONNECTION.contains(&def.id) || others.contains(&def.id);
            assert_eq!(def.is_metadata(), wanted, "{}", def.name);
        }
    }

    /// A neighbour solicitation (RFC 4861, section 4.3): its reserved word is behind all metadata in a key, and in the bytes.
    #[test]
    fn the_reserved_word_of_neighbour_discovery_is_of_the_packet() {
        let address = [[0xfe, 0x80].as_slice(), &[0; 13], &[1]].concat();
        let ip = [&[0x60, 0, 0, 0, 0, 24, 58, 255][..], &address, &address].concat();
        let nd = [&[135, 0, 0, 0, 1, 2, 3, 4][..], &address].concat();
        let frame = [&[2; 12][..], &[0x86, 0xdd], &ip, &nd].concat();
        let mut key = FlowKey::ZERO;
        extract_into(&mut key, &frame, frame.len(), &RxMeta::from_port(DpPort(3)));
        assert_eq!(key.nd_reserved.get(), 0x0102_0304);
        let metadata = key.metadata();
        assert_eq!((metadata.nd_reserved.get(), metadata.in_port.get()), (0, 3));
        let mut packet = FrameBuf::new(&frame);
        assert!(set_field(&mut packet, FieldId::NdReserved, Value(5), Value(u32::MAX.into())));
        assert_eq!(packet.into_packet()[58..62], [0, 0, 0, 5]);
    }

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
