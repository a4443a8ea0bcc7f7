//! What is wanted of offload: on, off, by port, by rate. Kept over restarts.

use super::super::errors::{invalid, no_port};
use super::super::{Attached, Control, Inner};
use crate::state::Change;
use ::offload::{Admission, Admitted, Hot, Policy};
use api::{Ack, Error, ErrorKind, OffloadPolicy, OffloadPolicyView, OffloadSet};
use flow::DpPort;
use flow::dp::HardwareFence;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// How long the end of the daemon may wait for hardware.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(10);

impl Control {
    /// Turn offload on or off, for all or for flows of one input port. Off takes their rules out of hardware.
    pub fn offload_set(&self, set: &OffloadSet) -> Result<Ack, Error> {
        let mut inner = self.change()?;
        let change = match &set.port {
            None => {
                inner.offload = set.enabled;
                inner.desired.offload = Some(set.enabled);
                Change::Offload(set.enabled)
            }
            Some(port) => {
                inner.offload_port(port)?;
                let wish = &mut inner.desired.offload_wish;
                if set.enabled {
                    wish.ports_off.remove(port);
                } else {
                    wish.ports_off.insert(port.clone());
                }
                Change::OffloadWish(wish.clone())
            }
        };
        self.renew_world(&inner);
        self.commit(inner, vec![change], 1)
    }

    /// The policy as it is.
    pub fn offload_policy(&self) -> OffloadPolicyView {
        let inner = self.lock();
        let wish = &inner.desired.offload_wish;
        OffloadPolicyView { policy: wish.policy.clone(), enabled: inner.offload, ports_off: wish.ports_off.clone() }
    }

    /// Another policy. Flows move while traffic runs; those that stay keep their rules.
    pub fn offload_policy_set(&self, policy: &OffloadPolicy) -> Result<Ack, Error> {
        let mut inner = self.change()?;
        check(&inner, policy)?;
        inner.desired.offload_wish.policy = policy.clone();
        let change = Change::OffloadWish(inner.desired.offload_wish.clone());
        self.renew_world(&inner);
        self.commit(inner, vec![change], 1)
    }
}

impl Control {
    /// Take all rules out of hardware, and put none in any more: the daemon ends.
    pub fn flush_hardware(&self) {
        let (engine, start) = (self.switch.engine(), Instant::now());
        let ticket = engine.flush();
        loop {
            match engine.pending(&ticket) {
                HardwareFence::Fenced => break,
                HardwareFence::Failed(why) => return tracing::error!("rules stay in hardware: {why}"),
                HardwareFence::Pending(n) if start.elapsed() > FLUSH_TIMEOUT => {
                    let s = FLUSH_TIMEOUT.as_secs();
                    return tracing::error!("{n} operations on hardware rules are not done after {s} s");
                }
                HardwareFence::Pending(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
        let left = self.lock().nic.mock().map_or(0, |mock| mock.rules());
        if left > 0 {
            tracing::error!("{left} rules stay in hardware");
        } else {
            tracing::info!("all rules are out of hardware after {} ms", start.elapsed().as_millis());
        }
    }

    /// Tell the engine what there is and what is wanted.
    pub(in crate::control) fn renew_world(&self, inner: &Inner) {
        self.switch.engine().set_policy(inner.engine_policy());
        let world = inner.world();
        self.switch.set_meters(self.wanted_meters(inner, &world));
        self.switch.set_world(world);
    }

    /// What the planner goes by: the world, with the meters that are in hardware now.
    pub(in crate::control) fn planners_world(&self, inner: &Inner) -> ::offload::World {
        let mut world = inner.world();
        self.switch.engine().tell_meters(&mut world);
        world
    }
}

/// Whether a policy can be.
fn check(inner: &Inner, policy: &OffloadPolicy) -> Result<(), Error> {
    let object = "offload policy";
    match policy {
        OffloadPolicy::All | OffloadPolicy::Off => Ok(()),
        OffloadPolicy::Ports { ports } if ports.is_empty() => Err(invalid(object, "no port is named")
            .remedy("name the ports whose flows may go into hardware, or use: shuntctl offload policy set off")),
        OffloadPolicy::Ports { ports } => ports.iter().try_for_each(|port| inner.offload_port(port).map(|_| ())),
        OffloadPolicy::Hot(hot) => {
            if hot.rate == 0 {
                return Err(invalid(object, "every flow has a rate of 0 and more")
                    .remedy("give a rate of 1 packet a second or more, or use: shuntctl offload policy set all"));
            }
            if hot.cool >= hot.rate {
                let message =
                    format!("cool ({}) is not below rate ({}): flows would move to and fro", hot.cool, hot.rate);
                return Err(invalid(object, message).remedy("let cool be about half of rate"));
            }
            hot.priorities.keys().try_for_each(|port| inner.offload_port(port).map(|_| ()))
        }
    }
}

impl Inner {
    /// A port that flows can come in on.
    pub(super) fn offload_port(&self, name: &str) -> Result<&Attached, Error> {
        let port = self.ports.get(name).ok_or_else(|| {
            let mut error = no_port("", name);
            error.message = "there is no such port".to_owned();
            error
        })?;
        if self.could_offload(port) {
            return Ok(port);
        }
        Err(Error::new(ErrorKind::Unsupported, format!("port {name}"), "its device takes no hardware rules")
            .remedy("name a representor of a NIC in switchdev mode; those that take rules are shown by: shuntctl offload status"))
    }

    /// What was said of offload of ports that were removed goes with them, as OVS forgets what a removed interface was told: a new port
    /// of the name begins anew. A port whose device is gone is none of them. What has changed.
    pub(in crate::control) fn forget_offload_of_gone(&mut self) -> Option<Change> {
        let (there, wish) = (&self.desired.ports, &mut self.desired.offload_wish);
        let before = wish.clone();
        wish.ports_off.retain(|name| there.contains_key(name));
        match &mut wish.policy {
            OffloadPolicy::Ports { ports } => ports.retain(|name| there.contains_key(name)),
            OffloadPolicy::Hot(hot) => hot.priorities.retain(|name, _| there.contains_key(name)),
            OffloadPolicy::All | OffloadPolicy::Off => {}
        }
        (*wish != before).then(|| Change::OffloadWish(wish.clone()))
    }

    fn could_offload(&self, port: &Attached) -> bool {
        match port.port.kind {
            api::PortType::Representor => true,
            api::PortType::Dpdk => self.nic.hardware().is_some(),
            _ => false,
        }
    }

    /// How fast flows must be. Ports and switches are the world's: [`Inner::admission`].
    fn engine_policy(&self) -> Policy {
        let OffloadPolicy::Hot(hot) = &self.desired.offload_wish.policy else { return Policy::All };
        let there = |name: &String| self.ports.get(name)?.state.as_ref().ok().copied();
        Policy::Hot(Hot {
            rate_pps: hot.rate,
            cool_pps: hot.cool,
            priorities: hot.priorities.iter().filter_map(|(name, n)| Some((there(name)?, *n))).collect(),
        })
    }

    /// Whose flows may go into hardware.
    pub(in crate::control) fn admission(&self) -> Admission {
        let wish = &self.desired.offload_wish;
        let there = |names: &BTreeSet<String>| -> BTreeSet<DpPort> {
            names.iter().filter_map(|name| self.ports.get(name)?.state.as_ref().ok().copied()).collect()
        };
        let policy = match &wish.policy {
            OffloadPolicy::All | OffloadPolicy::Hot(_) => Admitted::All,
            OffloadPolicy::Off => Admitted::None,
            OffloadPolicy::Ports { ports } => Admitted::Ports(there(ports)),
        };
        Admission { off: !self.offload, ports_off: there(&wish.ports_off), policy }
    }
}
