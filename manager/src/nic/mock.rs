//! The mock NIC: its outside ends, its representors, its fake kernel.

use super::Asked;
use super::capability_files::CapabilityFiles;
use super::driver::Marks;
use super::host::Host;
use crate::args::MockArgs;
use api::{EswitchMode, EswitchSet, MockDevice};
use dpdk::{Eal, Mempool, Port, PortConfig};
use flow::clock::Time;
use mocks::kernel::{FakeKernel, NicSpec};
use mocks::nic::{
    End, Fault, Faults, InjectError, MockNic, MockNicConfig, NicError, NicHandle, NicStats, Profile, ProfileError,
    Representor,
};
use offload::rte_flow::ask;
use offload::{DeviceError, EthdevId};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// The mock NIC's PF.
pub const PF: &str = "pci/0000:03:00.0";
/// MTU of its representors: captures hold frames that a NIC put together (LRO, GRO).
const MTU: u16 = u16::MAX;
/// How long steps of the fake kernel are waited for, in milliseconds.
const DEADLINE: u64 = 10_000;

/// Why there is no mock NIC.
#[derive(Debug, thiserror::Error)]
pub enum MockError {
    #[error(transparent)]
    Profile(#[from] ProfileError),
    #[error(transparent)]
    Nic(#[from] NicError),
    #[error(transparent)]
    Port(#[from] dpdk::PortError),
    #[error("mock NIC: it does not say what it can do: {0}")]
    Probe(DeviceError),
}

/// The NIC seen from outside, and what left it and was not collected yet.
#[derive(Debug)]
pub struct MockSide {
    args: MockArgs,
    handle: NicHandle,
    representors: Vec<Representor>,
    asked: Asked,
    ends: Vec<End>,
    left: Vec<(usize, Time, Vec<u8>)>,
    kernel: FakeKernel,
    /// How long steps of it are waited for, in milliseconds.
    deadline: Arc<AtomicU64>,
}

impl MockSide {
    /// A NIC with its representors configured and started, asked what it takes, as a NIC of the host is. The [`MockNic`] itself is
    /// to be driven by the caller.
    pub fn new(
        eal: &'static Eal,
        pool: &Mempool,
        args: &MockArgs,
        buffers: u32,
        files: &CapabilityFiles,
    ) -> Result<(MockSide, MockNic), MockError> {
        let mut config = MockNicConfig::new(Profile::named(&args.profile)?);
        config.vfs = u16::try_from(args.vfs).unwrap_or(u16::MAX);
        config.buffers = buffers;
        let (nic, representors) = MockNic::new(eal, config)?;
        for representor in &representors {
            representor.port.configure(&PortConfig::default(), pool)?;
            representor.port.start()?;
        }
        let handle = nic.handle();
        let vfs = handle.vfs();
        let kernel = FakeKernel::new();
        let name = PF.trim_start_matches("pci/");
        kernel.add_nic(NicSpec::new(mocks::kernel::Profile::Mlx5, name, "ens1f0np0").total_vfs(vfs));
        let deadline = Arc::new(AtomicU64::new(DEADLINE));
        let marks = Marks { granted: true, bits: handle.mark_bits(), transfer_needs: None };
        let asked = Asked::about(handle.capabilities(), marks, files, |claims| {
            // Representors are alike: two of them stand for all.
            let mut ports = representors.iter().map(|r| EthdevId(r.port.id()));
            let first = ports.next().unwrap_or(EthdevId(0));
            ask(&mut nic.rte_flow(), claims, first, ports.next().unwrap_or(first))
        })
        .map_err(MockError::Probe)?;
        let ends = End::all(vfs).collect();
        let side =
            MockSide { args: args.clone(), handle, representors, asked, ends, left: Vec::new(), kernel, deadline };
        Ok((side, nic))
    }

    pub(super) fn host(&self) -> Host {
        Host::Fake(self.kernel.clone(), self.deadline.clone())
    }

    pub(super) fn port(&self, vf: Option<u16>) -> Option<Port> {
        let end = vf.map_or(End::Wire, End::Vf);
        self.representors.iter().find(|r| r.end == end).map(|r| r.port.clone())
    }

    pub(super) fn asked(&self) -> &Asked {
        &self.asked
    }

    /// What `--mock` wants the eswitch to be.
    #[must_use]
    pub fn eswitch(&self) -> EswitchSet {
        EswitchSet {
            pf: PF.to_owned(),
            mode: Some(EswitchMode::Switchdev),
            vfs: Some(self.args.vfs),
            ..EswitchSet::default()
        }
    }

    /// The profile's name.
    #[must_use]
    pub fn profile(&self) -> &str {
        &self.args.profile
    }

    /// The outside ends: the wire first.
    #[must_use]
    pub fn ends(&self) -> Vec<End> {
        self.ends.clone()
    }

    /// Whether a frame can go in at all.
    pub fn check(&self, end: End, frame: &[u8]) -> Result<(), InjectError> {
        if frame.is_empty() || frame.len() > mocks::nic::MAX_FRAME {
            return Err(InjectError::Length { end, len: frame.len() });
        }
        Ok(())
    }

    /// A frame arrives at an end.
    pub fn inject(&mut self, end: End, frame: &[u8]) -> Result<(), InjectError> {
        self.handle.inject(end, frame)
    }

    /// Take what left the ends since the last time, and stamp it.
    pub fn gather(&mut self, now: Time) {
        for (place, end) in self.ends.iter().enumerate() {
            // The ends are the NIC's own.
            let frames = self.handle.collect(*end).unwrap_or_default();
            self.left.extend(frames.into_iter().map(|data| (place, now, data)));
        }
    }

    /// What was gathered and not taken yet.
    pub fn take(&mut self) -> Vec<(usize, Time, Vec<u8>)> {
        std::mem::take(&mut self.left)
    }

    /// What became of frames so far.
    #[must_use]
    pub fn stats(&self) -> NicStats {
        self.handle.stats()
    }

    /// Have something be wrong with the device.
    pub fn trouble(&self, what: MockDevice) {
        let none = Faults::none();
        self.handle.set_faults(match what {
            MockDevice::Works => none,
            MockDevice::Busy => Faults { refuse: 1.0, ..none },
            MockDevice::Incapable => Faults { incapable: true, ..none },
            MockDevice::Dead => Faults { dies_after: Some(0), ..none },
            MockDevice::Losing => none.with(Fault::RuleLost),
        });
    }

    /// Rules in the NIC.
    #[must_use]
    pub fn rules(&self) -> usize {
        self.handle.rule_count()
    }

    /// MTU for the datapath's side.
    #[must_use]
    pub fn mtu() -> u16 {
        MTU
    }
}
