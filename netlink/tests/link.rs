//! Links and VFs: bytes that a real kernel and iproute2 wrote, both ways, and what lies about its length.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use netlink::{
    AttrBuf, Error, Link, LinkClient, LinkDetail, LinkSettings, LinkStats, Transport, VfLinkState, VfRate, VfSettings,
    VfStats, VfVlan, VlanProto,
};
use proptest::prelude::*;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.chars().map(|c| c.to_digit(16).unwrap().try_into().unwrap()).collect();
    digits.chunks(2).map(|d| d[0] << 4 | d[1]).collect()
}

/// The message that the kernel answered with for this `IFLA_EXT_MASK`, and iproute2's JSON.
fn igb(mask: &str) -> (Vec<u8>, serde_json::Value) {
    let text = include_str!("captures/igb_vfs.txt");
    let line = |start: &str| text.lines().find_map(|l| l.strip_prefix(start)).unwrap();
    let json: serde_json::Value = serde_json::from_str(line("= ")).unwrap();
    (bytes(line(&format!("< {mask} ")))[16..].to_vec(), json[0].clone())
}

#[test]
fn vfs_of_a_real_card_read_as_iproute2_reads_them() {
    let (payload, json) = igb("1");
    let link = Link::parse(&payload).unwrap();
    assert_eq!((link.name.as_str(), u64::from(link.ifindex)), ("eth0", json["ifindex"].as_u64().unwrap()));
    assert_eq!((link.num_vf, link.vfs.len(), link.is_up()), (Some(2), 2, true));
    assert_eq!((link.parent_bus.as_deref(), link.parent_dev.as_deref()), (Some("pci"), Some("0000:01:00.0")));
    assert_eq!(link.stats.unwrap().rx_packets, json["stats64"]["rx"]["packets"].as_u64().unwrap());
    for (vf, json) in link.vfs.iter().zip(json["vfinfo_list"].as_array().unwrap()) {
        assert_eq!(u64::from(vf.vf), json["vf"].as_u64().unwrap());
        let mac = vf.mac.unwrap().map(|b| format!("{b:02x}")).join(":");
        assert_eq!(mac, json["address"].as_str().unwrap());
        let tag = &json["vlan_list"][0];
        let vlan = vf.vlan.unwrap();
        assert_eq!(u64::from(vlan.id), tag["vlan"].as_u64().unwrap_or(0));
        assert_eq!(u64::from(vlan.qos), tag["qos"].as_u64().unwrap_or(0));
        assert_eq!((vf.trust, vf.spoof_check), (json["trust"].as_bool(), json["spoofchk"].as_bool()));
        assert_eq!(vf.link_state.unwrap().to_string(), json["link_state"].as_str().unwrap());
        assert_eq!(u64::from(vf.rate.unwrap().max), json["rate"]["max_tx"].as_u64().unwrap());
        let (stats, json) = (vf.stats.unwrap(), &json["stats"]);
        assert_eq!(
            (stats.rx_bytes, stats.tx_packets, stats.rx_dropped),
            (json["rx"]["bytes"].as_u64().unwrap(), json["tx"]["tx_packets"].as_u64().unwrap(), 0)
        );
        assert!(vf.other.is_empty(), "{:?}", vf.other);
    }
    assert_eq!(link.vfs[0].vlan, Some(VfVlan { id: 100, qos: 3, proto: VlanProto::Dot1Q }));
    let without = Link::parse(&igb("9").0).unwrap();
    assert!(without.vfs.iter().all(|vf| vf.stats.is_none() && vf.mac.is_some()));
}

/// Keeps what is sent, and acknowledges it.
struct Recorder(Arc<Mutex<Vec<Vec<u8>>>>, Option<Vec<u8>>);

impl Transport for Recorder {
    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        self.0.lock().unwrap().push(datagram.to_vec());
        let seq = &datagram[8..12];
        let ack = [&36u32.to_ne_bytes()[..], &[2, 0, 0, 0], seq, &[0; 4], &[0; 20]].concat();
        self.1 = Some(ack);
        Ok(())
    }

    fn recv(&mut self, _: Duration) -> io::Result<Option<Vec<u8>>> {
        Ok(self.1.take())
    }

    fn join(&mut self, _: u32) -> io::Result<()> {
        Ok(())
    }
}

fn sent(act: impl FnOnce(&mut LinkClient)) -> Vec<u8> {
    let log = Arc::new(Mutex::new(Vec::new()));
    act(&mut LinkClient::new(Box::new(Recorder(log.clone(), None))));
    let all = log.lock().unwrap();
    assert_eq!(all.len(), 1);
    all[0].clone()
}

#[test]
fn vf_settings_are_sent_as_iproute2_sends_them() {
    let off = VfSettings::default;
    let wishes = [
        (1, VfSettings { mac: Some([2, 0, 0, 0, 0, 9]), ..off() }),
        (0, VfSettings { vlan: Some(VfVlan { id: 100, qos: 3, proto: VlanProto::Dot1Q }), ..off() }),
        (1, VfSettings { vlan: Some(VfVlan { id: 7, qos: 3, proto: VlanProto::Dot1Ad }), ..off() }),
        (2, VfSettings { trust: Some(true), ..off() }),
        (2, VfSettings { spoof_check: Some(false), ..off() }),
        (3, VfSettings { link_state: Some(VfLinkState::Enable), ..off() }),
        (3, VfSettings { rate: Some(VfRate { min: 100, max: 500 }), ..off() }),
    ];
    let text = include_str!("captures/vf_set.txt");
    let commands = text.lines().filter_map(|l| l.strip_prefix("$ "));
    let captured = text.lines().filter_map(|l| l.strip_prefix("> "));
    let mut count = 0;
    for (((vf, wish), command), hex) in wishes.iter().zip(commands).zip(captured) {
        let request = sent(|links| links.set_vf(3, *vf, wish).unwrap());
        assert_eq!(request[4..6], 19u16.to_ne_bytes());
        assert_eq!(request[20..24], 3u32.to_ne_bytes());
        assert_eq!(request[32..], bytes(hex), "{command}");
        let words = format!("vf {vf}{wish}");
        assert_eq!(words, command, "the words of errors are those of iproute2");
        count += 1;
    }
    assert_eq!(count, 7);
}

#[test]
fn requests_say_what_detail_is_wanted() {
    let mask = |detail| {
        let request = sent(|links| drop(links.get_with(7, detail)));
        assert_eq!(request[32..36], [8, 0, 29, 0]);
        request[36]
    };
    assert_eq!(mask(LinkDetail { vfs: true, vf_stats: true }), 1);
    assert_eq!(mask(LinkDetail { vfs: true, vf_stats: false }), 9);
    assert_eq!(mask(LinkDetail::default()), 8);
    let all = LinkSettings { up: Some(true), mtu: Some(9000), master: Some(5), ..LinkSettings::default() };
    let request = sent(|links| links.set(7, &all).unwrap());
    assert_eq!(request[24..32], [1, 0, 0, 0, 1, 0, 0, 0]);
    assert_eq!(request[32..], bytes("080004002823000008000a0005000000"));
    // A name that cannot be carried is refused before it is sent.
    let long = LinkSettings { name: Some("x".repeat(70_000)), ..LinkSettings::default() };
    let log = Arc::new(Mutex::new(Vec::new()));
    let e = LinkClient::new(Box::new(Recorder(log.clone(), None))).set(1, &long).unwrap_err();
    assert!(matches!(e, Error::TooLong { attr: 3, .. }) && log.lock().unwrap().is_empty(), "{e}");
}

/// A link message with one `IFLA_VF_INFO` of these attributes for each entry.
fn with_vfs(entries: &[&[(u16, Vec<u8>)]]) -> Vec<u8> {
    let (mut list, mut attrs) = (AttrBuf::new(), AttrBuf::new());
    for entry in entries {
        let mut info = AttrBuf::new();
        for (kind, value) in *entry {
            info.put(*kind, value);
        }
        list.put_nested(1, &info);
    }
    attrs.put_str(3, "p0").put_nested(22, &list);
    let mut payload = vec![0; 16];
    payload[4] = 2;
    payload.extend(attrs.as_bytes());
    payload
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_ne_bytes()).collect()
}

#[test]
fn odd_vf_lists_are_read_or_refused() {
    // By hand from linux/if_link.h: a service tag, unknown settings at -1, an attribute of a newer kernel, a longer structure.
    let mut tag = AttrBuf::new();
    tag.put(1, &[words(&[4, 7, 1]), vec![0x88, 0xa8, 0, 0]].concat());
    let entry = [
        (12, tag.as_bytes().to_vec()),
        (4, words(&[4, u32::MAX])),
        (9, words(&[4, u32::MAX])),
        (5, words(&[4, 9])),
        (6, words(&[4, 10, 20, 30])),
        (99, vec![1, 2, 3]),
    ];
    let link = Link::parse(&with_vfs(&[&entry])).unwrap();
    let vf = &link.vfs[0];
    assert_eq!(vf.vlan, Some(VfVlan { id: 7, qos: 1, proto: VlanProto::Dot1Ad }));
    assert_eq!((vf.vf, vf.trust, vf.spoof_check, vf.link_state), (4, None, None, None));
    assert_eq!((vf.rate, vf.other.len()), (Some(VfRate { min: 10, max: 20 }), 1));

    let refused = |entries: &[&[(u16, Vec<u8>)]]| match Link::parse(&with_vfs(entries)) {
        Err(Error::Malformed { detail, .. }) => detail,
        other => panic!("{other:?}"),
    };
    assert!(refused(&[&[(1, words(&[0, 0]))]]).contains("only 8 bytes"));
    assert!(refused(&[&[(9, words(&[0]))]]).contains("only 4 bytes"));
    assert!(refused(&[&[(9, words(&[0, 1])), (4, words(&[1, 1]))]]).contains("VF 0 and VF 1"));
    assert!(refused(&[&[(9, words(&[1, 1]))], &[(9, words(&[1, 0]))]]).contains("twice"));
    assert!(refused(&[&[(99, vec![])]]).contains("without a VF number"));
    assert!(refused(&[&[(2, words(&[0, 4096, 0]))]]).contains("VLAN 4096"));
}

#[test]
fn names_kinds_and_bonds_are_read() {
    let (mut names, mut info, mut mode, mut port) = (AttrBuf::new(), AttrBuf::new(), AttrBuf::new(), AttrBuf::new());
    names.put_str(53, "enp3s0f0_uplink").put_str(53, "left");
    mode.put_u8(1, 4);
    port.put_u8(1, 1);
    info.put_str(1, "bond").put_nested(2, &mode).put_str(4, "bond").put_nested(5, &port);
    let mut attrs = AttrBuf::new();
    attrs.put_str(3, "p0").put_nested(52, &names).put_nested(18, &info).put_u32(10, 9).put(34, &[1, 2]);
    let mut payload = vec![0; 16];
    payload[4] = 2;
    payload.extend(attrs.as_bytes());
    let link = Link::parse(&payload).unwrap();
    assert_eq!(link.alt_names, ["enp3s0f0_uplink", "left"]);
    assert_eq!((link.master, link.phys_port_id.as_deref()), (Some(9), Some(&[1, 2][..])));
    assert_eq!((link.info.bond_mode(), link.info.bond_port_active()), (Some(4), Some(false)));
}

/// The card above had counted nothing. By hand from linux/if_link.h, each counter with a value of its own.
#[test]
fn counters_are_told_apart() {
    let mut stats = AttrBuf::new();
    for kind in [0u16, 1, 2, 3, 4, 5, 7, 8] {
        stats.put_u64(kind, 100 + u64::from(kind));
    }
    let mut payload = with_vfs(&[&[(9, words(&[0, 1])), (8, stats.as_bytes().to_vec())]]);
    // struct rtnl_link_stats64 of kernel 6.12.
    let link_stats: Vec<u8> = (1..=25u64).flat_map(u64::to_ne_bytes).collect();
    let mut attrs = AttrBuf::new();
    attrs.put(23, &link_stats);
    payload.extend(attrs.as_bytes());
    let link = Link::parse(&payload).unwrap();
    let vf = VfStats {
        rx_packets: 100,
        tx_packets: 101,
        rx_bytes: 102,
        tx_bytes: 103,
        broadcast: 104,
        multicast: 105,
        rx_dropped: 107,
        tx_dropped: 108,
    };
    assert_eq!(link.vfs[0].stats, Some(vf));
    let all = LinkStats {
        rx_packets: 1,
        tx_packets: 2,
        rx_bytes: 3,
        tx_bytes: 4,
        rx_errors: 5,
        tx_errors: 6,
        rx_dropped: 7,
        tx_dropped: 8,
        multicast: 9,
    };
    assert_eq!(link.stats, Some(all));
}

proptest! {
    /// Any prefix, and any byte changed, gives a link or a typed error.
    #[test]
    fn broken_replies_end_in_a_typed_error(cut in 0usize..2200, at in 0usize..2200, value: u8) {
        let (payload, _) = igb("1");
        for bytes in [payload[..cut.min(payload.len())].to_vec(), {
            let mut changed = payload.clone();
            let at = at % changed.len();
            changed[at] = value;
            changed
        }] {
            match Link::parse(&bytes) {
                Ok(link) => prop_assert!(link.ifindex > 0),
                Err(e) => prop_assert!(matches!(e, Error::Malformed { .. }), "{}", e),
            }
        }
    }

    /// What is set reads back as what was meant: the two directions agree about the kernel's structures.
    #[test]
    fn settings_read_back(vf in 0u32..300, id in 0u16..4096, qos in 0u8..8, ad: bool, min: u32, max: u32, on: bool, mac: [u8; 6]) {
        let proto = if ad && (id, qos) != (0, 0) { VlanProto::Dot1Ad } else { VlanProto::Dot1Q };
        let vlan = VfVlan { id, qos, proto };
        let wish = VfSettings {
            mac: Some(mac), vlan: Some(vlan), rate: Some(VfRate { min, max }), spoof_check: Some(on),
            link_state: Some(VfLinkState::Disable), trust: Some(!on),
        };
        let mut request = sent(|links| links.set_vf(3, vf, &wish).unwrap());
        let link = Link::parse(&request.split_off(16)).unwrap();
        let got = &link.vfs[0];
        prop_assert_eq!((got.vf, got.mac, got.vlan, got.rate), (vf, wish.mac, wish.vlan, wish.rate));
        prop_assert_eq!((got.spoof_check, got.link_state, got.trust), (wish.spoof_check, wish.link_state, wish.trust));
    }
}
