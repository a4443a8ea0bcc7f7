//! Any bytes as a datagram from the kernel.
#![no_main]

#[path = "../checks/netlink.rs"]
mod netlink;

libfuzzer_sys::fuzz_target!(|data: &[u8]| netlink::check(data));
