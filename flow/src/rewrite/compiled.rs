//! Lists of changes prepared for many packets.
//!
//! [`super::apply`] parses the packet and looks the field up for each action. Here this is done once: changes of Ethernet
//! addresses become one mask over 12 bytes, other fields masks over their bytes, and a packet is parsed once at most (again
//! only after its tags changed). The common list, new addresses and a TTL less by one, needs no parse at all for packets
//! whose IP header is where it nearly always is.

use super::fields::FieldChange;
use super::{Outcome, PacketBuf, TtlOutcome, dec_ttl_of, layout_of, pop_vlan, push_vlan};
use crate::dp::DpAction;
use crate::key::VlanTag;
use crate::wire::{ETHERNET_LEN, Layout, VLAN_AT, VLAN_LEN, chunk, ethertype, ip_proto};

/// Which bits of both Ethernet addresses stay, and which are put, as they lie in the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Addresses {
    keep: [u8; 12],
    put: [u8; 12],
}

/// Both addresses as two numbers.
#[inline(always)]
fn split([a, b, c, d, e, f, g, h, i, j, k, l]: [u8; 12]) -> (u64, u32) {
    (u64::from_ne_bytes([a, b, c, d, e, f, g, h]), u32::from_ne_bytes([i, j, k, l]))
}

impl Addresses {
    const NONE: Addresses = Addresses { keep: [u8::MAX; 12], put: [0; 12] };

    /// These, after those of `self`.
    fn then(self, (keep, put): ([u8; 12], [u8; 12])) -> Addresses {
        Addresses {
            keep: std::array::from_fn(|i| self.keep[i] & keep[i]),
            put: std::array::from_fn(|i| self.put[i] & keep[i] | put[i]),
        }
    }

    #[inline(always)]
    fn apply(&self, head: &mut [u8]) {
        let Some(place) = head.first_chunk_mut::<ETHERNET_LEN>().and_then(|h| h.first_chunk_mut::<12>()) else {
            return;
        };
        let ((a, b), (keep_a, keep_b), (put_a, put_b)) = (split(*place), split(self.keep), split(self.put));
        let (a, b) = (a & keep_a | put_a, b & keep_b | put_b);
        place[..8].copy_from_slice(&a.to_ne_bytes());
        place[8..].copy_from_slice(&b.to_ne_bytes());
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Addresses(Addresses),
    Set(FieldChange),
    DecTtl,
    PushVlan(VlanTag),
    PopVlan,
}

/// What [`Rewrite::quick`] and [`QuickRewrite::apply`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quick {
    Done,
    /// As [`Outcome::Expired`]. The packet is as it was.
    Expired,
    /// List or packet is none of the common ones: use [`Rewrite::run`]. The packet is as it was.
    Other,
}

/// A list of `Set`, `DecTtl`, `PushVlan` and `PopVlan` prepared for many packets.
///
/// The bytes of a packet that passed all of the list, and the outcome that stops a packet, are those of [`super::apply`] called
/// with each action in turn. (A packet that is stopped may have had changes of Ethernet addresses that come later in the list.)
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrite {
    quick: Option<QuickRewrite>,
    steps: Box<[Step]>,
}

/// The most common [`Rewrite`]: new Ethernet addresses, and a TTL less by one, or only one of these. 25 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuickRewrite {
    addresses: Addresses,
    dec_ttl: bool,
}

impl Rewrite {
    /// Prepare a list; `None` when it holds another action.
    #[must_use]
    pub fn new<'a>(actions: impl IntoIterator<Item = &'a DpAction>) -> Option<Rewrite> {
        let mut steps: Vec<Step> = Vec::new();
        for action in actions {
            let step = match action {
                DpAction::Set { field, value, mask } => {
                    let change = FieldChange::new(*field, *value, *mask);
                    let Some(bits) = change.ethernet() else {
                        steps.push(Step::Set(change));
                        continue;
                    };
                    // Addresses are apart from all other fields: changes of them between two changes of tags are made together.
                    let run = steps.iter().rposition(Step::moves_headers).map_or(0, |at| at + 1);
                    match steps.get_mut(run) {
                        Some(Step::Addresses(before)) => *before = before.then(bits),
                        _ => steps.insert(run, Step::Addresses(Addresses::NONE.then(bits))),
                    }
                    continue;
                }
                DpAction::DecTtl => Step::DecTtl,
                DpAction::PushVlan(tag) => Step::PushVlan(*tag),
                DpAction::PopVlan => Step::PopVlan,
                _ => return None,
            };
            steps.push(step);
        }
        let quick = match *steps {
            [Step::Addresses(addresses)] => Some(QuickRewrite { addresses, dec_ttl: false }),
            [Step::DecTtl] => Some(QuickRewrite { addresses: Addresses::NONE, dec_ttl: true }),
            [Step::Addresses(addresses), Step::DecTtl] => Some(QuickRewrite { addresses, dec_ttl: true }),
            _ => None,
        };
        Some(Rewrite { quick, steps: steps.into_boxed_slice() })
    }

    /// Whether there are packets that it stops for what they are: their TTL may run out.
    #[must_use]
    pub fn may_drop(&self) -> bool {
        self.steps.contains(&Step::DecTtl)
    }

    /// The list, when it is of the most common kind.
    #[must_use]
    pub fn as_quick(&self) -> Option<&QuickRewrite> {
        self.quick.as_ref()
    }

    /// Execute a list of changes of Ethernet addresses and at most one `DecTtl` on a packet whose bytes are all in `frame`.
    #[inline(always)]
    pub fn quick(&self, frame: &mut [u8]) -> Quick {
        self.quick.as_ref().map_or(Quick::Other, |quick| quick.apply(frame))
    }

    /// Execute the list from step `from` on (0 at first). A packet that is stopped is as it was before the step that stopped it,
    /// whose number is returned: when the reason is mended ([`Outcome::NoRoom`]), go on there.
    ///
    /// # Errors
    /// [`Outcome::Expired`], [`Outcome::NoRoom`], [`Outcome::ShortHead`], and the step.
    pub fn run<P: PacketBuf>(&self, pkt: &mut P, from: usize) -> Result<(), (Outcome, usize)> {
        let mut known: Option<Layout> = None;
        for (at, step) in self.steps.iter().enumerate().skip(from) {
            let stop = |outcome| Err((outcome, at));
            match step {
                Step::PushVlan(tag) => {
                    known = None;
                    if push_vlan(pkt, *tag) == Outcome::NoRoom {
                        return stop(Outcome::NoRoom);
                    }
                }
                Step::PopVlan => {
                    known = None;
                    pop_vlan(pkt);
                }
                // All that is there is in the head, so it is not short.
                Step::Addresses(addresses) if pkt.head().len() >= pkt.total_len() => addresses.apply(pkt.head_mut()),
                Step::Addresses(_) | Step::Set(_) | Step::DecTtl => {
                    let layout = known.get_or_insert_with(|| layout_of(pkt));
                    if layout.short_head {
                        return stop(Outcome::ShortHead);
                    }
                    match step {
                        Step::Addresses(addresses) => addresses.apply(pkt.head_mut()),
                        Step::Set(change) => {
                            change.apply(pkt.head_mut(), layout);
                            // Another type may be one whose message must be in the head.
                            if change.is_icmpv6() {
                                known = None;
                            }
                        }
                        _ => {
                            if dec_ttl_of(pkt.head_mut(), layout) == TtlOutcome::Expired {
                                return stop(Outcome::Expired);
                            }
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

impl QuickRewrite {
    /// Changes nothing.
    pub const NONE: QuickRewrite = QuickRewrite { addresses: Addresses::NONE, dec_ttl: false };

    /// Execute it on a packet whose bytes are all in `frame`.
    #[inline(always)]
    pub fn apply(&self, frame: &mut [u8]) -> Quick {
        let len = frame.len();
        match frame.first_chunk_mut::<UNTAGGED_V4>() {
            Some(head) if is_untagged_v4(head, len) => {
                if self.dec_ttl {
                    let (ttl, sum) = (head[TTL_AT], [head[TTL_AT + 2], head[TTL_AT + 3]]);
                    if ttl <= 1 {
                        return Quick::Expired;
                    }
                    head[TTL_AT] = ttl - 1;
                    [head[TTL_AT + 2], head[TTL_AT + 3]] = one_less(sum);
                }
                self.addresses.apply(head);
                Quick::Done
            }
            _ => self.quick_other(frame),
        }
    }

    /// The same for headers in other common places.
    #[inline(never)]
    fn quick_other(&self, frame: &mut [u8]) -> Quick {
        if self.dec_ttl {
            match plain_ip(frame) {
                Some(PlainIp::V4 { at }) => {
                    let Some([ttl, _, sum0, sum1]) = frame.get_mut(at + 8..at + 12) else { return Quick::Other };
                    if *ttl <= 1 {
                        return Quick::Expired;
                    }
                    *ttl -= 1;
                    [*sum0, *sum1] = one_less([*sum0, *sum1]);
                }
                Some(PlainIp::V6 { at }) => {
                    let Some(limit) = frame.get_mut(at + 7) else { return Quick::Other };
                    if *limit <= 1 {
                        return Quick::Expired;
                    }
                    *limit -= 1;
                }
                None => return Quick::Other,
            }
        }
        self.addresses.apply(frame);
        Quick::Done
    }
}

impl Step {
    fn moves_headers(&self) -> bool {
        matches!(self, Step::PushVlan(_) | Step::PopVlan)
    }
}

/// Length of an Ethernet and an IPv4 header without tags and options.
const UNTAGGED_V4: usize = ETHERNET_LEN + 20;
/// Where the TTL is in these.
const TTL_AT: usize = ETHERNET_LEN + 8;

/// Whether a packet of `len` bytes, all of them there, begins with a valid IPv4 header without options behind no tag.
#[inline(always)]
fn is_untagged_v4(head: &[u8; UNTAGGED_V4], len: usize) -> bool {
    let length = usize::from(u16::from_be_bytes([head[16], head[17]]));
    u16::from_be_bytes([head[12], head[13]]) == ethertype::IPV4
        && head[14] & 0xf == 5
        && length >= 20
        && length <= len - ETHERNET_LEN
}

/// The header checksum after the TTL became less by one (RFC 1624, equation 3). The sum is the same whichever byte of a word
/// is the first (RFC 1071, section 2), so bytes are not swapped.
#[inline(always)]
fn one_less(checksum: [u8; 2]) -> [u8; 2] {
    // The one's complement of the word of TTL and protocol, and that word less by 0x100.
    let change = u32::from(u16::from_ne_bytes([0xfe, 0xff]));
    let sum = u32::from(!u16::from_ne_bytes(checksum)) + change;
    (!((sum & 0xffff) + (sum >> 16)) as u16).to_ne_bytes()
}

/// A valid IP header in its common form: behind one tag at most, without options or extension headers.
enum PlainIp {
    V4 { at: usize },
    V6 { at: usize },
}

/// The IP header of a packet whose bytes are all in `frame`, when it has the common form. Says no more than the parser.
#[inline(always)]
fn plain_ip(frame: &[u8]) -> Option<PlainIp> {
    let mut at = ETHERNET_LEN;
    let mut eth_type = u16::from_be_bytes(*chunk::<2>(frame, VLAN_AT)?);
    if ethertype::is_vlan(eth_type) {
        at += VLAN_LEN;
        eth_type = u16::from_be_bytes(*chunk::<2>(frame, VLAN_AT + VLAN_LEN)?);
    }
    let room = frame.len().saturating_sub(at);
    match eth_type {
        ethertype::IPV4 => {
            let &[ihl, _, hi, lo, ..] = chunk::<20>(frame, at)?;
            let length = usize::from(u16::from_be_bytes([hi, lo]));
            (ihl & 0xf == 5 && length >= 20 && length <= room).then_some(PlainIp::V4 { at })
        }
        ethertype::IPV6 => {
            let &[_, _, _, _, hi, lo, next, ..] = chunk::<40>(frame, at)?;
            let length = 40 + usize::from(u16::from_be_bytes([hi, lo]));
            let is_last = matches!(next, ip_proto::TCP | ip_proto::UDP | ip_proto::ICMPV6 | ip_proto::SCTP);
            (is_last && length <= room).then_some(PlainIp::V6 { at })
        }
        _ => None,
    }
}
