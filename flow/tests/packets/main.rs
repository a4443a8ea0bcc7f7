//! Packets: extraction and changes, judged by packets that an independent library builds and parses.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests: a failure is a finding")]

mod build;
mod captures;
mod compiled;
mod details;
mod lies;
mod model;
mod replay;

#[path = "../../../fuzz/checks/packet.rs"]
mod check;
