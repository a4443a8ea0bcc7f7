//! What the fuzz target for rules found once, and what it starts from.

#[path = "../../fuzz/checks/rule.rs"]
mod check;

use std::path::PathBuf;

#[test]
fn fuzz_seeds_and_findings_of_rules_keep_the_invariants() {
    let fuzz = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let mut replayed = 0;
    for folder in ["seeds/rule_parser", "regressions/rule_parser"] {
        for entry in std::fs::read_dir(fuzz.join(folder)).unwrap() {
            check::check(&std::fs::read(entry.unwrap().path()).unwrap());
            replayed += 1;
        }
    }
    assert!(replayed > 0, "no seeds in {}", fuzz.display());
}
