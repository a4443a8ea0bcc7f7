//! What happens to the switch between and during its packets.

use crate::rig::{ENDS, PORTS};
use flow::group::GroupSpec;
use flow::meter::{Band, BandKind, MeterSpec, MeterUnit};
use flow::rule::RuleSpec;
use flow::{Action, OfPort};
use pipeline::VlanMode;
use pipeline::testing::{Language, Rng, RuleGen, RuleOptions, TestPort};

/// One change. Places are those of outside ends.
#[derive(Clone, Debug)]
pub enum Change {
    Add(RuleSpec),
    Delete(RuleSpec),
    Modify(RuleSpec, Vec<Action>),
    Group(GroupSpec),
    /// One that never limits: it counts.
    Meter {
        spec: MeterSpec,
        new: bool,
    },
    Up(usize, bool),
    Vlan(usize, VlanMode),
    /// All learned addresses go.
    Forget,
    Unplug(usize),
    Plug(usize),
    Offload(bool),
    Rebalance,
}

impl Change {
    /// For counts.
    pub fn name(&self) -> &'static str {
        match self {
            Change::Add(_) | Change::Delete(_) | Change::Modify(..) => "rules",
            Change::Group(_) => "groups",
            Change::Meter { .. } => "meters",
            Change::Up(..) | Change::Vlan(..) => "port settings",
            Change::Forget => "flushes of addresses",
            Change::Unplug(_) | Change::Plug(_) => "ports plugged and unplugged",
            Change::Offload(_) => "offload switched",
            Change::Rebalance => "rebalances",
        }
    }
}

/// The meter of some rules.
const METER: u32 = 7;

/// A meter that counts and does not limit. Each `n` is another.
pub fn meter(n: u32) -> MeterSpec {
    let band = Band { kind: BandKind::Drop, rate: 4_000_000_000 - n, burst_size: 0 };
    MeterSpec { id: METER, unit: MeterUnit::Pktps, burst: false, stats: true, bands: vec![band] }
}

/// How a port may treat VLANs.
fn vlan_mode(rng: &mut Rng) -> VlanMode {
    match rng.below(5) {
        0 => VlanMode::Access(10),
        1 => VlanMode::Trunk([10, 20].into_iter().collect()),
        2 => VlanMode::NativeUntagged { native: 20, trunks: [30].into_iter().collect() },
        3 => VlanMode::NativeTagged { native: 10, trunks: [20, 30].into_iter().collect() },
        _ => VlanMode::default(),
    }
}

/// Where changes come from. It knows what is there, so that none is refused.
pub struct Changes {
    rng: Rng,
    /// What packets learn is not ambiguous while they are under way: no VLAN modes, one rule for NORMAL.
    settled: bool,
    live: Vec<RuleSpec>,
    later: Vec<RuleSpec>,
    /// Rules of the beginning.
    pub rules: Vec<RuleSpec>,
    /// All rules that will ever be there.
    pub all: Vec<RuleSpec>,
    pub groups: Vec<GroupSpec>,
    pub ports: Vec<TestPort>,
    plugged: [bool; ENDS],
    offload: bool,
    next_cookie: u64,
    next_meter: u32,
}

impl Changes {
    /// Of a seed.
    pub fn new(seed: u64, settled: bool) -> Changes {
        let mut rng = Rng::new(seed ^ 0x50a4);
        let options = RuleOptions {
            tables: 1 + rng.below(4) as u8,
            normal: !settled && rng.percent(85),
            controller: rng.percent(30),
            unchecked_sets: rng.percent(15),
        };
        let mut generator = RuleGen::with_options(seed, options);
        let (mut all, groups) = if rng.percent(50) {
            let (mut rules, groups) = generator.language(20 + rng.below(60), &PORTS, Language::Modelled);
            // What is learned there is learned in an order that a burst does not have.
            rules.iter_mut().for_each(|rule| forget_learning(&mut rule.actions));
            (rules, groups)
        } else {
            (generator.rules(20 + rng.below(60), &PORTS), Vec::new())
        };
        for rule in &mut all {
            if rule.cookie == 0 && settled {
                rule.actions = vec![Action::Output(OfPort::NORMAL)];
            } else if rule.cookie != 0 && rng.percent(10) {
                rule.actions.insert(0, Action::Meter(METER));
            }
        }
        let (later, rules): (Vec<_>, Vec<_>) = all.iter().cloned().partition(|r| r.cookie != 0 && rng.percent(30));
        let port = |number: &OfPort| TestPort { number: *number, vlan: VlanMode::default(), flood: true, up: true };
        Changes {
            settled,
            live: rules.clone(),
            later,
            rules,
            groups,
            ports: PORTS.iter().map(port).collect(),
            plugged: [true; ENDS],
            offload: true,
            next_cookie: 1 + all.iter().map(|r| r.cookie).max().unwrap_or_default(),
            next_meter: 1,
            all,
            rng,
        }
    }

    /// The next change.
    pub fn next_change(&mut self) -> Change {
        loop {
            if let Some(change) = self.propose() {
                return change;
            }
        }
    }

    fn rule(&mut self) -> Option<usize> {
        let at = self.rng.below(self.live.len());
        self.live.get(at).filter(|rule| rule.cookie != 0).map(|_| at)
    }

    fn propose(&mut self) -> Option<Change> {
        // What keeps frames from being forwarded, or from hardware, does not stay for long.
        if !self.offload && self.rng.percent(20) {
            self.offload = true;
            return Some(Change::Offload(true));
        }
        if let Some(place) = self.plugged.iter().position(|there| !there).filter(|_| self.rng.percent(30)) {
            self.plugged[place] = true;
            return Some(Change::Plug(place));
        }
        let down = |(place, port): (usize, &TestPort)| (!port.up && self.plugged[place]).then_some(place);
        if let Some(place) = self.ports.iter().enumerate().find_map(down).filter(|_| self.rng.percent(30)) {
            self.ports[place].up = true;
            return Some(Change::Up(place, true));
        }
        let place = self.rng.below(ENDS);
        Some(match self.rng.below(100) {
            0..20 if !self.later.is_empty() => {
                let mut rule = self.later.swap_remove(self.rng.below(self.later.len()));
                // Its packets are not those that it had when it was there last.
                rule.cookie = self.next_cookie;
                self.next_cookie += 1;
                self.live.push(rule.clone());
                Change::Add(rule)
            }
            20..38 => {
                let at = self.rule()?;
                let rule = self.live.swap_remove(at);
                self.later.push(rule.clone());
                Change::Delete(rule)
            }
            38..56 => {
                let at = self.rule()?;
                let table = self.live[at].table;
                let same: Vec<_> = self.all.iter().filter(|r| r.table == table && r.cookie != 0).collect();
                let actions = same.get(self.rng.below(same.len()))?.actions.clone();
                self.live[at].actions.clone_from(&actions);
                Change::Modify(self.live[at].clone(), actions)
            }
            56..62 if !self.groups.is_empty() => {
                let (_, other) = RuleGen::new(self.rng.number()).language(1, &PORTS, Language::Modelled);
                let at = self.rng.below(self.groups.len());
                let mut group = other.into_iter().find(|g| g.id == self.groups[at].id)?;
                group.buckets.truncate(1 + self.rng.below(3));
                Change::Group(group)
            }
            62..66 => {
                self.next_meter += 1;
                Change::Meter { spec: meter(self.next_meter), new: false }
            }
            66..76 if self.plugged[place] => {
                let port = &mut self.ports[place];
                port.up = !port.up;
                Change::Up(place, port.up)
            }
            76..80 if !self.settled && self.plugged[place] => {
                let mode = vlan_mode(&mut self.rng);
                self.ports[place].vlan = mode.clone();
                Change::Vlan(place, mode)
            }
            80..84 => Change::Forget,
            84..90 => {
                self.plugged[place] = !self.plugged[place];
                if self.plugged[place] { Change::Plug(place) } else { Change::Unplug(place) }
            }
            90..95 => {
                self.offload = !self.offload;
                Change::Offload(self.offload)
            }
            _ => Change::Rebalance,
        })
    }
}

fn forget_learning(actions: &mut Vec<Action>) {
    actions.retain(|action| !matches!(action, Action::Learn(_)));
    for action in actions {
        if let Action::Clone(list) | Action::WriteActions(list) = action {
            forget_learning(list);
        }
    }
}
