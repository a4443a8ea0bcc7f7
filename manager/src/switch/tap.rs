//! Taps: copies of chosen packets, as they come in.
//!
//! A tap stands between datapath and pipeline. What the pipeline says of a packet that a tap wants begins, then, with a copy
//! of it; all else stays as it was: where the packet goes, what its rules count, what is learned. Hardware makes no such
//! copies, so flows of a tap are in software as long as it is there.
//!
//! Copies travel as packets for controllers do, with the reason `PacketOut`: no rule sends a packet to a controller for that.

use arc_swap::ArcSwap;
use datapath::PuntedPacket;
use flow::action::PacketInReason;
use flow::clock::Time;
use flow::dp::{Change, Dep, DpAction, DpFlow, Effect, Hits, PuntReason, Resume, Scope, Slowpath, Translation};
use flow::field::datapath_fields;
use flow::{DpPort, FieldId, FlowKey, Mask, Value};
use pipeline::Pipeline;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// Packets that a tap keeps for its reader; more are lost, and counted.
const KEPT: usize = 65_536;

/// Which packets a tap wants: those that come in on one of its ports with the values of `key` in the bits of `mask`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    ports: Vec<DpPort>,
    /// Input ports are said by `ports` alone.
    key: FlowKey,
    mask: Mask,
}

impl Wanted {
    /// Packets of these ports with the values of `key` in the bits of `mask`; what these say of input ports means nothing.
    #[must_use]
    pub fn new(ports: Vec<DpPort>, key: &FlowKey, mask: &Mask) -> Wanted {
        let (mut key, mut mask) = (key.masked(mask), *mask);
        key.in_port = 0.into();
        mask.0.in_port = 0.into();
        Wanted { ports, key, mask }
    }

    /// Look at a packet as deep as it takes, and note in `looked` how deep that was.
    fn takes(&self, key: &FlowKey, looked: &mut Mask) -> bool {
        looked.require(FieldId::InPort);
        if !self.ports.contains(&DpPort(key.in_port.get())) {
            return false;
        }
        // Fields come after those that they need: what a packet does not have is not looked for in it.
        datapath_fields().all(|def| {
            let bits = self.mask.get(def.id);
            if bits == Value(0) {
                return true;
            }
            looked.require_bits(def, bits);
            let value = |key: &FlowKey| key.get(def.id).unwrap_or_default().0 & bits.0;
            value(key) == value(&self.key)
        })
    }

    /// Whether packets of the flow can be wanted.
    #[must_use]
    pub fn covers(&self, flow: &DpFlow) -> bool {
        self.ports.contains(&flow.in_port())
            && Scope::new(&self.key, &self.mask).is_none_or(|scope| scope.meets(&flow.key, &flow.mask, None))
    }

    /// The packets of each port, by key and mask.
    pub fn each(&self) -> impl Iterator<Item = (FlowKey, Mask)> + '_ {
        self.ports.iter().map(|port| {
            let (mut key, mut mask) = (self.key, self.mask);
            key.in_port = port.0.into();
            mask.require(FieldId::InPort);
            (key, mask)
        })
    }

    /// What has changed for packets when the tap comes or goes.
    fn changes(&self) -> impl Iterator<Item = Change> + '_ {
        let change = |(port, (key, mask)): (&DpPort, (FlowKey, Mask))| Change {
            dep: Dep::PortOwner(*port),
            scope: Scope::new(&key, &mask).map(Arc::new),
        };
        self.ports.iter().zip(self.each()).map(change)
    }
}

/// A packet that a tap took.
#[derive(Clone, Debug)]
pub struct Tapped {
    pub at: Time,
    pub port: DpPort,
    pub data: Vec<u8>,
}

/// What a tap has for its reader.
#[derive(Debug, Default)]
struct Kept {
    packets: VecDeque<Tapped>,
    lost: u64,
}

type Wake = Arc<dyn Fn() + Send + Sync>;

/// The pipeline with taps before it.
pub struct Taps {
    pipeline: Arc<Pipeline>,
    /// Looked at with each translation: without a lock, and without a count that PMDs share.
    wanted: ArcSwap<BTreeMap<u16, Wanted>>,
    /// Only one at a time changes them.
    changing: Mutex<()>,
    kept: Mutex<BTreeMap<u16, Kept>>,
    changes: Mutex<Vec<Change>>,
    wake: OnceLock<Wake>,
}

impl std::fmt::Debug for Taps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Taps").field("wanted", &self.wanted).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Taps {
    /// No taps yet.
    #[must_use]
    pub fn new(pipeline: Arc<Pipeline>) -> Taps {
        Taps {
            pipeline,
            wanted: ArcSwap::default(),
            changing: Mutex::default(),
            kept: Mutex::default(),
            changes: Mutex::default(),
            wake: OnceLock::new(),
        }
    }

    /// Take packets from the next fence on. `None`: there are 65,536 taps already.
    pub fn add(&self, wanted: Wanted) -> Option<u16> {
        let changing = lock(&self.changing);
        let mut more = (**self.wanted.load()).clone();
        let id = (0..=u16::MAX).find(|id| !more.contains_key(id))?;
        lock(&self.kept).insert(id, Kept::default());
        // The tap is there before flows are looked at again.
        more.insert(id, wanted.clone());
        self.wanted.store(Arc::new(more));
        drop(changing);
        self.tell(&wanted);
        Some(id)
    }

    /// Take no more; packets that nobody has read are dropped. How many were lost before. `None`: there is no such tap.
    pub fn remove(&self, id: u16) -> Option<u64> {
        let changing = lock(&self.changing);
        let mut less = (**self.wanted.load()).clone();
        let wanted = less.remove(&id)?;
        self.wanted.store(Arc::new(less));
        drop(changing);
        self.tell(&wanted);
        lock(&self.kept).remove(&id).map(|kept| kept.lost)
    }

    fn tell(&self, wanted: &Wanted) {
        lock(&self.changes).extend(wanted.changes());
        if let Some(wake) = self.wake.get() {
            wake();
        }
    }

    /// Move packets to the reader, and how many were lost so far. `None`: there is no such tap.
    pub fn take(&self, id: u16, most: usize) -> Option<(Vec<Tapped>, u64)> {
        let mut kept = lock(&self.kept);
        let tap = kept.get_mut(&id)?;
        let n = tap.packets.len().min(most);
        Some((tap.packets.drain(..n).collect(), tap.lost))
    }

    /// Keep a packet for its reader, if it is one of a tap. `false`: it is not.
    pub fn keep(&self, packet: &PuntedPacket) -> bool {
        let PuntReason::Controller { reason: PacketInReason::PacketOut, id, .. } = packet.reason else { return false };
        if let Some(tap) = lock(&self.kept).get_mut(&id) {
            if tap.packets.len() < KEPT {
                let port = DpPort(packet.metadata.in_port.get());
                tap.packets.push_back(Tapped { at: packet.at, port, data: packet.data.clone() });
            } else {
                tap.lost += 1;
            }
        }
        true
    }

    /// Add to a flow's mask what taps look at in a packet of it.
    pub fn narrow(&self, packet: &FlowKey, mask: &mut Mask) {
        if packet.recirc_id.get() == 0 {
            for wanted in self.wanted.load().values() {
                wanted.takes(packet, mask);
            }
        }
    }

    /// The flow without copies for taps, which are not what its packets are for.
    #[must_use]
    pub fn untapped(flow: &DpFlow) -> DpFlow {
        let copy = |a: &&DpAction| {
            matches!(a, DpAction::Punt(PuntReason::Controller { reason: PacketInReason::PacketOut, .. }))
        };
        DpFlow {
            id: flow.id,
            key: flow.key,
            mask: flow.mask,
            actions: flow.actions.iter().skip_while(copy).cloned().collect(),
            deps: flow.deps.clone(),
            effects: flow.effects.clone(),
            mark: flow.mark,
        }
    }

    /// What the pipeline says, with copies for the taps that want the packet.
    fn tapped(&self, at: &Resume, key: &FlowKey, mut translation: Translation) -> Translation {
        let wanted = self.wanted.load();
        if wanted.is_empty() || at.recirc_id.0 != 0 {
            return translation;
        }
        let mut copies = Vec::new();
        for (id, wanted) in wanted.iter() {
            if wanted.takes(key, &mut translation.mask) {
                let copy = PuntReason::Controller { max_len: u16::MAX, reason: PacketInReason::PacketOut, id: *id };
                copies.push(DpAction::Punt(copy));
            }
        }
        if !copies.is_empty() {
            translation.actions = copies.into_iter().chain(translation.actions.iter().cloned()).collect();
        }
        translation
    }
}

impl Slowpath for Taps {
    fn translate(&self, at: &Resume, key: &FlowKey) -> Translation {
        self.tapped(at, key, self.pipeline.translate(at, key))
    }

    fn translate_first(&self, at: &Resume, key: &FlowKey, first: &Hits) -> Translation {
        self.tapped(at, key, self.pipeline.translate_first(at, key, first))
    }

    fn replay(&self, effects: &[Effect], hits: &Hits) {
        self.pipeline.replay(effects, hits);
    }

    fn take_changes(&self, changes: &mut Vec<Change>) {
        self.pipeline.take_changes(changes);
        changes.append(&mut lock(&self.changes));
    }

    fn on_change(&self, call: Box<dyn Fn() + Send + Sync>) -> bool {
        let call: Wake = call.into();
        // A second one would not be called for taps; there is but one datapath.
        let _ = self.wake.set(Arc::clone(&call));
        self.pipeline.on_change(Box::new(move || call()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flow::text::{NoPorts, parse_match};

    fn wanted(ports: &[u32], text: &str) -> Wanted {
        let matching = parse_match(text, &NoPorts).unwrap();
        Wanted::new(ports.iter().map(|n| DpPort(*n)).collect(), &matching.key, &matching.mask)
    }

    fn packet(port: u32, text: &str) -> FlowKey {
        let mut key = parse_match(text, &NoPorts).unwrap().key;
        key.in_port = port.into();
        key
    }

    #[test]
    fn a_tap_takes_what_is_of_its_ports_and_match_whatever_number_rules_give_the_port() {
        let tap = wanted(&[7], "in_port=1,udp,tp_src=2");
        let mut looked = Mask::ANY;
        assert!(tap.takes(&packet(7, "udp,tp_src=2,nw_dst=10.0.0.1"), &mut looked));
        assert!(!tap.takes(&packet(1, "udp,tp_src=2"), &mut looked), "another port");
        assert!(!tap.takes(&packet(7, "udp,tp_src=3"), &mut looked));
        assert!(looked.get(FieldId::UdpSrc) != Value(0) && looked.get(FieldId::Ipv4Dst) == Value(0));
        let mut looked = Mask::ANY;
        assert!(!tap.takes(&packet(7, "arp"), &mut looked));
        assert_eq!(looked.get(FieldId::IpProto), Value(0), "not looked for in what has none");
    }

    #[test]
    fn what_is_told_is_of_each_port() {
        let tap = wanted(&[7, 8], "udp,tp_src=2");
        let changes: Vec<Change> = tap.changes().collect();
        assert_eq!(changes.iter().map(|c| c.dep).collect::<Vec<_>>(), [7, 8].map(|n| Dep::PortOwner(DpPort(n))));
        let scope = changes[0].scope.as_ref().unwrap();
        let all = {
            let mut mask = Mask::ANY;
            mask.require(FieldId::InPort);
            mask.require(FieldId::UdpSrc);
            mask
        };
        assert!(scope.meets(&packet(7, "udp,tp_src=2"), &all, None));
        assert!(!scope.meets(&packet(8, "udp,tp_src=2"), &all, None));
        assert!(!scope.meets(&packet(7, "udp,tp_src=3"), &all, None));
    }
}
