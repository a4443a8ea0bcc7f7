//! NICs, VFs and representors as they are.

use crate::{EncapMode, EswitchMode, InlineMode, LinkState, NicWish, VfVlan};
use serde::{Deserialize, Serialize};

/// An eswitch as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EswitchView {
    /// `pci/0000:08:00.0`.
    pub pf: String,
    pub driver: String,
    pub mode: EswitchMode,
    pub vfs: u32,
    pub max_vfs: u32,
    /// `None`: the driver has no such thing.
    #[serde(default)]
    pub inline_mode: Option<InlineMode>,
    #[serde(default)]
    pub encap_mode: Option<EncapMode>,
    /// Whether rules may go into hardware; `None`: there is no such feature, or uplink and representors differ.
    #[serde(default)]
    pub hw_tc_offload: Option<bool>,
    /// Network device of the uplink.
    #[serde(default)]
    pub uplink: Option<String>,
}

/// A process that has a VF's device file open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HolderView {
    pub pid: u32,
    pub process: String,
}

/// What was counted for a function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionCounters {
    pub rx_packets: u64,
    pub rx_bytes: u64,
    pub rx_dropped: u64,
    pub tx_packets: u64,
    pub tx_bytes: u64,
    pub tx_dropped: u64,
    pub multicast: u64,
    /// Always 0 for a representor: the kernel does not tell these apart there.
    pub broadcast: u64,
}

/// A VF. What the driver does not say is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VfView {
    /// `pf0vf3`.
    #[serde(default)]
    pub name: String,
    /// `pci/0000:08:00.0`.
    pub pf: String,
    pub vf: u32,
    /// PCI address.
    #[serde(default)]
    pub address: Option<String>,
    /// Kernel driver that it is bound to.
    #[serde(default)]
    pub driver: Option<String>,
    /// Its own network device, in the network namespace of shuntd.
    #[serde(default)]
    pub netdev: Option<String>,
    #[serde(default)]
    pub iommu_group: Option<u32>,
    /// Processes that have it open (virtual machines, DPDK).
    #[serde(default)]
    pub holders: Vec<HolderView>,
    /// Its representor's netdev, when there is one.
    pub representor: Option<String>,
    /// Switch port that its representor is.
    #[serde(default)]
    pub port: Option<String>,
    /// As it was given to the VF; zeros: the VF chooses.
    pub mac: Option<String>,
    #[serde(default)]
    pub vlan: Option<VfVlan>,
    #[serde(default)]
    pub trust: Option<bool>,
    #[serde(default)]
    pub spoof_check: Option<bool>,
    #[serde(default)]
    pub link_state: Option<LinkState>,
    /// Guaranteed transmit rate, Mbit/s; 0: none.
    #[serde(default)]
    pub min_rate: Option<u32>,
    /// Greatest transmit rate, Mbit/s; 0: none.
    #[serde(default)]
    pub max_rate: Option<u32>,
    /// By the PF's driver: all that the VF received and sent.
    #[serde(default)]
    pub counters: Option<FunctionCounters>,
    /// By its representor: what went through software, seen from the switch (`rx`: from the VF).
    #[serde(default)]
    pub representor_counters: Option<FunctionCounters>,
}

/// A sub-function. What the driver does not say is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SfView {
    /// `pf0sf88`.
    pub name: String,
    /// `pci/0000:08:00.0`.
    pub pf: String,
    pub sf: u32,
    /// As it was given to it; zeros: it chooses.
    pub mac: Option<String>,
    /// It is there for its driver.
    pub active: Option<bool>,
    /// A driver has it.
    pub attached: Option<bool>,
    /// Guaranteed transmit rate, Mbit/s; 0: none.
    pub min_rate: Option<u32>,
    /// Greatest transmit rate, Mbit/s; 0: none.
    pub max_rate: Option<u32>,
    /// Its representor's netdev.
    pub representor: Option<String>,
    /// The representor is up.
    pub up: bool,
    /// Switch port that its representor is.
    pub port: Option<String>,
    /// Whether it is desired; else somebody else made it.
    pub desired: bool,
}

/// A representor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepresentorView {
    /// What it stands for: `uplink`, `pf0vf3`.
    pub name: String,
    pub pf: String,
    /// VF number, when it stands for a VF.
    pub vf: Option<u32>,
    /// SF number, when it stands for a sub-function.
    #[serde(default)]
    pub sf: Option<u32>,
    pub netdev: String,
    pub ifindex: u32,
    /// Switch port that uses it.
    pub port: Option<String>,
    #[serde(default)]
    pub up: bool,
    /// Bytes.
    #[serde(default)]
    pub mtu: Option<u32>,
    /// Whether rules may go into hardware.
    #[serde(default)]
    pub hw_tc_offload: Option<bool>,
    /// The function is another host's.
    #[serde(default)]
    pub external: bool,
    /// DPDK's device arguments for it, where the driver has DPDK representors.
    #[serde(default)]
    pub devargs: Option<String>,
}

/// A NIC: one PF.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NicView {
    /// `pci/0000:08:00.0`.
    pub pf: String,
    pub driver: Option<String>,
    /// `None`: it has no eswitch.
    pub mode: Option<EswitchMode>,
    pub vfs: u32,
    /// `None`: it does not say.
    pub max_vfs: Option<u32>,
    /// Network device of the uplink.
    pub uplink: Option<String>,
    /// Bond that the uplink belongs to.
    pub bond: Option<String>,
    /// Switch ports on its eswitch.
    pub ports: Vec<String>,
    /// What is desired of it; `None`: nothing.
    pub desired: Option<NicWish>,
    /// `as desired`, `not as desired`, `being changed`, or `not managed`.
    pub state: String,
    /// Steps that would bring it to what is desired, or why there are none.
    pub to_do: Vec<String>,
    /// What others changed of it, the latest last.
    pub drift: Vec<DriftView>,
    /// What is done about that: nothing, or when it is tried, or how the last try ended.
    #[serde(default)]
    pub repair: String,
}

/// Something that was changed behind our back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftView {
    /// Seconds ago.
    pub ago: u64,
    pub what: String,
}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckResult {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Note,
    /// Something will not work, or not well.
    Warn,
    /// Switchdev cannot be had like this.
    Fail,
}

impl std::fmt::Display for CheckResult {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            CheckResult::Ok => "ok",
            CheckResult::Note => "note",
            CheckResult::Warn => "warn",
            CheckResult::Fail => "fail",
        })
    }
}

/// One check of a NIC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// `iommu`, `sr-iov`.
    pub name: String,
    pub result: CheckResult,
    /// What was found.
    pub found: String,
    /// The command, or what else to do about it.
    pub fix: Option<String>,
}

/// The checks of a NIC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NicChecks {
    /// `pci/0000:08:00.0`.
    pub pf: String,
    pub checks: Vec<Check>,
}
