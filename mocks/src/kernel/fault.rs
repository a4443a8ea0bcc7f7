//! Things that go wrong, by rule or by seed.

/// Kinds of operation that a fault can be aimed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// Generic netlink family lookup.
    Family,
    /// `devlink dev show`.
    DeviceGet,
    /// `devlink dev eswitch show`.
    EswitchGet,
    /// `devlink dev eswitch set`.
    EswitchSet,
    /// `devlink port show`.
    PortGet,
    /// `devlink port function set`.
    PortSet,
    /// `devlink port add`.
    PortNew,
    /// `devlink port del`.
    PortDel,
    /// `devlink port function rate show`.
    RateGet,
    /// `devlink port function rate set`, `add`, `del`.
    RateSet,
    /// `ip link show`.
    LinkGet,
    /// `ip link set`.
    LinkSet,
    /// `ethtool -k`.
    FeatureGet,
    /// `ethtool -K`.
    FeatureSet,
    /// `tc qdisc show`.
    QdiscGet,
    /// Reading, listing or resolving in sysfs.
    SysfsRead,
    /// Writing to sysfs.
    SysfsWrite,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The kernel refuses, with extended acknowledgement text where netlink carries it.
    Refuse {
        /// Positive errno.
        errno: i32,
        /// The driver's words.
        text: String,
    },
    /// The operation is carried out, its answer gets lost (netlink only).
    LoseReply,
    /// The operation is carried out, its answer is cut after so many bytes (a sysfs read: to so many).
    Truncate(usize),
    /// The operation is carried out; in its answer the length of attribute number `attr` (counted from 0) grows by
    /// `by` (netlink only).
    Lie {
        /// Which attribute, counted over the answer.
        attr: usize,
        /// By how many bytes.
        by: u16,
    },
    /// The first answer to a dump is marked as interrupted (netlink only).
    Interrupt,
    /// The socket overruns in place of the answer (netlink only).
    Overrun,
    /// The kernel says yes and does nothing.
    Ignore,
    /// No answer, and nothing is done (netlink only).
    Timeout,
    /// The operation is refused after half of it was done: a mode change with half of its representors, half of the VFs, or a
    /// change that was carried out.
    HalfDone {
        /// Positive errno.
        errno: i32,
    },
    /// The next event gets lost.
    LoseEvent,
}

/// When a fault strikes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultRule {
    /// Only operations of this kind; `None`: all.
    pub op: Option<Op>,
    /// How many of them pass first.
    pub skip: u64,
    /// How many are struck after that.
    pub times: u64,
    /// By what.
    pub fault: Fault,
}

impl FaultRule {
    /// The next operation of kind `op` only.
    #[must_use]
    pub fn once(op: Op, fault: Fault) -> Self {
        FaultRule { op: Some(op), skip: 0, times: 1, fault }
    }

    /// All operations of kind `op` from now on.
    #[must_use]
    pub fn always(op: Op, fault: Fault) -> Self {
        FaultRule { op: Some(op), skip: 0, times: u64::MAX, fault }
    }

    /// The operation after the next `skip` ones, of whatever kind.
    #[must_use]
    pub fn nth(skip: u64, fault: Fault) -> Self {
        FaultRule { op: None, skip, times: 1, fault }
    }
}

#[derive(Debug, Default)]
pub(super) struct Faults {
    rules: Vec<FaultRule>,
    operations: u64,
    events_to_lose: u32,
    random: u64,
    per_mille: u16,
}

impl Faults {
    pub(super) fn add(&mut self, rule: FaultRule) {
        self.rules.push(rule);
    }

    pub(super) fn chaos(&mut self, seed: u64, per_mille: u16) {
        // xorshift does not leave 0.
        self.random = seed | 1;
        self.per_mille = per_mille;
    }

    pub(super) fn operations(&self) -> u64 {
        self.operations
    }

    pub(super) fn take_event_loss(&mut self) -> bool {
        let lose = self.events_to_lose > 0;
        self.events_to_lose = self.events_to_lose.saturating_sub(1);
        lose
    }

    pub(super) fn next(&mut self, op: Op) -> Option<Fault> {
        self.operations += 1;
        let mut found = None;
        for rule in &mut self.rules {
            if rule.op.is_some_and(|o| o != op) {
                continue;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
            } else if rule.times > 0 && found.is_none() {
                rule.times -= 1;
                found = Some(rule.fault.clone());
            }
        }
        self.rules.retain(|r| r.times > 0);
        let fault = found.or_else(|| self.by_seed())?;
        if fault == Fault::LoseEvent {
            self.events_to_lose += 1;
            return None;
        }
        Some(fault)
    }

    fn by_seed(&mut self) -> Option<Fault> {
        if self.per_mille == 0 || self.random() % 1000 >= u64::from(self.per_mille) {
            return None;
        }
        let n = self.random();
        let small = usize::try_from(n >> 8 & 0x7f).unwrap_or_default();
        Some(match n % 9 {
            0 => Fault::Refuse { errno: super::wire::EBUSY, text: "fake: by seed".into() },
            1 => Fault::LoseReply,
            2 => Fault::Truncate(small),
            3 => Fault::Lie { attr: small % 8, by: 4 },
            4 => Fault::Interrupt,
            5 => Fault::Overrun,
            6 => Fault::Ignore,
            7 => Fault::Timeout,
            _ => Fault::LoseEvent,
        })
    }

    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}
