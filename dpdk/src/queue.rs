//! Queues of a started port: what a polling thread owns.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::batch::{BURST, MbufBatch};
use crate::port::{Inner, Port, TxOffloads};

/// Keeps the port open and counts the queues that are out.
#[derive(Debug)]
struct Hold(Arc<Inner>);

impl Hold {
    fn new(port: &Arc<Inner>) -> Self {
        port.queues_out.fetch_add(1, Ordering::Relaxed);
        Hold(Arc::clone(port))
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // Release: the last burst happens before the port sees the queue back and may stop.
        self.0.queues_out.fetch_sub(1, Ordering::Release);
    }
}

/// A receive queue: `Send` but not `Sync`, so it is polled by one thread at a time. Dropping it gives it back to its port.
#[derive(Debug)]
pub struct RxQueue {
    port: u16,
    queue: u16,
    hold: Hold,
    _not_sync: PhantomData<std::cell::Cell<()>>,
}

/// A transmit queue: `Send` but not `Sync`. Dropping it gives it back to its port.
#[derive(Debug)]
pub struct TxQueue {
    port: u16,
    queue: u16,
    offloads: TxOffloads,
    hold: Hold,
    _not_sync: PhantomData<std::cell::Cell<()>>,
}

impl RxQueue {
    pub(crate) fn new(port: &Arc<Inner>, queue: u16) -> Self {
        RxQueue { port: port.id, queue, hold: Hold::new(port), _not_sync: PhantomData }
    }

    /// Appends up to 32 received packets to the batch, fewer if it has less room; returns how many came.
    ///
    /// Give it room for 32: drivers with vector code receive multiples of 4 or 8 and may return nothing into less than 8.
    #[inline]
    pub fn burst(&mut self, batch: &mut MbufBatch) -> usize {
        let room = batch.room().min(BURST);
        let ask = if room >= 8 { room & !7 } else { room };
        // SAFETY: the queue exists and its port is started (stopping needs all queues back); `&mut self` and !Sync make this the
        // only poller; `spare` has room for `ask` pointers.
        let got = unsafe {
            dpdk_sys::dpdk_shim_rx_burst(self.port, self.queue, batch.spare().as_mut_ptr().cast(), ask as u16)
        } as usize;
        // SAFETY: the driver gave away `got` packets.
        unsafe { batch.grow(got) };
        got
    }

    /// The port's id.
    pub fn port_id(&self) -> u16 {
        self.port
    }

    /// The queue's index in its port.
    pub fn index(&self) -> u16 {
        self.queue
    }

    /// The port.
    pub fn port(&self) -> Port {
        Port(Arc::clone(&self.hold.0))
    }
}

impl TxQueue {
    pub(crate) fn new(port: &Arc<Inner>, queue: u16, offloads: TxOffloads) -> Self {
        TxQueue { port: port.id, queue, offloads, hold: Hold::new(port), _not_sync: PhantomData }
    }

    /// What the device does for packets that ask for it; see [`Port::tx_offloads`].
    pub fn offloads(&self) -> TxOffloads {
        self.offloads
    }

    /// Sends packets from the front of the batch; those that the device did not take stay in the batch, at its front. Returns how
    /// many went. It never waits: what stays is the caller's to try again or to drop (and to count).
    #[inline]
    pub fn burst(&mut self, batch: &mut MbufBatch) -> usize {
        let n = batch.len();
        if n == 0 {
            return 0;
        }
        // SAFETY: as in RxQueue::burst; the batch's packets are initialised pointers.
        let sent = unsafe { dpdk_sys::dpdk_shim_tx_burst(self.port, self.queue, batch.as_mut_ptr().cast(), n as u16) }
            as usize;
        // SAFETY: the driver owns the first `sent` packets.
        unsafe { batch.forget_first(sent.min(n)) };
        sent
    }

    /// The port's id.
    pub fn port_id(&self) -> u16 {
        self.port
    }

    /// The queue's index in its port.
    pub fn index(&self) -> u16 {
        self.queue
    }

    /// The port.
    pub fn port(&self) -> Port {
        Port(Arc::clone(&self.hold.0))
    }
}
