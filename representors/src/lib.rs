//! representors
