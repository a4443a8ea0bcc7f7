//! What the fuzz targets found once, and what they start from.

use crate::check::check;
use std::path::PathBuf;

#[test]
fn fuzz_seeds_and_findings_keep_the_invariants() {
    let fuzz = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let mut replayed = 0;
    for folder in ["seeds/extract", "regressions/extract"] {
        for entry in std::fs::read_dir(fuzz.join(folder)).unwrap() {
            check(&std::fs::read(entry.unwrap().path()).unwrap());
            replayed += 1;
        }
    }
    assert!(replayed > 0, "no seeds in {}", fuzz.display());
}
