//! Text against ovs-ofctl, and against itself.

mod corpus;
mod oracle;
mod properties;
