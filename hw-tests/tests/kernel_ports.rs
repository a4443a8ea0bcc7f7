//! Ports that face the kernel, between network namespaces that the test makes: with the kernel's default offloads, as peers
//! have them. Skipped where the test may not make namespaces and tap devices.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use api::PortView;
use hw_tests::Rig;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A network namespace; gone when dropped, with all devices in it.
#[derive(Debug)]
struct Netns(String);

impl Netns {
    /// `None`: this user may not make namespaces. The tests of this file run at the same time in one process, so each namespace
    /// has a number of its own.
    fn new(role: &str) -> Option<Netns> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("shunt-{}-{}-{role}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let made = Command::new("ip").args(["netns", "add", &name]).output().unwrap();
        let said = String::from_utf8_lossy(&made.stderr);
        if made.status.success() {
            return Some(Netns(name));
        }
        assert!(said.contains("not permitted") || said.contains("denied"), "ip netns add {name}: {said}");
        None
    }

    /// Run a command inside.
    fn run(&self, command: &str) -> Output {
        Command::new("ip").args(["netns", "exec", &self.0]).args(command.split(' ')).output().unwrap()
    }

    /// Run a command inside, which must succeed.
    fn ok(&self, command: &str) -> String {
        let out = self.run(command);
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(out.status.success(), "{command}: {text}{}", String::from_utf8_lossy(&out.stderr));
        text
    }

    fn start(&self, command: &str) -> Running {
        let mut all = Command::new("ip");
        all.args(["netns", "exec", &self.0]).args(command.split(' '));
        Running(all.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Take a device of another namespace, and give it addresses.
    fn adopt(&self, from: &Netns, device: &str, host: u8) {
        from.ok(&format!("ip link set {device} netns {}", self.0));
        self.configure(device, 0, host);
    }

    fn configure(&self, device: &str, net: u8, host: u8) {
        self.ok(&format!("ip addr add 10.77.{net}.{host}/24 dev {device}"));
        self.ok(&format!("ip -6 addr add fd77:{net}::{host}/64 dev {device} nodad"));
        self.ok(&format!("ip link set {device} up"));
    }

    /// A counter of the namespace's stack, as in /proc/net/netstat and snmp.
    fn counter(&self, name: &str) -> u64 {
        let all = self.ok("nstat -asz");
        let line = all.lines().find(|l| l.split_whitespace().next() == Some(name));
        line.and_then(|l| l.split_whitespace().nth(1)).and_then(|n| n.parse().ok()).unwrap()
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).output();
    }
}

/// A process that ends with the test.
#[derive(Debug)]
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The switch's namespace and those of three hosts; `None`: not possible here, and why is printed.
fn lab() -> Option<(Rig, Netns, [Netns; 3])> {
    let skip = |why: &str| {
        println!("skipped: {why}");
        None
    };
    if !std::path::Path::new("/dev/net/tun").exists() {
        return skip("there is no /dev/net/tun");
    }
    for tool in ["iperf3", "ping", "nstat", "ss", "ip"] {
        let there =
            std::env::var("PATH").unwrap_or_default().split(':').any(|d| std::path::Path::new(d).join(tool).exists());
        if !there {
            return skip(&format!("{tool} is not installed: scripts/deps.sh test"));
        }
    }
    let made = || Some((Netns::new("sw")?, [Netns::new("a")?, Netns::new("b")?, Netns::new("c")?]));
    let Some((switch, hosts)) = made() else { return skip("network namespaces cannot be made: run it as root") };
    let veth = format!("ip link add veth0 type veth peer name eth0 netns {}", hosts[2].0);
    if !switch.run(&veth).status.success() {
        return skip("veth devices cannot be made");
    }
    switch.ok("ip link set veth0 up");
    let rig = Rig::in_netns(&switch.0).unwrap();
    rig.ok(&["bridge", "add", "br0"]).unwrap();
    Some((rig, switch, hosts))
}

/// Ports tap0 (to host 0), int0 (to host 1) and wire (veth0, whose peer is in host 2).
fn connect(rig: &Rig, switch: &Netns, hosts: &[Netns; 3]) {
    rig.ok(&["port", "add", "br0", "tap0", "--type", "tap"]).unwrap();
    rig.ok(&["port", "add", "br0", "int0", "--type", "internal"]).unwrap();
    rig.ok(&["port", "add", "br0", "wire", "--type", "af-packet", "--option", "ifname=veth0"]).unwrap();
    hosts[0].adopt(switch, "tap0", 1);
    hosts[1].adopt(switch, "int0", 2);
    hosts[2].configure("eth0", 0, 3);
}

fn port(rig: &Rig, name: &str) -> PortView {
    rig.json::<Vec<PortView>>(&["port", "list"]).unwrap().into_iter().find(|p| p.port.name == name).unwrap()
}

fn counted(rig: &Rig, name: &str, counter: &str) -> u64 {
    port(rig, name).device_counters[counter]
}

/// Wait until something is so.
fn wait(what: &str, so: impl Fn() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}: not within 20 seconds");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Megabits a second that the receiver got.
fn iperf(client: &Netns, server: &Netns, options: &str, to: &str) -> f64 {
    let _server = server.start("iperf3 -s -1");
    wait("iperf3 listens", || server.ok("ss -Hltn").contains(":5201"));
    let command = format!("iperf3 -c {to} -t 1 -J --connect-timeout 3000 {options}");
    let out = client.ok(command.trim_end());
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    let end = &json["end"];
    let sum = if end["sum_received"].is_object() { &end["sum_received"] } else { &end["sum"] };
    sum["bits_per_second"].as_f64().unwrap() / 1e6
}

fn ping(from: &Netns, to: &str) {
    from.ok(&format!("ping -c 3 -i 0.05 -W 3 {to}"));
}

#[test]
fn hosts_with_default_offloads_talk_through_tap_internal_and_af_packet() {
    let Some((rig, switch, hosts)) = lab() else { return };
    connect(&rig, &switch, &hosts);
    let [a, b, c] = &hosts;
    for (from, to) in [(a, "10.77.0.2"), (a, "10.77.0.3"), (b, "10.77.0.3"), (c, "10.77.0.1"), (c, "fd77:0::2")] {
        ping(from, to);
    }
    // TCP over IPv4 and IPv6, every kind of port as sender and as receiver.
    for (from, to, address) in
        [(a, b, "10.77.0.2"), (b, c, "10.77.0.3"), (c, a, "10.77.0.1"), (a, c, "fd77:0::3"), (c, b, "fd77:0::2")]
    {
        let rate = iperf(from, to, "", address);
        println!("TCP {} -> {address}: {rate:.0} Mbit/s", from.0);
        assert!(rate > 10.0, "{address}: {rate} Mbit/s");
    }
    for name in ["tap0", "int0", "wire"] {
        let cut = counted(&rig, name, "kernel_rx_gso_frames");
        assert!(cut > 0, "{name}: the kernel left no frame to be cut: the test saw too little");
        assert_eq!(counted(&rig, name, "kernel_rx_drop_bad_header"), 0, "{name}");
        assert_eq!(counted(&rig, name, "kernel_rx_drop_gso_unsupported"), 0, "{name}");
    }
    // UDP, with the checksum left to the device.
    for (from, to, address) in [(a, c, "10.77.0.3"), (c, b, "10.77.0.2")] {
        let rate = iperf(from, to, "-u -b 20M -l 1000", address);
        assert!(rate > 2.0, "UDP to {address}: {rate} Mbit/s");
    }
    for host in &hosts {
        for counter in ["TcpInCsumErrors", "UdpInCsumErrors", "Icmp6InCsumErrors"] {
            assert_eq!(host.counter(counter), 0, "{counter} in {}", host.0);
        }
    }
    // Jumbo frames between those that take them; the others' are dropped under a name.
    rig.ok(&["port", "set", "br0", "tap0", "--mtu", "9000"]).unwrap();
    a.ok("ip link set tap0 mtu 9000");
    c.ok("ip link set eth0 mtu 9000");
    switch.ok("ip link set veth0 mtu 9000");
    wait("the MTU of veth0 is seen", || a.run("ping -c 1 -W 1 -M do -s 8900 10.77.0.3").status.success());
    let rate = iperf(a, c, "", "10.77.0.3");
    assert!(rate > 10.0, "with jumbo frames: {rate} Mbit/s");
    let before = counted(&rig, "int0", "kernel_tx_drop_too_long");
    assert!(!a.run("ping -c 1 -W 1 -M do -s 8900 10.77.0.2").status.success());
    assert_eq!(counted(&rig, "int0", "kernel_tx_drop_too_long"), before + 1);
}

/// Two bridges and a cable between them that carries VLAN 7 tagged. The kernel takes the tag out of frames that a veth gets and
/// keeps it beside the bytes.
#[test]
fn tags_survive_a_cable_between_packet_sockets() {
    let Some((rig, switch, hosts)) = lab() else { return };
    let [a, b, _] = &hosts;
    switch.ok("ip link add cable0 type veth peer name cable1");
    rig.ok(&["bridge", "add", "br1"]).unwrap();
    for (bridge, cable, host) in [("br0", "cable0", "tap0"), ("br1", "cable1", "tap1")] {
        switch.ok(&format!("ip link set {cable} up"));
        rig.ok(&["port", "add", bridge, cable, "--type", "af-packet", "--trunks", "7"]).unwrap();
        rig.ok(&["port", "add", bridge, host, "--type", "tap", "--tag", "7"]).unwrap();
    }
    a.adopt(&switch, "tap0", 1);
    b.adopt(&switch, "tap1", 2);
    ping(a, "10.77.0.2");
    let rate = iperf(a, b, "", "10.77.0.2");
    println!("TCP with tags: {rate:.0} Mbit/s");
    assert!(rate > 10.0, "with a tag: {rate} Mbit/s");
    for cable in ["cable0", "cable1"] {
        let (frames, tags) = ["kernel_rx_frames", "kernel_rx_tags_restored"].map(|c| counted(&rig, cable, c)).into();
        // Frames of the host's own, such as router solicitations, have none.
        assert!(tags > 100 && tags + 50 > frames, "{cable}: {tags} tags in {frames} frames");
    }
    assert_eq!(a.counter("TcpInCsumErrors") + b.counter("TcpInCsumErrors"), 0);
}

#[test]
fn devices_go_and_come_back_under_load() {
    let Some((mut rig, switch, hosts)) = lab() else { return };
    connect(&rig, &switch, &hosts);
    let [a, b, c] = &hosts;
    ping(a, "10.77.0.3");
    let load = a.start("ping -f -q 10.77.0.3");
    // The cable is cut and joined again.
    switch.ok("ip link del veth0");
    wait("wire is down", || port(&rig, "wire").state.contains("there is no network device veth0"));
    wait("frames are dropped under a name", || counted(&rig, "wire", "kernel_tx_drop_no_device") > 0);
    switch.ok(&format!("ip link add veth0 type veth peer name eth0 netns {}", c.0));
    wait("the veth is not up yet", || port(&rig, "wire").state.contains("veth0 is not set up"));
    switch.ok("ip link set veth0 up");
    c.configure("eth0", 0, 3);
    wait("wire is up", || port(&rig, "wire").state == "up");
    // The new cable's end has another address.
    a.ok("ip neigh flush all");
    wait("hosts talk again", || a.run("ping -c 1 -W 1 10.77.0.3").status.success());
    let promiscuous = || switch.ok("ip -d link show veth0").contains("promiscuity 1");
    assert!(promiscuous());
    // Ports are removed while frames go through them.
    rig.ok(&["port", "del", "br0", "wire"]).unwrap();
    assert!(!promiscuous());
    rig.ok(&["port", "add", "br0", "wire", "--type", "af-packet", "--option", "ifname=veth0"]).unwrap();
    rig.ok(&["port", "del", "br0", "tap0"]).unwrap();
    assert!(!a.run("ip link show tap0").status.success(), "the device outlives its port");
    drop(load);
    // The bridge's own port, and its device removed behind our back.
    rig.ok(&[
        "port",
        "add",
        "br0",
        "own0",
        "--type",
        "internal",
        "--ofport",
        "local",
        "--option",
        "mac=02:00:00:00:00:77",
    ])
    .unwrap();
    switch.configure("own0", 0, 7);
    ping(b, "10.77.0.7");
    assert!(switch.ok("ip link show own0").contains("02:00:00:00:00:77"));
    assert!(rig.ok(&["port", "list"]).unwrap().contains("LOCAL"));
    switch.ok("ip link del own0");
    wait("the device is made again", || switch.run("ip link show own0").status.success());
    wait("own0 is up", || port(&rig, "own0").state == "up");
    // A restart makes the ports anew; a device that is not there now is waited for.
    switch.ok("ip link del veth0");
    rig.restart().unwrap();
    // The socket is there before the ports are: the first answer comes after them.
    assert_eq!(port(&rig, "own0").state, "up");
    switch.configure("own0", 0, 7);
    assert!(port(&rig, "wire").state.contains("there is no network device veth0"), "{}", port(&rig, "wire").state);
    switch.ok(&format!("ip link add veth0 type veth peer name eth0 netns {}", c.0));
    switch.ok("ip link set veth0 up");
    c.configure("eth0", 0, 3);
    wait("wire is up after the restart", || port(&rig, "wire").state == "up");
    wait("they talk", || c.run("ping -c 1 -W 1 10.77.0.7").status.success());
}

#[test]
fn what_cannot_be_is_refused_in_one_line_and_leaves_nothing() {
    let Some((rig, switch, _hosts)) = lab() else { return };
    let before = (rig.ok(&["port", "list"]).unwrap(), switch.ok("ip -br link"));
    let add = |name: &str, more: &str| {
        let mut args = vec!["port", "add", "br0", name];
        args.extend(more.split(' '));
        rig.refused(&args).unwrap()
    };
    for (name, more, part) in [
        ("p", "--type af-packet --option ifname=none0", "there is no network device none0"),
        ("p", "--type tap --option ifname=veth0", "there is a network device veth0 already"),
        ("p", "--type tap --option ifname=a-name-of-16-byt", "longer than 15 bytes"),
        ("p", "--type tap --option mac=01:00:00:00:00:01", "is not the address of one station"),
        ("p", "--type tap --option mac=1", "no Ethernet address"),
        ("p", "--type tap --option color=red", "no option color"),
        ("p", "--type tap --devargs net_null0", "has no devargs"),
        ("p", "--type tap --ofport local", "out of range"),
        ("p", "--type tap --mtu 67", "outside of 68 to 65521"),
        ("p", "--type af-packet --option ifname=veth0 --mtu 9000", "more than veth0 has (1500)"),
    ] {
        let said = add(name, more);
        assert!(said.contains(part), "{more}: {said}");
        assert_eq!((rig.ok(&["port", "list"]).unwrap(), switch.ok("ip -br link")), before, "{more}");
    }
    rig.ok(&["port", "add", "br0", "p", "--type", "af-packet", "--option", "ifname=veth0"]).unwrap();
    assert!(add("q", "--type af-packet --option ifname=veth0").contains("veth0 is port p already"));
    assert!(rig.refused(&["port", "set", "br0", "p", "--mtu", "9000"]).unwrap().contains("more than veth0 has"));
    rig.ok(&["port", "set", "br0", "p", "--mtu", "1400"]).unwrap();
    let stats = rig.ok(&["port", "stats", "p"]).unwrap();
    assert!(stats.contains("kernel_rx_frames") && stats.contains("tx_dropped"), "{stats}");
}
