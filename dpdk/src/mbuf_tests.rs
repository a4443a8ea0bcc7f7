//! Packets against a plain vector of bytes.

use proptest::prelude::*;

use super::*;
use crate::testing;

#[derive(Debug, Clone)]
enum Edit {
    Prepend(Vec<u8>),
    Adj(usize),
    Append(Vec<u8>),
    Trim(usize),
    Linearize,
    DeepCopy,
    CloneAndKeep,
    MakeExclusive,
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..150);
    let edit = prop_oneof![
        bytes().prop_map(Edit::Prepend),
        (0usize..200).prop_map(Edit::Adj),
        bytes().prop_map(Edit::Append),
        (0usize..200).prop_map(Edit::Trim),
        Just(Edit::Linearize),
        Just(Edit::DeepCopy),
        Just(Edit::CloneAndKeep),
        Just(Edit::MakeExclusive),
    ];
    proptest::collection::vec(edit, 0..24)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Every sequence of edits leaves the bytes that the same edits leave in a vector; clones never see an edit; no buffer leaks.
    #[test]
    fn edits_match_a_vector(start in proptest::collection::vec(any::<u8>(), 0..5000), edits in edits()) {
        // 24 edits can leave a dozen clones of three segments each, and what they were cloned from.
        let pool = testing::mempool(255);
        {
            let mut packet = Mbuf::from_bytes(&pool, &start).unwrap();
            packet.set_mark(Some(7));
            let mut model = start;
            let mut clones: Vec<(Mbuf, Vec<u8>)> = Vec::new();
            for edit in edits {
                let shared = packet.is_shared();
                prop_assert_eq!(packet.data_mut().is_none(), shared);
                match edit {
                    Edit::Prepend(bytes) => {
                        let room = packet.headroom();
                        match packet.prepend(bytes.len()) {
                            Ok(out) => {
                                out.copy_from_slice(&bytes);
                                model.splice(0..0, bytes);
                            }
                            Err(MbufError::Shared) => prop_assert!(shared),
                            Err(_) => prop_assert!(bytes.len() > room),
                        }
                    }
                    Edit::Append(bytes) => {
                        let room = packet.tailroom();
                        match packet.append(bytes.len()) {
                            Ok(out) => {
                                out.copy_from_slice(&bytes);
                                model.extend(bytes);
                            }
                            Err(MbufError::Shared) => prop_assert!(shared),
                            Err(_) => prop_assert!(bytes.len() > room),
                        }
                    }
                    Edit::Adj(n) => {
                        let have = packet.data().len();
                        match packet.adj(n) {
                            Ok(()) => drop(model.drain(..n)),
                            Err(_) => prop_assert!(n > have),
                        }
                    }
                    Edit::Trim(n) => {
                        let have = packet.segments().last().unwrap().len();
                        match packet.trim(n) {
                            Ok(()) => model.truncate(model.len() - n),
                            Err(_) => prop_assert!(n > have),
                        }
                    }
                    Edit::Linearize => {
                        if packet.linearize().is_ok() {
                            prop_assert!(packet.is_contiguous());
                            prop_assert_eq!(packet.data(), &model[..]);
                        }
                    }
                    Edit::DeepCopy => {
                        packet = packet.deep_copy(&pool).unwrap();
                        prop_assert!(!packet.is_shared());
                    }
                    Edit::CloneAndKeep => {
                        if let Ok(clone) = packet.clone_ref(&pool) {
                            prop_assert!(packet.is_shared() && clone.is_shared());
                            clones.push((clone, model.clone()));
                        }
                    }
                    Edit::MakeExclusive => {
                        packet.make_exclusive(&pool).unwrap();
                        prop_assert!(!packet.is_shared());
                    }
                }
                prop_assert_eq!(packet.pkt_len(), model.len());
                prop_assert_eq!(packet.to_vec(), model.clone());
                prop_assert_eq!(packet.mark(), Some(7));
            }
            for (clone, bytes) in &clones {
                prop_assert_eq!(&clone.to_vec(), bytes);
            }
            let mut out = vec![0; model.len() + 3];
            for offset in [0, 1, model.len() / 2, model.len(), model.len() + 2] {
                let n = packet.copy_out(offset, &mut out);
                prop_assert_eq!(&out[..n], model.get(offset..).unwrap_or_default());
            }
        }
        prop_assert!(pool.is_full(), "{} buffers leaked", pool.in_use());
    }
}

#[test]
fn the_last_owner_of_shared_bytes_may_write() {
    let pool = testing::mempool(15);
    let packet = Mbuf::from_bytes(&pool, b"hello").unwrap();
    let mut clone = packet.clone_ref(&pool).unwrap();
    assert!(clone.data_mut().is_none());
    drop(packet);
    clone.data_mut().unwrap()[0] = b'j';
    assert_eq!(clone.data(), b"jello");
    drop(clone);
    assert!(pool.is_full());
}

#[test]
fn metadata_is_set_read_and_cleared_apart() {
    let pool = testing::mempool(15);
    let mut packet = Mbuf::from_bytes(&pool, &[0; 60]).unwrap();
    assert_eq!((packet.mark(), packet.stripped_vlan(), packet.rss_hash(), packet.flag()), (None, None, None, false));
    packet.set_mark(Some(0xab_cdef));
    packet.set_stripped_vlan(Some(0x2064));
    packet.set_rss_hash(Some(0xdead_beef));
    packet.set_port(9);
    assert_eq!(packet.mark(), Some(0xab_cdef));
    assert_eq!((packet.stripped_vlan(), packet.rss_hash(), packet.port()), (Some(0x2064), Some(0xdead_beef), 9));
    assert!(packet.flag());
    packet.set_mark(None);
    assert_eq!((packet.mark(), packet.flag(), packet.stripped_vlan()), (None, true, Some(0x2064)));
    let mut clone = packet.clone_ref(&pool).unwrap();
    clone.clear_metadata();
    assert_eq!((clone.ol_flags() & !dpdk_sys::MBUF_F_INDIRECT, clone.stripped_vlan()), (0, None));
    assert!(packet.flag() && packet.is_shared(), "the clone's header is its own");
    drop((packet, clone));
    assert!(pool.is_full());
}

#[test]
fn a_pool_that_runs_dry_in_the_middle_leaks_nothing() {
    let pool = testing::mempool(3);
    let err = Mbuf::from_bytes(&pool, &[1; 2048 * 4]).unwrap_err();
    assert!(matches!(err, MbufError::PoolEmpty { .. }));
    assert!(pool.is_full());
    let packet = Mbuf::from_bytes(&pool, &[1; 2048 * 2]).unwrap();
    assert!(packet.clone_ref(&pool).is_err() && packet.deep_copy(&pool).is_err());
    assert!(!packet.is_shared(), "a failed clone left a reference behind");
    drop(packet);
    assert!(pool.is_full());
}

#[test]
fn a_packet_is_plain_unless_something_has_to_be_looked_at() {
    let pool = testing::mempool(63);
    let plain = || Mbuf::from_bytes(&pool, &[0; 60]).unwrap();
    assert!(plain().is_plain(60) && !plain().is_plain(61));
    let mut hashed = plain();
    hashed.set_rss_hash(Some(7));
    assert!(hashed.is_plain(14));
    assert!(!Mbuf::from_bytes(&pool, &[0; 4000]).unwrap().is_plain(14));
    let changes: [fn(&mut Mbuf); 4] = [
        |p| p.set_mark(Some(1)),
        |p| p.set_flag(true),
        |p| p.set_stripped_vlan(Some(5)),
        |p| p.set_l4_checksum_unfinished(true),
    ];
    for change in changes {
        let mut packet = plain();
        change(&mut packet);
        assert!(!packet.is_plain(14));
        packet.clear_metadata();
        assert!(packet.is_plain(14));
    }
}

#[test]
fn an_unfinished_checksum_is_told_from_a_bad_and_a_good_one() {
    let pool = testing::mempool(7);
    let mut packet = Mbuf::from_bytes(&pool, &[0; 60]).unwrap();
    assert!(!packet.is_l4_checksum_unfinished());
    packet.set_l4_checksum_unfinished(true);
    assert!(packet.is_l4_checksum_unfinished());
    assert_eq!(packet.l4_checksum_ok(), None);
    packet.set_l4_checksum_unfinished(false);
    assert!(!packet.is_l4_checksum_unfinished());
}
