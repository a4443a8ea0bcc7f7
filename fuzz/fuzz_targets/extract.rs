//! Any bytes as a packet: extraction, every change, and extraction again.
#![no_main]

#[path = "../checks/packet.rs"]
mod packet;

libfuzzer_sys::fuzz_target!(|data: &[u8]| packet::check(data));
