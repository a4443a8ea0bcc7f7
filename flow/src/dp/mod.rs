//! The datapath language: what the pipeline says, and what software and hardware execute.
//!
//! A [`DpFlow`] is a masked key and a list of [`DpAction`]s. The pipeline makes it ([`Translation`]), the
//! datapath caches it, the offload planner turns it into hardware rules. Whoever executes it reports
//! [`Hits`], and the flow's [`Effect`]s are replayed from them, so that rules, learned addresses and buckets live
//! on whichever way packets go.

mod actions;
mod change;
mod drops;
mod hash;
mod meter;
mod print;
mod slowpath;

pub use actions::*;
pub use change::*;
pub use drops::*;
pub use meter::*;
pub use print::OvsActions;
pub use slowpath::*;
