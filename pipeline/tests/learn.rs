//! What packets make with `learn`: a rule, refreshed, changed, limited, gone with the rule that learns.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use flow::action::Learn;
use flow::clock::{Clock, VirtualClock};
use flow::dp::{BridgeId, Dep, Effect, Hits, LearnedRule, Slowpath};
use flow::rule::RuleSpec;
use flow::{Action, FieldId, Match, OfPort, Value};
use pipeline::{Config, FailMode, Overflow, Pipeline, RemoveReason, RuleChange, RuleEntry, Select, TableConfig};
use std::sync::Arc;
use std::time::Duration;

struct Rig {
    clock: Arc<VirtualClock>,
    p: Pipeline,
    bridge: BridgeId,
}

fn learned(mac: u64, port: u16) -> RuleSpec {
    let mut matching = Match::default();
    matching.set_exact(FieldId::EthDst, Value::from(mac));
    RuleSpec {
        table: 10,
        priority: 5,
        matching,
        actions: vec![Action::Output(OfPort(port))],
        cookie: 7,
        hard_timeout: 10,
        ..RuleSpec::default()
    }
}

impl Rig {
    fn new() -> Rig {
        let clock = Arc::new(VirtualClock::default());
        clock.advance(Duration::from_secs(100));
        let p = Pipeline::new(clock.clone(), Config::default());
        let bridge = p.add_bridge("br0", FailMode::Secure).unwrap();
        Rig { clock, p, bridge }
    }

    /// A packet that came so many seconds ago teaches this.
    fn learn(&self, rule: RuleSpec, goes_with_learner: bool, limit: u32, ago: u64) {
        let effect = Effect::Learn(Arc::new(LearnedRule { bridge: self.bridge, rule, goes_with_learner, limit }));
        let used = flow::clock::Time(self.clock.now().0 - ago * 1_000_000_000);
        self.p.replay(&[effect], &Hits { packets: 1, bytes: 60, used });
    }

    fn rules(&self) -> Vec<RuleEntry> {
        let select = Select { table: Some(10), ..Select::default() };
        self.p.dump(self.bridge, &select).unwrap()
    }

    fn wait(&self, seconds: u64) -> Vec<RemoveReason> {
        self.clock.advance(Duration::from_secs(seconds));
        self.p.expire(self.clock.now()).iter().map(|r| r.reason).collect()
    }
}

#[test]
fn packets_make_and_refresh_rules_and_what_is_the_same_changes_nothing() {
    let r = Rig::new();
    r.learn(learned(1, 1), false, 0, 0);
    let (epoch, first) = (r.p.epoch(), r.rules());
    assert_eq!(first[0].spec, learned(1, 1));
    let mut changes = Vec::new();
    r.p.take_changes(&mut changes);
    assert!(changes.iter().any(|c| c.dep == Dep::Table(r.bridge, 10)));
    changes.clear();
    // Six seconds later another packet: the hard timeout starts anew, and nothing else happens.
    assert_eq!(r.wait(6), []);
    r.learn(learned(1, 1), false, 0, 0);
    r.p.take_changes(&mut changes);
    assert_eq!((r.p.epoch(), changes.len()), (epoch, 0));
    assert_eq!(r.wait(6), []);
    assert_eq!(r.wait(4), [RemoveReason::HardTimeout]);
    // No packet, no rule.
    let effect = Effect::Learn(Arc::new(LearnedRule {
        bridge: r.bridge,
        rule: learned(1, 1),
        goes_with_learner: false,
        limit: 0,
    }));
    r.p.replay(&[effect], &Hits::default());
    assert_eq!(r.rules().len(), 0);
    r.learn(learned(1, 1), false, 0, 0);
    assert_eq!(r.rules().len(), 1, "the next packet makes it again");
    assert_eq!(r.p.learn_stats().learned, 2);
}

#[test]
fn other_actions_take_the_place_unless_the_report_is_late() {
    let r = Rig::new();
    r.learn(learned(1, 1), false, 0, 0);
    let id = r.rules()[0].id;
    r.p.replay(&[Effect::Rule(id)], &Hits { packets: 9, bytes: 540, used: r.clock.now() });
    r.clock.advance(Duration::from_secs(2));
    r.learn(learned(1, 2), false, 0, 0);
    let now = r.rules();
    assert_eq!((now.len(), &now[0].spec.actions[..], now[0].stats.packets), (1, &[Action::Output(OfPort(2))][..], 9));
    // From before the move, reported after it.
    r.learn(learned(1, 1), false, 0, 1);
    assert_eq!(r.rules()[0].spec.actions, [Action::Output(OfPort(2))]);
}

#[test]
fn no_more_than_the_limit_of_one_cookie() {
    let r = Rig::new();
    (1..=5).for_each(|mac| r.learn(learned(mac, 1), false, 3, 0));
    assert_eq!(r.rules().len(), 3);
    r.learn(learned(2, 1), false, 3, 0);
    let other = RuleSpec { cookie: 8, ..learned(9, 1) };
    r.learn(other, false, 3, 0);
    assert_eq!(r.rules().len(), 4);
    let stats = r.p.learn_stats();
    assert_eq!((stats.learned, stats.limited, stats.refused), (4, 2, 0));
    // A full table refuses.
    let config = TableConfig { limit: Some(4), overflow: Overflow::Refuse, ..TableConfig::default() };
    r.p.set_table_config(r.bridge, 10, config).unwrap();
    r.learn(RuleSpec { cookie: 8, ..learned(20, 1) }, false, 0, 0);
    assert_eq!(r.p.learn_stats().refused, 1);
}

#[test]
fn what_was_learned_goes_with_the_last_rule_that_learns_it() {
    let r = Rig::new();
    let learn = Learn {
        table: 10,
        priority: 5,
        cookie: 7,
        idle_timeout: 0,
        hard_timeout: 10,
        fin_idle_timeout: 0,
        fin_hard_timeout: 0,
        send_flow_rem: false,
        delete_learned: true,
        limit: 0,
        result: None,
        specs: Vec::new(),
    };
    let learner =
        |priority| RuleSpec { priority, actions: vec![Action::Learn(Box::new(learn.clone()))], ..RuleSpec::default() };
    let adds = [1, 2].map(|p| RuleChange::Add { bridge: r.bridge, rule: learner(p) });
    r.p.apply(&adds).unwrap();
    r.learn(learned(1, 1), true, 0, 0);
    r.learn(RuleSpec { cookie: 8, ..learned(2, 1) }, false, 0, 0);
    let delete = |p| RuleChange::Delete { bridge: r.bridge, select: Select::exactly(&learner(p)) };
    assert_eq!(r.p.apply(&[delete(1)]).unwrap().removed.len(), 1, "another rule still learns it");
    assert_eq!(r.p.apply(&[delete(2)]).unwrap().removed.len(), 2);
    assert_eq!(r.rules().iter().map(|e| e.spec.cookie).collect::<Vec<_>>(), [8]);
    // Packets that were on their way teach nothing any more.
    r.learn(learned(1, 1), true, 0, 0);
    assert_eq!(r.rules().len(), 1);
}
