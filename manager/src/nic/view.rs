//! NICs, VFs and representors, as the API shows them. Switch ports are put in by whoever knows them.

use super::names::{sf_name, vf_name};
use super::wish::mac_text;
use api::{EswitchView, FunctionCounters, HolderView, NicView, RepresentorView, SfView, VfView, VfVlan};
use representors::{Function, FunctionState, LinkStats, Netdev, Nic, Representor, VfCounters, VfLinkState, VfStats};

/// An eswitch, when there is one.
#[must_use]
pub fn eswitch(nic: &Nic) -> Option<EswitchView> {
    Some(EswitchView {
        pf: nic.device.to_string(),
        driver: nic.driver.clone().unwrap_or_default(),
        mode: mode(nic.mode?)?,
        vfs: u32::from(nic.num_vfs()),
        max_vfs: nic.sriov.and_then(|s| s.total).map(u32::from).unwrap_or_default(),
        inline_mode: nic.inline_mode.and_then(inline_mode),
        encap_mode: nic.encap_mode.and_then(encap_mode),
        hw_tc_offload: nic.tc_offload(),
        uplink: uplink(nic).map(|d| d.name.clone()),
    })
}

/// A NIC; ports, desired state and drift are the control's to say.
#[must_use]
pub fn nic(nic: &Nic) -> NicView {
    NicView {
        pf: nic.device.to_string(),
        driver: nic.driver.clone(),
        mode: nic.mode.and_then(mode),
        vfs: u32::from(nic.num_vfs()),
        max_vfs: nic.sriov.and_then(|s| s.total).map(u32::from),
        uplink: uplink(nic).map(|d| d.name.clone()),
        bond: nic.uplink.as_ref().and_then(|u| u.lag.as_ref()).map(|l| l.name.clone()),
        ..NicView::default()
    }
}

fn uplink(nic: &Nic) -> Option<&Netdev> {
    nic.uplink.as_ref()?.netdev.as_ref()
}

/// The VFs of a NIC, with what was counted for them.
#[must_use]
pub fn vfs(nic: &Nic, counters: &[VfCounters]) -> Vec<VfView> {
    let view = |vf: &representors::Vf| {
        let config = vf.config.as_ref();
        let counted = counters.iter().find(|c| c.vf == vf.index);
        let rate = nic.vf_rate(vf.index);
        VfView {
            name: vf_name(nic, vf.index).to_string(),
            pf: nic.device.to_string(),
            vf: u32::from(vf.index),
            address: vf.address.clone(),
            driver: vf.driver.clone(),
            netdev: vf.netdev.as_ref().map(|d| d.name.clone()),
            iommu_group: vf.iommu_group,
            holders: vf.holders.iter().map(|h| HolderView { pid: h.pid, process: h.name.clone() }).collect(),
            representor: nic.vf_representor(vf.index).and_then(|r| r.netdev.as_ref()).map(|d| d.name.clone()),
            port: None,
            mac: nic.vf_mac(vf.index).map(mac_text),
            vlan: config.and_then(|c| c.vlan).map(|v| VfVlan { id: v.id, qos: v.qos, proto: v.proto.to_string() }),
            trust: config.and_then(|c| c.trust),
            spoof_check: config.and_then(|c| c.spoof_check),
            link_state: config.and_then(|c| c.link_state).map(link_state),
            min_rate: rate.map(|r| r.min),
            max_rate: rate.map(|r| r.max),
            counters: counted.and_then(|c| c.function).map(of_function),
            representor_counters: counted.and_then(|c| c.representor).map(of_link),
        }
    };
    nic.vfs.iter().map(view).collect()
}

/// The sub-functions of a NIC; which of them are desired is the control's to say.
#[must_use]
pub fn sfs(nic: &Nic) -> Vec<SfView> {
    let view = |(sf, rep): (u32, &Representor)| SfView {
        name: sf_name(nic, sf).to_string(),
        pf: nic.device.to_string(),
        sf,
        mac: rep.function_mac.map(mac_text),
        active: rep.function_state.map(|state| state == FunctionState::Active),
        attached: rep.attached,
        min_rate: rep.rate.map(|r| r.min),
        max_rate: rep.rate.map(|r| r.max),
        representor: rep.netdev.as_ref().map(|d| d.name.clone()),
        up: rep.netdev.as_ref().is_some_and(|d| d.up),
        ..SfView::default()
    };
    nic.sfs().map(view).collect()
}

/// The uplink of a NIC and its representors, uplink first.
#[must_use]
pub fn representors(nic: &Nic) -> Vec<RepresentorView> {
    let view = |name: String, dev: Option<&Netdev>| RepresentorView {
        name,
        pf: nic.device.to_string(),
        netdev: dev.map(|d| d.name.clone()).unwrap_or_default(),
        ifindex: dev.map(|d| d.ifindex).unwrap_or_default(),
        up: dev.is_some_and(|d| d.up),
        mtu: dev.and_then(|d| d.mtu),
        hw_tc_offload: dev.and_then(|d| d.tc_offload),
        ..RepresentorView::default()
    };
    let of = |rep: &Representor| {
        let (vf, sf) = match rep.key.name.function {
            Function::Vf(n) => (Some(u32::from(n)), None),
            Function::Sf(n) => (None, Some(n)),
            Function::Pf => (None, None),
        };
        RepresentorView { vf, sf, external: rep.external, ..view(rep.key.name.to_string(), rep.netdev.as_ref()) }
    };
    let uplink = nic.uplink.as_ref().map(|uplink| view("uplink".to_owned(), uplink.netdev.as_ref()));
    uplink.into_iter().chain(nic.representors.iter().map(of)).collect()
}

fn of_function(s: VfStats) -> FunctionCounters {
    FunctionCounters {
        rx_packets: s.rx_packets,
        rx_bytes: s.rx_bytes,
        rx_dropped: s.rx_dropped,
        tx_packets: s.tx_packets,
        tx_bytes: s.tx_bytes,
        tx_dropped: s.tx_dropped,
        multicast: s.multicast,
        broadcast: s.broadcast,
    }
}

fn of_link(s: LinkStats) -> FunctionCounters {
    FunctionCounters {
        rx_packets: s.rx_packets,
        rx_bytes: s.rx_bytes,
        rx_dropped: s.rx_dropped,
        tx_packets: s.tx_packets,
        tx_bytes: s.tx_bytes,
        tx_dropped: s.tx_dropped,
        multicast: s.multicast,
        broadcast: 0,
    }
}

fn link_state(state: VfLinkState) -> api::LinkState {
    match state {
        VfLinkState::Auto => api::LinkState::Auto,
        VfLinkState::Enable => api::LinkState::Enable,
        VfLinkState::Disable => api::LinkState::Disable,
    }
}

/// `None`: a mode that this version does not know.
pub(super) fn mode(mode: representors::EswitchMode) -> Option<api::EswitchMode> {
    mode.to_string().parse().ok()
}

fn inline_mode(mode: representors::InlineMode) -> Option<api::InlineMode> {
    mode.to_string().parse().ok()
}

fn encap_mode(mode: representors::EncapMode) -> Option<api::EncapMode> {
    mode.to_string().parse().ok()
}
