//! A daemon for the time of the demo.

use crate::client::Client;
use crate::error::{Error, Result};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long the daemon may take to listen.
const START: Duration = Duration::from_secs(60);

/// A running `shuntd`; killed and its folder removed when dropped.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    pub client: Client,
    _dir: tempfile::TempDir,
}

impl Daemon {
    /// Start `shuntd --mock` with its socket and state in a temporary folder, and wait until it listens.
    pub fn start(profile: &str, vfs: usize, lockstep: bool) -> Result<Daemon> {
        let failed = |what: &str, e: std::io::Error| Error::Demo(format!("{what}: {e}"));
        let dir =
            tempfile::Builder::new().prefix("shunt-demo-").tempdir().map_err(|e| failed("temporary folder", e))?;
        let socket = dir.path().join("shuntd.sock");
        let log = dir.path().join("log");
        let program = program();
        let child = Command::new(&program)
            .arg("--mock")
            .arg(format!("{profile},vfs={vfs}{}", if lockstep { ",lockstep" } else { "" }))
            .arg("--socket")
            .arg(&socket)
            .arg("--state")
            .arg(dir.path().join("state.redb"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).map_err(|e| failed("log file", e))?)
            .spawn()
            .map_err(|e| failed(&format!("cannot start {}", program.display()), e))?;
        let mut daemon = Daemon { child, client: Client::new(socket), _dir: dir };
        let start = Instant::now();
        // It listens before it is ready: devices come after the socket.
        while daemon.client.get::<api::Show>(api::paths::SHOW).is_err() {
            let ended = daemon.child.try_wait().map_err(|e| failed("shuntd", e))?;
            if ended.is_some() || start.elapsed() > START {
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                let line = said.lines().find(|l| !l.trim().is_empty()).unwrap_or("it said nothing");
                let line = line.trim_start_matches("shuntd: ").trim_start_matches("error: ");
                return Err(Error::Demo(format!("shuntd did not start: {line}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(daemon)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself; there is nobody to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `shuntd` beside this program, else the one in PATH.
pub fn program() -> PathBuf {
    std::env::current_exe()
        .ok()
        .and_then(|me| Some(me.parent()?.join("shuntd")))
        .filter(|beside| beside.exists())
        .unwrap_or_else(|| PathBuf::from("shuntd"))
}
