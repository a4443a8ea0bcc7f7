//! The keys of a burst's packets, extracted no deeper than flows of their port look.

use crate::arena::FAR;
use crate::table::{Depth, PortTable};
use dpdk::{BURST, Mbuf, MbufBatch};
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

/// The keys of a burst.
#[derive(Debug)]
pub(super) struct Keys {
    keys: Box<[FlowKey; BURST]>,
    hashes: [u64; BURST],
    /// A bit for each key that holds all that is to be known. The others hold what [`Depth::Link`] or [`Depth::Near`] asks for;
    /// what else is in them, up to the TCP flags, is of earlier packets.
    complete: u32,
    /// A bit for each key that may hold anything behind the TCP flags. The others are zero there.
    rare: u32,
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
            complete: 0,
            rare: 0,
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
        self.complete = 0;
        if self.rare != 0 {
            self.forget_rare();
        }
        if self.port != port {
            self.port = port;
            for key in self.keys.iter_mut() {
                key.in_port = port.0.into();
            }
        }
    }

    #[cold]
    fn forget_rare(&mut self) {
        for (i, key) in self.keys.iter_mut().enumerate() {
            if self.rare >> i & 1 != 0 {
                key.words_mut()[RARE..BEYOND].fill([0; 8]);
            }
        }
        self.rare = 0;
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

    /// The input port of the burst, as records have it.
    #[inline(always)]
    pub(super) fn near(&self) -> u16 {
        u16::try_from(self.port.0).unwrap_or(FAR)
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

    /// The keys of packets, whose headers are contiguous and complete, without those that are `odd` (a bit for each). `expect` is
    /// told the hash of each in this table.
    #[inline(always)]
    pub(super) fn extract(&mut self, batch: &MbufBatch, table: &PortTable, odd: u32, expect: impl Fn(u64)) {
        match self.depth {
            Depth::Link => self.each(batch, odd, expect, |keys, i, packet| keys.link(i, packet, table)),
            Depth::Near => self.each(batch, odd, expect, |keys, i, packet| keys.addresses(i, packet, table)),
            Depth::Full => self.each(batch, odd, expect, |keys, i, packet| keys.full(i, packet, table)),
        }
    }

    /// A loop for each depth: none of them asks for every packet how deep it is to look.
    #[inline(always)]
    fn each(
        &mut self,
        batch: &MbufBatch,
        odd: u32,
        expect: impl Fn(u64),
        one: impl Fn(&mut Keys, usize, &Mbuf) -> u64,
    ) {
        for (i, packet) in batch.iter().enumerate().take(BURST) {
            if odd >> i & 1 == 0 {
                let hash = one(self, i, packet);
                self.hashes[i] = hash;
                expect(hash);
            }
        }
    }

    #[inline(always)]
    fn link(&mut self, i: usize, packet: &Mbuf, table: &PortTable) -> u64 {
        match link_words(packet.data()) {
            Some(link) => {
                put(&mut self.keys[i], LINK_WORDS, link);
                table.hash_link(link)
            }
            None => self.less_plain(i, packet, table),
        }
    }

    #[inline(always)]
    fn addresses(&mut self, i: usize, packet: &Mbuf, table: &PortTable) -> u64 {
        match near_words(packet.data(), packet.pkt_len()) {
            Some(near) => {
                put(&mut self.keys[i], NEAR_WORDS, near);
                table.hash_near(near)
            }
            None => self.less_plain(i, packet, table),
        }
    }

    #[inline(always)]
    fn full(&mut self, i: usize, packet: &Mbuf, table: &PortTable) -> u64 {
        match plain_words(packet.data(), packet.pkt_len()) {
            Some(plain) => {
                self.complete |= 1 << i;
                put_plain(&mut self.keys[i], plain);
                table.hash_plain(plain)
            }
            None => self.less_plain(i, packet, table),
        }
    }

    /// Extract anything.
    #[inline(never)]
    fn less_plain(&mut self, i: usize, packet: &Mbuf, table: &PortTable) -> u64 {
        let key = &mut self.keys[i];
        if extract_usual(key, packet.data(), packet.pkt_len()) {
            self.complete |= 1 << i;
            return table.hash_usual(key);
        }
        table.hash(self.whole(i, self.port, packet))
    }

    /// The whole key of packet `i`.
    pub(super) fn whole(&mut self, i: usize, port: DpPort, packet: &Mbuf) -> &FlowKey {
        let i = i % BURST;
        let key = &mut self.keys[i];
        if self.complete >> i & 1 == 0 {
            self.complete |= 1 << i;
            self.rare |= 1 << i;
            key.words_mut()[FIRST..BEYOND].fill([0; 8]);
            extract_into(key, packet.data(), packet.pkt_len(), &RxMeta::from_port(port));
        }
        key
    }
}

#[inline(always)]
fn put<const N: usize>(key: &mut FlowKey, at: [usize; N], words: [u64; N]) {
    for (at, word) in at.into_iter().zip(words) {
        key.words_mut()[at] = word.to_ne_bytes();
    }
}
