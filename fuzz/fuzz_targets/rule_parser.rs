//! Any text as a rule: reading, writing, and reading again.
#![no_main]

#[path = "../checks/rule.rs"]
mod rule;

libfuzzer_sys::fuzz_target!(|data: &[u8]| rule::check(data));
