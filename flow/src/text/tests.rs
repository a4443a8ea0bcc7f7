//! Text against ovs-ofctl, and against itself.

mod corpus;
mod fields_table;
mod matches;
mod oracle;
mod properties;
