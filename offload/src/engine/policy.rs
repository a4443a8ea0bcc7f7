//! Which flows are to go into hardware: settings that an operator changes while packets flow.

use crate::refusal::Refusal;
use crate::world::{Admission, Admitted};
use flow::dp::{DpFlow, FlowId};
use flow::port::DpPort;
use flow::{FlowKey, Mask};
use std::collections::{BTreeMap, BTreeSet};

/// Which flows may go into hardware, of those that devices can take. Set by [`super::Engine::set_policy`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// All.
    #[default]
    All,
    /// Those that carry much.
    Hot(Hot),
    /// Those that come in on these ports.
    Ports(BTreeSet<DpPort>),
    /// None: rules that are there are taken out.
    Off,
}

/// When a flow carries much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hot {
    /// A flow goes in from so many packets a second on.
    pub rate_pps: u64,
    /// A flow stays in while it carries at least so many packets a second; more than `rate_pps` counts as `rate_pps`.
    pub cool_pps: u64,
    /// Where room is short, flows of a port with a higher number go before all others. A port that is not named has 0.
    pub priorities: BTreeMap<DpPort, u8>,
}

impl Default for Hot {
    fn default() -> Self {
        Hot { rate_pps: 1000, cool_pps: 500, priorities: BTreeMap::new() }
    }
}

impl Hot {
    /// Packets a second below which a flow that is in hardware comes out.
    #[must_use]
    pub fn keep_pps(&self) -> u64 {
        self.cool_pps.min(self.rate_pps)
    }
}

impl std::fmt::Display for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Policy::All => f.write_str("all"),
            Policy::Hot(hot) => write!(f, "hot from {} packets a second, until {}", hot.rate_pps, hot.keep_pps()),
            Policy::Ports(_) => f.write_str("port"),
            Policy::Off => f.write_str("off"),
        }
    }
}

/// Flows that are to be in software, whatever the policy says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// These.
    Flows(BTreeSet<FlowId>),
    /// All that share a packet with this match, those that are still to come too.
    Match { key: Box<FlowKey>, mask: Box<Mask> },
}

impl Which {
    /// Whether the flow is one of them.
    #[must_use]
    pub fn covers(&self, flow: &DpFlow) -> bool {
        match self {
            Which::Flows(ids) => ids.contains(&flow.id),
            Which::Match { key, mask } => {
                let keys = flow.key.words().iter().zip(key.words());
                let masks = flow.mask.0.words().iter().zip(mask.0.words());
                keys.zip(masks).all(|((a, b), (m, n))| {
                    let (a, b) = (u64::from_ne_bytes(*a), u64::from_ne_bytes(*b));
                    (a ^ b) & u64::from_ne_bytes(*m) & u64::from_ne_bytes(*n) == 0
                })
            }
        }
    }
}

/// Number of a demotion; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DemotionId(pub u64);

/// How far a demotion has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demotion {
    /// Flows that it covers now.
    pub flows: usize,
    /// Those of them of which hardware still has rules.
    pub pending: usize,
}

/// All that decides, beside devices, whether a flow goes into hardware.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    pub policy: Policy,
    /// Ports that are switched off one by one.
    pub off: BTreeSet<DpPort>,
    /// Of the world: what its maker admits.
    pub given: Admission,
    pub demotions: BTreeMap<DemotionId, Which>,
    /// Nothing is to stay in hardware, as the switch ends.
    pub flush: bool,
}

impl Wishes {
    /// What the planner is to admit: what all wishes let in.
    pub fn admission(&self) -> Admission {
        let policy = match (&self.given.policy, &self.policy) {
            (Admitted::None, _) | (_, Policy::Off) => Admitted::None,
            (given, Policy::All | Policy::Hot(_)) => given.clone(),
            (Admitted::All, Policy::Ports(allowed)) => Admitted::Ports(allowed.clone()),
            (Admitted::Ports(some), Policy::Ports(others)) => Admitted::Ports(some & others),
        };
        Admission { off: self.given.off || self.flush, ports_off: &self.given.ports_off | &self.off, policy }
    }

    /// Why a flow that a device could take is not to go in, or not to stay.
    pub fn objection(&self, flow: &DpFlow, is_hot: bool) -> Option<Refusal> {
        if self.demotions.values().any(|which| which.covers(flow)) {
            return Some(Refusal::Captured);
        }
        match &self.policy {
            Policy::Hot(hot) if !is_hot => Some(Refusal::Cold { needs: hot.rate_pps }),
            _ => None,
        }
    }

    /// Who goes first where room is short.
    pub fn priority(&self, port: DpPort) -> u8 {
        match &self.policy {
            Policy::Hot(hot) => hot.priorities.get(&port).copied().unwrap_or(0),
            _ => 0,
        }
    }

    /// Whether a flow of this rate is hot. What is in hardware stays so for longer.
    pub fn is_hot(&self, pps: u64, in_hardware: bool) -> bool {
        match &self.policy {
            Policy::Hot(hot) if in_hardware => pps >= hot.keep_pps(),
            Policy::Hot(hot) => pps >= hot.rate_pps,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::from;
    use crate::world::World;
    use flow::FieldId;

    fn ports(numbers: &[u32]) -> BTreeSet<DpPort> {
        numbers.iter().map(|n| DpPort(*n)).collect()
    }

    #[test]
    fn the_strictest_wish_wins() {
        // Of the ports 1 to 3, those whose flows are let in.
        let admitted = |wishes: &Wishes| -> Vec<u32> {
            let world = World { admission: wishes.admission(), ..World::new() };
            (1..=3).filter(|port| world.admits(DpPort(*port)).is_ok()).collect()
        };
        let mut wishes = Wishes::default();
        assert_eq!((admitted(&wishes), wishes.admission()), (vec![1, 2, 3], Admission::all()));
        wishes.off = ports(&[2]);
        assert_eq!(admitted(&wishes), [1, 3]);
        wishes.policy = Policy::Ports(ports(&[2, 3]));
        assert_eq!(admitted(&wishes), [3]);
        wishes.given = Admission::ports(ports(&[1, 3]));
        assert_eq!(admitted(&wishes), [3]);
        wishes.given.ports_off = ports(&[3]);
        assert_eq!(admitted(&wishes), []);
        wishes.policy = Policy::Hot(Hot::default());
        assert_eq!(admitted(&wishes), [1]);
        wishes.policy = Policy::Off;
        assert!(admitted(&wishes).is_empty() && wishes.admission().is_off());
        wishes.policy = Policy::All;
        wishes.given.off = true;
        assert!(admitted(&wishes).is_empty() && wishes.admission().is_off());
        wishes.given = Admission::all();
        wishes.flush = true;
        assert!(admitted(&wishes).is_empty() && wishes.admission().is_off());
    }

    #[test]
    fn a_match_covers_the_flows_that_share_a_packet_with_it() {
        let flow = from(1).ipv4().field(FieldId::Ipv4Dst, 7u32).output(2).build(4);
        let wide = from(1).ipv4().build(9);
        let other = from(1).ipv4().field(FieldId::Ipv4Dst, 8u32).build(9);
        let side = from(1).ipv4().field(FieldId::Ipv4Src, 5u32).build(9);
        let covers = |by: &DpFlow| Which::Match { key: Box::new(by.key), mask: Box::new(by.mask) }.covers(&flow);
        assert!(covers(&flow) && covers(&wide) && covers(&side));
        assert!(!covers(&other));
        assert!(!covers(&from(2).ipv4().build(9)), "another port");
        assert!(Which::Flows([FlowId(4)].into()).covers(&flow));
        assert!(!Which::Flows([FlowId(5)].into()).covers(&flow));
    }

    #[test]
    fn what_is_in_stays_longer() {
        let wishes = |rate_pps, cool_pps| Wishes {
            policy: Policy::Hot(Hot { rate_pps, cool_pps, ..Hot::default() }),
            ..Wishes::default()
        };
        for (rate, cool, keeps) in [(1000, 400, 400), (1000, 9, 9), (1_000_000, 1, 1), (10, 20, 10)] {
            let wishes = wishes(rate, cool);
            assert!(wishes.is_hot(rate, false) && !wishes.is_hot(rate - 1, false), "{rate}");
            assert!(wishes.is_hot(keeps, true) && !wishes.is_hot(keeps - 1, true), "{rate}, {cool}");
        }
    }
}
