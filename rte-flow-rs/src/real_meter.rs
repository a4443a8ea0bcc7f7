//! rte_mtr on DPDK.

use std::ptr::{null, null_mut};

use dpdk::Errno;

use crate::error::{Class, ErrorKind, RteFlowError};
use crate::lower::LoweredActions;
use crate::meter::{DscpColours, MeterParams, MeterPolicy, MeterProfile, MeterStats};
use crate::real::RealRteFlow;

impl RealRteFlow {
    pub(crate) fn mtr_profile_add(&self, port: u16, id: u32, profile: &MeterProfile) -> Result<(), RteFlowError> {
        // SAFETY: plain data, all-zero is valid.
        let mut raw: dpdk_sys::rte_mtr_meter_profile = unsafe { std::mem::zeroed() };
        let rates = &mut raw.__bindgen_anon_1;
        let packets = match *profile {
            MeterProfile::SrTcm2697 { cir, cbs, ebs, packet_mode } => {
                rates.srtcm_rfc2697 = dpdk_sys::rte_mtr_meter_profile__bindgen_ty_1__bindgen_ty_1 { cir, cbs, ebs };
                raw.alg = dpdk_sys::RTE_MTR_SRTCM_RFC2697;
                packet_mode
            }
            MeterProfile::TrTcm2698 { cir, pir, cbs, pbs, packet_mode } => {
                rates.trtcm_rfc2698 =
                    dpdk_sys::rte_mtr_meter_profile__bindgen_ty_1__bindgen_ty_2 { cir, pir, cbs, pbs };
                raw.alg = dpdk_sys::RTE_MTR_TRTCM_RFC2698;
                packet_mode
            }
            MeterProfile::TrTcm4115 { cir, eir, cbs, ebs, packet_mode } => {
                rates.trtcm_rfc4115 =
                    dpdk_sys::rte_mtr_meter_profile__bindgen_ty_1__bindgen_ty_3 { cir, eir, cbs, ebs };
                raw.alg = dpdk_sys::RTE_MTR_TRTCM_RFC4115;
                packet_mode
            }
        };
        raw.packet_mode = packets.into();
        self.meter("rte_mtr_meter_profile_add", port, |e| {
            // SAFETY: the port is open; the profile is copied.
            unsafe { dpdk_sys::rte_mtr_meter_profile_add(port, id, &mut raw, e) }
        })
    }

    pub(crate) fn mtr_profile_delete(&self, port: u16, id: u32) -> Result<(), RteFlowError> {
        self.meter("rte_mtr_meter_profile_delete", port, |e| {
            // SAFETY: the port is open.
            unsafe { dpdk_sys::rte_mtr_meter_profile_delete(port, id, e) }
        })
    }

    /// Adds the policy, or without an id asks whether it could be added.
    pub(crate) fn mtr_policy(&self, port: u16, policy: &MeterPolicy, id: Option<u32>) -> Result<(), RteFlowError> {
        let operation = match id {
            Some(_) => "rte_mtr_meter_policy_add",
            None => "rte_mtr_meter_policy_validate",
        };
        let colours = [&policy.green, &policy.yellow, &policy.red];
        // Shared actions in a policy would have to be kept from going away under it.
        if colours.iter().copied().flatten().any(LoweredActions::has_handles) {
            let reason = "a meter policy takes no shared action";
            return Err(RteFlowError::new(operation, port, ErrorKind::Action, Errno::ENOTSUP, reason));
        }
        // SAFETY: plain data, all-zero is valid.
        let mut raw: dpdk_sys::rte_mtr_meter_policy_params = unsafe { std::mem::zeroed() };
        for (slot, list) in raw.actions.iter_mut().zip(colours) {
            *slot = list.as_ref().map_or(null(), |l| l.raw().as_ptr());
        }
        self.meter(operation, port, |e| {
            // SAFETY: the port is open; the lists end with END and live through the call.
            unsafe {
                match id {
                    Some(id) => dpdk_sys::rte_mtr_meter_policy_add(port, id, &mut raw, e),
                    None => dpdk_sys::rte_mtr_meter_policy_validate(port, &mut raw, e),
                }
            }
        })
    }

    pub(crate) fn mtr_policy_delete(&self, port: u16, id: u32) -> Result<(), RteFlowError> {
        self.meter("rte_mtr_meter_policy_delete", port, |e| {
            // SAFETY: the port is open.
            unsafe { dpdk_sys::rte_mtr_meter_policy_delete(port, id, e) }
        })
    }

    pub(crate) fn mtr_create(&self, port: u16, id: u32, params: &MeterParams) -> Result<(), RteFlowError> {
        let mut raw = dpdk_sys::rte_mtr_params {
            meter_profile_id: params.profile,
            use_prev_mtr_color: 0,
            dscp_table: null_mut(),
            vlan_table: null_mut(),
            meter_enable: 1,
            stats_mask: dpdk_sys::MTR_STATS_ALL,
            meter_policy_id: params.policy,
            default_input_color: dpdk_sys::RTE_COLOR_GREEN,
        };
        let create = |raw: &mut dpdk_sys::rte_mtr_params| {
            self.meter("rte_mtr_create", port, |e| {
                // SAFETY: the port is open; null tables mean that input colours are not read.
                unsafe { dpdk_sys::rte_mtr_create(port, id, raw, params.shared.into(), e) }
            })
        };
        // Few devices count by colour; most count drops.
        create(&mut raw).or_else(|first| {
            raw.stats_mask = dpdk_sys::MTR_STATS_DROPPED;
            if matches!(first.class(), Class::Unsupported | Class::Invalid) {
                create(&mut raw).map_err(|_| first)
            } else {
                Err(first)
            }
        })
    }

    pub(crate) fn mtr_destroy(&self, port: u16, id: u32) -> Result<(), RteFlowError> {
        self.meter("rte_mtr_destroy", port, |e| {
            // SAFETY: the port is open.
            unsafe { dpdk_sys::rte_mtr_destroy(port, id, e) }
        })
    }

    pub(crate) fn mtr_stats(&self, port: u16, id: u32, reset: bool) -> Result<MeterStats, RteFlowError> {
        let (mut raw, mut mask) = (dpdk_sys::rte_mtr_stats::default(), 0u64);
        self.meter("rte_mtr_stats_read", port, |e| {
            // SAFETY: the port is open; both are writable.
            unsafe { dpdk_sys::rte_mtr_stats_read(port, id, &mut raw, &mut mask, reset.into(), e) }
        })?;
        // Bits of rte_mtr_stats_type: packets green, yellow, red, dropped, then bytes in the same order.
        let value = |bit: u32, value: u64| (mask & (1 << bit) != 0).then_some(value);
        Ok(MeterStats {
            packets: [value(0, raw.n_pkts[0]), value(1, raw.n_pkts[1]), value(2, raw.n_pkts[2])],
            dropped_packets: value(3, raw.n_pkts_dropped),
            bytes: [value(4, raw.n_bytes[0]), value(5, raw.n_bytes[1]), value(6, raw.n_bytes[2])],
            dropped_bytes: value(7, raw.n_bytes_dropped),
        })
    }

    pub(crate) fn mtr_enable(&self, port: u16, id: u32, on: bool) -> Result<(), RteFlowError> {
        let operation = if on { "rte_mtr_meter_enable" } else { "rte_mtr_meter_disable" };
        self.meter(operation, port, |e| {
            // SAFETY: the port is open.
            unsafe {
                if on {
                    dpdk_sys::rte_mtr_meter_enable(port, id, e)
                } else {
                    dpdk_sys::rte_mtr_meter_disable(port, id, e)
                }
            }
        })
    }

    pub(crate) fn mtr_profile_update(&self, port: u16, id: u32, profile: u32) -> Result<(), RteFlowError> {
        self.meter("rte_mtr_meter_profile_update", port, |e| {
            // SAFETY: the port is open.
            unsafe { dpdk_sys::rte_mtr_meter_profile_update(port, id, profile, e) }
        })
    }

    pub(crate) fn mtr_policy_update(&self, port: u16, id: u32, policy: u32) -> Result<(), RteFlowError> {
        self.meter("rte_mtr_meter_policy_update", port, |e| {
            // SAFETY: the port is open.
            unsafe { dpdk_sys::rte_mtr_meter_policy_update(port, id, policy, e) }
        })
    }

    pub(crate) fn mtr_dscp_colours(
        &self,
        port: u16,
        id: u32,
        colours: Option<&DscpColours>,
    ) -> Result<(), RteFlowError> {
        let mut table = colours.map(|colours| colours.map(|c| c as dpdk_sys::rte_color));
        let pointer = table.as_mut().map_or(null_mut(), |t| t.as_mut_ptr());
        self.meter("rte_mtr_meter_dscp_table_update", port, |e| {
            // SAFETY: the port is open; the table, if any, has the 64 entries that are read.
            unsafe {
                dpdk_sys::rte_mtr_meter_dscp_table_update(
                    port,
                    id,
                    dpdk_sys::RTE_MTR_COLOR_IN_PROTO_OUTER_IP,
                    pointer,
                    e,
                )
            }
        })
    }
}
