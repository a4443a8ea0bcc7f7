//! The hot records of a worker's flows: what a packet that hits touches, and nothing else.
//!
//! A record is two cache lines: identity, what to do, the hits and what most flows look at in the first, the rest of
//! the masked key in the second, which flows that look no further never need. Its worker writes it; revalidation
//! reads the hits and takes the mark away when the flow is removed. All members are atomics, accessed without
//! ordering except the mark, so on common CPUs they cost what plain memory costs.
//!
//! Records have the numbers of their flows, the same for all workers. They are made in chunks when first needed.

use super::counters::FlowHits;
use super::flows::{MAX_FLOWS, index_of};
use super::sync::ARENA_CHUNK as CHUNK;
use super::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};
use flow::dp::Hits;
use std::sync::OnceLock;

/// Words of the window (`crate::window`).
pub(crate) const WINDOW: usize = 10;

/// Words of the window that are in the first line of a record.
pub(crate) const NEAR: usize = 3;

/// In place of an input port: the flow is for packets that come again, or the port's number is too large.
pub(crate) const FAR: u16 = u16::MAX;

/// No group of the present burst.
pub(crate) const NO_GROUP: u8 = u8::MAX;

/// The program is more than the output of a whole packet to one port.
pub(crate) const NO_PORT: u32 = u32::MAX;

/// A flow on one worker.
#[derive(Debug, Default)]
#[repr(C, align(128))]
pub(crate) struct Hot {
    /// 0: no live flow has this record.
    mark: AtomicU32,
    /// The only thing that the program does, if it is an output: the port.
    out: AtomicU32,
    program: AtomicU32,
    mask: AtomicU16,
    /// The input port of packets as they are received, or [`FAR`].
    near: AtomicU16,
    pub(crate) hits: FlowHits,
    /// The words of the window as `crate::window` orders them; or, when the mask looks beyond it or the flow is [`FAR`], the words
    /// that the mask requires, in their order.
    pub(crate) words: [AtomicU64; WINDOW],
    /// The group of the present burst that collects packets of this flow.
    group: AtomicU8,
}

impl Hot {
    /// Tell the CPU that a packet may hit. `is_near`: the first line is all that is compared.
    #[inline(always)]
    pub(crate) fn prefetch(&self, is_near: bool) {
        dpdk::prefetch(self);
        if !is_near {
            dpdk::prefetch(&self.words[NEAR]);
        }
    }

    /// The mark of the live flow, 0 when there is none.
    #[inline(always)]
    pub(crate) fn mark(&self) -> u32 {
        self.mark.load(Ordering::Acquire)
    }

    #[inline(always)]
    pub(crate) fn out(&self) -> u32 {
        self.out.load(Ordering::Relaxed)
    }

    #[inline(always)]
    pub(crate) fn program(&self) -> usize {
        self.program.load(Ordering::Relaxed) as usize
    }

    /// Say what the flow does.
    pub(crate) fn set_program(&self, program: u32, out: u32) {
        self.program.store(program, Ordering::Relaxed);
        self.out.store(out, Ordering::Relaxed);
    }

    #[inline(always)]
    pub(crate) fn mask(&self) -> usize {
        usize::from(self.mask.load(Ordering::Relaxed))
    }

    #[inline(always)]
    pub(crate) fn group(&self) -> u8 {
        self.group.load(Ordering::Relaxed)
    }

    #[inline(always)]
    pub(crate) fn set_group(&self, group: u8) {
        self.group.store(group, Ordering::Relaxed);
    }

    /// The input port of packets as they are received, or [`FAR`].
    #[inline(always)]
    pub(crate) fn near(&self) -> u16 {
        self.near.load(Ordering::Relaxed)
    }

    /// The words of the window in its order, or those that a mask requires which looks beyond it.
    #[inline(always)]
    pub(crate) fn words(&self) -> &[AtomicU64; WINDOW] {
        &self.words
    }

    /// The `i`-th of [`Hot::words`]; 0 when there are fewer.
    #[inline(always)]
    pub(crate) fn word(&self, i: usize) -> u64 {
        self.words.get(i).map_or(0, |word| word.load(Ordering::Relaxed))
    }

    /// Say what the worker needs. The words beyond those that fit are the caller's to keep.
    pub(crate) fn describe(&self, mask: u16, program: u32, out: u32, near: u16, words: impl Iterator<Item = u64>) {
        self.mask.store(mask, Ordering::Relaxed);
        self.program.store(program, Ordering::Relaxed);
        self.out.store(out, Ordering::Relaxed);
        self.group.store(NO_GROUP, Ordering::Relaxed);
        self.near.store(near, Ordering::Relaxed);
        for (place, word) in self.words.iter().zip(words) {
            place.store(word, Ordering::Relaxed);
        }
    }
}

/// All records of one worker.
#[derive(Debug)]
pub(crate) struct Arena {
    chunks: Box<[OnceLock<Box<[Hot; CHUNK]>>]>,
}

impl Arena {
    pub(crate) fn new() -> Arena {
        Arena { chunks: std::iter::repeat_with(OnceLock::new).take(MAX_FLOWS.div_ceil(CHUNK) + 1).collect() }
    }

    /// The record with this number, if any flow ever had it.
    #[inline(always)]
    pub(crate) fn get(&self, index: usize) -> Option<&Hot> {
        Some(&self.chunks.get(index / CHUNK)?.get()?[index % CHUNK])
    }

    /// Let a flow begin, with `first` hits. Called with the registry locked, so nobody removes it before.
    pub(crate) fn begin(&self, mark: u32, first: &Hits) {
        let index = index_of(mark);
        let Some(chunk) = self.chunks.get(index / CHUNK) else { return };
        let hot = &chunk.get_or_init(new_chunk)[index % CHUNK];
        hot.hits.restart(first);
        hot.mark.store(mark, Ordering::Release);
    }

    /// Count for a flow, on its worker's thread.
    pub(crate) fn add(&self, mark: u32, hits: &Hits) {
        if let Some(hot) = self.get(index_of(mark)) {
            hot.hits.add(hits.packets, hits.bytes, hits.used);
        }
    }

    /// Let a flow end: no packet that is looked up from now on uses it. Its hits stay until another begins.
    pub(crate) fn end(&self, mark: u32) {
        if let Some(hot) = self.get(index_of(mark)).filter(|hot| hot.mark.load(Ordering::Relaxed) == mark) {
            // Another flow that has the record by now keeps it.
            let _ = hot.mark.compare_exchange(mark, 0, Ordering::AcqRel, Ordering::Relaxed);
        }
    }

    /// Tell the CPU that a flow may begin here soon.
    pub(crate) fn prefetch(&self, index: usize) {
        if let Some(hot) = self.get(index) {
            hot.prefetch(false);
        }
    }

    /// Tell the CPU that a flow may end here soon.
    pub(crate) fn prefetch_mark(&self, index: usize) {
        if let Some(hot) = self.get(index) {
            dpdk::prefetch(hot);
        }
    }

    /// Hits of the flow that has or had this mark, as long as no other has its record.
    pub(crate) fn hits(&self, mark: u32) -> Hits {
        self.get(index_of(mark)).map_or_else(Hits::default, |hot| hot.hits.read())
    }
}

fn new_chunk() -> Box<[Hot; CHUNK]> {
    let records: Box<[Hot]> = std::iter::repeat_with(Hot::default).take(CHUNK).collect();
    match records.try_into() {
        Ok(chunk) => chunk,
        // Not reached: the number is the same.
        Err(_) => Box::new(std::array::from_fn(|_| Hot::default())),
    }
}
