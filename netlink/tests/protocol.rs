//! The protocol over a scripted transport: what is sent, what is believed, what becomes which error.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use netlink::{
    AttrBuf, Attrs, Connection, Error, EventStream, GenlConnection, Link, LinkClient, Message, Notice, Transport, split,
};
use proptest::prelude::*;

/// What the script answers: bytes in which the sequence number of the last request is filled in, or an error.
enum Answer {
    Messages(Vec<Message>),
    Bytes(Vec<u8>),
    Errno(i32),
}

#[derive(Default)]
struct Script {
    sent: Vec<Vec<u8>>,
    answers: VecDeque<Answer>,
    joined: Vec<u32>,
}

#[derive(Clone, Default)]
struct Scripted(Arc<Mutex<Script>>);

impl Scripted {
    fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        let scripted = Scripted::default();
        scripted.0.lock().unwrap().answers.extend(answers);
        scripted
    }
}

impl Transport for Scripted {
    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        self.0.lock().unwrap().sent.push(datagram.to_vec());
        Ok(())
    }

    fn recv(&mut self, _timeout: Duration) -> io::Result<Option<Vec<u8>>> {
        let mut script = self.0.lock().unwrap();
        let seq = script.sent.last().map_or(0, |b| u32::from_ne_bytes(b[8..12].try_into().unwrap()));
        match script.answers.pop_front() {
            None => Ok(None),
            Some(Answer::Errno(errno)) => Err(io::Error::from_raw_os_error(errno)),
            Some(Answer::Bytes(bytes)) => Ok(Some(bytes)),
            Some(Answer::Messages(messages)) => {
                let fill = |mut m: Message| {
                    m.seq = m.seq.wrapping_add(seq);
                    m.to_bytes()
                };
                Ok(Some(messages.into_iter().flat_map(fill).collect()))
            }
        }
    }

    fn join(&mut self, group: u32) -> io::Result<()> {
        self.0.lock().unwrap().joined.push(group);
        Ok(())
    }
}

fn msg(kind: u16, flags: u16, payload: &[u8]) -> Message {
    Message { kind, flags, seq: 0, payload: payload.to_vec() }
}

fn ack() -> Message {
    msg(2, 0x100, &[0; 20])
}

fn done() -> Message {
    msg(3, 2, &[0; 4])
}

#[test]
fn request_is_what_the_kernel_header_says() {
    let script = Scripted::new([Answer::Messages(vec![ack()])]);
    Connection::new(Box::new(script.clone())).request("t", 0x1c, 0, &[1, 2, 3]).unwrap();
    let sent = &script.0.lock().unwrap().sent[0];
    // length 19, type 0x1c, REQUEST|ACK, seq 1, port 0, payload, padding
    let mut want = 19u32.to_ne_bytes().to_vec();
    want.extend(0x1c_u16.to_ne_bytes());
    want.extend(5u16.to_ne_bytes());
    want.extend(1u32.to_ne_bytes());
    want.extend([0, 0, 0, 0, 1, 2, 3, 0]);
    assert_eq!(sent, &want);
}

/// A refusal of `ip link set lo mtu 10` as linux/netlink.h lays it out (little-endian): code, capped header, TLVs.
#[cfg(target_endian = "little")]
#[test]
fn extended_ack_becomes_words() {
    let mut error = (-22i32).to_ne_bytes().to_vec();
    error.extend([0x28, 0, 0, 0, 0x13, 0, 5, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    error.extend([0x12, 0, 1, 0]);
    error.extend(b"mtu too small\0\0\0");
    error.extend([8, 0, 2, 0, 32, 0, 0, 0]);
    // NLM_F_CAPPED | NLM_F_ACK_TLVS
    let script = Scripted::new([Answer::Messages(vec![msg(2, 0x300, &error)])]);
    let e = Connection::new(Box::new(script)).request("set lo mtu 10", 19, 0, &[]).unwrap_err();
    let Error::Kernel(k) = &e else { panic!("{e}") };
    assert_eq!((k.errno, k.message.as_deref(), k.offset), (22, Some("mtu too small"), Some(32)));
    assert!(e.to_string().contains("set lo mtu 10") && e.to_string().contains("mtu too small"), "{e}");
}

#[test]
fn extended_ack_is_found_behind_an_uncapped_request() {
    let mut error = (-95i32).to_ne_bytes().to_vec();
    // The quoted request is 21 bytes long, padded to 24.
    error.extend(21u32.to_ne_bytes());
    error.extend([0; 20]);
    let mut tlv = AttrBuf::new();
    tlv.put_str(1, "no");
    error.extend(tlv.as_bytes());
    let script = Scripted::new([Answer::Messages(vec![msg(2, 0x200, &error)])]);
    let e = Connection::new(Box::new(script)).request("x", 19, 0, &[]).unwrap_err();
    assert!(e.is_unsupported());
    let Error::Kernel(k) = e else { panic!("{e}") };
    assert_eq!(k.message.as_deref(), Some("no"));
}

#[test]
fn late_answers_are_passed_over() {
    let mut stale = ack();
    stale.seq = u32::MAX; // one before the request's
    let script = Scripted::new([Answer::Messages(vec![stale]), Answer::Messages(vec![msg(40, 0, b"abcd"), ack()])]);
    let replies = Connection::new(Box::new(script)).request("t", 20, 0, &[]).unwrap();
    assert_eq!(replies.len(), 1);
    assert_eq!(replies[0].payload, b"abcd");
}

#[test]
fn silence_is_a_timeout_with_unknown_outcome() {
    let e = Connection::new(Box::new(Scripted::default())).request("t", 20, 0, &[]).unwrap_err();
    assert!(matches!(e, Error::Timeout { .. }) && e.outcome_unknown());
}

#[test]
fn interrupted_dump_starts_again_and_keeps_nothing_of_the_first() {
    let script = Scripted::new([
        Answer::Messages(vec![msg(16, 2, b"old1"), msg(16, 2 | 16, b"old2"), done()]),
        Answer::Errno(105),
        Answer::Messages(vec![msg(16, 2, b"new1")]),
        Answer::Messages(vec![msg(16, 2, b"new2"), done()]),
    ]);
    let dump = Connection::new(Box::new(script.clone())).dump("t", 18, &[]).unwrap();
    assert_eq!(dump.iter().map(|m| &m.payload[..]).collect::<Vec<_>>(), [b"new1", b"new2"]);
    assert_eq!(script.0.lock().unwrap().sent.len(), 3);
}

#[test]
fn a_dump_that_is_always_interrupted_ends() {
    let script = Scripted::new((0..100).map(|_| Answer::Messages(vec![msg(3, 2 | 16, &[0; 4])])));
    assert!(matches!(
        Connection::new(Box::new(script)).dump("t", 18, &[]),
        Err(Error::DumpInterrupted { tries: 8, .. })
    ));
}

#[test]
fn done_carries_an_error() {
    let script = Scripted::new([Answer::Messages(vec![msg(3, 2, &(-95i32).to_ne_bytes())])]);
    assert!(Connection::new(Box::new(script)).dump("t", 18, &[]).unwrap_err().is_unsupported());
}

#[test]
fn overrun_and_garbage_ask_for_a_resync() {
    let script = Scripted::new([
        Answer::Bytes(msg(16, 0, b"one!").to_bytes()),
        Answer::Errno(105),
        Answer::Bytes(vec![200, 0, 0, 0, 1]),
    ]);
    let mut events = EventStream::new(Box::new(script.clone()), &[1, 7]).unwrap();
    assert_eq!(script.0.lock().unwrap().joined, [1, 7]);
    let mut next = || events.next(Duration::ZERO).unwrap();
    assert!(matches!(next(), Some(Notice::Message(m)) if m.payload == b"one!"));
    assert!(matches!(next(), Some(Notice::Resync { .. })));
    assert!(matches!(next(), Some(Notice::Resync { .. })));
    assert_eq!(next(), None);
}

#[test]
fn a_missing_family_is_named() {
    let mut error = (-2i32).to_ne_bytes().to_vec();
    error.extend([0; 16]);
    let script = Scripted::new([Answer::Messages(vec![msg(2, 0x100, &error)])]);
    let e = GenlConnection::resolve(Connection::new(Box::new(script)), "devlink").unwrap_err();
    assert!(matches!(e, Error::NoFamily { ref name } if name == "devlink"), "{e}");
}

#[test]
fn texts_with_nul_inside_are_lies() {
    let mut buf = AttrBuf::new();
    buf.put(3, b"eth\x000").put(3, b"eth0").put(3, b"eth0\0");
    let texts: Vec<_> = Attrs::new(buf.as_bytes()).map(|a| a.unwrap().str().map(str::to_owned).ok()).collect();
    assert_eq!(texts, [None, Some("eth0".into()), Some("eth0".into())]);
}

proptest! {
    #[test]
    fn attributes_survive_the_way(items in prop::collection::vec((1u16..0x3fff, prop::collection::vec(any::<u8>(), 0..40)), 0..20)) {
        let mut buf = AttrBuf::new();
        for (kind, value) in &items {
            buf.put(*kind, value);
        }
        let read: Vec<_> = Attrs::new(buf.as_bytes()).map(|a| a.map(|a| (a.kind, a.value.to_vec()))).collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(read, items);
    }

    #[test]
    fn no_bytes_make_a_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), small in prop::collection::vec(0u8..24, 0..300)) {
        for bytes in [&bytes, &small] {
            for m in split(bytes).flatten() {
                let _ = Link::parse(&m.payload);
            }
            for attr in Attrs::new(bytes).flatten() {
                let _ = (attr.u8().is_ok(), attr.u16().is_ok(), attr.u32().is_ok(), attr.mac().is_ok(), attr.str().is_ok());
                attr.nested().for_each(drop);
            }
            let _ = Link::parse(bytes);
            let script = || Box::new(Scripted::new([Answer::Bytes(bytes.clone())]));
            let _ = Connection::new(script()).request("t", 20, 0, &[]);
            let _ = Connection::new(script()).dump("t", 20, &[]);
            let _ = EventStream::new(script(), &[]).unwrap().next(Duration::ZERO);
        }
    }

    /// Payloads that pass the framing and reach the error and family parsers.
    #[test]
    fn no_reply_makes_a_parser_panic(kind in 0u16..24, flags in any::<u16>(), payload in prop::collection::vec(prop_oneof![any::<u8>(), 0u8..12], 0..200)) {
        let script = || Box::new(Scripted::new([Answer::Messages(vec![msg(kind, flags, &payload), ack(), done()])]));
        let _ = Connection::new(script()).request("t", 20, 0, &[]);
        let _ = Connection::new(script()).dump("t", 20, &[]);
        let _ = GenlConnection::resolve(Connection::new(script()), "devlink");
        let _ = LinkClient::new(script()).dump();
    }
}
