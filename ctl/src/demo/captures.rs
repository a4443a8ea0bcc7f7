//! The captures that come with the program.

/// Name and bytes of each, sorted by name. Where they are from: `mocks/captures/README.md`.
pub const CAPTURES: &[(&str, &[u8])] = &[
    ("arp.pcap", include_bytes!("../../../mocks/captures/arp.pcap")),
    ("bro.org.pcap", include_bytes!("../../../mocks/captures/bro.org.pcap")),
    ("dhcp.pcap", include_bytes!("../../../mocks/captures/dhcp.pcap")),
    ("fragmented-3.pcap", include_bytes!("../../../mocks/captures/fragmented-3.pcap")),
    ("http-qinq-0.pcap", include_bytes!("../../../mocks/captures/http-qinq-0.pcap")),
    ("http-vlan-0.pcap", include_bytes!("../../../mocks/captures/http-vlan-0.pcap")),
    ("icmp-ping.pcap", include_bytes!("../../../mocks/captures/icmp-ping.pcap")),
    ("icmp6.pcap", include_bytes!("../../../mocks/captures/icmp6.pcap")),
    ("ipv6-fragmented-dns.pcap", include_bytes!("../../../mocks/captures/ipv6-fragmented-dns.pcap")),
    ("ipv6.pcap", include_bytes!("../../../mocks/captures/ipv6.pcap")),
    ("mixed-vlan-mpls.pcap", include_bytes!("../../../mocks/captures/mixed-vlan-mpls.pcap")),
    ("ntp.pcap", include_bytes!("../../../mocks/captures/ntp.pcap")),
    ("sctp.pcap", include_bytes!("../../../mocks/captures/sctp.pcap")),
    ("vxlan.pcap", include_bytes!("../../../mocks/captures/vxlan.pcap")),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_capture_of_the_folder_is_here_and_sorted() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../mocks/captures");
        let mut there: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".pcap"))
            .collect();
        there.sort();
        assert_eq!(CAPTURES.iter().map(|(name, _)| *name).collect::<Vec<_>>(), there);
    }
}
