//! Hardware and software do the same: one switch with offload and one without see the same frames, frame by frame, and must
//! write the same frames in the same order at each outside end, count the same for each rule, and learn the same.
//!
//! * [`rig`]: a switch on a mock NIC in lockstep, as the daemon makes it, without the daemon; what came of a run, and comparing two.
//! * [`case`]: random cases from a seed: rules, packets that meet them, and changes in the middle of the traffic.
//! * [`learning`]: rules that packets make, in some cases. `lag`: a bug that nothing but these notice.
//! * `captures`: real traffic. `random`: the cases on every profile. `faults`: each bug that can be planted in the NIC is caught by
//!   the same cases. `fresh`: what the caches do is what a fresh translation says. `cut`: frames that end early.
//!
//! The NIC executes lowered rules with code of its own (crate `mocks`), and rule counters are held against a linear reading of
//! the rules (`pipeline::testing::Model`), so neither side is judged by itself.
//!
//! A failure names the seed of its case. `EQUIVALENCE_SEEDS=1000..20000 cargo test -p manager --test equivalence
//! random` runs others.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod captures;
mod case;
mod chaos;
mod concurrent;
mod cut;
mod faults;
mod fresh;
mod groups;
mod lag;
mod learning;
mod limits;
mod many;
mod meters;
mod random;
mod rig;
mod traffic;
