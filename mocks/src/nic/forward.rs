//! What happens to a frame in the switch.

use super::edit::{Edit, Editor};
use super::encap;
use super::eswitch::{Delivery, Eswitch};
use super::faults::Fault;
use super::headers::Headers;
use super::item::Registers;
use super::meter::Fate;
use super::modify;
use super::rule::{Act, Domain, Queues, Source};
use super::table::{Packet, RuleNo};
use std::sync::Arc;

/// A rule dropped a frame that software sent.
const DROP_BY_RULE_OF_TX: &str = "rule_drop_of_software_tx";

/// What a frame has become on its way.
#[derive(Clone)]
struct Work {
    frame: Vec<u8>,
    /// Length when it came in.
    received: u64,
    mark: Option<u32>,
    flag: bool,
    registers: Registers,
    queues: Queues,
    changed: bool,
    outputs: u64,
    dropped: bool,
}

/// Where a packet goes on after a rule.
enum Next {
    /// Nowhere: it was sent or dropped.
    Done,
    /// To software by this representor.
    Software(usize),
    /// In this group.
    Group(u32),
    /// With rules of a lower priority.
    Lower,
}

impl Eswitch {
    /// A frame comes into the switch; where it goes is appended to `out`.
    pub fn forward(&mut self, source: Source, frame: Vec<u8>, out: &mut Vec<Delivery>) {
        let received = frame.len() as u64;
        let mut work = Work {
            frame,
            received,
            mark: None,
            flag: false,
            registers: Registers::default(),
            queues: Queues::All,
            changed: false,
            outputs: 0,
            dropped: false,
        };
        let first = out.len();
        let representor = self.transfer(source, &mut work, out);
        let delivered = representor.is_some_and(|place| self.receive(place, source, &mut work, out));
        match source {
            Source::Outside(_) => {
                self.stats.frames_in += 1;
                match (delivered, work.changed || work.outputs > 0 || work.mark.is_some() || work.flag) {
                    (false, _) => self.stats.hardware += 1,
                    (true, true) => self.stats.partial += 1,
                    (true, false) => self.stats.software += 1,
                }
                self.stats.hardware_out += work.outputs;
                self.stats.hardware_dropped += u64::from(work.dropped);
            }
            Source::Representor(_) => {
                self.stats.from_representors += 1;
                if work.dropped {
                    self.stats.drop_one(DROP_BY_RULE_OF_TX);
                }
            }
        }
        let ends = out.len() - first + usize::from(work.dropped);
        self.stats.copies += ends.saturating_sub(1) as u64;
    }

    /// Rules of the embedded switch. The place whose representor gets the frame, if one does.
    fn transfer(&mut self, source: Source, work: &mut Work, out: &mut Vec<Delivery>) -> Option<usize> {
        let (mut group, mut after) = (0, None);
        loop {
            let Some((no, priority)) = self.hit(Domain::Transfer, group, after, source, work) else {
                // The default rules: from outside to the representor, from the representor out.
                return match source {
                    Source::Outside(place) => Some(place),
                    Source::Representor(place) => {
                        out.push(Delivery::Outside { place, frame: std::mem::take(&mut work.frame) });
                        None
                    }
                };
            };
            match self.execute(no, source, work, out) {
                Next::Done => return None,
                Next::Software(place) => return Some(place),
                Next::Group(to) => (group, after) = (to, None),
                Next::Lower => after = Some(priority),
            }
        }
    }

    /// The actions of a transfer rule.
    fn execute(&mut self, no: RuleNo, source: Source, work: &mut Work, out: &mut Vec<Delivery>) -> Next {
        let mut next = Next::Done;
        for act in &*self.start(no, work) {
            match act {
                Act::Output(place) => self.output(*place, work, out),
                Act::ToRepresentor(place) => next = Next::Software(*place),
                Act::Jump(to) => return Next::Group(*to),
                Act::Passthru => next = Next::Lower,
                Act::Sample { ratio, acts } => self.sample(no, *ratio, acts, work, out),
                Act::Meter(id) => {
                    if self.police(*id, work) == Fate::Drop {
                        work.dropped = true;
                        return Next::Done;
                    }
                }
                Act::Drop if self.faults.has(Fault::DropIgnored) => {
                    let at_wire = matches!(source, Source::Outside(0));
                    let place = usize::from(at_wire).min(self.ethdevs.len().saturating_sub(1));
                    work.outputs += 1;
                    out.push(Delivery::Outside { place, frame: work.frame.clone() });
                }
                Act::Drop => work.dropped = true,
                other => self.common(other, work),
            }
        }
        next
    }

    fn police(&mut self, meter: u32, work: &Work) -> Fate {
        self.stats.metered += 1;
        let counts = !self.faults.has(Fault::MeterNotCounted);
        match self.meters.pass(meter, work.frame.len() as u64, self.now, counts) {
            Fate::Pass if self.faults.has(Fault::MeterDropsGreen) => Fate::Drop,
            Fate::Drop if self.faults.has(Fault::MeterPassesRed) => Fate::Pass,
            fate => fate,
        }
    }

    fn output(&self, place: usize, work: &mut Work, out: &mut Vec<Delivery>) {
        let place = self.output_place(place);
        work.outputs += 1;
        out.push(Delivery::Outside { place, frame: work.frame.clone() });
    }

    /// One packet of `ratio` goes the way of `acts` too, as it is now.
    fn sample(&mut self, no: RuleNo, ratio: u32, acts: &Arc<[Act]>, work: &mut Work, out: &mut Vec<Delivery>) {
        let Some(installed) = self.rules.get_mut(no) else { return };
        let number = installed.sampled;
        installed.sampled += 1;
        if number % u64::from(ratio.max(1)) != 0 {
            return;
        }
        let mut copy = work.clone();
        for act in &**acts {
            match act {
                Act::Output(place) => {
                    let before = copy.outputs;
                    self.output(*place, &mut copy, out);
                    work.outputs += copy.outputs - before;
                }
                Act::ToRepresentor(place) => {
                    self.stats.to_representors += 1;
                    let (frame, mark) = (copy.frame.clone(), copy.mark);
                    let flag = copy.flag || mark.is_some();
                    out.push(Delivery::Representor { place: *place, frame, mark, flag, queues: Queues::All });
                }
                other => self.common(other, &mut copy),
            }
        }
    }

    /// Rules on what a representor receives. Whether software gets the frame.
    fn receive(&mut self, place: usize, source: Source, work: &mut Work, out: &mut Vec<Delivery>) -> bool {
        let (mut group, mut after) = (0, None);
        'rules: while let Some((no, priority)) = self.hit(Domain::Ingress(place), group, after, source, work) {
            for act in &*self.start(no, work) {
                match act {
                    Act::Jump(to) => {
                        (group, after) = (*to, None);
                        continue 'rules;
                    }
                    Act::Passthru => {
                        after = Some(priority);
                        continue 'rules;
                    }
                    Act::Drop if !self.faults.has(Fault::DropIgnored) => {
                        work.dropped = true;
                        return false;
                    }
                    Act::Meter(id) => {
                        if self.police(*id, work) == Fate::Drop {
                            work.dropped = true;
                            return false;
                        }
                    }
                    other => self.common(other, work),
                }
            }
            break;
        }
        let last = self.last_mark.get_mut(place);
        let mut mark = work.mark;
        if let Some(last) = last {
            if mark.is_some() {
                *last = mark;
            } else if self.faults.has(Fault::StaleMark) {
                mark = *last;
            }
        }
        if self.faults.has(Fault::MarkLost) {
            mark = None;
        }
        self.stats.to_representors += 1;
        let (frame, queues) = (std::mem::take(&mut work.frame), std::mem::take(&mut work.queues));
        out.push(Delivery::Representor { place, frame, mark, flag: work.flag || mark.is_some(), queues });
        true
    }

    fn hit(
        &self,
        domain: Domain,
        group: u32,
        after: Option<u32>,
        source: Source,
        work: &Work,
    ) -> Option<(RuleNo, u32)> {
        let limits = self.profile.parser;
        let headers = Headers::parse(&work.frame, limits)?;
        let packet = Packet { frame: &work.frame, headers, registers: &work.registers, limits };
        self.tables.lookup((domain, group), after, source, &packet)
    }

    /// Count a hit; the rule's actions.
    fn start(&mut self, no: RuleNo, work: &Work) -> Arc<[Act]> {
        let times = match (self.faults.has(Fault::CounterDoubled), self.faults.has(Fault::CounterStuck)) {
            (_, true) => 0,
            (true, _) => 2,
            _ => 1,
        };
        let Some(installed) = self.rules.get_mut(no) else { return Arc::new([]) };
        (installed.hit, installed.reported) = (self.now, false);
        let acts = Arc::clone(&installed.acts);
        for act in &*acts {
            let count = match act {
                Act::Count => Some(&mut installed.count),
                Act::CountIndirect(handle) => self.counters.get_mut(*handle).map(|(count, _)| count),
                _ => None,
            };
            if let Some(count) = count {
                count.packets += times;
                count.bytes += times * work.received;
            }
        }
        acts
    }

    fn common(&self, act: &Act, work: &mut Work) {
        let limits = self.profile.parser;
        let editor = Editor { limits, checksums: !self.faults.has(Fault::ChecksumNotUpdated) };
        match act {
            Act::Edit(edit) => {
                if let Some(edit) = self.faulty_edit(*edit) {
                    work.changed |= editor.apply(&mut work.frame, edit).is_some();
                }
            }
            Act::Modify(modify) => {
                let mut state = modify::State { registers: &mut work.registers, mark: &mut work.mark };
                let done = modify::apply(*modify, &mut work.frame, &mut state, &editor).is_some();
                work.changed |= done && !modify.is_register();
            }
            Act::SetTag { index, data, mask } => {
                if let Some(tag) = work.registers.tags.get_mut(*index) {
                    *tag = *tag & !mask | data & mask;
                }
            }
            Act::SetMeta { data, mask } => work.registers.meta = work.registers.meta & !mask | data & mask,
            Act::Encap(header) => {
                encap::encap(&mut work.frame, header, limits);
                work.changed = true;
            }
            Act::DecapVxlan => work.changed |= encap::decap_vxlan(&mut work.frame, limits).is_some(),
            Act::DecapBytes(bytes) => work.changed |= encap::decap_bytes(&mut work.frame, *bytes).is_some(),
            Act::Mark(mark) => work.mark = Some(*mark),
            Act::Flag => work.flag = true,
            Act::Queue(queues) => work.queues = queues.clone(),
            Act::Count
            | Act::CountIndirect(_)
            | Act::Age { .. }
            | Act::Meter(_)
            | Act::Sample { .. }
            | Act::Output(_)
            | Act::ToRepresentor(_)
            | Act::Jump(_)
            | Act::Passthru
            | Act::Drop => {}
        }
    }

    /// What a device with planted bugs does instead.
    fn faulty_edit(&self, edit: Edit) -> Option<Edit> {
        let has = |fault| self.faults.has(fault);
        match edit {
            Edit::PopVlan => (!has(Fault::VlanNotPopped)).then_some(edit),
            Edit::DecTtl if has(Fault::TtlOffByOne) => Some(Edit::SubTtl(2)),
            Edit::DecTtl => (!has(Fault::DecTtlSkipped)).then_some(edit),
            Edit::SetVid(vid) if has(Fault::VlanOffByOne) => Some(Edit::SetVid((vid + 1) & 0xfff)),
            Edit::PushVlan(_) => Some(edit),
            _ => (!has(Fault::RewriteSkipped)).then_some(edit),
        }
    }

    fn output_place(&self, place: usize) -> usize {
        let wrong = usize::from(self.faults.has(Fault::WrongPort));
        (place + wrong) % self.ethdevs.len().max(1)
    }
}
