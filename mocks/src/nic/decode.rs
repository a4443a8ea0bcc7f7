//! From the bytes of a flow rule call to a rule of the model, or a refusal: the driver's part of the mock.
//!
//! Numbers and structures are those of `rte_flow.h`; what they mean is from the DPDK programmer's guide, "Generic flow
//! API (rte_flow)".

use super::actions::ActionView;
use super::eswitch::Count;
use super::headers::is_tpid;
use super::item::{IMAGE, Image, ItemKind, REGISTERS};
use super::meter::Meters;
use super::profile::{Profile, RuleCaps, Untagged};
use super::rule::{Domain, Item, Pattern, RawFlow, RawItem, Refusal, RefusalKind, Rule, Source, Spot};
use offload::Numbered;

/// `enum rte_flow_item_type`.
mod item_type {
    pub const VOID: u32 = 1;
    pub const ETH: u32 = 6;
    pub const VLAN: u32 = 7;
    pub const IPV4: u32 = 8;
    pub const IPV6: u32 = 9;
    pub const ICMP: u32 = 10;
    pub const UDP: u32 = 11;
    pub const TCP: u32 = 12;
    pub const SCTP: u32 = 13;
    pub const ARP_ETH_IPV4: u32 = 26;
    pub const ICMP6: u32 = 28;
    pub const VXLAN: u32 = 14;
    pub const GRE: u32 = 18;
    pub const GENEVE: u32 = 24;
    pub const META: u32 = 35;
    pub const GRE_KEY: u32 = 36;
    pub const TAG: u32 = 45;
    pub const IPV6_FRAG_EXT: u32 = 49;
    pub const GENEVE_OPT: u32 = 50;
    pub const PORT_REPRESENTOR: u32 = 53;
    pub const REPRESENTED_PORT: u32 = 54;
}

/// What decoding needs to know of the device.
#[derive(Clone, Copy, Debug)]
pub struct Decoder<'a> {
    pub profile: &'a Profile,
    /// Ethdev of each place of the switch: the wire's first.
    pub ethdevs: &'a [u16],
    /// Receive queues of each representor.
    pub queues: u16,
    /// Indirect counters, and how many rules use each.
    pub counters: &'a Numbered<(Count, usize)>,
    pub meters: &'a Meters,
}

impl Decoder<'_> {
    /// The rule, when the device can do all of it.
    ///
    /// # Errors
    /// ENOTSUP what the profile lacks, EINVAL what makes no sense, ENODEV a port of another device.
    pub fn decode(&self, raw: &RawFlow) -> Result<Rule, Refusal> {
        let port = self.place(raw.port, RefusalKind::Unspecified)?;
        let (domain, caps) = self.domain(raw, port)?;
        let pattern = self.pattern(&raw.items, domain)?;
        let spot = Spot { domain, group: raw.group, priority: raw.priority };
        let acts = self.actions(spot, raw.actions.iter().map(ActionView::from), caps, &pattern)?;
        Ok(Rule { spot, pattern, acts })
    }

    /// The place of an ethdev.
    pub(super) fn place(&self, ethdev: u16, kind: RefusalKind) -> Result<usize, Refusal> {
        self.ethdevs.iter().position(|e| *e == ethdev).ok_or_else(|| {
            Refusal::new(kind, super::rule::errno::ENODEV, format!("ethdev {ethdev} is not a port of this device"))
        })
    }

    pub(super) fn domain(&self, raw: &RawFlow, port: usize) -> Result<(Domain, &RuleCaps), Refusal> {
        let domain = match (raw.transfer, raw.ingress, raw.egress) {
            (_, _, true) => {
                return Err(Refusal::unsupported(RefusalKind::AttrEgress, "egress rules are not supported"));
            }
            (true, false, _) => Domain::Transfer,
            (false, true, _) => Domain::Ingress(port),
            (true, true, _) => {
                return Err(Refusal::invalid(RefusalKind::AttrTransfer, "transfer excludes ingress and egress"));
            }
            (false, false, _) => return Err(Refusal::invalid(RefusalKind::AttrIngress, "no direction is given")),
        };
        let caps = self.caps(domain)?;
        if raw.group >= caps.groups {
            let what = format!("group {} of {}", raw.group, caps.groups);
            return Err(Refusal::unsupported(RefusalKind::AttrGroup, what));
        }
        if raw.priority >= caps.priorities {
            let what = format!("priority {} of {}", raw.priority, caps.priorities);
            return Err(Refusal::unsupported(RefusalKind::AttrPriority, what));
        }
        Ok((domain, caps))
    }

    /// What rules of a kind can do.
    pub(super) fn caps(&self, domain: Domain) -> Result<&RuleCaps, Refusal> {
        let caps = match domain {
            Domain::Transfer => self.profile.transfer.as_ref(),
            Domain::Ingress(_) => self.profile.ingress.as_ref(),
        };
        caps.ok_or_else(|| match domain {
            Domain::Transfer => Refusal::unsupported(RefusalKind::AttrTransfer, "the device has no transfer rules"),
            Domain::Ingress(_) => Refusal::unsupported(RefusalKind::AttrIngress, "the device has no ingress rules"),
        })
    }

    pub(super) fn pattern(&self, items: &[RawItem], domain: Domain) -> Result<Pattern, Refusal> {
        let mut pattern = Pattern::default();
        for item in items {
            match item.kind {
                0 => break,
                item_type::VOID => {}
                item_type::PORT_REPRESENTOR | item_type::REPRESENTED_PORT => {
                    if domain != Domain::Transfer || pattern.source.is_some() {
                        let why = "a source port can be matched once, in transfer rules";
                        return Err(Refusal::invalid(RefusalKind::Item, why));
                    }
                    pattern.source = Some(self.source(item)?);
                }
                _ => {
                    let decoded = self.header(item, &pattern)?;
                    pattern.items.push(decoded);
                }
            }
        }
        self.innermost_types(&mut pattern);
        if self.profile.untagged == Untagged::ByPattern && pattern.items.iter().any(|i| i.kind.layer() == 3) {
            pattern.tags = Some(pattern.items.iter().filter(|i| i.kind == ItemKind::Vlan && i.level == 0).count());
        }
        Ok(pattern)
    }

    /// Hardware of the mlx5 kind has one ethertype, that behind the tags it knows; the last L2 item of a pattern matches that
    /// one, unless it asks for a tag.
    fn innermost_types(&self, pattern: &mut Pattern) {
        if self.profile.untagged == Untagged::ByPattern {
            return;
        }
        for level in 0..=pattern.items.iter().map(|i| i.level).max().unwrap_or(0) {
            if let Some(item) = pattern.items.iter_mut().rev().find(|i| i.level == level && i.kind.layer() == 2) {
                let at = ether_type_at(item.kind);
                let ether_type = u16::from_be_bytes([item.spec[at], item.spec[at + 1]]);
                item.innermost = !is_tpid(ether_type);
            }
        }
    }

    pub(super) fn source(&self, item: &RawItem) -> Result<Source, Refusal> {
        let need = || Refusal::invalid(RefusalKind::ItemSpec, "a source port item needs a port");
        let ethdev = native16(item.spec.as_deref().ok_or_else(need)?).ok_or_else(need)?;
        if item.mask.as_deref().is_some_and(|mask| native16(mask) != Some(u16::MAX)) {
            return Err(Refusal::unsupported(RefusalKind::ItemMask, "a source port takes no mask"));
        }
        if item.last.is_some() {
            return Err(Refusal::unsupported(RefusalKind::ItemLast, "ranges of ports are not supported"));
        }
        let place = self.place(ethdev, RefusalKind::ItemSpec)?;
        Ok(if item.kind == item_type::PORT_REPRESENTOR { Source::Representor(place) } else { Source::Outside(place) })
    }

    fn header(&self, item: &RawItem, before: &Pattern) -> Result<Item, Refusal> {
        let kind = item_kind(item.kind).filter(|kind| self.profile.has_item(*kind)).ok_or_else(|| {
            Refusal::unsupported(RefusalKind::Item, format!("item type {} is not supported", item.kind))
        })?;
        let tunnels = before.items.iter().filter(|i| i.kind.is_tunnel()).count();
        // These belong to the tunnel's header, not to what is inside.
        let level = tunnels - usize::from(tunnels > 0 && matches!(kind, ItemKind::GeneveOpt | ItemKind::GreKey));
        if level > 1 {
            return Err(Refusal::unsupported(RefusalKind::Item, "tunnels inside of tunnels"));
        }
        let vlan = before.items.iter().filter(|i| i.kind == kind && i.level == level).count();
        check_order(kind, level, before)?;
        if kind == ItemKind::Vlan && vlan >= self.profile.parser.vlans {
            return Err(Refusal::unsupported(RefusalKind::Item, "more VLAN items than the parser knows tags"));
        }
        let Some(spec) = item.spec.as_deref() else {
            if item.mask.is_some() || item.last.is_some() {
                return Err(Refusal::invalid(RefusalKind::ItemSpec, "mask or last without spec"));
            }
            let none = [0; IMAGE];
            return Ok(Item { kind, level, vlan, innermost: false, named: [0; 3], spec: none, mask: none });
        };
        let mut spec = whole(kind, spec, RefusalKind::ItemSpec)?;
        let mut mask = match item.mask.as_deref() {
            Some(mask) => whole(kind, mask, RefusalKind::ItemMask)?,
            None => kind.default_mask(),
        };
        let (mut named, mut vlan) = ([0; 3], vlan);
        match kind {
            ItemKind::Tag => {
                // The register is no value: it says which value is looked at.
                vlan = usize::from(spec[4]);
                (spec[4], mask[4]) = (0, 0);
                if vlan >= REGISTERS {
                    return Err(Refusal::unsupported(RefusalKind::ItemSpec, format!("register {vlan} of {REGISTERS}")));
                }
            }
            ItemKind::GeneveOpt => {
                option_data(item, &mut spec, &mut mask)?;
                named = [spec[0] & mask[0], spec[1] & mask[1], spec[2] & mask[2]];
            }
            _ => {}
        }
        if let Some(last) = item.last.as_deref() {
            let last = whole(kind, last, RefusalKind::ItemLast)?;
            // A last that is zero or the spec itself is no range (guide, "Pattern item").
            if and(&last, &mask) != [0; IMAGE] && and(&last, &mask) != and(&spec, &mask) {
                return Err(Refusal::unsupported(RefusalKind::ItemLast, "ranges are not supported"));
            }
        }
        self.profile.check_mask(kind, &mask).map_err(|why| Refusal::unsupported(RefusalKind::ItemMask, why))?;
        Ok(Item { kind, level, vlan, innermost: false, named, spec: and(&spec, &mask), mask })
    }
}

fn item_kind(kind: u32) -> Option<ItemKind> {
    Some(match kind {
        item_type::ETH => ItemKind::Eth,
        item_type::VLAN => ItemKind::Vlan,
        item_type::IPV4 => ItemKind::Ipv4,
        item_type::IPV6 => ItemKind::Ipv6,
        item_type::ICMP => ItemKind::Icmp,
        item_type::UDP => ItemKind::Udp,
        item_type::TCP => ItemKind::Tcp,
        item_type::SCTP => ItemKind::Sctp,
        item_type::ARP_ETH_IPV4 => ItemKind::Arp,
        item_type::ICMP6 => ItemKind::Icmp6,
        item_type::IPV6_FRAG_EXT => ItemKind::Ipv6FragExt,
        item_type::VXLAN => ItemKind::Vxlan,
        item_type::GENEVE => ItemKind::Geneve,
        item_type::GENEVE_OPT => ItemKind::GeneveOpt,
        item_type::GRE => ItemKind::Gre,
        item_type::GRE_KEY => ItemKind::GreKey,
        item_type::TAG => ItemKind::Tag,
        item_type::META => ItemKind::Meta,
        _ => return None,
    })
}

/// Headers are stacked as in a packet.
fn check_order(kind: ItemKind, level: usize, before: &Pattern) -> Result<(), Refusal> {
    let headers = || before.items.iter().map(|i| (i.kind, i.level)).filter(|(kind, _)| kind.layer() > 0);
    let last = headers().map(|(kind, _)| kind).next_back();
    // Of this packet: behind a tunnel another one begins.
    let here = headers().filter(|(_, l)| *l == level).map(|(kind, _)| kind).next_back();
    let l3 = headers().filter(|(_, l)| *l == level).map(|(kind, _)| kind).find(|k| k.layer() == 3);
    let ip = |kind| matches!(kind, Some(ItemKind::Ipv4 | ItemKind::Ipv6 | ItemKind::Ipv6FragExt));
    let ok = match kind {
        ItemKind::Eth => here.is_none(),
        ItemKind::Vlan => matches!(here, Some(ItemKind::Eth | ItemKind::Vlan)),
        ItemKind::Ipv4 | ItemKind::Ipv6 | ItemKind::Arp => here.is_none_or(|k| k.layer() == 2),
        ItemKind::Ipv6FragExt => here == Some(ItemKind::Ipv6),
        ItemKind::Tcp | ItemKind::Udp | ItemKind::Sctp => ip(here),
        ItemKind::Icmp => here == Some(ItemKind::Ipv4),
        ItemKind::Icmp6 => here == Some(ItemKind::Ipv6),
        ItemKind::Vxlan | ItemKind::Geneve => here == Some(ItemKind::Udp),
        ItemKind::Gre => ip(here),
        ItemKind::GeneveOpt => matches!(here, Some(ItemKind::Geneve | ItemKind::GeneveOpt)),
        ItemKind::GreKey => here == Some(ItemKind::Gre),
        ItemKind::Tag | ItemKind::Meta => true,
    };
    let why = || format!("item {} cannot follow {:?} (network layer {l3:?})", kind.name(), last);
    if ok { Ok(()) } else { Err(Refusal::invalid(RefusalKind::Item, why())) }
}

/// Where the ethertype is in the structure of ETH or VLAN.
pub(super) fn ether_type_at(kind: ItemKind) -> usize {
    if kind == ItemKind::Eth { 12 } else { 2 }
}

/// The option's data in place of the pointer to it.
fn option_data(item: &RawItem, spec: &mut Image, mask: &mut Image) -> Result<(), Refusal> {
    let len = 4 * usize::from(spec[3]);
    if len > 16 {
        return Err(Refusal::unsupported(RefusalKind::ItemSpec, "options of GENEVE over 16 bytes"));
    }
    for (image, data) in [(spec, &item.spec_data), (mask, &item.mask_data)] {
        image[4..].fill(0);
        let data = data.as_deref().unwrap_or_default();
        let len = len.min(data.len());
        image[4..4 + len].copy_from_slice(&data[..len]);
    }
    Ok(())
}

pub(super) fn native16(bytes: &[u8]) -> Option<u16> {
    first(bytes).map(u16::from_ne_bytes)
}

pub(super) fn native32(bytes: &[u8]) -> Option<u32> {
    first(bytes).map(u32::from_ne_bytes)
}

pub(super) fn first<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.first_chunk().copied()
}

fn whole(kind: ItemKind, bytes: &[u8], part: RefusalKind) -> Result<Image, Refusal> {
    let mut image = [0; IMAGE];
    let size = kind.size();
    let found = bytes.get(..size).zip(image.get_mut(..size));
    let (from, to) = found
        .ok_or_else(|| Refusal::invalid(part, format!("{} of {} bytes for {}", bytes.len(), size, kind.name())))?;
    to.copy_from_slice(from);
    Ok(image)
}

fn and(a: &Image, b: &Image) -> Image {
    let mut out = *a;
    out.iter_mut().zip(b).for_each(|(x, y)| *x &= y);
    out
}
