//! Lowering against two oracles: the wire formats of the RFCs, written by hand here, and DPDK's own copy of the C arrays.

use proptest::prelude::*;

use super::*;
use crate::{
    AnyLayers, ArpEthIpv4, Eth, Ethdev, Field, Geneve, GeneveOpt, Gre, GreKey, Icmp, Icmp6, Ipv4, Ipv6, Ipv6FragExt,
    MarkId, Meta, ModifyField, ModifyOp, ModifySource, PortId, Raw, Rss, Sctp, Tag, Tcp, Udp, Vlan, Vni, Vxlan,
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

impl OnTheWire for Ipv6FragExt {
    fn wire(&self) -> Vec<u8> {
        cat(&[&[self.next_header, 0], &self.frag_data.to_be_bytes(), &self.id.to_be_bytes()])
    }
}
impl OnTheWire for Vxlan {
    fn wire(&self) -> Vec<u8> {
        cat(&[&[self.flags, 0, 0, 0], &self.vni.0.to_be_bytes()[1..], &[0]])
    }
}
impl OnTheWire for Geneve {
    fn wire(&self) -> Vec<u8> {
        cat(&[&self.ver_opt_len.to_be_bytes(), &self.protocol.to_be_bytes(), &self.vni.0.to_be_bytes()[1..], &[0]])
    }
}
impl OnTheWire for Gre {
    fn wire(&self) -> Vec<u8> {
        cat(&[&self.flags.to_be_bytes(), &self.protocol.to_be_bytes()])
    }
}
impl OnTheWire for GreKey {
    fn wire(&self) -> Vec<u8> {
        self.key.to_be_bytes().to_vec()
    }
}
// Not headers: the C structures in host order, with the padding that the ABI adds at the end.
impl OnTheWire for Tag {
    fn wire(&self) -> Vec<u8> {
        cat(&[&self.data.to_ne_bytes(), &[self.index, 0, 0, 0]])
    }
}
impl OnTheWire for Meta {
    fn wire(&self) -> Vec<u8> {
        self.data.to_ne_bytes().to_vec()
    }
}
impl OnTheWire for PortId {
    fn wire(&self) -> Vec<u8> {
        self.id.to_ne_bytes().to_vec()
    }
}

prop_compose! {
    fn frag_ext()(next_header: u8, frag_data: u16, id: u32) -> Ipv6FragExt { Ipv6FragExt { next_header, frag_data, id } }
}
prop_compose! { fn vxlan()(flags: u8, vni in 0..1u32 << 24) -> Vxlan { Vxlan { flags, vni: Vni(vni) } } }
prop_compose! {
    fn geneve()(ver_opt_len: u16, protocol: u16, vni in 0..1u32 << 24) -> Geneve {
        Geneve { ver_opt_len, protocol, vni: Vni(vni) }
    }
}
prop_compose! { fn gre()(flags: u16, protocol: u16) -> Gre { Gre { flags, protocol } } }
prop_compose! { fn gre_key()(key: u32) -> GreKey { GreKey { key } } }
prop_compose! { fn tag()(data: u32, index: u8) -> Tag { Tag { data, index } } }
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
    (fields(), fields(), fields(), 0..3).prop_map(move |(spec, last, mask, form)| {
        let (s, l, m) = (spec.wire(), last.wire(), mask.wire());
        match form {
            0 => (item(Match::Any), None, None, None),
            1 => (item(Match::Masked { spec, mask }), Some(s), None, Some(m)),
            _ => (item(Match::Range { spec, last, mask }), Some(s), Some(l), Some(m)),
        }
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
        matched(frag_ext, Item::Ipv6FragExt).boxed(),
        matched(vxlan, Item::Vxlan).boxed(),
        matched(geneve, Item::Geneve).boxed(),
        matched(gre, Item::Gre).boxed(),
        matched(gre_key, Item::GreKey).boxed(),
        matched(tag, Item::Tag).boxed(),
        matched(|| any::<u32>().prop_map(|data| Meta { data }), Item::Meta).boxed(),
        matched(|| any::<u32>().prop_map(|id| PortId { id }), Item::PortId).boxed(),
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
        any::<u8>().prop_map(Action::SetIpv4Dscp),
        any::<u8>().prop_map(Action::SetIpv6Dscp),
        any::<u32>().prop_map(Action::PortId),
        Just(Action::VxlanDecap),
        (any::<u8>(), any::<u32>(), any::<u32>()).prop_map(|(index, data, mask)| Action::SetTag { index, data, mask }),
        (any::<u32>(), any::<u32>()).prop_map(|(data, mask)| Action::SetMeta { data, mask }),
        (0..1u32 << 24, any::<u64>()).prop_map(|(timeout, context)| Action::Age { timeout, context }),
        (any::<u64>(), any::<u32>(), proptest::collection::vec(any::<u16>(), 1..9))
            .prop_map(|(types, level, queues)| Action::Rss(Rss { types, level, queues })),
        (any::<[u8; 16]>(), 0u32..32, 1u32..32).prop_map(|(value, offset, width)| {
            let source = ModifySource::Value(value);
            Action::ModifyField(ModifyField {
                op: ModifyOp::Set,
                field: Field::Ipv4Dscp,
                level: 0,
                offset,
                width,
                source,
            })
        }),
    ]
}

/// What the C structure of an action's configuration holds, from the layouts in rte_flow.h. RSS and MODIFY_FIELD have tests of
/// their own.
fn expected_conf(action: &Action) -> Option<Vec<u8>> {
    Some(match action {
        Action::Mark(n) | Action::Count(n) | Action::Jump(n) | Action::Meter(n) => n.to_ne_bytes().to_vec(),
        Action::SetIpv4Dscp(n) | Action::SetIpv6Dscp(n) => vec![*n],
        // The id follows a word with the bit "original".
        Action::PortId(n) => cat(&[&[0; 4], &n.to_ne_bytes()]),
        Action::SetTag { index, data, mask } => cat(&[&data.to_ne_bytes(), &mask.to_ne_bytes(), &[*index, 0, 0, 0]]),
        Action::SetMeta { data, mask } => cat(&[&data.to_ne_bytes(), &mask.to_ne_bytes()]),
        Action::Age { timeout, context } => cat(&[&timeout.to_ne_bytes(), &[0; 4], &context.to_ne_bytes()]),
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
        let items: Vec<Item> = pattern.iter().map(|p| p.0.clone()).collect();
        let attr = Attr { group, priority, ingress, egress, transfer };
        let flow = LoweredFlow::new(attr, &items, &[]);
        // Moving the value must not move what the arrays point to.
        let flow = *Box::new(flow);
        prop_assert_eq!((flow.attr(), flow.items().len()), (attr, items.len()));
        for (lowered, (item, spec, last, mask)) in flow.items().zip(&pattern) {
            prop_assert_eq!(lowered.ty, item.type_id());
            prop_assert_eq!(lowered.spec, spec.as_deref());
            prop_assert_eq!(lowered.last, last.as_deref());
            prop_assert_eq!(lowered.mask, mask.as_deref());
        }
        let raw = flow.raw_attr();
        prop_assert_eq!((raw.group, raw.priority), (group, priority));
        prop_assert_eq!((raw.ingress() != 0, raw.egress() != 0, raw.transfer() != 0), (ingress, egress, transfer));

        let copy = c_copy(dpdk_sys::RTE_FLOW_CONV_OP_PATTERN, flow.pattern().raw().as_ptr().cast());
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
                    let ModifySource::Value(value) = m.source else { unreachable!() };
                    prop_assert_eq!(&conf[layout::ACTION_MODIFY_FIELD_SRC_VALUE..][..16], &value);
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
fn actions_of_a_tunnel_keep_a_place_for_those_of_the_driver() {
    let (tunnel, plain) = (Action::Tunnel(TunnelActions(5)), Action::Mark(1));
    let lowered = LoweredActions::new(&[tunnel.clone(), plain.clone()]);
    let places: Vec<_> = lowered.iter().map(|a| (a.ty, a.tunnel, a.conf.is_some())).collect();
    assert_eq!(places, [(action_type::VOID, Some(TunnelActions(5)), false), (action_type::MARK, None, true)]);
    let inside = Action::Sample { ratio: 1, actions: vec![tunnel] };
    let handles = |action| LoweredActions::new(&[action]).has_handles();
    assert!(lowered.has_handles() && handles(inside) && handles(Action::Indirect(ActionHandle(1))));
    assert!(!handles(plain.clone()) && !handles(Action::Sample { ratio: 1, actions: vec![plain] }));
}

#[test]
fn lowered_rules_can_be_sent_to_another_thread() {
    fn check<T: Send + Sync>() {}
    check::<LoweredFlow>();
    check::<LoweredActions>();
}

/// What a driver finds behind the pointers of GENEVE_OPT and RAW, on DPDK's deep copy.
#[test]
fn items_with_pointers_bring_what_they_point_to() {
    let option = GeneveOpt {
        class: 0x0102,
        class_mask: 0xffff,
        opt_type: 0x83,
        type_mask: 0xff,
        data: vec![1, 2, 3, 4, 5],
        data_mask: vec![0xff; 8],
    };
    let raw = Raw {
        relative: true,
        search: false,
        offset: -4,
        limit: 9,
        pattern: b"abc".to_vec(),
        mask: vec![0xff, 0, 0xff],
    };
    let pattern = LoweredPattern::new(&[Item::GeneveOpt(Box::new(option)), Item::Raw(Box::new(raw))]);
    let pattern = *Box::new(pattern);
    let copy = c_copy(dpdk_sys::RTE_FLOW_CONV_OP_PATTERN, pattern.raw().as_ptr().cast());
    let copied = copy.as_ptr().cast::<rte_flow_item>();
    // SAFETY: the copy starts with the items of the list, whose structures DPDK copied with what they point to.
    unsafe {
        let (opt, mask) = ((*copied).spec.cast::<u8>(), (*copied).mask.cast::<u8>());
        assert_eq!(std::slice::from_raw_parts(opt, 4), [1, 2, 0x83, 2]);
        assert_eq!(std::slice::from_raw_parts(mask, 4), [0xff, 0xff, 0xff, 0x1f]);
        let data = |p: *const u8| p.add(layout::ITEM_GENEVE_OPT_DATA).cast::<*const u8>().read_unaligned();
        assert_eq!(std::slice::from_raw_parts(data(opt), 8), [1, 2, 3, 4, 5, 0, 0, 0]);
        assert_eq!(std::slice::from_raw_parts(data(mask), 8), [255; 8]);
        let (spec, mask) = ((*copied.add(1)).spec.cast::<u8>(), (*copied.add(1)).mask.cast::<u8>());
        assert_eq!(std::slice::from_raw_parts(spec, 12), [1, 0, 0, 0, 0xfc, 0xff, 0xff, 0xff, 9, 0, 3, 0]);
        assert_eq!(std::slice::from_raw_parts(mask, 12), [3, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]);
        let bytes = |p: *const u8| p.add(layout::ITEM_RAW_PATTERN).cast::<*const u8>().read_unaligned();
        assert_eq!(std::slice::from_raw_parts(bytes(spec), 3), b"abc");
        assert_eq!(std::slice::from_raw_parts(bytes(mask), 3), [0xff, 0, 0xff]);
    }
    let [option, raw] = <[ItemRef<'_>; 2]>::try_from(pattern.iter().collect::<Vec<_>>()).unwrap();
    assert_eq!(&option.spec_data.unwrap()[..5], [1, 2, 3, 4, 5]);
    assert_eq!(option.mask_data.unwrap()[8..], [0; 116]);
    assert_eq!((raw.spec_data, raw.mask_data), (Some(&b"abc"[..]), Some(&[0xff, 0, 0xff][..])));
}

#[test]
fn actions_with_pointers_bring_what_they_point_to() {
    let outer = [
        Item::Eth(Match::Masked { spec: Eth { dst: [1; 6], ..Eth::default() }, mask: Eth::default() }),
        Item::Vxlan(Match::Masked { spec: Vxlan { flags: 8, vni: Vni(7) }, mask: Vxlan::default() }),
    ];
    let list = [
        Action::VxlanEncap(outer.to_vec()),
        Action::RawDecap(vec![9; 14]),
        Action::RawEncap(vec![1, 2, 3]),
        Action::Sample { ratio: 1, actions: vec![Action::Mark(5), Action::RepresentedPort(3)] },
    ];
    let lowered = *Box::new(LoweredActions::new(&list));
    // SAFETY: these are the configurations of the types above; their pointers are to what `lowered` owns.
    unsafe {
        let pointer = |i: usize, at: usize| lowered.raw()[i].conf.cast::<u8>().add(at).cast::<*const u8>().read();
        let definition = pointer(0, layout::ACTION_VXLAN_ENCAP_DEFINITION).cast::<rte_flow_item>();
        assert_eq!((*definition).type_, item_type::ETH);
        assert_eq!(std::slice::from_raw_parts((*definition).spec.cast::<u8>(), 6), [1; 6]);
        assert_eq!(std::slice::from_raw_parts((*definition.add(1)).spec.cast::<u8>(), 8), [8, 0, 0, 0, 0, 0, 7, 0]);
        assert_eq!((*definition.add(2)).type_, item_type::END);
        let raw_decap = &*lowered.raw()[1].conf.cast::<[usize; 2]>();
        assert_eq!(raw_decap[1], 14);
        assert_eq!(std::slice::from_raw_parts(pointer(1, layout::ACTION_RAW_DECAP_DATA), 14), [9; 14]);
        assert_eq!(lowered.raw()[2].conf.cast::<usize>().add(layout::ACTION_RAW_ENCAP_LEN / 8).read(), 3);
        assert_eq!(std::slice::from_raw_parts(pointer(2, layout::ACTION_RAW_ENCAP_DATA), 3), [1, 2, 3]);
        assert_eq!(lowered.raw()[3].conf.cast::<u32>().read(), 1);
        let inner = pointer(3, layout::ACTION_SAMPLE_ACTIONS).cast::<rte_flow_action>();
        assert_eq!(((*inner).type_, (*inner).conf.cast::<u32>().read()), (action_type::MARK, 5));
        assert_eq!((*inner.add(2)).type_, action_type::END);
    }
    let view: Vec<ActionRef<'_>> = lowered.iter().collect();
    assert_eq!(view[0].items.unwrap().iter().len(), 2);
    assert_eq!((view[1].data, view[2].data), (Some(&[9; 14][..]), Some(&[1, 2, 3][..])));
    assert_eq!(
        view[3].actions.unwrap().iter().map(|a| a.ty).collect::<Vec<_>>(),
        [action_type::MARK, action_type::REPRESENTED_PORT]
    );
}

#[test]
fn a_field_can_be_copied_into_another() {
    let source = ModifySource::Field { field: Field::Meta, level: 0, offset: 4 };
    let modify = ModifyField { op: ModifyOp::Add, field: Field::Tag, level: 2, offset: 8, width: 16, source };
    let lowered = LoweredActions::new(&[Action::ModifyField(modify)]);
    let conf = lowered.iter().next().unwrap().conf.unwrap();
    let word = |at: usize| u32::from_ne_bytes(*conf[at..].first_chunk().unwrap());
    assert_eq!(word(layout::ACTION_MODIFY_FIELD_OPERATION), dpdk_sys::RTE_FLOW_MODIFY_ADD);
    assert_eq!(word(layout::ACTION_MODIFY_FIELD_DST_FIELD), dpdk_sys::RTE_FLOW_FIELD_TAG);
    assert_eq!(conf[layout::ACTION_MODIFY_FIELD_DST_LEVEL], 2);
    assert_eq!(word(layout::ACTION_MODIFY_FIELD_DST_OFFSET), 8);
    assert_eq!(word(layout::ACTION_MODIFY_FIELD_SRC_FIELD), dpdk_sys::RTE_FLOW_FIELD_META);
    assert_eq!(word(layout::ACTION_MODIFY_FIELD_SRC_OFFSET), 4);
    assert_eq!(word(layout::ACTION_MODIFY_FIELD_WIDTH), 16);
}

#[test]
fn masks_of_a_template_say_what_is_fixed() {
    let list = [
        Action::Indirect(ActionHandle(3)),
        Action::SetTtl(9),
        Action::SetMacDst([1; 6]),
        Action::RawEncap(vec![1, 2]),
        Action::RepresentedPort(4),
    ];
    let masks = LoweredActions::masks(&list, |i, _| match i {
        0 => ActionMask::Indirect(action_type::COUNT),
        1 | 3 => ActionMask::Fixed,
        _ => ActionMask::PerRule,
    });
    assert_eq!(masks.iter().nth(1).unwrap().conf, Some(&[0xff][..]), "whatever the value: 0 is fixed too");
    let view: Vec<_> = masks.iter().map(|a| (a.ty, a.conf.map(|c| c.iter().any(|b| *b != 0)))).collect();
    assert_eq!(
        view,
        [
            (action_type::COUNT, None),
            (action_type::SET_TTL, Some(true)),
            (action_type::SET_MAC_DST, None),
            (action_type::RAW_ENCAP, Some(true)),
            (action_type::REPRESENTED_PORT, None),
        ]
    );
}

#[test]
fn lists_are_lowered_again_into_the_same_memory() {
    let first = [Item::Eth(Match::Any), Item::Ipv4(Match::Masked { spec: Ipv4::default(), mask: Ipv4::default() })];
    let second = [Item::Udp(Match::Masked { spec: Udp { src: 1, dst: 2 }, mask: Udp { src: 3, dst: 4 } })];
    let mut pattern = LoweredPattern::new(&first);
    pattern.set(&second);
    assert_eq!(pattern.iter().collect::<Vec<_>>(), LoweredPattern::new(&second).iter().collect::<Vec<_>>());
    assert_eq!((pattern.raw().len(), pattern.raw()[1].type_), (2, item_type::END));
    let mut actions = LoweredActions::new(&[Action::Drop, Action::Mark(1)]);
    actions.set(&[Action::Queue(7)]);
    assert_eq!(actions.iter().map(|a| a.conf.map(<[u8]>::to_vec)).collect::<Vec<_>>(), [Some(vec![7, 0])]);
    assert_eq!((LoweredActions::default().raw().len(), LoweredPattern::default().raw().len()), (1, 1));
}

#[test]
fn values_are_written_where_the_old_ones_were() {
    let mask = Ipv4 { src: [255; 4], proto: 255, ..Ipv4::default() };
    let pattern = |port: u16, src: [u8; 4], dst: u16| {
        let port = Match::Masked { spec: Ethdev { port_id: port }, mask: Ethdev { port_id: u16::MAX } };
        let ip = Match::Masked { spec: Ipv4 { src, proto: 17, ..Ipv4::default() }, mask };
        let udp = Match::Masked { spec: Udp { src: 0, dst }, mask: Udp { src: 0, dst: u16::MAX } };
        [Item::RepresentedPort(port), Item::Eth(Match::Any), Item::Ipv4(ip), Item::Udp(udp)]
    };
    let same = |lowered: &LoweredPattern, items: &[Item]| {
        let whole = LoweredPattern::new(items);
        assert!(lowered.iter().eq(whole.iter()));
        assert!(lowered.values().eq(whole.iter().map(|item| (item.ty, item.spec))));
        for (raw, item) in lowered.raw().iter().zip(whole.iter()) {
            assert_eq!(raw.type_, item.ty);
            for (pointer, bytes) in [(raw.spec, item.spec), (raw.last, item.last), (raw.mask, item.mask)] {
                assert_eq!(behind(pointer, bytes.map_or(0, <[u8]>::len)).as_deref(), bytes);
            }
        }
    };
    let mut lowered = LoweredPattern::new(&pattern(1, [10, 0, 0, 1], 53));
    let before = lowered.raw()[2].spec;
    lowered.set_values(&pattern(2, [10, 0, 0, 2], 443));
    same(&lowered, &pattern(2, [10, 0, 0, 2], 443));
    assert_eq!(lowered.raw()[2].spec, before, "in the same memory");
    // The first of the same items, and a large one behind others.
    lowered.set_values(&pattern(1, [10, 0, 0, 1], 53)[..3]);
    same(&lowered, &pattern(1, [10, 0, 0, 1], 53)[..3]);
    let large = |src: u8| {
        let udp = Item::Udp(Match::Masked { spec: Udp { src: 1, dst: 2 }, mask: Udp { src: 3, dst: 4 } });
        let spec = Ipv6 { src: [src; 16], ..Ipv6::default() };
        [udp.clone(), udp, Item::Ipv6(Match::Masked { spec, mask: Ipv6 { src: [255; 16], ..Ipv6::default() } })]
    };
    for src in [1, 2] {
        lowered.set_values(&large(src));
        same(&lowered, &large(src));
    }
    // The same bytes of another item.
    let port = Match::Masked { spec: Ethdev { port_id: 3 }, mask: Ethdev { port_id: u16::MAX } };
    for items in [[Item::RepresentedPort(port)], [Item::PortRepresentor(port)]] {
        lowered.set_values(&items);
        same(&lowered, &items);
    }
    // Others are lowered as a whole: more of them, of another kind, with a range, or with what has a pointer.
    let range = Match::Range { spec: Tag::default(), last: Tag { data: 5, ..Tag::default() }, mask: Tag::default() };
    let tunnel = Item::Tunnel(TunnelItems(7));
    for items in
        [vec![Item::Void], vec![tunnel], vec![Item::Void], vec![Item::Tag(range)], pattern(1, [0; 4], 1).to_vec()]
    {
        lowered.set_values(&items);
        same(&lowered, &items);
        assert_eq!(lowered.iter().next().and_then(|item| item.tunnel).is_some(), matches!(items[0], Item::Tunnel(_)));
    }
}

#[test]
fn configurations_are_written_where_the_old_ones_were() {
    let list = |handle, mark, queue| [Action::Indirect(ActionHandle(handle)), Action::Mark(mark), Action::Queue(queue)];
    let same = |lowered: &LoweredActions, actions: &[Action]| {
        let parts = |list: &LoweredActions| {
            list.iter().map(|a| (a.ty, a.conf.map(<[u8]>::to_vec), a.handle, a.tunnel)).collect::<Vec<_>>()
        };
        let whole = LoweredActions::new(actions);
        assert_eq!(parts(lowered), parts(&whole));
        assert!(lowered.types().eq(whole.iter().map(|action| action.ty)));
        for (raw, action) in lowered.raw().iter().zip(lowered.iter()) {
            assert_eq!(behind(raw.conf, action.conf.map_or(0, <[u8]>::len)).as_deref(), action.conf);
        }
    };
    let mut lowered = LoweredActions::new(&list(1, 2, 3));
    let before = lowered.raw()[1].conf;
    lowered.set_values(&list(4, 5, 6));
    same(&lowered, &list(4, 5, 6));
    assert_eq!(lowered.raw()[1].conf, before, "in the same memory");
    let tunnel = Action::Tunnel(TunnelActions(7));
    // The same bytes of another action; the first of the same actions.
    let (mark, jump) = (vec![Action::Mark(5)], vec![Action::Jump(6)]);
    let (all, first) = (list(1, 1, 1).to_vec(), list(2, 1, 1)[..1].to_vec());
    for actions in [vec![Action::Void], vec![tunnel], vec![Action::Void], all, first, mark, jump, vec![Action::Drop]] {
        lowered.set_values(&actions);
        same(&lowered, &actions);
    }
    // What has a pointer is lowered as a whole.
    for data in [vec![1, 2, 3], vec![4, 5]] {
        lowered.set_values(&[Action::RawEncap(data.clone())]);
        assert_eq!(lowered.iter().next().and_then(|action| action.data.map(<[u8]>::to_vec)), Some(data));
    }
}
