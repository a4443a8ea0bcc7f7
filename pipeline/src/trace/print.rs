//! Traces as text.

use super::{Trace, TraceNode, TracePass, TraceRule, TraceStep};
use flow::dp::OvsActions;
use flow::field::Prereq;
use flow::rule::DEFAULT_PRIORITY;
use flow::text::format_match;
use flow::{FieldId, FlowKey, Match, OfPort, Registers};
use std::fmt::{self, Display};

impl Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for pass in &self.passes {
            write!(f, "{pass}")?;
        }
        Ok(())
    }
}

impl Display for TracePass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(resumed) = &self.resumed {
            let line = "=".repeat(79);
            write!(f, "\n\n{line}\nrecirc({:#x})", resumed.recirc_id.0)?;
            if let Some(state) = resumed.ct_state {
                write!(f, " - resume conntrack with ct_state={}", ct_state(state))?;
            }
            write!(f, "\n{line}\n\n")?;
        }
        writeln!(f, "Flow: {}", text(&self.flow))?;
        nodes(f, &self.steps, 0)?;
        match &self.final_flow {
            Some(flow) => writeln!(f, "\nFinal flow: {}", text(flow))?,
            None => writeln!(f, "\nFinal flow: unchanged")?,
        }
        writeln!(f, "Megaflow: {}", text(&self.megaflow))?;
        write!(f, "Datapath actions: {}", OvsActions(&self.actions).of(self.flow.key.eth_type.get()))?;
        match self.dropped {
            Some(reason) => write!(f, "\nDropped: {reason}"),
            None => Ok(()),
        }
    }
}

fn text(matching: &Match) -> String {
    format_match(matching, DEFAULT_PRIORITY)
}

fn ct_state(state: u32) -> String {
    const NAMES: [&str; 8] = ["new", "est", "rel", "rpl", "inv", "trk", "snat", "dnat"];
    let names = NAMES.iter().enumerate().filter(|(bit, _)| state >> bit & 1 != 0);
    names.map(|(_, name)| *name).collect::<Vec<_>>().join("|")
}

/// Steps with the indentation of ofproto/trace: what ends in another lookup is written below, not beside it.
fn nodes(f: &mut fmt::Formatter<'_>, list: &[TraceNode], level: usize) -> fmt::Result {
    for (i, node) in list.iter().enumerate() {
        let ends = i + 1 == list.len();
        let more = usize::from(!ends || node.step.is_terminal());
        let pad = " ".repeat((level + more) * 4);
        match &node.step {
            TraceStep::Bridge(name) => {
                let title = format!("bridge(\"{name}\")");
                writeln!(f, "\n{pad}{title}\n{pad}{}", "-".repeat(title.len()))?;
            }
            step => writeln!(f, "{pad}{step}")?,
        }
        nodes(f, &node.steps, level + 2 * more)?;
    }
    Ok(())
}

impl TraceStep {
    /// Whether it is always indented.
    fn is_terminal(&self) -> bool {
        use TraceStep as S;
        matches!(self, S::Action(_) | S::Detail(_) | S::Warning(_) | S::Error(_) | S::Bucket(_))
    }
}

impl Display for TraceStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TraceStep::Bridge(name) => write!(f, "bridge(\"{name}\")"),
            TraceStep::Thaw(text) | TraceStep::Action(text) => f.write_str(text),
            TraceStep::Table { table, rule: Some(rule) } => write!(f, "{table:2}. {rule}"),
            TraceStep::Table { table, rule: None } => write!(f, "{table:2}. No match."),
            TraceStep::ActionSet => f.write_str("--. Executing action set:"),
            TraceStep::Bucket(id) => write!(f, "bucket {id}"),
            TraceStep::Detail(text) => write!(f, " -> {text}"),
            TraceStep::Warning(text) => write!(f, " >> {text}"),
            TraceStep::Error(text) => write!(f, " >>>> {text} <<<<"),
        }
    }
}

impl Display for TraceRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let matching = text(&self.matching);
        let comma = if matching.is_empty() { "" } else { ", " };
        write!(f, "{matching}{comma}priority {}", self.priority)?;
        if self.cookie != 0 { write!(f, ", cookie {:#x}", self.cookie) } else { Ok(()) }
    }
}

/// What every packet has.
const ALWAYS: [FieldId; 4] = [FieldId::EthSrc, FieldId::EthDst, FieldId::EthType, FieldId::VlanTci];
/// What is said only when it is not zero.
const CONTEXT: [FieldId; 9] = [
    FieldId::InPort,
    FieldId::RecircId,
    FieldId::PktMark,
    FieldId::DpHash,
    FieldId::CtState,
    FieldId::CtZone,
    FieldId::CtMark,
    FieldId::CtLabel,
    FieldId::Metadata,
];
/// What packets of some sort have.
const LAYERS: [FieldId; 31] = [
    FieldId::Ipv4Src,
    FieldId::Ipv4Dst,
    FieldId::Ipv6Src,
    FieldId::Ipv6Dst,
    FieldId::Ipv6Label,
    FieldId::IpProto,
    FieldId::IpDscp,
    FieldId::IpEcn,
    FieldId::IpTtl,
    FieldId::IpFrag,
    FieldId::ArpOp,
    FieldId::ArpSpa,
    FieldId::ArpTpa,
    FieldId::ArpSha,
    FieldId::ArpTha,
    FieldId::TcpSrc,
    FieldId::TcpDst,
    FieldId::TcpFlags,
    FieldId::UdpSrc,
    FieldId::UdpDst,
    FieldId::SctpSrc,
    FieldId::SctpDst,
    FieldId::IcmpType,
    FieldId::IcmpCode,
    FieldId::Icmpv6Type,
    FieldId::Icmpv6Code,
    FieldId::NdTarget,
    FieldId::NdSll,
    FieldId::NdTll,
    FieldId::MplsLabel,
    FieldId::MplsTtl,
];

pub(super) fn whole(key: &FlowKey, regs: &Registers) -> Match {
    let mut out = Match::default();
    let mut set = |field: FieldId| out.set_exact(field, field.def().get(key, regs));
    ALWAYS.into_iter().for_each(&mut set);
    let holds = |f: &FieldId| f.def().prereq != Prereq::None && f.def().prereq.holds(key);
    LAYERS.into_iter().filter(holds).for_each(&mut set);
    let registers = (FieldId::Reg0 as usize..=FieldId::Reg15 as usize).map(|i| flow::field::FIELDS[i].id);
    let tunnel = [FieldId::TunId, FieldId::TunSrc, FieldId::TunDst, FieldId::TunIpv6Src, FieldId::TunIpv6Dst];
    let context = CONTEXT.into_iter().chain(registers).chain(tunnel);
    context.filter(|f| f.def().get(key, regs).0 != 0).for_each(&mut set);
    if regs.actset_output != u32::from(OfPort::UNSET.0) {
        set(FieldId::ActsetOutput);
    }
    out
}
