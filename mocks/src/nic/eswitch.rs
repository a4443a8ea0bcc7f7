//! The switch of the NIC: rules, counters and what happens to a frame. Plain bytes in, plain bytes out; ports and
//! threads are [`super::MockNic`]'s.

use super::decode::Decoder;
use super::encap::OuterHeaders;
use super::faults::{Dice, Fault, Faults};
use super::meter::Meters;
use super::profile::{Counting, Profile};
use super::rule::{Act, Queues, RawFlow, Refusal, RefusalKind, Rule, Spot, errno};
use super::table::{Place, RuleNo, Tables, with_faults};
use super::template::Templates;
use offload::Numbered;
use rte_flow_rs::{AgeQuery, Cookie, Record};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Packets and bytes of a counter. Bytes are those of frames as they came in, without FCS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub packets: u64,
    pub bytes: u64,
}

/// What became of frames. Every frame that came in from outside is exactly one of hardware, partial, software.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NicStats {
    /// Frames that entered the switch from outside.
    pub frames_in: u64,
    /// Done by rules alone: sent out or dropped.
    pub hardware: u64,
    /// Given to software after a rule marked, changed or copied them.
    pub partial: u64,
    /// Given to software as they came.
    pub software: u64,
    /// Frames that rules sent out.
    pub hardware_out: u64,
    /// Frames that rules dropped.
    pub hardware_dropped: u64,
    /// Frames that a rule's meter judged.
    pub metered: u64,
    /// Frames that there are more of, since a rule sent some frames to several places.
    pub copies: u64,
    /// Frames that representors got.
    pub to_representors: u64,
    /// Frames that software sent by a representor.
    pub from_representors: u64,
    /// Frames that left at the outside ends, whoever sent them.
    pub frames_out: u64,
    /// The most rules that were in at a time.
    pub rules_peak: usize,
    /// Frames lost, by name: full queues, no buffer, too long.
    pub drops: BTreeMap<&'static str, u64>,
}

impl NicStats {
    pub(super) fn drop_one(&mut self, name: &'static str) {
        *self.drops.entry(name).or_default() += 1;
    }
}

/// Where a frame goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Out at this place.
    Outside { place: usize, frame: Vec<u8> },
    /// To software by this representor.
    Representor { place: usize, frame: Vec<u8>, mark: Option<u32>, flag: bool, queues: Queues },
}

#[derive(Debug)]
pub(super) struct Installed {
    /// The ethdev that it was made on.
    pub ethdev: u16,
    pub spot: Spot,
    /// Where it is in the tables; a lost rule is nowhere.
    pub place: Option<Place>,
    pub acts: Arc<[Act]>,
    pub count: Count,
    /// When it was hit last, or put in.
    pub hit: u64,
    /// Whether its age was reported since.
    pub reported: bool,
    /// Packets that it sampled from.
    pub sampled: u64,
    /// Whether the driver still has the handle.
    pub handle: bool,
    /// The template table that it is in.
    pub table: Option<u64>,
    /// What its owner put on it, and what it was asked to be.
    pub cookie: Option<Cookie>,
    pub record: Option<Record>,
}

/// A rule that the switch holds, as a later owner finds it.
#[derive(Clone, Debug)]
pub struct Held {
    pub no: RuleNo,
    pub ethdev: u16,
    pub spot: Spot,
    pub cookie: Option<Cookie>,
    pub record: Option<Record>,
    pub queued: bool,
}

/// A switch with rules.
#[derive(Debug)]
pub struct Eswitch {
    pub(super) profile: Profile,
    pub(super) faults: Faults,
    pub(super) dice: Dice,
    /// Ethdev of each place: the wire's, then the VFs'.
    pub(super) ethdevs: Vec<u16>,
    /// Receive queues of each representor.
    pub(super) queues: u16,
    pub(super) tables: Tables,
    pub(super) rules: Numbered<Installed>,
    /// Rules of them that the driver has handles of.
    pub(super) live: usize,
    /// Indirect counters, and by how many rules they are used.
    pub(super) counters: Numbered<(Count, usize)>,
    pub(super) meters: Meters,
    pub(super) headers: OuterHeaders,
    pub(super) templates: Templates,
    pub(super) next: u64,
    next_counter: u64,
    operations: u64,
    dead: bool,
    /// The last mark delivered on each place: for [`Fault::StaleMark`].
    pub(super) last_mark: Vec<Option<u32>>,
    /// Nanoseconds, for meters and ages.
    pub(super) now: u64,
    /// What rules carry from now on.
    pub(super) cookie: Option<Cookie>,
    /// Whether rules keep what they were asked to be.
    pub(super) recording: bool,
    pub(super) stats: NicStats,
}

impl Eswitch {
    /// A switch whose place i has the representor `ethdevs[i]`, with one receive queue.
    #[must_use]
    pub fn new(profile: Profile, ethdevs: Vec<u16>, faults: Faults, seed: u64) -> Eswitch {
        let last_mark = vec![None; ethdevs.len()];
        let meters = Meters::with_room(profile.meters);
        Eswitch {
            profile,
            faults,
            dice: Dice::new(seed),
            ethdevs,
            queues: 1,
            tables: Tables::default(),
            rules: Numbered::default(),
            live: 0,
            counters: Numbered::default(),
            meters,
            headers: OuterHeaders::default(),
            templates: Templates::default(),
            next: 1,
            next_counter: 1,
            operations: 0,
            dead: false,
            last_mark,
            now: 0,
            cookie: None,
            recording: false,
            stats: NicStats::default(),
        }
    }

    /// The same with so many receive queues of each representor; at least one.
    #[must_use]
    pub fn with_queues(mut self, queues: u16) -> Eswitch {
        self.queues = queues.max(1);
        self
    }

    /// What it can do.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// What became of frames.
    #[must_use]
    pub fn stats(&self) -> &NicStats {
        &self.stats
    }

    /// Whether an ethdev is one of its representors.
    #[must_use]
    pub fn has_ethdev(&self, ethdev: u16) -> bool {
        self.ethdevs.contains(&ethdev)
    }

    /// Ethdev of a place's representor.
    #[must_use]
    pub fn ethdev(&self, place: usize) -> Option<u16> {
        self.ethdevs.get(place).copied()
    }

    /// Ethdev of the wire's representor.
    #[must_use]
    pub fn uplink(&self) -> Option<u16> {
        self.ethdevs.first().copied()
    }

    /// Rules that the driver has handles of.
    #[must_use]
    pub fn rule_count(&self) -> usize {
        self.live
    }

    /// Whether the device has died.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.dead
    }

    /// Let the device die now.
    pub fn kill(&mut self) {
        self.dead = true;
        self.live = 0;
        self.tables.clear();
        self.rules.clear();
        self.counters.clear();
        self.meters.clear();
        self.headers.clear();
        self.templates = Templates::default();
    }

    /// Let a dead device work again, empty.
    pub fn revive(&mut self) {
        self.dead = false;
        self.operations = 0;
        self.faults.dies_after = None;
    }

    /// A reset of a port: the rules that were made on it are gone, and nobody is told. Counters stay.
    pub fn reset_port(&mut self, ethdev: u16) {
        let gone: Vec<RuleNo> = self.rules.iter().filter(|(_, r)| r.ethdev == ethdev).map(|(no, _)| no).collect();
        for no in gone {
            self.forget(no);
        }
    }

    /// Moves the clock of meters and ages, in nanoseconds.
    pub fn set_now(&mut self, now: u64) {
        self.now = self.now.max(now);
    }

    /// Rules that are put in from now on carry this.
    pub fn set_cookie(&mut self, cookie: Option<Cookie>) {
        self.cookie = cookie;
    }

    /// Whether rules that are put in from now on keep the lists that they were made of.
    pub fn set_recording(&mut self, on: bool) {
        self.recording = on;
    }

    /// All rules that it holds, in the order in which they came.
    #[must_use]
    pub fn held(&self) -> Vec<Held> {
        let live = self.rules.iter().filter(|(_, rule)| rule.handle);
        live.map(|(no, rule)| Held {
            no,
            ethdev: rule.ethdev,
            spot: rule.spot,
            cookie: rule.cookie,
            record: rule.record.clone(),
            queued: rule.table.is_some(),
        })
        .collect()
    }

    /// Change what is wrong with it. Rules that are in stay as they are.
    pub fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
    }

    pub(super) fn insert_delay(&self) -> std::time::Duration {
        self.faults.insert_delay
    }

    /// One more call of the driver; fails when the device is dead.
    pub(super) fn operation(&mut self) -> Result<(), Refusal> {
        self.operations += 1;
        if self.faults.dies_after.is_some_and(|n| self.operations >= n) && !self.dead {
            self.kill();
        }
        self.alive()
    }

    pub(super) fn alive(&self) -> Result<(), Refusal> {
        if self.dead {
            return Err(Refusal::new(RefusalKind::Unspecified, errno::EIO, "the device does not answer"));
        }
        Ok(())
    }

    pub(super) fn decoder(&self) -> Decoder<'_> {
        let Eswitch { profile, ethdevs, queues, counters, meters, .. } = self;
        Decoder { profile, ethdevs, queues: *queues, counters, meters }
    }

    fn decode(&self, raw: &RawFlow) -> Result<Rule, Refusal> {
        let rule = self.decoder().decode(raw)?;
        self.room()?;
        self.header_room(&rule.acts)?;
        Ok(rule)
    }

    pub(super) fn room(&self) -> Result<(), Refusal> {
        if self.rule_count() + self.templates.posted >= self.profile.max_rules {
            let what = format!("no room: {} rules are in", self.profile.max_rules);
            return Err(Refusal::new(RefusalKind::Unspecified, errno::ENOSPC, what));
        }
        Ok(())
    }

    pub(super) fn header_room(&self, acts: &[Act]) -> Result<(), Refusal> {
        self.profile.encap_headers.map_or(Ok(()), |most| self.headers.room(acts, most))
    }

    /// Different outer headers of the rules that are in.
    #[must_use]
    pub fn outer_headers(&self) -> usize {
        self.headers.count()
    }

    /// By chance the device has no time; or it cannot do what it claims.
    pub(super) fn luck(&mut self) -> Result<(), Refusal> {
        if self.faults.incapable {
            return Err(Refusal::new(RefusalKind::Unspecified, errno::ENOTSUP, "this rule cannot be done"));
        }
        if self.faults.refuse > 0.0 && self.dice.chance(self.faults.refuse) {
            return Err(Refusal::new(RefusalKind::Unspecified, errno::EAGAIN, "the device is busy"));
        }
        Ok(())
    }

    /// Whether a rule that is accepted now is not put in.
    pub(super) fn loses(&mut self) -> bool {
        self.faults.has(Fault::RuleLost) || self.faults.lose > 0.0 && self.dice.chance(self.faults.lose)
    }

    /// Whether [`Eswitch::create`] would succeed.
    ///
    /// # Errors
    /// As [`Eswitch::create`], but for collisions.
    pub fn validate(&mut self, raw: &RawFlow) -> Result<(), Refusal> {
        self.operation()?;
        self.decode(raw).map(|_| ())
    }

    /// Put a rule in.
    ///
    /// # Errors
    /// What the profile cannot do (ENOTSUP), nonsense (EINVAL), no room for the rule or its outer header (ENOSPC), a rule with the same match (EEXIST),
    /// a refusal by chance (EAGAIN), a dead device (EIO).
    pub fn create(&mut self, raw: &RawFlow) -> Result<RuleNo, Refusal> {
        self.create_recorded(raw, None)
    }

    pub(super) fn create_recorded(&mut self, raw: &RawFlow, record: Option<Record>) -> Result<RuleNo, Refusal> {
        self.operation()?;
        let rule = self.decode(raw)?;
        self.luck()?;
        let no = self.next;
        let pattern = with_faults(&rule.pattern, &self.faults);
        let overlap = pattern != rule.pattern || self.faults.has(Fault::RuleAliveAfterRemoval);
        let place = if self.loses() {
            None
        } else {
            let placed = self.tables.insert(no, rule.spot, &pattern, overlap);
            Some(placed.map_err(|_| {
                Refusal::new(RefusalKind::Unspecified, errno::EEXIST, "a rule of this priority has the same match")
            })?)
        };
        self.next += 1;
        self.install(no, raw.port, rule.spot, place, rule.acts, None, record);
        Ok(no)
    }

    /// A rule that is in the tables is one of the driver's from now on.
    #[expect(clippy::too_many_arguments, reason = "the parts of one rule")]
    pub(super) fn install(
        &mut self,
        no: RuleNo,
        ethdev: u16,
        spot: Spot,
        place: Option<Place>,
        acts: Arc<[Act]>,
        table: Option<u64>,
        record: Option<Record>,
    ) {
        self.use_objects(&acts, true);
        self.live += 1;
        self.stats.rules_peak = self.stats.rules_peak.max(self.live);
        let installed = Installed {
            ethdev,
            spot,
            place,
            acts,
            count: Count::default(),
            hit: self.now,
            reported: false,
            sampled: 0,
            handle: true,
            table,
            cookie: self.cookie,
            record,
        };
        self.rules.insert(no, installed);
    }

    fn use_objects(&mut self, acts: &[Act], more: bool) {
        for act in acts {
            match act {
                Act::CountIndirect(handle) => {
                    if let Some((_, users)) = self.counters.get_mut(*handle) {
                        *users = if more { *users + 1 } else { users.saturating_sub(1) };
                    }
                }
                Act::Meter(id) => self.meters.used(*id, more),
                Act::Encap(_) | Act::Sample { .. } => self.headers.used(std::slice::from_ref(act), more),
                _ => {}
            }
        }
    }

    /// A rule goes, if the driver has it.
    pub(super) fn forget(&mut self, no: RuleNo) -> bool {
        let Some(installed) = self.rules.get_mut(no).filter(|r| r.handle) else { return false };
        installed.handle = false;
        let (acts, place, table) = (Arc::clone(&installed.acts), installed.place, installed.table);
        self.live -= 1;
        self.use_objects(&acts, false);
        if let Some(table) = table {
            self.templates.rule_gone(table);
        }
        if !self.faults.has(Fault::RuleAliveAfterRemoval) {
            if let Some(place) = place {
                self.tables.remove(no, place);
            }
            self.rules.remove(no);
        }
        true
    }

    /// Take a rule out.
    ///
    /// # Errors
    /// ENOENT without such a rule, EIO when the device is dead.
    pub fn destroy(&mut self, no: RuleNo) -> Result<(), Refusal> {
        self.operation()?;
        if self.forget(no) { Ok(()) } else { Err(Refusal::new(RefusalKind::Handle, errno::ENOENT, "no such rule")) }
    }

    /// Take out all rules that were made on this ethdev.
    ///
    /// # Errors
    /// As [`Eswitch::destroy`].
    pub fn flush(&mut self, ethdev: u16) -> Result<(), Refusal> {
        self.operation()?;
        let gone: Vec<RuleNo> =
            self.rules.iter().filter(|(_, r)| r.handle && r.ethdev == ethdev).map(|(no, _)| no).collect();
        gone.into_iter().try_for_each(|no| self.destroy(no))
    }

    /// What a rule's own COUNT action has counted; with `reset` it starts again from 0.
    ///
    /// # Errors
    /// ENOENT without such a rule, ENOTSUP when it does not count, EIO when the device is dead.
    pub fn query(&mut self, no: RuleNo, reset: bool) -> Result<Count, Refusal> {
        self.operation()?;
        let unknown = || Refusal::new(RefusalKind::Handle, errno::ENOENT, "no such rule");
        let installed = self.rules.get_mut(no).filter(|r| r.handle).ok_or_else(unknown)?;
        if !installed.acts.contains(&Act::Count) {
            return Err(Refusal::unsupported(RefusalKind::Action, "the rule has no counter of its own"));
        }
        let count = installed.count;
        if reset {
            installed.count = Count::default();
        }
        Ok(count)
    }

    /// When a rule with an AGE was hit last.
    ///
    /// # Errors
    /// ENOENT without such a rule, ENOTSUP when it does not age, EIO when the device is dead.
    pub fn query_age(&mut self, no: RuleNo) -> Result<AgeQuery, Refusal> {
        self.operation()?;
        let unknown = || Refusal::new(RefusalKind::Handle, errno::ENOENT, "no such rule");
        let installed = self.rules.get(no).filter(|r| r.handle).ok_or_else(unknown)?;
        let Some(seconds) = installed.age() else {
            return Err(Refusal::unsupported(RefusalKind::Action, "the rule does not age"));
        };
        let idle = self.now.saturating_sub(installed.hit) / 1_000_000_000;
        Ok(AgeQuery { aged: idle >= u64::from(seconds.0), idle_seconds: Some(u32::try_from(idle).unwrap_or(u32::MAX)) })
    }

    /// Contexts of rules of an ethdev that have aged and were not reported since their last hit.
    ///
    /// # Errors
    /// EIO when the device is dead.
    pub fn aged(&mut self, ethdev: u16, most: usize) -> Result<Vec<u64>, Refusal> {
        self.operation()?;
        let aged: Vec<RuleNo> = self
            .rules
            .iter()
            .filter(|(_, r)| r.handle && r.ethdev == ethdev && !r.reported)
            .filter(|(_, r)| {
                r.age().is_some_and(|(s, _)| self.now.saturating_sub(r.hit) >= u64::from(s) * 1_000_000_000)
            })
            .map(|(no, _)| no)
            .take(most)
            .collect();
        let mut contexts = Vec::new();
        for no in aged {
            if let Some(rule) = self.rules.get_mut(no) {
                rule.reported = true;
                contexts.extend(rule.age().map(|(_, context)| context));
            }
        }
        Ok(contexts)
    }

    /// Make a counter that outlives the rules that use it.
    ///
    /// # Errors
    /// ENOTSUP when the profile has none, EIO when the device is dead.
    pub fn create_counter(&mut self) -> Result<u64, Refusal> {
        self.operation()?;
        self.new_counter()
    }

    pub(super) fn new_counter(&mut self) -> Result<u64, Refusal> {
        let mut caps = self.profile.transfer.iter().chain(&self.profile.ingress);
        if !caps.any(|caps| caps.counter == Counting::Indirect) {
            return Err(Refusal::unsupported(RefusalKind::Action, "the device has no indirect counters"));
        }
        let no = self.next_counter;
        self.next_counter += 1;
        self.counters.insert(no, (Count::default(), 0));
        Ok(no)
    }

    /// What a counter has counted; with `reset` it starts again from 0.
    ///
    /// # Errors
    /// ENOENT without such a counter, EIO when the device is dead.
    pub fn query_counter(&mut self, handle: u64, reset: bool) -> Result<Count, Refusal> {
        self.operation()?;
        let unknown = || Refusal::new(RefusalKind::Handle, errno::ENOENT, "no such counter");
        self.read_counter(handle, reset).ok_or_else(unknown)
    }

    pub(super) fn read_counter(&mut self, handle: u64, reset: bool) -> Option<Count> {
        let (count, _) = self.counters.get_mut(handle)?;
        let value = *count;
        if reset {
            *count = Count::default();
        }
        Some(value)
    }

    /// Take a counter away.
    ///
    /// # Errors
    /// EBUSY while a rule uses it, ENOENT without such a counter, EIO when the device is dead.
    pub fn destroy_counter(&mut self, handle: u64) -> Result<(), Refusal> {
        self.operation()?;
        let unknown = || Refusal::new(RefusalKind::Handle, errno::ENOENT, "no such counter");
        let (_, users) = self.counters.get(handle).ok_or_else(unknown)?;
        if *users > 0 {
            return Err(Refusal::new(RefusalKind::Handle, errno::EBUSY, format!("{users} rules use the counter")));
        }
        self.counters.remove(handle);
        Ok(())
    }
}

impl Installed {
    fn age(&self) -> Option<(u32, u64)> {
        self.acts.iter().find_map(|act| match act {
            Act::Age { seconds, context } => Some((*seconds, *context)),
            _ => None,
        })
    }
}
