//! One port's frames on the I/O thread: from the kernel into a ring, from a ring to the kernel.

use crate::checksum;
use crate::counters::Counter;
use crate::device::{Buffer, Device, FRONT, IoError, Received};
use crate::segment::{Plan, SegmentError};
use crate::state::{Shared, State};
use crate::vnet::{self, VnetHeader};
use arrayvec::ArrayVec;
use dpdk::{BURST, Mbuf, MbufBatch, MbufError, Mempool, RingConsumer, RingProducer};
use std::io::IoSlice;
use std::sync::Arc;

/// Reads from the kernel in one turn.
const READS: usize = 32;
/// Batches to the kernel in one turn.
const BATCHES: usize = 8;
/// The kernel is asked for a frame only while the ring takes so many packets: a frame of 64 KiB at an MTU of 1,500.
const ROOM: usize = 64;
/// Turns without progress after which frames that the kernel does not take are dropped.
const PATIENCE: u32 = 64;
/// Parts of one frame: the header, and buffers for 64 KiB.
const PARTS: usize = 48;
const ETHERNET: usize = 14;
const ADDRESSES: usize = 12;

/// A port's ends of the rings, and its device.
#[derive(Debug)]
pub(crate) struct Pump {
    pub(crate) shared: Arc<Shared>,
    pub(crate) device: Option<Device>,
    to_switch: RingProducer,
    from_switch: RingConsumer,
    pool: Mempool,
    out: MbufBatch,
    /// Frames that the kernel had no room for.
    pending: MbufBatch,
    /// Turns that they have waited.
    waited: u32,
    /// The kernel may have frames for us.
    pub(crate) readable: bool,
    scratch: Vec<u8>,
}

impl Pump {
    pub(crate) fn new(
        shared: Arc<Shared>,
        device: Option<Device>,
        to_switch: RingProducer,
        from_switch: RingConsumer,
        pool: Mempool,
    ) -> Pump {
        Pump {
            shared,
            device,
            to_switch,
            from_switch,
            pool,
            out: MbufBatch::new(),
            pending: MbufBatch::new(),
            waited: 0,
            readable: true,
            scratch: Vec::new(),
        }
    }

    fn count(&self, counter: Counter, n: usize) {
        self.shared.counters.add(counter, n as u64);
    }

    /// Whether a frame of 64 KiB finds room in the switch.
    pub(crate) fn has_room(&self) -> bool {
        self.to_switch.capacity().saturating_sub(self.to_switch.count() + self.out.len()) >= ROOM
    }

    /// Whether frames wait for the kernel to have room.
    pub(crate) fn is_stuck(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Move some frames each way; how many moved.
    pub(crate) fn step(&mut self, buffer: &mut Buffer) -> usize {
        self.send() + self.receive(buffer)
    }

    /// The device is gone, or of no more use.
    pub(crate) fn lose(&mut self, why: &str) {
        if self.device.take().is_some() {
            self.count(Counter::kernel_device_lost, 1);
        }
        self.shared.set_device(None);
        self.shared.set_state(State::Down(why.to_owned()));
    }

    /// Look at what only has to be known now and then.
    pub(crate) fn tick(&mut self) {
        let Some(device) = &self.device else { return };
        let missed = device.missed();
        if missed > 0 {
            self.shared.counters.add(Counter::kernel_rx_missed, missed);
        }
        if let Device::Tap(_) = device {
            // It may be in another network namespace, where nobody but its descriptor can ask it.
            let up = device.is_writable();
            let down = || State::Down(format!("{} is not set up", self.shared.ifname()));
            self.shared.set_state(if up { State::Up } else { down() });
        }
    }

    /// The descriptor reported an error.
    pub(crate) fn failed(&mut self) {
        let Some(error) = self.device.as_ref().map(Device::error) else { return };
        match error {
            IoError::Gone => self.lose("the device is gone"),
            IoError::Down => self.shared.set_state(State::Down(format!("{} is not set up", self.shared.ifname()))),
            _ => {}
        }
    }

    /// From the switch to the kernel.
    fn send(&mut self) -> usize {
        let mut moved = 0;
        for _ in 0..BATCHES {
            if self.pending.is_empty() && self.from_switch.dequeue_up_to(&mut self.pending, BURST) == 0 {
                break;
            }
            let sent = self.send_pending();
            moved += sent;
            if !self.pending.is_empty() {
                self.waited = if sent > 0 { 0 } else { self.waited + 1 };
                break;
            }
            self.waited = 0;
        }
        if self.waited > PATIENCE {
            self.count(Counter::kernel_tx_drop_full, self.pending.len());
            self.pending.clear();
            self.waited = 0;
        }
        moved
    }

    /// Give the kernel what it takes; how many frames are done with.
    fn send_pending(&mut self) -> usize {
        let Some(device) = &self.device else {
            let n = self.pending.len();
            self.count(Counter::kernel_tx_drop_no_device, n);
            self.pending.clear();
            return n;
        };
        let max_frame = self.shared.max_frame();
        let (mut done, mut sent, mut gone) = (0, 0, false);
        for packet in self.pending.iter() {
            let result = if packet.pkt_len() > max_frame { Err(IoError::TooLong) } else { write(device, packet) };
            let dropped = match result {
                Ok(()) => {
                    sent += 1;
                    done += 1;
                    continue;
                }
                Err(IoError::WouldBlock) => break,
                Err(IoError::Gone) => {
                    gone = true;
                    break;
                }
                Err(IoError::TooLong) => Counter::kernel_tx_drop_too_long,
                Err(IoError::Down) => Counter::kernel_tx_drop_down,
                Err(IoError::Refused) => Counter::kernel_tx_drop_error,
            };
            self.shared.counters.add(dropped, 1);
            done += 1;
        }
        self.count(Counter::kernel_tx_frames, sent);
        self.pending.free_first(done);
        if gone {
            self.lose("the device is gone");
        }
        done
    }

    /// From the kernel to the switch.
    fn receive(&mut self, buffer: &mut Buffer) -> usize {
        let mut moved = 0;
        while self.readable && moved < READS && self.has_room() {
            let Some(device) = &mut self.device else {
                self.readable = false;
                break;
            };
            match device.receive(buffer) {
                Ok(received) => {
                    self.count(Counter::kernel_rx_frames, 1);
                    if let Err(dropped) = self.take(buffer, received) {
                        self.count(dropped, 1);
                    }
                }
                Err(IoError::WouldBlock) => {
                    self.readable = false;
                    break;
                }
                Err(IoError::Gone) => {
                    self.lose("the device is gone");
                    break;
                }
                Err(IoError::Down) => {
                    self.readable = false;
                    self.failed_down();
                    break;
                }
                Err(IoError::TooLong | IoError::Refused) => self.count(Counter::kernel_rx_errors, 1),
            }
            moved += 1;
        }
        self.flush();
        moved
    }

    fn failed_down(&self) {
        self.shared.set_state(State::Down(format!("{} is not set up", self.shared.ifname())));
    }

    /// Make packets of a frame.
    fn take(&mut self, buffer: &mut Buffer, received: Received) -> Result<(), Counter> {
        let Buffer { header, frame } = buffer;
        let mut header = VnetHeader::parse(header).map_err(|_| Counter::kernel_rx_drop_gso_unsupported)?;
        let mut start = FRONT;
        if let Some(tag) = received.tag {
            start = restore_tag(frame, received.len, tag).ok_or(Counter::kernel_rx_drop_bad_header)?;
            if let Some(checksum) = &mut header.checksum {
                checksum.start += FRONT;
            }
            self.count(Counter::kernel_rx_tags_restored, 1);
        }
        let frame = frame.get_mut(start..FRONT + received.len).ok_or(Counter::kernel_rx_drop_bad_header)?;
        if frame.len() < ETHERNET {
            return Err(Counter::kernel_rx_drop_bad_header);
        }
        let max_frame = self.shared.max_frame();
        if header.gso.is_some() {
            return self.take_segments(frame, &header, max_frame);
        }
        if let Some(partial) = header.checksum {
            checksum::complete(frame, partial).map_err(|_| Counter::kernel_rx_drop_bad_header)?;
            self.count(Counter::kernel_rx_checksums_completed, 1);
        }
        if frame.len() > max_frame {
            return Err(Counter::kernel_rx_drop_too_long);
        }
        let packet = Mbuf::from_bytes(&self.pool, frame).map_err(|_| Counter::kernel_rx_drop_no_buffer)?;
        self.push(packet);
        Ok(())
    }

    fn take_segments(&mut self, frame: &[u8], header: &VnetHeader, max_frame: usize) -> Result<(), Counter> {
        let plan = Plan::new(frame, header).map_err(|e| match e {
            SegmentError::Inconsistent => Counter::kernel_rx_drop_bad_header,
            SegmentError::Unsupported => Counter::kernel_rx_drop_gso_unsupported,
        })?;
        if plan.len(0) > max_frame {
            return Err(Counter::kernel_rx_drop_too_long);
        }
        self.count(Counter::kernel_rx_gso_frames, 1);
        self.count(Counter::kernel_rx_gso_segments, plan.count());
        self.count(Counter::kernel_rx_checksums_completed, plan.count());
        for index in 0..plan.count() {
            match self.segment(&plan, frame, index) {
                Ok(packet) => self.push(packet),
                Err(_) => self.count(Counter::kernel_rx_drop_no_buffer, 1),
            }
        }
        Ok(())
    }

    fn segment(&mut self, plan: &Plan, frame: &[u8], index: usize) -> Result<Mbuf, MbufError> {
        let len = plan.len(index);
        let mut packet = self.pool.alloc()?;
        if len <= packet.tailroom() {
            plan.write(frame, index, packet.append(len)?);
            return Ok(packet);
        }
        drop(packet);
        self.scratch.resize(len, 0);
        plan.write(frame, index, &mut self.scratch);
        Mbuf::from_bytes(&self.pool, &self.scratch)
    }

    fn push(&mut self, packet: Mbuf) {
        // Not reached when full: it is emptied when it holds a burst.
        drop(self.out.push(packet));
        if self.out.len() >= BURST {
            self.flush();
        }
    }

    fn flush(&mut self) {
        while !self.out.is_empty() && self.to_switch.enqueue(&mut self.out) > 0 {}
        if !self.out.is_empty() {
            self.count(Counter::kernel_rx_drop_ring_full, self.out.len());
            self.out.clear();
        }
    }
}

/// Give a packet to the kernel, which is to check its checksums like those of any other.
fn write(device: &Device, packet: &Mbuf) -> Result<(), IoError> {
    const NOTHING: [u8; vnet::LEN] = [0; vnet::LEN];
    let mut parts: ArrayVec<IoSlice<'_>, PARTS> = ArrayVec::new();
    parts.push(IoSlice::new(&NOTHING));
    for segment in packet.segments() {
        parts.try_push(IoSlice::new(segment)).map_err(|_| IoError::Refused)?;
    }
    device.send(&parts)
}

/// Put a tag back behind the addresses of a frame that begins at [`FRONT`]; where the frame begins then.
fn restore_tag(frame: &mut [u8], len: usize, (tpid, tci): (u16, u16)) -> Option<usize> {
    if len < ETHERNET {
        return None;
    }
    frame.copy_within(FRONT..FRONT + ADDRESSES, 0);
    frame.get_mut(ADDRESSES..ADDRESSES + 2)?.copy_from_slice(&tpid.to_be_bytes());
    frame.get_mut(ADDRESSES + 2..ADDRESSES + 4)?.copy_from_slice(&tci.to_be_bytes());
    Some(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_comes_back_behind_the_addresses() {
        let mut frame = vec![0; FRONT];
        frame.extend(1..=20);
        assert_eq!(restore_tag(&mut frame, 20, (0x8100, 0x2064)), Some(0));
        let mut expected: Vec<u8> = (1..=12).collect();
        expected.extend([0x81, 0x00, 0x20, 0x64]);
        expected.extend(13..=20);
        assert_eq!(frame, expected);
        assert_eq!(restore_tag(&mut frame, 13, (0x8100, 1)), None);
    }
}
