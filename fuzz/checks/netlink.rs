//! Any bytes as a datagram from the kernel: framing, acknowledgements, attributes, network devices.

use std::{collections::VecDeque, io, time::Duration};

use netlink::{
    Attrs, Connection, EventStream, FeatureClient, GenlConnection, HW_TC_OFFLOAD, Link, LinkClient, LinkDetail,
    Transport, VfSettings, parse_link_notice, parse_qdisc_notice, qdiscs, split,
};

/// Answers each request with the same datagrams, with the request's sequence number in them.
pub struct Echo {
    datagrams: Vec<Vec<u8>>,
    queue: VecDeque<Vec<u8>>,
}

impl Echo {
    pub fn boxed(datagrams: Vec<Vec<u8>>) -> Box<dyn Transport> {
        Box::new(Echo { queue: datagrams.clone().into(), datagrams })
    }
}

impl Transport for Echo {
    fn send(&mut self, request: &[u8]) -> io::Result<()> {
        let (Some(seq), datagrams) = (request.get(8..12), &self.datagrams) else { return Ok(()) };
        self.queue = datagrams.iter().map(|datagram| with_seq(datagram, seq)).collect();
        Ok(())
    }

    fn recv(&mut self, _: Duration) -> io::Result<Option<Vec<u8>>> {
        Ok(self.queue.pop_front())
    }

    fn join(&mut self, _: u32) -> io::Result<()> {
        Ok(())
    }
}

/// The datagram with `seq` in each of its messages, as far as their lengths lead.
fn with_seq(datagram: &[u8], seq: &[u8]) -> Vec<u8> {
    let mut bytes = datagram.to_vec();
    let mut at = 0;
    while let Some(header) = bytes.get_mut(at..at + 16) {
        header[8..12].copy_from_slice(seq);
        let len = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
        at += len.max(16).next_multiple_of(4);
    }
    bytes
}

/// Nothing panics, and everything ends.
pub fn check(data: &[u8]) {
    for message in split(data).flatten() {
        let _ = parse_link_notice(&message);
        let _ = parse_qdisc_notice(&message);
        link(&message.payload);
    }
    link(data);
    attributes(Attrs::new(data), 0);
    let open = || Echo::boxed(vec![data.to_vec()]);
    let mut conn = Connection::new(open());
    conn.set_timeout(Duration::from_millis(1));
    let _ = conn.request("fuzz", 20, 0, &[]);
    let _ = GenlConnection::resolve(Connection::new(open()), "devlink");
    let mut links = LinkClient::new(open());
    let _ = (links.get_with(1, LinkDetail { vfs: true, vf_stats: true }), links.find("eth0"));
    let _ = links.set_vf(1, 0, &VfSettings { trust: Some(true), ..VfSettings::default() });
    let _ = qdiscs(&mut conn);
    if let Ok(mut features) = FeatureClient::open(open()) {
        let _ = features.get(1, HW_TC_OFFLOAD);
    }
    if let Ok(mut events) = EventStream::new(open(), &[1]) {
        while let Ok(Some(_)) = events.next(Duration::ZERO) {}
    }
}

/// A link that could be read has VFs by number, each once.
fn link(payload: &[u8]) {
    if let Ok(link) = Link::parse(payload) {
        assert!(link.vfs.windows(2).all(|w| w[0].vf < w[1].vf));
        let _ = (link.info.bond_mode(), link.info.bond_port_active());
    }
}

fn attributes(attrs: Attrs<'_>, depth: usize) {
    for attr in attrs.flatten() {
        let _ = (attr.u8(), attr.u16(), attr.u32(), attr.u64(), attr.bitfield32(), attr.mac(), attr.str());
        if depth < 8 {
            attributes(attr.nested(), depth + 1);
        }
    }
}
