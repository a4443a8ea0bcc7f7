//! What we send is what iproute2 and ethtool send, and what we read is what they print: on messages captured from a
//! real kernel (scenario
//! `captures` of the lab).

#![cfg(target_endian = "little")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use netlink::{
    Attrs, Connection, Error, Feature, FeatureClient, HW_TC_OFFLOAD, Link, LinkClient, Transport, VfSettings, qdiscs,
    split,
};
use serde_json::{Value, json};

/// What id the captured kernel gave ethtool.
const ETHTOOL: u16 = 22;

/// Requests and the messages that answered them, in order; what the command printed.
struct Capture {
    exchanges: Vec<(Vec<u8>, Vec<Vec<u8>>)>,
    json: Value,
    refusal: Option<String>,
}

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes().chunks(2).map(|c| u8::from_str_radix(std::str::from_utf8(c).unwrap(), 16).unwrap()).collect()
}

fn capture(text: &str) -> Capture {
    let mut capture = Capture { exchanges: Vec::new(), json: Value::Null, refusal: None };
    for line in text.lines() {
        match line.split_at(2) {
            ("# ", _) | ("$ ", _) => {}
            ("> ", hex) => capture.exchanges.push((bytes(hex), Vec::new())),
            ("< ", hex) => capture.exchanges.last_mut().unwrap().1.push(bytes(hex)),
            ("= ", json) => capture.json = serde_json::from_str(json).unwrap(),
            ("! ", words) => capture.refusal = Some(words.to_owned()),
            _ => panic!("{line}"),
        }
    }
    capture
}

/// Answers the requests that come with these messages, one list after the other, and keeps the requests.
#[derive(Clone, Default)]
struct Replay {
    answers: Arc<Mutex<VecDeque<Vec<Vec<u8>>>>>,
    sent: Arc<Mutex<Vec<Vec<u8>>>>,
    queue: VecDeque<Vec<u8>>,
}

impl Replay {
    fn new(answers: impl IntoIterator<Item = Vec<Vec<u8>>>) -> Self {
        Replay { answers: Arc::new(Mutex::new(answers.into_iter().collect())), ..Replay::default() }
    }

    fn sent(&self) -> Vec<Vec<u8>> {
        self.sent.lock().unwrap().clone()
    }
}

impl Transport for Replay {
    fn send(&mut self, request: &[u8]) -> io::Result<()> {
        self.sent.lock().unwrap().push(request.to_vec());
        let mut answer = self.answers.lock().unwrap().pop_front().unwrap_or_default();
        answer.iter_mut().for_each(|message| message[8..12].copy_from_slice(&request[8..12]));
        self.queue = answer.into();
        Ok(())
    }

    fn recv(&mut self, _: Duration) -> io::Result<Option<Vec<u8>>> {
        Ok(self.queue.pop_front())
    }

    fn join(&mut self, _: u32) -> io::Result<()> {
        Ok(())
    }
}

/// One request with the captured answer; it is the captured one, but for sequence number and flags that ask for the answer's form.
fn act(text: &str, act: impl FnOnce(&mut LinkClient) -> Result<(), Error>) -> (Result<(), Error>, Option<String>) {
    let Capture { mut exchanges, refusal, .. } = capture(text);
    let (request, answer) = exchanges.pop().unwrap();
    let replay = Replay::new([answer]);
    let result = act(&mut LinkClient::new(Box::new(replay.clone())));
    let [sent] = &replay.sent()[..] else { panic!("one request") };
    // iproute2 changes with RTM_NEWLINK, we with RTM_SETLINK, which makes nothing.
    assert_eq!((&request[4..6], &sent[4..6]), (&[16, 0][..], &[19, 0][..]));
    assert_eq!(sent[16..], request[16..]);
    (result, refusal)
}

#[test]
fn links_are_set_as_iproute2_sets_them() {
    let done = |text: &str, how: fn(&mut LinkClient) -> Result<(), Error>| act(text, how).0.unwrap();
    done(include_str!("captures/link_set_mtu.txt"), |links| links.set_mtu(4, 9000));
    done(include_str!("captures/link_set_up.txt"), |links| links.set_up(4, true));
    done(include_str!("captures/link_set_down.txt"), |links| links.set_up(4, false));
    let mac = VfSettings { mac: Some([2, 0, 0, 0, 0, 9]), ..VfSettings::default() };
    act(include_str!("captures/vf_set_mac.txt"), |links| links.set_vf(3, 1, &mac)).0.unwrap();
}

#[test]
fn refusals_carry_the_words_that_iproute2_prints() {
    let (result, words) = act(include_str!("captures/link_set_refused.txt"), |links| links.set_mtu(4, 10));
    let Err(Error::Kernel(e)) = result else { panic!("not refused") };
    assert_eq!(format!("Error: {}.", e.message.unwrap()), words.unwrap());
    let trust = VfSettings { trust: Some(true), ..VfSettings::default() };
    let (result, words) = act(include_str!("captures/vf_set_refused.txt"), |links| links.set_vf(3, 9, &trust));
    let error = result.unwrap_err();
    assert_eq!((error.errno(), words.as_deref()), (Some(22), Some("RTNETLINK answers: Invalid argument")));
}

#[test]
fn a_representor_reads_as_iproute2_reads_it() {
    let Capture { mut exchanges, json, .. } = capture(include_str!("captures/link_show_rep.txt"));
    let (_, answer) = exchanges.pop().unwrap();
    // iproute2 asks for no acknowledgement.
    let with_ack = [&answer[..], &[message(2, &[0; 20])]].concat();
    let link = LinkClient::new(Box::new(Replay::new([with_ack]))).get(4).unwrap();
    let said = &json[0];
    let hex = |id: &[u8]| id.iter().map(|b| format!("{b:02x}")).collect::<String>();
    assert_eq!(json!(link.ifindex), said["ifindex"]);
    assert_eq!(json!(link.name), said["ifname"]);
    assert_eq!(json!(link.mtu), said["mtu"]);
    assert_eq!(json!(link.phys_port_name), said["phys_port_name"]);
    // iproute2 cuts the 32 bytes of netdevsim's to 31.
    let switch = hex(link.phys_switch_id.as_ref().unwrap());
    assert_eq!((switch.len(), &switch[..62]), (64, said["phys_switch_id"].as_str().unwrap()));
    assert_eq!(json!(link.parent_bus), said["parentbus"]);
    assert_eq!(json!(link.parent_dev), said["parentdev"]);
    assert_eq!(json!(link.mac.unwrap().map(|b| format!("{b:02x}")).join(":")), said["address"]);
    assert_eq!(link.is_up(), said["flags"].as_array().unwrap().contains(&json!("UP")));
    assert_eq!(Link::parse(&split(&answer[0]).next().unwrap().unwrap().payload).unwrap(), link);
}

#[test]
fn qdiscs_read_as_tc_reads_them() {
    let Capture { mut exchanges, json, .. } = capture(include_str!("captures/qdisc_show.txt"));
    let (request, answer) = exchanges.pop().unwrap();
    let replay = Replay::new([answer]);
    let all = qdiscs(&mut Connection::new(Box::new(replay.clone()))).unwrap();
    assert_eq!(replay.sent()[0][4..6], request[4..6]);
    let ours: Vec<Value> = all.iter().map(|q| json!([q.kind, format!("{:x}:", q.handle >> 16)])).collect();
    let said: Vec<Value> = json.as_array().unwrap().iter().map(|q| json!([q["kind"], q["handle"]])).collect();
    assert_eq!(ours, said);
    let rules: Vec<u32> = all.iter().filter(|q| q.holds_rules()).map(|q| q.ifindex).collect();
    assert_eq!(rules, [4]);
}

/// The number of the string `wanted` in a reply of `ETHTOOL_MSG_STRSET_GET`.
fn index_of(wanted: &str, attrs: Attrs<'_>) -> Option<u32> {
    let attrs: Vec<_> = attrs.collect::<Result<_, _>>().ok()?;
    if attrs.iter().any(|a| a.kind == 2 && a.str().is_ok_and(|s| s == wanted)) {
        return attrs.iter().find(|a| a.kind == 1)?.u32().ok();
    }
    attrs.iter().find_map(|a| index_of(wanted, a.nested()))
}

fn message(kind: u16, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(16 + payload.len()).unwrap();
    [&len.to_ne_bytes()[..], &kind.to_ne_bytes(), &[0; 10], payload].concat()
}

fn attr(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = [&u16::try_from(4 + value.len()).unwrap().to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn family() -> Vec<Vec<u8>> {
    let about = [attr(1, &ETHTOOL.to_ne_bytes()), attr(3, &1u32.to_ne_bytes())].concat();
    vec![message(16, &[&[1, 2, 0, 0][..], &about].concat()), message(2, &[0; 20])]
}

#[test]
fn features_of_all_devices_are_asked_and_read_as_ethtool_does() {
    let Capture { exchanges, .. } = capture(include_str!("captures/features_show_all.txt"));
    let [(request, dump), (_, names)] = &exchanges[..] else { panic!("a dump, then names") };
    let bit = index_of(HW_TC_OFFLOAD, Attrs::new(&names[0][20..])).unwrap();
    // The names come to us with the features of one device, of which ethtool asks nothing.
    let listed = [attr(1, &bit.to_ne_bytes()), attr(2, b"hw-tc-offload\0")].concat();
    let verbose = attr(0x8002, &attr(0x8003, &attr(0x8001, &listed)));
    let verbose = message(ETHTOOL, &[&[11, 1, 0, 0][..], &verbose].concat());
    let replay = Replay::new([family(), vec![verbose, message(2, &[0; 20])], dump.clone()]);
    let mut features = FeatureClient::open(Box::new(replay.clone())).unwrap();
    let all = features.all(1, HW_TC_OFFLOAD).unwrap();
    assert_eq!(replay.sent()[2][16..], request[16..]);
    // lo and nlmon0 have no such feature; of a NIC's uplink and two representors it was turned on for one.
    let is = |changeable, active| Feature { active, changeable };
    let wanted =
        [(1, is(false, false)), (2, is(false, false)), (3, is(true, false)), (4, is(true, true)), (5, is(true, false))];
    assert_eq!(all, wanted.into());
}

#[test]
fn a_feature_is_set_as_ethtool_sets_it() {
    let Capture { mut exchanges, .. } = capture(include_str!("captures/features_set.txt"));
    let (request, answer) = exchanges.pop().unwrap();
    let replay = Replay::new([family(), answer]);
    FeatureClient::open(Box::new(replay.clone())).unwrap().set(4, HW_TC_OFFLOAD, true).unwrap();
    let sent = &replay.sent()[1];
    assert_eq!(sent[16..20], request[16..20], "command and version");
    // The bits wanted, attribute by attribute: ethtool's padding is whatever was in its memory.
    let wanted = |message: &[u8]| {
        let set = Attrs::new(&message[20..]).find(3).unwrap().unwrap();
        let bits = set.nested().find(3).unwrap().unwrap();
        let bit = bits.nested().find(1).unwrap().unwrap();
        bit.nested().map(|a| a.map(|a| (a.kind, a.value.to_vec())).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(wanted(sent), wanted(&request));
}
