//! Any bytes as a datagram from the kernel: framing, acknowledgements, attributes, network devices.

use std::{collections::VecDeque, io, time::Duration};

use netlink::{Attrs, Connection, EventStream, GenlConnection, Link, LinkClient, Transport, parse_link_notice, split};

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
        let _ = Link::parse(&message.payload);
    }
    let _ = Link::parse(data);
    attributes(Attrs::new(data), 0);
    let open = || Echo::boxed(vec![data.to_vec()]);
    let mut conn = Connection::new(open());
    conn.set_timeout(Duration::from_millis(1));
    let _ = conn.request("fuzz", 20, 0, &[]);
    let _ = GenlConnection::resolve(Connection::new(open()), "devlink");
    let _ = LinkClient::new(open()).get(1);
    if let Ok(mut events) = EventStream::new(open(), &[1]) {
        while let Ok(Some(_)) = events.next(Duration::ZERO) {}
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
