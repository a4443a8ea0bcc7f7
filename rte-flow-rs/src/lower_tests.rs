//! Lowering against two oracles: the wire formats of the RFCs, written by hand here, and DPDK's own copy of the C arrays.

use proptest::prelude::*;

use super::*;
use crate::{
    AnyLayers, ArpEthIpv4, Eth, Ethdev, Field, Icmp, Icmp6, Ipv4, Ipv6, MarkId, ModifyField, ModifyOp, Rss, Sctp, Tcp,
    Udp, Vlan,
};

/// The bytes that a header item must have: the header on the wire, as far as the item has it.
trait OnTheWire: ItemFields {
    fn wire(&self) -> Vec<u8>;
}

fn cat(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

impl OnTheWire for Eth {
    fn wire(&self) -> Vec<u8> {
        cat(&[&self.dst, &self.src, &self.ether_type.to_be_bytes(), &[u8::from(self.has_vlan), 0, 0, 0, 0, 0]])
    }
}
impl OnTheWire for Vlan {
    fn wire(&self) -> Vec<u8> {
        cat(&[&self.tci.to_be_bytes(), &self.inner_type.to_be_bytes(), &[u8::from(self.has_more_vlan), 0, 0, 0]])
    }
}
impl OnTheWire for Ipv4 {
    fn wire(&self) -> Vec<u8> {
        let frag = self.fragment_offset.to_be_bytes();
        cat(&[&[self.version_ihl, self.tos, 0, 0, 0, 0], &frag, &[self.ttl, self.proto, 0, 0], &self.src, &self.dst])
    }
}
impl OnTheWire for Ipv6 {
    fn wire(&self) -> Vec<u8> {
        let flags = [u8::from(self.has_frag_ext) << 2, 0, 0, 0];
        cat(&[&self.vtc_flow.to_be_bytes(), &[0, 0, self.proto, self.hop_limit], &self.src, &self.dst, &flags])
    }
}
impl OnTheWire for Tcp {
    fn wire(&self) -> Vec<u8> {
        cat(&[&self.src.to_be_bytes(), &self.dst.to_be_bytes(), &[0; 8], &[self.data_off, self.flags], &[0; 6]])
    }
}
impl OnTheWire for Udp {
    fn wire(&self) -> Vec<u8> {
        cat(&[&self.src.to_be_bytes(), &self.dst.to_be_bytes(), &[0; 4]])
    }
}
impl OnTheWire for Sctp {
    fn wire(&self) -> Vec<u8> {
        cat(&[&self.src.to_be_bytes(), &self.dst.to_be_bytes(), &[0; 8]])
    }
}
impl OnTheWire for Icmp {
    fn wire(&self) -> Vec<u8> {
        cat(&[&[self.icmp_type, self.code], &[0; 6]])
    }
}
impl OnTheWire for Icmp6 {
    fn wire(&self) -> Vec<u8> {
        cat(&[&[self.icmp_type, self.code], &[0; 2]])
    }
}
impl OnTheWire for ArpEthIpv4 {
    fn wire(&self) -> Vec<u8> {
        // Not the wire's layout: the C structure is not packed, so each protocol address follows two bytes of padding.
        cat(&[&[0; 6], &self.op.to_be_bytes(), &self.sha, &[0; 2], &self.spa, &self.tha, &[0; 2], &self.tpa])
    }
}
impl OnTheWire for AnyLayers {
    fn wire(&self) -> Vec<u8> {
        self.num.to_ne_bytes().to_vec()
    }
}
impl OnTheWire for MarkId {
    fn wire(&self) -> Vec<u8> {
        self.id.to_ne_bytes().to_vec()
    }
}
impl OnTheWire for Ethdev {
    fn wire(&self) -> Vec<u8> {
        self.port_id.to_ne_bytes().to_vec()
    }
}

prop_compose! { fn eth()(dst: [u8; 6], src: [u8; 6], ether_type: u16, has_vlan: bool) -> Eth { Eth { dst, src, ether_type, has_vlan } } }
prop_compose! { fn vlan()(tci: u16, inner_type: u16, has_more_vlan: bool) -> Vlan { Vlan { tci, inner_type, has_more_vlan } } }
prop_compose! {
    fn ipv4()(version_ihl: u8, tos: u8, fragment_offset: u16, ttl: u8, proto: u8, src: [u8; 4], dst: [u8; 4]) -> Ipv4 {
        Ipv4 { version_ihl, tos, fragment_offset, ttl, proto, src, dst }
    }
}
prop_compose! {
    fn ipv6()(vtc_flow: u32, proto: u8, hop_limit: u8, src: [u8; 16], dst: [u8; 16], has_frag_ext: bool) -> Ipv6 {
        Ipv6 { vtc_flow, proto, hop_limit, src, dst, has_frag_ext }
    }
}
prop_compose! { fn tcp()(src: u16, dst: u16, data_off: u8, flags: u8) -> Tcp { Tcp { src, dst, data_off, flags } } }
prop_compose! { fn udp()(src: u16, dst: u16) -> Udp { Udp { src, dst } } }
prop_compose! { fn sctp()(src: u16, dst: u16) -> Sctp { Sctp { src, dst } } }
prop_compose! { fn icmp()(icmp_type: u8, code: u8) -> Icmp { Icmp { icmp_type, code } } }
prop_compose! { fn icmp6()(icmp_type: u8, code: u8) -> Icmp6 { Icmp6 { icmp_type, code } } }
prop_compose! {
    fn arp()(op: u16, sha: [u8; 6], spa: [u8; 4], tha: [u8; 6], tpa: [u8; 4]) -> ArpEthIpv4 {
        ArpEthIpv4 { op, sha, spa, tha, tpa }
    }
}

/// An item and the bytes that its spec, last and mask must have.
type Expected = (Item, Option<Vec<u8>>, Option<Vec<u8>>, Option<Vec<u8>>);

fn matched<T: OnTheWire + 'static, S: Strategy<Value = T>>(
    fields: fn() -> S,
    item: fn(Match<T>) -> Item,
) -> impl Strategy<Value = Expected> {
    (fields(), fields(), fields(), 0..3).prop_map(move |(spec, last, mask, form)| match form {
        0 => (item(Match::Any), None, None, None),
        1 => (item(Match::Masked { spec, mask }), Some(spec.wire()), None, Some(mask.wire())),
        _ => (item(Match::Range { spec, last, mask }), Some(spec.wire()), Some(last.wire()), Some(mask.wire())),
    })
}

fn any_item() -> impl Strategy<Value = Expected> {
    prop_oneof![
        matched(eth, Item::Eth).boxed(),
        matched(vlan, Item::Vlan).boxed(),
        matched(ipv4, Item::Ipv4).boxed(),
        matched(ipv6, Item::Ipv6).boxed(),
        matched(tcp, Item::Tcp).boxed(),
        matched(udp, Item::Udp).boxed(),
        matched(sctp, Item::Sctp).boxed(),
        matched(icmp, Item::Icmp).boxed(),
        matched(icmp6, Item::Icmp6).boxed(),
        matched(arp, Item::Arp).boxed(),
        matched(|| any::<u32>().prop_map(|num| AnyLayers { num }), Item::Any).boxed(),
        matched(|| any::<u32>().prop_map(|id| MarkId { id }), Item::Mark).boxed(),
        matched(|| any::<u16>().prop_map(|port_id| Ethdev { port_id }), Item::RepresentedPort).boxed(),
        matched(|| any::<u16>().prop_map(|port_id| Ethdev { port_id }), Item::PortRepresentor).boxed(),
        Just((Item::Void, None, None, None)).boxed(),
    ]
}

fn any_action() -> impl Strategy<Value = Action> {
    prop_oneof![
        Just(Action::Void),
        Just(Action::Passthru),
        Just(Action::Drop),
        Just(Action::Flag),
        Just(Action::OfPopVlan),
        Just(Action::DecTtl),
        any::<u32>().prop_map(Action::Mark),
        any::<u32>().prop_map(Action::Count),
        any::<u16>().prop_map(Action::Queue),
        any::<u32>().prop_map(Action::Jump),
        any::<u16>().prop_map(Action::PortRepresentor),
        any::<u16>().prop_map(Action::RepresentedPort),
        any::<u32>().prop_map(Action::Meter),
        any::<u16>().prop_map(Action::OfPushVlan),
        any::<u16>().prop_map(Action::OfSetVlanVid),
        any::<u8>().prop_map(Action::OfSetVlanPcp),
        any::<[u8; 6]>().prop_map(Action::SetMacSrc),
        any::<[u8; 6]>().prop_map(Action::SetMacDst),
        any::<[u8; 4]>().prop_map(Action::SetIpv4Src),
        any::<[u8; 4]>().prop_map(Action::SetIpv4Dst),
        any::<[u8; 16]>().prop_map(Action::SetIpv6Src),
        any::<[u8; 16]>().prop_map(Action::SetIpv6Dst),
        any::<u16>().prop_map(Action::SetTpSrc),
        any::<u16>().prop_map(Action::SetTpDst),
        any::<u8>().prop_map(Action::SetTtl),
        (any::<u64>(), any::<u32>(), proptest::collection::vec(any::<u16>(), 1..9))
            .prop_map(|(types, level, queues)| Action::Rss(Rss { types, level, queues })),
        (any::<[u8; 16]>(), 0u32..32, 1u32..32).prop_map(|(value, offset, width)| {
            Action::ModifyField(ModifyField { op: ModifyOp::Set, field: Field::Ipv4Dscp, offset, width, value })
        }),
    ]
}

/// What the C structure of an action's configuration holds, from the layouts in rte_flow.h. RSS and MODIFY_FIELD have tests of
/// their own.
fn expected_conf(action: &Action) -> Option<Vec<u8>> {
    Some(match action {
        Action::Mark(n) | Action::Count(n) | Action::Jump(n) | Action::Meter(n) => n.to_ne_bytes().to_vec(),
        Action::Queue(n) | Action::PortRepresentor(n) | Action::RepresentedPort(n) => n.to_ne_bytes().to_vec(),
        Action::OfPushVlan(n) | Action::OfSetVlanVid(n) | Action::SetTpSrc(n) | Action::SetTpDst(n) => {
            n.to_be_bytes().to_vec()
        }
        Action::OfSetVlanPcp(n) | Action::SetTtl(n) => vec![*n],
        Action::SetMacSrc(a) | Action::SetMacDst(a) => a.to_vec(),
        Action::SetIpv4Src(a) | Action::SetIpv4Dst(a) => a.to_vec(),
        Action::SetIpv6Src(a) | Action::SetIpv6Dst(a) => a.to_vec(),
        _ => return None,
    })
}

/// DPDK's deep copy (`rte_flow_conv`) of an array: what a driver sees when it walks our pointers.
fn c_copy(op: u32, array: *const std::ffi::c_void) -> Vec<u64> {
    let mut error = no_error();
    // SAFETY: `array` is a list that ends with END; with size 0 nothing is written.
    let size = unsafe { dpdk_sys::rte_flow_conv(op, null_mut(), 0, array, &mut error) };
    assert!(size > 0, "rte_flow_conv: {size}");
    let mut copy = vec![0u64; (size as usize).div_ceil(8) + 1];
    // SAFETY: `copy` has room for `size` bytes and is aligned.
    let again = unsafe { dpdk_sys::rte_flow_conv(op, copy.as_mut_ptr().cast(), size as usize, array, &mut error) };
    assert_eq!(size, again);
    copy
}

/// The bytes behind a pointer that DPDK made.
fn behind(p: *const std::ffi::c_void, len: usize) -> Option<Vec<u8>> {
    // SAFETY: rte_flow_conv copied at least `len` bytes of this structure there.
    (!p.is_null()).then(|| unsafe { std::slice::from_raw_parts(p.cast::<u8>(), len) }.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn items_are_the_headers_of_the_wire(pattern in proptest::collection::vec(any_item(), 0..8), group: u32, priority: u32,
                                         ingress: bool, egress: bool, transfer: bool) {
        let items: Vec<Item> = pattern.iter().map(|p| p.0).collect();
        let attr = Attr { group, priority, ingress, egress, transfer };
        let flow = LoweredFlow::new(attr, &items, &[]);
        // Moving the value must not move what the arrays point to.
        let flow = *Box::new(flow);
        prop_assert_eq!(flow.items().len(), items.len());
        for (lowered, (item, spec, last, mask)) in flow.items().zip(&pattern) {
            prop_assert_eq!(lowered.ty, item.type_id());
            prop_assert_eq!(lowered.spec, spec.as_deref());
            prop_assert_eq!(lowered.last, last.as_deref());
            prop_assert_eq!(lowered.mask, mask.as_deref());
        }
        let raw = flow.raw_attr();
        prop_assert_eq!((raw.group, raw.priority), (group, priority));
        prop_assert_eq!((raw.ingress() != 0, raw.egress() != 0, raw.transfer() != 0), (ingress, egress, transfer));

        let copy = c_copy(dpdk_sys::RTE_FLOW_CONV_OP_PATTERN, flow.raw_items().as_ptr().cast());
        let copied = copy.as_ptr().cast::<rte_flow_item>();
        for (i, (item, spec, last, mask)) in pattern.iter().enumerate() {
            // SAFETY: the copy starts with as many items as the list has, END included.
            let c = unsafe { &*copied.add(i) };
            prop_assert_eq!(c.type_, item.type_id());
            for (pointer, bytes) in [(c.spec, spec), (c.last, last), (c.mask, mask)] {
                prop_assert_eq!(&behind(pointer, bytes.as_ref().map_or(0, Vec::len)), bytes);
            }
        }
        // SAFETY: as above.
        prop_assert_eq!(unsafe { (*copied.add(pattern.len())).type_ }, item_type::END);
    }

    #[test]
    fn actions_are_what_the_c_structures_hold(actions in proptest::collection::vec(any_action(), 0..8)) {
        let lowered = LoweredActions::new(&actions);
        let lowered = *Box::new(lowered);
        let copy = c_copy(dpdk_sys::RTE_FLOW_CONV_OP_ACTIONS, lowered.raw().as_ptr().cast());
        let copied = copy.as_ptr().cast::<rte_flow_action>();
        prop_assert_eq!(lowered.iter().len(), actions.len());
        for (i, (view, action)) in lowered.iter().zip(&actions).enumerate() {
            prop_assert_eq!(view.ty, action.type_id());
            // SAFETY: the copy starts with as many actions as the list has, END included.
            let c = unsafe { &*copied.add(i) };
            prop_assert_eq!(c.type_, action.type_id());
            prop_assert_eq!(c.conf.is_null(), view.conf.is_none());
            match action {
                Action::Rss(rss) => {
                    // SAFETY: DPDK copied an rte_flow_action_rss with its queues there.
                    let (c, queues) = unsafe {
                        let c = &*c.conf.cast::<dpdk_sys::rte_flow_action_rss>();
                        (c, std::slice::from_raw_parts(c.queue, c.queue_num as usize))
                    };
                    prop_assert_eq!((c.types, c.level, c.key_len), (rss.types, rss.level, 0));
                    prop_assert_eq!(queues, &rss.queues[..]);
                    prop_assert_eq!(view.queues, Some(&rss.queues[..]));
                }
                Action::ModifyField(m) => {
                    // SAFETY: DPDK copied an rte_flow_action_modify_field there.
                    let c = unsafe { &*c.conf.cast::<dpdk_sys::rte_flow_action_modify_field>() };
                    prop_assert_eq!((c.operation, c.width), (dpdk_sys::RTE_FLOW_MODIFY_SET, m.width));
                    prop_assert_eq!(c.dst.field, dpdk_sys::RTE_FLOW_FIELD_IPV4_DSCP);
                    prop_assert_eq!(c.src.field, dpdk_sys::RTE_FLOW_FIELD_VALUE);
                    let conf = view.conf.unwrap();
                    prop_assert_eq!(&conf[layout::ACTION_MODIFY_FIELD_DST_OFFSET..][..4], &m.offset.to_ne_bytes());
                    prop_assert_eq!(&conf[layout::ACTION_MODIFY_FIELD_SRC_VALUE..][..16], &m.value);
                }
                _ => {
                    let expected = expected_conf(action);
                    prop_assert_eq!(view.conf, expected.as_deref());
                    prop_assert_eq!(&behind(c.conf, expected.as_ref().map_or(0, Vec::len)), &expected);
                }
            }
        }
        // SAFETY: as above.
        prop_assert_eq!(unsafe { (*copied.add(actions.len())).type_ }, action_type::END);
    }
}

#[test]
fn shared_actions_are_named_by_handle() {
    let lowered = LoweredActions::new(&[Action::Indirect(ActionHandle(42))]);
    let action = lowered.iter().next().unwrap();
    assert_eq!((action.ty, action.handle, action.conf), (action_type::INDIRECT, Some(ActionHandle(42)), None));
    assert!(lowered.raw()[0].conf.is_null());
}

#[test]
fn lowered_rules_can_be_sent_to_another_thread() {
    fn check<T: Send + Sync>() {}
    check::<LoweredFlow>();
    check::<LoweredActions>();
}
