//! The crates use each other only as docs/adr/0001 says.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Crate and what it may use, read from the table of the record.
fn allowed() -> BTreeMap<String, BTreeSet<String>> {
    let text = std::fs::read_to_string(root().join("docs/adr/0001-crates-and-arrows.md")).unwrap();
    let mut all = BTreeSet::new();
    let mut rows = BTreeMap::new();
    for line in text.lines().filter(|l| l.starts_with("| `")) {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let name = cells[0].trim_matches('`').to_owned();
        let may: BTreeSet<String> = match cells[2] {
            "nothing of ours" => BTreeSet::new(),
            "all above" => all.clone(),
            list => list.split(", ").map(str::to_owned).collect(),
        };
        all.insert(name.clone());
        rows.insert(name, may);
    }
    rows
}

fn manifests() -> BTreeMap<String, toml::Table> {
    let workspace: toml::Table = std::fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let members = workspace["workspace"]["members"].as_array().unwrap();
    members
        .iter()
        .map(|m| {
            let name = m.as_str().unwrap().to_owned();
            let text = std::fs::read_to_string(root().join(&name).join("Cargo.toml")).unwrap();
            (name, text.parse().unwrap())
        })
        .collect()
}

#[test]
fn no_crate_uses_another_than_the_record_allows() {
    let allowed = allowed();
    let manifests = manifests();
    assert_eq!(allowed.keys().collect::<Vec<_>>(), manifests.keys().collect::<Vec<_>>(), "record and workspace");
    let mut arrows = 0;
    for (name, manifest) in &manifests {
        for kind in ["dependencies", "build-dependencies", "dev-dependencies"] {
            let Some(table) = manifest.get(kind).and_then(|t| t.as_table()) else { continue };
            for used in table.keys().filter(|k| manifests.contains_key(*k)) {
                let free = kind == "dev-dependencies" && (used == "mocks" || allowed["mocks"].contains(used));
                assert!(free || allowed[name].contains(used), "{name} -> {used} ({kind})");
                arrows += 1;
            }
        }
    }
    assert!(arrows > 20, "only {arrows} arrows found: does the test still read the manifests?");
}

#[test]
fn crates_that_may_hold_unsafe_code_are_the_named_ones() {
    let may = ["dpdk-sys", "dpdk", "rte-flow-rs", "datapath"];
    for name in manifests().keys().filter(|n| !may.contains(&n.as_str())) {
        for file in ["src/lib.rs", "src/main.rs"].map(|f| root().join(name).join(f)) {
            if let Ok(text) = std::fs::read_to_string(&file) {
                assert!(text.contains("#![forbid(unsafe_code)]"), "{}", file.display());
            }
        }
    }
}
