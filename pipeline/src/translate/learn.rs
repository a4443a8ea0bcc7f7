//! `learn`: the rule that this packet makes.

use super::Walk;
use crate::learn::is_same;
use flow::action::{Learn, LearnSource, LearnTarget};
use flow::dp::{Dep, Effect, LearnedRule};
use flow::rule::{RuleFlags, RuleSpec};
use flow::{Action, FieldId, Match, OfPort, Value};
use std::sync::Arc;

impl<'a> Walk<'a> {
    pub(super) fn learn(&mut self, learn: &Learn) {
        let rule = self.learned_rule(learn);
        self.detail(|_| written(&rule));
        let room = learn.limit == 0 || self.has_room(learn, &rule);
        if let Some(to) = &learn.result {
            self.packet.write(to, Value::from(u8::from(room)));
        }
        if room {
            let goes_with_learner = learn.delete_learned;
            let learned = LearnedRule { bridge: self.bridge.id, rule, goes_with_learner, limit: learn.limit };
            self.effects.push(Effect::Learn(Arc::new(learned)));
        } else {
            self.detail(|_| "Limit exceeded, learn failed".to_owned());
        }
    }

    /// The rule, of a packet whose source fields are looked at here.
    fn learned_rule(&mut self, learn: &Learn) -> RuleSpec {
        let (mut matching, mut actions) = (Match::default(), Vec::new());
        for spec in &learn.specs {
            let value = match &spec.source {
                LearnSource::Field(from) => self.packet.read(from),
                LearnSource::Immediate(value) => *value,
            };
            match &spec.target {
                LearnTarget::Match(to) => {
                    let (had, bits) = matching.get(to.field);
                    // NXM_OF_IN_PORT names 16 of the field's bits; the others are zero and matched too.
                    let mask = if to.field == FieldId::InPort { to.field.def().ones().0 } else { to.mask().0 };
                    let value = had.0 & !mask | value.0 << to.first & mask;
                    matching.set(to.field, Value(value), Value(bits.0 | mask));
                }
                LearnTarget::Load(to) => {
                    let mask = to.mask();
                    let value = Value(value.0 << to.first & mask.0);
                    actions.push(Action::Load { field: to.field, value, mask });
                }
                LearnTarget::Output => {
                    let reserved = [OfPort::IN_PORT, OfPort::FLOOD, OfPort::LOCAL, OfPort::ALL];
                    let port = u16::try_from(value.0).map(OfPort);
                    if let Some(port) = port.ok().filter(|p| *p < OfPort::MAX || reserved.contains(p)) {
                        actions.push(Action::Output(port));
                    }
                }
            }
        }
        let flags = if learn.send_flow_rem { RuleFlags::SEND_FLOW_REM } else { RuleFlags::empty() };
        RuleSpec {
            table: learn.table,
            priority: learn.priority,
            matching,
            actions,
            cookie: learn.cookie,
            idle_timeout: learn.idle_timeout,
            hard_timeout: learn.hard_timeout,
            importance: 0,
            flags,
        }
    }

    /// Whether the rule is there as it is, or fewer than the limit of this action's cookie are: what replay will find.
    fn has_room(&mut self, learn: &Learn, rule: &RuleSpec) -> bool {
        self.depend(Dep::Table(self.bridge.id, learn.table));
        // Any rule of that table counts, whatever it matches.
        self.written.get_or_insert_default().0.words_mut().fill([0xff; 8]);
        let Some(table) = self.bridge.table(learn.table) else { return true };
        if table.get(&rule.matching, rule.priority).is_some_and(|there| is_same(there, rule)) {
            return true;
        }
        let limit = learn.limit as usize;
        let all = Match::default();
        table.within(&all).filter(|r| r.spec.cookie == learn.cookie).take(limit).count() < limit
    }
}

/// A learned rule as ofproto/trace writes it.
fn written(rule: &RuleSpec) -> String {
    let mut out = format!("table={}", rule.table);
    let matching = flow::text::format_match(&rule.matching, flow::rule::DEFAULT_PRIORITY);
    if !matching.is_empty() {
        out = format!("{out} {matching}");
    }
    out = format!("{out} priority={}", rule.priority);
    if rule.cookie != 0 {
        out = format!("{out} cookie={:#x}", rule.cookie);
    }
    for (name, seconds) in [("idle", rule.idle_timeout), ("hard", rule.hard_timeout)] {
        if seconds != 0 {
            out = format!("{out} {name}={seconds}");
        }
    }
    if rule.flags.contains(RuleFlags::SEND_FLOW_REM) {
        out.push_str(" send_flow_rem");
    }
    format!("{out} actions={}", flow::text::format_actions(&rule.actions))
}
