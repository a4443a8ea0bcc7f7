//! Execution of a flow's program on a packet, and the way out: transmit buffers by port.

use crate::counters::{PortWorkerCounters, WorkerCounters};
use crate::packet::{self, ETHERNET, Headers};
use crate::program::{Handover, Program, Step};
use dpdk::{BURST, Mbuf, MbufBatch, Mempool, TxQueue};
use flow::DpPort;
use flow::dp::DropReason;
use flow::rewrite::{self, Outcome};
use std::sync::Arc;

/// Room for two VLAN tags above the MTU.
const TAGS: usize = 8;

/// A port's way out on one worker.
#[derive(Debug)]
pub(crate) struct TxPort {
    pub(crate) queue: TxQueue,
    pub(crate) batch: MbufBatch,
    pub(crate) up: bool,
    /// Longest frame in bytes, without FCS.
    pub(crate) max_frame: usize,
    pub(crate) counters: Arc<PortWorkerCounters>,
}

/// The longest frame of a port with this MTU: Ethernet header and two tags above it.
pub(crate) fn max_frame(mtu: u16) -> usize {
    usize::from(mtu) + ETHERNET + TAGS
}

/// All ways out of one worker.
#[derive(Debug)]
pub(crate) struct Egress {
    ports: Vec<Option<TxPort>>,
    /// Ports with packets in their buffer.
    waiting: Vec<u32>,
    pool: Arc<Mempool>,
    counters: Arc<WorkerCounters>,
}

impl Egress {
    pub(crate) fn new(pool: Arc<Mempool>, counters: Arc<WorkerCounters>) -> Egress {
        Egress { ports: Vec::new(), waiting: Vec::new(), pool, counters }
    }

    pub(crate) fn add(&mut self, port: DpPort, tx: TxPort) {
        let at = port.0 as usize;
        if self.ports.len() <= at {
            self.ports.resize_with(at + 1, || None);
        }
        self.ports[at] = Some(tx);
    }

    /// Send what waits and give the queue back.
    pub(crate) fn remove(&mut self, port: DpPort) {
        if let Some(mut tx) = self.ports.get_mut(port.0 as usize).and_then(Option::take) {
            flush(&mut tx, &self.counters);
        }
        self.waiting.retain(|p| *p != port.0);
    }

    pub(crate) fn port_mut(&mut self, port: DpPort) -> Option<&mut TxPort> {
        self.ports.get_mut(port.0 as usize)?.as_mut()
    }

    /// Send all that waits.
    pub(crate) fn flush(&mut self) {
        while let Some(port) = self.waiting.pop() {
            if let Some(Some(tx)) = self.ports.get_mut(port as usize) {
                flush(tx, &self.counters);
            }
        }
    }

    /// Execute a program on a packet; each of its ends is counted.
    #[inline]
    pub(crate) fn execute(&mut self, program: &Program, packet: Mbuf) {
        if let Some(port) = program.single_output() {
            self.send(port, packet);
            return;
        }
        let mut ends = 0;
        self.run(program.steps(), packet, &mut ends);
        match ends {
            0 => self.counters.count_drop(DropReason::RuleDrop),
            _ => self.counters.copies.add(ends - 1),
        }
    }

    fn run(&mut self, steps: &[Step], packet: Mbuf, ends: &mut u64) {
        let mut packet = Some(packet);
        for step in steps {
            match step {
                Step::Output { port, max_len, how } => {
                    *ends += 1;
                    match self.hand_over(&mut packet, *how, *max_len) {
                        Some(packet) => self.send(*port, packet),
                        None => self.counters.count_drop(DropReason::NoBuffer),
                    }
                }
                Step::Rewrite(action) => {
                    let Some(packet) = &mut packet else { return };
                    if let Err(reason) = change(packet, action, &self.pool) {
                        *ends += 1;
                        self.counters.count_drop(reason);
                        return;
                    }
                }
                Step::Nested { steps, how } => match self.hand_over(&mut packet, *how, u16::MAX) {
                    Some(packet) => self.run(steps, packet, ends),
                    None => {
                        *ends += 1;
                        self.counters.count_drop(DropReason::NoBuffer);
                    }
                },
                Step::Drop(reason) => {
                    *ends += 1;
                    self.counters.count_drop(*reason);
                }
            }
        }
    }

    fn hand_over(&self, packet: &mut Option<Mbuf>, how: Handover, max_len: u16) -> Option<Mbuf> {
        let mut handed = match how {
            Handover::Move => packet.take()?,
            Handover::Share => packet.as_ref()?.clone_ref(&self.pool).ok()?,
            Handover::Copy => packet.as_ref()?.deep_copy(&self.pool).ok()?,
        };
        if max_len != u16::MAX {
            packet::truncate(&mut handed, usize::from(max_len), &self.pool).ok()?;
        }
        Some(handed)
    }

    #[inline]
    fn send(&mut self, port: DpPort, packet: Mbuf) {
        let Some(Some(tx)) = self.ports.get_mut(port.0 as usize) else {
            self.counters.count_drop(DropReason::NoSuchPort);
            return;
        };
        let refused = if !tx.up {
            DropReason::PortDown
        } else if packet.pkt_len() > tx.max_frame {
            DropReason::TooLong
        } else {
            if tx.batch.is_empty() {
                self.waiting.push(port.0);
            }
            match tx.batch.push(packet) {
                Ok(()) => {
                    if tx.batch.len() >= BURST {
                        flush(tx, &self.counters);
                        self.waiting.retain(|p| *p != port.0);
                    }
                    return;
                }
                // Not reached: the buffer is emptied when it holds a burst.
                Err(_) => DropReason::TxFull,
            }
        };
        self.counters.count_drop(refused);
        tx.counters.tx_dropped.add(1);
    }
}

/// Change the packet's bytes, which become its own before.
fn change(packet: &mut Mbuf, action: &flow::dp::DpAction, pool: &Mempool) -> Result<(), DropReason> {
    packet.make_exclusive(pool).map_err(|_| DropReason::NoBuffer)?;
    match rewrite::apply(&mut Headers(packet), action) {
        Outcome::Done | Outcome::Absent => Ok(()),
        Outcome::Expired => Err(DropReason::TtlExpired),
        Outcome::NotRewrite | Outcome::ShortHead => Err(DropReason::Unsupported),
        Outcome::NoRoom => {
            // A buffer of the pool has headroom.
            *packet = packet.deep_copy(pool).map_err(|_| DropReason::NoBuffer)?;
            match rewrite::apply(&mut Headers(packet), action) {
                Outcome::NoRoom => Err(DropReason::NoBuffer),
                _ => Ok(()),
            }
        }
    }
}

/// Send a port's buffer; what the queue does not take is dropped.
fn flush(tx: &mut TxPort, counters: &WorkerCounters) {
    let bytes = |batch: &MbufBatch| batch.iter().map(|p| p.pkt_len() as u64).sum::<u64>();
    let (packets, all) = (tx.batch.len() as u64, bytes(&tx.batch));
    while tx.queue.burst(&mut tx.batch) > 0 && !tx.batch.is_empty() {}
    let (left, unsent) = (tx.batch.len() as u64, bytes(&tx.batch));
    tx.batch.clear();
    counters.tx.add(packets - left);
    tx.counters.tx_packets.add(packets - left);
    tx.counters.tx_bytes.add(all - unsent);
    if left > 0 {
        counters.drops[DropReason::TxFull as usize].add(left);
        tx.counters.tx_dropped.add(left);
    }
}
