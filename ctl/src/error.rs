//! Why a command failed.

use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Refused(#[from] api::Error),
    #[error("socket {}: {why}; is shuntd running? start it, or name its socket with --socket or SHUNT_SOCKET", path.display())]
    Connect { path: PathBuf, why: String },
    #[error("socket {}: {why}; see in the daemon's log whether it ended, and compare shuntctl --version with shuntd --version", path.display())]
    Protocol { path: PathBuf, why: String },
    #[error("file {}: {why}", path.display())]
    File { path: PathBuf, why: String },
    #[error("{0}")]
    Input(String),
    #[error(transparent)]
    Capture(#[from] api::CaptureError),
    #[error("demo: {0}")]
    Demo(String),
    #[error("memory plan: {0}")]
    Plan(String),
    #[error("nic check: {0}")]
    Check(String),
    #[error("signals: {0}; end with --count or --seconds, or look at the limit of threads (ulimit -u)")]
    Signal(String),
    #[error("output: {0}")]
    Output(#[from] std::io::Error),
}

pub type Result<T> = std::result::Result<T, Error>;
