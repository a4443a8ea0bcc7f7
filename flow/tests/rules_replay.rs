//! What the fuzz targets for rules, groups and meters found once, and what they start from.

#[path = "../../fuzz/checks/group_meter.rs"]
mod group_meter;
#[path = "../../fuzz/checks/rule.rs"]
mod rule;

use std::path::PathBuf;

/// All inputs of a target.
fn inputs(target: &str) -> std::io::Result<Vec<Vec<u8>>> {
    let fuzz = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let mut inputs = Vec::new();
    for folder in ["seeds", "regressions"] {
        for entry in std::fs::read_dir(fuzz.join(folder).join(target))? {
            inputs.push(std::fs::read(entry?.path())?);
        }
    }
    Ok(inputs)
}

#[test]
fn fuzz_seeds_and_findings_of_rules_keep_the_invariants() {
    let inputs = inputs("rule_parser").unwrap();
    assert!(!inputs.is_empty());
    inputs.iter().for_each(|input| rule::check(input));
}

#[test]
fn fuzz_seeds_and_findings_of_groups_and_meters_keep_the_invariants() {
    let inputs = inputs("group_meter_parser").unwrap();
    assert!(!inputs.is_empty());
    inputs.iter().for_each(|input| group_meter::check(input));
}
