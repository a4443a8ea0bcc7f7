//! Raw bindings to the DPDK that is installed (22.11 and later), for the crates `dpdk` and `rte-flow-rs` only.
//!
//! - **Generated, not copied.** `build.rs` runs bindgen on `csrc/wrapper.h` with the flags of `pkg-config libdpdk`. Structures
//!   whose members move between releases (`rte_mbuf`, flow items) are reached by the numbers of `dpdk_layout`, which the C
//!   compiler computes with `offsetof`.
//! - **The shim.** `csrc/shim.c` gives symbols to static inlines. Bursts, pool gets and puts cost one call a burst; per-packet
//!   access to an mbuf costs no call, since it is done with the offsets. Thread-local state (`rte_errno`, the lcore id) is read
//!   through the shim too, because stable Rust cannot name a foreign thread-local.
//! - **Linking** is dynamic: drivers are plugins which EAL loads from DPDK's plugin folder.
//!
//! Threads and invariants: those of DPDK itself. Every function here is `unsafe`; the contracts are in the DPDK guide and are
//! discharged in `dpdk` and `rte-flow-rs`.

#[allow(nonstandard_style, reason = "generated code keeps C names")]
#[allow(missing_debug_implementations, reason = "bindgen cannot derive all")]
#[allow(clippy::undocumented_unsafe_blocks, reason = "bindgen writes no comments")]
#[allow(clippy::allow_attributes_without_reason, reason = "bindgen gives no reasons")]
#[allow(clippy::all, reason = "bindgen's style is not ours to change")]
mod bindings {
    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
}
pub use bindings::*;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_the_release_of_the_headers() {
        // SAFETY: rte_version returns a static string and needs no initialisation.
        let version = unsafe { std::ffi::CStr::from_ptr(rte_version()) };
        assert!(version.to_string_lossy().starts_with("DPDK "), "{version:?}");
    }

    #[test]
    fn mbuf_offsets_follow_the_published_layout() {
        // The first cache line is ABI for vector drivers (DPDK programmer's guide, "Mbuf library").
        assert_eq!(MBUF_BUF_ADDR, 0);
        assert_eq!(MBUF_DATA_OFF, 16);
        assert_eq!(MBUF_REFCNT, 18);
        assert_eq!(MBUF_OL_FLAGS, 24);
        assert_eq!(MBUF_SIZE, 128);
    }

    #[test]
    fn flow_headers_have_the_length_of_the_wire() {
        assert_eq!(ITEM_IPV4_SIZE, 20);
        assert_eq!(ITEM_TCP_SIZE, 20);
        assert_eq!(ITEM_UDP_SIZE, 8);
        assert_eq!(ITEM_IPV6_DST, 24);
        assert_eq!(ITEM_ETH_TYPE, 12);
    }
}
