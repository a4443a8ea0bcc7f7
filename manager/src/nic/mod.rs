//! The NICs that the switch works on: their kernel side ([`Host`]), and with `--mock` the mock SmartNIC.

mod capability_files;
pub mod check;
mod driver;
mod errors;
mod hardware;
mod host;
mod mock;
mod mock_kernel;
pub mod names;
pub mod view;
pub mod wish;

pub use capability_files::{CapabilitiesError, CapabilityFiles};
pub(crate) use errors::{converge as converge_error, observe as observe_error, plan as plan_error};
pub use hardware::Hardware;
pub use host::{Host, inventory, object};
pub use mock::{MockError, MockSide};
pub use mock_kernel::happen;

use crate::config::DatapathConfig;
use api::{Error, ErrorKind};
use dpdk::{Eal, Port, PortError, RxMetadata};
use driver::Marks;
use names::Which;
use offload::caps::Probed;
use offload::{Capabilities, EswitchDomain, EthdevId, PortInfo, PortKind};
use representors::{Function, RepName};
use std::path::PathBuf;
use std::sync::Arc;

/// What is known of a device's rules, and how.
#[derive(Clone, Debug)]
pub struct Asked {
    /// What the planner may count on.
    pub caps: Arc<Capabilities>,
    /// What the device answered.
    pub probed: Arc<Probed>,
    /// The capability file that had a say.
    pub file: Option<PathBuf>,
}

impl Asked {
    /// Ask a device about `claims`, with what a file says of devices of this name, and as far as its marks are of use.
    fn about(
        claims: Capabilities,
        marks: Marks,
        files: &CapabilityFiles,
        ask: impl FnOnce(&Capabilities) -> Result<Probed, offload::DeviceError>,
    ) -> Result<Asked, offload::DeviceError> {
        let said = files.of(&claims.name);
        let claims = match said {
            Some((_, file)) => file.apply(claims),
            None => claims,
        };
        let (claims, useless) = marks.limit(claims);
        let mut probed = ask(&claims)?;
        probed.denied.splice(..0, useless);
        let file = said.map(|(path, _)| path.clone());
        Ok(Asked { caps: Arc::new(probed.caps.clone()), probed: Arc::new(probed), file })
    }
}

/// Kernel and device.
#[derive(Debug)]
pub struct Nic {
    host: Host,
    mock: Option<MockSide>,
    hardware: Option<Arc<Hardware>>,
}

/// Why a device cannot be had; which port wanted it is the caller's to say.
#[derive(Debug)]
pub struct DeviceError(Error);

impl DeviceError {
    fn new(kind: ErrorKind, message: impl std::fmt::Display) -> DeviceError {
        DeviceError(Error::new(kind, "", message))
    }

    fn remedy(self, remedy: impl Into<String>) -> DeviceError {
        DeviceError(self.0.remedy(remedy))
    }

    /// The error of this object.
    #[must_use]
    pub fn named(mut self, object: &str) -> Error {
        self.0.object = object.to_owned();
        self.0
    }
}

/// Make a DPDK port of devargs, to be set up. What it delivers with packets ([`Port::rx_metadata`]) limits what rules can do.
pub fn attach(eal: &'static Eal, devargs: &str) -> Result<Port, DeviceError> {
    check_captures(devargs)?;
    // What DPDK has said so far is about something else.
    dpdk::log::take().iter().for_each(|line| tracing::warn!("DPDK: {line}"));
    let port = Port::attach(eal, devargs).map_err(|e| device_error(devargs, e))?;
    port.negotiate_rx_metadata(RxMetadata::MARK | RxMetadata::FLAG).map_err(|e| device_error(devargs, e))?;
    Ok(port)
}

/// What DPDK says of a device, with the driver's own words.
pub fn device_error(devargs: &str, e: PortError) -> DeviceError {
    // The driver's words come first; after them EAL says at every layer that it failed.
    let said = dpdk::log::take().into_iter().next();
    let said = said.map(|line| line.trim_start_matches("EAL: ").to_owned());
    match e {
        PortError::Attach { .. } if names::which(devargs).is_some() => {
            DeviceError::new(ErrorKind::Invalid, format!("{devargs} is a representor, not a DPDK device"))
                .remedy("use --type representor")
        }
        PortError::Attach { errno, .. } => {
            let why = said.unwrap_or_else(|| errno.to_string());
            DeviceError::new(ErrorKind::Invalid, format!("DPDK does not take devargs `{devargs}`: {why}")).remedy(
                "look at the driver's name, its arguments and its package (librte-net-*), and whether the device is there",
            )
        }
        PortError::TooManyPorts { limit, .. } => {
            DeviceError::new(ErrorKind::Full, format!("DPDK has {limit} ports, and no more (RTE_MAX_ETHPORTS)"))
                .remedy("remove another port first; each representor of a mock NIC is one")
        }
        PortError::BadName { reason, .. } => DeviceError::new(ErrorKind::Invalid, format!("devargs: {reason}")),
        PortError::Unsupported { driver, what, .. } => {
            DeviceError::new(ErrorKind::Unsupported, format!("driver {driver} does not support {what}"))
                .remedy("leave the option away, or ask for less")
        }
        PortError::Descriptors { driver, queue, asked, min, max, align, .. } => DeviceError::new(
            ErrorKind::Invalid,
            format!("a {queue} queue of driver {driver} cannot have {asked} descriptors"),
        )
        .remedy(format!("use {min} to {max}, a multiple of {align}")),
        PortError::Mtu { driver, asked, min, max, .. } => {
            DeviceError::new(ErrorKind::Invalid, format!("driver {driver} does not take an MTU of {asked}"))
                .remedy(format!("use {min} to {max}"))
        }
        other => DeviceError::new(
            ErrorKind::Failed,
            said.map_or_else(|| other.to_string(), |said| format!("{other} ({said})")),
        ),
    }
}

/// Largest capture that is read through before DPDK gets it, in bytes.
const CHECKED: u64 = 1 << 28;

/// Whether the files that net_pcap is to read are captures, as far as their last frame: the driver would stop at a bad
/// frame without a word.
fn check_captures(devargs: &str) -> Result<(), DeviceError> {
    if !devargs.starts_with("net_pcap") {
        return Ok(());
    }
    for path in devargs.split(',').filter_map(|part| part.strip_prefix("rx_pcap=")) {
        let unreadable = |e: std::io::Error| {
            DeviceError::new(ErrorKind::Invalid, format!("rx_pcap {path}: {e}"))
                .remedy("name a capture that shuntd can read")
        };
        let about = std::fs::metadata(path).map_err(unreadable)?;
        // A pipe can be read once only, and need not end.
        if !about.is_file() || about.len() > CHECKED {
            continue;
        }
        let bytes = std::fs::read(path).map_err(unreadable)?;
        api::read_capture(path, &bytes).map_err(|e| DeviceError::new(ErrorKind::Invalid, format!("rx_pcap {e}")))?;
    }
    Ok(())
}

/// The mock NIC's port of a function: the wire's for `uplink`, a VF's of PF 0 of this host.
fn vf_of(which: Which) -> Option<Option<u16>> {
    match which {
        Which::Uplink => Some(None),
        Which::Of(RepName { controller: 0, pf: 0, function: Function::Vf(vf) }) => Some(Some(vf)),
        Which::Of(_) => None,
    }
}

impl Nic {
    /// The host's own NICs; with `hardware` their DPDK ports may take rules.
    #[must_use]
    pub fn host(hardware: Option<Arc<Hardware>>) -> Nic {
        Nic { host: Host::Real, mock: None, hardware }
    }

    /// What takes rules of the host's own DPDK ports.
    #[must_use]
    pub fn hardware(&self) -> Option<Arc<Hardware>> {
        self.hardware.clone()
    }

    /// A mock NIC on a fake kernel, in legacy mode without VFs.
    #[must_use]
    pub fn mocked(mock: MockSide) -> Nic {
        Nic { host: mock.host(), mock: Some(mock), hardware: None }
    }

    /// The kernel.
    #[must_use]
    pub fn kernel(&self) -> Host {
        self.host.clone()
    }

    /// The outside of the mock NIC, when there is one.
    pub fn mock(&mut self) -> Option<&mut MockSide> {
        self.mock.as_mut()
    }

    /// The mock NIC's profile, when there is one.
    #[must_use]
    pub fn mock_profile(&self) -> Option<String> {
        self.mock.as_ref().map(|m| m.profile().to_owned())
    }

    /// The device that flows go into, in words.
    #[must_use]
    pub fn describe(&self) -> String {
        match (&self.mock, self.hardware.as_deref().map(Hardware::describe)) {
            (Some(mock), _) => format!("mock NIC {}", mock.profile()),
            (None, Some(drivers)) if !drivers.is_empty() => drivers,
            (None, _) => "no port with hardware rules".to_owned(),
        }
    }

    /// Whether this PF is the mock NIC's.
    #[must_use]
    pub fn is_mock(&self, pf: &str) -> bool {
        self.mock.is_some() && pf == mock::PF
    }

    /// The port of a function of the mock NIC; `None`: it is not the mock NIC's.
    #[must_use]
    pub fn mock_port(&self, pf: &str, which: Which) -> Option<Port> {
        self.mock.as_ref().filter(|_| pf == mock::PF)?.port(vf_of(which)?)
    }

    /// What the planner may know of a port: its name, which representor it is, and its number in DPDK.
    #[must_use]
    pub fn port_info(&self, port_name: &str, representor: Option<&str>, ethdev: Option<u16>) -> Option<PortInfo> {
        if let Some(hardware) = &self.hardware {
            return hardware.port_info(port_name, representor, ethdev?);
        }
        let vf = vf_of(names::which(representor?)?)?;
        let mock = self.mock.as_ref()?;
        let port = mock.port(vf)?;
        Some(PortInfo {
            name: port_name.to_owned(),
            kind: vf.map_or(PortKind::Uplink, PortKind::VfRepresentor),
            ethdev: EthdevId(port.id()),
            // One mock NIC, one eswitch.
            domain: Some(EswitchDomain(0)),
            rx_queues: 1,
            caps: mock.asked().caps.clone(),
        })
    }

    /// What the device of a port answered when it was asked what it takes.
    #[must_use]
    pub fn asked(&self, representor: Option<&str>, ethdev: Option<u16>) -> Option<Asked> {
        if let Some(hardware) = &self.hardware {
            return hardware.asked(ethdev?);
        }
        vf_of(names::which(representor?)?)?;
        self.mock.as_ref().map(|mock| mock.asked().clone())
    }
}

/// Memory and buffers of the datapath, as the mock NIC needs them beside it.
#[must_use]
pub fn mock_buffers(config: &DatapathConfig) -> u32 {
    config.mbufs.map_or(8191, |mbufs| (mbufs / 4).clamp(1023, 8191))
}
