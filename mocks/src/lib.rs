//! mocks

pub mod kernel;
