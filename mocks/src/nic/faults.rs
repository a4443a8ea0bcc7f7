//! Bugs that can be planted in the model, and bad luck by seed.

use std::collections::BTreeSet;
use std::time::Duration;

macro_rules! faults {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// A bug of a driver or device. With it the model misbehaves in exactly this way, so that a test can show
        /// that it would notice.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Fault { $($(#[$doc])* $variant,)* }

        impl Fault {
            /// All of them.
            pub const EVERY: &'static [Fault] = &[$(Fault::$variant,)*];

            /// The name in text.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Fault::$variant => $name,)* }
            }
        }
    };
}

faults! {
    /// The last field that a rule matches is not looked at.
    MatchFieldIgnored = "match-field-ignored",
    /// One bit, the lowest of the last field that a rule matches, is not looked at.
    MaskWidened = "mask-widened",
    /// Set actions do nothing.
    RewriteSkipped = "rewrite-skipped",
    /// Rewrites leave the checksums as they were.
    ChecksumNotUpdated = "checksum-not-updated",
    /// A packet that gets no mark keeps the one that was last used on its port, also of a rule that is gone.
    StaleMark = "stale-mark",
    /// Each packet is counted twice.
    CounterDoubled = "counter-doubled",
    /// Output goes to the next port.
    WrongPort = "wrong-port",
    /// A popped tag stays.
    VlanNotPopped = "vlan-not-popped",
    /// A rule is accepted and is not there.
    RuleLost = "rule-lost",
    /// A destroyed rule goes on working.
    RuleAliveAfterRemoval = "rule-alive-after-removal",
    /// TTL stays.
    DecTtlSkipped = "dec-ttl-skipped",
    /// Packets of hits are not counted.
    CounterStuck = "counter-stuck",
    /// The mark does not reach the receiver.
    MarkLost = "mark-lost",
    /// A VLAN id is set to the next one.
    VlanOffByOne = "vlan-off-by-one",
    /// TTL goes down by two.
    TtlOffByOne = "ttl-off-by-one",
    /// Masks of addresses and ports are read from the wrong end.
    MaskByteSwapped = "mask-byte-swapped",
    /// A packet to be dropped leaves by the wire (from the wire: by the first VF).
    DropIgnored = "drop-ignored",
    /// A meter drops what is within its rate.
    MeterDropsGreen = "meter-drops-green",
    /// What exceeds a meter's rate passes.
    MeterPassesRed = "meter-passes-red",
    /// Packets that go through a meter are not in its counts.
    MeterNotCounted = "meter-not-counted",
}

impl Fault {
    /// Those that change what leaves the switch or what is counted. The others cost only time: a packet whose mark is lost is
    /// looked up, with the same result.
    pub const ALL: &'static [Fault] = &{
        let mut wrong = [Fault::RuleLost; Fault::EVERY.len() - 1];
        let (mut from, mut to) = (0, 0);
        while from < Fault::EVERY.len() {
            if !matches!(Fault::EVERY[from], Fault::MarkLost) {
                wrong[to] = Fault::EVERY[from];
                to += 1;
            }
            from += 1;
        }
        wrong
    };
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(name: &str) -> Result<Fault, UnknownFault> {
        Fault::EVERY.iter().copied().find(|f| f.name() == name).ok_or_else(|| UnknownFault(name.to_owned()))
    }
}

/// There is no such fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no fault of the mock NIC is called {0:?}; use one of match-field-ignored, mask-widened, ... (Fault::EVERY)")]
pub struct UnknownFault(pub String);

/// Everything that is wrong with a mock NIC.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    /// Planted bugs.
    pub planted: BTreeSet<Fault>,
    /// Each insertion takes this long.
    pub insert_delay: Duration,
    /// Share of insertions that are refused with EAGAIN, 0.0 to 1.0, by seed.
    pub refuse: f64,
    /// All insertions are refused with ENOTSUP, of rules too that it says it can do.
    pub incapable: bool,
    /// Share of insertions that are said to be done and are not, 0.0 to 1.0, by seed.
    pub lose: f64,
    /// The device dies with this operation, counted from 1: it and all later ones fail with EIO, its rules are gone, and all
    /// packets go to the representors.
    pub dies_after: Option<u64>,
}

impl Faults {
    /// A device without fault.
    #[must_use]
    pub fn none() -> Faults {
        Faults::default()
    }

    /// A device with one more planted bug.
    #[must_use]
    pub fn with(mut self, fault: Fault) -> Faults {
        self.planted.insert(fault);
        self
    }

    /// Whether this bug is planted.
    #[must_use]
    pub fn has(&self, fault: Fault) -> bool {
        self.planted.contains(&fault)
    }
}

impl FromIterator<Fault> for Faults {
    fn from_iter<I: IntoIterator<Item = Fault>>(faults: I) -> Faults {
        Faults { planted: faults.into_iter().collect(), ..Faults::default() }
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, and the same everywhere for the same seed.
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// True in a share `p` of the calls.
    pub(super) fn chance(&mut self, p: f64) -> bool {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        ((z >> 11) as f64) < p * (1u64 << 53) as f64
    }
}
