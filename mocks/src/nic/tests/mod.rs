//! Tests of the model: frames are built with etherparse, rules come through the real lowering.

mod actions;
mod against_software;
mod backend;
mod encaps;
mod every_action;
mod faults;
mod matching;
mod parsing;
mod ports;
mod probing;
mod refusals;
mod rewriting;
mod templates;

use super::rte_flow::raw_flow;
use super::rule::RawFlow;
use super::*;
use etherparse::{PacketBuilder, VlanId};
use rte_flow_rs::{Action, Attr, Eth, Ethdev, Ipv4, Item, LoweredFlow, Match, Tcp, Udp, Vlan};

/// Ethdevs of the wire and three VFs; numbers that are no places.
pub const ETHDEVS: [u16; 4] = [10, 11, 12, 13];
pub const MAC_A: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub const MAC_B: [u8; 6] = [2, 0, 0, 0, 0, 2];
pub const IP_A: [u8; 4] = [10, 0, 0, 1];
pub const IP_B: [u8; 4] = [10, 0, 0, 2];
pub const IP6_A: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
pub const IP6_B: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];

pub fn tcp4() -> Vec<u8> {
    let mut out = Vec::new();
    PacketBuilder::ethernet2(MAC_A, MAC_B)
        .ipv4(IP_A, IP_B, 64)
        .tcp(1000, 80, 7, 512)
        .write(&mut out, b"payload")
        .unwrap();
    out
}

pub fn udp4() -> Vec<u8> {
    let mut out = Vec::new();
    PacketBuilder::ethernet2(MAC_A, MAC_B).ipv4(IP_A, IP_B, 64).udp(1000, 53).write(&mut out, b"query").unwrap();
    out
}

pub fn udp6() -> Vec<u8> {
    let mut out = Vec::new();
    PacketBuilder::ethernet2(MAC_A, MAC_B).ipv6(IP6_A, IP6_B, 64).udp(1000, 53).write(&mut out, b"query").unwrap();
    out
}

pub fn tagged(vid: u16) -> Vec<u8> {
    let mut out = Vec::new();
    let vid = VlanId::try_new(vid).unwrap();
    let builder = PacketBuilder::ethernet2(MAC_A, MAC_B).single_vlan(vid).ipv4(IP_A, IP_B, 64).tcp(1000, 80, 7, 512);
    builder.write(&mut out, b"payload").unwrap();
    out
}

pub fn nic(profile: &str) -> Eswitch {
    faulty(profile, Faults::none())
}

pub fn faulty(profile: &str, faults: Faults) -> Eswitch {
    Eswitch::new(Profile::named(profile).unwrap(), ETHDEVS.to_vec(), faults, 1)
}

pub const TRANSFER: Attr = Attr { group: 0, priority: 0, ingress: false, egress: false, transfer: true };
pub const INGRESS: Attr = Attr { group: 0, priority: 0, ingress: true, egress: false, transfer: false };

/// A transfer rule for what comes from the outside of `from`.
pub fn from_outside(from: u16, items: &[Item], actions: &[Action]) -> RawFlow {
    let port =
        Item::RepresentedPort(Match::Masked { spec: Ethdev { port_id: from }, mask: Ethdev { port_id: 0xffff } });
    let items: Vec<Item> = std::iter::once(port).chain(items.iter().cloned()).collect();
    raw(from, TRANSFER, &items, actions)
}

pub fn raw(port: u16, attr: Attr, items: &[Item], actions: &[Action]) -> RawFlow {
    raw_flow(port, &LoweredFlow::new(attr, items, actions))
}

pub fn ipv4_dst(dst: [u8; 4], mask: [u8; 4]) -> Item {
    Item::Ipv4(Match::Masked { spec: Ipv4 { dst, ..Ipv4::default() }, mask: Ipv4 { dst: mask, ..Ipv4::default() } })
}

pub fn tcp_dst(dst: u16) -> Item {
    Item::Tcp(Match::Masked { spec: Tcp { dst, ..Tcp::default() }, mask: Tcp { dst: 0xffff, ..Tcp::default() } })
}

pub fn udp_dst(dst: u16) -> Item {
    Item::Udp(Match::Masked { spec: Udp { dst, ..Udp::default() }, mask: Udp { dst: 0xffff, ..Udp::default() } })
}

pub fn vlan_vid(vid: u16) -> Item {
    Item::Vlan(Match::Masked {
        spec: Vlan { tci: vid, ..Vlan::default() },
        mask: Vlan { tci: 0xfff, ..Vlan::default() },
    })
}

pub fn eth(spec: Eth, mask: Eth) -> Item {
    Item::Eth(Match::Masked { spec, mask })
}

/// Where a frame from the outside of `place` goes.
pub fn send(nic: &mut Eswitch, place: usize, frame: &[u8]) -> Vec<Delivery> {
    let mut out = Vec::new();
    nic.forward(Source::Outside(place), frame.to_vec(), &mut out);
    out
}

pub fn outside(place: usize, frame: Vec<u8>) -> Delivery {
    Delivery::Outside { place, frame }
}

pub fn miss(place: usize, frame: &[u8]) -> Vec<Delivery> {
    vec![Delivery::Representor { place, frame: frame.to_vec(), mark: None, flag: false, queues: Queues::All }]
}

/// The frame that came out, when exactly one left outside.
pub fn only_frame(deliveries: Vec<Delivery>) -> Vec<u8> {
    match <[Delivery; 1]>::try_from(deliveries) {
        Ok([Delivery::Outside { frame, .. } | Delivery::Representor { frame, .. }]) => frame,
        Err(other) => panic!("not one frame: {other:?}"),
    }
}

/// Every frame is exactly one of the three, and nothing is lost.
pub fn assert_balance(stats: &NicStats) {
    assert_eq!(stats.frames_in, stats.hardware + stats.partial + stats.software, "{stats:?}");
}
