//! From any state, with any single fault: the NIC is as desired, or as it was and the error says why.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::str::FromStr;

use common::{SWITCHING, device, host, quick, spec};
use mocks::kernel::{Fault, FaultRule, NicSnapshot, Profile};
use proptest::prelude::*;
use representors::{
    ConvergeError, Desired, EncapMode, EswitchMode, InlineMode, Kernel, RepKey, RepName, Rollback, SfDesired,
    VfDesired, VfDriver, VfLinkState, VfRate, VfVlan, converge,
};

#[derive(Debug, Clone)]
struct State {
    switchdev: bool,
    vfs: u16,
    drivers: Vec<u8>,
    up: bool,
    mac: bool,
    inline: u8,
    /// Settings of VFs.
    vlan: bool,
    rate: u32,
    link: bool,
    offload: bool,
    sfs: Vec<u32>,
}

fn state() -> impl Strategy<Value = State> {
    let shape = (any::<bool>(), 0u16..4, prop::collection::vec(0u8..3, 4), any::<bool>(), any::<bool>(), 0u8..4);
    let settings = (any::<bool>(), 0u32..3, any::<bool>(), any::<bool>(), prop::collection::btree_set(0u32..4, 0..3));
    (shape, settings).prop_map(|((switchdev, vfs, drivers, up, mac, inline), (vlan, rate, link, offload, sfs))| {
        let sfs = sfs.into_iter().collect();
        State { switchdev, vfs, drivers, up, mac, inline, vlan, rate: rate * 100, link, offload, sfs }
    })
}

/// mlx5 has no VLANs of VFs in switchdev.
fn has_vlan(profile: Profile, state: &State) -> bool {
    state.vlan && !(is_mlx5(profile) && state.switchdev)
}

fn has_sfs(profile: Profile, state: &State) -> bool {
    is_mlx5(profile) && state.switchdev
}

fn is_mlx5(profile: Profile) -> bool {
    matches!(profile, Profile::Mlx5 | Profile::Mlx5Old)
}

/// Old mlx5 has no switchdev without VFs.
fn possible(profile: Profile, mut state: State) -> State {
    if profile == Profile::Mlx5Old && state.switchdev {
        state.vfs = state.vfs.max(1);
    }
    state
}

fn wish(profile: Profile, state: &State) -> Desired {
    let mlx5 = is_mlx5(profile);
    let per_vf = (0..state.vfs).map(|vf| {
        let driver = match state.drivers[usize::from(vf)] {
            _ if profile == Profile::Netdevsim => None,
            0 => None,
            1 => Some(VfDriver::Unbound),
            _ => Some(VfDriver::Named("vfio-pci".into())),
        };
        let mac = state.mac.then_some([2, 0, 0, 0, 1, u8::try_from(vf).unwrap()]);
        let id = if state.vlan { 7 } else { 0 };
        let vlan = (!(mlx5 && state.switchdev)).then_some(VfVlan { id, ..VfVlan::default() });
        let wish = VfDesired { driver, mac, vlan, ..VfDesired::default() };
        let rate = Some(VfRate { min: 0, max: state.rate });
        let link_state = Some(if state.link { VfLinkState::Enable } else { VfLinkState::Auto });
        (vf, VfDesired { rate, link_state, ..wish })
    });
    Desired {
        mode: Some(if state.switchdev { EswitchMode::Switchdev } else { EswitchMode::Legacy }),
        vfs: Some(state.vfs),
        inline_mode: mlx5.then(|| {
            [InlineMode::None, InlineMode::Link, InlineMode::Network, InlineMode::Transport][usize::from(state.inline)]
        }),
        encap_mode: mlx5.then_some(if state.up { EncapMode::Basic } else { EncapMode::None }),
        representors_up: Some(state.up),
        hw_tc_offload: Some(state.offload),
        sfs: has_sfs(profile, state).then(|| state.sfs.iter().map(|&n| (n, SfDesired::default())).collect()),
        per_vf: per_vf.collect(),
        disturb_used_vfs: true,
        ..Desired::new(device(profile))
    }
}

/// Checked on the fake itself, not through what the code under test reads.
fn is_as_wished(profile: Profile, state: &State, now: &NicSnapshot) -> bool {
    let mlx5 = is_mlx5(profile);
    let sfs: Vec<u32> = now.sfs.iter().filter(|sf| sf.active).map(|sf| sf.number).collect();
    let vlan = if has_vlan(profile, state) { 7 } else { 0 };
    now.switchdev == state.switchdev
        && now.vfs.len() == usize::from(state.vfs)
        && now.tc_offload == state.offload
        && (!has_sfs(profile, state) || sfs == state.sfs)
        && now.vfs.iter().all(|vf| vf.rate == (0, state.rate) && vf.link_state == u32::from(state.link))
        && now.vfs.iter().all(|vf| vf.vlan.0 == vlan || (is_mlx5(profile) && state.switchdev))
        && (!state.mac || now.vfs.iter().all(|vf| vf.mac[4] == 1))
        && (!mlx5 || now.inline_mode == state.inline && now.encap_mode == u8::from(state.up))
        && now.vfs.iter().zip(&state.drivers).all(|(vf, driver)| {
            let driver = match driver {
                _ if profile == Profile::Netdevsim => true,
                0 => true,
                1 => vf.driver.is_none(),
                _ => vf.driver.as_deref() == Some("vfio-pci"),
            };
            driver && vf.representor_up == state.switchdev.then_some(state.up)
        })
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        (prop::sample::select(vec![1, 2, 5, 11, 12, 16, 19, 22, 95]))
            .prop_map(|errno| Fault::Refuse { errno, text: "fake: no".into() }),
        Just(Fault::LoseReply),
        Just(Fault::Truncate(0)),
        (1usize..120).prop_map(Fault::Truncate),
        ((0usize..10), (1u16..40)).prop_map(|(attr, by)| Fault::Lie { attr, by }),
        Just(Fault::Interrupt),
        Just(Fault::Overrun),
        Just(Fault::Ignore),
        Just(Fault::Timeout),
        (prop::sample::select(vec![5, 16, 95])).prop_map(|errno| Fault::HalfDone { errno }),
        Just(Fault::LoseEvent),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn one_fault_never_leaves_a_nic_in_between(
        profile in prop::sample::select(SWITCHING.to_vec()), from in state(), to in state(), fault in fault(), at in 0u64..260, delay in 0u32..12,
    ) {
        let (from, to) = (possible(profile, from), possible(profile, to));
        let (fake, mut kernel) = host(spec(profile).total_vfs(4).delay(delay));
        converge(&wish(profile, &from), &mut kernel).unwrap();
        let before = fake.snapshot();
        prop_assert!(is_as_wished(profile, &from, &before[0]));
        fake.inject(FaultRule::nth(at, fault));
        let result = converge(&wish(profile, &to), &mut kernel);
        let after = fake.snapshot();
        match result {
            Ok(_) => prop_assert!(is_as_wished(profile, &to, &after[0]), "{:?}", after),
            Err(e) => {
                if let ConvergeError::Step(failure) = &e {
                    prop_assert!(!matches!(failure.rollback, Rollback::Failed { .. }), "{}", e);
                }
                prop_assert_eq!(before, after, "{}", e);
            }
        }
    }

    /// Under many faults nothing is promised but an honest answer; afterwards, in peace, it converges.
    #[test]
    fn after_chaos_comes_peace(profile in prop::sample::select(SWITCHING.to_vec()), from in state(), to in state(), seed: u64) {
        let (from, to) = (possible(profile, from), possible(profile, to));
        let (fake, mut kernel) = host(spec(profile).total_vfs(4));
        converge(&wish(profile, &from), &mut kernel).unwrap();
        let before = fake.snapshot();
        fake.chaos(seed, 60);
        let result = converge(&wish(profile, &to), &mut kernel);
        fake.calm();
        match result {
            Ok(_) => prop_assert!(is_as_wished(profile, &to, &fake.snapshot()[0])),
            Err(ConvergeError::Step(f)) if matches!(f.rollback, Rollback::Failed { .. }) => {}
            Err(e) => prop_assert_eq!(before, fake.snapshot(), "{}", e),
        }
        let mut kernel = Kernel::new(Box::new(fake.clone())).unwrap();
        quick(&mut kernel);
        converge(&wish(profile, &to), &mut kernel).unwrap();
        prop_assert!(is_as_wished(profile, &to, &fake.snapshot()[0]));
    }

    #[test]
    fn keys_survive_text(controller in 0u32..3, pf in 0u16..4, vf in 0u16..300, kind in 0u8..3) {
        use representors::Function;
        let function = [Function::Pf, Function::Vf(vf), Function::Sf(u32::from(vf))][usize::from(kind)];
        let name = RepName { controller, pf, function };
        prop_assert_eq!(RepName::from_str(&name.to_string()), Ok(name));
        let key = RepKey { device: device(Profile::Ice), name };
        prop_assert_eq!(RepKey::from_str(&key.to_string()), Ok(key));
    }

    #[test]
    fn other_texts_are_no_keys(text in "(c?[0-9+]{0,3})?p?f?[0-9]{0,3}(vf|sf|v)?[0-9 ]{0,6}") {
        if let Ok(name) = RepName::from_str(&text) {
            // One name has one text, but for controller 0 written out.
            prop_assert_eq!(name.to_string(), text.strip_prefix("c0").unwrap_or(&text));
        }
    }
}
