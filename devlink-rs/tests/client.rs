//! Both clients, the events and the watch, against a devlink that is spoken byte by byte.

mod common;

use std::time::{Duration, Instant};

use common::{DEVICE, host, port_payload};
use devlink_rs::{
    AsyncDevlink, DeviceId, Devlink, DevlinkEvent, DevlinkEvents, Flavour, FunctionChange, FunctionState, NewPort,
    PortChange, PortId, PortWatch, RateChange, RateId, RateParent, request,
};
use netlink::{Delta, Error, Protocol, fake::Fault};

fn pf() -> DeviceId {
    DeviceId::new(DEVICE.0, DEVICE.1)
}

fn port(index: u32) -> PortId {
    PortId { device: pf(), index }
}

#[test]
fn a_sub_function_lives_and_goes() {
    let kernel = host();
    let mut devlink = Devlink::open(kernel.open(Protocol::Generic)).unwrap();
    let new = NewPort { device: pf(), flavour: Flavour::PciSf, pf: 0, sf: Some(88), controller: None, index: None };
    let added = devlink.add_port(&new).unwrap();
    assert_eq!((added.flavour, added.sf, added.pf), (Some(Flavour::PciSf), Some(88), Some(0)));
    let change = FunctionChange {
        hw_addr: Some([2, 0, 0, 0, 0, 88]),
        state: Some(FunctionState::Active),
        roce: Some(false),
        migratable: Some(true),
        max_io_eqs: Some(8),
        ..FunctionChange::default()
    };
    devlink.set_function(&added.id, &change).unwrap();
    let function = devlink.port(&added.id).unwrap().function.unwrap();
    assert_eq!((function.hw_addr, function.state), (change.hw_addr, change.state));
    assert_eq!((function.roce, function.migratable, function.ipsec_crypto), (Some(false), Some(true), None));
    assert_eq!(function.max_io_eqs, Some(8));
    let twice = devlink.add_port(&new).unwrap_err();
    assert!(
        twice.to_string().contains("devlink port add pci/0000:03:00.0 flavour pcisf pfnum 0 sfnum 88")
            && twice.to_string().contains("SF already exist"),
        "{twice}"
    );
    devlink.delete_port(&added.id).unwrap();
    assert_eq!(devlink.port(&added.id).unwrap_err().errno(), Some(19));
}

#[test]
fn rates_make_a_tree() {
    let kernel = host();
    let mut devlink = Devlink::open(kernel.open(Protocol::Generic)).unwrap();
    let gold = RateChange { tx_max: Some(125_000_000), ..RateChange::default() };
    devlink.add_rate_node(&pf(), "gold", &gold).unwrap();
    let leaf = RateId::Leaf(port(1));
    let change = RateChange {
        tx_share: Some(1000),
        tx_priority: Some(3),
        tx_weight: Some(70),
        parent: Some(RateParent::Node("gold".into())),
        ..RateChange::default()
    };
    devlink.set_rate(&leaf, &change).unwrap();
    let rate = devlink.rate(&leaf).unwrap();
    assert_eq!((rate.tx_share, rate.tx_max, rate.tx_priority, rate.tx_weight), (1000, 0, Some(3), Some(70)));
    assert_eq!(rate.parent.as_deref(), Some("gold"));
    let busy = devlink.delete_rate_node(&pf(), "gold").unwrap_err();
    assert!(busy.errno() == Some(16) && busy.to_string().contains("Node has children"), "{busy}");
    devlink.set_rate(&leaf, &RateChange { parent: Some(RateParent::Nobody), ..RateChange::default() }).unwrap();
    let ids: Vec<_> = devlink.rates().unwrap().into_iter().map(|r| (r.id.to_string(), r.parent)).collect();
    assert_eq!(ids, [("pci/0000:03:00.0/1".into(), None), ("pci/0000:03:00.0/gold".into(), None)]);
    devlink.delete_rate_node(&pf(), "gold").unwrap();
}

#[test]
fn many_functions_are_set_in_few_datagrams() {
    let kernel = host();
    let mut devlink = Devlink::open(kernel.open(Protocol::Generic)).unwrap();
    let add =
        |sf| NewPort { device: pf(), flavour: Flavour::PciSf, pf: 0, sf: Some(sf), controller: None, index: None };
    let added = devlink.batch((0..100).map(|sf| request::add_port(&add(sf))).collect());
    let ports: Vec<_> = added.into_iter().map(|p| p.unwrap().id).collect();
    let before = kernel.received().len();
    let mac = |n: usize| FunctionChange { hw_addr: Some([2, 0, 0, 0, 1, n as u8]), ..FunctionChange::default() };
    let set = ports.iter().enumerate().map(|(n, id)| request::set_function(id, &mac(n))).collect();
    assert!(devlink.batch(set).iter().all(Result::is_ok));
    assert_eq!(kernel.received().len() - before, 2);
    let read = devlink.batch(ports.iter().map(request::port).collect());
    for (n, port) in read.into_iter().enumerate() {
        assert_eq!(port.unwrap().function.unwrap().hw_addr, mac(n).hw_addr);
    }
    assert!(matches!(devlink.batch(vec![request::ports()])[..], [Err(Error::NotSent { .. })]));
}

#[test]
fn an_answer_about_another_object_is_not_believed() {
    let kernel = host();
    let mut devlink = Devlink::open(kernel.open(Protocol::Generic)).unwrap();
    // The low byte of the index: behind the headers and two texts.
    kernel.inject(Fault::Flip(20 + 8 + 20 + 4, 0xff));
    assert!(matches!(devlink.port(&port(1)), Err(Error::Malformed { .. })));
    kernel.inject(Fault::LoseAnswer);
    let change = RateChange { tx_max: Some(1), ..RateChange::default() };
    let mut short = request::set_rate(&RateId::Leaf(port(1)), &change);
    short.set_timeout(Duration::from_millis(20));
    let e = devlink.call(short).unwrap_err();
    assert!(e.outcome_unknown() && e.to_string().contains("rate set pci/0000:03:00.0/1 tx_max 1Bps"), "{e}");
}

#[tokio::test(flavor = "current_thread")]
async fn the_async_client_does_the_same() {
    let kernel = host();
    let devlink = AsyncDevlink::open(kernel.open(Protocol::Generic)).await.unwrap();
    let (devices, ports) = tokio::join!(devlink.devices(), devlink.ports());
    assert_eq!((devices.unwrap(), ports.unwrap().len()), (vec![pf()], 2));
    assert_eq!(devlink.clone().eswitch(&pf()).await.unwrap(), None);
    let e = devlink.port(&port(77)).await.unwrap_err();
    assert_eq!(e.errno(), Some(19));
    let both = devlink.batch(vec![request::port(&port(0)), request::port(&port(77))]).await.unwrap();
    assert!(both[0].is_ok() && both[1].is_err());
    let events = DevlinkEvents::of_family(devlink.family(), kernel.open(Protocol::Generic)).unwrap();
    let mut events = events.into_listener().unwrap();
    let group = kernel.group("devlink", "config").unwrap();
    kernel.multicast(Protocol::Generic, group, devlink.family().id, &port_payload(8, 5, "gone"));
    kernel.multicast(Protocol::Generic, group, devlink.family().id, &[60, 1, 0, 0, 5, 0, 9, 9, 1, 0, 0, 0]);
    let event = events.next().await.unwrap().unwrap();
    assert!(matches!(event, DevlinkEvent::PortGone(p) if p.id == port(5)));
    let event = events.next().await.unwrap().unwrap();
    assert!(matches!(event, DevlinkEvent::Other { cmd: 60, ref attrs } if attrs[0].value == [1]), "{event:?}");
}

#[tokio::test(flavor = "current_thread")]
async fn a_kernel_without_devlink_is_named() {
    let e = AsyncDevlink::open(netlink::fake::FakeNetlink::new().open(Protocol::Generic)).await.unwrap_err();
    assert!(matches!(e, Error::NoFamily { .. }), "{e}");
}

/// Events by the thousand, through a buffer that is too small: what is known equals what is.
#[test]
fn the_watch_equals_the_truth_after_overruns() {
    let kernel = host();
    let mut events = kernel.open(Protocol::Generic);
    events.set_receive_buffer(1).unwrap();
    let mut watch =
        PortWatch::open(kernel.open(Protocol::Generic), Box::new(common::KeepBuffer(events, 8192))).unwrap();
    let first: Vec<_> = (0..2).map(|_| watch.next(Duration::ZERO).unwrap().unwrap()).collect();
    assert!(first.iter().all(|c| matches!(c, PortChange::Port(d) if matches!(**d, Delta::Added(_)))), "{first:?}");
    assert_eq!(watch.next(Duration::ZERO).unwrap(), None);
    let mut devlink = Devlink::open(kernel.open(Protocol::Generic)).unwrap();
    let mut resyncs = 0;
    for round in 0..60 {
        // The fake tells its group of each port that comes, changes and goes.
        let count = if round % 4 == 0 { 40 } else { 3 };
        let new =
            |sf| NewPort { device: pf(), flavour: Flavour::PciSf, pf: 0, sf: Some(sf), controller: None, index: None };
        let added = devlink.batch((0..count).map(|sf| request::add_port(&new(sf))).collect());
        let ids: Vec<_> = added.into_iter().map(|p| p.unwrap().id).collect();
        let keep = ids.len() / 2;
        let gone = devlink.batch(ids[keep..].iter().map(request::delete_port).collect());
        assert!(gone.iter().all(Result::is_ok));
        while let Some(change) = watch.next(Duration::ZERO).unwrap() {
            resyncs += usize::from(matches!(change, PortChange::Resynced { .. }));
        }
        let truth: Vec<_> = devlink.ports().unwrap();
        assert_eq!(watch.ports().values().cloned().collect::<Vec<_>>(), truth, "round {round}");
        let gone = devlink.batch(ids[..keep].iter().map(request::delete_port).collect());
        assert!(gone.iter().all(Result::is_ok));
        while watch.next(Duration::ZERO).unwrap().is_some() {}
        assert_eq!(watch.ports().len(), 2);
    }
    assert!(resyncs >= 15, "{resyncs}");
}

#[test]
fn a_change_arrives_while_it_is_waited_for() {
    let kernel = host();
    let mut watch = PortWatch::open(kernel.open(Protocol::Generic), kernel.open(Protocol::Generic)).unwrap();
    while watch.next(Duration::ZERO).unwrap().is_some() {}
    let group = kernel.group("devlink", "config").unwrap();
    let family = Devlink::open(kernel.open(Protocol::Generic)).unwrap().family().id;
    let sender = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(30));
        kernel.multicast(Protocol::Generic, group, family, &port_payload(7, 1, "renamed"));
    });
    let began = Instant::now();
    let change = watch.next(Duration::from_secs(5)).unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(4));
    let PortChange::Port(delta) = change else { panic!("{change:?}") };
    assert!(matches!(*delta, Delta::Changed { ref new, .. } if new.netdev.as_deref() == Some("renamed")), "{delta:?}");
    sender.join().unwrap();
}
