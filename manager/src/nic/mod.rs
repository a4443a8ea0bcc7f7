//! The NIC that the switch works on: its kernel side, and with `--mock` the mock SmartNIC.

mod eswitch;
mod mock;

pub use mock::{MockError, MockSide};

use crate::config::DatapathConfig;
use api::{Error, ErrorKind};
use dpdk::{Eal, Port, PortError, RxMetadata};
use offload::{Capabilities, EswitchDomain, EthdevId, PortInfo, PortKind};
use representors::{Kernel, RepName};
use std::str::FromStr;
use std::sync::Arc;

/// Kernel and device.
#[derive(Debug)]
pub struct Nic {
    /// `None`: neither real nor fake, because the host has no netlink for us.
    kernel: Option<Kernel>,
    mock: Option<MockSide>,
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

/// Make a DPDK port of devargs, to be set up.
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
        PortError::Attach { .. } if vf_of(devargs).is_ok() => {
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

/// What a representor stands for: `uplink`, or a VF of PF 0 of this host (`pf0vf3`).
fn vf_of(name: &str) -> Result<Option<u16>, DeviceError> {
    if name == "uplink" {
        return Ok(None);
    }
    let parsed = RepName::from_str(name).map_err(|e| DeviceError::new(ErrorKind::Invalid, e))?;
    match parsed {
        RepName { controller: 0, pf: 0, function: representors::Function::Vf(vf) } => Ok(Some(vf)),
        other => Err(DeviceError::new(ErrorKind::NotFound, format!("there is no representor of {other}"))
            .remedy("list them with: shuntctl rep list")),
    }
}

impl Nic {
    /// The host's own NICs. Their representors become ports by devargs.
    #[must_use]
    pub fn host() -> Nic {
        let kernel = Kernel::real().inspect_err(|e| tracing::warn!("kernel: {e}; eswitches cannot be managed")).ok();
        Nic { kernel, mock: None }
    }

    /// A mock NIC on a fake kernel, in legacy mode without VFs.
    pub fn mocked(mock: MockSide) -> Result<Nic, MockError> {
        let kernel = mock.kernel()?;
        Ok(Nic { kernel: Some(kernel), mock: Some(mock) })
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
        match &self.mock {
            Some(mock) => format!("mock NIC {}", mock.profile()),
            None => "no port with hardware rules".to_owned(),
        }
    }

    /// The DPDK port of a representor.
    pub fn representor(&mut self, name: &str) -> Result<Port, DeviceError> {
        let vf = vf_of(name)?;
        let Some(mock) = &self.mock else {
            return Err(DeviceError::new(ErrorKind::Unsupported, "the host's representors are named by devargs")
                .remedy("use --type dpdk with --devargs PCI,representor=vf3"));
        };
        let port = mock.port(vf);
        let there = match (vf, self.kernel.as_mut()) {
            (Some(vf), Some(kernel)) => {
                let all = kernel.inventory().map_err(|e| DeviceError::new(ErrorKind::Failed, e))?;
                all.nics.iter().any(|nic| nic.vf_representor(vf).is_some())
            }
            _ => true,
        };
        port.filter(|_| there).ok_or_else(|| {
            DeviceError::new(ErrorKind::NotFound, format!("there is no representor {name}")).remedy(
                "list them with: shuntctl rep list; make VFs with: shuntctl eswitch set PF --mode switchdev --vfs N",
            )
        })
    }

    /// What the planner may know of a representor's port.
    #[must_use]
    pub fn port_info(&self, port_name: &str, representor: &str) -> Option<PortInfo> {
        let vf = vf_of(representor).ok()?;
        let mock = self.mock.as_ref()?;
        let port = mock.port(vf)?;
        let caps: Arc<Capabilities> = mock.capabilities();
        Some(PortInfo {
            name: port_name.to_owned(),
            kind: vf.map_or(PortKind::Uplink, PortKind::VfRepresentor),
            ethdev: EthdevId(port.id()),
            // One mock NIC, one eswitch.
            domain: Some(EswitchDomain(0)),
            rx_queues: 1,
            caps,
        })
    }
}

/// Memory and buffers of the datapath, as the mock NIC needs them beside it.
#[must_use]
pub fn mock_buffers(config: &DatapathConfig) -> u32 {
    config.mbufs.map_or(8191, |mbufs| (mbufs / 4).clamp(1023, 8191))
}
