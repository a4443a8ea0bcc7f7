//! Text against ovs-ofctl, and against itself.

mod actions_table;
mod corpus;
mod dialects;
mod fields_table;
mod groups;
mod matches;
mod oracle;
mod properties;
mod random_actions;
mod switch;
