//! Open vSwitch with the bridges of the scenes.

use super::ask;
use super::daemon::{Ovs, OvsPort};
use super::ours::{DpPorts, columns};
use super::scene::{METERS, MIRRORS, PATCH, Packet, Scene, Setup, Station, mac};
use super::trace::{self, Pass};
use std::collections::BTreeMap;

pub struct Theirs {
    pub ovs: Ovs,
    /// Ports of the bridges of each set.
    dp: Vec<Vec<DpPorts>>,
    /// What each set's first bridge was told.
    stations: Vec<Vec<Station>>,
    groups: Vec<bool>,
}

impl Theirs {
    pub fn new(ovs: Ovs) -> Theirs {
        let mut theirs = Theirs { ovs, dp: Vec::new(), stations: Vec::new(), groups: Vec::new() };
        for setup in Setup::ALL {
            theirs.set_up(setup);
        }
        theirs
    }

    fn set_up(&mut self, setup: Setup) {
        let ovs = &mut self.ovs;
        let mut dp = Vec::new();
        for (i, name) in setup.bridges().iter().enumerate() {
            let ports = setup.ports(i);
            let with = |(number, mode, _): &(u16, _, bool)| OvsPort { number: *number, columns: columns(mode) };
            ovs.add_bridge(name, &ports.iter().map(with).collect::<Vec<_>>());
            for (number, _, flood) in ports {
                if !flood {
                    ovs.ofctl(&[], "mod-port", name, &[&number.to_string(), "no-flood"], "").expect("mod-port");
                }
            }
            // The bridge's own port is down until somebody configures it.
            ovs.ofctl(&[], "mod-port", name, &[name, "up"], "").expect("mod-port");
            dp.push(ovs.dp_ports(name));
        }
        let first = setup.bridges()[0];
        for meter in METERS {
            ovs.ofctl(&["-O", "OpenFlow14"], "add-meter", first, &[meter], "").expect("add-meter");
        }
        match setup {
            Setup::Plain => {}
            Setup::Patched => ovs.add_patch([first, setup.bridges()[1]], PATCH),
            Setup::Mirrored => mirror(ovs, first),
        }
        self.dp.push(dp);
        self.stations.push(Vec::new());
        self.groups.push(false);
    }

    /// Datapath numbers of the ports of the set's bridges.
    pub fn dp(&self, setup: Setup) -> &[DpPorts] {
        &self.dp[setup as usize]
    }

    /// Make the bridges what the scene says.
    pub fn load(&mut self, scene: &Scene) -> Result<(), String> {
        let (bridges, set) = (scene.setup.bridges(), scene.setup as usize);
        if self.groups[set] || !scene.groups.is_empty() {
            // Rules first: Open vSwitch 3.1.0 dies when a rule goes with two groups at once.
            self.ovs.ofctl(&[], "del-flows", bridges[0], &[], "")?;
            self.ovs.ofctl(&["-O", "OpenFlow15"], "del-groups", bridges[0], &[], "")?;
            let groups: String = scene.groups.iter().map(|g| g.text() + "\n").collect();
            self.send(&["-O", "OpenFlow15"], "add-groups", bridges[0], &groups)?;
            self.groups[set] = !scene.groups.is_empty();
        }
        for (i, bridge) in bridges.iter().enumerate() {
            let texts = |old: bool| -> String {
                let rules = scene.rules.iter().filter(|r| r.bridge == i && r.old == old);
                rules.map(|r| format!("add {}\n", r.text())).collect()
            };
            self.send(&["-O", "OpenFlow14"], "add-flows", bridge, &format!("delete\n{}", texts(false)))?;
            self.send(&[], "add-flows", bridge, &texts(true))?;
        }
        let control = self.ovs.control();
        for (_, vlan, m) in self.stations[set].drain(..) {
            control.call("fdb/del", &[bridges[0], &vlan.to_string(), &mac(m)])?;
        }
        for bridge in bridges {
            control.call("fdb/flush", &[bridge])?;
        }
        for (port, vlan, m) in &scene.stations {
            let port = format!("{}p{port}", bridges[0]);
            control.call("fdb/add", &[bridges[0], &port, &vlan.to_string(), &mac(*m)])?;
        }
        self.stations[set].clone_from(&scene.stations);
        Ok(())
    }

    /// Give ovs-ofctl lines, if there are any.
    fn send(&self, options: &[&str], command: &str, bridge: &str, lines: &str) -> Result<(), String> {
        if lines.is_empty() {
            return Ok(());
        }
        // `ovs-ofctl: -:3: what is wrong`, or the refused message itself.
        let told = |e: String| {
            let number = e.split(':').nth(2).and_then(|n| n.parse::<usize>().ok());
            let line = number.and_then(|n| lines.lines().nth(n - 1));
            format!("{e}\n{}", line.unwrap_or(lines))
        };
        self.ovs.ofctl(options, command, bridge, &["-"], lines).map(drop).map_err(told)
    }

    /// What the set's first bridge would do with these packets.
    pub fn trace(&mut self, setup: Setup, packets: &[Packet]) -> Vec<Vec<Pass>> {
        let all: Vec<Vec<String>> = packets.iter().map(|p| self.parameters(setup, p)).collect();
        let answers = self.ovs.control().call_all("ofproto/trace", &all);
        let parse = |(answer, asked): (Result<String, String>, &Vec<String>)| match answer {
            Ok(text) => trace::parse(&text),
            Err(error) => panic!("ofproto/trace {}: {error}", asked.join(" ")),
        };
        answers.into_iter().zip(&all).map(parse).collect()
    }

    /// Let a packet have come: the switch learns from it.
    pub fn receive(&mut self, setup: Setup, packet: &Packet) -> Vec<Pass> {
        let mut all = self.parameters(setup, packet);
        all.insert(0, "-generate".to_owned());
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let answer = self.ovs.control().call("ofproto/trace", &all);
        trace::parse(&answer.unwrap_or_else(|e| panic!("{}: {e}", all.join(" "))))
    }

    pub fn parameters(&self, setup: Setup, packet: &Packet) -> Vec<String> {
        let dp: BTreeMap<u16, u32> = self.dp(setup)[0].iter().copied().collect();
        ask::parameters(setup.bridges()[0], packet, dp[&packet.in_port])
    }
}

fn mirror(ovs: &Ovs, bridge: &str) {
    for (i, (src, dst, vlans, output)) in MIRRORS.iter().enumerate() {
        let mut words: Vec<String> = Vec::new();
        let mut add = |text: String| words.extend(text.split(' ').map(str::to_owned));
        let mut columns = format!("name=m{i}");
        let mut ids = String::new();
        for (column, ports) in [("select_src_port", src), ("select_dst_port", dst)] {
            ports.iter().for_each(|n| ids.push_str(&format!("--id=@p{n} get Port {bridge}p{n} -- ")));
            let list: Vec<String> = ports.iter().map(|n| format!("@p{n}")).collect();
            columns.push_str(&format!(" {column}={}", list.join(",")));
        }
        if !vlans.is_empty() {
            let list: Vec<String> = vlans.iter().map(u16::to_string).collect();
            columns.push_str(&format!(" select_vlan={}", list.join(",")));
        }
        match output {
            Ok(n) => {
                ids.push_str(&format!("--id=@out get Port {bridge}p{n} -- "));
                columns.push_str(" output_port=@out");
            }
            Err(vlan) => columns.push_str(&format!(" output_vlan={vlan}")),
        }
        add(format!("{ids}--id=@m create Mirror {columns} -- add Bridge {bridge} mirrors @m"));
        ovs.vsctl(&words.iter().map(String::as_str).collect::<Vec<_>>());
    }
}
