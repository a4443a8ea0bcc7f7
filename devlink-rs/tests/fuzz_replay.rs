//! What the fuzz targets `netlink` and `devlink` start from, and what they found once.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "../../fuzz/checks/devlink.rs"]
mod devlink;
#[path = "../../fuzz/checks/netlink.rs"]
mod netlink_bytes;

use std::path::Path;

fn replay(target: &str, check: fn(&[u8])) -> usize {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let folders = ["seeds", "regressions"].map(|kind| fuzz.join(kind).join(target));
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    files.map(|file| check(&std::fs::read(file.unwrap().path()).unwrap())).count()
}

#[test]
fn kept_inputs_hold() {
    assert!(replay("devlink", devlink::check) >= 20);
    assert!(replay("netlink", netlink_bytes::check) >= 10);
}
