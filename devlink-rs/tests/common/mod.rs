//! A devlink with one PF, two ports, sub-functions and rates, behind the byte-level fake. Numbers as in linux/devlink.h, kept apart
//! from those of the crate.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{collections::BTreeMap, io, time::Duration};

use netlink::{
    Protocol, Transport,
    fake::{Answer, FakeNetlink, FakeReply, FakeRequest, Refusal, wire},
};

pub const DEVICE: (&str, &str) = ("pci", "0000:03:00.0");

/// The first group that the fake gives out.
const GROUP: u32 = 6;
const ENODEV: i32 = 19;
const EBUSY: i32 = 16;
const EEXIST: i32 = 17;
const EINVAL: i32 = 22;
const EOPNOTSUPP: i32 = 95;

/// Attributes by number; the handle is not among them.
type Attrs = BTreeMap<u16, Vec<u8>>;

struct Host {
    kernel: FakeNetlink,
    ports: BTreeMap<u32, Attrs>,
    /// By port index as text, or by node name.
    rates: BTreeMap<String, Attrs>,
    next: u32,
}

/// The kernel, with an uplink (port 0) and a VF's representor (port 1) that has a rate leaf.
pub fn host() -> FakeNetlink {
    let kernel = FakeNetlink::new();
    let flavour = |n: u16| BTreeMap::from([(77, n.to_ne_bytes().to_vec())]);
    let mut host = Host {
        kernel: kernel.clone(),
        ports: BTreeMap::from([(0, flavour(0)), (1, flavour(4))]),
        rates: BTreeMap::from([("1".to_owned(), Attrs::new())]),
        next: 32768,
    };
    kernel.add_family("devlink", 1, &["config"], move |request: &FakeRequest<'_>| host.handle(request));
    kernel
}

fn handle() -> Vec<u8> {
    let mut bytes = Vec::new();
    wire::put_str(&mut bytes, 1, DEVICE.0);
    wire::put_str(&mut bytes, 2, DEVICE.1);
    bytes
}

fn payload(cmd: u8, attrs: &Attrs) -> Vec<u8> {
    let mut bytes = vec![cmd, 1, 0, 0];
    bytes.extend(handle());
    attrs.iter().for_each(|(kind, value)| wire::put(&mut bytes, *kind, value));
    bytes
}

/// A port message with a network device.
pub fn port_payload(cmd: u8, index: u32, netdev: &str) -> Vec<u8> {
    let name = [netdev.as_bytes(), &[0]].concat();
    payload(cmd, &BTreeMap::from([(3, index.to_ne_bytes().to_vec()), (7, name)]))
}

impl Host {
    fn handle(&mut self, request: &FakeRequest<'_>) -> Answer {
        let given: Attrs = request.genl_attrs()?.into_iter().map(|(k, v)| (k, v.to_vec())).collect();
        let reply = |payload| FakeReply { kind: request.kind, payload };
        if request.is_dump() {
            return match request.genl_cmd() {
                Some(1) => Ok(vec![reply(payload(3, &Attrs::new()))]),
                // The kernel's port dumps say DEVLINK_CMD_NEW.
                Some(5) => Ok(self.ports.keys().map(|i| reply(self.port(3, *i))).collect()),
                Some(74) => Ok(self.rates.keys().map(|n| reply(self.rate(n))).collect()),
                _ => Err(Refusal::new(EOPNOTSUPP)),
            };
        }
        if !request.payload[4..].starts_with(&handle()) {
            return Err(Refusal::new(ENODEV));
        }
        let index = given.get(&3).map(|v| u32::from_ne_bytes(v[..].try_into().unwrap()));
        match (request.genl_cmd(), index) {
            (Some(5), Some(i)) if self.ports.contains_key(&i) => Ok(vec![reply(self.port(7, i))]),
            (Some(6), Some(i)) if self.ports.contains_key(&i) => self.set_function(i, &given[&145]),
            (Some(7), _) => self.add(request, given),
            (Some(8), Some(i)) if self.ports.contains_key(&i) => {
                self.tell(request.kind, self.port(8, i));
                self.ports.remove(&i);
                Ok(Vec::new())
            }
            (Some(5 | 6 | 8), _) => Err(Refusal::new(ENODEV).text("Invalid port index")),
            (Some(74..=77), _) => self.handle_rate(request, given, index),
            _ => Err(Refusal::new(EOPNOTSUPP)),
        }
    }

    fn tell(&self, kind: u16, payload: Vec<u8>) {
        self.kernel.queue_event(Protocol::Generic, GROUP, kind, &payload);
    }

    fn port(&self, cmd: u8, index: u32) -> Vec<u8> {
        let mut attrs = self.ports[&index].clone();
        attrs.insert(3, index.to_ne_bytes().to_vec());
        payload(cmd, &attrs)
    }

    fn add(&mut self, request: &FakeRequest<'_>, given: Attrs) -> Answer {
        let port: Attrs = given.into_iter().filter(|(k, _)| [77, 127, 164].contains(k)).collect();
        if self.ports.values().any(|p| p.get(&164) == port.get(&164)) {
            return Err(Refusal::new(EEXIST).text("SF already exist. Choose different sfnum"));
        }
        let index = self.next;
        self.next += 1;
        self.ports.insert(index, port);
        self.tell(request.kind, self.port(7, index));
        Ok(vec![FakeReply { kind: request.kind, payload: self.port(7, index) }])
    }

    /// Merges the function's attributes, so that a read-back shows them.
    fn set_function(&mut self, index: u32, given: &[u8]) -> Answer {
        let port = self.ports.get_mut(&index).unwrap();
        let old = port.get(&145).cloned().unwrap_or_default();
        let mut function: Attrs = wire::attrs(&old)?.into_iter().map(|(k, v)| (k, v.to_vec())).collect();
        function.extend(wire::attrs(given)?.into_iter().map(|(k, v)| (k, v.to_vec())));
        let mut bytes = Vec::new();
        function.iter().for_each(|(k, v)| wire::put(&mut bytes, *k, v));
        port.insert(145, bytes);
        Ok(Vec::new())
    }

    fn rate(&self, name: &str) -> Vec<u8> {
        let mut attrs = self.rates[name].clone();
        let mut put = |kind, value: &[u8]| attrs.insert(kind, value.to_vec());
        match name.parse::<u32>() {
            Ok(index) => {
                put(3, &index.to_ne_bytes());
                put(165, &0u16.to_ne_bytes());
            }
            Err(_) => {
                put(168, &[name.as_bytes(), &[0]].concat());
                put(165, &1u16.to_ne_bytes());
            }
        }
        payload(76, &attrs)
    }

    fn handle_rate(&mut self, request: &FakeRequest<'_>, mut given: Attrs, index: Option<u32>) -> Answer {
        let node = given.remove(&168);
        let name = match (index, node.as_deref().map(wire::text)) {
            (Some(index), _) => index.to_string(),
            (None, Some(Some(name))) => name.to_owned(),
            _ => return Err(Refusal::new(EINVAL)),
        };
        [1, 2, 3].iter().for_each(|k| _ = given.remove(k));
        match request.genl_cmd() {
            Some(76) => _ = self.rates.insert(name, given),
            _ if !self.rates.contains_key(&name) => return Err(Refusal::new(ENODEV)),
            Some(74) => return Ok(vec![FakeReply { kind: request.kind, payload: self.rate(&name) }]),
            Some(75) => {
                let rate = self.rates.get_mut(&name).unwrap();
                rate.extend(given);
                rate.retain(|k, v| *k != 169 || v != &[0]);
            }
            _ => {
                let parent = [name.as_bytes(), &[0]].concat();
                if self.rates.values().any(|r| r.get(&169) == Some(&parent)) {
                    return Err(Refusal::new(EBUSY).text("Node has children. Cannot delete node."));
                }
                self.rates.remove(&name);
            }
        }
        Ok(Vec::new())
    }
}

/// A socket whose receive buffer stays as small as it was made.
pub struct KeepBuffer(pub Box<dyn Transport>, pub u32);

impl Transport for KeepBuffer {
    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        self.0.send(datagram)
    }

    fn recv(&mut self, timeout: Duration) -> io::Result<Option<Vec<u8>>> {
        self.0.recv(timeout)
    }

    fn join(&mut self, group: u32) -> io::Result<()> {
        self.0.set_receive_buffer(self.1)?;
        self.0.join(group)
    }
}
