//! Sockets: queues of datagrams, and where requests go.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
    time::Duration,
};

use netlink::{Protocol, Transport};

use super::{
    FakeKernel, World, devlink,
    fault::{Fault, Op},
    route,
    wire::{self, EINVAL, ENOENT, Reply, Request, refuse},
};

/// Events that a socket holds before it overruns.
const EVENT_LIMIT: usize = 512;

#[derive(Debug)]
enum Item {
    Bytes(Vec<u8>),
    Overrun,
}

#[derive(Debug)]
struct Queue {
    protocol: Protocol,
    groups: BTreeSet<u32>,
    items: VecDeque<Item>,
}

#[derive(Debug, Default)]
pub(super) struct Sockets {
    open: BTreeMap<u64, Queue>,
    next: u64,
    /// How often an event found the queue of a socket full.
    overruns: u64,
}

impl Sockets {
    pub(super) fn open(&mut self, protocol: Protocol) -> u64 {
        self.next += 1;
        self.open.insert(self.next, Queue { protocol, groups: BTreeSet::new(), items: VecDeque::new() });
        self.next
    }

    /// How often a socket overran.
    pub(super) fn overruns(&self) -> u64 {
        self.overruns
    }

    pub(super) fn multicast(&mut self, protocol: Protocol, group: u32, bytes: &[u8]) {
        for queue in self.open.values_mut().filter(|q| q.protocol == protocol && q.groups.contains(&group)) {
            if queue.items.len() < EVENT_LIMIT {
                queue.items.push_back(Item::Bytes(bytes.to_vec()));
            } else if !matches!(queue.items.back(), Some(Item::Overrun)) {
                queue.items.push_back(Item::Overrun);
                self.overruns += 1;
            }
        }
    }
}

/// One end of a netlink socket.
#[derive(Debug)]
pub(super) struct FakeSocket {
    kernel: FakeKernel,
    id: u64,
}

impl FakeSocket {
    pub(super) fn new(kernel: FakeKernel, id: u64) -> Self {
        FakeSocket { kernel, id }
    }
}

impl Drop for FakeSocket {
    fn drop(&mut self) {
        self.kernel.world().sockets.open.remove(&self.id);
    }
}

impl Transport for FakeSocket {
    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        let mut world = self.kernel.world();
        let Some(protocol) = world.sockets.open.get(&self.id).map(|q| q.protocol) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let items = world.handle(protocol, datagram);
        world.publish();
        if let Some(queue) = world.sockets.open.get_mut(&self.id) {
            queue.items.extend(items);
        }
        Ok(())
    }

    fn recv(&mut self, _timeout: Duration) -> io::Result<Option<Vec<u8>>> {
        let mut world = self.kernel.world();
        match world.sockets.open.get_mut(&self.id).and_then(|q| q.items.pop_front()) {
            None => Ok(None),
            Some(Item::Bytes(bytes)) => Ok(Some(bytes)),
            Some(Item::Overrun) => Err(io::Error::from_raw_os_error(wire::ENOBUFS)),
        }
    }

    fn join(&mut self, group: u32) -> io::Result<()> {
        let mut world = self.kernel.world();
        let Some(queue) = world.sockets.open.get_mut(&self.id) else { return Err(io::ErrorKind::NotConnected.into()) };
        let known = match queue.protocol {
            Protocol::Route => [route::GROUP_LINK, route::GROUP_TC].contains(&group),
            Protocol::Generic => group == devlink::GROUP_CONFIG,
        };
        if !known {
            return Err(io::Error::from_raw_os_error(EINVAL));
        }
        queue.groups.insert(group);
        Ok(())
    }
}

impl World {
    /// Carries out a request; returns what its sender will receive.
    fn handle(&mut self, protocol: Protocol, datagram: &[u8]) -> Vec<Item> {
        let Some(request) = Request::parse(datagram) else { return Vec::new() };
        let Some(op) = op_of(protocol, &request) else {
            let answer = request.answer(Err(refuse(ENOENT)), false);
            return answer.into_iter().map(Item::Bytes).collect();
        };
        let fault = self.begin(op);
        let result = match &fault {
            Some(Fault::Refuse { errno, text }) => Err((*errno, text.clone())),
            Some(Fault::Ignore) if is_change(op) => Ok(Vec::new()),
            Some(Fault::Timeout) => return Vec::new(),
            Some(Fault::HalfDone { errno }) => {
                let result = self.carry_out(protocol, &request);
                if op == Op::EswitchSet && result.is_ok() {
                    self.host.stop_half_way();
                }
                result.and_then(|_| Err((*errno, "fake: half done".to_owned())))
            }
            _ => self.carry_out(protocol, &request),
        };
        let mut answer = request.answer(result, fault == Some(Fault::Interrupt));
        match fault {
            Some(Fault::LoseReply) => return Vec::new(),
            Some(Fault::Overrun) => return vec![Item::Overrun],
            Some(Fault::Truncate(len)) => {
                if let Some(first) = answer.first_mut() {
                    first.truncate(len.min(first.len().saturating_sub(1)));
                }
            }
            Some(Fault::Lie { attr, by }) => {
                if let Some(first) = answer.first_mut() {
                    wire::lie(first, if protocol == Protocol::Route { 16 } else { 4 }, attr, by);
                }
            }
            _ => {}
        }
        answer.into_iter().map(Item::Bytes).collect()
    }

    fn carry_out(&mut self, protocol: Protocol, request: &Request<'_>) -> Result<Vec<Reply>, wire::Refusal> {
        match protocol {
            Protocol::Route => route::handle(&mut self.host, &mut self.journal, request),
            Protocol::Generic => devlink::handle(&mut self.host, &mut self.journal, request),
        }
    }
}

fn op_of(protocol: Protocol, request: &Request<'_>) -> Option<Op> {
    match protocol {
        Protocol::Route => route::op(request),
        Protocol::Generic => devlink::op(request),
    }
}

fn is_change(op: Op) -> bool {
    use Op::{EswitchSet, FeatureSet, LinkSet, PortDel, PortNew, PortSet, RateSet, SysfsWrite};
    matches!(op, EswitchSet | PortSet | PortNew | PortDel | RateSet | LinkSet | FeatureSet | SysfsWrite)
}
