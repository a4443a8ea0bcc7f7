//! Drivers without flow rules must answer typed refusals, and nothing may be left behind.

use dpdk::{MbufBatch, PortConfig, RingMode, ring, testing};

use super::*;
use crate::{Action, Eth, Item, Match};

fn ring_port(name: &str) -> Port {
    let eal = testing::eal();
    let (_in, rx) = ring(eal, name, 31, RingMode::SpSc).unwrap();
    let (tx, _out) = ring(eal, name, 31, RingMode::SpSc).unwrap();
    Port::from_rings(eal, name, vec![rx], vec![tx]).unwrap()
}

fn rule() -> LoweredFlow {
    let attr = Attr { ingress: true, ..Attr::default() };
    LoweredFlow::new(attr, &[Item::Eth(Match::<Eth>::Any)], &[Action::Count(0), Action::Drop])
}

#[test]
fn a_driver_without_rules_answers_unsupported_everywhere() {
    let port = ring_port("norules");
    let id = port.id();
    let mut api = RealRteFlow::new();
    api.add_port(port).unwrap();
    let info = api.info(id).unwrap();
    assert_eq!((info.driver.as_str(), info.meters), ("net_ring", None));

    let refusals = [
        api.validate(id, &rule()).unwrap_err(),
        api.create(id, &rule()).unwrap_err(),
        api.flush(id).unwrap_err(),
        api.action_create(id, Attr::default(), &LoweredActions::new(&[Action::Count(0)])).unwrap_err(),
        api.meter_profile_add(id, 1, &MeterProfile::SrTcm2697 { cir: 1, cbs: 1, ebs: 0, packet_mode: false })
            .unwrap_err(),
        api.meter_policy_add(
            id,
            1,
            &MeterPolicy { red: Some(LoweredActions::new(&[Action::Drop])), ..MeterPolicy::default() },
        )
        .unwrap_err(),
        api.meter_create(id, 1, &MeterParams { profile: 1, policy: 1, shared: true }).unwrap_err(),
        api.meter_stats(id, 1, false).unwrap_err(),
        api.meter_destroy(id, 1).unwrap_err(),
        api.meter_policy_delete(id, 1).unwrap_err(),
        api.meter_profile_delete(id, 1).unwrap_err(),
    ];
    for refusal in refusals {
        assert_eq!((refusal.class(), refusal.port), (Class::Unsupported, id), "{refusal}");
        assert!(refusal.to_string().contains(refusal.operation) && refusal.to_string().contains("ENOSYS"), "{refusal}");
    }
}

#[test]
fn made_up_handles_and_foreign_ports_are_errors() {
    let port = ring_port("handles");
    let id = port.id();
    let mut api = RealRteFlow::new();
    assert_eq!(api.validate(id, &rule()).unwrap_err().class(), Class::DeviceDead);
    api.add_port(port).unwrap();
    assert_eq!(api.destroy(id, RuleHandle(0xdead_beef)).unwrap_err().class(), Class::NotFound);
    assert_eq!(api.query_count(id, RuleHandle(1), false).unwrap_err().class(), Class::NotFound);
    assert_eq!(api.action_destroy(id, ActionHandle(7)).unwrap_err().class(), Class::NotFound);
    assert_eq!(api.action_query_count(id, ActionHandle(7), true).unwrap_err().class(), Class::NotFound);
    let flow = LoweredFlow::new(Attr::default(), &[], &[Action::Drop, Action::Indirect(ActionHandle(7))]);
    let err = api.create(id, &flow).unwrap_err();
    assert_eq!((err.class(), err.cause), (Class::NotFound, Some(Cause::Action(1))));
    let two = LoweredActions::new(&[Action::Count(0), Action::Drop]);
    assert_eq!(api.action_create(id, Attr::default(), &two).unwrap_err().class(), Class::Invalid);
}

#[test]
fn it_holds_its_ports_and_lets_them_go() {
    let pool = testing::mempool(255);
    let port = ring_port("held");
    let id = port.id();
    port.configure(&PortConfig::default(), &pool).unwrap();
    port.start().unwrap();
    let mut api = RealRteFlow::new();
    api.add_port(port.clone()).unwrap();
    let (_rx, mut tx) = port.take_queues().unwrap();
    let mut batch = MbufBatch::new();
    pool.alloc_batch(&mut batch, 8).unwrap();
    tx[0].burst(&mut batch);
    drop((_rx, tx, batch));
    assert!(matches!(port.close(), Err(dpdk::PortError::InUse { handles: 1, .. })));
    assert!(api.create(id, &rule()).is_err());
    api.remove_port(id).unwrap().close().unwrap();
    assert!(api.remove_port(id).is_none());
    assert!(pool.is_full(), "{} buffers are missing", pool.in_use());
}

#[test]
fn causes_are_found_in_their_list() {
    let list = [0u64; 4];
    let at = |i: usize| std::ptr::from_ref(&list[i]).cast::<c_void>();
    assert_eq!(index_in(&list, at(0)), Some(0));
    assert_eq!(index_in(&list, at(3)), Some(3));
    assert_eq!(index_in(&list, null()), None);
    assert_eq!(index_in(&list[..2], at(2)), None);
    assert_eq!(index_in(&list, at(1).wrapping_byte_add(1)), None);
}

#[test]
fn a_driver_without_the_newer_functions_answers_unsupported_too() {
    let port = ring_port("nonewer");
    let id = port.id();
    let mut api = RealRteFlow::new();
    api.add_port(port).unwrap();
    let tunnel = Tunnel { kind: crate::TunnelKind::Vxlan, id: 7, addresses: None, ports: (0, 4789), tos: 0, ttl: 64 };
    let (none, colours) = (LoweredActions::new(&[]), [crate::Colour::Red; 64]);
    let refusals = [
        api.aged(id, 4).unwrap_err(),
        api.isolate(id, true).unwrap_err(),
        api.tunnel_decap(id, &tunnel).unwrap_err(),
        api.tunnel_match(id, &tunnel).unwrap_err(),
        api.engine_info(id).unwrap_err(),
        api.pattern_template_create(id, TemplateAttr::default(), rule().pattern()).unwrap_err(),
        api.actions_template_create(id, TemplateAttr::default(), &none, &none).unwrap_err(),
        api.table_create(id, Attr::default(), 8, &[], &[]).unwrap_err(),
        api.meter_policy_validate(id, &MeterPolicy::default()).unwrap_err(),
        api.meter_enable(id, 1, true).unwrap_err(),
        api.meter_enable(id, 1, false).unwrap_err(),
        api.meter_profile_update(id, 1, 2).unwrap_err(),
        api.meter_policy_update(id, 1, 2).unwrap_err(),
        api.meter_dscp_colours(id, 1, Some(&colours)).unwrap_err(),
    ];
    for refusal in refusals {
        assert!(
            matches!(refusal.class(), Class::Unsupported | Class::Invalid),
            "{refusal}: a driver that says nothing else has no such function"
        );
        assert_eq!(refusal.port, id);
    }
    assert!(api.held().is_empty());
}

#[test]
fn queues_tables_and_templates_that_are_not_there_never_reach_the_driver() {
    let port = ring_port("notemplates");
    let id = port.id();
    let mut api = RealRteFlow::new();
    api.add_port(port).unwrap();
    let (pattern, actions, queue) = (LoweredPattern::new(&[]), LoweredActions::new(&[]), Queue::default());
    let error = api.async_create(id, queue, TemplateTable(9), &pattern, 0, &actions, 0).unwrap_err();
    assert_eq!(
        (error.class(), error.message.as_str()),
        (Class::Invalid, "queue 0 of 0; configure the engine with more")
    );
    assert_eq!(api.push(id, 0).unwrap_err().class(), Class::Invalid);
    assert_eq!(api.pull(id, 0, &mut Vec::new(), 1).unwrap_err().class(), Class::Invalid);
    assert_eq!(api.async_destroy(id, queue, RuleHandle(1)).unwrap_err().class(), Class::Invalid);
    let error = api.async_action_query_count(id, queue, ActionHandle(1), false).unwrap_err();
    assert_eq!(error.class(), Class::Invalid);
    assert_eq!(api.table_destroy(id, TemplateTable(9)).unwrap_err().class(), Class::NotFound);
    assert_eq!(api.pattern_template_destroy(id, PatternTemplate(9)).unwrap_err().class(), Class::NotFound);
    assert_eq!(api.actions_template_destroy(id, ActionsTemplate(9)).unwrap_err().class(), Class::NotFound);
    let missing = api.table_create(id, Attr::default(), 8, &[PatternTemplate(9)], &[]).unwrap_err();
    assert_eq!(missing.class(), Class::NotFound);
    let tunnel = LoweredFlow::new(Attr::default(), &[Item::Tunnel(TunnelItems(5))], &[Action::Drop]);
    let error = api.create(id, &tunnel).unwrap_err();
    assert_eq!((error.class(), error.cause), (Class::NotFound, Some(Cause::Item(0))));
    let nested = [Action::Sample { ratio: 1, actions: vec![Action::Indirect(ActionHandle(1))] }];
    let error = api.create(id, &LoweredFlow::new(Attr::default(), &[], &nested)).unwrap_err();
    assert_eq!((error.class(), error.cause), (Class::Unsupported, Some(Cause::Action(0))));
    assert_eq!(api.tunnel_decap_release(id, TunnelActions(3)).unwrap_err().class(), Class::NotFound);
    assert_eq!(api.tunnel_match_release(id, TunnelItems(3)).unwrap_err().class(), Class::NotFound);
}

/// net_tap puts rules into the kernel's TC flower classifier. Where the kernel has none, what it answers must be a typed refusal.
#[test]
fn net_tap_takes_rules_or_says_why_not() {
    let eal = testing::eal();
    let port = match Port::attach(eal, &format!("net_tap7,iface=shrte{}", std::process::id() % 100_000)) {
        Ok(port) => port,
        Err(error) => return println!("skipped: no net_tap here: {error}"),
    };
    let pool = testing::mempool(1023);
    if let Err(error) = port.configure(&PortConfig::default(), &pool).and_then(|()| port.start()) {
        return println!("skipped: net_tap does not start: {error}");
    }
    let id = port.id();
    let mut api = RealRteFlow::new();
    api.add_port(port).unwrap();
    assert_eq!(api.info(id).unwrap().driver, "net_tap");
    let attr = Attr { ingress: true, ..Attr::default() };
    let udp = crate::Udp { src: 0, dst: 7 };
    let items = [
        Item::Eth(Match::<Eth>::Any),
        Item::Ipv4(Match::Any),
        Item::Udp(Match::Masked { spec: udp, mask: crate::Udp { src: 0, dst: 0xffff } }),
    ];
    // The driver knows no such action, whatever the kernel has.
    let never = LoweredFlow::new(attr, &items, &[Action::DecTtl]);
    assert!(matches!(api.validate(id, &never).unwrap_err().class(), Class::Unsupported | Class::Invalid));
    let rule = LoweredFlow::new(attr, &items, &[Action::Drop]);
    api.validate(id, &rule).unwrap();
    match api.create(id, &rule) {
        Ok(handle) => {
            assert_eq!(api.query_count(id, handle, false).unwrap_err().class(), Class::Invalid, "it has no COUNT");
            api.destroy(id, handle).unwrap();
            assert_eq!(api.destroy(id, handle).unwrap_err().class(), Class::NotFound);
        }
        Err(error) => {
            assert!(!error.message.is_empty() && error.errno.0 > 0, "{error}");
            println!("skipped: the kernel takes no rule (is cls_flower there?): {error}");
        }
    }
    assert_eq!(api.engine_info(id).unwrap_err().class(), Class::Unsupported);
    api.flush(id).unwrap();
    let port = api.remove_port(id).unwrap();
    port.stop().unwrap();
    port.close().unwrap();
}
