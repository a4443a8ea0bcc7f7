//! Every reason is produced by planner or engine, shown with what it is about and with a remedy of its own, and the remedy is
//! tried. The guide's chapter is written from the same cases.

use super::help::Change;
use super::tests::able;
use super::*;
use crate::backend::{DeviceError, DeviceErrorKind};
use crate::caps::{Capabilities, MaskCap};
use crate::engine::Placement;
use crate::engine::reason_tests::{self as engine, Told};
use crate::refusal::{MeterObstacle, PortRefusal, REASONS};
use crate::testing::{FlowMaker, from, world, world_of};
use crate::world::{Admission, Admitted};
use flow::dp::*;
use flow::{FieldId, Value, VlanTag};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;

/// What the remedy comes to.
enum Remedy {
    /// After it, all of the flow is in hardware: the flow and the world then.
    Full(Arc<DpFlow>, World),
    /// After one of the changes that are offered, all of the flow is in hardware.
    Offered(Change),
    /// After it, the flow is marked.
    Marked(Arc<DpFlow>, World),
    /// After it, an engine put the flow in.
    Seen(&'static str),
    /// Nothing is to be done, or not to the flow; why.
    None(&'static str),
}

struct Case {
    reason: Refusal,
    flow: Arc<DpFlow>,
    world: World,
    /// Whether the flow is kept, or its packets are decided one by one.
    kept: Cacheable,
    /// What an engine said of the flow, which the planner would have in hardware.
    engine: Refusals,
    remedy: Remedy,
}

impl Case {
    fn plan(&self) -> Plan {
        plan_translated(&self.flow, self.kept, &self.world)
    }

    fn explained(&self) -> Explained {
        let more = if self.kept == Cacheable::No { &[Refusal::NotCacheable] } else { &self.engine[..] };
        explain(&self.flow, &self.world, more)
    }
}

fn case(reason: Refusal, flow: FlowMaker, world: World, remedy: Remedy) -> Case {
    Case { reason, flow: flow.build(1), world, kept: Cacheable::Yes, engine: Refusals::new(), remedy }
}

/// A reason that an engine gave, and that was gone after `remedy`.
fn of_engine(told: Told, remedy: &'static str) -> Case {
    let [reason] = &told.refusals[..] else { panic!("{:?}", told.refusals) };
    assert!(told.went_in, "{reason:?}: {remedy}, and the flow is not in");
    Case {
        reason: reason.clone(),
        flow: told.flow,
        world: told.world,
        kept: Cacheable::Yes,
        engine: told.refusals,
        remedy: Remedy::Seen(remedy),
    }
}

fn connectx() -> World {
    world("connectx")
}

fn able_world() -> World {
    world_of(able())
}

/// A world whose devices are `connectx`, but for this.
fn with(change: impl Fn(&mut Capabilities, &mut TransferCaps)) -> World {
    let mut caps = able();
    let mut transfer = caps.transfer.take().unwrap();
    change(&mut caps, &mut transfer);
    caps.transfer = Some(transfer);
    world_of(caps)
}

fn fixed(flow: FlowMaker) -> Remedy {
    Remedy::Full(flow.build(1), connectx())
}

fn fixed_in(flow: FlowMaker, world: World) -> Remedy {
    Remedy::Full(flow.build(1), world)
}

fn also(field: FieldId, value: u128) -> Remedy {
    Remedy::Offered(Change::MatchAlso { field, value: Value(value), mask: field.def().ones() })
}

fn meter_world(place: bool) -> World {
    let mut world = able_world();
    if place {
        let device = world.ports[&DpPort(1)].device();
        world.meters.insert(MeterId(7), device);
    }
    world
}

fn meter_out(why: MeterObstacle) -> World {
    let mut world = able_world();
    world.meter_obstacles.insert(MeterId(7), (1, why));
    world
}

fn queues(n: u16) -> World {
    let mut world = with(|caps, _| caps.partial.as_mut().unwrap().rss = false);
    world.ports.get_mut(&DpPort(1)).unwrap().rx_queues = n;
    world
}

const NATURE: &str = "by its nature a matter of software";

fn cases() -> Vec<Case> {
    use Remedy as R;
    let port = DpPort;
    let meter = || from(1).ipv4().then(DpAction::Meter(MeterId(7))).output(2);
    // What is to be done is done to the meter; then the flow is in hardware as it is.
    let meter_case = |why: MeterObstacle| {
        let refusal = Refusal::Meter { meter: MeterId(7), number: 1, why: why.clone() };
        case(refusal, meter(), meter_out(why), fixed_in(meter(), meter_world(true)))
    };
    let tagged = || from(1).masked(FieldId::VlanTci, 0x1000, 0x1000);
    let resume = from(1).ipv4().set(FieldId::EthSrc, 7u64).then(DpAction::Truncate(64)).output(2);
    let outer = |len: usize| DpAction::TunnelPush(Encap { header: vec![0; len].into(), port: DpPort(1) });
    let drop = || DpAction::Drop(DropReason::RuleDrop);
    let out = |n, why| {
        case(Refusal::OutputPort { port: port(n), why }, from(1).output(n), connectx(), fixed(from(1).output(2)))
    };
    let dec = || from(1).ipv4().then(DpAction::DecTtl).output(2);
    let prefix = with(|_, t| t.fields = t.fields.clone().with(MaskCap::Prefix, &[FieldId::Ipv4Dst]));
    let odd = from(1).ipv4().masked(FieldId::Ipv4Dst, 0x0a00_0001, 0xff00_00ff).output(2);
    let twice = from(1).ipv4().then(DpAction::DecTtl);
    let admitting = |admission| World { admission, ..connectx() };
    let port_off = admitting(Admission { ports_off: [port(1)].into(), ..Admission::all() });
    let policy_off = admitting(Admission { policy: Admitted::None, ..Admission::all() });
    let (p1, both): (Box<str>, Box<str>) = ("p1".into(), "p2,p1".into());
    let mut unmarked = Arc::into_inner(from(1).output(6).build(1)).unwrap();
    unmarked.mark = Mark(0);
    let uncounted = with(|_, t| t.counter = CounterKind::None);
    let no_guard = with(|_, t| t.priorities = 1);
    let bare = || FlowMaker::bare(1).output(2);
    vec![
        case(
            Refusal::MatchField { field: FieldId::ArpOp },
            from(1).field(FieldId::EthType, 0x0806u16).field(FieldId::ArpOp, 1u16).output(2),
            connectx(),
            R::Offered(Change::WithoutField(FieldId::ArpOp)),
        ),
        case(
            Refusal::PartialMask { field: FieldId::Ipv4Dst },
            odd,
            prefix,
            R::Offered(Change::WholeField(FieldId::Ipv4Dst)),
        ),
        case(
            Refusal::Prerequisite { field: FieldId::Ipv4Dst, on: FieldId::EthType },
            from(1).field(FieldId::Ipv4Dst, 0x0a00_0001u32).output(2),
            connectx(),
            also(FieldId::EthType, 0x0800),
        ),
        case(
            Refusal::Inexact { field: FieldId::IpFrag },
            from(1).ipv4().field(FieldId::IpFrag, 3u8).output(2),
            connectx(),
            fixed(from(1).ipv4().field(FieldId::IpFrag, 0u8).output(2)),
        ),
        case(
            Refusal::Action(DpActionKind::Truncate),
            from(1).then(DpAction::Truncate(64)).output(2),
            connectx(),
            R::Offered(Change::WithoutAction { number: 0, kind: DpActionKind::Truncate }),
        ),
        case(
            Refusal::PartialSet { field: FieldId::Ipv4Dst },
            from(1).ipv4().field(FieldId::IpFrag, 0u8).output(2).first(DpAction::Set {
                field: FieldId::Ipv4Dst,
                value: Value(1),
                mask: Value(0xff),
            }),
            connectx(),
            R::Offered(Change::WholeSet { number: 0, field: FieldId::Ipv4Dst }),
        ),
        case(
            Refusal::ActionNeedsMatch { action: DpActionKind::Set(FieldId::TcpDst), field: FieldId::IpProto },
            from(1).ipv4().set(FieldId::TcpDst, 80u16).output(2),
            connectx(),
            also(FieldId::IpProto, 6),
        ),
        case(
            Refusal::Repeated(DpActionKind::DecTtl),
            twice.then(DpAction::DecTtl).output(2),
            connectx(),
            R::Offered(Change::WithoutAction { number: 0, kind: DpActionKind::DecTtl }),
        ),
        case(
            Refusal::RewriteAfterOutput(DpActionKind::Set(FieldId::EthSrc)),
            from(1).output(2).set(FieldId::EthSrc, 7u64).output(3),
            with(|_, t| t.rewrite_after_output = false),
            R::Offered(Change::WithoutAction { number: 1, kind: DpActionKind::Set(FieldId::EthSrc) }),
        ),
        case(
            Refusal::DropAfter(DpActionKind::DecTtl),
            from(1).ipv4().then(DpAction::DecTtl).then(drop()),
            connectx(),
            R::Offered(Change::WithoutAction { number: 0, kind: DpActionKind::DecTtl }),
        ),
        case(
            Refusal::SecondPass(DpActionKind::Recirc),
            from(1).ipv4().then(DpAction::Recirc(RecircId(1))),
            connectx(),
            fixed(from(1).ipv4().output(2)),
        ),
        case(
            Refusal::HashDiffers,
            from(1)
                .tcp()
                .then(DpAction::Hash(HashSpec { algorithm: HashAlgorithm::L4, basis: 0 }))
                .then(DpAction::Recirc(RecircId(1))),
            connectx(),
            // The switch chooses: a flow for each connection.
            fixed(from(1).tcp().field(FieldId::TcpSrc, 4711u16).field(FieldId::Ipv4Src, 7u32).output(3)),
        ),
        case(
            Refusal::TooManyRewrites { have: 2, max: 1 },
            from(1).set(FieldId::EthSrc, 7u64).set(FieldId::EthDst, 8u64).output(2),
            with(|caps, _| caps.limits.rewrites = Some(1)),
            R::Offered(Change::WithoutAction { number: 0, kind: DpActionKind::Set(FieldId::EthSrc) }),
        ),
        case(
            Refusal::EncapTooLong { have: 70, max: 64 },
            from(2).then(outer(70)),
            able_world(),
            fixed_in(from(2).then(outer(50)), able_world()),
        ),
        case(Refusal::NoResume { done: 1 }, resume, able_world(), R::None("the flow is marked all the same")),
        out(7, PortRefusal::Unknown),
        out(6, PortRefusal::NotRepresentor),
        out(5, PortRefusal::OtherEswitch),
        case(
            Refusal::OutputPort { port: port(1), why: PortRefusal::InputPort },
            from(1).output(1),
            with(|_, t| t.hairpin = false),
            fixed(from(1).output(2)),
        ),
        case(
            Refusal::TooManyOutputs { have: 3, max: 2 },
            from(1).output(2).output(3).output(4),
            connectx(),
            fixed(from(1).output(2).output(3)),
        ),
        case(Refusal::NoActions, from(1), connectx(), R::Offered(Change::ExplicitDrop)),
        case(
            Refusal::TtlExpires,
            dec().field(FieldId::IpTtl, 1u8),
            connectx(),
            R::None("such packets are dropped and counted by software"),
        ),
        case(
            Refusal::Reserved,
            bare(),
            no_guard.clone(),
            R::Offered(Change::MatchAlso { field: FieldId::EthDst, value: Value(0), mask: Value(1 << 40) }),
        ),
        case(Refusal::NoGuard, dec(), no_guard, also(FieldId::IpTtl, 64)),
        case(
            Refusal::NeverMatches,
            {
                let mut flow = from(1).output(2);
                flow.contradict();
                flow
            },
            connectx(),
            R::None("no packet is of this flow"),
        ),
        case(Refusal::NoCounter, from(1).output(2), uncounted, fixed(from(1).output(2))),
        Case {
            flow: Arc::new(unmarked),
            ..case(Refusal::NoMark, from(1), connectx(), R::Marked(from(1).output(6).build(1), connectx()))
        },
        case(
            Refusal::NoSpread { queues: 4 },
            from(1).output(6),
            queues(4),
            R::Marked(from(1).output(6).build(1), queues(1)),
        ),
        case(Refusal::NotOffloadCapable { port: port(6) }, from(6).output(2), connectx(), fixed(from(1).output(2))),
        case(Refusal::Disabled, from(1).output(2), admitting(Admission::off()), R::Offered(Change::TurnOn)),
        case(
            Refusal::PortDisabled { port: port(1), name: p1.clone() },
            from(1).output(2),
            port_off,
            R::Offered(Change::TurnOnPort { port: port(1), name: p1.clone() }),
        ),
        case(Refusal::PolicyOff, from(1).output(2), policy_off, R::Offered(Change::PolicyAll)),
        case(
            Refusal::PolicyPorts { port: port(1), name: p1.clone(), ports: both.clone() },
            from(1).output(2),
            admitting(Admission::ports([port(2)])),
            R::Offered(Change::PolicyPort { port: port(1), name: p1, ports: both }),
        ),
        case(
            Refusal::RecircNotZero,
            from(1).field(FieldId::RecircId, 5u32).output(2),
            connectx(),
            fixed(from(1).output(2)),
        ),
        Case {
            kept: Cacheable::No,
            ..case(
                Refusal::NotCacheable,
                from(1).field(FieldId::EthDst, [1, 0x80, 0xc2, 0, 0, 2]).output(2),
                connectx(),
                R::None(NATURE),
            )
        },
        meter_case(MeterObstacle::Bands { bands: 2 }),
        meter_case(MeterObstacle::Ports),
        meter_case(MeterObstacle::Full { limit: 16 }),
        meter_case(MeterObstacle::Refused(DeviceError {
            kind: DeviceErrorKind::Other(71),
            message: "mlx5_flow_meter: no ASO object".into(),
        })),
        meter_case(MeterObstacle::Moving),
        case(
            Refusal::MeterSplit { meter: MeterId(7) },
            meter(),
            meter_world(false),
            R::Offered(Change::MeterInHardware(MeterId(7))),
        ),
        case(
            Refusal::MeterSplit { meter: MeterId(7) },
            from(1).ipv4().then(DpAction::Meter(MeterId(7))).set(FieldId::Ipv4Src, 1u32).output(2),
            meter_world(true),
            R::Offered(Change::WithoutAction { number: 0, kind: DpActionKind::Meter }),
        ),
        case(
            Refusal::Action(DpActionKind::PopVlan),
            tagged().then(DpAction::PopVlan).output(2),
            world("e810"),
            fixed(tagged().then(DpAction::PopVlan).output(2)),
        ),
        of_engine(engine::off(), "offload was turned on"),
        of_engine(engine::port_off(), "offload was turned on for the port"),
        of_engine(engine::table_full(), "rules were aggregated, so that there were fewer flows"),
        of_engine(engine::counters_used(), "rules were aggregated, so that there were fewer flows"),
        of_engine(engine::evicted(), "the NIC was one with a larger table"),
        of_engine(engine::endpoints(), "other flows went to fewer tunnel endpoints"),
        of_engine(engine::encap_limit(), "the capability file said that the NIC holds more headers, as it does"),
        of_engine(engine::cold(), "the policy's rate was lowered"),
        of_engine(engine::captured(), "the capture ended"),
        of_engine(engine::does_not_count(), "the device counted again"),
        of_engine(engine::refuses(DeviceErrorKind::NotSupported), "the device was attached anew, and could do it"),
        of_engine(engine::full_by_others(), "the rules of others left"),
        of_engine(engine::refuses(DeviceErrorKind::Invalid), "the device was attached anew with other firmware"),
        of_engine(engine::refuses(DeviceErrorKind::Busy), "the device had time"),
        of_engine(engine::refuses(DeviceErrorKind::Exists), "the other rule was removed"),
        of_engine(engine::loses_the_rule(), "the flow was tried again"),
        of_engine(engine::dies(), "the device answered again"),
        of_engine(engine::refuses(DeviceErrorKind::Other(71)), "the flow was tried again"),
        of_engine(engine::goes_in(), "the device answered"),
        of_engine(engine::waits_for_another(), "the device took the old rule out"),
        of_engine(engine::does_not_let_go(), "the device let go of the old rule"),
    ]
}

#[test]
fn every_reason_has_a_case_that_gives_it() {
    let cases = cases();
    let produced: BTreeSet<&str> = cases.iter().map(|case| case.reason.name()).collect();
    let all: BTreeSet<&str> = REASONS.iter().map(|reason| reason.name).collect();
    assert_eq!(produced, all);
    assert_eq!(all.len(), REASONS.len(), "a name that is there twice");
    for case in &cases {
        let plan = case.plan();
        let there = plan.refused().contains(&case.reason);
        assert!(there != case.engine.contains(&case.reason), "{:?}: {plan:?}", case.reason);
    }
}

#[test]
fn every_reason_is_shown_with_what_it_is_about_and_with_a_remedy_of_its_own() {
    let mut remedies: BTreeMap<String, String> = BTreeMap::new();
    for case in cases() {
        let explained = case.explained();
        let step = explained.steps.iter().find(|step| step.refused.contains(&case.reason));
        let step = step.unwrap_or_else(|| panic!("{:?} is not shown:\n{explained}", case.reason));
        match case.reason.subject() {
            crate::Subject::Flow => assert_eq!(step.of, StepOf::Whole),
            crate::Subject::Field(field) => {
                // A field that the flow should look at is in no step.
                let matched = case.flow.mask.get(field) != Value(0);
                assert!(!matched || matches!(step.of, StepOf::Match { .. }), "{explained}");
            }
            crate::Subject::Action(_) | crate::Subject::Port(_) | crate::Subject::Meter(_) => {
                assert!(matches!(step.of, StepOf::Action { .. }), "{explained}");
            }
        }
        if !case.engine.is_empty() {
            assert!(explained.steps.iter().all(|step| step.at == Where::Software) && explained.help.is_empty());
        }
        let text = explained.to_string();
        let remedy = case.reason.remedy();
        assert!(text.contains(&case.reason.to_string()) && text.contains(&remedy), "{text}");
        let what = match &case.reason {
            // Ports and actions have remedies of their own within the reason.
            Refusal::OutputPort { why, .. } => format!("{why:?}"),
            Refusal::Action(kind) => kind.to_string(),
            other => other.name().to_owned(),
        };
        if let Some(other) = remedies.insert(remedy.clone(), what.clone()) {
            assert_eq!(other, what, "one remedy for two reasons: {remedy}");
        }
    }
    for action in super::tests::every_action() {
        let kind = action.kind();
        let other = remedies.insert(Refusal::Action(kind).remedy(), kind.to_string());
        assert!(other.is_none_or(|other| other == kind.to_string()), "{kind}");
    }
}

#[test]
fn remedies_help() {
    for case in cases() {
        match &case.remedy {
            Remedy::Full(flow, world) => {
                let after = plan(flow, world);
                assert!(matches!(after, Plan::Full(_)), "{:?}: {after:?}", case.reason);
            }
            Remedy::Marked(flow, world) => {
                let after = plan(flow, world);
                assert!(matches!(plan(&case.flow, &case.world), Plan::Software(_)), "{:?}", case.reason);
                assert!(matches!(after, Plan::Partial { .. }), "{:?}: {after:?}", case.reason);
            }
            Remedy::Offered(change) => {
                let offered = case.explained().help;
                assert!(offered.contains(change), "{:?}: {offered:?}", case.reason);
            }
            Remedy::Seen(_) | Remedy::None(_) => {}
        }
        for change in case.explained().help {
            let (flow, world) = change.apply(&case.flow, &case.world).unwrap();
            assert!(matches!(plan(&flow, &world), Plan::Full(_)), "{:?}: {change} does not help", case.reason);
        }
    }
}

/// The planner's reasons as an engine has them, and the same engine after the remedy.
#[test]
fn an_engine_offloads_a_flow_after_its_remedy() {
    for case in cases().iter().filter(|case| case.engine.is_empty() && case.kept == Cacheable::Yes) {
        let (after, wanted) = match &case.remedy {
            Remedy::Full(flow, world) => (Some((Arc::clone(flow), world.clone())), Placement::Full),
            Remedy::Marked(flow, world) => (Some((Arc::clone(flow), world.clone())), Placement::Partial),
            Remedy::Offered(change) => {
                let (flow, world) = change.apply(&case.flow, &case.world).unwrap();
                (Some((Arc::new(flow), world)), Placement::Full)
            }
            Remedy::Seen(_) | Remedy::None(_) => (None, Placement::Software),
        };
        let after = after.as_ref().map(|(flow, world)| (flow, world));
        let ((placement, refusals), then) = engine::offloads((&case.flow, &case.world), after);
        assert!(placement != Placement::Full && refusals.contains(&case.reason), "{:?}: {refusals:?}", case.reason);
        assert!(then.is_none_or(|then| then == wanted), "{:?}: {then:?}", case.reason);
    }
}

/// The chapter of the guide.
fn chapter() -> String {
    let mut out = String::from(
        "# Why is my flow not in hardware?\n\n\
         <!-- Written by the test `chapter_of_the_guide_is_that_of_the_code`: UPDATE_DOCS=1 cargo test -p offload chapter -->\n\n\
         `shuntctl offload explain` gives at least one of these reasons for each flow that is not, or only in part, in hardware. Names are\n\
         the same in JSON and metrics. Each has an example: a datapath flow, what is said of it, and what would bring it into hardware,\n\
         which was tried with an engine. Port 1 is the wire, 2 to 4 are VFs of the same NIC, 5 is of another NIC and 6 is a tap; the NIC\n\
         is like a ConnectX, but for what the example is about.\n",
    );
    let cases = cases();
    for reason in REASONS {
        let _ = write!(out, "\n## {}\n{}\n", reason.name, reason.meaning);
        for case in cases.iter().filter(|case| case.reason.name() == reason.name) {
            let explained = case.explained();
            let actions = ActionText(&case.flow.actions);
            let _ = write!(
                out,
                "\n```\n{} actions:{actions}\n",
                flow::text::format_dp_flow(&case.flow.key, &case.flow.mask)
            );
            let _ = write!(out, "  because: {}\n  remedy:  {}\n", case.reason, case.reason.remedy());
            for change in explained.help.iter().take(3) {
                let _ = writeln!(out, "  it would be in hardware {change}");
            }
            out.push_str("```\n");
            match case.remedy {
                Remedy::None(why) => drop(writeln!(out, "Nothing to be done to the flow: {why}.")),
                Remedy::Seen(what) => drop(writeln!(out, "Tried with an engine: {what}, and the flow went in.")),
                Remedy::Full(..) | Remedy::Offered(_) | Remedy::Marked(..) => {}
            }
        }
    }
    out
}

struct ActionText<'a>(&'a [DpAction]);

impl std::fmt::Display for ActionText<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() { f.write_str("none") } else { ActionList(self.0).fmt(f) }
    }
}

#[test]
fn chapter_of_the_guide_is_that_of_the_code() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/guide/why-not-in-hardware.md");
    let chapter = chapter();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &chapter).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == chapter, "{} is stale: UPDATE_DOCS=1 cargo test -p offload chapter", path.display());
}

/// A switch and the policy: both are told of, and no single change is promised to help.
#[test]
fn all_that_keeps_a_flow_out_is_told() {
    let ports_off = [DpPort(1)].into();
    let admission = Admission { off: true, ports_off, policy: Admitted::None };
    let world = World { admission, ..connectx() };
    let flow = from(1).output(2).build(1);
    let names: Vec<_> = plan(&flow, &world).refused().iter().map(Refusal::name).collect();
    assert_eq!(names, ["Disabled", "PortDisabled", "PolicyOff"]);
    assert_eq!(what_would_help(&flow, &world), []);
    // What is no matter of wishes is told first.
    let tap = from(6).output(2).build(1);
    assert_eq!(plan(&tap, &world).refused(), [Refusal::NotOffloadCapable { port: DpPort(6) }]);
    let none = World { admission: Admission::off(), ..crate::testing::world("none") };
    assert_eq!(plan(&flow, &none).refused(), [Refusal::NotOffloadCapable { port: DpPort(1) }]);
}

#[test]
fn a_flow_of_hardware_needs_no_help() {
    let flow = from(1).tcp().set(FieldId::EthSrc, 7u64).output(2).build(1);
    let explained = explain(&flow, &connectx(), &[]);
    assert!(explained.help.is_empty());
    assert!(explained.steps.iter().all(|step| step.at == Where::Hardware && step.refused.is_empty()), "{explained}");
    let push = DpAction::PushVlan(VlanTag { tpid: 0x8100.into(), tci: 0x1007.into() });
    let tagged = from(1).then(push).output(6).build(1);
    insta::assert_snapshot!("explained", explain(&tagged, &connectx(), &[]).to_string());
}
