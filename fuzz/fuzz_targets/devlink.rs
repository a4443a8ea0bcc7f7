//! Any bytes as devlink's answer.
#![no_main]

#[path = "../checks/devlink.rs"]
mod devlink;

libfuzzer_sys::fuzz_target!(|data: &[u8]| devlink::check(data));
