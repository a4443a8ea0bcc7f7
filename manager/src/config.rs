//! The configuration file: how the daemon itself runs. What it switches is desired state, set through the API.

use crate::cpus::{self, CpuError, CpuList};
use crate::pmds::{PmdSettingsError, Settings};
use api::RxqAssign;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// All members may be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Unix socket of the control API.
    pub socket: Option<PathBuf>,
    /// File that keeps the desired state.
    pub state: Option<PathBuf>,
    pub datapath: DatapathConfig,
    pub nic: NicConfig,
}

/// NICs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NicConfig {
    /// What is done when others change a NIC of which something is desired.
    pub drift: DriftPolicy,
    /// Capability file, or a folder with one for each kind of NIC; `--capabilities` goes before it.
    pub capabilities: Option<PathBuf>,
}

/// What is done when others change a NIC of which something is desired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DriftPolicy {
    /// It is told: in the log, by `shuntctl nic show`, in the metrics.
    #[default]
    Report,
    /// It is told, and the NIC brought back to what is desired.
    Repair,
}

/// Whether flows go into the hardware of DPDK ports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HardwareRules {
    /// Where the configuration names PCI devices.
    #[default]
    Auto,
    On,
    Off,
}

/// The software datapath.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DatapathConfig {
    /// Memory that DPDK takes, in MiB. Used when there are no huge pages.
    pub memory_mib: u32,
    /// PCI devices that ports may be made of (`0000:03:00.0`), with devargs where needed; no other is touched.
    pub pci: Vec<String>,
    /// Whether flows go into the hardware of DPDK ports: `on`, `off`, or `auto`, which is on where `pci` names devices. On, the
    /// engine is told of each flow, which costs new flows some time.
    pub hardware_rules: HardwareRules,
    /// Packet buffers of each shared pool; when absent, as many as the formulas say and memory allows ([`datapath::memory`]).
    pub mbufs: Option<u32>,
    /// Each port has a pool of its own.
    pub per_port_memory: bool,
    /// MTUs that shared pools are made for, each for all NUMA nodes or one: `9000,1500:1,6000:1`.
    pub shared_mempool_config: String,
    /// CPU that the only PMD thread runs on. Without this, `pmd_cpus` and `pmd_cpu_mask` there is one on any CPU, which rests
    /// when it is idle.
    pub pmd_cpu: Option<u32>,
    /// CPUs of PMD threads, one a CPU, in the order of the threads' numbers.
    pub pmd_cpus: Option<CpuList>,
    /// The same as a mask in hexadecimal, as `pmd-cpu-mask` of Open vSwitch.
    pub pmd_cpu_mask: Option<String>,
    /// PMD threads may be on CPUs that another program polls on.
    pub share_cpus: bool,
    /// How receive queues are assigned to PMDs, as `pmd-rxq-assign` of Open vSwitch.
    pub rxq_assign: RxqAssign,
    /// Whether PMDs with pinned queues poll nothing else, as `pmd-rxq-isolate` of Open vSwitch.
    pub rxq_isolate: bool,
    /// Automatic load balancing of PMDs.
    pub pmd_auto_lb: AutoLbConfig,
    /// Whether packets of new flows may be dropped (`miss_budget`) while known flows wait on another queue of their PMD.
    pub miss_budget: bool,
    /// Most datapath flows at a time.
    pub flow_limit: usize,
    /// Milliseconds without a packet after which a datapath flow goes.
    pub max_idle_ms: u64,
}

/// Automatic load balancing of PMDs, as `pmd-auto-lb` and its thresholds of Open vSwitch.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AutoLbConfig {
    pub on: bool,
    /// Percent of a PMD's cycles, for a minute.
    pub load_threshold: u8,
    /// Percent of the variance of loads.
    pub improvement_threshold: u8,
    /// Minutes between two dry runs.
    pub interval: u16,
}

impl Default for AutoLbConfig {
    fn default() -> Self {
        AutoLbConfig { on: false, load_threshold: 95, improvement_threshold: 25, interval: 1 }
    }
}

impl Default for DatapathConfig {
    fn default() -> Self {
        DatapathConfig {
            memory_mib: 256,
            pci: Vec::new(),
            hardware_rules: HardwareRules::Auto,
            mbufs: None,
            per_port_memory: false,
            shared_mempool_config: String::new(),
            pmd_cpu: None,
            pmd_cpus: None,
            pmd_cpu_mask: None,
            share_cpus: false,
            rxq_assign: RxqAssign::Cycles,
            rxq_isolate: true,
            pmd_auto_lb: AutoLbConfig::default(),
            miss_budget: true,
            flow_limit: 200_000,
            max_idle_ms: 10_000,
        }
    }
}

impl DatapathConfig {
    /// Whether flows may go into the hardware of DPDK ports.
    #[must_use]
    pub fn takes_rules(&self) -> bool {
        match self.hardware_rules {
            HardwareRules::Auto => !self.pci.is_empty(),
            HardwareRules::On => true,
            HardwareRules::Off => false,
        }
    }

    /// CPUs of PMD threads; empty: one thread, on any CPU.
    ///
    /// # Errors
    /// More than one setting names CPUs, or one cannot be understood.
    pub fn cpus(&self) -> Result<Vec<usize>, CpuError> {
        let one = self.pmd_cpu.map(|cpu| CpuList::Numbers(vec![cpu]));
        let set = [
            ("pmd_cpu", one.map(|list| list.cpus("pmd_cpu"))),
            ("pmd_cpus", self.pmd_cpus.as_ref().map(|list| list.cpus("pmd_cpus"))),
            ("pmd_cpu_mask", self.pmd_cpu_mask.as_ref().map(|mask| cpus::of_mask("pmd_cpu_mask", mask))),
        ];
        let mut set = set.into_iter().filter_map(|(name, cpus)| Some((name, cpus?)));
        let Some((name, cpus)) = set.next() else { return Ok(Vec::new()) };
        let others: Vec<_> = set.map(|(name, _)| name).collect();
        if others.is_empty() { cpus } else { Err(CpuError::Many { names: [&[name], &others[..]].concat() }) }
    }
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{}: {source}; name another file with --config", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{}: {error}", path.display())]
    Pmds { path: PathBuf, error: PmdSettingsError },
    #[error("{}:{line}:{column}: {message}", path.display())]
    Parse { path: PathBuf, line: usize, column: usize, message: String },
}

impl Config {
    /// Read the file that the command line names, or the default one if it is there.
    pub fn load(named: Option<&Path>) -> Result<Config, ConfigError> {
        let path = named.unwrap_or(Path::new(crate::args::DEFAULT_CONFIG));
        match std::fs::read_to_string(path) {
            Ok(text) => Config::parse(path, &text),
            Err(e) if named.is_none() && e.kind() == std::io::ErrorKind::NotFound => Ok(Config::default()),
            Err(source) => Err(ConfigError::Read { path: path.to_owned(), source }),
        }
    }

    fn parse(path: &Path, text: &str) -> Result<Config, ConfigError> {
        let config: Config = toml::from_str(text).map_err(|e| {
            let at = e.span().map_or(0, |s| s.start.min(text.len()));
            let before = text.get(..at).unwrap_or(text);
            ConfigError::Parse {
                path: path.to_owned(),
                line: before.matches('\n').count() + 1,
                column: before.chars().rev().take_while(|c| *c != '\n').count() + 1,
                message: e.message().split('\n').collect::<Vec<_>>().join(": "),
            }
        })?;
        let pmds = Settings::from_config(&config.datapath);
        pmds.map_err(|error| ConfigError::Pmds { path: path.to_owned(), error })?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_line_and_column() {
        let parse = |text| Config::parse(Path::new("s.toml"), text).unwrap_err().to_string();
        assert!(parse("socket = \"a\"\n[datapath]\nmbufs = \"x\"\n").starts_with("s.toml:3:9: "), "value");
        let unknown = parse("[datapath]\n  mbuf = 1\n");
        assert!(unknown.starts_with("s.toml:2:3: unknown field `mbuf`"), "{unknown}");
        assert!(parse("socket = \n").starts_with("s.toml:1:1"), "syntax");
    }

    #[test]
    fn cpus_of_pmds_are_said_in_one_way() {
        let cpus = |text: &str| {
            Config::parse(Path::new("s.toml"), &format!("[datapath]\n{text}\n")).map(|c| c.datapath.cpus().unwrap())
        };
        for (text, expected) in [
            ("", vec![]),
            ("pmd_cpu = 1", vec![1]),
            ("pmd_cpus = [1, 0]", vec![1, 0]),
            ("pmd_cpus = \"1-3,5\"", vec![1, 2, 3, 5]),
            ("pmd_cpu_mask = \"0x6\"", vec![1, 2]),
            ("pmd_cpu_mask = \"10000000000000001\"", vec![0, 64]),
        ] {
            assert_eq!(cpus(text).unwrap(), expected, "{text}");
        }
        for (text, part) in [
            ("pmd_cpu = 1\npmd_cpu_mask = \"6\"", "s.toml: pmd_cpu and pmd_cpu_mask both name CPUs; keep one of them"),
            ("pmd_cpus = [1, 1]", "pmd_cpus: CPU 1 is there twice; "),
            ("pmd_cpus = []", "pmd_cpus: no CPU; "),
            ("pmd_cpus = \"3-1\"", "pmd_cpus: `3-1` is no CPU and no range of CPUs; "),
            ("pmd_cpus = \"0-99999\"", "pmd_cpus: `0-99999` is no CPU"),
            ("pmd_cpu_mask = \"0xg\"", "pmd_cpu_mask: `0xg` is no mask; "),
            ("pmd_cpu_mask = \"0\"", "pmd_cpu_mask: no CPU; "),
            ("rxq_assign = \"least\"", "unknown variant `least`, expected one of `cycles`, `group`, `roundrobin`"),
            ("pmd_auto_lb = { load_threshold = 101 }", "load_threshold: 101 is no percentage; "),
            ("pmd_auto_lb = { interval = 0 }", "interval: 0 minutes; "),
        ] {
            let error = cpus(text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn drift_is_reported_or_repaired() {
        let drift = |text: &str| Config::parse(Path::new("s.toml"), text).map(|c| c.nic.drift);
        assert_eq!(drift("").unwrap(), DriftPolicy::Report);
        assert_eq!(drift("[nic]\ndrift = \"repair\"\n").unwrap(), DriftPolicy::Repair);
        let error = drift("[nic]\ndrift = \"mend\"\n").unwrap_err().to_string();
        assert!(error.contains("unknown variant `mend`, expected `report` or `repair`"), "{error}");
    }

    #[test]
    fn an_empty_file_is_the_default() {
        assert_eq!(Config::parse(Path::new("x"), "").unwrap(), Config::default());
    }
}
