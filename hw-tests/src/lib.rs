//! Scenarios that drive the real programs, `shuntd` and `shuntctl`, from outside.
//!
//! A [`Rig`] is one daemon in a folder of its own, on a mock NIC here; the same scenarios are to run in the QEMU lab and on
//! lab hardware, so they speak only through `shuntctl` and the socket. The programs are those of the build that the test
//! belongs to (`cargo build --workspace --bins` makes them; `make test` does that first).
//!
//! Nothing outlives a rig: its daemon is killed and its folder removed.
#![forbid(unsafe_code)]

pub mod frames;

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What went wrong with a rig, in words for a test's failure.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct RigError(String);

fn fail<T>(what: impl std::fmt::Display, why: impl std::fmt::Display) -> Result<T, RigError> {
    Err(RigError(format!("{what}: {why}")))
}

/// What a program did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Exit status; `None` when a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// A program of this build.
pub fn program(name: &str) -> Result<PathBuf, RigError> {
    let me = std::env::current_exe().or_else(|e| fail("current_exe", e))?;
    let found = me.ancestors().skip(1).take(2).map(|dir| dir.join(name)).find(|p| p.exists());
    found.ok_or_else(|| RigError(format!("{name} is not built: run cargo build --workspace --bins")))
}

/// Run a program to its end.
pub fn run(name: &str, args: &[&str]) -> Result<Outcome, RigError> {
    let out = Command::new(program(name)?)
        .args(args)
        .env_remove(api::SOCKET_ENV)
        .stdin(Stdio::null())
        .output()
        .or_else(|e| fail(name, e))?;
    Ok(Outcome {
        code: out.status.code(),
        stdout: String::from_utf8_lossy(&out.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&out.stderr).into_owned(),
    })
}

/// A daemon, its socket and its state.
#[derive(Debug)]
pub struct Rig {
    dir: tempfile::TempDir,
    daemon: Option<Child>,
    /// `None`: no NIC at all.
    mock: Option<String>,
    /// Network namespace that the daemon runs in; `None`: ours.
    netns: Option<String>,
    /// Environment of the next start.
    env: Vec<(String, String)>,
    /// Further arguments of the next start.
    args: Vec<String>,
}

impl Rig {
    /// Start `shuntd --mock MOCK` and wait until it answers.
    pub fn start(mock: &str) -> Result<Rig, RigError> {
        Rig::make(Some(mock.to_owned()), None)
    }

    /// Start `shuntd` without a NIC in a network namespace (`ip netns add` has made it) and wait until it answers.
    pub fn in_netns(netns: &str) -> Result<Rig, RigError> {
        Rig::make(None, Some(netns.to_owned()))
    }

    /// As [`Rig::start`], with this configuration.
    pub fn configured(mock: &str, config: &str) -> Result<Rig, RigError> {
        let mut rig = Rig::unstarted(Some(mock.to_owned()), None)?;
        rig.configure(config)?;
        rig.restart()?;
        Ok(rig)
    }

    /// As [`Rig::start`], with further arguments.
    pub fn with_args(mock: &str, args: &[&str]) -> Result<Rig, RigError> {
        let mut rig = Rig::unstarted(Some(mock.to_owned()), None)?;
        rig.set_args(args);
        rig.restart()?;
        Ok(rig)
    }

    /// The configuration of the next start.
    pub fn configure(&self, config: &str) -> Result<(), RigError> {
        std::fs::write(self.config(), config).or_else(|e| fail("configuration", e))
    }

    /// An environment variable of the next starts; empty: not set any more.
    pub fn set_env(&mut self, name: &str, value: &str) {
        self.env.retain(|(n, _)| n != name);
        if !value.is_empty() {
            self.env.push((name.to_owned(), value.to_owned()));
        }
    }

    /// Further arguments of the next starts.
    pub fn set_args(&mut self, args: &[&str]) {
        self.args = args.iter().map(|arg| (*arg).to_owned()).collect();
    }

    /// Ask the daemon to end (SIGTERM); [`Rig::ended`] waits for that.
    pub fn terminate(&self) {
        if let Some(pid) = self.pid() {
            // It may have ended by itself.
            let _ = Command::new("kill").arg(pid.to_string()).status();
        }
    }

    /// Wait until the daemon has ended by itself; whether it has.
    pub fn ended(&mut self, within: Duration) -> bool {
        let start = Instant::now();
        while start.elapsed() < within {
            match self.daemon.as_mut().map(Child::try_wait) {
                Some(Ok(None)) => std::thread::sleep(Duration::from_millis(5)),
                _ => return true,
            }
        }
        false
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join("shunt.toml")
    }

    fn make(mock: Option<String>, netns: Option<String>) -> Result<Rig, RigError> {
        let mut rig = Rig::unstarted(mock, netns)?;
        rig.restart()?;
        Ok(rig)
    }

    fn unstarted(mock: Option<String>, netns: Option<String>) -> Result<Rig, RigError> {
        let dir = tempfile::tempdir().or_else(|e| fail("temporary folder", e))?;
        Ok(Rig { dir, daemon: None, mock, netns, env: Vec::new(), args: Vec::new() })
    }

    /// The folder of the daemon.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The daemon's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("shuntd.sock")
    }

    /// The daemon's process.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.daemon.as_ref().map(Child::id)
    }

    /// End the daemon as a crash would (SIGKILL).
    pub fn kill(&mut self) {
        if let Some(mut child) = self.daemon.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Start the daemon (again) on the same state.
    pub fn restart(&mut self) -> Result<(), RigError> {
        self.kill();
        let log_path = self.dir.path().join("log");
        let log = std::fs::File::create(&log_path).or_else(|e| fail("log", e))?;
        let shuntd = program("shuntd")?;
        let mut command = match &self.netns {
            None => Command::new(shuntd),
            // It becomes the daemon: the process stays the same.
            Some(netns) => {
                let mut ip = Command::new("ip");
                ip.args(["netns", "exec", netns]).arg(shuntd);
                ip
            }
        };
        if let Some(mock) = &self.mock {
            command.args(["--mock", mock]);
        }
        if self.config().exists() {
            command.arg("--config").arg(self.config());
        }
        let child = command
            .args(&self.args)
            .arg("--socket")
            .arg(self.socket())
            .arg("--state")
            .arg(self.dir.path().join("state.redb"))
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .or_else(|e| fail("shuntd", e))?;
        let child = self.daemon.insert(child);
        let start = Instant::now();
        loop {
            if std::os::unix::net::UnixStream::connect(self.dir.path().join("shuntd.sock")).is_ok() {
                return Ok(());
            }
            let ended = child.try_wait().or_else(|e| fail("shuntd", e))?;
            if ended.is_some() || start.elapsed() > Duration::from_secs(60) {
                return fail("shuntd did not start", std::fs::read_to_string(&log_path).unwrap_or_default());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Run `shuntctl` on this daemon.
    pub fn ctl(&self, args: &[&str]) -> Result<Outcome, RigError> {
        let socket = self.socket();
        let mut all = vec!["--socket", socket.to_str().unwrap_or_default()];
        all.extend(args);
        run("shuntctl", &all)
    }

    /// Run `shuntctl`, which must succeed.
    pub fn ok(&self, args: &[&str]) -> Result<String, RigError> {
        let out = self.ctl(args)?;
        if out.code == Some(0) { Ok(out.stdout) } else { fail(format!("shuntctl {}", args.join(" ")), out.stderr) }
    }

    /// Run `shuntctl --json`, which must succeed, and decode what it prints.
    pub fn json<T: DeserializeOwned>(&self, args: &[&str]) -> Result<T, RigError> {
        let text = self.ok(&[&["--json"], args].concat())?;
        serde_json::from_str(&text).or_else(|e| fail(text, e))
    }

    /// Send a request to the daemon as it is written; status and body of the answer.
    pub fn request(&self, method: &str, path: &str, body: &str) -> Result<(u16, String), RigError> {
        let what = format!("{method} {path}");
        let mut stream = UnixStream::connect(self.socket()).or_else(|e| fail(&what, e))?;
        stream.set_read_timeout(Some(Duration::from_secs(60))).or_else(|e| fail(&what, e))?;
        let len = body.len();
        let head =
            format!("{method} {path} HTTP/1.1\r\nhost: rig\r\nconnection: close\r\ncontent-length: {len}\r\n\r\n");
        stream.write_all((head + body).as_bytes()).or_else(|e| fail(&what, e))?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).or_else(|e| fail(&what, e))?;
        let parts = answer.split_once("\r\n\r\n").map(|(head, body)| (head.split(' ').nth(1), body));
        match parts {
            Some((Some(status), body)) => match status.parse() {
                Ok(status) => Ok((status, body.to_owned())),
                Err(e) => fail(what, e),
            },
            _ => fail(what, format!("no answer: {answer:?}")),
        }
    }

    /// POST to the daemon, which must do it, and decode its answer.
    pub fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, RigError> {
        let body = serde_json::to_string(body).or_else(|e| fail(path, e))?;
        let (status, answer) = self.request("POST", path, &body)?;
        if status != 200 {
            return fail(path, answer);
        }
        serde_json::from_str(&answer).or_else(|e| fail(answer, e))
    }

    /// Send a request without a body, which the daemon must do, and decode its answer.
    pub fn json_of<T: DeserializeOwned>(&self, method: &str, path: &str) -> Result<T, RigError> {
        let (status, answer) = self.request(method, path, "")?;
        if status != 200 {
            return fail(path, answer);
        }
        serde_json::from_str(&answer).or_else(|e| fail(answer, e))
    }

    /// What the daemon has logged since it was started.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Run `shuntctl`, which must refuse: exit 1, nothing on stdout, one line on stderr, which is returned.
    pub fn refused(&self, args: &[&str]) -> Result<String, RigError> {
        let out = self.ctl(args)?;
        let what = format!("shuntctl {}", args.join(" "));
        if out.code != Some(1) || !out.stdout.is_empty() || out.stderr.lines().count() != 1 {
            return fail(what, format!("is no refusal in one line: {out:?}"));
        }
        Ok(out.stderr.trim_end().to_owned())
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.kill();
    }
}
