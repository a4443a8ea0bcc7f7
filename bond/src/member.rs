//! One member: whether it may be used, with the delays that keep a flapping link from moving traffic to and fro.

use std::time::Duration;

use flow::{DpPort, clock::Time};

use crate::lacp::{LacpStatus, RxState};

/// What happens to a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Its carrier came or went.
    Carrier(bool),
    /// Its receive machine changed.
    Lacp {
        /// State.
        rx: RxState,
        /// Both ends agree on the aggregation.
        in_sync: bool,
    },
}

/// How long a link must be up, or down, before it counts (`bond_updelay`, `bond_downdelay`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delays {
    /// Before it is used.
    pub up: Duration,
    /// Before it is given up.
    pub down: Duration,
}

/// A port of the bond.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The port.
    pub port: DpPort,
    carrier: bool,
    rx: RxState,
    in_sync: bool,
    enabled: bool,
    /// When `enabled` is to follow the link.
    turns: Option<Time>,
}

impl Member {
    pub(crate) fn new(port: DpPort) -> Self {
        Member { port, carrier: false, rx: RxState::Defaulted, in_sync: false, enabled: false, turns: None }
    }

    /// May be used now.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Has carrier now, delays aside.
    #[must_use]
    pub fn has_carrier(&self) -> bool {
        self.carrier
    }

    /// When a delay ends that is running.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        self.turns
    }

    pub(crate) fn take(&mut self, event: Event) {
        match event {
            Event::Carrier(up) => self.carrier = up,
            Event::Lacp { rx, in_sync } => (self.rx, self.in_sync) = (rx, in_sync),
        }
    }

    /// Lets `enabled` follow the link, after its delay. `alone`: no other member is enabled, so waiting would only lose packets.
    /// Returns whether `enabled` changed.
    pub(crate) fn run(&mut self, now: Time, delays: Delays, status: LacpStatus, alone: bool) -> bool {
        let link = self.carrier && self.rx.may_carry(status, self.in_sync);
        if link == self.enabled {
            self.turns = None;
            return false;
        }
        // LACP has timers of its own, and its partner has stopped listening already: its word counts at once.
        let delay = if link && alone || status == LacpStatus::Negotiated {
            Duration::ZERO
        } else if link {
            delays.up
        } else {
            delays.down
        };
        let turns = if delay.is_zero() { now } else { *self.turns.get_or_insert(now.after(delay)) };
        if now < turns {
            return false;
        }
        self.enabled = link;
        self.turns = None;
        true
    }
}
