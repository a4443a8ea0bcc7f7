//! Text against ovs-ofctl, and against itself.

mod corpus;
mod matches;
mod oracle;
mod properties;
