//! The packets of a burst by flow.

use crate::arena::{Hot, NO_GROUP};
use crate::execute::Executor;
use crate::lookup::Lookup;
use arrayvec::ArrayVec;
use dpdk::{BURST, Mbuf, MbufBatch};
use flow::DpPort;
use flow::clock::Time;
use std::sync::Arc;

const NONE: u8 = u8::MAX;

/// Packets of a burst that hit the same flow, as a chain through the burst.
#[derive(Debug)]
struct Group {
    number: u32,
    first: u8,
    last: u8,
    packets: u64,
    bytes: u64,
}

/// The packets of a burst whose flow is known, waiting for it to be executed.
#[derive(Debug, Default)]
pub(super) struct Burst {
    packets: ArrayVec<(Option<Mbuf>, u8), BURST>,
    groups: ArrayVec<Group, BURST>,
    /// The packets of the flow that is executed.
    group: MbufBatch,
}

impl Burst {
    /// Add a packet behind those of its flow.
    #[inline]
    pub(super) fn add(&mut self, number: u32, hot: &Hot, packet: Mbuf) {
        let bytes = packet.pkt_len() as u64;
        let at = self.packets.len() as u8;
        self.packets.push((Some(packet), NONE));
        match self.groups.get_mut(usize::from(hot.group())) {
            Some(group) => {
                self.packets[usize::from(group.last)].1 = at;
                group.last = at;
                group.packets += 1;
                group.bytes += bytes;
            }
            None => {
                hot.set_group(self.groups.len() as u8);
                self.groups.push(Group { number, first: at, last: at, packets: 1, bytes });
            }
        }
    }

    /// Execute the flows of packets that were received on `port`, in the order in which they were first met.
    pub(super) fn execute(&mut self, port: DpPort, lookup: &mut Lookup, executor: &mut Executor, now: Time) {
        for group in self.groups.drain(..) {
            let Some(hot) = lookup.table.hot(group.number) else { continue };
            hot.set_group(NO_GROUP);
            hot.hits.add(group.packets, group.bytes, now);
            let Some(program) = lookup.table.program(hot) else { continue };
            let mut next = group.first;
            if program.needs_metadata() {
                // It may look up and install flows itself.
                let program = Arc::clone(program);
                while let Some(packet) = take(&mut self.packets, &mut next) {
                    executor.execute_deep(&program, packet, port, now, lookup);
                }
            } else {
                while let Some(packet) = take(&mut self.packets, &mut next) {
                    // A burst holds fewer than a batch, so each finds room.
                    drop(self.group.push(packet));
                }
                executor.execute_group(program, &mut self.group, now);
            }
        }
        self.packets.clear();
    }
}

/// The packet at `next`, which goes on to the one behind it in its group.
#[inline]
fn take(packets: &mut ArrayVec<(Option<Mbuf>, u8), BURST>, next: &mut u8) -> Option<Mbuf> {
    let (packet, follower) = packets.get_mut(usize::from(*next))?;
    *next = *follower;
    packet.take()
}
