//! How many rules a second go from the offload engine's backend into the model, on one thread: by templates and by single calls.
//!
//! `cargo run --release -p mocks --example inserts [RULES]` prints one line a way: inserts a second, and of the backend alone with the
//! rules made before.

use mocks::nic::{Eswitch, Faults, MockRteFlow, Profile};
use offload::{
    Backend, Bits, Done, EthdevId, HwAction, HwMatch, HwRule, L3Match, L4Match, Op, OpId, RteFlowBackend, RuleKey,
    RuleRole, Table,
};
use std::sync::Arc;
use std::time::Instant;

const ETHDEVS: [u16; 2] = [10, 11];
const BATCH: usize = 256;

fn rule(n: u32) -> HwRule {
    let exact = |value| Bits { value, mask: u16::MAX };
    let l3 = L3Match::Ipv4 {
        src: Bits { value: 0x0a00_0000 | n >> 4, mask: u32::MAX },
        dst: Bits { value: 0x0b00_0000 | n, mask: u32::MAX },
        proto: Some(6),
        tos: Bits::default(),
        ttl: Bits::default(),
        fragment: Bits { value: 0, mask: 0x3fff },
    };
    HwRule {
        role: RuleRole::Main,
        table: Table::Transfer { group: 0, priority: 1 },
        port: EthdevId(ETHDEVS[0]),
        matches: HwMatch {
            eth_dst: Bits { value: [2, 0, 0, 0, 0, 1], mask: [0xff; 6] },
            eth_type: Some(0x0800),
            l3,
            l4: L4Match::Tcp { src: exact(n as u16), dst: exact(443), flags: Bits::default() },
            ..HwMatch::default()
        },
        actions: [HwAction::Output(EthdevId(ETHDEVS[1]))].into_iter().collect(),
        encap: None,
        count: true,
    }
}

fn run(rules: u32, templates: bool) -> Result<f64, String> {
    let mut profile = Profile::named("full").map_err(|e| e.to_string())?;
    profile.max_rules = rules as usize;
    let nic = MockRteFlow::of(Eswitch::new(profile, ETHDEVS.to_vec(), Faults::none(), 0));
    let backend = RteFlowBackend::new(Box::new(nic.clone()));
    let mut backend = if templates { backend } else { backend.without_templates() };
    let ops: Vec<Op> = (0..rules)
        .map(|n| Op::Insert { id: OpId(u64::from(n) + 1), key: RuleKey(n.into()), rule: Arc::new(rule(n)) })
        .collect();
    let (mut taken, mut done, mut ends) = (0, Vec::new(), 0);
    let start = Instant::now();
    while ends < ops.len() {
        let end = (taken + BATCH).min(ops.len());
        taken += backend.submit(&ops[taken..end]);
        backend.poll(&mut done);
        for completion in done.drain(..) {
            match completion.result {
                Ok(Done::Inserted) => ends += 1,
                other => return Err(format!("{other:?}")),
            }
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    match nic.with(|nic| nic.rule_count()) {
        all if all == ops.len() => Ok(f64::from(rules) / seconds),
        some => Err(format!("{some} of {rules} rules are in")),
    }
}

fn main() -> Result<(), String> {
    let rules = std::env::args().nth(1).map_or(Ok(200_000), |n| n.parse()).map_err(|e| format!("RULES: {e}"))?;
    for (name, templates) in [("templates", true), ("single", false)] {
        let mut rates = Vec::new();
        for _ in 0..3 {
            rates.push(run(rules, templates)?);
        }
        rates.sort_by(f64::total_cmp);
        println!("{name}: {:.0} inserts/s (best of 3: {:.0}; {rules} rules)", rates[1], rates[2]);
    }
    Ok(())
}
