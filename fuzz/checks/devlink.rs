//! Any bytes as devlink's answer: a command, then attributes, read as every object there is and as an event.

use devlink_rs::{DeviceId, DevlinkEvent, PortId, RateId, ReporterId, request};
use netlink::{Family, GenlReply, Message};

/// Nothing panics, and everything ends.
pub fn check(data: &[u8]) {
    let Some((&cmd, attrs)) = data.split_first() else { return };
    let answer = || Ok(vec![GenlReply { cmd, attrs: attrs.to_vec() }]);
    let device = DeviceId::new("netdevsim", "netdevsim1");
    let port = PortId { device: device.clone(), index: 128 };
    let reporter = ReporterId { device: device.clone(), port: None, name: "dummy".into() };
    let _ = request::devices().read(answer());
    let _ = request::device(&device).read(answer());
    let _ = request::reload(&device, None, None).read(answer());
    let _ = request::infos().read(answer());
    let _ = request::params().read(answer());
    let _ = request::eswitch(&device).read(answer());
    let _ = request::port(&port).read(answer());
    let _ = request::rates().read(answer());
    let _ = request::rate(&RateId::Leaf(port)).read(answer());
    let _ = request::health_reporters().read(answer());
    let _ = request::diagnose_reporter(&reporter).read(answer());
    let _ = request::regions().read(answer());
    let _ = request::traps().read(answer());
    let _ = request::trap_groups().read(answer());
    let _ = request::trap_policers().read(answer());
    let _ = request::resources(&device).read(answer());
    if let Ok(ports) = request::ports().read(answer()) {
        // What is read is shown to people.
        for port in ports {
            let _ = format!("{} {port:?}", port.id);
        }
    }
    let family = Family { name: "devlink".into(), id: 23, version: 1, groups: Vec::new() };
    let payload = [&[cmd, 1, 0, 0], attrs].concat();
    let _ = DevlinkEvent::parse(&family, &Message { kind: 23, flags: 0, seq: 0, payload });
}
