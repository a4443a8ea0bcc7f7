//! The way of a flow into hardware.
//!
//! What is here:
//!
//! * [`plan()`] is **pure**: a datapath flow and a [`World`] (what each port's device can do, and where the port
//!   is) give a [`Plan`]: all of the flow in hardware, its match in hardware and its actions in software (by
//!   mark), or software with typed [`Refusal`]s. It does no I/O and reads no clock, so it is tested by
//!   enumeration and against software.
//! * [`Engine`] executes plans: it takes flows from the datapath ([`flow::dp::FlowListener`], never blocking),
//!   puts programs in and takes them out through a [`Backend`], reads counters and reports their deltas to a
//!   [`HitSink`], and keeps for every flow why it is where it is.
//! * [`rte_flow`] is the backend for DPDK devices: it lowers an [`HwRule`] to rte_flow items and actions. Other
//!   backends (TC flower) implement the same [`Backend`].
//!
//! # Threads
//! The engine has one thread ([``Engine::spawn`) that calls [`Engine::step`]; lockstep runs and tests call
//! `step` themselves. Flows arrive through a lock-free queue from any thread. Everything else takes the
//! engine's one lock, held for at most one step, whose work is bounded by [`EngineConfig::batch`].
//! Sinks are called with that lock held: they must not call the engine except as a `FlowListener`.
//!
//! # Invariants
//! * A rule never matches a packet that its flow's mask does not match; it may match fewer (a NIC looks only at
//!   well-formed headers), and what it misses is switched by software with the same result.
//! * A program is in hardware as a whole or not at all: guards go in before the rule they guard and come out
//!   after it.
//! * Whose place in hardware is wanted by others is taken from it by rates, priorities and a bounded number a second.
//! * What hardware has is idle only for time of which a successful reading says so ([`HitSink::hardware_read`]).
//! * A device's trouble moves flows to software, with a reason, and back when it is over.
//! * Every flow that was removed gets exactly one [`HitSink::hardware_gone`], after its last hits.
//! * A counter that went backwards is an anomaly that is counted, never a hit.
#![forbid(unsafe_code)]

pub mod backend;
pub mod caps;
pub mod engine;
mod example;
pub mod names;
pub mod numbered;
pub mod plan;
pub mod refusal;
pub mod rte_flow;
pub mod rule;
mod text;
pub mod world;

#[cfg(test)]
mod testing;

pub use backend::{
    Adopted, Backend, Completion, Cookie, Counters, DeviceError, DeviceErrorKind, DeviceKey, Done, MeterCounts, Op,
    OpId, RuleKey,
};
pub use caps::{
    Capabilities, CapabilityFile, CapabilityTable, CounterKind, DecTtl, FieldCaps, FieldSet, Limits, MaskCap,
    PartialCaps, TransferCaps, VlanAbsent,
};
pub use engine::{
    Demotion, DemotionId, DeviceHealth, Engine, EngineConfig, EngineStatus, EngineThread, FenceTicket, FlowRank,
    FlowRate, FlowStatus, HitSink, Hot, Placement, Policy, PortStatus, RuleStatus, TableUse, Which,
};
pub use names::{Names, Numbers, Told};
pub use numbered::Numbered;
pub use plan::{Change, Explained, Step, StepOf, Where, explain, fall_back, plan, plan_translated, what_would_help};
pub use refusal::{MeterObstacle, PortRefusal, REASONS, Reason, Refusal, Refusals, Subject};
pub use rte_flow::{RteFlowBackend, RteFlowMemory};
pub use rule::{
    Bits, HwAction, HwMatch, HwProgram, HwRule, InnerTag, L3Match, L4Match, Plan, RuleRole, RuleShape, Table, VlanMatch,
};
pub use world::{Admission, Admitted, EswitchDomain, EthdevId, PortInfo, PortKind, WantedMeter, World};
