//! The reasons that devices and wishes give: each from an engine that runs, with a device to which that happens; then what
//! the remedy says is done, and the flow goes in. The planner's reasons go the same way ([`offloads`]).

use super::fake::{Chaos, Fake};
use super::{Engine, EngineConfig, FlowRate, HitSink, Hot, Placement, Policy, Which};
use crate::backend::DeviceErrorKind;
use crate::caps::{Capabilities, CapabilityFile};
use crate::plan::tests::able;
use crate::refusal::{Refusal, Refusals};
use crate::rule::Plan;
use crate::testing::{from, world, world_of};
use crate::world::{Admission, World};
use flow::FieldId;
use flow::clock::Time;
use flow::dp::{DpAction, DpFlow, Encap, FlowId, FlowListener, Hits};
use flow::port::DpPort;
use std::sync::Arc;

const TICK: u64 = 50_000_000;

struct NoSink;

impl HitSink for NoSink {
    fn hardware_hits(&self, _: &Arc<DpFlow>, _: Hits) {}
    fn hardware_gone(&self, _: &Arc<DpFlow>) {}
}

/// A flow that an engine has in software.
pub(crate) struct Told {
    pub flow: Arc<DpFlow>,
    pub world: World,
    /// What the engine says of it.
    pub refusals: Refusals,
    /// The flow went in when the remedy was applied, or what was in its way was over.
    pub went_in: bool,
}

struct Rig {
    fake: Fake,
    engine: Arc<Engine>,
    world: World,
    now: u64,
    software: u64,
}

fn flow(id: u64) -> Arc<DpFlow> {
    from(1).ipv4().field(FieldId::Ipv4Dst, 1 + id as u32).output(2).build(id)
}

impl Rig {
    fn new(world: World) -> Rig {
        let fake = Fake::new(1, 1000, Chaos::default());
        let config = EngineConfig { query_interval: std::time::Duration::from_millis(100), ..EngineConfig::default() };
        let engine = Engine::new(config, world.clone(), Box::new(fake.clone()), Arc::new(NoSink));
        Rig { fake, engine, world, now: 0, software: 0 }
    }

    fn add(&mut self, flow: &Arc<DpFlow>) {
        self.engine.flow_added(flow);
        self.pass(1, 0);
    }

    /// So many twentieths of a second, with so many packets of flow 1 in each, wherever it is.
    fn pass(&mut self, ticks: u64, packets: u64) {
        for _ in 0..ticks {
            self.now += TICK;
            let rule = self.engine.rules(FlowId(1)).last().map(|rule| rule.rule.matches);
            if self.fake.with(|state| state.rules.values().any(|(there, _)| Some(there.matches) == rule)) {
                self.fake.hit(|there| Some(there.matches) == rule, packets);
            } else if packets > 0 {
                self.software += packets;
                self.engine.rates(Time(self.now), vec![FlowRate { flow: FlowId(1), packets: self.software }]);
            }
            assert!(self.engine.settle(Time(self.now), 1000));
        }
    }

    fn is_in(&self) -> bool {
        self.engine.explain(FlowId(1)).unwrap().placement == Placement::Full
    }

    /// The same for a moment, without waiting for a device that does not answer.
    fn begin(&mut self) {
        self.now += TICK;
        while self.engine.step(Time(self.now)) {}
    }

    /// Flow 1 as it is, and whether it goes in after `remedy` and at most a minute.
    fn tell(mut self, packets: u64, remedy: impl FnOnce(&mut Rig)) -> Told {
        let status = self.engine.explain(FlowId(1)).unwrap();
        assert_ne!(status.placement, Placement::Full);
        remedy(&mut self);
        let went_in = (0..60 * 20).any(|_| {
            self.pass(1, packets);
            self.is_in()
        });
        assert!(self.fake.with(|state| state.violations.is_empty()));
        Told { flow: flow(1), world: self.world, refusals: status.refusals, went_in }
    }
}

/// A device that answers every insertion so.
pub(crate) fn refuses(kind: DeviceErrorKind) -> Told {
    let mut rig = Rig::new(world("connectx"));
    rig.fake.with(|state| state.refuses = Some(kind));
    rig.add(&flow(1));
    rig.tell(0, |rig| {
        rig.fake.with(|state| state.refuses = None);
        // What it refuses for good is asked of it anew when it is attached anew: with other firmware, another driver.
        if kind.is_of_shape() {
            rig.pass(60 * 20, 0);
            assert!(!rig.is_in(), "rules of a refused shape are not tried again");
            rig.engine.set_world(rig.world.clone());
        }
    })
}

/// A device that has less room than its profile says, because others use it.
pub(crate) fn full_by_others() -> Told {
    let mut rig = Rig::new(world("connectx"));
    rig.fake.with(|state| state.capacity = 0);
    rig.add(&flow(1));
    rig.tell(0, |rig| rig.fake.with(|state| state.capacity = 1))
}

/// A device that dies under the flow.
pub(crate) fn dies() -> Told {
    let mut rig = Rig::new(world("connectx"));
    rig.add(&flow(1));
    assert!(rig.is_in());
    rig.fake.with(|state| state.dead = true);
    rig.pass(20, 1);
    rig.tell(1, |rig| rig.fake.with(|state| state.dead = false))
}

/// A device that forgets a rule.
pub(crate) fn loses_the_rule() -> Told {
    let mut rig = Rig::new(world("connectx"));
    rig.add(&flow(1));
    rig.fake.with(super::fake::State::reset);
    rig.pass(3, 0);
    rig.tell(1, |_| {})
}

/// A device whose counters stand still.
pub(crate) fn does_not_count() -> Told {
    let mut rig = Rig::new(world("connectx"));
    rig.add(&flow(1));
    rig.pass(40, 10);
    rig.fake.with(|state| state.stick(true));
    rig.pass(70, 10);
    rig.tell(10, |rig| rig.fake.with(|state| state.stick(false)))
}

/// A table that other flows fill; then rules are aggregated, so that there are fewer flows.
pub(crate) fn table_full() -> Told {
    let mut rig = Rig::new(world("tiny"));
    (2..10).for_each(|id| rig.add(&flow(id)));
    rig.add(&flow(1));
    rig.tell(0, |rig| (2..6).for_each(|id| rig.engine.flow_removed(&flow(id))))
}

/// A device all of whose counters count the rules of others; one of these leaves.
pub(crate) fn counters_used() -> Told {
    let mut few = Capabilities::preset("connectx").unwrap();
    few.limits.counters = Some(2);
    let mut rig = Rig::new(world_of(few));
    (2..4).for_each(|id| rig.add(&flow(id)));
    rig.add(&flow(1));
    rig.tell(0, |rig| rig.engine.flow_removed(&flow(2)))
}

/// A flow from a VF into a tunnel.
fn tunnel(id: u64, header: u8) -> Arc<DpFlow> {
    let outer = Encap { header: vec![header; 50].into(), port: DpPort(1) };
    from(2).ipv4().field(FieldId::Ipv4Dst, id as u32).then(DpAction::TunnelPush(outer)).build(id)
}

/// A device whose capability file says that it holds so many outer headers.
fn holds(headers: u32) -> World {
    let file = CapabilityFile::parse(&format!("[limits]\nencap-headers = {headers}")).unwrap();
    World { partial: false, ..world_of(file.apply(able())) }
}

fn encap_full(remedy: impl FnOnce(&mut Rig)) -> Told {
    let mut rig = Rig::new(holds(2));
    rig.fake.with(|state| state.header_room = 2);
    (2..4).for_each(|id| rig.add(&tunnel(id, id as u8)));
    rig.add(&tunnel(1, 1));
    let told = rig.tell(0, remedy);
    Told { flow: tunnel(1, 1), ..told }
}

/// A device whose headers other flows have; then there are fewer tunnel endpoints.
pub(crate) fn endpoints() -> Told {
    encap_full(|rig| {
        rig.engine.flow_removed(&tunnel(3, 3));
        rig.add(&tunnel(4, 2));
    })
}

/// The same; then the flow goes to an endpoint that others go to.
pub(crate) fn endpoint_of_others() -> Told {
    encap_full(|rig| {
        rig.engine.flow_removed(&tunnel(1, 1));
        rig.add(&tunnel(1, 3));
    })
}

/// The same; then the capability file says that there is room for more, as there is.
pub(crate) fn encap_limit() -> Told {
    encap_full(|rig| {
        rig.fake.with(|state| state.header_room = 3);
        rig.world = holds(3);
        rig.engine.set_world(rig.world.clone());
    })
}

/// A flow that had to go for one that carries more; then the NIC is one with a larger table.
pub(crate) fn evicted() -> Told {
    let mut rig = Rig::new(world("tiny"));
    (1..9).for_each(|id| rig.add(&flow(id)));
    let busy = flow(20);
    rig.add(&busy);
    for tick in 1..200 {
        rig.engine.rates(Time(rig.now), vec![FlowRate { flow: busy.id, packets: tick * 1000 }]);
        // Flow 1 is the only one that carries nothing.
        rig.fake.hit(|rule| rule.matches != rule_of(&rig.engine, 1), 10);
        rig.pass(1, 0);
        if !rig.is_in() {
            break;
        }
    }
    assert!(rig.engine.status().tables.iter().any(|table| table.evictions > 0));
    rig.tell(0, |rig| {
        rig.world = world("connectx");
        rig.engine.set_world(rig.world.clone());
    })
}

fn rule_of(engine: &Engine, id: u64) -> crate::HwMatch {
    engine.rules(FlowId(id)).last().map(|rule| rule.rule.matches).unwrap_or_default()
}

/// A flow that carries too little for the policy; then the policy's rate is lowered.
pub(crate) fn cold() -> Told {
    let mut rig = Rig::new(world("connectx"));
    rig.engine.set_policy(Policy::Hot(Hot { rate_pps: 1000, ..Hot::default() }));
    rig.add(&flow(1));
    rig.pass(40, 5);
    rig.tell(5, |rig| rig.engine.set_policy(Policy::Hot(Hot { rate_pps: 80, ..Hot::default() })))
}

/// The same; then the policy lets all in.
pub(crate) fn cold_for_good() -> Told {
    let mut rig = Rig::new(world("connectx"));
    rig.engine.set_policy(Policy::Hot(Hot::default()));
    rig.add(&flow(1));
    rig.tell(0, |rig| rig.engine.set_policy(Policy::All))
}

/// A flow whose packets are captured; then the capture ends.
pub(crate) fn captured() -> Told {
    let mut rig = Rig::new(world("connectx"));
    rig.add(&flow(1));
    let demotion = rig.engine.demote(Which::Flows([FlowId(1)].into()));
    rig.pass(1, 0);
    rig.tell(0, |rig| assert!(rig.engine.restore(demotion)))
}

/// Offload is switched off; then on.
pub(crate) fn off() -> Told {
    let mut rig = Rig::new(World { admission: Admission::off(), ..world("connectx") });
    rig.add(&flow(1));
    rig.world = world("connectx");
    rig.tell(0, |rig| rig.engine.set_world(rig.world.clone()))
}

/// The policy is to have no flow in hardware; then it is to have all there.
pub(crate) fn policy_off() -> Told {
    let mut rig = Rig::new(world("connectx"));
    rig.engine.set_policy(Policy::Off);
    rig.add(&flow(1));
    rig.tell(0, |rig| rig.engine.set_policy(Policy::All))
}

/// Offload is off for the port; then on.
pub(crate) fn port_off() -> Told {
    let mut rig = Rig::new(world("connectx"));
    rig.engine.set_port(DpPort(1), false);
    rig.add(&flow(1));
    rig.tell(0, |rig| rig.engine.set_port(DpPort(1), true))
}

/// The policy names other ports; then this one too.
pub(crate) fn port_not_allowed() -> Told {
    let mut rig = Rig::new(world("connectx"));
    rig.engine.set_policy(Policy::Ports([DpPort(2)].into()));
    rig.add(&flow(1));
    rig.tell(0, |rig| rig.engine.set_policy(Policy::Ports([DpPort(1), DpPort(2)].into())))
}

/// A device that takes its time with the flow's rule.
pub(crate) fn goes_in() -> Told {
    let mut rig = Rig::new(world("connectx"));
    rig.fake.with(|state| state.silent = true);
    rig.engine.flow_added(&flow(1));
    rig.begin();
    rig.tell(0, |rig| rig.fake.with(|state| state.silent = false))
}

/// A flow that was there before one of the same match.
fn elder() -> Arc<DpFlow> {
    from(1).ipv4().field(FieldId::Ipv4Dst, 2u32).output(3).build(30)
}

/// A device that takes its time with the rule of a flow before this one.
pub(crate) fn waits_for_another() -> Told {
    let mut rig = Rig::new(world("connectx"));
    rig.add(&elder());
    rig.fake.with(|state| state.silent = true);
    rig.engine.flow_removed(&elder());
    rig.engine.flow_added(&flow(1));
    rig.begin();
    rig.tell(0, |rig| rig.fake.with(|state| state.silent = false))
}

/// A device that does not let go of the rule of a flow before this one; then it does.
pub(crate) fn does_not_let_go() -> Told {
    let mut rig = Rig::new(world("connectx"));
    rig.add(&elder());
    rig.fake.with(|state| state.chaos.resist = 100);
    rig.engine.flow_removed(&elder());
    rig.add(&flow(1));
    rig.pass(20 * 20, 0);
    assert_eq!(rig.engine.status().by_reason, [("OldRule", 2)].into(), "the old flow's rule, and who waits for it");
    rig.tell(0, |rig| rig.fake.with(|state| state.chaos.resist = 0))
}

/// The same with a rule of an earlier run.
fn does_not_let_go_of_an_earlier_run() -> Told {
    let mut rig = Rig::new(world("connectx"));
    rig.add(&elder());
    let engine = Engine::new(EngineConfig::default(), rig.world.clone(), Box::new(rig.fake.clone()), Arc::new(NoSink));
    rig.engine = engine;
    rig.fake.with(|state| state.chaos.resist = 100);
    rig.add(&flow(1));
    rig.pass(20, 0);
    rig.tell(0, |rig| rig.fake.with(|state| state.chaos.resist = 0))
}

/// Where a flow is in an engine, why, and where another one is after it in another world.
pub(crate) fn offloads(
    before: (&Arc<DpFlow>, &World),
    after: Option<(&Arc<DpFlow>, &World)>,
) -> ((Placement, Refusals), Option<Placement>) {
    let mut rig = Rig::new(before.1.clone());
    let place = |rig: &Rig, flow: &DpFlow| {
        let status = rig.engine.explain(flow.id).unwrap();
        (status.placement, status.refusals)
    };
    rig.add(before.0);
    let was = place(&rig, before.0);
    let is = after.map(|(flow, world)| {
        rig.engine.flow_removed(before.0);
        rig.engine.set_world(world.clone());
        // Meters of the world are in the device.
        rig.fake.with(|state| world.meters.keys().for_each(|id| state.give_meter(*id)));
        rig.pass(1, 0);
        rig.add(flow);
        place(&rig, flow).0
    });
    (was, is)
}

#[test]
fn an_engine_says_what_is_in_its_way_and_puts_the_flow_in_when_it_is_gone() {
    let of = |told: Told, name: &str| {
        let names: Vec<_> = told.refusals.iter().map(Refusal::name).collect();
        assert_eq!((names, told.went_in), (vec![name], true));
    };
    of(full_by_others(), "DeviceTableFull");
    of(dies(), "DeviceDead");
    of(loses_the_rule(), "DeviceRuleLost");
    of(does_not_count(), "CounterStuck");
    of(table_full(), "TableFull");
    of(counters_used(), "CounterTableFull");
    of(evicted(), "TableFull");
    of(endpoints(), "EncapTableFull");
    of(endpoint_of_others(), "EncapTableFull");
    of(encap_limit(), "EncapTableFull");
    of(cold(), "Cold");
    of(cold_for_good(), "Cold");
    of(captured(), "Captured");
    of(off(), "Disabled");
    of(policy_off(), "PolicyOff");
    of(port_off(), "PortDisabled");
    of(port_not_allowed(), "PolicyPorts");
    of(refuses(DeviceErrorKind::NotSupported), "DeviceNotSupported");
    of(refuses(DeviceErrorKind::Invalid), "DeviceInvalid");
    of(refuses(DeviceErrorKind::Busy), "DeviceBusy");
    of(refuses(DeviceErrorKind::Exists), "DeviceExists");
    of(refuses(DeviceErrorKind::Other(71)), "DeviceError");
    of(goes_in(), "Inserting");
    of(waits_for_another(), "OldRule");
    for told in [does_not_let_go(), does_not_let_go_of_an_earlier_run()] {
        assert!(matches!(&told.refusals[0], Refusal::OldRule { error: Some(e) } if e.kind == DeviceErrorKind::Busy));
        of(told, "OldRule");
    }
}

/// A flow on its way out says what it leaves for, also of wishes that came after; and why it is still there.
#[test]
fn a_flow_that_leaves_says_what_for_and_what_keeps_it() {
    let mut rig = Rig::new(world("connectx"));
    let why = |rig: &Rig| {
        let status = rig.engine.explain(FlowId(1)).unwrap();
        (status.placement, status.refusals.iter().map(Refusal::name).collect::<Vec<_>>())
    };
    rig.add(&flow(1));
    rig.fake.with(|state| state.silent = true);
    rig.engine.set_policy(Policy::Off);
    rig.begin();
    assert_eq!(why(&rig), (Placement::Moving, vec!["PolicyOff"]));
    rig.engine.set_policy(Policy::All);
    rig.begin();
    assert_eq!(why(&rig), (Placement::Moving, vec!["OldRule"]), "it is to go in again, when it is out");
    let demotion = rig.engine.demote(Which::Flows([FlowId(1)].into()));
    rig.begin();
    assert_eq!(why(&rig), (Placement::Moving, vec!["Captured"]));
    rig.fake.with(|state| (state.silent, state.chaos.resist) = (false, 100));
    rig.pass(20, 0);
    assert_eq!(why(&rig), (Placement::Moving, vec!["Captured", "OldRule"]));
    let status = rig.engine.status();
    assert_eq!((status.moving, status.stuck_rules), (1, 1));
    assert_eq!(status.by_reason, [("Captured", 1), ("OldRule", 1)].into());
    rig.fake.with(|state| state.chaos.resist = 0);
    rig.pass(60 * 20, 0);
    assert_eq!(why(&rig), (Placement::Software, vec!["Captured"]));
    assert!(rig.engine.restore(demotion));
    rig.pass(1, 0);
    assert_eq!(why(&rig), (Placement::Full, vec![]));
}

/// A device that cannot do a flow's rule may still mark its packets.
#[test]
fn what_a_device_refuses_of_the_whole_it_may_mark() {
    let mut rig = Rig::new(world("connectx"));
    rig.fake.with(|state| state.refuses_full = Some(DeviceErrorKind::NotSupported));
    rig.add(&flow(1));
    let status = rig.engine.explain(FlowId(1)).unwrap();
    let names: Vec<_> = status.refusals.iter().map(Refusal::name).collect();
    assert_eq!((status.placement, names), (Placement::Partial, vec!["DeviceNotSupported"]));
}

/// What is foreseen of a flow that is not there is what becomes of it when it comes.
#[test]
fn what_is_foreseen_of_a_flow_comes_true() {
    type Before = fn(&mut Rig);
    let cases: [(&str, Placement, &[&str], Before); 12] = [
        ("connectx", Placement::Full, &[], |_| {}),
        ("mark-only", Placement::Partial, &["NotOffloadCapable"], |_| {}),
        ("connectx", Placement::Software, &["Disabled"], |rig| {
            rig.world.admission = crate::Admission::off();
            rig.engine.set_world(rig.world.clone());
        }),
        ("connectx", Placement::Software, &["DeviceNotSupported"], |rig| {
            rig.fake.with(|state| state.refuses = Some(DeviceErrorKind::NotSupported));
            rig.add(&flow(2));
        }),
        ("connectx", Placement::Partial, &["DeviceNotSupported"], |rig| {
            rig.fake.with(|state| state.refuses_full = Some(DeviceErrorKind::NotSupported));
            rig.add(&flow(2));
        }),
        ("connectx", Placement::Software, &["DeviceBusy"], |rig| {
            rig.fake.with(|state| state.refuses = Some(DeviceErrorKind::Busy));
            rig.add(&flow(2));
        }),
        ("connectx", Placement::Software, &["DeviceDead"], |rig| {
            rig.fake.with(|state| state.dead = true);
            rig.add(&flow(2));
        }),
        ("tiny", Placement::Software, &["TableFull"], |rig| (2..10).for_each(|id| rig.add(&flow(id)))),
        ("tiny", Placement::Full, &[], |rig| (2..9).for_each(|id| rig.add(&flow(id)))),
        ("connectx", Placement::Software, &["Cold"], |rig| rig.engine.set_policy(Policy::Hot(Hot::default()))),
        ("connectx", Placement::Software, &["Captured"], |rig| {
            let of = flow(1);
            rig.engine.demote(Which::Match { key: Box::new(of.key), mask: Box::new(of.mask) });
        }),
        ("connectx", Placement::Software, &["OldRule"], |rig| {
            let old = from(1).ipv4().field(FieldId::Ipv4Dst, 2u32).output(2).build(50);
            rig.add(&old);
            rig.fake.with(|state| state.chaos.resist = 100);
            rig.engine.flow_removed(&old);
        }),
    ];
    for (profile, place, reasons, before) in cases {
        let mut rig = Rig::new(world(profile));
        before(&mut rig);
        assert!(rig.engine.settle(Time(rig.now), 1000));
        let plan = rig.engine.foresee(&flow(1));
        let foreseen = match &plan {
            Plan::Full(_) => Placement::Full,
            Plan::Partial { .. } => Placement::Partial,
            Plan::Software(_) => Placement::Software,
        };
        let names: Vec<_> = plan.refused().iter().map(Refusal::name).collect();
        assert_eq!((foreseen, &names[..]), (place, reasons), "{profile}");
        rig.engine.flow_added(&flow(1));
        assert!(rig.engine.settle(Time(rig.now), 1000));
        let status = rig.engine.explain(FlowId(1)).unwrap();
        assert_eq!((status.placement, &status.refusals[..]), (foreseen, plan.refused()), "{profile} {reasons:?}");
        assert!(rig.fake.with(|state| state.violations.is_empty()));
    }
}
