//! Sockets: receive buffers, dumps under way, and where requests go.

use std::{
    collections::{BTreeSet, VecDeque},
    io, mem,
    time::{Duration, Instant},
};

use super::{
    Answer, FakeNetlink, FakeRequest, Fault, Refusal, State, ctrl,
    wire::{self, NLM_F_ACK, NLM_F_DUMP_INTR, NLM_F_MULTI, NLM_F_REQUEST, NLMSG_DONE},
};
use crate::transport::{Protocol, Transport};

const EBUSY: i32 = 16;
const EINVAL: i32 = 22;
const ENOENT: i32 = 2;
const ENOBUFS: i32 = 105;
/// `net.core.rmem_default`.
const DEFAULT_BUFFER: usize = 212_992;
/// What a datagram costs in the receive buffer beside its bytes (`struct sk_buff`).
const OVERHEAD: usize = 512;
/// Objects in one part of a dump.
const PART: usize = 4;

/// One socket, as the kernel sees it.
#[derive(Debug)]
pub(super) struct Queue {
    protocol: Protocol,
    groups: BTreeSet<u32>,
    datagrams: VecDeque<Vec<u8>>,
    used: usize,
    limit: usize,
    /// Reported before anything that is queued.
    error: Option<i32>,
    /// After an overrun events are dropped until the queue has been read empty.
    congested: bool,
    /// The parts of a dump that are not queued yet: each comes when the one before it is read.
    dump: VecDeque<Vec<u8>>,
}

impl Queue {
    pub(super) fn new(protocol: Protocol) -> Self {
        Queue {
            protocol,
            groups: BTreeSet::new(),
            datagrams: VecDeque::new(),
            used: 0,
            limit: DEFAULT_BUFFER,
            error: None,
            congested: false,
            dump: VecDeque::new(),
        }
    }

    pub(super) fn listens(&self, protocol: Protocol, group: u32) -> bool {
        self.protocol == protocol && self.groups.contains(&group)
    }

    pub(super) fn push_event(&mut self, bytes: Vec<u8>) {
        if self.congested || !self.push(bytes) {
            self.overrun();
        }
    }

    /// False when there is no room.
    fn push(&mut self, bytes: Vec<u8>) -> bool {
        if self.used > self.limit {
            return false;
        }
        self.used += bytes.len() + OVERHEAD;
        self.datagrams.push_back(bytes);
        true
    }

    fn overrun(&mut self) {
        if !mem::replace(&mut self.congested, true) {
            self.error = Some(ENOBUFS);
        }
    }

    fn pop(&mut self) -> Option<io::Result<Vec<u8>>> {
        if let Some(errno) = self.error.take() {
            return Some(Err(io::Error::from_raw_os_error(errno)));
        }
        let datagram = self.datagrams.pop_front()?;
        self.used -= datagram.len() + OVERHEAD;
        if let Some(part) = self.dump.pop_front() {
            self.used += part.len() + OVERHEAD;
            self.datagrams.push_back(part);
        }
        if self.datagrams.is_empty() {
            self.congested = false;
        }
        Some(Ok(datagram))
    }

    fn push_all(&mut self, answer: Sent) {
        match answer {
            Sent::Datagrams(all) => {
                for datagram in all {
                    if !self.push(datagram) {
                        self.overrun();
                    }
                }
            }
            Sent::Dump(mut parts) => {
                if let Some(first) = parts.pop_front() {
                    self.datagrams.push_back(first.clone());
                    self.used += first.len() + OVERHEAD;
                }
                self.dump = parts;
            }
            Sent::Overrun => self.overrun(),
        }
    }
}

/// What comes back to the sender.
enum Sent {
    Datagrams(Vec<Vec<u8>>),
    Dump(VecDeque<Vec<u8>>),
    Overrun,
}

/// The user's end of a socket.
#[derive(Debug)]
pub(super) struct FakeSocket {
    kernel: FakeNetlink,
    id: u64,
}

impl FakeSocket {
    pub(super) fn new(kernel: FakeNetlink, id: u64) -> Self {
        FakeSocket { kernel, id }
    }
}

impl Drop for FakeSocket {
    fn drop(&mut self) {
        self.kernel.state().sockets.remove(&self.id);
    }
}

impl Transport for FakeSocket {
    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        let mut state = self.kernel.state();
        state.received.push(datagram.to_vec());
        let mut rest = datagram;
        // As the kernel does: a message whose length is a lie ends the datagram without a word.
        while let Some((request, next)) = FakeRequest::parse(rest) {
            rest = next;
            if request.flags & NLM_F_REQUEST != 0 {
                let (sent, pending) = state.carry_out(self.id, &request, &self.kernel);
                state.deliver(pending);
                if let Some(queue) = state.sockets.get_mut(&self.id) {
                    queue.push_all(sent);
                }
            }
        }
        drop(state);
        self.kernel.shared.arrived.notify_all();
        Ok(())
    }

    fn recv(&mut self, timeout: Duration) -> io::Result<Option<Vec<u8>>> {
        let deadline = Instant::now() + timeout;
        let mut state = self.kernel.state();
        loop {
            let queue = state.sockets.get_mut(&self.id).ok_or(io::ErrorKind::NotConnected)?;
            if let Some(result) = queue.pop() {
                return result.map(Some);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            let waited = self.kernel.shared.arrived.wait_timeout(state, left);
            state = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
    }

    fn join(&mut self, group: u32) -> io::Result<()> {
        let mut state = self.kernel.state();
        let known = state.families.iter().any(|f| f.groups.iter().any(|(_, id)| *id == group));
        let queue = state.sockets.get_mut(&self.id).ok_or(io::ErrorKind::NotConnected)?;
        if queue.protocol == Protocol::Generic && !known {
            return Err(io::Error::from_raw_os_error(ENOENT));
        }
        queue.groups.insert(group);
        Ok(())
    }

    fn set_receive_buffer(&mut self, bytes: u32) -> io::Result<()> {
        let mut state = self.kernel.state();
        let queue = state.sockets.get_mut(&self.id).ok_or(io::ErrorKind::NotConnected)?;
        queue.limit = bytes as usize;
        Ok(())
    }
}

type Events = Vec<(Protocol, u32, Vec<u8>)>;

impl State {
    /// Hands events to the sockets that joined their group.
    pub(super) fn deliver(&mut self, events: Events) {
        for (protocol, group, bytes) in events {
            for queue in self.sockets.values_mut().filter(|q| q.listens(protocol, group)) {
                queue.push_event(bytes.clone());
            }
        }
    }

    fn carry_out(&mut self, socket: u64, request: &FakeRequest<'_>, kernel: &FakeNetlink) -> (Sent, Events) {
        let fault = self.faults.pop_front().unwrap_or(Fault::None);
        let busy = request.is_dump() && self.sockets.get(&socket).is_some_and(|q| !q.dump.is_empty());
        let answer = match &fault {
            Fault::Refuse(refusal) => Err(refusal.clone()),
            _ if busy => Err(Refusal::new(EBUSY)),
            _ => self.serve(socket, request),
        };
        (spoil(frame(request, answer, fault == Fault::Interrupt), &fault, request), kernel.take_pending())
    }

    fn serve(&mut self, socket: u64, request: &FakeRequest<'_>) -> Answer {
        let protocol = self.sockets.get(&socket).map(|q| q.protocol);
        match (protocol, &mut self.route) {
            (Some(Protocol::Route), Some(service)) => service.handle(request),
            (Some(Protocol::Generic), _) if request.kind == ctrl::CTRL_ID => ctrl::handle(&self.families, request),
            (Some(Protocol::Generic), _) => match self.families.iter_mut().find(|f| f.id == request.kind) {
                Some(family) => family.service.handle(request),
                None => Err(Refusal::new(ENOENT)),
            },
            _ => Err(Refusal::new(EINVAL)),
        }
    }
}

/// The datagrams that answer the request.
fn frame(request: &FakeRequest<'_>, answer: Answer, interrupted: bool) -> Sent {
    let intr = if interrupted { NLM_F_DUMP_INTR } else { 0 };
    match answer {
        Err(refusal) => Sent::Datagrams(vec![request.acknowledge(Some(&refusal))]),
        Ok(replies) if request.is_dump() => {
            let part = |some: &[super::FakeReply]| -> Vec<u8> {
                some.iter().flat_map(|r| wire::message(r.kind, NLM_F_MULTI | intr, request.seq, &r.payload)).collect()
            };
            let mut parts: VecDeque<Vec<u8>> = replies.chunks(PART).map(part).collect();
            parts.push_back(wire::message(NLMSG_DONE, NLM_F_MULTI | intr, request.seq, &[0; 4]));
            Sent::Dump(parts)
        }
        Ok(replies) => {
            let mut all: Vec<_> =
                replies.iter().map(|r| wire::message(r.kind, intr, request.seq, &r.payload)).collect();
            if request.flags & NLM_F_ACK != 0 {
                all.push(request.acknowledge(None));
            }
            Sent::Datagrams(all)
        }
    }
}

fn spoil(mut sent: Sent, fault: &Fault, request: &FakeRequest<'_>) -> Sent {
    let first = match &mut sent {
        Sent::Datagrams(all) => all.first_mut(),
        Sent::Dump(parts) => parts.front_mut(),
        Sent::Overrun => None,
    };
    match (fault, first) {
        (Fault::LoseAnswer, _) => return Sent::Datagrams(Vec::new()),
        (Fault::Overrun, _) => return Sent::Overrun,
        (Fault::Cut(len), Some(first)) => first.truncate(*len),
        (Fault::Flip(at, by), Some(first)) if !first.is_empty() => {
            let at = at % first.len();
            first[at] ^= by;
        }
        (Fault::Stale, Some(first)) => {
            let late = FakeRequest { seq: request.seq.wrapping_sub(1), ..*request }.acknowledge(None);
            first.splice(..0, late);
        }
        _ => {}
    }
    sent
}
