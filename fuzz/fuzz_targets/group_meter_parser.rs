//! Any text as a group or a meter: reading, writing, and reading again.
#![no_main]

#[path = "../checks/group_meter.rs"]
mod group_meter;

libfuzzer_sys::fuzz_target!(|data: &[u8]| group_meter::check(data));
