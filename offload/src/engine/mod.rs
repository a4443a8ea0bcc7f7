//! The engine's reports.

mod report;

pub use report::{EngineStatus, FlowStatus, HitSink, Placement, TableUse};
