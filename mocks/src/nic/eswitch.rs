//! The switch of the NIC: rules, counters and what happens to a frame. Plain bytes in, plain bytes out; ports and
//! threads are [`super::MockNic`]'s.

use super::decode::Decoder;
use super::edit::{Edit, Editor};
use super::faults::{Dice, Fault, Faults};
use super::headers::Headers;
use super::profile::{Counting, Profile};
use super::rule::{Act, Domain, RawFlow, Refusal, RefusalKind, Rule, Source, errno};
use super::table::{RuleNo, Tables, with_faults};
use std::collections::{BTreeMap, HashMap};

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
    Representor { place: usize, frame: Vec<u8>, mark: Option<u32>, flag: bool },
}

#[derive(Debug)]
struct Installed {
    /// The ethdev that it was made on.
    ethdev: u16,
    rule: Rule,
    /// The rule as it is in the tables.
    in_tables: Rule,
    count: Count,
    /// Whether the driver still has the handle.
    handle: bool,
}

/// A rule dropped a frame that software sent.
const DROP_BY_RULE_OF_TX: &str = "rule_drop_of_software_tx";

/// A switch with rules.
#[derive(Debug)]
pub struct Eswitch {
    profile: Profile,
    faults: Faults,
    dice: Dice,
    /// Ethdev of each place: the wire's, then the VFs'.
    ethdevs: Vec<u16>,
    tables: Tables,
    rules: HashMap<RuleNo, Installed>,
    /// Rules of them that the driver has handles of.
    live: usize,
    /// Indirect counters, and by how many rules they are used.
    counters: HashMap<u64, (Count, usize)>,
    next: u64,
    operations: u64,
    dead: bool,
    /// The last mark delivered on each place: for [`Fault::StaleMark`].
    last_mark: Vec<Option<u32>>,
    pub(super) stats: NicStats,
}

/// What a frame has become on its way.
struct Work {
    frame: Vec<u8>,
    /// Length when it came in.
    received: u64,
    mark: Option<u32>,
    flag: bool,
    changed: bool,
    outputs: u64,
    dropped: bool,
}

impl Eswitch {
    /// A switch whose place i has the representor `ethdevs[i]`.
    #[must_use]
    pub fn new(profile: Profile, ethdevs: Vec<u16>, faults: Faults, seed: u64) -> Eswitch {
        let last_mark = vec![None; ethdevs.len()];
        Eswitch {
            profile,
            faults,
            dice: Dice::new(seed),
            ethdevs,
            tables: Tables::default(),
            rules: HashMap::new(),
            live: 0,
            counters: HashMap::new(),
            next: 1,
            operations: 0,
            dead: false,
            last_mark,
            stats: NicStats::default(),
        }
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
    }

    /// Change what is wrong with it. Rules that are in stay as they are.
    pub fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
    }

    pub(super) fn insert_delay(&self) -> std::time::Duration {
        self.faults.insert_delay
    }

    /// One more call of the driver; fails when the device is dead.
    fn operation(&mut self) -> Result<(), Refusal> {
        self.operations += 1;
        if self.faults.dies_after.is_some_and(|n| self.operations >= n) && !self.dead {
            self.kill();
        }
        if self.dead {
            return Err(Refusal::new(RefusalKind::Unspecified, errno::EIO, "the device does not answer"));
        }
        Ok(())
    }

    fn decode(&self, raw: &RawFlow) -> Result<Rule, Refusal> {
        let decoder = Decoder { profile: &self.profile, ethdevs: &self.ethdevs, counters: &self.counters };
        let rule = decoder.decode(raw)?;
        if self.rule_count() >= self.profile.max_rules {
            let what = format!("no room: {} rules are in", self.profile.max_rules);
            return Err(Refusal::new(RefusalKind::Unspecified, errno::ENOSPC, what));
        }
        Ok(rule)
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
    /// What the profile cannot do (ENOTSUP), nonsense (EINVAL), no room (ENOSPC), a rule with the same match (EEXIST),
    /// a refusal by chance (EAGAIN), a dead device (EIO).
    pub fn create(&mut self, raw: &RawFlow) -> Result<RuleNo, Refusal> {
        self.operation()?;
        let rule = self.decode(raw)?;
        if self.faults.refuse > 0.0 && self.dice.chance(self.faults.refuse) {
            return Err(Refusal::new(RefusalKind::Unspecified, errno::EAGAIN, "the device is busy"));
        }
        let no = self.next;
        let pattern = with_faults(&rule.pattern, &self.faults);
        let overlap = pattern != rule.pattern || self.faults.has(Fault::RuleAliveAfterRemoval);
        let in_tables = Rule { pattern, ..rule.clone() };
        if !self.faults.has(Fault::RuleLost) {
            self.tables.insert(no, &in_tables, overlap).map_err(|_| {
                Refusal::new(RefusalKind::Unspecified, errno::EEXIST, "a rule of this priority has the same match")
            })?;
        }
        for act in &rule.acts {
            if let Act::CountIndirect(handle) = act
                && let Some((_, users)) = self.counters.get_mut(handle)
            {
                *users += 1;
            }
        }
        self.next += 1;
        self.live += 1;
        self.stats.rules_peak = self.stats.rules_peak.max(self.live);
        self.rules.insert(no, Installed { ethdev: raw.port, rule, in_tables, count: Count::default(), handle: true });
        Ok(no)
    }

    /// Take a rule out.
    ///
    /// # Errors
    /// ENOENT without such a rule, EIO when the device is dead.
    pub fn destroy(&mut self, no: RuleNo) -> Result<(), Refusal> {
        self.operation()?;
        let unknown = || Refusal::new(RefusalKind::Handle, errno::ENOENT, "no such rule");
        let installed = self.rules.get_mut(&no).filter(|r| r.handle).ok_or_else(unknown)?;
        installed.handle = false;
        self.live -= 1;
        for act in &installed.rule.acts {
            if let Act::CountIndirect(handle) = act
                && let Some((_, users)) = self.counters.get_mut(handle)
            {
                *users = users.saturating_sub(1);
            }
        }
        if !self.faults.has(Fault::RuleAliveAfterRemoval) {
            self.tables.remove(no, &installed.in_tables);
            self.rules.remove(&no);
        }
        Ok(())
    }

    /// Take out all rules that were made on this ethdev.
    ///
    /// # Errors
    /// As [`Eswitch::destroy`].
    pub fn flush(&mut self, ethdev: u16) -> Result<(), Refusal> {
        self.operation()?;
        let mut gone: Vec<RuleNo> =
            self.rules.iter().filter(|(_, r)| r.handle && r.ethdev == ethdev).map(|(no, _)| *no).collect();
        gone.sort_unstable();
        gone.into_iter().try_for_each(|no| self.destroy(no))
    }

    /// What a rule's own COUNT action has counted; with `reset` it starts again from 0.
    ///
    /// # Errors
    /// ENOENT without such a rule, ENOTSUP when it does not count, EIO when the device is dead.
    pub fn query(&mut self, no: RuleNo, reset: bool) -> Result<Count, Refusal> {
        self.operation()?;
        let unknown = || Refusal::new(RefusalKind::Handle, errno::ENOENT, "no such rule");
        let installed = self.rules.get_mut(&no).filter(|r| r.handle).ok_or_else(unknown)?;
        if !installed.rule.acts.contains(&Act::Count) {
            return Err(Refusal::unsupported(RefusalKind::Action, "the rule has no counter of its own"));
        }
        let count = installed.count;
        if reset {
            installed.count = Count::default();
        }
        Ok(count)
    }

    /// Make a counter that outlives the rules that use it.
    ///
    /// # Errors
    /// ENOTSUP when the profile has none, EIO when the device is dead.
    pub fn create_counter(&mut self) -> Result<u64, Refusal> {
        self.operation()?;
        let mut caps = self.profile.transfer.iter().chain(&self.profile.ingress);
        if !caps.any(|caps| caps.counter == Counting::Indirect) {
            return Err(Refusal::unsupported(RefusalKind::Action, "the device has no indirect counters"));
        }
        let handle = self.next;
        self.next += 1;
        self.counters.insert(handle, (Count::default(), 0));
        Ok(handle)
    }

    /// What a counter has counted; with `reset` it starts again from 0.
    ///
    /// # Errors
    /// ENOENT without such a counter, EIO when the device is dead.
    pub fn query_counter(&mut self, handle: u64, reset: bool) -> Result<Count, Refusal> {
        self.operation()?;
        let unknown = || Refusal::new(RefusalKind::Handle, errno::ENOENT, "no such counter");
        let (count, _) = self.counters.get_mut(&handle).ok_or_else(unknown)?;
        let value = *count;
        if reset {
            *count = Count::default();
        }
        Ok(value)
    }

    /// Take a counter away.
    ///
    /// # Errors
    /// EBUSY while a rule uses it, ENOENT without such a counter, EIO when the device is dead.
    pub fn destroy_counter(&mut self, handle: u64) -> Result<(), Refusal> {
        self.operation()?;
        let unknown = || Refusal::new(RefusalKind::Handle, errno::ENOENT, "no such counter");
        let (_, users) = self.counters.get(&handle).ok_or_else(unknown)?;
        if *users > 0 {
            return Err(Refusal::new(RefusalKind::Handle, errno::EBUSY, format!("{users} rules use the counter")));
        }
        self.counters.remove(&handle);
        Ok(())
    }

    /// A frame comes into the switch; where it goes is appended to `out`.
    pub fn forward(&mut self, source: Source, frame: Vec<u8>, out: &mut Vec<Delivery>) {
        let received = frame.len() as u64;
        let mut work = Work { frame, received, mark: None, flag: false, changed: false, outputs: 0, dropped: false };
        let first = out.len();
        let representor = self.transfer(source, &mut work, out);
        let delivered = representor.is_some_and(|place| self.receive(place, source, &mut work, out));
        match source {
            Source::Outside(_) => {
                self.stats.frames_in += 1;
                match (delivered, work.changed || work.outputs > 0 || work.mark.is_some() || work.flag) {
                    (false, _) => self.stats.hardware += 1,
                    (true, true) => self.stats.partial += 1,
                    (true, false) => self.stats.software += 1,
                }
                self.stats.hardware_out += work.outputs;
                self.stats.hardware_dropped += u64::from(work.dropped);
            }
            Source::Representor(_) => {
                self.stats.from_representors += 1;
                if work.dropped {
                    self.stats.drop_one(DROP_BY_RULE_OF_TX);
                }
            }
        }
        self.stats.copies += (out.len() - first).saturating_sub(1) as u64;
    }

    /// Rules of the embedded switch. The place whose representor gets the frame, if one does.
    fn transfer(&mut self, source: Source, work: &mut Work, out: &mut Vec<Delivery>) -> Option<usize> {
        let mut to_software = None;
        let mut group = 0;
        'groups: loop {
            let Some(no) = self.hit(Domain::Transfer, group, source, work) else {
                // The default rules: from outside to the representor, from the representor out.
                return match source {
                    Source::Outside(place) => Some(place),
                    Source::Representor(place) => {
                        out.push(Delivery::Outside { place, frame: std::mem::take(&mut work.frame) });
                        None
                    }
                };
            };
            for act in self.start(no, work) {
                match act {
                    Act::Output(place) => {
                        let place = self.output_place(place);
                        work.outputs += 1;
                        out.push(Delivery::Outside { place, frame: work.frame.clone() });
                    }
                    Act::ToRepresentor(place) => to_software = Some(place),
                    Act::Jump(to) => {
                        group = to;
                        continue 'groups;
                    }
                    Act::Drop if self.faults.has(Fault::DropIgnored) => {
                        let at_wire = matches!(source, Source::Outside(0));
                        let place = usize::from(at_wire).min(self.ethdevs.len().saturating_sub(1));
                        work.outputs += 1;
                        out.push(Delivery::Outside { place, frame: work.frame.clone() });
                    }
                    Act::Drop => work.dropped = true,
                    other => self.common(other, work),
                }
            }
            return to_software;
        }
    }

    /// Rules on what a representor receives. Whether software gets the frame.
    fn receive(&mut self, place: usize, source: Source, work: &mut Work, out: &mut Vec<Delivery>) -> bool {
        let mut group = 0;
        'groups: while let Some(no) = self.hit(Domain::Ingress(place), group, source, work) {
            for act in self.start(no, work) {
                match act {
                    Act::Jump(to) => {
                        group = to;
                        continue 'groups;
                    }
                    Act::Drop if !self.faults.has(Fault::DropIgnored) => {
                        work.dropped = true;
                        return false;
                    }
                    other => self.common(other, work),
                }
            }
            break;
        }
        let last = self.last_mark.get_mut(place);
        let mut mark = work.mark;
        if let Some(last) = last {
            if mark.is_some() {
                *last = mark;
            } else if self.faults.has(Fault::StaleMark) {
                mark = *last;
            }
        }
        self.stats.to_representors += 1;
        let frame = std::mem::take(&mut work.frame);
        out.push(Delivery::Representor { place, frame, mark, flag: work.flag || mark.is_some() });
        true
    }

    fn hit(&self, domain: Domain, group: u32, source: Source, work: &Work) -> Option<RuleNo> {
        let headers = Headers::parse(&work.frame, self.profile.parser)?;
        self.tables.lookup(domain, group, source, &work.frame, &headers)
    }

    /// Count a hit; the rule's actions.
    fn start(&mut self, no: RuleNo, work: &Work) -> Vec<Act> {
        let times = if self.faults.has(Fault::CounterDoubled) { 2 } else { 1 };
        let Some(installed) = self.rules.get_mut(&no) else { return Vec::new() };
        let acts = installed.rule.acts.clone();
        for act in &acts {
            let count = match act {
                Act::Count => Some(&mut installed.count),
                Act::CountIndirect(handle) => self.counters.get_mut(handle).map(|(count, _)| count),
                _ => None,
            };
            if let Some(count) = count {
                count.packets += times;
                count.bytes += times * work.received;
            }
        }
        acts
    }

    fn common(&self, act: Act, work: &mut Work) {
        match act {
            Act::Edit(edit) => {
                if self.does(edit) {
                    let editor =
                        Editor { limits: self.profile.parser, checksums: !self.faults.has(Fault::ChecksumNotUpdated) };
                    work.changed |= editor.apply(&mut work.frame, edit).is_some();
                }
            }
            Act::Mark(mark) => work.mark = Some(mark),
            Act::Flag => work.flag = true,
            Act::Count
            | Act::CountIndirect(_)
            | Act::Queue
            | Act::Output(_)
            | Act::ToRepresentor(_)
            | Act::Jump(_)
            | Act::Drop => {}
        }
    }

    fn does(&self, edit: Edit) -> bool {
        match edit {
            Edit::PopVlan => !self.faults.has(Fault::VlanNotPopped),
            Edit::DecTtl => !self.faults.has(Fault::DecTtlSkipped),
            Edit::PushVlan(_) => true,
            _ => !self.faults.has(Fault::RewriteSkipped),
        }
    }

    fn output_place(&self, place: usize) -> usize {
        let wrong = usize::from(self.faults.has(Fault::WrongPort));
        (place + wrong) % self.ethdevs.len().max(1)
    }
}
