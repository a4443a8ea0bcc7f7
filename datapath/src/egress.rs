//! The way out: transmit buffers by port.

use crate::counters::{PortWorkerCounters, WorkerCounters};
use crate::packet::ETHERNET;
use dpdk::{BURST, Mbuf, MbufBatch, TxQueue};
use flow::DpPort;
use flow::dp::DropReason;
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
    counters: Arc<WorkerCounters>,
}

impl Egress {
    pub(crate) fn new(counters: Arc<WorkerCounters>) -> Egress {
        Egress { ports: Vec::new(), waiting: Vec::new(), counters }
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

    /// Send a packet when the buffer of its port is full or flushed. Whatever becomes of it is counted.
    #[inline]
    pub(crate) fn send(&mut self, port: DpPort, packet: Mbuf) {
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
