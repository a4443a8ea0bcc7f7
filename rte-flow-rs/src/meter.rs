//! Meters (rte_mtr): profiles, policies, meter objects.

use crate::lower::LoweredActions;

/// How a meter colours packets. Rates in bytes (or packets) a second, bursts in bytes (or packets).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeterProfile {
    /// Single rate, three colours (RFC 2697).
    SrTcm2697 {
        /// Committed rate.
        cir: u64,
        /// Committed burst.
        cbs: u64,
        /// Excess burst.
        ebs: u64,
        /// Packets rather than bytes.
        packet_mode: bool,
    },
    /// Two rates, three colours (RFC 2698).
    TrTcm2698 {
        /// Committed rate.
        cir: u64,
        /// Peak rate.
        pir: u64,
        /// Committed burst.
        cbs: u64,
        /// Peak burst.
        pbs: u64,
        /// Packets rather than bytes.
        packet_mode: bool,
    },
    /// Two rates, three colours (RFC 4115).
    TrTcm4115 {
        /// Committed rate.
        cir: u64,
        /// Excess rate.
        eir: u64,
        /// Committed burst.
        cbs: u64,
        /// Excess burst.
        ebs: u64,
        /// Packets rather than bytes.
        packet_mode: bool,
    },
}

/// What happens to packets of each colour; `None`: they pass.
#[derive(Debug, Default)]
pub struct MeterPolicy {
    /// Within the committed rate.
    pub green: Option<LoweredActions>,
    /// Between committed and excess.
    pub yellow: Option<LoweredActions>,
    /// Beyond: usually DROP.
    pub red: Option<LoweredActions>,
}

/// A colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Colour {
    /// Within the committed rate.
    #[default]
    Green = dpdk_sys::RTE_COLOR_GREEN,
    /// Between committed and excess.
    Yellow = dpdk_sys::RTE_COLOR_YELLOW,
    /// Beyond.
    Red = dpdk_sys::RTE_COLOR_RED,
}

/// The colour that packets come in with, for each of the 64 values of DSCP.
pub type DscpColours = [Colour; 64];

/// A meter object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeterParams {
    /// Profile, added before.
    pub profile: u32,
    /// Policy, added before.
    pub policy: u32,
    /// Whether several rules may use it.
    pub shared: bool,
}

/// Counters of a meter; those the device does not count are `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MeterStats {
    /// Packets by colour: green, yellow, red.
    pub packets: [Option<u64>; 3],
    /// Bytes by colour.
    pub bytes: [Option<u64>; 3],
    /// Packets dropped by the policy.
    pub dropped_packets: Option<u64>,
    /// Bytes dropped by the policy.
    pub dropped_bytes: Option<u64>,
}

/// What a device's meters can do (`rte_mtr_capabilities`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MeterCapabilities {
    /// Most meter objects.
    pub max_meters: u32,
    /// Most of them shared by rules.
    pub max_shared: u32,
    /// Most policies.
    pub max_policies: u64,
    /// Largest rate, in bytes a second.
    pub max_rate: u64,
}
