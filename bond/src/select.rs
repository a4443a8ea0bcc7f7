//! The bond: members, modes, and which member a packet takes.

use std::time::Duration;

use flow::{DpPort, FieldId, FlowKey, clock::Time};

use crate::{
    hash::{BUCKETS, bucket_slb, bucket_tcp, fields_slb, fields_tcp},
    lacp::LacpStatus,
    member::{Delays, Event, Member},
};

/// How packets are spread (`bond_mode`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// One member carries everything, the others wait.
    #[default]
    ActiveBackup,
    /// By source MAC and VLAN; the switches around know nothing of it.
    BalanceSlb,
    /// By addresses and ports; needs a partner that aggregates (LACP).
    BalanceTcp,
}

/// Settings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Config {
    /// Mode.
    pub mode: Mode,
    /// Delays.
    pub delays: Delays,
    /// The member to prefer in active-backup (`bond-primary`).
    pub primary: Option<DpPort>,
    /// Without a LACP partner, work as active-backup in place of not at all (`lacp-fallback-ab`).
    pub fallback_to_active_backup: bool,
    /// Changes which bucket a packet falls into (`bond-hash-basis`).
    pub hash_basis: u32,
}

/// What cannot be done with a bond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BondError {
    /// The port is a member already.
    #[error("datapath port {} is already a member of the bond; a port joins once", .0.0)]
    AlreadyMember(DpPort),
    /// The port is no member.
    #[error("datapath port {} is not a member of the bond", .0.0)]
    NoMember(DpPort),
}

/// The member that a packet takes, and what the decision rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// The member's port.
    pub port: DpPort,
    /// The bucket, in modes that hash: its bytes are counted for rebalancing.
    pub bucket: Option<u16>,
    /// The fields that were looked at: a flow that rests on this choice must match them exactly.
    pub fields: &'static [FieldId],
}

/// A bond.
#[derive(Debug, Clone)]
pub struct Bond {
    config: Config,
    lacp: LacpStatus,
    members: Vec<Member>,
    active: Option<DpPort>,
    buckets: [Option<DpPort>; BUCKETS],
}

impl Bond {
    /// A bond without members.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Bond { config, lacp: LacpStatus::Off, members: Vec::new(), active: None, buckets: [None; BUCKETS] }
    }

    /// The members, in the order in which they joined.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The member that carries everything in active-backup, and what must go out once (broadcasts, learning packets) in all modes.
    #[must_use]
    pub fn active(&self) -> Option<DpPort> {
        self.active
    }

    /// Adds a member, without carrier until told otherwise.
    ///
    /// # Errors
    /// [`BondError::AlreadyMember`].
    pub fn add(&mut self, port: DpPort, now: Time) -> Result<(), BondError> {
        if self.members.iter().any(|m| m.port == port) {
            return Err(BondError::AlreadyMember(port));
        }
        self.members.push(Member::new(port));
        self.run(now);
        Ok(())
    }

    /// Removes a member at once.
    ///
    /// # Errors
    /// [`BondError::NoMember`].
    pub fn remove(&mut self, port: DpPort, now: Time) -> Result<(), BondError> {
        let at = self.members.iter().position(|m| m.port == port).ok_or(BondError::NoMember(port))?;
        self.members.remove(at);
        self.run(now);
        self.reselect();
        Ok(())
    }

    /// Something happened to a member. Returns whether choices may have changed.
    ///
    /// # Errors
    /// [`BondError::NoMember`].
    pub fn event(&mut self, port: DpPort, event: Event, now: Time) -> Result<bool, BondError> {
        let member = self.members.iter_mut().find(|m| m.port == port).ok_or(BondError::NoMember(port))?;
        member.take(event);
        Ok(self.run(now))
    }

    /// LACP's status of the whole bond changed. Returns whether choices may have changed.
    pub fn set_lacp(&mut self, status: LacpStatus, now: Time) -> bool {
        self.lacp = status;
        self.run(now)
    }

    /// Lets time pass: delays end. Returns whether choices may have changed.
    pub fn run(&mut self, now: Time) -> bool {
        let (delays, status) = (self.config.delays, self.rule());
        let mut changed = false;
        // Losses first: what comes up then knows whether it is alone.
        for up in [false, true] {
            for at in 0..self.members.len() {
                if self.members[at].is_enabled() == up {
                    continue;
                }
                let alone = !self.members.iter().any(Member::is_enabled);
                changed |= self.members[at].run(now, delays, status, alone);
            }
        }
        if changed || self.active.is_none() {
            changed |= self.reselect();
        }
        changed
    }

    /// When [`Bond::run`] should be called next; `None`: not before an event.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        self.members.iter().filter_map(Member::deadline).min()
    }

    /// The member for a packet; `None`: it has to be dropped, because no member is up.
    #[must_use]
    pub fn choose(&self, key: &FlowKey) -> Option<Choice> {
        let basis = self.config.hash_basis;
        let (bucket, fields) = match self.mode_now() {
            Mode::ActiveBackup => return self.active.map(|port| Choice { port, bucket: None, fields: &[] }),
            Mode::BalanceSlb => (bucket_slb(key, basis), fields_slb(key)),
            Mode::BalanceTcp => (bucket_tcp(key, basis), fields_tcp(key)),
        };
        let port = self.buckets.get(usize::from(bucket)).copied().flatten()?;
        Some(Choice { port, bucket: Some(bucket), fields })
    }

    /// How often the load of the buckets is worth a look (`bond-rebalance-interval`).
    pub const REBALANCE_INTERVAL: Duration = Duration::from_secs(10);

    /// The mode in force: without a partner, balance-tcp falls back.
    fn mode_now(&self) -> Mode {
        let fallback = self.config.fallback_to_active_backup && self.lacp == LacpStatus::Configured;
        if fallback { Mode::ActiveBackup } else { self.config.mode }
    }

    /// What LACP has to say about single members.
    fn rule(&self) -> LacpStatus {
        match (self.lacp, self.config.mode) {
            (LacpStatus::Configured, _) if self.config.fallback_to_active_backup => LacpStatus::Off,
            // A hash over ports confuses a switch that does not aggregate.
            (LacpStatus::Off, Mode::BalanceTcp) => LacpStatus::Configured,
            (status, _) => status,
        }
    }

    fn reselect(&mut self) -> bool {
        let before = (self.active, self.buckets);
        let enabled: Vec<DpPort> = self.members.iter().filter(|m| m.is_enabled()).map(|m| m.port).collect();
        let still = |port: &DpPort| enabled.contains(port);
        // The primary takes over as soon as it can; otherwise nothing moves without need.
        self.active = self.config.primary.filter(still).or(self.active.filter(still)).or(enabled.first().copied());
        self.spread(&enabled);
        before != (self.active, self.buckets)
    }

    /// Gives every bucket to an enabled member, as evenly as possible, moving as few as possible.
    fn spread(&mut self, enabled: &[DpPort]) {
        let count = |buckets: &[Option<DpPort>; BUCKETS], port| buckets.iter().filter(|b| **b == Some(port)).count();
        for bucket in &mut self.buckets {
            *bucket = bucket.filter(|port| enabled.contains(port));
        }
        for at in 0..BUCKETS {
            if self.buckets[at].is_none() {
                self.buckets[at] = enabled.iter().copied().min_by_key(|p| count(&self.buckets, *p));
            }
        }
        loop {
            let least = enabled.iter().copied().min_by_key(|p| count(&self.buckets, *p));
            let most = enabled.iter().copied().max_by_key(|p| count(&self.buckets, *p));
            let (Some(least), Some(most)) = (least, most) else { return };
            if count(&self.buckets, most) - count(&self.buckets, least) <= 1 {
                return;
            }
            if let Some(bucket) = self.buckets.iter_mut().find(|b| **b == Some(most)) {
                *bucket = Some(least);
            }
        }
    }
}
