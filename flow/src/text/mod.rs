//! The text of matches, actions and rules, as ovs-ofctl(8) and ovs-fields(7) define it.
//!
//! Reading ([`parse_flow`], [`parse_filter`]) follows Open vSwitch 3.1 with OpenFlow 1.4: what ovs-ofctl refuses is
//! refused, what it takes means the same. Where it silently drops a field, cuts a number or skips the end of a
//! value, so does this, with a [`Note`]. Fields and actions that Open vSwitch has beyond this crate's are refused by
//! name. Where a text is taken or refused otherwise than by ovs-ofctl, or printed otherwise, is a list with reasons in
//! the tests (`corpus/differences.rs`); the guide shows it below the table of fields.
//!
//! Writing ([`format_rule`], [`format_dump`]) gives the text of `ovs-ofctl parse-flows` and `dump-flows`. A rule that
//! was read, written as a dump and read again is the same rule.

mod actions;
mod context;
mod error;
mod format;
mod group;
mod lex;
mod matches;
mod megaflow;
mod meter;
mod names;
mod normal;
mod number;
mod parse;
mod ports;
mod print;
mod print_actions;
mod print_match;
mod value;

#[cfg(test)]
mod tests;

pub use error::{FileError, Note, ParseError};
pub use format::field_value;
pub use group::{GroupCommand, format_group, parse_group, parse_group_mod, parse_groups};
pub use megaflow::format_dp_flow;
pub use meter::{format_meter, parse_meter, parse_meter_id};
pub use parse::{
    FlowFilter, parse_filter, parse_filter_noting, parse_flow, parse_flow_noting, parse_flows, parse_flows_noting,
    parse_match, parse_rule,
};
pub use ports::{NoPorts, PortNames};
pub use print::{RuleStats, format_dump, format_rule};
pub use print_actions::format_actions;
pub use print_match::format_match;
