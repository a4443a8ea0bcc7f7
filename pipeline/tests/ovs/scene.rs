//! A scene: bridges, and what is in them; and packets.

use flow::FlowKey;
use pipeline::{VlanMode, VlanSet};

/// The cookie of a bridge's default rule.
pub const DEFAULT: u64 = 0xdef;

/// One of the sets of bridges that stand ready in Open vSwitch. Packets come in on the first of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Setup {
    /// One bridge.
    #[default]
    Plain,
    /// Two bridges with a patch cable between their ports [`PATCH`].
    Patched,
    /// One bridge with two mirrors, see [`MIRRORS`].
    Mirrored,
}

impl Setup {
    pub const ALL: [Setup; 3] = [Setup::Plain, Setup::Patched, Setup::Mirrored];

    pub fn bridges(self) -> &'static [&'static str] {
        match self {
            Setup::Plain => &["br0"],
            Setup::Patched => &["br1", "br2"],
            Setup::Mirrored => &["br3"],
        }
    }

    /// OpenFlow number, VLAN mode and flooding of the ports of a bridge, without patch ports and its own.
    pub fn ports(self, bridge: usize) -> Vec<(u16, VlanMode, bool)> {
        let set = |ids: &[u16]| ids.iter().copied().collect::<VlanSet>();
        let trunk = |n| (n, VlanMode::default(), true);
        if bridge == 1 {
            return vec![trunk(1), (2, VlanMode::Access(20), true)];
        }
        vec![
            trunk(1),
            (2, VlanMode::Access(10), true),
            (3, VlanMode::Trunk(set(&[10, 20])), true),
            (4, VlanMode::NativeUntagged { native: 20, trunks: set(&[30]) }, false),
            (7, VlanMode::NativeTagged { native: 20, trunks: set(&[10]) }, true),
        ]
    }
}

/// Numbers of the ports that packets come in on.
pub const PORTS: [u16; 5] = [1, 2, 3, 4, 7];
/// Number of the patch ports.
pub const PATCH: u16 = 9;

/// Mirrors of the mirrored bridge: ports whose incoming packets, ports whose outgoing packets, VLANs (none: all),
/// output port or VLAN.
pub type MirrorOf = (&'static [u16], &'static [u16], &'static [u16], Result<u16, u16>);
pub const MIRRORS: [MirrorOf; 2] = [(&[1, 3], &[2], &[], Ok(4)), (&[7], &[1], &[10, 20], Err(30))];

/// A rule, in parts that can be taken out one by one.
#[derive(Clone, Debug, Default)]
pub struct Rule {
    /// Of the set's bridges.
    pub bridge: usize,
    pub table: usize,
    pub priority: u16,
    pub cookie: u64,
    pub matches: Vec<String>,
    pub actions: Vec<String>,
    /// Names of the rows that it was made of.
    pub kinds: Vec<&'static str>,
    /// To be sent as OpenFlow 1.0: later versions have no action for `mod_vlan_vid` on a packet that may or may not be tagged, and
    /// ovs-ofctl sends another one.
    pub old: bool,
}

impl Rule {
    pub fn text(&self) -> String {
        let mut out = format!("table={},priority={},cookie={:#x}", self.table, self.priority, self.cookie);
        self.matches.iter().for_each(|m| out.push_str(&format!(",{m}")));
        let actions = if self.actions.is_empty() { "drop".to_owned() } else { self.actions.join(",") };
        out + ",actions=" + &actions
    }

    pub fn add(&mut self, kind: &'static str, text: String) {
        self.kinds.push(kind);
        self.matches.push(text);
    }

    pub fn act(&mut self, kind: &'static str, text: String) {
        self.kinds.push(kind);
        self.actions.push(text);
    }
}

/// A group of the first bridge.
#[derive(Clone, Debug, Default)]
pub struct Group {
    pub id: u32,
    /// `all`, `select`, `indirect`, `ff`
    pub kind: &'static str,
    /// `hash,fields(ip_src)`, `dp_hash`, or nothing.
    pub selection: &'static str,
    pub buckets: Vec<Bucket>,
}

#[derive(Clone, Debug, Default)]
pub struct Bucket {
    pub weight: Option<u16>,
    pub watch_port: Option<u16>,
    pub watch_group: Option<u32>,
    pub actions: Vec<String>,
}

impl Group {
    pub fn text(&self) -> String {
        let mut out = format!("group_id={},type={}", self.id, self.kind);
        if !self.selection.is_empty() {
            out.push_str(&format!(",selection_method={}", self.selection));
        }
        for (i, bucket) in self.buckets.iter().enumerate() {
            out.push_str(&format!(",bucket=bucket_id:{i}"));
            let mut add = |name: &str, value: Option<u32>| {
                if let Some(value) = value {
                    out.push_str(&format!(",{name}:{value}"));
                }
            };
            add("weight", bucket.weight.map(u32::from));
            add("watch_port", bucket.watch_port.map(u32::from));
            add("watch_group", bucket.watch_group);
            out.push_str(&format!(",actions={}", bucket.actions.join(",")));
        }
        out
    }
}

/// Meters of the first bridge, always there: numbers 1 to 3. (The dummy datapath has no other bands.)
pub const METERS: [&str; 3] = [
    "meter=1,pktps,band=type=drop,rate=100",
    "meter=2,kbps,burst,band=type=drop,rate=1000,burst_size=500",
    "meter=3,pktps,burst,stats,band=type=drop,rate=500,burst_size=50",
];

/// A packet: OpenFlow input port of the first bridge, and what extraction would say, with `in_port` zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    pub in_port: u16,
    pub key: FlowKey,
}

/// An address that the first bridge knows: port, VLAN, address.
pub type Station = (u16, u16, u64);

#[derive(Clone, Debug, Default)]
pub struct Scene {
    pub setup: Setup,
    pub rules: Vec<Rule>,
    pub groups: Vec<Group>,
    pub stations: Vec<Station>,
}

impl Scene {
    pub fn text(&self) -> String {
        let mut out = format!("  {:?}, known {:x?}\n", self.setup, self.stations);
        self.groups.iter().for_each(|g| out.push_str(&format!("  group {}\n", g.text())));
        let bridge = |r: &Rule| self.setup.bridges()[r.bridge];
        self.rules.iter().for_each(|r| out.push_str(&format!("  {} {}\n", bridge(r), r.text())));
        out
    }
}

/// A MAC address as text.
pub fn mac(n: u64) -> String {
    let b = n.to_be_bytes();
    format!("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", b[2], b[3], b[4], b[5], b[6], b[7])
}
