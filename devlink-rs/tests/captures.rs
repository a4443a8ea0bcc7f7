//! What we send is what iproute2 sends, and what we read is what iproute2 prints: on messages captured from a real kernel.

#![cfg(target_endian = "little")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod replay;

use std::collections::BTreeMap;

use devlink_rs::{
    DeviceId, Devlink, DevlinkEvent, EncapMode, EswitchChange, EswitchMode, Flavour, FmsgToken, FmsgValue,
    FunctionChange, FunctionState, InlineMode, NewPort, ParamMode, ParamValue, PortId, RateChange, RateId, RateParent,
    ReloadAction, ReporterChange, ReporterId, ResourceUnit, VersionKind, request, request::Request,
};
use netlink::{Attrs, Error, Family, split};
use proptest::prelude::*;
use replay::{Capture, FAMILY, Replay, capture, names};
use serde_json::{Value, json};

const HANDLE: &str = "netdevsim/netdevsim1";

fn dev() -> DeviceId {
    HANDLE.parse().unwrap()
}

fn port(index: u32) -> PortId {
    PortId { device: dev(), index }
}

fn dummy() -> ReporterId {
    ReporterId { device: dev(), port: None, name: "dummy".into() }
}

fn family() -> Family {
    Family { name: "devlink".into(), id: FAMILY, version: 1, groups: Vec::new() }
}

/// Attributes in an order of their own, each once (iproute2 6.1 writes some twice), and a port function's flattened: its padding
/// is whatever was in iproute2's memory.
fn sorted(bytes: &[u8]) -> Vec<(u16, Vec<u8>)> {
    const PORT_FUNCTION: u16 = 145;
    let mut all = Vec::new();
    for attr in Attrs::new(bytes).map(|a| a.unwrap()) {
        if attr.kind == PORT_FUNCTION {
            all.extend(sorted(attr.value).into_iter().map(|(kind, value)| (PORT_FUNCTION << 4 | kind, value)));
        } else {
            all.push((attr.kind, attr.value.to_vec()));
        }
    }
    all.sort();
    all.dedup();
    all
}

/// Compares the request with the captured one, and reads the captured answer.
fn replay<T: 'static>(name: &str, request: Request<T>) -> (netlink::Result<T>, Value) {
    let Capture { request: captured, replies, json, refusal, command } = capture(name);
    let sent = split(&captured).next().unwrap().unwrap();
    let ours = request.payload(&family());
    // The kernel does not look at the version; iproute2 leaves it 0.
    assert_eq!((sent.kind, sent.payload[0]), (FAMILY, ours[0]), "{command}");
    assert_eq!(sorted(&ours[4..]), sorted(&sent.payload[4..]), "{command}");
    assert_eq!(request.is_dump(), sent.flags & 0x300 == 0x300, "{command}");
    let result = Devlink::open(Replay::new(replies)).unwrap().call(request);
    if let Some(refusal) = refusal {
        let Err(Error::Kernel(k)) = &result else { panic!("{command}: not refused") };
        match refusal.strip_prefix("Error: ") {
            Some(words) => {
                assert_eq!(k.message.as_deref().map(|m| m.trim_end_matches('.')), Some(words.trim_end_matches('.')))
            }
            None => assert_eq!(k.errno, 95, "{command}"),
        }
    }
    (result, json)
}

fn read<T: 'static>(name: &str, request: Request<T>) -> (T, Value) {
    let (result, json) = replay(name, request);
    (result.unwrap(), json)
}

fn done(name: &str, request: Request<()>) {
    replay(name, request).0.unwrap();
}

#[test]
fn devices() {
    assert_eq!(read("dev_show", request::devices()).0, [dev()]);
    let (device, json) = read("dev_show_stats", request::device(&dev()));
    assert!(!device.reload_failed && device.other.is_empty());
    let mut counts = BTreeMap::new();
    for count in &device.reloads {
        let place = if count.remote { "remote_reload" } else { "reload" };
        counts.insert((place, count.action.to_string(), count.limit.to_string()), count.count);
    }
    let mut wanted = BTreeMap::new();
    for place in ["reload", "remote_reload"] {
        for (action, limits) in json["dev"][HANDLE]["stats"][place].as_object().unwrap() {
            for (limit, count) in limits.as_object().unwrap() {
                wanted.insert((place, action.clone(), limit.clone()), count.as_u64().unwrap() as u32);
            }
        }
    }
    assert_eq!(counts, wanted);
    let reload = request::reload(&dev(), Some(ReloadAction::DriverReinit), None);
    assert_eq!(read("reload_action", reload).0, [ReloadAction::DriverReinit]);
}

#[test]
fn info() {
    let (info, json) = read("dev_info", request::info(&dev()));
    let info = info.unwrap();
    let said = &json["info"][HANDLE];
    assert_eq!(info.driver.as_deref(), said["driver"].as_str());
    for version in &info.versions {
        let kind = match version.kind {
            VersionKind::Fixed => "fixed",
            VersionKind::Running => "running",
            VersionKind::Stored => "stored",
        };
        assert_eq!(said["versions"][kind][&version.name], version.value.as_str());
    }
    assert_eq!((info.versions.len(), info.serial.as_deref()), (2, said["serial_number"].as_str()));
    assert_eq!(read("dev_info_all", request::infos()).0, [info]);
}

#[test]
fn params() {
    let (params, json) = read("param_show_all", request::params());
    let ours: Vec<_> = params
        .iter()
        .map(|p| {
            let values: Vec<_> = p
                .values
                .iter()
                .map(|(mode, value)| {
                    let value = match value.as_ref().unwrap() {
                        ParamValue::Bool(b) => json!(b),
                        ParamValue::U32(n) => json!(n),
                        other => panic!("{other}"),
                    };
                    json!({"cmode": mode.to_string(), "value": value})
                })
                .collect();
            let kind = if p.generic { "generic" } else { "driver-specific" };
            json!({"name": p.name, "type": kind, "values": values})
        })
        .collect();
    assert_eq!(Value::from(ours), json["param"][HANDLE]);
    let test1 = read("param_show", request::param(&dev(), "test1")).0;
    assert_eq!(test1.values, [(ParamMode::DriverInit, Some(ParamValue::Bool(true)))]);
    let mode = ParamMode::DriverInit;
    done("param_set_bool", request::set_param(&dev(), "test1", &ParamValue::Bool(true), mode));
    done("param_set_u32", request::set_param(&dev(), "max_macs", &ParamValue::U32(16), mode));
}

#[test]
fn eswitch() {
    let (eswitch, json) = read("eswitch_show", request::eswitch(&dev()));
    let eswitch = eswitch.unwrap();
    let said = &json["dev"][HANDLE];
    assert_eq!(eswitch.mode.to_string(), said["mode"]);
    assert_eq!(eswitch.inline_mode.unwrap().to_string(), said["inline-mode"]);
    assert_eq!(eswitch.encap_mode.unwrap().to_string(), said["encap-mode"]);
    let mode = |mode| EswitchChange { mode: Some(mode), ..EswitchChange::default() };
    done("eswitch_set_switchdev", request::set_eswitch(&dev(), &mode(EswitchMode::Switchdev)));
    let inline = EswitchChange { inline_mode: Some(InlineMode::Transport), ..EswitchChange::default() };
    done("eswitch_set_inline", request::set_eswitch(&dev(), &inline));
    let encap = EswitchChange { encap_mode: Some(EncapMode::Basic), ..EswitchChange::default() };
    done("eswitch_set_encap", request::set_eswitch(&dev(), &encap));
    let refused =
        replay("eswitch_set_refused", request::set_eswitch(&dev(), &mode(EswitchMode::Legacy))).0.unwrap_err();
    assert_eq!(refused.errno(), Some(16));
    assert!(
        refused.to_string().contains("mode legacy") && refused.to_string().contains("Rate node(s) exist"),
        "{refused}"
    );
}

fn as_json(port: &devlink_rs::Port) -> Value {
    let mut said = json!({
        "type": port.port_type.unwrap().to_string(),
        "netdev": port.netdev,
        "flavour": port.flavour.unwrap().to_string(),
        "splittable": port.splittable,
    });
    if let Some(number) = port.number {
        said["port"] = number.into();
    }
    if let (Some(controller), Some(pf), Some(vf)) = (port.controller, port.pf, port.vf) {
        said["controller"] = controller.into();
        said["pfnum"] = pf.into();
        said["vfnum"] = vf.into();
        said["external"] = port.external.into();
    }
    if let (Some(controller), Some(pf), Some(sf)) = (port.controller, port.pf, port.sf) {
        said["controller"] = controller.into();
        said["pfnum"] = pf.into();
        said["sfnum"] = sf.into();
    }
    if let Some(function) = &port.function {
        let mac = function.hw_addr.unwrap().map(|b| format!("{b:02x}")).join(":");
        said["function"] = json!({
            "hw_addr": mac,
            "state": function.state.unwrap().to_string(),
            "opstate": if function.attached.unwrap() { "attached" } else { "detached" },
        });
    }
    said
}

#[test]
fn ports() {
    let (ports, json) = read("port_show_all", request::ports());
    let ours: BTreeMap<_, _> = ports.iter().map(|p| (p.id.to_string(), as_json(p))).collect();
    assert_eq!(json!(ours), json["port"]);
    assert!(ports.iter().all(|p| p.ifindex.is_some()));
    let (one, json) = read("port_show", request::port(&port(128)));
    assert_eq!(as_json(&one), json["port"][one.id.to_string()]);
    let hw_addr = |last| FunctionChange { hw_addr: Some([2, 0, 0, 0, 1, last]), ..FunctionChange::default() };
    let state = Some(FunctionState::Active);
    done("function_set_hw_addr", request::set_function(&port(128), &hw_addr(0x80)));
    let active = FunctionChange { state, ..FunctionChange::default() };
    done("function_set_state", request::set_function(&port(128), &active));
    done("function_set_both", request::set_function(&port(129), &FunctionChange { state, ..hw_addr(0x81) }));
    assert!(replay("function_set_refused", request::set_function(&port(0), &hw_addr(0x81))).0.is_err());
    let sf = NewPort { device: dev(), flavour: Flavour::PciSf, pf: 0, sf: Some(88), controller: None, index: None };
    assert!(replay("port_add_refused", request::add_port(&sf)).0.unwrap_err().is_unsupported());
    assert!(replay("port_del_refused", request::delete_port(&port(0))).0.unwrap_err().is_unsupported());
}

#[test]
fn sub_functions() {
    const INDEX: u32 = 32_856;
    let sf = NewPort { device: dev(), flavour: Flavour::PciSf, pf: 0, sf: Some(88), controller: None, index: None };
    let (new, _) = read("port_add_sf", request::add_port(&sf));
    assert_eq!((new.id.clone(), new.sf, new.pf, new.flavour), (port(INDEX), Some(88), Some(0), Some(Flavour::PciSf)));
    let (shown, json) = read("port_show_sf", request::port(&port(INDEX)));
    assert_eq!(as_json(&shown), json["port"][shown.id.to_string()]);
    let hw_addr = Some([2, 0x11, 0x22, 0x33, 0x44, 0x88]);
    let change = FunctionChange { hw_addr, state: Some(FunctionState::Active), ..FunctionChange::default() };
    done("function_set_sf", request::set_function(&port(INDEX), &change));
    let (shown, json) = read("port_show_sf_active", request::port(&port(INDEX)));
    assert_eq!(as_json(&shown), json["port"][shown.id.to_string()]);
    let function = shown.function.unwrap();
    assert_eq!((function.hw_addr, function.state, function.attached), (hw_addr, change.state, Some(true)));
    assert!(replay("port_add_sf_refused", request::add_port(&sf)).0.is_err());
    done("port_del_sf", request::delete_port(&port(INDEX)));
}

#[test]
fn rates() {
    let (rates, json) = read("rate_show_all", request::rates());
    let show = |r: &devlink_rs::Rate| {
        let mut said = json!({"type": if matches!(r.id, RateId::Leaf(_)) { "leaf" } else { "node" }});
        for (name, rate) in [("tx_share", r.tx_share), ("tx_max", r.tx_max)] {
            if rate != 0 {
                said[name] = rate.into();
            }
        }
        if let Some(parent) = &r.parent {
            said["parent"] = parent.as_str().into();
        }
        (r.id.to_string(), said)
    };
    assert_eq!(json!(rates.iter().map(show).collect::<BTreeMap<_, _>>()), json["rate"]);
    // iproute2 6.1 does not know these yet; the kernel does.
    assert!(rates.iter().all(|r| r.tx_priority == Some(0) && r.tx_weight == Some(0) && r.other.is_empty()));
    let leaf = RateId::Leaf(port(128));
    assert_eq!(read("rate_show", request::rate(&leaf)).0.parent.as_deref(), Some("gold"));
    let change = RateChange { tx_share: Some(125_000), tx_max: Some(12_500_000), ..RateChange::default() };
    done("rate_set", request::set_rate(&leaf, &change));
    let gold = RateChange { tx_max: Some(125_000_000), ..RateChange::default() };
    done("rate_add", request::add_rate_node(&dev(), "gold", &gold));
    let parent = |p| RateChange { parent: Some(p), ..RateChange::default() };
    done("rate_set_parent", request::set_rate(&leaf, &parent(RateParent::Node("gold".into()))));
    done("rate_set_noparent", request::set_rate(&leaf, &parent(RateParent::Nobody)));
    assert_eq!(replay("rate_del_refused", request::delete_rate_node(&dev(), "gold")).0.unwrap_err().errno(), Some(16));
}

#[test]
fn health() {
    let (reporters, json) = read("health_show", request::health_reporters());
    for (reporter, said) in reporters.iter().zip(json["health"][HANDLE].as_array().unwrap()) {
        assert_eq!(reporter.id.name, said["reporter"]);
        assert_eq!(reporter.state.to_string(), said["state"]);
        assert_eq!(
            (json!(reporter.errors), json!(reporter.recoveries)),
            (said["error"].clone(), said["recover"].clone())
        );
        assert_eq!(json!(reporter.grace_period_ms), said["grace_period"]);
        assert_eq!(json!(reporter.auto_recover), said["auto_recover"]);
        assert_eq!(json!(reporter.auto_dump), said["auto_dump"]);
    }
    assert_eq!(reporters.len(), 2);
    let change = ReporterChange { grace_period_ms: Some(500), auto_recover: Some(true), ..ReporterChange::default() };
    done("health_set", request::set_reporter(&dummy(), &change));
    done("health_dump_clear", request::clear_reporter_dump(&dummy()));
    for (name, request) in
        [("health_diagnose", request::diagnose_reporter(&dummy())), ("health_dump", request::reporter_dump(&dummy()))]
    {
        let (fmsg, json) = read(name, request);
        let binary = FmsgValue::Bytes(serde_json::from_value(json["test_binary"].clone()).unwrap());
        for (key, value) in [
            ("test_bool", FmsgValue::Bool(true)),
            ("test_u8", FmsgValue::Number(1)),
            ("test_u64", FmsgValue::Number(4)),
            ("test_string", FmsgValue::Text("somestring".into())),
            ("test_binary", binary),
        ] {
            let at = fmsg.tokens.iter().position(|t| *t == FmsgToken::Name(key.into())).unwrap();
            let after = fmsg.tokens[at..].iter().find_map(|t| match t {
                FmsgToken::Value(v) => Some(v),
                _ => None,
            });
            assert_eq!(after, Some(&value), "{key}");
        }
        let opened =
            fmsg.tokens.iter().filter(|t| matches!(t, FmsgToken::Object | FmsgToken::Pair | FmsgToken::Array)).count();
        let ended = fmsg.tokens.iter().filter(|t| **t == FmsgToken::End).count();
        assert_eq!((opened, ended), (46, 48), "netdevsim ends its nested object three times");
    }
}

#[test]
fn regions_and_traps() {
    let (regions, json) = read("region_show", request::regions());
    let said = &json["regions"][format!("{HANDLE}/dummy")];
    assert_eq!(regions.len(), 1);
    assert_eq!((json!(regions[0].size), json!(regions[0].snapshots)), (said["size"].clone(), said["snapshot"].clone()));
    assert_eq!((regions[0].name.as_str(), json!(regions[0].max_snapshots)), ("dummy", said["max"].clone()));
    let (traps, json) = read("trap_show", request::traps());
    let show = |t: &devlink_rs::Trap| {
        let mut said = json!({"name": t.name, "type": t.kind.to_string(), "generic": t.generic,
            "action": t.action.to_string(), "group": t.group});
        if let Some(metadata) = t.other.iter().find(|a| a.kind == 134).filter(|a| !a.value.is_empty()) {
            let names =
                Attrs::new(&metadata.value).map(|a| ["input_port", "flow_action_cookie"][a.unwrap().kind as usize]);
            said["metadata"] = json!(names.collect::<Vec<_>>());
        }
        said
    };
    let said: Vec<_> = json["trap"][HANDLE].as_array().unwrap().clone();
    for (ours, said) in traps.iter().map(show).zip(&said) {
        for field in ["name", "type", "generic", "action", "group"] {
            assert_eq!(ours[field], said[field]);
        }
    }
    assert_eq!(traps.len(), said.len());
    let (groups, json) = read("trap_group_show", request::trap_groups());
    for (group, said) in groups.iter().zip(json["trap_group"][HANDLE].as_array().unwrap()) {
        assert_eq!((group.name.as_str(), group.generic), (said["name"].as_str().unwrap(), said["generic"] == true));
        assert_eq!(json!(group.policer), said["policer"]);
    }
    let (policers, json) = read("trap_policer_show", request::trap_policers());
    let ours: Vec<_> = policers.iter().map(|p| json!({"policer": p.id, "rate": p.rate, "burst": p.burst})).collect();
    assert_eq!(json!(ours), json["trap_policer"][HANDLE]);
}

#[test]
fn resources() {
    fn check(ours: &[devlink_rs::Resource], said: &Value) {
        let number = |n: u64| if n == u64::MAX { json!("unlimited") } else { json!(n) };
        assert_eq!(ours.len(), said.as_array().unwrap().len());
        for (ours, said) in ours.iter().zip(said.as_array().unwrap()) {
            assert_eq!(ours.name, said["name"]);
            assert_eq!(number(ours.size), said["size"]);
            assert_eq!(ours.size_new.map_or(Value::Null, number), said["size_new"]);
            assert_eq!(json!(ours.occupied), said["occ"]);
            assert_eq!(ours.size_min.map_or(Value::Null, number), said["size_min"]);
            assert_eq!(ours.size_max.map_or(Value::Null, number), said["size_max"]);
            assert_eq!(ours.unit, Some(ResourceUnit::Entry));
            if !ours.children.is_empty() {
                check(&ours.children, &said["resources"]);
            }
        }
    }
    let (resources, json) = read("resource_show", request::resources(&dev()));
    let resources = resources.unwrap();
    check(&resources, &json["resources"][HANDLE]);
    let fib = &resources[0].children[0];
    assert_eq!((resources[0].name.as_str(), fib.name.as_str()), ("IPv4", "fib"));
    done("resource_set", request::set_resource(&dev(), fib.id, 100));
}

fn events(name: &str) -> Vec<DevlinkEvent> {
    let read = |bytes: &Vec<u8>| DevlinkEvent::parse(&family(), &split(bytes).next().unwrap().unwrap()).unwrap();
    capture(name).replies.iter().map(read).collect()
}

#[test]
fn events_are_read() {
    let new = events("events_new_device");
    assert!(new.iter().any(|e| *e == DevlinkEvent::Device(dev())));
    let ports = |all: &[DevlinkEvent]| -> Vec<_> {
        all.iter().filter_map(|e| if let DevlinkEvent::Port(p) = e { Some(p.id.index) } else { None }).collect()
    };
    assert!(ports(&new).contains(&0) && ports(&new).contains(&1));
    assert!(new.iter().any(|e| matches!(e, DevlinkEvent::Param(p) if p.name == "max_macs")));
    assert!(new.iter().any(|e| matches!(e, DevlinkEvent::Region(r) if r.name == "dummy")));
    let switchdev = events("events_switchdev");
    assert_eq!(ports(&switchdev), [128, 128, 128, 129, 129, 129]);
    assert!(matches!(switchdev[2], DevlinkEvent::Port(ref p) if p.vf == Some(0) && p.netdev.is_some()));
    assert!(matches!(switchdev[3], DevlinkEvent::Rate(ref r) if r.id == RateId::Leaf(port(128))));
    let node = RateId::Node { device: dev(), name: "ev".into() };
    assert!(matches!(&events("events_rate_add")[..], [DevlinkEvent::Rate(r)] if r.id == node && r.tx_max == 1_250_000));
    assert_eq!(events("events_rate_del"), [DevlinkEvent::RateGone(node)]);
    assert!(matches!(&events("events_param")[..], [DevlinkEvent::Param(p)] if p.name == "test1"));
    let sf = events("events_sf");
    assert!(sf[..5].iter().all(|e| matches!(e, DevlinkEvent::Port(p) if p.sf == Some(7))));
    assert!(matches!(&sf[5..], [DevlinkEvent::PortGone(p)] if p.id == port(32_775)));
    let legacy = events("events_legacy");
    assert_eq!(legacy.iter().filter(|e| matches!(e, DevlinkEvent::PortGone(_))).count(), 2);
    assert_eq!(legacy.iter().filter(|e| matches!(e, DevlinkEvent::RateGone(_))).count(), 2);
}

/// Everything that can be asked, over a socket that answers with `replies`.
fn ask_everything(replies: &[Vec<u8>]) {
    let mut devlink = Devlink::open(Replay::new(replies.to_vec())).unwrap();
    let _ = (devlink.devices(), devlink.device(&dev()), devlink.infos(), devlink.info(&dev()), devlink.params());
    let _ = (devlink.param(&dev(), "test1"), devlink.eswitch(&dev()), devlink.ports(), devlink.port(&port(128)));
    let _ = (devlink.rates(), devlink.rate(&RateId::Leaf(port(128))), devlink.health_reporters(), devlink.regions());
    let _ = (devlink.diagnose_reporter(&dummy()), devlink.reporter_dump(&dummy()), devlink.resources(&dev()));
    let _ = (devlink.traps(), devlink.trap_groups(), devlink.trap_policers(), devlink.reload(&dev(), None, None));
    for bytes in replies {
        for msg in split(bytes).flatten() {
            let _ = DevlinkEvent::parse(&family(), &msg);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Bytes of captured answers changed, cut or repeated: an answer or an error, never a panic.
    #[test]
    fn changed_answers_are_survived(which in any::<prop::sample::Index>(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6), cut in prop::option::of(any::<prop::sample::Index>())) {
        let names = names();
        let mut replies = capture(&names[which.index(names.len())]).replies;
        let first = &mut replies[0];
        for (at, value) in changes {
            let at = at.index(first.len());
            first[at] = value;
        }
        if let Some(cut) = cut {
            first.truncate(cut.index(first.len()));
        }
        ask_everything(&replies);
    }

    /// Any attributes at all.
    #[test]
    fn any_attributes_are_survived(cmd: u8, body in prop::collection::vec(prop_oneof![any::<u8>(), 0u8..12], 0..200)) {
        let payload = [&[cmd, 1, 0, 0][..], &body].concat();
        let mut reply = (16 + payload.len() as u32).to_le_bytes().to_vec();
        reply.extend([FAMILY as u8, 0, 0, 0]);
        reply.extend([0; 8]);
        reply.extend(payload);
        ask_everything(&[reply]);
    }
}

/// A list in a list, as deep as an attribute can be: an error, not the end of the stack.
#[test]
fn deep_resources_are_refused() {
    let mut attrs = netlink::AttrBuf::new();
    attrs.put_str(65, "x").put_u64(66, 1);
    for _ in 0..3000 {
        let (mut resource, mut list) = (netlink::AttrBuf::new(), netlink::AttrBuf::new());
        resource.put_nested(64, &attrs);
        list.put_str(65, "x").put_u64(66, 1).put_nested(63, &resource);
        attrs = list;
    }
    let mut body = netlink::AttrBuf::new();
    body.put_str(1, "netdevsim").put_str(2, "netdevsim1");
    for attr in Attrs::new(attrs.as_bytes()).map(|a| a.unwrap()).filter(|a| a.kind == 63) {
        body.put(63, attr.value);
    }
    let reply = netlink::GenlReply { cmd: 36, attrs: body.into_bytes() };
    let e = request::resources(&dev()).read(Ok(vec![reply])).unwrap_err();
    assert!(e.to_string().contains("deep"), "{e}");
}
