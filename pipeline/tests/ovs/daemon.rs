//! Open vSwitch with its dummy datapath, alone in a private directory: no root, no system daemon, no network.
//!
//! Everything that was started ends with the [`Ovs`] value, also by a panic; where `setpriv` exists the kernel sees to it
//! even when the test program is killed (the daemons' parent-death signal is that of the thread that started them).

use super::unixctl::Unixctl;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A port of a bridge: OpenFlow number and the columns of its Port record (`tag=10`, `vlan_mode=access` ...).
#[derive(Clone, Debug)]
pub struct OvsPort {
    pub number: u16,
    pub columns: Vec<String>,
}

pub struct Ovs {
    /// Where the packages were unpacked.
    root: PathBuf,
    dir: PathBuf,
    children: Vec<Child>,
    control: Option<Unixctl>,
}

/// Where Open vSwitch is, or why it is not there.
pub fn installation() -> Result<PathBuf, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/ovs.sh");
    // Beside `target/tmp`, which is this program's.
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("ovs");
    let output = Command::new(&script).arg(cache).output().map_err(|e| format!("{}: {e}", script.display()))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

/// Open vSwitch, or `None` after saying why the test is skipped.
pub fn start_or_skip() -> Option<Ovs> {
    match installation() {
        Ok(root) => Some(Ovs::start(root)),
        Err(why) => {
            println!("skipped: {why}");
            None
        }
    }
}

impl Ovs {
    /// Start ovsdb-server and ovs-vswitchd, without bridges.
    pub fn start(root: PathBuf) -> Ovs {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // Socket paths have 107 bytes at most: not in the target directory.
        let name = format!("shunt-ovs-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&dir).expect("a private directory");
        let mut ovs = Ovs { root, dir, children: Vec::new(), control: None };
        let (db, schema) = (ovs.path("conf.db"), ovs.root.join("usr/share/openvswitch/vswitch.ovsschema"));
        ovs.run("usr/bin/ovsdb-tool", &["create", &db, schema.to_str().expect("UTF-8")], "");
        let remote = format!("--remote=punix:{}", ovs.path("db.sock"));
        ovs.spawn("usr/sbin/ovsdb-server", "db", &[&db, &remote]);
        ovs.wait_for("db.sock");
        ovs.vsctl(&["--no-wait", "init"]);
        // Two tags, as many as our key has; and no statistics thread in the way.
        ovs.vsctl(&["--no-wait", "set", "Open_vSwitch", ".", "other_config:vlan-limit=2"]);
        let database = format!("unix:{}", ovs.path("db.sock"));
        ovs.spawn(
            "usr/lib/openvswitch-switch/ovs-vswitchd",
            "vswitchd",
            &[&database, "--enable-dummy=override", "--disable-system"],
        );
        ovs.wait_for("vswitchd.ctl");
        ovs.control = Some(Unixctl::connect(&ovs.dir.join("vswitchd.ctl")).expect("the control socket answers"));
        ovs
    }

    /// Add a bridge without rules whose ports are dummies. Datapath ports are those that [`Ovs::dp_ports`] tells.
    pub fn add_bridge(&mut self, name: &str, ports: &[OvsPort]) {
        let mut words: Vec<String> = Vec::new();
        let mut add = |text: &str| words.extend(text.split(' ').map(str::to_owned));
        add(&format!("add-br {name} -- set bridge {name} fail-mode=secure datapath_type=dummy"));
        for port in ports {
            let (n, columns) = (port.number, port.columns.join(" "));
            let space = if columns.is_empty() { "" } else { " " };
            add(&format!("-- add-port {name} {name}p{n}{space}{columns}"));
            add(&format!("-- set Interface {name}p{n} type=dummy ofport_request={n}"));
        }
        self.vsctl(&words.iter().map(String::as_str).collect::<Vec<_>>());
    }

    /// Connect two bridges by patch ports with this number.
    pub fn add_patch(&mut self, bridges: [&str; 2], number: u16) {
        for (i, bridge) in bridges.iter().enumerate() {
            let (name, peer) = (format!("{bridge}patch"), format!("options:peer={}patch", bridges[1 - i]));
            let number = format!("ofport_request={number}");
            self.vsctl(&["add-port", bridge, &name, "--", "set", "Interface", &name, "type=patch", &peer, &number]);
        }
    }

    /// Change the database (ovs-vsctl(8)) and wait until the switch has followed.
    pub fn vsctl(&self, args: &[&str]) -> String {
        let database = format!("--db=unix:{}", self.path("db.sock"));
        let all: Vec<&str> = [&[database.as_str(), "--timeout=20"], args].concat();
        self.run("usr/bin/ovs-vsctl", &all, "")
    }

    /// `ovs-ofctl command bridge args`, with `input` on its standard input. The error is what it printed.
    pub fn ofctl(
        &self,
        options: &[&str],
        command: &str,
        bridge: &str,
        args: &[&str],
        input: &str,
    ) -> Result<String, String> {
        let target = format!("unix:{}", self.path(&format!("{bridge}.mgmt")));
        let all: Vec<&str> = [options, &[command, &target], args].concat();
        let output = self.output("usr/bin/ovs-ofctl", &all, input);
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).trim_end().to_owned())
        }
    }

    /// The control socket of ovs-vswitchd.
    pub fn control(&mut self) -> &mut Unixctl {
        self.control.as_mut().expect("connected at start")
    }

    /// OpenFlow number and datapath number of the ports of a bridge, its own port (65534) included.
    pub fn dp_ports(&mut self, bridge: &str) -> Vec<(u16, u32)> {
        let shown = self.control().call("dpif/show", &[]).expect("dpif/show");
        let mut inside = false;
        let mut ports = Vec::new();
        for line in shown.lines() {
            if line.starts_with("  ") && !line.starts_with("   ") {
                inside = line.trim() == format!("{bridge}:");
            } else if inside && let Some((of, dp)) = line.split_whitespace().nth(1).and_then(|w| w.split_once('/')) {
                // `p1 1/2: (dummy)`; `none` for ports that the datapath does not have.
                if let (Ok(of), Ok(dp)) = (of.parse(), dp.trim_end_matches(':').parse())
                    && of != 65535
                {
                    ports.push((of, dp));
                }
            }
        }
        ports
    }

    /// How many packets the datapath has looked up (`dummy@ovs-dummy: hit:3 missed:1`).
    pub fn lookups(&mut self) -> u64 {
        let shown = self.control().call("dpif/show", &[]).expect("dpif/show");
        let first = shown.lines().next().unwrap_or_default();
        first.split_whitespace().filter_map(|w| w.split_once(':')?.1.parse::<u64>().ok()).sum()
    }

    fn path(&self, file: &str) -> String {
        self.dir.join(file).to_str().expect("a path in UTF-8").to_owned()
    }

    fn command(&self, program: &str) -> Command {
        let path = self.root.join(program);
        let mut command = Command::new(path);
        let libs = format!("{}-linux-gnu", std::env::consts::ARCH);
        let libs = ["usr/lib", "lib"].map(|l| self.root.join(l).join(&libs).to_string_lossy().into_owned());
        command.env("LD_LIBRARY_PATH", libs.join(":"));
        for name in ["OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR"] {
            command.env(name, &self.dir);
        }
        command.current_dir(&self.dir);
        command
    }

    fn spawn(&mut self, program: &str, name: &str, args: &[&str]) {
        let plain = self.command(program);
        let tied = Path::new("/usr/bin/setpriv").exists();
        let mut command = if tied {
            let mut command = Command::new("/usr/bin/setpriv");
            command.args(["--pdeathsig", "KILL"]).arg(plain.get_program());
            for (name, value) in plain.get_envs() {
                command.env(name, value.unwrap_or_default());
            }
            command.current_dir(&self.dir);
            command
        } else {
            plain
        };
        let child = command
            .args(args)
            .arg(format!("--unixctl={}", self.path(&format!("{name}.ctl"))))
            .arg(format!("--log-file={}", self.path(&format!("{name}.log"))))
            .arg("-vconsole:off")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.children.push(child.unwrap_or_else(|e| panic!("{program}: {e}")));
    }

    fn wait_for(&self, socket: &str) {
        let since = Instant::now();
        while std::os::unix::net::UnixStream::connect(self.dir.join(socket)).is_err() {
            assert!(since.elapsed() < Duration::from_secs(20), "no {socket} within 20 s");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn output(&self, program: &str, args: &[&str], input: &str) -> Output {
        let mut command = self.command(program);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{program}: {e}"));
        let mut stdin = child.stdin.take().expect("piped");
        // A program that refuses its input early closes the pipe.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        child.wait_with_output().unwrap_or_else(|e| panic!("{program}: {e}"))
    }

    fn run(&self, program: &str, args: &[&str], input: &str) -> String {
        let output = self.output(program, args, input);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {}: {error}", args.join(" "));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Ovs {
    fn drop(&mut self) {
        let died = self.children.iter_mut().any(|c| c.try_wait().is_ok_and(|status| status.is_some()));
        if died {
            let log = std::fs::read_to_string(self.dir.join("vswitchd.log")).unwrap_or_default();
            println!("a daemon died; the last of its log: {}", log.lines().last().unwrap_or_default());
        }
        for child in self.children.iter_mut().rev() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::env::var_os("SHUNT_OVS_KEEP").is_none() {
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}
