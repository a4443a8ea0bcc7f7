//! What happens to frames when the engine is started anew around a NIC that goes on, and when the NIC misbehaves.
//!
//! * [`rig`]: a NIC that the test owns, and switches around it. `restart`: one switch after the other. `device`: each trouble that
//!   a device can make, with frames.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod device;
mod restart;
mod rig;
mod slow;
