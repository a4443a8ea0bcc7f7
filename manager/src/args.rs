//! The command line of `shuntd`.

use clap::Parser;
use std::path::PathBuf;
use std::str::FromStr;

/// Where the configuration file is when nothing else is said; it may be absent there.
pub const DEFAULT_CONFIG: &str = "/etc/shunt/shunt.toml";

#[derive(Debug, Parser)]
#[command(name = "shuntd", version, about = "The Shunt switch daemon", max_term_width = 100)]
pub struct Args {
    /// Configuration file [default: /etc/shunt/shunt.toml, if there]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Unix socket of the control API [default: $SHUNT_SOCKET, else /run/shunt/shuntd.sock]
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// File that keeps the desired state [default: shuntd.redb in /var/lib/shunt; with --mock, beside the socket]
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// Run with a mock NIC: PROFILE[,vfs=N][,lockstep]; profiles connectx, e810, mark-only, tiny, none
    #[arg(long, value_name = "MOCK")]
    pub mock: Option<MockArgs>,
    /// What NICs can do and have room for: a TOML file for all, or a folder with a file DRIVER.toml for each kind of NIC; the
    /// device is asked about each claim [default: /etc/shunt/capabilities.d, if there]
    #[arg(long, value_name = "PATH")]
    pub capabilities: Option<PathBuf>,
    /// At the end, take all rules out of hardware, and wait until they are
    #[arg(long)]
    pub flush: bool,
    /// Memory for packets, in MiB
    #[arg(long, value_name = "MIB")]
    pub memory: Option<u32>,
    /// Print the packet buffers that the configuration needs as JSON, and end: what `shuntctl mem plan --config` asks
    #[arg(long, value_name = "JSON", hide = true)]
    pub plan_memory: Option<String>,
}

/// What `--mock` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MockArgs {
    pub profile: String,
    pub vfs: u32,
    /// Virtual clock, no threads: frames go through one by one as they are injected.
    pub lockstep: bool,
}

impl FromStr for MockArgs {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',');
        let profile = parts.next().unwrap_or_default().to_owned();
        let names = mocks::nic::Profile::NAMES;
        if !names.contains(&profile.as_str()) {
            return Err(format!("unknown profile `{profile}`: use one of {}", names.join(", ")));
        }
        let mut args = MockArgs { profile, vfs: 4, lockstep: false };
        for part in parts {
            match part.split_once('=') {
                Some(("vfs", n)) => {
                    args.vfs = n.parse().ok().filter(|n| *n <= MAX_MOCK_VFS).ok_or_else(|| {
                        format!("vfs={n}: use a number from 0 to {MAX_MOCK_VFS} (DPDK allows 32 ports in all)")
                    })?;
                }
                None if part == "lockstep" => args.lockstep = true,
                _ => return Err(format!("unknown option `{part}`: use vfs=N or lockstep")),
            }
        }
        Ok(args)
    }
}

/// Most VFs of the mock NIC: `RTE_MAX_ETHPORTS` is 32, the uplink takes one, and a few stay for other ports.
pub const MAX_MOCK_VFS: u32 = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mock_arguments_are_read_or_refused_with_what_is_accepted() {
        let read: MockArgs = "connectx,vfs=2,lockstep".parse().unwrap();
        assert_eq!(read, MockArgs { profile: "connectx".into(), vfs: 2, lockstep: true });
        assert_eq!("tiny".parse::<MockArgs>().unwrap().vfs, 4);
        for (text, part) in [
            ("cx9", "unknown profile `cx9`"),
            ("tiny,vfs=99", "0 to 24"),
            ("tiny,vfs=-1", "0 to 24"),
            ("tiny,x", "`x`"),
        ] {
            let error = text.parse::<MockArgs>().unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
