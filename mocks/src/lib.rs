//! Stand-ins for hardware and kernel that are real enough to judge the rest by.
//!
//! - [`nic`]: a **mock SmartNIC**, an embedded switch in software. Only its representors are DPDK ports (rings); the outside
//!   ends (wire, VFs) are plain queues to inject frames at and to collect them from. It gets its flow rules as the lowered
//!   C structures of [`rte_flow_rs::RteFlowApi`] and executes them with a parser, rewrites and checksum arithmetic of its
//!   own, so it is an independent oracle for lowering, planner and datapath. [`nic::Profile`] says what it can do,
//!   [`nic::Faults`] what is wrong with it.
//! - [`captures`]: small captures of real traffic to run through it.
//! - [`kernel`]: a fake kernel on the other side of netlink.
//!
//! # The way of a frame in the mock NIC
//! From an outside end: transfer rules of its source → a hit is executed there, whole. A miss, or a rule that says
//! so, gives the frame to the representor of the end where it came in, past the ingress rules of that representor,
//! which can mark it: mark and flag are in the real mbuf fields. From a representor (sent by software): transfer
//! rules that match all sources or this one; otherwise out at the end. Frames shorter than an Ethernet header match
//! no rule.
//!
//! # Threads
//! Packets move only in [`nic::MockNic::step`], on one thread, always in the same order; rule calls and the handles of outside ends
//! come from any thread and take the model's lock for one call or one frame.
//!
//! # Invariants
//! - Nothing is lost silently: `frames_in = hardware + partial + software`, each frame exactly once; frames lost at full queues are
//!   counted by name.
//! - A NIC without planted faults matches no packet that the DPDK guide says a rule does not match. It may match fewer: headers that are
//!   cut off or lie about lengths do not exist for it, and such a miss is software's.
//! - What it rewrites, checksums that were wrong before included, has the bytes that [RFC 1624](https://www.rfc-editor.org/rfc/rfc1624)
//!   equation 3 gives.
//! - When a device dies, its rules are gone and all packets go to the representors.
//! - Same seed, same calls, same frames: same result.
#![forbid(unsafe_code)]

pub mod captures;
pub mod kernel;
pub mod nic;
