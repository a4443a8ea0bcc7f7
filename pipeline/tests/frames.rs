//! The frames of the generator say what their keys say.

mod common;

use flow::DpPort;
use flow::extract::{RxMeta, extract};
use pipeline::testing::{PacketGen, RuleGen};

#[test]
fn extraction_finds_the_key_in_the_frame() {
    for seed in 0..200 {
        let rules = RuleGen::new(seed).rules(60, &common::PORTS);
        let mut packets = PacketGen::new(seed, &rules, &common::PORTS);
        for _ in 0..50 {
            let p = packets.next_packet();
            let mut key = extract(&p.frame, p.frame.len(), &RxMeta::from_port(DpPort(0)));
            key.in_port = 0.into();
            assert_eq!(key, p.key, "seed {seed}: {:02x?}", p.frame);
        }
    }
}
