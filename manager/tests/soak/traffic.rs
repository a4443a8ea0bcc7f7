//! Frames: made so that they meet the rules, and recorded ones.
//!
//! Each ends with a serial number of its own, behind the packet, where a switch does not look: so a frame that leaves says which
//! one it was.

use crate::rig::{ENDS, PORTS};
use flow::extract::{RxMeta, extract};
use flow::rule::RuleSpec;
use flow::{DpPort, FlowKey};
use pipeline::testing::{PacketGen, Rng, TestPacket, frame};

/// Bytes of the serial number.
const SERIAL: usize = 8;
/// Packets of which the frames of a life are made.
const PACKETS: usize = 600;
/// Of these, so many come again and again.
const HOT: usize = 24;

/// A frame that goes in.
#[derive(Clone)]
pub struct Sent {
    pub serial: u64,
    /// The end where it goes in.
    pub place: usize,
    /// Its key, but for the input port.
    pub key: FlowKey,
    pub bytes: Vec<u8>,
    /// What is behind the headers, where the test made the frame; `None`: it was recorded.
    payload: Option<Vec<u8>>,
}

/// What has to leave by a port.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Leaving {
    /// These bytes.
    Bytes(DpPort, Vec<u8>),
    /// A frame with these headers and of this length.
    Like(DpPort, Box<[[u8; 8]; flow::key::KEY_WORDS]>, usize),
}

impl std::fmt::Debug for Sent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let made = if self.payload.is_some() { "made" } else { "recorded" };
        write!(f, "{made} frame {} into end {}, {:?}: {}", self.serial, self.place, self.key, hex(&self.bytes))
    }
}

impl std::fmt::Debug for Leaving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Leaving::Bytes(port, bytes) => write!(f, "port {port}: {:?} {}", key_of(bytes), hex(bytes)),
            Leaving::Like(port, words, len) => {
                let mut key = FlowKey::ZERO;
                key.words_mut().copy_from_slice(&words[..]);
                write!(f, "port {port}: {len} bytes, {key:?}")
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    api::to_hex(&bytes[..bytes.len().min(120)])
}

/// The serial number of a frame.
pub fn serial_of(bytes: &[u8]) -> u64 {
    let tail = bytes.last_chunk::<SERIAL>().copied().unwrap_or_default();
    u64::from_be_bytes(tail)
}

fn key_of(bytes: &[u8]) -> FlowKey {
    let mut key = extract(bytes, bytes.len(), &RxMeta::from_port(DpPort(0)));
    key.in_port = 0.into();
    key
}

fn tags(key: &FlowKey) -> usize {
    key.vlans.iter().filter(|tag| tag.is_present()).count()
}

/// A frame without regard to the shortest one of Ethernet, so that a tag changes nothing but itself.
fn build(key: &FlowKey, payload: &[u8], serial: u64) -> Vec<u8> {
    let mut bytes = frame(key, payload);
    if key.eth_type == 0x0806 {
        bytes.truncate(14 + 4 * tags(key) + 28);
        bytes.extend([0; 18]);
    }
    bytes.extend(serial.to_be_bytes());
    bytes
}

impl Leaving {
    pub fn port(&self) -> DpPort {
        match self {
            Leaving::Bytes(port, _) | Leaving::Like(port, ..) => *port,
        }
    }
}

impl Sent {
    /// Whether it is from a capture.
    pub fn is_recorded(&self) -> bool {
        self.payload.is_none()
    }

    /// What leaves at a port as a packet with this key.
    pub fn leaving(&self, port: DpPort, key: &FlowKey) -> Leaving {
        match &self.payload {
            Some(payload) => Leaving::Bytes(port, build(key, payload, self.serial)),
            None => {
                let len = self.bytes.len() + 4 * tags(key) - 4 * tags(&self.key);
                // A queue is chosen beside the bytes.
                let key = FlowKey { skb_priority: 0.into(), ..*key };
                Leaving::Like(port, Box::new(*key.words()), len)
            }
        }
    }

    /// A frame of this one that left, in the same terms.
    pub fn left(&self, port: DpPort, bytes: Vec<u8>) -> Leaving {
        match &self.payload {
            Some(_) => Leaving::Bytes(port, bytes),
            None => Leaving::Like(port, Box::new(*key_of(&bytes).words()), bytes.len()),
        }
    }
}

/// Where frames come from.
pub struct Traffic {
    rng: Rng,
    packets: Vec<TestPacket>,
    next_serial: u64,
    /// Only these source addresses enter at an end, if there are any.
    owners: Option<[[u8; 6]; ENDS]>,
}

impl Traffic {
    /// Packets that meet these rules.
    pub fn new(seed: u64, rules: &[RuleSpec]) -> Traffic {
        let mut generator = PacketGen::new(seed, rules, &PORTS);
        let packets = (0..PACKETS).map(|_| generator.next_packet()).collect();
        Traffic { rng: Rng::new(seed ^ 0x7aff1c), packets, next_serial: 1, owners: None }
    }

    /// From now on each source address stays at its end. The first packets say which addresses there are.
    pub fn settle_down(&mut self) {
        let mut addresses: Vec<[u8; 6]> = self.packets.iter().map(|p| p.key.eth_src).collect();
        addresses.sort_unstable();
        addresses.dedup();
        self.owners = Some(std::array::from_fn(|place| addresses[place % addresses.len()]));
    }

    /// Which address enters at which end.
    pub fn owners(&self) -> Option<&[[u8; 6]; ENDS]> {
        self.owners.as_ref()
    }

    /// Two stations change places.
    pub fn move_stations(&mut self) {
        let (a, b) = (self.rng.below(ENDS), self.rng.below(ENDS));
        if let Some(owners) = &mut self.owners {
            owners.swap(a, b);
        }
    }

    /// A made frame. Most are of few flows.
    pub fn made(&mut self) -> Sent {
        let hot = self.rng.percent(80);
        let at = if hot { self.rng.below(HOT).min(self.rng.below(HOT)) } else { self.rng.below(self.packets.len()) };
        let packet = &self.packets[at];
        let place = PORTS.iter().position(|port| *port == packet.in_port).unwrap();
        let mut key = packet.key;
        if let Some(owners) = &self.owners {
            key.eth_src = owners[place];
        }
        let len = if self.rng.percent(3) { 1400 } else { 46 + self.rng.below(60) };
        let fill = self.rng.number() as u8;
        let payload: Vec<u8> = (0..len).map(|i| fill.wrapping_add(i as u8)).collect();
        let serial = self.serial();
        Sent { serial, place, key, bytes: build(&key, &payload, serial), payload: Some(payload) }
    }

    /// A recorded frame; `None` when it is beyond the reference: a third tag comes out when one is taken off.
    pub fn recorded(&mut self, place: usize, data: &[u8]) -> Option<Sent> {
        let serial = self.next_serial;
        let mut bytes = data.to_vec();
        if let Some(owners) = &self.owners {
            bytes.get_mut(6..12)?.copy_from_slice(&owners[place]);
        }
        bytes.extend(serial.to_be_bytes());
        let key = key_of(&bytes);
        if data.len() < 14 || matches!(key.eth_type.get(), 0x8100 | 0x88a8) {
            return None;
        }
        self.next_serial += 1;
        Some(Sent { serial, place, key, bytes, payload: None })
    }

    /// A frame like this one.
    pub fn again(&mut self, sent: &Sent) -> Sent {
        let serial = self.serial();
        let mut again = Sent { serial, ..sent.clone() };
        let at = again.bytes.len() - SERIAL;
        again.bytes[at..].copy_from_slice(&serial.to_be_bytes());
        again
    }

    fn serial(&mut self) -> u64 {
        self.next_serial += 1;
        self.next_serial - 1
    }
}
