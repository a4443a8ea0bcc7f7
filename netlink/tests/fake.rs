//! The protocol against the byte-level fake: batches, dumps that are disturbed, overruns and how they are made good.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use netlink::{
    AttrBuf, Connection, Delta, Error, EventStream, GenlConnection, GenlReply, Notice, Protocol, Replica, Request,
    fake::{Answer, FakeNetlink, FakeReply, FakeRequest, Fault, Refusal, wire},
    families,
};
use proptest::prelude::*;

/// Objects: a number and its value. Command 1 gets (one or all), 2 sets, 3 deletes; 2 and 3 tell the group `news`.
type Objects = Arc<Mutex<BTreeMap<u32, u32>>>;

const KEY: u16 = 1;
const VALUE: u16 = 2;

fn body(cmd: u8, key: u32, value: u32) -> Vec<u8> {
    let mut bytes = vec![cmd, 1, 0, 0];
    wire::put(&mut bytes, KEY, &key.to_ne_bytes());
    wire::put(&mut bytes, VALUE, &value.to_ne_bytes());
    bytes
}

fn number(attrs: &[(u16, &[u8])], kind: u16) -> Result<u32, Refusal> {
    let value = wire::find(attrs, kind).ok_or_else(|| Refusal::new(22).text("missing attribute"))?;
    value.try_into().map(u32::from_ne_bytes).map_err(|_| Refusal::new(34).offset(20))
}

fn store() -> (FakeNetlink, Objects) {
    let kernel = FakeNetlink::new();
    let objects = Objects::default();
    let mine = Arc::clone(&objects);
    kernel.add_family("store", 1, &["news"], move |request: &FakeRequest<'_>| -> Answer {
        let mut objects = mine.lock().unwrap();
        let attrs = request.genl_attrs()?;
        let show = |(k, v): (&u32, &u32)| FakeReply { kind: request.kind, payload: body(1, *k, *v) };
        match request.genl_cmd() {
            Some(1) if request.is_dump() => Ok(objects.iter().map(show).collect()),
            Some(1) => {
                let key = number(&attrs, KEY)?;
                objects.get_key_value(&key).map(|o| vec![show(o)]).ok_or_else(|| Refusal::new(2).text("no such object"))
            }
            Some(2) => {
                let key = number(&attrs, KEY)?;
                if key == 13 {
                    return Err(Refusal::new(22).text("13 is not a number").offset(20));
                }
                objects.insert(key, number(&attrs, VALUE)?);
                Ok(Vec::new())
            }
            _ => Err(Refusal::new(95)),
        }
    });
    (kernel, objects)
}

fn open(kernel: &FakeNetlink) -> GenlConnection {
    let mut conn = GenlConnection::resolve(Connection::new(kernel.open(Protocol::Generic)), "store").unwrap();
    conn.connection().set_timeout(Duration::from_millis(200));
    conn
}

fn attrs(key: u32, value: u32) -> AttrBuf {
    let mut attrs = AttrBuf::new();
    attrs.put_u32(KEY, key).put_u32(VALUE, value);
    attrs
}

fn read(reply: &GenlReply) -> (u32, u32) {
    let find = |kind| reply.attrs().find(kind).unwrap().unwrap().u32().unwrap();
    (find(KEY), find(VALUE))
}

fn dump(conn: &mut GenlConnection) -> netlink::Result<BTreeMap<u32, u32>> {
    Ok(conn.dump("dump", 1, &AttrBuf::new())?.iter().map(read).collect())
}

fn set(key: u32) -> (String, u8, AttrBuf) {
    (format!("set {key}"), 2, attrs(key, key * 10))
}

#[test]
fn a_batch_is_few_datagrams_and_each_request_has_its_answer() {
    let (kernel, objects) = store();
    let mut conn = open(&kernel);
    let before = kernel.received().len();
    let requests: Vec<_> = (0..150).map(set).collect();
    let results = conn.batch(&requests);
    assert_eq!(kernel.received().len() - before, 3);
    assert_eq!(results.len(), 150);
    for (key, result) in results.iter().enumerate() {
        match result {
            Ok(replies) => assert!(replies.is_empty() && key != 13),
            Err(Error::Kernel(k)) => {
                assert_eq!((key, k.errno, k.offset, k.what.as_str()), (13, 22, Some(20), "set 13"));
                assert_eq!(k.message.as_deref(), Some("13 is not a number"));
            }
            Err(e) => panic!("{e}"),
        }
    }
    assert_eq!(objects.lock().unwrap().len(), 149);
    let gets: Vec<_> = [5u32, 13, 77].map(|key| (format!("get {key}"), 1, attrs(key, 0))).into();
    let got: Vec<_> = conn.batch(&gets).into_iter().map(|r| r.ok().map(|r| read(&r[0]))).collect();
    assert_eq!(got, [Some((5, 50)), None, Some((77, 770))]);
    assert!(conn.batch(&[]).is_empty());
}

#[test]
fn a_lost_answer_of_a_batch_is_named_and_the_rest_is_not_sent() {
    let (kernel, objects) = store();
    let mut conn = open(&kernel);
    for fault in [Fault::LoseAnswer, Fault::Overrun] {
        objects.lock().unwrap().clear();
        kernel.inject(Fault::None);
        kernel.inject(fault.clone());
        let results = conn.batch(&(20..100).map(set).collect::<Vec<_>>());
        let lost = results[1].as_ref().unwrap_err();
        assert!(lost.outcome_unknown() && lost.to_string().contains("set 21"), "{lost}");
        assert_eq!(matches!(lost, Error::Overrun { .. }), fault == Fault::Overrun);
        assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 63, "the others of the first window are answered");
        assert!(results[64..].iter().all(|r| matches!(r, Err(Error::NotSent { .. }))));
        assert_eq!(objects.lock().unwrap().len(), 64);
    }
}

#[test]
fn a_value_that_does_not_fit_is_refused_before_anything_is_sent() {
    let (kernel, objects) = store();
    let mut conn = open(&kernel);
    let before = kernel.received().len();
    let mut long = AttrBuf::new();
    let mut inner = AttrBuf::new();
    inner.put(9, &vec![0; 65_532]);
    long.put_nested(3, &inner);
    assert!(matches!(conn.request("t", 2, &long), Err(Error::TooLong { attr: 9, .. })));
    let results = conn.batch(&[set(1), ("long".into(), 2, long), set(2)]);
    assert!(matches!(
        results[..],
        [Err(Error::NotSent { .. }), Err(Error::TooLong { .. }), Err(Error::NotSent { .. })]
    ));
    assert_eq!((kernel.received().len(), objects.lock().unwrap().len()), (before, 0));
}

#[test]
fn dumps_survive_what_disturbs_them() {
    let (kernel, objects) = store();
    objects.lock().unwrap().extend((0..30).map(|k| (k, k)));
    let truth = objects.lock().unwrap().clone();
    let mut conn = open(&kernel);
    for fault in [Fault::Interrupt, Fault::Overrun, Fault::Refuse(Refusal::new(4)), Fault::Stale] {
        kernel.inject(fault);
        assert_eq!(dump(&mut conn).unwrap(), truth);
    }
    for _ in 0..8 {
        kernel.inject(Fault::Interrupt);
    }
    assert!(matches!(dump(&mut conn), Err(Error::DumpInterrupted { tries: 8, .. })));
    assert_eq!(dump(&mut conn).unwrap(), truth);
}

/// A dump that is cut short leaves the rest of it in the socket: the kernel refuses the next one until that is read.
#[test]
fn a_dump_that_was_given_up_does_not_block_the_next() {
    let (kernel, objects) = store();
    objects.lock().unwrap().extend((0..30).map(|k| (k, k)));
    let mut conn = open(&kernel);
    kernel.inject(Fault::Cut(21));
    assert!(matches!(dump(&mut conn), Err(Error::Malformed { .. })));
    assert_eq!(dump(&mut conn).unwrap().len(), 30);
    // A device that is busy for real stays so.
    for _ in 0..8 {
        kernel.inject(Fault::Refuse(Refusal::new(16).text("device is resetting")));
    }
    assert!(dump(&mut conn).unwrap_err().to_string().contains("device is resetting"));
}

#[test]
fn families_are_listed() {
    let (kernel, _) = store();
    let all = families(&mut Connection::new(kernel.open(Protocol::Generic))).unwrap();
    assert_eq!(all.iter().map(|f| f.name.as_str()).collect::<Vec<_>>(), ["nlctrl", "store"]);
    assert_eq!(all[1].group("news").unwrap(), kernel.group("store", "news").unwrap());
}

#[test]
fn nothing_on_route_is_refused() {
    let mut conn = Connection::new(FakeNetlink::new().open(Protocol::Route));
    assert_eq!(conn.request("t", 18, 0, &[0; 16]).unwrap_err().errno(), Some(22));
}

/// 20,000 events through a receive buffer for about 60: what is known at the end equals the truth.
#[test]
fn after_overruns_the_replica_equals_the_truth() {
    let (kernel, objects) = store();
    let mut conn = open(&kernel);
    let news = kernel.group("store", "news").unwrap();
    let mut socket = kernel.open(Protocol::Generic);
    socket.set_receive_buffer(32 * 1024).unwrap();
    let mut events = EventStream::with_buffer_as_it_is(socket, &[news]).unwrap();
    let mut replica = Replica::new();
    replica.replace(dump(&mut conn).unwrap());
    let (mut resyncs, mut seed) = (0, 7u32);
    for round in 0..200 {
        for _ in 0..(if round % 3 == 0 { 300 } else { 20 }) {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (key, value) = (seed >> 24, seed & 0xff);
            let cmd = if value < 64 { 3 } else { 2 };
            match cmd {
                2 => objects.lock().unwrap().insert(key, value),
                _ => objects.lock().unwrap().remove(&key),
            };
            kernel.multicast(Protocol::Generic, news, conn.family().id, &body(cmd, key, value));
        }
        while let Some(notice) = events.next(Duration::ZERO).unwrap() {
            match notice {
                Notice::Resync { .. } => {
                    resyncs += 1;
                    events.drain().unwrap();
                    let deltas = replica.replace(dump(&mut conn).unwrap());
                    assert!(!deltas.is_empty());
                }
                Notice::Message(msg) => {
                    let event = GenlReply::parse(conn.family().id, &msg).unwrap();
                    let (key, value) = read(&event);
                    match event.cmd {
                        2 => replica.set(key, value),
                        _ => replica.remove(&key),
                    };
                }
            }
        }
        assert_eq!(replica.known(), &*objects.lock().unwrap(), "round {round}");
    }
    assert!((60..=70).contains(&resyncs), "{resyncs} resyncs of 67 bursts that do not fit");
}

#[test]
fn requests_of_a_batch_follow_on_from_the_last_sequence_number() {
    let (kernel, _) = store();
    let family = open(&kernel).family().id;
    let mut conn = Connection::new(kernel.open(Protocol::Generic));
    let request = Request { what: "x".into(), kind: family, flags: 0, payload: body(2, 1, 1) };
    assert!(conn.batch(&[request.clone(), request]).iter().all(Result::is_ok));
    let sent = kernel.received().pop().unwrap();
    let seq = |at: usize| u32::from_ne_bytes(sent[at + 8..at + 12].try_into().unwrap());
    assert_eq!((seq(0), seq(36)), (1, 2));
}

#[test]
fn deltas_say_what_changed() {
    let mut replica = Replica::new();
    assert_eq!(replica.set(1, 'a'), Some(Delta::Added('a')));
    assert_eq!(replica.set(1, 'a'), None);
    assert_eq!(replica.set(1, 'b'), Some(Delta::Changed { old: 'a', new: 'b' }));
    assert_eq!(replica.replace([(2, 'c')]), [Delta::Removed('b'), Delta::Added('c')]);
    assert_eq!(replica.remove(&1), None);
}

proptest! {
    /// One byte of an answer is changed: an answer or an error, never a panic, never a wait beyond the deadline.
    #[test]
    fn flipped_bytes_are_survived(at in 0usize..400, by in 1u8..=255, dumping: bool) {
        let (kernel, objects) = store();
        objects.lock().unwrap().extend((0..5).map(|k| (k, k)));
        let mut conn = open(&kernel);
        conn.connection().set_timeout(Duration::from_millis(2));
        kernel.inject(Fault::Flip(at, by));
        if dumping {
            let _ = conn.dump("dump", 1, &AttrBuf::new());
        } else {
            let _ = conn.batch(&[set(1), set(2)]);
        }
        prop_assert!(conn.request("again", 2, &attrs(8, 8)).is_ok());
    }

    /// Any bytes sent to the fake itself.
    #[test]
    fn the_fake_survives_any_request(bytes in prop::collection::vec(any::<u8>(), 0..120), kind in 0x10u16..0x1d, flags: u16) {
        let (kernel, _) = store();
        let mut socket = kernel.open(Protocol::Generic);
        socket.send(&bytes).unwrap();
        socket.send(&wire::message(kind, flags | 1, 7, &bytes)).unwrap();
        while socket.recv(Duration::ZERO).unwrap().is_some() {}
    }
}
