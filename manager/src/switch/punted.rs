//! Packets that rules send to controllers: there is none yet, so they are counted.

use super::tap::Taps;
use datapath::{Datapath, Punts};
use flow::DpPort;
use flow::dp::{BridgeId, PuntReason};
use pipeline::Pipeline;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Packets taken at a time.
const BATCH: usize = 1024;

/// Takes packets for controllers out of the workers' queues and counts them.
#[derive(Debug)]
pub struct Punted {
    punts: Punts,
    /// By bridge and controller id. Bridge 0: the port was gone.
    counts: Mutex<BTreeMap<(BridgeId, u16), u64>>,
}

impl Punted {
    /// From now on workers queue packets for controllers.
    pub fn new(datapath: &Datapath) -> Punted {
        Punted { punts: datapath.punts(), counts: Mutex::default() }
    }

    /// Count what waits.
    pub fn drain(&self, pipeline: &Pipeline, taps: &Taps) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut packets = Vec::new();
        loop {
            self.punts.take(BATCH, &mut packets);
            if packets.is_empty() {
                return;
            }
            for packet in packets.drain(..) {
                if taps.keep(&packet) {
                    continue;
                }
                let PuntReason::Controller { id, .. } = packet.reason else { continue };
                let owner = pipeline.owner(DpPort(packet.metadata.in_port.get()));
                let bridge = owner.map_or(BridgeId(0), |(bridge, _)| bridge);
                *counts.entry((bridge, id)).or_default() += 1;
            }
        }
    }

    /// Of a bridge, by controller id.
    pub fn of(&self, bridge: BridgeId) -> BTreeMap<u16, u64> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().filter(|((b, _), _)| *b == bridge).map(|((_, id), n)| (*id, *n)).collect()
    }

    /// Of all bridges.
    pub fn total(&self) -> u64 {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }
}
