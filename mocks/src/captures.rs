//! Small captures of real traffic, in the program itself, so that a demo needs no files. `captures/README.md` says where they are
//! from and what each holds. The names are sorted.

macro_rules! captures {
    ($($name:literal),* $(,)?) => {
        /// File name and bytes (pcap, microseconds) of each.
        pub const ALL: &[(&str, &[u8])] = &[$(($name, include_bytes!(concat!("../captures/", $name)))),*];
    };
}

captures![
    "arp.pcap",
    "bro.org.pcap",
    "dhcp.pcap",
    "fragmented-3.pcap",
    "http-qinq-0.pcap",
    "http-vlan-0.pcap",
    "icmp-ping.pcap",
    "icmp6.pcap",
    "ipv6-fragmented-dns.pcap",
    "ipv6.pcap",
    "mixed-vlan-mpls.pcap",
    "ntp.pcap",
    "sctp.pcap",
    "vxlan.pcap",
];

/// The bytes of a capture by its file name.
#[must_use]
pub fn named(name: &str) -> Option<&'static [u8]> {
    ALL.iter().find(|(n, _)| *n == name).map(|(_, bytes)| *bytes)
}
