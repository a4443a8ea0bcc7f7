//! The way out: transmit buffers by port.
//!
//! A packet is looked at once when it is put into a buffer: its length, its segments and its flags, in one test. What is not
//! plain (in several buffers, or without its L4 checksum) is made fit for the port there.

use crate::checksum;
use crate::counters::{PortWorkerCounters, WorkerCounters};
use crate::packet::ETHERNET;
use crate::tx::TxHandle;
use dpdk::{BURST, BatchSummary, Mbuf, MbufBatch, Mempool, TxOffloads};
use flow::DpPort;
use flow::dp::DropReason;
use std::sync::Arc;

/// Room for two VLAN tags above the MTU.
const TAGS: usize = 8;

/// A port's way out on one worker.
#[derive(Debug)]
pub(crate) struct TxPort {
    /// Longest frame in bytes, without FCS, that needs no further look: 0 while the port is down.
    limit: usize,
    /// Bytes of the packets in the buffer.
    bytes: u64,
    /// Whether the list of ports to flush holds it.
    is_waiting: bool,
    batch: MbufBatch,
    queue: TxHandle,
    up: bool,
    counters: Arc<PortWorkerCounters>,
}

/// The longest frame of a port with this MTU: Ethernet header and two tags above it.
pub(crate) fn max_frame(mtu: u16) -> usize {
    usize::from(mtu) + ETHERNET + TAGS
}

impl TxPort {
    /// `max_frame`: longest frame in bytes, without FCS.
    pub(crate) fn new(queue: TxHandle, up: bool, max_frame: usize, counters: Arc<PortWorkerCounters>) -> TxPort {
        let batch = MbufBatch::new();
        let mut tx = TxPort { limit: 0, bytes: 0, is_waiting: false, batch, queue, up, counters };
        tx.set(up, max_frame);
        tx
    }

    pub(crate) fn set(&mut self, up: bool, max_frame: usize) {
        (self.up, self.limit) = (up, if up { max_frame } else { 0 });
    }

    /// The way to its device.
    pub(crate) fn queue_mut(&mut self) -> &mut TxHandle {
        &mut self.queue
    }

    pub(crate) fn counters(&self) -> &Arc<PortWorkerCounters> {
        &self.counters
    }

    pub(crate) fn into_queue(self) -> TxHandle {
        self.queue
    }

    /// Put packets that need no further look into the buffer, which is sent when it holds a burst.
    #[inline(always)]
    fn put(&mut self, packet: Mbuf, counters: &WorkerCounters) {
        let bytes = packet.pkt_len() as u64;
        if self.batch.push(packet).is_err() {
            // Not reached: the buffer is emptied when it holds a burst.
            return refuse(DropReason::TxFull, 1, counters, &self.counters);
        }
        self.bytes += bytes;
        if self.batch.len() >= BURST {
            self.flush(counters);
        }
    }

    /// Send the buffer; what the queue does not take is dropped.
    fn flush(&mut self, counters: &WorkerCounters) {
        let bytes = std::mem::take(&mut self.bytes);
        transmit(&mut self.queue, &mut self.batch, bytes, counters, &self.counters);
    }
}

/// All ways out of one worker.
#[derive(Debug)]
pub(crate) struct Egress {
    ports: Vec<Option<TxPort>>,
    /// Ports that may have packets in their buffer.
    waiting: Vec<u32>,
    counters: Arc<WorkerCounters>,
    pool: Arc<Mempool>,
}

impl Egress {
    pub(crate) fn new(counters: Arc<WorkerCounters>, pool: Arc<Mempool>) -> Egress {
        Egress { ports: Vec::new(), waiting: Vec::new(), counters, pool }
    }

    pub(crate) fn add(&mut self, port: DpPort, tx: TxPort) {
        let at = port.0 as usize;
        if self.ports.len() <= at {
            self.ports.resize_with(at + 1, || None);
        }
        self.ports[at] = Some(tx);
        // No allocation when packets are sent.
        self.waiting.reserve(self.ports.len());
    }

    /// Send what waits and give the queue back.
    pub(crate) fn remove(&mut self, port: DpPort) -> Option<TxPort> {
        self.waiting.retain(|p| *p != port.0);
        let mut tx = self.ports.get_mut(port.0 as usize).and_then(Option::take)?;
        tx.flush(&self.counters);
        Some(tx)
    }

    /// Take all ports out, as [`Egress::remove`].
    pub(crate) fn remove_all(&mut self) -> Vec<(DpPort, TxPort)> {
        let ports = 0..u32::try_from(self.ports.len()).unwrap_or(u32::MAX);
        ports.filter_map(|port| Some((DpPort(port), self.remove(DpPort(port))?))).collect()
    }

    pub(crate) fn port_mut(&mut self, port: DpPort) -> Option<&mut TxPort> {
        self.ports.get_mut(port.0 as usize)?.as_mut()
    }

    /// Send all that waits.
    pub(crate) fn flush(&mut self) {
        while let Some(port) = self.waiting.pop() {
            if let Some(Some(tx)) = self.ports.get_mut(port as usize) {
                tx.is_waiting = false;
                tx.flush(&self.counters);
            }
        }
    }

    /// Send a packet when the buffer of its port is full or flushed. Whatever becomes of it is counted.
    #[inline(always)]
    pub(crate) fn send(&mut self, port: DpPort, packet: Mbuf) {
        let Some(Some(tx)) = self.ports.get_mut(port.0 as usize) else {
            return self.counters.count_drop(DropReason::NoSuchPort);
        };
        if !tx.is_waiting {
            tx.is_waiting = true;
            self.waiting.push(port.0);
        }
        if packet.is_plain_within(tx.limit) {
            tx.put(packet, &self.counters);
        } else {
            send_odd(tx, packet, &self.counters, &self.pool);
        }
    }

    /// Send packets in order; the batch is empty after. A burst that finds the port's buffer empty goes to the device as it is.
    #[inline]
    pub(crate) fn send_batch(&mut self, port: DpPort, packets: &mut MbufBatch) {
        let summary = packets.summary();
        self.send_summed(port, packets, &summary);
    }

    /// The same, when it is known what the packets are together.
    #[inline]
    pub(crate) fn send_summed(&mut self, port: DpPort, packets: &mut MbufBatch, summary: &BatchSummary) {
        let Some(Some(tx)) = self.ports.get_mut(port.0 as usize) else {
            self.counters.drops[DropReason::NoSuchPort as usize].add(packets.len() as u64);
            return packets.clear();
        };
        let bytes = summary.bytes;
        if !summary.is_plain_within(tx.limit) {
            for packet in packets.drain() {
                self.send(port, packet);
            }
        } else if packets.len() >= BURST && tx.batch.is_empty() {
            transmit(&mut tx.queue, packets, bytes, &self.counters, &tx.counters);
        } else if packets.len() <= BURST {
            // It fits: less than a burst is in the buffer, which has room for two.
            if !tx.is_waiting {
                tx.is_waiting = true;
                self.waiting.push(port.0);
            }
            tx.batch.append_from(packets, BURST);
            tx.bytes += bytes;
            if tx.batch.len() >= BURST {
                tx.flush(&self.counters);
            }
        } else {
            for packet in packets.drain() {
                self.send(port, packet);
            }
        }
    }
}

/// Send a batch; what the queue does not take is dropped.
fn transmit(
    queue: &mut TxHandle,
    batch: &mut MbufBatch,
    bytes: u64,
    counters: &WorkerCounters,
    port: &PortWorkerCounters,
) {
    let packets = batch.len() as u64;
    while !batch.is_empty() && queue.burst(batch) > 0 {}
    let left = batch.len() as u64;
    let mut unsent = 0;
    if left > 0 {
        unsent = batch.iter().map(|p| p.pkt_len() as u64).sum();
        batch.clear();
        refuse(DropReason::TxFull, left, counters, port);
    }
    counters.tx.add(packets - left);
    port.tx_packets.add(packets - left);
    port.tx_bytes.add(bytes - unsent);
}

/// Packets to a port that are dropped.
fn refuse(reason: DropReason, packets: u64, counters: &WorkerCounters, port: &PortWorkerCounters) {
    counters.drops[reason as usize].add(packets);
    port.tx_dropped.add(packets);
}

/// Send a packet that is not plain, or longer than the port takes.
#[cold]
fn send_odd(tx: &mut TxPort, mut packet: Mbuf, counters: &WorkerCounters, pool: &Mempool) {
    let fit = if !tx.up {
        Err(DropReason::PortDown)
    } else if packet.pkt_len() > tx.limit {
        Err(DropReason::TooLong)
    } else {
        make_fit(&mut packet, tx.queue.offloads(), pool)
    };
    match fit {
        Ok(()) => tx.put(packet, counters),
        Err(reason) => refuse(reason, 1, counters, &tx.counters),
    }
}

/// Make a packet one that a device with these offloads takes: in one buffer unless it takes more, its L4 checksum computed
/// unless the device does that.
///
/// # Errors
/// Why it is to be dropped.
fn make_fit(packet: &mut Mbuf, offloads: TxOffloads, pool: &Mempool) -> Result<(), DropReason> {
    if !packet.is_contiguous() && !offloads.contains(TxOffloads::MULTI_SEGS) {
        into_one(packet, pool)?;
    }
    if packet.is_l4_checksum_unfinished() {
        packet.make_exclusive(pool).map_err(|_| DropReason::NoBuffer)?;
        checksum::finish(packet, offloads);
    }
    Ok(())
}

/// Put all bytes into one buffer.
fn into_one(packet: &mut Mbuf, pool: &Mempool) -> Result<(), DropReason> {
    if packet.linearize().is_ok() {
        return Ok(());
    }
    // Shared bytes, or a small first buffer: one of the pool may do.
    let copy = packet.deep_copy(pool).map_err(|_| DropReason::NoBuffer)?;
    if !copy.is_contiguous() {
        return Err(DropReason::TooManySegments);
    }
    *packet = copy;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{frame, small_buffers};
    use dpdk::testing;

    #[test]
    fn segments_are_kept_where_the_device_takes_them_and_joined_where_not() {
        let pool = testing::mempool(63);
        let bytes = frame(1, 2, 3, 9000);
        let long = || Mbuf::from_bytes(&pool, &bytes).unwrap();
        let mut packet = long();
        let segments = packet.segment_count();
        assert!(segments > 4);
        assert_eq!(make_fit(&mut packet, TxOffloads::MULTI_SEGS, &pool), Ok(()));
        assert_eq!((packet.segment_count(), packet.to_vec()), (segments, bytes.clone()));
        drop(packet);
        // No buffer holds it.
        assert_eq!(make_fit(&mut long(), TxOffloads::empty(), &pool), Err(DropReason::TooManySegments));
        // Its own buffers are small, those of the pool are not.
        let small = small_buffers();
        let bytes = frame(1, 2, 3, 900);
        let mut packet = Mbuf::from_bytes(&small, &bytes).unwrap();
        assert!(packet.segment_count() > 8);
        let shared = packet.clone_ref(&pool).unwrap();
        assert_eq!(make_fit(&mut packet, TxOffloads::empty(), &pool), Ok(()));
        assert!(packet.is_contiguous() && packet.to_vec() == bytes && shared.to_vec() == bytes);
        drop((packet, shared));
        assert_eq!((small.in_use(), pool.in_use()), (0, 0));
    }
}
