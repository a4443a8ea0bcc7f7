//! Against the fake kernel's bytes, and against bytes that lie.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{collections::VecDeque, io, time::Duration};

use devlink_rs::{
    DeviceId, Devlink, DevlinkEvent, DevlinkEvents, EncapMode, EswitchChange, EswitchMode, Flavour, FunctionChange,
    FunctionState, InlineMode, PortType,
};
use mocks::kernel::{FakeKernel, Fault, FaultRule, NicSpec, Op, Profile};
use netlink::{Error, KernelAccess, Protocol, Transport};
use proptest::prelude::*;

fn host(spec: NicSpec) -> (FakeKernel, Devlink) {
    let kernel = FakeKernel::new();
    kernel.add_nic(spec);
    let devlink = Devlink::open(kernel.open(Protocol::Generic).unwrap()).unwrap();
    (kernel, devlink)
}

fn mlx5() -> NicSpec {
    NicSpec::new(Profile::Mlx5, "0000:03:00.0", "p0")
}

fn pf() -> DeviceId {
    DeviceId::new("pci", "0000:03:00.0")
}

fn mode(mode: EswitchMode) -> EswitchChange {
    EswitchChange { mode: Some(mode), ..EswitchChange::default() }
}

fn set_vfs(kernel: &FakeKernel, n: u16) {
    kernel.sysfs().write("bus/pci/devices/0000:03:00.0/sriov_numvfs", &n.to_string()).unwrap();
}

#[test]
fn eswitch_is_read_and_set() {
    let (_kernel, mut devlink) = host(mlx5());
    assert_eq!(devlink.devices().unwrap(), [pf()]);
    let eswitch = devlink.eswitch(&pf()).unwrap().unwrap();
    assert_eq!(eswitch.mode, EswitchMode::Legacy);
    assert_eq!((eswitch.inline_mode, eswitch.encap_mode), (Some(InlineMode::None), Some(EncapMode::Basic)));
    let change = EswitchChange {
        mode: Some(EswitchMode::Switchdev),
        inline_mode: Some(InlineMode::Transport),
        encap_mode: Some(EncapMode::None),
    };
    devlink.set_eswitch(&pf(), &change).unwrap();
    let eswitch = devlink.eswitch(&pf()).unwrap().unwrap();
    assert_eq!(eswitch.mode, EswitchMode::Switchdev);
    assert_eq!((eswitch.inline_mode, eswitch.encap_mode), (Some(InlineMode::Transport), Some(EncapMode::None)));
}

#[test]
fn ports_carry_their_pci_numbers() {
    let (kernel, mut devlink) = host(mlx5().external_vfs(1).pf_number(1));
    devlink.set_eswitch(&pf(), &mode(EswitchMode::Switchdev)).unwrap();
    set_vfs(&kernel, 2);
    let ports: Vec<_> = devlink.ports().unwrap().into_iter().filter(|p| p.id.device == pf()).collect();
    let seen: Vec<_> = ports.iter().map(|p| (p.flavour, p.controller, p.pf, p.vf, p.external)).collect();
    assert_eq!(
        seen,
        [
            (Some(Flavour::Physical), None, None, None, false),
            (Some(Flavour::PciVf), Some(0), Some(1), Some(0), false),
            (Some(Flavour::PciVf), Some(0), Some(1), Some(1), false),
            (Some(Flavour::PciVf), Some(1), Some(1), Some(0), true),
        ]
    );
    assert_eq!(ports[0].number, Some(1));
    assert!(ports.iter().all(|p| p.ifindex.is_some() && p.netdev.is_some()));
    assert!(ports.iter().all(|p| p.port_type == Some(PortType::Eth) && p.splittable == Some(false)));
    assert!(ports.iter().all(|p| p.other.is_empty()));
}

#[test]
fn refusals_carry_the_drivers_words() {
    let (kernel, mut devlink) = host(mlx5());
    set_vfs(&kernel, 1);
    let e = devlink.set_eswitch(&pf(), &mode(EswitchMode::Switchdev)).unwrap_err();
    assert_eq!(e.errno(), Some(22));
    let text = e.to_string();
    assert!(text.contains("eswitch set pci/0000:03:00.0 mode switchdev"), "{text}");
    assert!(text.contains("Failed setting eswitch to offloads"), "{text}");
}

#[test]
fn functions_are_set_or_refused() {
    let (kernel, mut devlink) = host(mlx5());
    devlink.set_eswitch(&pf(), &mode(EswitchMode::Switchdev)).unwrap();
    set_vfs(&kernel, 1);
    let ports = devlink.ports().unwrap();
    let port = &ports.iter().find(|p| p.vf == Some(0)).unwrap().id;
    let mac = [2, 0, 0, 0, 0, 7];
    devlink.set_function(port, &FunctionChange { hw_addr: Some(mac), ..FunctionChange::default() }).unwrap();
    assert_eq!(devlink.port(port).unwrap().function.unwrap().hw_addr, Some(mac));
    let state = FunctionChange { state: Some(FunctionState::Active), ..FunctionChange::default() };
    let e = devlink.set_function(port, &state).unwrap_err();
    assert!(e.is_unsupported());
}

#[test]
fn devices_without_eswitch_say_so() {
    let (kernel, mut devlink) = host(mlx5());
    set_vfs(&kernel, 1);
    let vf = DeviceId::new("pci", "0000:03:00.2");
    assert_eq!(devlink.devices().unwrap(), [pf(), vf.clone()]);
    assert_eq!(devlink.eswitch(&vf).unwrap(), None);
    assert_eq!(devlink.eswitch(&DeviceId::new("pci", "0000:ff:00.0")).unwrap_err().errno(), Some(19));
}

#[test]
fn events_tell_of_ports_and_of_losses() {
    let (kernel, mut devlink) = host(mlx5());
    devlink.set_eswitch(&pf(), &mode(EswitchMode::Switchdev)).unwrap();
    let mut events = DevlinkEvents::open(&devlink, kernel.open(Protocol::Generic).unwrap()).unwrap();
    set_vfs(&kernel, 1);
    let event = events.next(Duration::ZERO).unwrap();
    assert!(matches!(event, Some(DevlinkEvent::Port(ref p)) if p.vf == Some(0)), "{event:?}");
    set_vfs(&kernel, 0);
    let event = events.next(Duration::ZERO).unwrap();
    assert!(matches!(event, Some(DevlinkEvent::PortGone(ref p)) if p.vf == Some(0)), "{event:?}");
    assert_eq!(events.next(Duration::ZERO).unwrap(), None);
    for _ in 0..40 {
        set_vfs(&kernel, 16);
        set_vfs(&kernel, 0);
    }
    let mut resync = false;
    while let Some(event) = events.next(Duration::ZERO).unwrap() {
        resync |= matches!(event, DevlinkEvent::Resync { .. });
    }
    assert!(resync, "1,280 events do not fit");
}

#[test]
fn an_interrupted_dump_is_dumped_again() {
    let (kernel, mut devlink) = host(mlx5());
    kernel.inject(FaultRule::once(Op::PortGet, Fault::Interrupt));
    let before = kernel.operations();
    assert_eq!(devlink.ports().unwrap().len(), 1);
    assert_eq!(kernel.operations() - before, 2);
}

proptest! {
    /// An answer that is cut or lies about a length is an error or reads as before minus something; it never panics
    /// and never hangs.
    #[test]
    fn answers_that_lie_are_survived(op in 0usize..4, cut in 0usize..200, attr in 0usize..12, by in 1u16..80, lie: bool) {
        let (kernel, mut devlink) = host(mlx5());
        devlink.set_eswitch(&pf(), &mode(EswitchMode::Switchdev)).unwrap();
        set_vfs(&kernel, 2);
        let op = [Op::DeviceGet, Op::EswitchGet, Op::PortGet, Op::Family][op];
        kernel.inject(FaultRule::always(op, if lie { Fault::Lie { attr, by } } else { Fault::Truncate(cut) }));
        let _ = Devlink::open(kernel.open(Protocol::Generic).unwrap());
        let _ = devlink.devices();
        let _ = devlink.ports();
        if let Ok(Some(eswitch)) = devlink.eswitch(&pf()) {
            prop_assert_eq!(eswitch.mode, EswitchMode::Switchdev);
        }
    }

    #[test]
    fn random_answers_are_survived(cmd in any::<u8>(), body in prop::collection::vec(prop_oneof![any::<u8>(), 0u8..9, Just(77), Just(145)], 0..250)) {
        let mut devlink = Devlink::open(Box::new(Liar::new(cmd, body))).unwrap();
        let _ = devlink.devices();
        let _ = devlink.ports();
        let _ = devlink.eswitch(&pf());
    }
}

/// Resolves the family, then answers everything with the same attributes.
struct Liar {
    cmd: u8,
    body: Vec<u8>,
    answers: VecDeque<Vec<u8>>,
}

impl Liar {
    fn new(cmd: u8, body: Vec<u8>) -> Self {
        Liar { cmd, body, answers: VecDeque::new() }
    }
}

fn frame(kind: u16, flags: u16, seq: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(16 + payload.len()).unwrap().to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(seq);
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

impl Transport for Liar {
    fn send(&mut self, request: &[u8]) -> io::Result<()> {
        let seq = &request[8..12];
        let field = |at: usize| u16::from_ne_bytes([request[at], request[at + 1]]);
        let dump = field(6) & 0x300 == 0x300;
        if field(4) == 0x10 {
            let mut payload = vec![1, 2, 0, 0];
            for half in [6u16, 1, 0x20, 0] {
                payload.extend(half.to_ne_bytes());
            }
            self.answers.push_back(frame(0x10, 0, seq, &payload));
        } else {
            let payload = [&[self.cmd, 1, 0, 0][..], &self.body].concat();
            self.answers.push_back(frame(0x20, if dump { 2 } else { 0 }, seq, &payload));
        }
        let end = if dump { frame(3, 2, seq, &[0; 4]) } else { frame(2, 0x100, seq, &[0; 20]) };
        self.answers.push_back(end);
        Ok(())
    }

    fn recv(&mut self, _: Duration) -> io::Result<Option<Vec<u8>>> {
        Ok(self.answers.pop_front())
    }

    fn join(&mut self, _: u32) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_kernel_without_devlink_is_named() {
    let bare = FakeKernel::new();
    bare.inject(FaultRule::always(Op::Family, Fault::Refuse { errno: 2, text: String::new() }));
    let e = Devlink::open(bare.open(Protocol::Generic).unwrap()).unwrap_err();
    assert!(matches!(e, Error::NoFamily { .. }));
}
