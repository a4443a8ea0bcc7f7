//! Every action that a profile claims is carried out: one case for each name, for rules of the switch and of what representors receive.
//!
//! Frames to compare with are built by etherparse from what they should be, checksums and all.

use super::super::meter::Fate;
use super::super::profile::{ActionName, RuleCaps};
use super::*;
use etherparse::{IpDscp, IpEcn, IpNumber, Ipv4Header, Ipv6FlowLabel, Ipv6Header, UdpHeader};
use rte_flow_rs::{Field, MeterParams, MeterProfile, ModifyField, ModifyOp, ModifySource, Rss, Tag, Vni, Vxlan};
use std::collections::BTreeSet;

const ETH: Item = Item::Eth(Match::Any);
const V4: Item = Item::Ipv4(Match::Any);
const V6: Item = Item::Ipv6(Match::Any);
const UDP: Item = Item::Udp(Match::Any);
const QUEUES: u16 = 4;
const MAC: [u8; 6] = [2, 9, 8, 7, 6, 5];
const IP: [u8; 4] = [192, 0, 2, 99];
const IP6: [u8; 16] = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 99];

/// A UDP packet by its fields.
#[derive(Clone)]
struct Frame {
    dst: [u8; 6],
    src: [u8; 6],
    tags: Vec<[u8; 4]>,
    v6: bool,
    ip: [[u8; 4]; 2],
    ip6: [[u8; 16]; 2],
    tos: u8,
    ttl: u8,
    ports: [u16; 2],
}

fn frame(v6: bool) -> Frame {
    let (ip, ip6, ports) = ([IP_A, IP_B], [IP6_A, IP6_B], [1000, 53]);
    Frame { dst: MAC_B, src: MAC_A, tags: Vec::new(), v6, ip, ip6, tos: 0x4a, ttl: 64, ports }
}

impl Frame {
    fn with(mut self, change: impl FnOnce(&mut Frame)) -> Frame {
        change(&mut self);
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let payload = b"what is in it";
        let mut out = [self.dst, self.src].concat();
        self.tags.iter().for_each(|tag| out.extend(tag));
        if self.v6 {
            let ip = Ipv6Header {
                traffic_class: self.tos,
                flow_label: Ipv6FlowLabel::ZERO,
                payload_length: (8 + payload.len()) as u16,
                next_header: IpNumber::UDP,
                hop_limit: self.ttl,
                source: self.ip6[0],
                destination: self.ip6[1],
            };
            let udp = UdpHeader::with_ipv6_checksum(self.ports[0], self.ports[1], &ip, payload).unwrap();
            out.extend([0x86, 0xdd]);
            out.extend(ip.to_bytes());
            out.extend(udp.to_bytes());
        } else {
            let ip = ipv4(self.ip, self.tos, self.ttl, 8 + payload.len());
            let udp = UdpHeader::with_ipv4_checksum(self.ports[0], self.ports[1], &ip, payload).unwrap();
            out.extend([8, 0]);
            out.extend(ip.to_bytes());
            out.extend(udp.to_bytes());
        }
        out.extend(payload);
        out
    }
}

fn ipv4([source, destination]: [[u8; 4]; 2], tos: u8, ttl: u8, len: usize) -> Ipv4Header {
    let mut ip = Ipv4Header::new(len as u16, ttl, IpNumber::UDP, source, destination).unwrap();
    ip.dont_fragment = false;
    (ip.dscp, ip.ecn) = (IpDscp::try_new(tos >> 2).unwrap(), IpEcn::try_new(tos & 3).unwrap());
    ip.header_checksum = ip.calc_header_checksum();
    ip
}

const VXLAN: [u8; 8] = [8, 0, 0, 0, 0, 0x12, 0x34, 0];

/// A frame in VXLAN; without checksum of UDP, as the header that is put on has none.
fn in_vxlan(inner: &[u8]) -> Vec<u8> {
    let mut out = [MAC_A, MAC_B].concat();
    out.extend([8, 0]);
    out.extend(ipv4([IP, IP_B], 0, 64, 16 + inner.len()).to_bytes());
    out.extend(
        UdpHeader { source_port: 5555, destination_port: 4789, length: (16 + inner.len()) as u16, checksum: 0 }
            .to_bytes(),
    );
    out.extend(VXLAN);
    out.extend(inner);
    out
}

/// The same as a header to be put on: lengths and checksums are the device's to fill in.
fn vxlan_template() -> Vec<u8> {
    let mut out = in_vxlan(&[]);
    out[16..18].fill(0);
    out[24..26].fill(0);
    out[38..40].fill(0);
    out
}

fn vxlan_definition() -> Vec<Item> {
    let eth = Eth { dst: MAC_A, src: MAC_B, ether_type: 0x0800, ..Eth::default() };
    let ip = Ipv4 { src: IP, dst: IP_B, ttl: 64, proto: 17, ..Ipv4::default() };
    vec![
        Item::Eth(Match::Masked { spec: eth, mask: Eth::default() }),
        Item::Ipv4(Match::Masked { spec: ip, mask: Ipv4::default() }),
        Item::Udp(Match::Masked { spec: Udp { src: 5555, dst: 4789 }, mask: Udp::default() }),
        Item::Vxlan(Match::Masked { spec: Vxlan { flags: 8, vni: Vni(0x1234) }, mask: Vxlan::default() }),
    ]
}

fn set_field(field: Field, width: u32, bytes: &[u8]) -> Action {
    let mut value = [0; 16];
    value[..bytes.len()].copy_from_slice(bytes);
    let source = ModifySource::Value(value);
    Action::ModifyField(ModifyField { op: ModifyOp::Set, field, level: 0, offset: 0, width, source })
}

/// A device of a profile, and rules of one kind in it, for what comes to its wire.
struct Rig {
    nic: Eswitch,
    transfer: bool,
}

impl Rig {
    fn rule(&mut self, group: u32, priority: u32, items: &[Item], actions: &[Action]) -> u64 {
        let attr = Attr { group, priority, ..if self.transfer { TRANSFER } else { INGRESS } };
        let source = Ethdev { port_id: ETHDEVS[0] };
        let source = Item::RepresentedPort(Match::Masked { spec: source, mask: Ethdev { port_id: 0xffff } });
        let items: Vec<Item> = self.transfer.then_some(source).into_iter().chain(items.iter().cloned()).collect();
        self.nic.create(&raw(ETHDEVS[0], attr, &items, actions)).unwrap_or_else(|e| panic!("{actions:?}: {e}"))
    }

    fn send(&mut self, frame: &[u8]) -> Vec<Delivery> {
        send(&mut self.nic, 0, frame)
    }

    /// Where packets of a rule go that is about something else.
    fn end(&self) -> Action {
        if self.transfer { Action::RepresentedPort(ETHDEVS[1]) } else { Action::Queue(1) }
    }

    /// A frame that has come there.
    fn there(&self, frame: &[u8]) -> Delivery {
        let frame = frame.to_vec();
        if self.transfer {
            return outside(1, frame);
        }
        Delivery::Representor { place: 0, frame, mark: None, flag: false, queues: Queues::One(1) }
    }

    /// Packets of a rule with these actions go on as `after`.
    fn rewrites(&mut self, items: &[Item], actions: &[Action], before: &[u8], after: &[u8]) {
        let actions: Vec<Action> = actions.iter().cloned().chain([self.end()]).collect();
        let rule = self.rule(0, 0, items, &actions);
        assert_ne!(before, after, "else it tells nothing");
        assert_eq!(self.send(before), [self.there(after)], "{actions:?}");
        self.nic.destroy(rule).unwrap();
    }

    fn rewrites_frame(&mut self, v6: bool, action: Action, change: impl FnOnce(&mut Frame)) {
        let items = [ETH, if v6 { V6 } else { V4 }, UDP];
        self.rewrites(&items, &[action], &frame(v6).bytes(), &frame(v6).with(change).bytes());
    }

    /// What these actions wrote into a register is seen in the next group by `seen`, and not by `unseen`.
    fn registers(&mut self, actions: &[Action], seen: Item, unseen: Item) {
        let actions: Vec<Action> = actions.iter().cloned().chain([Action::Jump(1)]).collect();
        let end = self.end();
        self.rule(0, 0, &[ETH], &actions);
        self.rule(1, 0, &[unseen, ETH], &[Action::Drop]);
        self.rule(1, 1, &[seen, ETH], &[end]);
        let frame = frame(false).bytes();
        assert_eq!(self.send(&frame), [self.there(&frame)]);
    }

    fn counters(&mut self, frame: &[u8], own: bool) {
        let shared = (!own).then(|| self.nic.create_counter().unwrap());
        let count = shared.map_or(Action::Count(0), |handle| Action::Indirect(rte_flow_rs::ActionHandle(handle)));
        let rule = self.rule(0, 0, &[ETH], &[count, self.end()]);
        for _ in 0..3 {
            assert_eq!(self.send(frame), [self.there(frame)]);
        }
        let counted = match shared {
            Some(handle) => self.nic.query_counter(handle, false),
            None => self.nic.query(rule, false),
        };
        assert_eq!(counted.unwrap(), Count { packets: 3, bytes: 3 * frame.len() as u64 });
        self.nic.destroy(rule).unwrap();
    }

    fn meter(&mut self, frame: &[u8]) {
        let profile = MeterProfile::SrTcm2697 { cir: 1, cbs: 2, ebs: 0, packet_mode: true };
        self.nic.meters.add_profile(1, profile).unwrap();
        self.nic.meters.add_policy(2, [Fate::Pass, Fate::Pass, Fate::Drop]).unwrap();
        self.nic.meters.create(3, MeterParams { profile: 1, policy: 2, shared: true }, 0).unwrap();
        self.rule(0, 0, &[ETH], &[Action::Meter(3), self.end()]);
        let passed: Vec<usize> = (0..4).map(|_| self.send(frame).len()).collect();
        assert_eq!((passed, self.nic.stats().hardware_dropped), (vec![1, 1, 0, 0], 2), "a burst of two");
    }

    fn age(&mut self, frame: &[u8]) {
        let second = 1_000_000_000;
        let rule = self.rule(0, 0, &[ETH], &[Action::Age { timeout: 10, context: 77 }, self.end()]);
        self.nic.set_now(9 * second);
        assert_eq!(self.send(frame), [self.there(frame)]);
        self.nic.set_now(19 * second - 1);
        assert_eq!(self.nic.aged(ETHDEVS[0], 8).unwrap(), []);
        self.nic.set_now(19 * second);
        assert_eq!(self.nic.aged(ETHDEVS[0], 8).unwrap(), [77]);
        let idle = rte_flow_rs::AgeQuery { aged: true, idle_seconds: Some(10) };
        assert_eq!(self.nic.query_age(rule).unwrap(), idle);
    }

    fn sample(&mut self, frame: &[u8]) {
        let copy = Action::Sample { ratio: 2, actions: vec![Action::RepresentedPort(ETHDEVS[2])] };
        self.rule(0, 0, &[ETH], &[copy, Action::OfPushVlan(0x8100), self.end()]);
        let sent = [&frame[..12], &[0x81, 0, 0, 0], &frame[12..]].concat();
        let (with, without) = (vec![outside(2, frame.to_vec()), outside(1, sent.clone())], vec![outside(1, sent)]);
        let seen: Vec<_> = (0..4).map(|_| self.send(frame)).collect();
        assert_eq!(seen, [with.clone(), without.clone(), with, without], "one of two is copied, as it was then");
    }

    fn passthru(&mut self, frame: &[u8]) {
        let end = self.end();
        if self.transfer {
            self.rule(0, 0, &[ETH], &[Action::SetMacDst(MAC), Action::Passthru]);
            self.rule(0, 1, &[ETH], &[Action::SetMacSrc(MAC), end]);
            let both = [&MAC[..], &MAC, &frame[12..]].concat();
            assert_eq!(self.send(frame), [self.there(&both)]);
        } else {
            self.rule(0, 0, &[ETH], &[Action::Mark(7), Action::Passthru]);
            self.rule(0, 1, &[ETH], &[end]);
            let (queues, copy) = (Queues::One(1), frame.to_vec());
            let want = Delivery::Representor { place: 0, frame: copy, mark: Some(7), flag: true, queues };
            assert_eq!(self.send(frame), [want]);
        }
    }

    /// To software with this mark and flag.
    fn told(&mut self, action: Action, frame: &[u8], mark: Option<u32>) {
        let end = if self.transfer { Action::PortRepresentor(ETHDEVS[2]) } else { self.end() };
        let (place, queues) = if self.transfer { (2, Queues::All) } else { (0, Queues::One(1)) };
        self.rule(0, 0, &[ETH], &[action, end]);
        let want = Delivery::Representor { place, frame: frame.to_vec(), mark, flag: true, queues };
        assert_eq!(self.send(frame), [want]);
    }

    /// A rule that has nothing but this action.
    fn goes(&mut self, action: Action, frame: &[u8], want: &[Delivery]) {
        self.rule(0, 0, &[ETH], &[action]);
        assert_eq!(self.send(frame), want);
    }

    fn comes_to(&mut self, action: Action, frame: &[u8], queues: Queues) {
        let want = Delivery::Representor { place: 0, frame: frame.to_vec(), mark: None, flag: false, queues };
        self.goes(action, frame, &[want]);
    }

    /// What this action is there for. A new action has no case, and does not compile.
    fn carries_out(&mut self, name: ActionName, caps: &RuleCaps) {
        use ActionName as A;
        let plain = frame(false).bytes();
        let tagged = |tci: u16| {
            let [high, low] = tci.to_be_bytes();
            frame(false).with(|f| f.tags.push([0x81, 0, high, low])).bytes()
        };
        let vlan = [ETH, Item::Vlan(Match::Any)];
        match name {
            A::Count => {
                self.counters(&plain, true);
                if caps.counter == super::super::profile::Counting::Indirect {
                    self.counters(&plain, false);
                }
            }
            A::Drop => {
                self.goes(Action::Drop, &plain, &[]);
                assert_eq!(self.nic.stats().hardware_dropped, 1);
            }
            A::Jump => {
                let end = self.end();
                self.rule(0, 0, &[ETH], &[Action::Jump(2)]);
                self.rule(1, 0, &[ETH], &[Action::Drop]);
                self.rule(2, 0, &[ETH], &[end]);
                assert_eq!(self.send(&plain), [self.there(&plain)]);
            }
            A::Mark => self.told(Action::Mark(0x5a_5a5a), &plain, Some(0x5a_5a5a)),
            A::Flag => self.told(Action::Flag, &plain, None),
            A::Queue => self.comes_to(Action::Queue(2), &plain, Queues::One(2)),
            A::Rss => {
                let rss = Rss { queues: vec![3, 1], ..Rss::default() };
                self.comes_to(Action::Rss(rss), &plain, Queues::Among([3, 1].into()));
            }
            A::PortRepresentor => {
                let (queues, frame) = (Queues::All, plain.clone());
                let want = Delivery::Representor { place: 2, frame, mark: None, flag: false, queues };
                self.goes(Action::PortRepresentor(ETHDEVS[2]), &plain, &[want]);
            }
            A::RepresentedPort => {
                self.goes(Action::RepresentedPort(ETHDEVS[3]), &plain, &[outside(3, plain.clone())]);
            }
            A::PortId => self.goes(Action::PortId(ETHDEVS[2].into()), &plain, &[outside(2, plain.clone())]),
            A::OfPopVlan => self.rewrites(&vlan, &[Action::OfPopVlan], &tagged(0x2005), &plain),
            A::OfPushVlan => self.rewrites(&[ETH], &[Action::OfPushVlan(0x8100)], &plain, &tagged(0)),
            A::OfSetVlanVid => self.rewrites(&vlan, &[Action::OfSetVlanVid(0x123)], &tagged(0x2005), &tagged(0x2123)),
            A::OfSetVlanPcp => self.rewrites(&vlan, &[Action::OfSetVlanPcp(6)], &tagged(0x2005), &tagged(0xc005)),
            A::SetMacSrc => self.rewrites_frame(false, Action::SetMacSrc(MAC), |f| f.src = MAC),
            A::SetMacDst => self.rewrites_frame(false, Action::SetMacDst(MAC), |f| f.dst = MAC),
            A::SetIpv4Src => self.rewrites_frame(false, Action::SetIpv4Src(IP), |f| f.ip[0] = IP),
            A::SetIpv4Dst => self.rewrites_frame(false, Action::SetIpv4Dst(IP), |f| f.ip[1] = IP),
            A::SetIpv6Src => self.rewrites_frame(true, Action::SetIpv6Src(IP6), |f| f.ip6[0] = IP6),
            A::SetIpv6Dst => self.rewrites_frame(true, Action::SetIpv6Dst(IP6), |f| f.ip6[1] = IP6),
            A::SetTpSrc => self.rewrites_frame(false, Action::SetTpSrc(4321), |f| f.ports[0] = 4321),
            A::SetTpDst => self.rewrites_frame(true, Action::SetTpDst(4321), |f| f.ports[1] = 4321),
            A::SetTtl => {
                self.rewrites_frame(false, Action::SetTtl(9), |f| f.ttl = 9);
                self.rewrites_frame(true, Action::SetTtl(9), |f| f.ttl = 9);
            }
            A::DecTtl => {
                self.rewrites_frame(false, Action::DecTtl, |f| f.ttl = 63);
                self.rewrites_frame(true, Action::DecTtl, |f| f.ttl = 63);
            }
            A::SetIpv4Dscp => self.rewrites_frame(false, Action::SetIpv4Dscp(46), |f| f.tos = 46 << 2 | 2),
            A::SetIpv6Dscp => self.rewrites_frame(true, Action::SetIpv6Dscp(46), |f| f.tos = 46 << 2 | 2),
            A::ModifyDscp => {
                self.rewrites_frame(false, set_field(Field::Ipv4Dscp, 6, &[46]), |f| f.tos = 46 << 2 | 2);
                self.rewrites_frame(true, set_field(Field::Ipv6Dscp, 6, &[46]), |f| f.tos = 46 << 2 | 2);
            }
            A::ModifyEcn => {
                self.rewrites_frame(false, set_field(Field::Ipv4Ecn, 2, &[1]), |f| f.tos = 0x49);
                self.rewrites_frame(true, set_field(Field::Ipv6Ecn, 2, &[1]), |f| f.tos = 0x49);
            }
            A::ModifyField => {
                self.rewrites_frame(false, set_field(Field::Ipv4Src, 32, &IP), |f| f.ip[0] = IP);
                self.rewrites_frame(true, set_field(Field::Ipv6HopLimit, 8, &[9]), |f| f.ttl = 9);
            }
            A::SetTag => {
                let set = |data, mask| Action::SetTag { index: 3, data, mask };
                let mask = Tag { data: u32::MAX, index: 0xff };
                let tag = |data| Item::Tag(Match::Masked { spec: Tag { data, index: 3 }, mask });
                self.registers(&[set(0xabcd, 0xffff), set(0xffff, 0xf0)], tag(0xabfd), tag(0));
            }
            A::SetMeta => {
                let set = |data, mask| Action::SetMeta { data, mask };
                let meta = |data| {
                    let mask = rte_flow_rs::Meta { data: u32::MAX };
                    Item::Meta(Match::Masked { spec: rte_flow_rs::Meta { data }, mask })
                };
                self.registers(&[set(0xabcd, 0xffff), set(0xffff, 0xf0)], meta(0xabfd), meta(0));
            }
            A::Meter => self.meter(&plain),
            A::Age => self.age(&plain),
            A::Sample => self.sample(&plain),
            A::VxlanEncap => {
                self.rewrites(&[ETH], &[Action::VxlanEncap(vxlan_definition())], &plain, &in_vxlan(&plain));
            }
            A::VxlanDecap => self.rewrites(&[ETH], &[Action::VxlanDecap], &in_vxlan(&plain), &plain),
            A::RawEncap => self.rewrites(&[ETH], &[Action::RawEncap(vxlan_template())], &plain, &in_vxlan(&plain)),
            A::RawDecap => {
                self.rewrites(&[ETH], &[Action::RawDecap(vxlan_template())], &in_vxlan(&plain), &plain);
            }
            A::Passthru => self.passthru(&plain),
        }
    }
}

#[test]
fn every_action_that_a_profile_claims_is_carried_out() {
    let mut run = BTreeSet::new();
    for profile in Profile::NAMES {
        let profile = Profile::named(profile).unwrap();
        for (transfer, caps) in [(true, profile.transfer.clone()), (false, profile.ingress.clone())] {
            let Some(caps) = caps else { continue };
            for name in ActionName::ALL.iter().filter(|name| caps.actions.contains(name)) {
                println!("{} {name:?} transfer {transfer}", profile.name);
                let nic = Eswitch::new(profile.clone(), ETHDEVS.to_vec(), Faults::none(), 1).with_queues(QUEUES);
                let mut rig = Rig { nic, transfer };
                rig.carries_out(*name, &caps);
                assert_balance(rig.nic.stats());
                run.insert(*name);
            }
        }
    }
    assert!(ActionName::ALL.iter().all(|name| run.contains(name)), "a name that no profile claims");
}
