//! Many requests at a time: several messages in one datagram, each with its own acknowledgement.

use std::time::{Duration, Instant};

use netlink_packet_core::{NLM_F_ACK, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP, NLMSG_OVERRUN};

use crate::{
    conn::Connection,
    error::{Error, Result},
    message::{Message, parse_error},
};

/// One request of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Names the request in errors.
    pub what: String,
    /// `nlmsg_type`.
    pub kind: u16,
    /// Added to `NLM_F_REQUEST | NLM_F_ACK`.
    pub flags: u16,
    /// What follows the header.
    pub payload: Vec<u8>,
}

/// The kernel charges each acknowledgement with the memory of a whole buffer: some 250 of them fill a default receive buffer.
const WINDOW_REQUESTS: usize = 64;
/// A datagram must fit the send buffer (`EMSGSIZE` otherwise).
const WINDOW_BYTES: usize = 32 * 1024;

/// Why requests of a window stay without an answer.
enum Cut {
    Timeout,
    Overrun,
    Malformed(String),
    Io(std::io::ErrorKind, Option<i32>),
}

impl Cut {
    fn error(&self, what: &str, after: Duration) -> Error {
        match self {
            Cut::Timeout => Error::Timeout { what: what.to_owned(), after },
            Cut::Overrun => Error::Overrun { what: what.to_owned() },
            Cut::Malformed(detail) => Error::Malformed { what: "answer to a batch", detail: detail.clone() },
            Cut::Io(kind, errno) => Error::Io {
                op: "recv",
                source: errno.map_or_else(|| (*kind).into(), std::io::Error::from_raw_os_error),
            },
        }
    }
}

impl Connection {
    /// Sends many requests, some 64 to a datagram, and collects their answers. The result at `i` is that of request `i`; a refused
    /// request does not stop the others. Dumps cannot be part of a batch.
    ///
    /// When answers stay away (timeout, overrun), the requests concerned get that error, with [`Error::outcome_unknown`], and
    /// the rest of the batch is not sent ([`Error::NotSent`]).
    pub fn batch(&mut self, requests: &[Request]) -> Vec<Result<Vec<Message>>> {
        let mut results = Vec::with_capacity(requests.len());
        let mut rest = requests;
        while !rest.is_empty() {
            let (window, later) = rest.split_at(window_len(rest));
            let whole = self.window(window, &mut results);
            rest = later;
            if !whole {
                results.extend(rest.iter().map(|r| Err(Error::NotSent { what: r.what.clone() })));
                break;
            }
        }
        results
    }

    /// Sends and collects one window; false when an answer is missing.
    fn window(&mut self, window: &[Request], results: &mut Vec<Result<Vec<Message>>>) -> bool {
        let mut bytes = Vec::new();
        let first = self.reserve_seqs(window.len());
        for (request, seq) in window.iter().zip(first..) {
            let flags = request.flags | NLM_F_REQUEST | NLM_F_ACK;
            bytes.extend(Message { kind: request.kind, flags, seq, payload: request.payload.clone() }.to_bytes());
        }
        if let Err(e) = self.transport().send(&bytes) {
            let (kind, errno) = (e.kind(), e.raw_os_error());
            results.extend(window.iter().map(|_| {
                let source = errno.map_or_else(|| kind.into(), std::io::Error::from_raw_os_error);
                Err(Error::Io { op: "send", source })
            }));
            return false;
        }
        let mut answers: Vec<_> = window.iter().map(|_| (Vec::new(), None)).collect();
        let cut = self.collect(window, first, &mut answers);
        let timeout = self.timeout();
        let mut whole = true;
        for (request, (replies, end)) in window.iter().zip(answers) {
            results.push(match (end, &cut) {
                (Some(Ok(())), _) => Ok(replies),
                (Some(Err(e)), _) => Err(e),
                (None, cut) => {
                    whole = false;
                    Err(cut.as_ref().unwrap_or(&Cut::Timeout).error(&request.what, timeout))
                }
            });
        }
        whole
    }

    fn collect(
        &mut self,
        window: &[Request],
        first: u32,
        answers: &mut [(Vec<Message>, Option<Result<()>>)],
    ) -> Option<Cut> {
        let deadline = Instant::now() + self.timeout();
        let (mut open, mut cut) = (window.len(), None);
        while open > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            // After an overrun only what is queued already is worth reading.
            let wait = if cut.is_some() { Duration::ZERO } else { left };
            if left.is_zero() {
                return cut.or(Some(Cut::Timeout));
            }
            let messages = match self.receive_all(wait) {
                Ok(Some(messages)) => messages,
                Ok(None) => return cut.or(Some(Cut::Timeout)),
                Err(Error::Overrun { .. }) => {
                    cut = Some(Cut::Overrun);
                    continue;
                }
                Err(Error::Io { source, .. }) => return Some(Cut::Io(source.kind(), source.raw_os_error())),
                Err(e) => return Some(Cut::Malformed(e.to_string())),
            };
            for msg in messages {
                let Some(at) = msg.seq.checked_sub(first).map(|n| n as usize).filter(|&n| n < window.len()) else {
                    continue;
                };
                let (replies, end) = &mut answers[at];
                match msg.kind {
                    NLMSG_ERROR if end.is_none() => {
                        *end = Some(match parse_error(&window[at].what, &msg) {
                            Ok(None) => Ok(()),
                            Ok(Some(refusal)) => Err(refusal.into()),
                            Err(e) => Err(e),
                        });
                        open -= 1;
                    }
                    NLMSG_OVERRUN => cut = Some(Cut::Overrun),
                    NLMSG_ERROR | NLMSG_NOOP | NLMSG_DONE => {}
                    _ => replies.push(msg),
                }
            }
        }
        None
    }
}

/// How many of `requests` go into the next datagram: at least one.
fn window_len(requests: &[Request]) -> usize {
    let mut bytes = 0;
    let fits = requests.iter().take(WINDOW_REQUESTS).take_while(|r| {
        bytes += (16 + r.payload.len()).next_multiple_of(4);
        bytes <= WINDOW_BYTES
    });
    fits.count().max(1)
}
