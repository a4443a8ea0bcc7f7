//! What lists of actions come to, by a model that gives each output, pass and nested list a packet of its own.

use super::*;
use flow::extract::{RxMeta, extract};
use flow::rewrite::{FrameBuf, Outcome, PacketBuf, apply};
use flow::{FieldId, Value};

/// A packet under way in the model.
#[derive(Clone)]
pub(super) struct Packet {
    pub bytes: FrameBuf,
    pub mark: u32,
    pub ct_mark: u32,
    pub hash: u32,
    pub recirc: u32,
    pub depth: u32,
}

impl Packet {
    pub fn received(bytes: &[u8]) -> Packet {
        Packet { bytes: FrameBuf::new(bytes), mark: 0, ct_mark: 0, hash: 0, recirc: 0, depth: 0 }
    }
}

/// The key of frame bytes.
pub(super) fn key_of(bytes: &[u8]) -> FlowKey {
    extract(bytes, bytes.len(), &RxMeta::from_port(DpPort(0)))
}

/// Who decides between a rule's two lists.
#[derive(Clone, Copy, Debug)]
pub(super) enum By {
    Mark,
    CtMark,
    Hash,
    /// The lowest bit of the destination MAC, as it is by then.
    Mac,
}

impl By {
    /// The rules for `lists`, numbered from `id`: the first for a clear bit.
    pub fn rules(self, recirc: u32, id: u64, lists: &[Vec<DpAction>; 2]) -> [Rule; 2] {
        let field = match self {
            By::Mark => FieldId::PktMark,
            By::CtMark => FieldId::CtMark,
            By::Hash => FieldId::DpHash,
            By::Mac => FieldId::EthDst,
        };
        let rule = |bit: usize| {
            let (mut mask, mut key) = (Mask::ANY, FlowKey::ZERO);
            mask.require(FieldId::RecircId);
            mask.require_bits(field.def(), Value(1));
            key.set(FieldId::RecircId, Value::from(recirc));
            key.set(field, Value(bit as u128));
            Rule { id: id + bit as u64, mask, key, actions: lists[bit].clone() }
        };
        [rule(0), rule(1)]
    }

    fn bit(self, packet: &Packet) -> usize {
        let bits = match self {
            By::Mark => packet.mark,
            By::CtMark => packet.ct_mark,
            By::Hash => packet.hash,
            By::Mac => u32::from(packet.bytes.packet().get(5).copied().unwrap_or(0)),
        };
        (bits & 1) as usize
    }
}

/// What is left of the received packets, in order.
#[derive(Default)]
pub(super) struct Model {
    /// By recirculation: who decides, and between what.
    pub lists: Vec<(By, [Vec<DpAction>; 2])>,
    pub sent: Vec<(u32, Vec<u8>)>,
    pub drops: Vec<DropReason>,
    pub punted: Vec<(Vec<u8>, usize, u32, u32)>,
    /// Packets by recirculation and bit.
    pub hits: HashMap<(u32, usize), u64>,
    /// Packets and bytes that reached meters.
    pub metered: (u64, u64),
    pub passes: u32,
}

impl Model {
    pub fn ends(&self) -> usize {
        self.sent.len() + self.drops.len() + self.punted.len()
    }

    /// A received packet.
    pub fn receive(&mut self, packet: Packet) {
        if packet.bytes.total_len() < 14 {
            return self.drops.push(DropReason::TooShort);
        }
        let had = self.ends();
        self.passes = 0;
        self.pass(packet);
        if had == self.ends() {
            self.drops.push(DropReason::RuleDrop);
        }
    }

    fn pass(&mut self, mut packet: Packet) {
        let (by, lists) = self.lists[packet.recirc as usize].clone();
        let bit = by.bit(&packet);
        *self.hits.entry((packet.recirc, bit)).or_default() += 1;
        self.run(&lists[bit], &mut packet);
    }

    fn run(&mut self, actions: &[DpAction], packet: &mut Packet) {
        let mut cut = usize::MAX;
        for action in actions {
            let whole = packet.bytes.packet();
            match action {
                DpAction::Output(port @ DpPort(1..=3)) => {
                    let len = whole.len().min(std::mem::replace(&mut cut, usize::MAX));
                    self.sent.push((port.0, whole[..len].to_vec()));
                }
                DpAction::Output(_) => {
                    cut = usize::MAX;
                    self.drops.push(DropReason::NoSuchPort);
                }
                DpAction::Truncate(n) => cut = usize::from(*n),
                DpAction::Clone(list) => self.run(list, &mut packet.clone()),
                DpAction::Sample(SampleSpec { probability: 0, .. }) => {}
                DpAction::Sample(SampleSpec { actions, .. }) => self.run(actions, &mut packet.clone()),
                DpAction::CheckLen(check) => {
                    let longer = without_padding(whole) > usize::from(check.len);
                    self.run(if longer { &check.greater } else { &check.rest }, &mut packet.clone());
                }
                DpAction::Recirc(RecircId(id)) => {
                    if packet.depth == 8 || self.passes == 256 {
                        self.drops.push(DropReason::RecircLimit);
                        continue;
                    }
                    self.passes += 1;
                    self.pass(Packet { recirc: *id, depth: packet.depth + 1, ..packet.clone() });
                }
                DpAction::Hash(spec) => packet.hash = spec.of(&key_of(whole)),
                DpAction::CtClear => packet.ct_mark = 0,
                DpAction::Set { field: FieldId::PktMark, value, mask } => set(&mut packet.mark, *value, *mask),
                DpAction::Set { field: FieldId::CtMark, value, mask } => set(&mut packet.ct_mark, *value, *mask),
                DpAction::Drop(reason) => return self.drops.push(*reason),
                DpAction::Punt(PuntReason::Controller { max_len, .. }) => {
                    let data = whole[..whole.len().min(usize::from(*max_len))].to_vec();
                    self.punted.push((data, whole.len(), packet.mark, packet.hash));
                }
                DpAction::Meter(meter) => {
                    self.metered.0 += 1;
                    self.metered.1 += whole.len() as u64;
                    match FakeMeters::verdict(*meter) {
                        Verdict::Pass => {}
                        Verdict::Drop => return self.drops.push(DropReason::MeterDrop),
                        Verdict::Remark { by } => remark(packet, by),
                    }
                }
                DpAction::Ct(_) => return self.drops.push(DropReason::Unsupported),
                rewrite => {
                    if apply(&mut packet.bytes, rewrite) == Outcome::Expired {
                        return self.drops.push(DropReason::TtlExpired);
                    }
                }
            }
        }
    }
}

fn set(place: &mut u32, value: Value, mask: Value) {
    *place = *place & !(mask.0 as u32) | value.0 as u32 & mask.0 as u32;
}

fn remark(packet: &mut Packet, by: u8) {
    const AF: [[u8; 3]; 4] = [[10, 12, 14], [18, 20, 22], [26, 28, 30], [34, 36, 38]];
    let dscp = key_of(packet.bytes.packet()).nw_tos >> 2;
    for class in AF {
        if let Some(at) = class.iter().position(|d| *d == dscp) {
            let (field, raised) = (FieldId::IpDscp, class[(at + usize::from(by)).min(2)]);
            apply(&mut packet.bytes, &DpAction::Set { field, value: Value::from(raised), mask: field.def().ones() });
        }
    }
}

/// Length up to the end of an IPv4 packet, if there is a valid one.
fn without_padding(frame: &[u8]) -> usize {
    let mut at = 12;
    for _ in 0..2 {
        if matches!(frame.get(at..at + 6), Some([0x81, 0, ..] | [0x88, 0xa8, ..])) {
            at += 4;
        }
    }
    let Some([8, 0, ip @ ..]) = frame.get(at..) else { return frame.len() };
    let &[version, _, hi, lo, ..] = ip else { return frame.len() };
    let (header, length) = (usize::from(version & 15) * 4, usize::from(hi) << 8 | usize::from(lo));
    let valid = ip.len() >= 20 && header >= 20 && header <= length && length <= ip.len();
    if valid { at + 2 + length } else { frame.len() }
}
