//! The configuration file: how the daemon itself runs. What it switches is desired state, set through the API.

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
}

/// The software datapath.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DatapathConfig {
    /// Memory that DPDK takes, in MiB. Used when there are no huge pages.
    pub memory_mib: u32,
    /// PCI devices that ports may be made of (`0000:03:00.0`), with devargs where needed; no other is touched.
    pub pci: Vec<String>,
    /// Packet buffers.
    pub mbufs: u32,
    /// CPU that the PMD thread runs on; any when absent.
    pub pmd_cpu: Option<u32>,
    /// Most datapath flows at a time.
    pub flow_limit: usize,
    /// Milliseconds without a packet after which a datapath flow goes.
    pub max_idle_ms: u64,
}

impl Default for DatapathConfig {
    fn default() -> Self {
        DatapathConfig {
            memory_mib: 256,
            pci: Vec::new(),
            mbufs: 32_767,
            pmd_cpu: None,
            flow_limit: 200_000,
            max_idle_ms: 10_000,
        }
    }
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{}: {source}; name another file with --config", path.display())]
    Read { path: PathBuf, source: std::io::Error },
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
        toml::from_str(text).map_err(|e| {
            let at = e.span().map_or(0, |s| s.start.min(text.len()));
            let before = text.get(..at).unwrap_or(text);
            ConfigError::Parse {
                path: path.to_owned(),
                line: before.matches('\n').count() + 1,
                column: before.chars().rev().take_while(|c| *c != '\n').count() + 1,
                message: e.message().split('\n').collect::<Vec<_>>().join(": "),
            }
        })
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
    fn an_empty_file_is_the_default() {
        assert_eq!(Config::parse(Path::new("x"), "").unwrap(), Config::default());
    }
}
