//! What the threads of a port and its owner share.

use crate::counters::Counters;
use crate::spec::{Kind, Spec};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};

/// Room for the Ethernet header and two VLAN tags above the MTU.
const ABOVE_MTU: usize = 14 + 8;

/// Whether frames go through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Up,
    /// They do not, and why.
    Down(String),
}

/// A port as all sides see it.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) id: u64,
    spec: Spec,
    pub(crate) counters: Counters,
    state: Mutex<State>,
    /// The MTU that was asked for; 0: none.
    asked_mtu: AtomicU16,
    /// The device's own MTU as it was last seen; 0: not known.
    device_mtu: AtomicU32,
    /// Number of the device that is open; 0: none.
    ifindex: AtomicU32,
}

impl Shared {
    pub(crate) fn new(id: u64, spec: Spec) -> Shared {
        Shared {
            id,
            counters: Counters::default(),
            state: Mutex::new(State::Down("not open yet".to_owned())),
            asked_mtu: AtomicU16::new(spec.mtu.unwrap_or(0)),
            device_mtu: AtomicU32::new(0),
            ifindex: AtomicU32::new(0),
            spec,
        }
    }

    /// What it is to be, with the MTU as it was asked for last.
    pub(crate) fn spec(&self) -> Spec {
        let mtu = Some(self.asked_mtu.load(Ordering::Relaxed)).filter(|mtu| *mtu != 0);
        Spec { mtu, ..self.spec.clone() }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.spec.kind
    }

    pub(crate) fn ifname(&self) -> &str {
        &self.spec.ifname
    }

    pub(crate) fn state(&self) -> State {
        self.state.lock().clone()
    }

    /// Say how it is; what is new is logged.
    pub(crate) fn set_state(&self, new: State) {
        let mut state = self.state.lock();
        if *state != new {
            match &new {
                State::Up => tracing::info!("network device {}: up", self.spec.ifname),
                State::Down(why) => tracing::warn!("network device {}: {why}", self.spec.ifname),
            }
            *state = new;
        }
    }

    pub(crate) fn set_device(&self, ifindex: Option<u32>) {
        self.ifindex.store(ifindex.unwrap_or(0), Ordering::Relaxed);
    }

    pub(crate) fn ifindex(&self) -> Option<u32> {
        Some(self.ifindex.load(Ordering::Relaxed)).filter(|index| *index != 0)
    }

    pub(crate) fn set_asked_mtu(&self, mtu: u16) {
        self.asked_mtu.store(mtu, Ordering::Relaxed);
    }

    pub(crate) fn set_device_mtu(&self, mtu: u32) {
        self.device_mtu.store(mtu, Ordering::Relaxed);
    }

    /// The longest frame that goes through, in bytes.
    pub(crate) fn max_frame(&self) -> usize {
        let asked = self.asked_mtu.load(Ordering::Relaxed);
        let mtu = match (asked, self.device_mtu.load(Ordering::Relaxed)) {
            (0, 0) => u32::from(self.spec.mtu()),
            (0, device) => device,
            (asked, _) => u32::from(asked),
        };
        mtu as usize + ABOVE_MTU
    }
}
