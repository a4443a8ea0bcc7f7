//! Meters (rte_mtr) of the model: token buckets with arithmetic of their own.
//!
//! Colours by RFC 2697 (single rate), RFC 2698 and RFC 4115 (two rates), colour-blind. Buckets start full. Time is the model's clock,
//! in nanoseconds.

use super::rule::{Refusal, RefusalKind, errno};
use rte_flow_rs::{MeterParams, MeterProfile, MeterStats};
use std::collections::HashMap;

/// What a policy does with packets of a colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    #[default]
    Pass,
    Drop,
}

/// Tokens are counted in billionths, so that a nanosecond brings whole ones.
const BILLION: u128 = 1_000_000_000;

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    /// Tokens a second.
    rate: u64,
    /// Most tokens.
    depth: u64,
    billionths: u128,
}

impl Bucket {
    fn full(rate: u64, depth: u64) -> Bucket {
        Bucket { rate, depth, billionths: u128::from(depth) * BILLION }
    }

    /// What `ns` bring; what does not fit is answered, in billionths.
    fn fill(&mut self, ns: u64) -> u128 {
        self.add(u128::from(self.rate) * u128::from(ns))
    }

    fn add(&mut self, billionths: u128) -> u128 {
        let (all, most) = (self.billionths + billionths, u128::from(self.depth) * BILLION);
        self.billionths = all.min(most);
        all - self.billionths
    }

    fn has(&self, tokens: u64) -> bool {
        self.billionths >= u128::from(tokens) * BILLION
    }

    fn take(&mut self, tokens: u64) {
        self.billionths -= u128::from(tokens) * BILLION;
    }
}

#[derive(Debug)]
struct Meter {
    profile: u32,
    policy: u32,
    on: bool,
    first: Bucket,
    second: Bucket,
    filled: u64,
    stats: [(u64, u64); 3],
    dropped: (u64, u64),
    users: usize,
    shared: bool,
}

/// Profiles, policies and meters of a device.
#[derive(Debug, Default)]
pub struct Meters {
    profiles: HashMap<u32, MeterProfile>,
    policies: HashMap<u32, [Fate; 3]>,
    meters: HashMap<u32, Meter>,
    pub most: usize,
}

const GREEN: usize = 0;
const YELLOW: usize = 1;
const RED: usize = 2;

fn unknown(what: &str, id: u32) -> Refusal {
    Refusal::new(RefusalKind::Unspecified, errno::ENOENT, format!("no {what} {id}"))
}

fn busy(what: &str, id: u32) -> Refusal {
    Refusal::new(RefusalKind::Unspecified, errno::EBUSY, format!("{what} {id} is in use"))
}

fn exists(what: &str, id: u32) -> Refusal {
    Refusal::new(RefusalKind::Unspecified, errno::EEXIST, format!("there is a {what} {id} already"))
}

fn buckets(profile: &MeterProfile) -> (Bucket, Bucket) {
    match *profile {
        MeterProfile::SrTcm2697 { cir, cbs, ebs, .. } => (Bucket::full(cir, cbs), Bucket::full(0, ebs)),
        MeterProfile::TrTcm2698 { cir, pir, cbs, pbs, .. } => (Bucket::full(cir, cbs), Bucket::full(pir, pbs)),
        MeterProfile::TrTcm4115 { cir, eir, cbs, ebs, .. } => (Bucket::full(cir, cbs), Bucket::full(eir, ebs)),
    }
}

impl Meters {
    /// Room for so many.
    #[must_use]
    pub fn with_room(most: usize) -> Meters {
        Meters { most, ..Meters::default() }
    }

    /// Forget all of them: the device has died.
    pub fn clear(&mut self) {
        *self = Meters { most: self.most, ..Meters::default() };
    }

    pub fn add_profile(&mut self, id: u32, profile: MeterProfile) -> Result<(), Refusal> {
        if self.profiles.contains_key(&id) {
            return Err(exists("meter profile", id));
        }
        self.profiles.insert(id, profile);
        Ok(())
    }

    pub fn delete_profile(&mut self, id: u32) -> Result<(), Refusal> {
        if self.meters.values().any(|m| m.profile == id) {
            return Err(busy("meter profile", id));
        }
        self.profiles.remove(&id).map(|_| ()).ok_or_else(|| unknown("meter profile", id))
    }

    pub fn add_policy(&mut self, id: u32, policy: [Fate; 3]) -> Result<(), Refusal> {
        if self.policies.contains_key(&id) {
            return Err(exists("meter policy", id));
        }
        self.policies.insert(id, policy);
        Ok(())
    }

    pub fn delete_policy(&mut self, id: u32) -> Result<(), Refusal> {
        if self.meters.values().any(|m| m.policy == id) {
            return Err(busy("meter policy", id));
        }
        self.policies.remove(&id).map(|_| ()).ok_or_else(|| unknown("meter policy", id))
    }

    pub fn create(&mut self, id: u32, params: MeterParams, now: u64) -> Result<(), Refusal> {
        if self.meters.contains_key(&id) {
            return Err(exists("meter", id));
        }
        if self.meters.len() >= self.most {
            let what = format!("no room: {} meters are there", self.most);
            return Err(Refusal::new(RefusalKind::Unspecified, errno::ENOSPC, what));
        }
        let profile = self.profiles.get(&params.profile).ok_or_else(|| unknown("meter profile", params.profile))?;
        self.policies.get(&params.policy).ok_or_else(|| unknown("meter policy", params.policy))?;
        let (first, second) = buckets(profile);
        let meter = Meter {
            profile: params.profile,
            policy: params.policy,
            on: true,
            first,
            second,
            filled: now,
            stats: [(0, 0); 3],
            dropped: (0, 0),
            users: 0,
            shared: params.shared,
        };
        self.meters.insert(id, meter);
        Ok(())
    }

    pub fn destroy(&mut self, id: u32) -> Result<(), Refusal> {
        if self.get(id)?.users > 0 {
            return Err(busy("meter", id));
        }
        self.meters.remove(&id);
        Ok(())
    }

    fn get(&mut self, id: u32) -> Result<&mut Meter, Refusal> {
        self.meters.get_mut(&id).ok_or_else(|| unknown("meter", id))
    }

    pub fn enable(&mut self, id: u32, on: bool) -> Result<(), Refusal> {
        self.get(id)?.on = on;
        Ok(())
    }

    pub fn set_profile(&mut self, id: u32, profile: u32, now: u64) -> Result<(), Refusal> {
        let (first, second) = buckets(self.profiles.get(&profile).ok_or_else(|| unknown("meter profile", profile))?);
        let meter = self.get(id)?;
        (meter.profile, meter.first, meter.second, meter.filled) = (profile, first, second, now);
        Ok(())
    }

    pub fn set_policy(&mut self, id: u32, policy: u32) -> Result<(), Refusal> {
        self.policies.get(&policy).ok_or_else(|| unknown("meter policy", policy))?;
        self.get(id)?.policy = policy;
        Ok(())
    }

    pub fn stats(&mut self, id: u32, reset: bool) -> Result<MeterStats, Refusal> {
        let meter = self.get(id)?;
        let stats = MeterStats {
            packets: meter.stats.map(|(packets, _)| Some(packets)),
            bytes: meter.stats.map(|(_, bytes)| Some(bytes)),
            dropped_packets: Some(meter.dropped.0),
            dropped_bytes: Some(meter.dropped.1),
        };
        if reset {
            (meter.stats, meter.dropped) = ([(0, 0); 3], (0, 0));
        }
        Ok(stats)
    }

    /// Whether a rule may use it, once more.
    pub fn usable(&self, id: u32) -> Result<(), Refusal> {
        let meter = self.meters.get(&id).ok_or_else(|| unknown("meter", id))?;
        if meter.users > 0 && !meter.shared {
            return Err(busy("meter", id));
        }
        Ok(())
    }

    pub fn used(&mut self, id: u32, more: bool) {
        if let Some(meter) = self.meters.get_mut(&id) {
            meter.users = if more { meter.users + 1 } else { meter.users.saturating_sub(1) };
        }
    }

    /// A packet goes through: what becomes of it. A device that does not count is broken.
    pub fn pass(&mut self, id: u32, bytes: u64, now: u64, counts: bool) -> Fate {
        let Some(meter) = self.meters.get_mut(&id) else { return Fate::Pass };
        let profile = self.profiles.get(&meter.profile);
        let colour = if meter.on { profile.map_or(GREEN, |profile| meter.colour(profile, bytes, now)) } else { GREEN };
        let fate = self.policies.get(&meter.policy).map_or(Fate::Pass, |policy| policy[colour]);
        if counts {
            let (packets, sum) = &mut meter.stats[colour];
            (*packets, *sum) = (*packets + 1, *sum + bytes);
            if fate == Fate::Drop {
                meter.dropped = (meter.dropped.0 + 1, meter.dropped.1 + bytes);
            }
        }
        fate
    }
}

impl Meter {
    fn colour(&mut self, profile: &MeterProfile, bytes: u64, now: u64) -> usize {
        let passed = now.saturating_sub(self.filled);
        self.filled = self.filled.max(now);
        let (first, second) = (&mut self.first, &mut self.second);
        let packets = match profile {
            MeterProfile::SrTcm2697 { packet_mode, .. }
            | MeterProfile::TrTcm2698 { packet_mode, .. }
            | MeterProfile::TrTcm4115 { packet_mode, .. } => *packet_mode,
        };
        let units = if packets { 1 } else { bytes };
        match profile {
            MeterProfile::SrTcm2697 { .. } => {
                let over = first.fill(passed);
                second.add(over);
                if first.has(units) {
                    first.take(units);
                    GREEN
                } else if second.has(units) {
                    second.take(units);
                    YELLOW
                } else {
                    RED
                }
            }
            MeterProfile::TrTcm2698 { .. } => {
                first.fill(passed);
                second.fill(passed);
                if !second.has(units) {
                    return RED;
                }
                second.take(units);
                if !first.has(units) {
                    return YELLOW;
                }
                first.take(units);
                GREEN
            }
            MeterProfile::TrTcm4115 { .. } => {
                first.fill(passed);
                second.fill(passed);
                if first.has(units) {
                    first.take(units);
                    GREEN
                } else if second.has(units) {
                    second.take(units);
                    YELLOW
                } else {
                    RED
                }
            }
        }
    }
}
