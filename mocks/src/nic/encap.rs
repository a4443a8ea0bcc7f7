//! Headers on and off.

use super::checksum::sum;
use super::headers::{Headers, L3, ParserLimits, TunnelKind};
use super::rule::{Act, RawItem, Refusal, RefusalKind, errno};
use rte_flow_rs::layout::item_type as t;
use std::collections::HashMap;
use std::sync::Arc;

/// Longest header that can be put in front, in bytes.
pub const LONGEST: usize = 128;

/// Headers that rules put in front, and how many rules each: the device keeps one object for all that have the same bytes.
#[derive(Debug, Default)]
pub struct OuterHeaders(HashMap<Arc<[u8]>, usize>);

impl OuterHeaders {
    /// Different headers.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether there is room for those of one more rule.
    ///
    /// # Errors
    /// ENOSPC: there would be more than `most`.
    pub fn room(&self, acts: &[Act], most: usize) -> Result<(), Refusal> {
        let mut new = Vec::new();
        each(acts, &mut |header| {
            if !self.0.contains_key(header) && !new.contains(header) {
                new.push(Arc::clone(header));
            }
        });
        if new.is_empty() || self.count() + new.len() <= most {
            return Ok(());
        }
        let what = format!("no room for another outer header: {} of {most} are in use", self.count());
        Err(Refusal::new(RefusalKind::Action, errno::ENOSPC, what))
    }

    /// A rule comes, or goes.
    pub fn used(&mut self, acts: &[Act], more: bool) {
        each(acts, &mut |header| {
            if more {
                *self.0.entry(Arc::clone(header)).or_default() += 1;
            } else if let Some(rules) = self.0.get_mut(header) {
                *rules -= 1;
                if *rules == 0 {
                    self.0.remove(header);
                }
            }
        });
    }

    /// No rule is left.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// The headers of a rule's actions, those of copies too.
fn each(acts: &[Act], see: &mut dyn FnMut(&Arc<[u8]>)) {
    for act in acts {
        match act {
            Act::Encap(header) => see(header),
            Act::Sample { acts, .. } => each(acts, see),
            _ => {}
        }
    }
}

/// The bytes of headers that a VXLAN_ENCAP describes: the wire's part of each item's spec, in order.
pub fn header_of(items: &[RawItem]) -> Result<Vec<u8>, Refusal> {
    let wrong = |why: &str| Refusal::invalid(RefusalKind::ActionConf, format!("vxlan_encap: {why}"));
    let mut out = Vec::new();
    for item in items {
        let len = match item.kind {
            t::VOID => continue,
            t::ETH => 14,
            t::VLAN => 4,
            t::IPV4 => 20,
            t::IPV6 => 40,
            t::UDP | t::VXLAN => 8,
            _ => return Err(wrong("an item that is no header of VXLAN")),
        };
        let spec =
            item.spec.as_deref().and_then(|spec| spec.get(..len)).ok_or_else(|| wrong("an item without spec"))?;
        let at = out.len();
        out.extend(spec);
        // What the definition may leave out.
        if item.kind == t::IPV4 && out[at] == 0 {
            out[at] = 0x45;
        }
        if item.kind == t::IPV6 && out[at] >> 4 == 0 {
            out[at] |= 0x60;
        }
    }
    let kinds: Vec<u32> = items.iter().map(|i| i.kind).filter(|k| *k != t::VOID).collect();
    match kinds[..] {
        [t::ETH, .., t::IPV4 | t::IPV6, t::UDP, t::VXLAN] => Ok(out),
        _ => Err(wrong("the items are not Ethernet, IP, UDP and VXLAN")),
    }
}

/// Puts headers in front, and writes their lengths and IPv4's checksum. UDP's checksum stays as it is given: 0 is none.
pub fn encap(frame: &mut Vec<u8>, header: &[u8], limits: ParserLimits) {
    frame.splice(..0, header.iter().copied());
    // The lengths in the template are not those of this packet, so the parser would not go on behind them.
    let Some(found) = Headers::parse(frame, limits) else { return };
    let at = 14 + 4 * found.tags().len();
    if at >= header.len() {
        return;
    }
    let len = frame.len() - at;
    match found.ether_type {
        0x0800 => {
            put16(frame, at + 2, len);
            put16(frame, at + 10, 0);
            let words = usize::from(frame.get(at).map_or(0, |b| b & 15)) * 4;
            let check = frame.get(at..at + words).map_or(0, |header| !sum(header));
            put16(frame, at + 10, usize::from(check));
        }
        0x86dd => put16(frame, at + 4, len.saturating_sub(40)),
        _ => return,
    }
    if let Some(Headers { l3: Some((L3::Ipv4 | L3::Ipv6 { .. }, _)), .. }) = Headers::parse(frame, limits) {
        let ip = if found.ether_type == 0x0800 { usize::from(frame[at] & 15) * 4 } else { 40 };
        let protocol = if found.ether_type == 0x0800 { frame.get(at + 9) } else { frame.get(at + 6) };
        if protocol == Some(&17) {
            put16(frame, at + ip + 4, len - ip);
        }
    }
}

fn put16(frame: &mut [u8], at: usize, value: usize) {
    if let Some(out) = frame.get_mut(at..at + 2) {
        out.copy_from_slice(&(value as u16).to_be_bytes());
    }
}

/// Takes all up to the inner packet of VXLAN off. `None`: it is not VXLAN, and stays as it is.
pub fn decap_vxlan(frame: &mut Vec<u8>, limits: ParserLimits) -> Option<()> {
    let tunnel = Headers::parse(frame, limits)?.tunnel.filter(|tunnel| tunnel.kind == TunnelKind::Vxlan)?;
    frame.drain(..tunnel.inner);
    Some(())
}

/// Takes bytes off.
pub fn decap_bytes(frame: &mut Vec<u8>, bytes: usize) -> Option<()> {
    (frame.len() >= bytes).then(|| {
        frame.drain(..bytes);
    })
}
