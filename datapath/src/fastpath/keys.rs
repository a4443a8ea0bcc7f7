//! The keys of a burst's packets, extracted no deeper than flows of their port look.

use crate::table::{Depth, PortTable};
use dpdk::{BURST, Mbuf};
use flow::extract::{
    LINK_WORDS, NEAR_WORDS, RxMeta, extract_into, extract_usual, link_words, near_words, plain_words, put_plain,
};
use flow::{DpPort, FlowKey};
use std::mem::offset_of;

/// The first word of those that no TCP or UDP packet has as it is received: behind the TCP flags.
const RARE: usize = offset_of!(FlowKey, arp_sha) / 8;
/// The first word that extraction writes.
const FIRST: usize = offset_of!(FlowKey, eth_dst) / 8;
/// The first word that only tunnels and tracked connections have: extraction leaves these alone.
const BEYOND: usize = offset_of!(FlowKey, tun_src) / 8;

/// What a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Filled {
    /// All that is to be known, and zero in the words behind the TCP flags.
    Usual,
    /// All that is to be known.
    Whole,
    /// What [`Depth::Link`] or [`Depth::Near`] asks for; the others are of an earlier packet, those behind the TCP flags zero.
    Some,
}

/// The keys of a burst.
#[derive(Debug)]
pub(super) struct Keys {
    keys: Box<[FlowKey; BURST]>,
    hashes: [u64; BURST],
    filled: [Filled; BURST],
    port: DpPort,
    depth: Depth,
    /// That of the port's table when extraction began; `None`: it had none.
    generation: Option<u32>,
}

impl Keys {
    pub(super) fn new() -> Keys {
        Keys {
            keys: Box::new([FlowKey::ZERO; BURST]),
            hashes: [0; BURST],
            filled: [Filled::Usual; BURST],
            port: DpPort(0),
            depth: Depth::Full,
            generation: None,
        }
    }

    /// A burst of this port comes.
    #[inline]
    pub(super) fn begin(&mut self, port: DpPort, table: Option<&PortTable>) {
        self.depth = table.map_or(Depth::Full, PortTable::depth);
        self.generation = table.map(PortTable::generation);
        if self.port != port {
            self.port = port;
            for key in self.keys.iter_mut() {
                key.in_port = port.0.into();
            }
        }
    }

    /// Whether keys and hashes are as lookups in this table need them.
    #[inline(always)]
    pub(super) fn are_of(&self, table: Option<&PortTable>) -> bool {
        table.map(PortTable::generation) == self.generation
    }

    /// Whether flows of the port are told by the first line of their records.
    #[inline(always)]
    pub(super) fn are_near(&self) -> bool {
        self.depth < Depth::Full
    }

    #[inline(always)]
    pub(super) fn key(&self, i: usize) -> &FlowKey {
        &self.keys[i % BURST]
    }

    /// All of them, those beyond the burst of earlier ones.
    #[inline(always)]
    pub(super) fn keys(&self) -> &[FlowKey; BURST] {
        &self.keys
    }

    #[inline(always)]
    pub(super) fn hashes(&self) -> &[u64; BURST] {
        &self.hashes
    }

    #[inline(always)]
    pub(super) fn hash(&self, i: usize) -> u64 {
        self.hashes[i % BURST]
    }

    /// The key of packet `i`, whose headers are contiguous and complete. Returns its hash in this table.
    #[inline(always)]
    pub(super) fn extract(&mut self, i: usize, packet: &Mbuf, table: &PortTable) -> u64 {
        let i = i % BURST;
        let head = packet.data();
        let key = &mut self.keys[i];
        if self.filled[i] == Filled::Whole {
            key.words_mut()[RARE..BEYOND].fill([0; 8]);
        }
        let hash = if self.depth == Depth::Link
            && let Some(link) = link_words(head)
        {
            put(key, LINK_WORDS, link);
            self.filled[i] = Filled::Some;
            table.hash_link(link)
        } else if self.depth == Depth::Near
            && let Some(near) = near_words(head, packet.pkt_len())
        {
            put(key, NEAR_WORDS, near);
            self.filled[i] = Filled::Some;
            table.hash_near(near)
        } else if let Some(plain) = plain_words(head, packet.pkt_len()) {
            put_plain(key, plain);
            self.filled[i] = Filled::Usual;
            table.hash_plain(plain)
        } else if extract_usual(key, head, packet.pkt_len()) {
            self.filled[i] = Filled::Usual;
            table.hash_usual(key)
        } else {
            self.filled[i] = unusual(key, self.port, packet);
            table.hash(key)
        };
        self.hashes[i] = hash;
        hash
    }

    /// Packet `i` has no key yet; [`Keys::whole`] makes one.
    pub(super) fn skip(&mut self, i: usize) {
        let i = i % BURST;
        if self.filled[i] == Filled::Whole {
            self.keys[i].words_mut()[RARE..BEYOND].fill([0; 8]);
        }
        self.filled[i] = Filled::Some;
    }

    /// The whole key of packet `i`.
    pub(super) fn whole(&mut self, i: usize, port: DpPort, packet: &Mbuf) -> &FlowKey {
        let i = i % BURST;
        if self.filled[i] == Filled::Some {
            self.filled[i] = unusual(&mut self.keys[i], port, packet);
        }
        &self.keys[i]
    }
}

#[inline(always)]
fn put<const N: usize>(key: &mut FlowKey, at: [usize; N], words: [u64; N]) {
    for (at, word) in at.into_iter().zip(words) {
        key.words_mut()[at] = word.to_ne_bytes();
    }
}

/// Extract anything.
#[cold]
#[inline(never)]
fn unusual(key: &mut FlowKey, port: DpPort, packet: &Mbuf) -> Filled {
    key.words_mut()[FIRST..BEYOND].fill([0; 8]);
    extract_into(key, packet.data(), packet.pkt_len(), &RxMeta::from_port(port));
    Filled::Whole
}
