//! A bridge with named ports, rules as text, packets as text.

use flow::clock::{Clock, VirtualClock};
use flow::dp::{BridgeId, DpAction, Hits, PuntReason, Resume, Slowpath, Translation};
use flow::text::{format_rule, parse_match, parse_rule};
use flow::{DpPort, FieldId, FlowKey, OfPort, Value};
use pipeline::{Config, FailMode, Pipeline, PortSpec, RuleChange, Select};
use std::sync::Arc;

pub struct Lab {
    pub clock: Arc<VirtualClock>,
    pub pipeline: Pipeline,
    pub bridge: BridgeId,
    names: Vec<(&'static str, OfPort)>,
}

impl Lab {
    /// An empty bridge that starts without rules. Datapath ports have the numbers of their OpenFlow ports.
    pub fn new(bridge: &str, names: &[(&'static str, u16)]) -> Lab {
        let clock = Arc::new(VirtualClock::default());
        let pipeline = Pipeline::new(clock.clone(), Config::default());
        let bridge = pipeline.add_bridge(bridge, FailMode::Secure).unwrap();
        let names: Vec<_> = names.iter().map(|(name, number)| (*name, OfPort(*number))).collect();
        for (name, number) in &names {
            let port = PortSpec { number: Some(*number), ..PortSpec::new(*name, DpPort(number.0.into())) };
            pipeline.add_port(bridge, port).unwrap();
        }
        Lab { clock, pipeline, bridge, names }
    }

    fn names(&self) -> impl Fn(&str) -> Option<OfPort> + '_ {
        |name: &str| self.names.iter().find(|(n, _)| *n == name).map(|(_, number)| *number)
    }

    /// `add-flows`: one a line.
    pub fn add(&self, flows: &str) {
        let names = self.names();
        let rule = |line: &str| parse_rule(line, &names, &mut Vec::new()).unwrap_or_else(|e| panic!("{line}: {e}"));
        let lines = flows.lines().map(str::trim).filter(|l| !l.is_empty());
        let changes: Vec<_> = lines.map(|l| RuleChange::Add { bridge: self.bridge, rule: rule(l) }).collect();
        self.pipeline.apply(&changes).unwrap();
    }

    /// The key of a packet that is written as ofproto/trace takes it: what is not said is zero.
    pub fn packet(&self, text: &str) -> FlowKey {
        let names = self.names();
        parse_match(text, &names).unwrap_or_else(|e| panic!("{text}: {e}")).key
    }

    pub fn translate(&self, text: &str) -> Translation {
        self.pipeline.translate(&Resume::default(), &self.packet(text))
    }

    /// The datapath actions, as `ofproto/trace` without side effects shows them.
    pub fn trace(&self, text: &str) -> String {
        show(&self.translate(text).actions)
    }

    /// The same, and the packet has its effects: `-generate`.
    pub fn generate(&self, text: &str) -> String {
        let translation = self.translate(text);
        let hits = Hits { packets: 1, bytes: 60, used: self.clock.now() };
        self.pipeline.replay(&translation.effects, &hits);
        show(&translation.actions)
    }

    /// The rules of a table, sorted, without statistics.
    pub fn dump(&self, table: u8) -> Vec<String> {
        let select = Select { table: Some(table), ..Select::default() };
        let mut all: Vec<_> =
            self.pipeline.dump(self.bridge, &select).unwrap().iter().map(|e| format_rule(&e.spec)).collect();
        all.sort();
        all
    }
}

/// Datapath actions in the documents' form, where there is one.
pub fn show(actions: &[DpAction]) -> String {
    let one = |action: &DpAction| match action {
        DpAction::Output(port) => port.0.to_string(),
        DpAction::PushVlan(tag) => format!("push_vlan(vid={},pcp={})", tag.vid(), tag.tci.get() >> 13),
        DpAction::PopVlan => "pop_vlan".to_owned(),
        DpAction::Punt(PuntReason::Controller { max_len, .. }) => format!("controller({max_len})"),
        DpAction::Drop(_) => "drop".to_owned(),
        DpAction::Set { field: FieldId::VlanVid, value, mask } if mask.0 & 0xfff == 0xfff => {
            format!("set(vlan(vid={}))", value.0 & 0xfff)
        }
        DpAction::Set { field: FieldId::EthSrc, value, .. } => format!("set(eth(src={}))", mac(*value)),
        DpAction::Set { field: FieldId::EthDst, value, .. } => format!("set(eth(dst={}))", mac(*value)),
        other => other.to_string(),
    };
    actions.iter().map(one).collect::<Vec<_>>().join(",")
}

fn mac(value: Value) -> String {
    value.mac().map(|b| format!("{b:02x}")).join(":")
}

/// Check that `text` has these lines, in this order, with anything between.
pub fn has_lines(text: &str, lines: &[&str]) {
    let mut rest = text.lines();
    for line in lines {
        assert!(rest.any(|l| l.trim_end() == *line), "no (more) line {line:?} in:\n{text}");
    }
}
