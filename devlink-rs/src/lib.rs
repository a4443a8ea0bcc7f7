//! devlink-rs
