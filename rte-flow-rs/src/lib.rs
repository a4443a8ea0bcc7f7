//! rte-flow-rs
