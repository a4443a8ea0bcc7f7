//! What must hold for any text as a rule. Shared by the fuzz target and the replay of its findings. Panics when
//! something does not hold.

use flow::OfPort;
use flow::text::{
    RuleStats, format_dump, format_rule, parse_filter, parse_flow, parse_flow_noting, parse_flows, parse_match,
};

/// Check everything on one text.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let ports = |name: &str| (name == "vf0").then_some(OfPort(7));

    let _ = parse_flows(text, &ports);
    let _ = parse_match(text, &ports);
    let _ = parse_filter(text, true, &ports);
    if let Ok(filter) = parse_filter(text, false, &ports) {
        // A filter selects; on what, is a matter of other tests.
        let _ = filter.selects(&flow::rule::RuleSpec::default());
    }

    let mut notes = Vec::new();
    let noting = parse_flow_noting(text, &ports, &mut notes);
    let parsed = parse_flow(text, &ports);
    assert_eq!(parsed.as_ref().ok(), noting.as_ref().ok(), "notes change nothing");
    for note in &notes {
        assert!(!note.to_string().is_empty());
    }
    match parsed {
        Err(refusal) => assert!(!refusal.to_string().is_empty()),
        Ok(rule) => {
            let dump = format_dump(&rule, &RuleStats::default());
            let again = parse_flow(&dump, &ports);
            assert_eq!(again.as_ref().ok(), Some(&rule), "{dump:?} read again: {again:?}");
            assert!(!format_rule(&rule).contains('\n'));
        }
    }
}
