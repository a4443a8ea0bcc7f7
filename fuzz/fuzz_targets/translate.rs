//! Any rules and any packet: translation, and its mask.
#![no_main]

#[path = "../checks/translate.rs"]
mod translate;

libfuzzer_sys::fuzz_target!(|data: &[u8]| translate::check(data));
