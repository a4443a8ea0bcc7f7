use super::*;
use crate::FieldId;

fn key(packet: &[u8]) -> FlowKey {
    extract(packet, packet.len(), &RxMeta::from_port(DpPort(7)))
}

#[test]
fn a_packet_without_ethernet_header_has_only_its_port() {
    let mut want = FlowKey::ZERO;
    want.in_port = 7.into();
    assert_eq!(key(&[0xff; 13]), want);
    assert_eq!(key(&[]), want);
}

#[test]
fn tags_of_the_nic_stand_before_those_of_the_bytes_and_a_third_is_the_ethertype() {
    let mut packet = vec![2; 12];
    packet.extend([0x81, 0, 0x20, 5, 0x88, 0xa8, 0, 6, 0x81, 0, 0, 7, 8, 0]);
    let plain = key(&packet);
    assert_eq!(plain.vlans.map(|t| t.tpid.get()), [0x8100, 0x88a8]);
    assert_eq!(plain.vlans.map(|t| t.tci.get()), [0x3005, 0x1006]);
    assert_eq!(plain.eth_type.get(), 0x8100);

    let mut meta = RxMeta::from_port(DpPort(7));
    meta.stripped[0] = VlanTag { tpid: 0x88a8.into(), tci: 0x1009.into() };
    let stripped = extract(&packet, packet.len(), &meta);
    assert_eq!(stripped.vlans.map(|t| t.vid()), [9, 5]);
    assert_eq!(stripped.eth_type.get(), 0x88a8);
    assert_eq!(stripped.get(FieldId::VlanVid), Some(0x1009u16.into()));
}
