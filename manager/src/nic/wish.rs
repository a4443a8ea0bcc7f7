//! What is desired of a NIC, as it is asked for, as it is kept, and as the crate `representors` takes it.

use super::errors::about;
use crate::control::invalid;
use api::{Error, ErrorKind, EswitchSet, NicWish, SfWish, VfVlan, VfWish};
use representors::{
    Desired, DeviceId, Function, FunctionState, Nic, SfDesired, VfDesired, VfDriver, VfRate, VlanProto,
};

/// The wish after a change of the eswitch. Wishes about VFs that will not be there are dropped; those about
/// representors are kept in mode legacy for the next switchdev.
pub fn changed(before: Option<&NicWish>, nic: &Nic, set: &EswitchSet) -> Result<NicWish, Error> {
    let mut wish = before.cloned().unwrap_or_default();
    wish.pf = nic.device.to_string();
    wish.mode = set.mode.or(wish.mode);
    wish.vfs = set.vfs.or(wish.vfs);
    wish.inline_mode = set.inline_mode.or(wish.inline_mode);
    wish.encap_mode = set.encap_mode.or(wish.encap_mode);
    wish.hw_tc_offload = set.hw_tc_offload.or(wish.hw_tc_offload);
    wish.representors_up = set.representors_up.or(wish.representors_up);
    wish.representor_mtu = set.representor_mtu.or(wish.representor_mtu);
    if let Some(vfs) = set.vfs {
        wish.vf.retain(|vf, _| *vf < vfs);
    }
    if wish.mode == Some(api::EswitchMode::Legacy) && (set.representors_up.is_some() || set.representor_mtu.is_some()) {
        return Err(invalid(format!("eswitch {}", wish.pf), "there are no representors in mode legacy")
            .remedy("leave --representors and --representor-mtu away, or use --mode switchdev"));
    }
    Ok(wish)
}

/// The wish after a change of a VF. A VF of which something is wanted is wanted itself.
pub fn changed_vf(before: Option<&NicWish>, nic: &Nic, vf: u16, set: &VfWish) -> Result<NicWish, Error> {
    let object = format!("VF {}", super::names::vf_name(nic, vf));
    if before.and_then(|w| w.mode) == Some(api::EswitchMode::Legacy) && (set.up.is_some() || set.mtu.is_some()) {
        return Err(invalid(object, "there are no representors in mode legacy")
            .remedy(format!("change the mode first: shuntctl eswitch set {} --mode switchdev", nic.device)));
    }
    let mut wish = before.cloned().unwrap_or_default();
    wish.pf = nic.device.to_string();
    wish.vfs = wish.vfs.or(Some(u32::from(nic.num_vfs())));
    let of = wish.vf.entry(u32::from(vf)).or_default();
    if let Some(text) = &set.mac {
        of.mac = Some(mac_text(mac(&object, text)?));
    }
    if let Some(vlan) = &set.vlan {
        proto(&object, &vlan.proto)?;
        of.vlan = Some(vlan.clone());
    }
    of.trust = set.trust.or(of.trust);
    of.spoof_check = set.spoof_check.or(of.spoof_check);
    of.link_state = set.link_state.or(of.link_state);
    if set.min_rate.is_some() || set.max_rate.is_some() {
        // The kernel takes both at once: the one that is not named stays.
        let now = nic.vf_rate(vf).unwrap_or_default();
        of.min_rate = set.min_rate.or(of.min_rate).or(Some(now.min));
        of.max_rate = set.max_rate.or(of.max_rate).or(Some(now.max));
    }
    of.driver = set.driver.clone().or(of.driver.take());
    of.up = set.up.or(of.up);
    of.mtu = set.mtu.or(of.mtu);
    Ok(wish)
}

/// The wish after a change of a sub-function, or a new one. Where there are sub-functions there is switchdev: with one of
/// them, that mode is wanted, too.
pub fn changed_sf(before: Option<&NicWish>, nic: &Nic, sf: u32, set: &SfWish) -> Result<NicWish, Error> {
    let object = format!("SF {}", super::names::sf_name(nic, sf));
    let Some(mode) = before.and_then(|w| w.mode).or_else(|| super::view::mode(nic.mode?)) else {
        let driver = nic.driver.as_deref().unwrap_or_default();
        return Err(Error::new(ErrorKind::Unsupported, object, format!("driver {driver} has no eswitch"))
            .remedy("use a NIC that has one; see: shuntctl nic list"));
    };
    if mode != api::EswitchMode::Switchdev {
        return Err(invalid(object, format!("there are no sub-functions in mode {mode}"))
            .remedy(format!("change the mode first: shuntctl eswitch set {} --mode switchdev", nic.device)));
    }
    let mut wish = before.cloned().unwrap_or_default();
    wish.pf = nic.device.to_string();
    wish.mode = Some(mode);
    wish.sf_destroy.remove(&sf);
    let of = wish.sf.entry(sf).or_default();
    if let Some(text) = &set.mac {
        of.mac = Some(mac_text(mac(&object, text)?));
    }
    let now = nic.representor_of(Function::Sf(sf)).and_then(|r| r.function_state).map(|s| s == FunctionState::Active);
    of.active = set.active.or(of.active).or(now).or(Some(true));
    of.up = set.up.or(of.up);
    Ok(wish)
}

/// The wish without a sub-function: it is to go, whoever made it.
#[must_use]
pub fn without_sf(before: Option<&NicWish>, nic: &Nic, sf: u32) -> NicWish {
    let mut wish = before.cloned().unwrap_or_default();
    wish.pf = nic.device.to_string();
    wish.sf.remove(&sf);
    wish.sf_destroy.insert(sf);
    wish
}

/// The wish once it is fulfilled: what is gone is wanted neither there nor away.
#[must_use]
pub fn fulfilled(mut wish: NicWish) -> NicWish {
    wish.sf_destroy.clear();
    wish
}

/// The wish for the crate that fulfils it.
pub fn desired(wish: &NicWish, disturb: bool) -> Result<Desired, Error> {
    let object = format!("eswitch {}", wish.pf);
    let device: DeviceId = wish.pf.parse().map_err(|e| about(ErrorKind::Invalid, &object, e))?;
    let number = |n: u32| {
        u16::try_from(n).map_err(|_| invalid(&object, format!("{n} VFs are too many")).remedy("use 0 to 65535"))
    };
    let mut desired = Desired::new(device);
    desired.mode = wish.mode.map(|mode| match mode {
        api::EswitchMode::Legacy => representors::EswitchMode::Legacy,
        api::EswitchMode::Switchdev => representors::EswitchMode::Switchdev,
    });
    desired.vfs = wish.vfs.map(number).transpose()?;
    desired.inline_mode = wish.inline_mode.map(|mode| match mode {
        api::InlineMode::None => representors::InlineMode::None,
        api::InlineMode::Link => representors::InlineMode::Link,
        api::InlineMode::Network => representors::InlineMode::Network,
        api::InlineMode::Transport => representors::InlineMode::Transport,
    });
    desired.encap_mode = wish.encap_mode.map(|mode| match mode {
        api::EncapMode::None => representors::EncapMode::None,
        api::EncapMode::Basic => representors::EncapMode::Basic,
    });
    desired.hw_tc_offload = wish.hw_tc_offload;
    let switchdev = wish.mode != Some(api::EswitchMode::Legacy);
    desired.representors_up = wish.representors_up.filter(|_| switchdev);
    desired.representor_mtu = wish.representor_mtu.filter(|_| switchdev);
    desired.disturb_used_vfs = disturb;
    for (vf, of) in &wish.vf {
        let mut of = desired_vf(&format!("VF {vf} of {}", wish.pf), of)?;
        of.representor_up = of.representor_up.filter(|_| switchdev);
        of.representor_mtu = of.representor_mtu.filter(|_| switchdev);
        desired.per_vf.insert(number(*vf)?, of);
    }
    for (sf, of) in wish.sf.iter().filter(|_| switchdev) {
        let mac = of.mac.as_deref().map(|text| mac(&format!("SF {sf} of {}", wish.pf), text)).transpose()?;
        let active = of.active.unwrap_or(true);
        let of = SfDesired { mac, active, representor_up: of.up, ..SfDesired::default() };
        desired.per_sf.insert(*sf, Some(of));
    }
    desired.per_sf.extend(wish.sf_destroy.iter().map(|sf| (*sf, None)));
    Ok(desired)
}

fn desired_vf(object: &str, of: &VfWish) -> Result<VfDesired, Error> {
    let rate = (of.min_rate.is_some() || of.max_rate.is_some())
        .then(|| VfRate { min: of.min_rate.unwrap_or_default(), max: of.max_rate.unwrap_or_default() });
    Ok(VfDesired {
        driver: of.driver.clone().map(|d| if d.is_empty() { VfDriver::Unbound } else { VfDriver::Named(d) }),
        mac: of.mac.as_deref().map(|text| mac(object, text)).transpose()?,
        vlan: of.vlan.as_ref().map(|v| vlan(object, v)).transpose()?,
        rate,
        spoof_check: of.spoof_check,
        link_state: of.link_state.map(|state| match state {
            api::LinkState::Auto => representors::VfLinkState::Auto,
            api::LinkState::Enable => representors::VfLinkState::Enable,
            api::LinkState::Disable => representors::VfLinkState::Disable,
        }),
        trust: of.trust,
        representor_up: of.up,
        representor_mtu: of.mtu,
        ..VfDesired::default()
    })
}

fn vlan(object: &str, vlan: &VfVlan) -> Result<representors::VfVlan, Error> {
    Ok(representors::VfVlan { id: vlan.id, qos: vlan.qos, proto: proto(object, &vlan.proto)? })
}

fn proto(object: &str, text: &str) -> Result<VlanProto, Error> {
    let known = [VlanProto::Dot1Q, VlanProto::Dot1Ad];
    known
        .into_iter()
        .find(|p| p.to_string().eq_ignore_ascii_case(text))
        .ok_or_else(|| invalid(object, format!("`{text}` is no VLAN protocol")).remedy("use 802.1Q or 802.1ad"))
}

/// Reads an Ethernet address.
pub fn mac(object: &str, text: &str) -> Result<[u8; 6], Error> {
    let bytes: Option<Vec<u8>> = text.split(':').map(|b| u8::from_str_radix(b, 16).ok()).collect();
    let mac = bytes.and_then(|b| b.try_into().ok()).filter(|_| text.len() == 17);
    mac.ok_or_else(|| {
        invalid(object, format!("`{text}` is no Ethernet address")).remedy("write it as 02:00:00:00:00:01")
    })
}

/// Writes an Ethernet address.
#[must_use]
pub fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|b| format!("{b:02x}")).join(":")
}
