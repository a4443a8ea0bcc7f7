//! What the fuzz target `translate` starts from, and what it found once.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "../../fuzz/checks/translate.rs"]
mod translate;

use std::path::Path;

#[test]
fn kept_inputs_hold() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let mut replayed = 0;
    for folder in ["seeds/translate", "regressions/translate"] {
        for entry in std::fs::read_dir(fuzz.join(folder)).unwrap() {
            translate::check(&std::fs::read(entry.unwrap().path()).unwrap());
            replayed += 1;
        }
    }
    assert!(replayed >= 7);
}
