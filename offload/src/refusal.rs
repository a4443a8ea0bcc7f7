//! Why a flow, or a part of it, is not in hardware. Data, never a bare string: counted by [`Refusal::name`],
//! shown with [`Refusal::remedy`].

use crate::backend::{DeviceError, DeviceErrorKind};
use crate::names::{Names, Numbers, Told};
use flow::FieldId;
use flow::dp::{DpActionKind, MeterId};
use flow::port::DpPort;
use smallvec::SmallVec;

/// All reasons that were found, not only the first. Empty only where nothing was refused.
pub type Refusals = SmallVec<[Refusal; 2]>;

/// Why a packet cannot leave by a port in hardware.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PortRefusal {
    /// No such port in the world.
    Unknown,
    /// Not a port of an embedded switch: a tap, memif, vhost-user or plain NIC port.
    NotRepresentor,
    /// A port of another embedded switch.
    OtherEswitch,
    /// The port that the packet came in on, and the device cannot send back.
    InputPort,
}

/// Why a meter is not in a device.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MeterObstacle {
    /// It has not one band that drops, but so many, or one that does something else.
    Bands { bands: usize },
    /// Ports of its bridge are in several devices, and it has one place.
    Ports,
    /// The device has room for so many meters.
    Full { limit: u32 },
    /// The device refused it.
    Refused(DeviceError),
    /// It is on its way.
    Moving,
}

/// One reason.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The device cannot match this field, or not with this value.
    MatchField { field: FieldId },
    /// The device matches the field whole, or a prefix of it, but not these bits.
    PartialMask { field: FieldId },
    /// The field is matched, but what says that packets have it (`on`) is not.
    Prerequisite { field: FieldId, on: FieldId },
    /// A valid match that rte_flow cannot say exactly: it would match packets that the flow does not.
    Inexact { field: FieldId },
    /// The device, or this backend, cannot do this action.
    Action(DpActionKind),
    /// The action changes some bits of a field, the device only whole fields.
    PartialSet { field: FieldId },
    /// The action does nothing on packets without `field`, and the flow does not say whether they have it.
    ActionNeedsMatch { action: DpActionKind, field: FieldId },
    /// An action that hardware can do once only.
    Repeated(DpActionKind),
    /// A copy is sent, then the packet is changed and sent again.
    RewriteAfterOutput(DpActionKind),
    /// A drop at the end of other work: software counts it under a reason that a rule does not have.
    DropAfter(DpActionKind),
    /// The packet is looked up again; a rule of the device looks once.
    SecondPass(DpActionKind),
    /// The hash of `select` groups is software's own: a device would send packets of one connection elsewhere.
    HashDiffers,
    /// More changes of the packet than a rule of the device makes.
    TooManyRewrites { have: usize, max: usize },
    /// A longer outer header than the device puts in front, in bytes.
    EncapTooLong { have: usize, max: usize },
    /// Hardware could do the first actions and mark, but software has no mark for the rest.
    NoResume { done: usize },
    /// This port cannot be reached in hardware.
    OutputPort { port: DpPort, why: PortRefusal },
    /// More copies than the device makes.
    TooManyOutputs { have: usize, max: usize },
    /// No action at all.
    NoActions,
    /// A TTL that is always too small: software has to drop it.
    TtlExpires,
    /// The flow covers reserved link-local addresses (01:80:c2:00:00:0x) and the device cannot keep them out.
    Reserved,
    /// Packets that the rule must leave to software cannot be kept out of it: the device has no priorities.
    NoGuard,
    /// The flow contradicts itself: no packet has such a key.
    NeverMatches,
    /// The device does not count the packets of a rule, so that the flow would seem idle.
    NoCounter,
    /// The flow has no number that fits a mark.
    NoMark,
    /// The device cannot spread marked packets over the port's receive queues.
    NoSpread { queues: u16 },
    /// The input port's device takes no rules.
    NotOffloadCapable { port: DpPort },
    /// Offload is switched off.
    Disabled,
    /// Offload is switched off for this input port.
    PortDisabled { port: DpPort, name: Box<str> },
    /// The policy is `off`.
    PolicyOff,
    /// The policy is `ports`, and not for this input port. `ports`: those that it is for, and this one, as the command has them.
    PolicyPorts { port: DpPort, name: Box<str>, ports: Box<str> },
    /// The flow is one of a second or later pass.
    RecircNotZero,
    /// A translation that holds for one packet only.
    NotCacheable,
    /// The meter would see only some of the flow's packets in hardware, or is in another device: a meter has one place.
    MeterSplit { meter: MeterId },
    /// The meter with this OpenFlow number is in software.
    Meter { meter: MeterId, number: u32, why: MeterObstacle },
    /// No room in the device's table; retried when there is.
    TableFull { used: u32, limit: u32 },
    /// All counters of the device count other rules; retried when one of these leaves.
    CounterTableFull { used: u32, limit: u32 },
    /// Rules in the device have as many different outer headers as it holds, and none of them has the flow's; retried when one leaves.
    EncapTableFull { used: u32, limit: u32 },
    /// The policy is `hot`, and the flow carries too little: less than so many packets a second.
    Cold { needs: u64 },
    /// The flow is kept in software so that its packets can be captured.
    Captured,
    /// The device switches packets of the flow and does not count them: the flow would seem idle.
    CounterStuck,
    /// The flow is on its way into the device.
    Inserting,
    /// A rule of the same match, of the flow itself or of one before it, is still in the device: only one can be. `error` is why
    /// the device did not let go of it when last asked.
    OldRule { error: Option<DeviceError> },
    /// The device said no.
    Device(DeviceError),
}

/// What a reason is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A field that the flow matches.
    Field(FieldId),
    /// An action of the flow.
    Action(DpActionKind),
    /// An output port.
    Port(DpPort),
    /// A meter.
    Meter(MeterId),
    /// The flow as a whole, or what is around it.
    Flow,
}

impl Refusal {
    /// What of the flow it is about.
    #[must_use]
    pub fn subject(&self) -> Subject {
        match *self {
            Refusal::MatchField { field }
            | Refusal::PartialMask { field }
            | Refusal::Prerequisite { field, .. }
            | Refusal::Inexact { field } => Subject::Field(field),
            Refusal::Action(kind)
            | Refusal::ActionNeedsMatch { action: kind, .. }
            | Refusal::Repeated(kind)
            | Refusal::RewriteAfterOutput(kind)
            | Refusal::SecondPass(kind) => Subject::Action(kind),
            Refusal::PartialSet { field } => Subject::Action(DpActionKind::Set(field)),
            Refusal::DropAfter(_) => Subject::Action(DpActionKind::Drop),
            Refusal::HashDiffers => Subject::Action(DpActionKind::Hash),
            Refusal::EncapTooLong { .. } | Refusal::EncapTableFull { .. } => Subject::Action(DpActionKind::TunnelPush),
            Refusal::TooManyOutputs { .. } => Subject::Action(DpActionKind::Output),
            Refusal::TtlExpires | Refusal::NoGuard => Subject::Action(DpActionKind::DecTtl),
            Refusal::Reserved => Subject::Field(FieldId::EthDst),
            Refusal::RecircNotZero => Subject::Field(FieldId::RecircId),
            Refusal::OutputPort { port, .. } => Subject::Port(port),
            Refusal::MeterSplit { meter } | Refusal::Meter { meter, .. } => Subject::Meter(meter),
            Refusal::NotOffloadCapable { .. } | Refusal::PortDisabled { .. } | Refusal::PolicyPorts { .. } => {
                Subject::Field(FieldId::InPort)
            }
            Refusal::TooManyRewrites { .. }
            | Refusal::NoResume { .. }
            | Refusal::NoActions
            | Refusal::NeverMatches
            | Refusal::NoCounter
            | Refusal::NoMark
            | Refusal::NoSpread { .. }
            | Refusal::Disabled
            | Refusal::PolicyOff
            | Refusal::NotCacheable
            | Refusal::TableFull { .. }
            | Refusal::CounterTableFull { .. }
            | Refusal::Cold { .. }
            | Refusal::Captured
            | Refusal::CounterStuck
            | Refusal::Inserting
            | Refusal::OldRule { .. }
            | Refusal::Device(_) => Subject::Flow,
        }
    }

    /// What one can do about it.
    #[must_use]
    pub fn remedy(&self) -> String {
        self.remedy_for(&Numbers)
    }

    /// The same, with the names that users know.
    #[must_use]
    pub fn remedy_for(&self, names: &dyn Names) -> String {
        match self {
            Refusal::MatchField { field } => {
                format!("write rules that do not look at {field}, or use a NIC profile that matches it")
            }
            Refusal::PartialMask { field } => format!("match all bits of {field}, or none"),
            Refusal::Prerequisite { field, on } => format!("match {on} in the rule too, or {field} not at all"),
            Refusal::ActionNeedsMatch { action, field } => {
                format!("match {field} in the rule too, so that all of its packets can {action}")
            }
            Refusal::Inexact { field } => format!("match another value of {field}; this one needs software to decide"),
            Refusal::Action(kind) => action_remedy(*kind),
            Refusal::PartialSet { field } => format!("set all bits of {field}"),
            Refusal::Repeated(kind) => format!("use {kind} once in a path"),
            Refusal::RewriteAfterOutput(DpActionKind::Meter) => "put the meter in front of all outputs".into(),
            Refusal::RewriteAfterOutput(_) => "send all copies before or after the changes".into(),
            Refusal::DropAfter(_) => "let a rule drop without doing anything before".into(),
            Refusal::SecondPass(DpActionKind::Recirc) => {
                "write rules that need one pass: no conntrack, and groups that the switch itself hashes for".into()
            }
            Refusal::SecondPass(_) => "end the tunnel elsewhere: in the NIC's kernel driver, or in the VM".into(),
            Refusal::HashDiffers => {
                "let buckets do what hardware can, and let nothing be sent, metered or tagged before the group: the switch \
                 then computes the hash, and each connection has a flow; or use selection_method=hash,fields(...), and see \
                 what keeps those flows out"
                    .into()
            }
            Refusal::TooManyRewrites { max, .. } => format!("change at most {max} things of a packet on this path"),
            Refusal::EncapTooLong { max, .. } => format!("use a tunnel whose outer headers have at most {max} bytes"),
            Refusal::NoResume { .. } => {
                "none needed: the whole flow is marked, and software does all its actions".into()
            }
            Refusal::OutputPort { why, .. } => match why {
                PortRefusal::Unknown => "add the port to the switch".into(),
                PortRefusal::NotRepresentor => "send to a VF or uplink of the same NIC".into(),
                PortRefusal::OtherEswitch => "send within one NIC, or join its ports to one eswitch".into(),
                PortRefusal::InputPort => "do not send back to the input port".into(),
            },
            Refusal::TooManyOutputs { max, .. } => format!("send at most {max} copies in one rule"),
            Refusal::NoActions => "give the flow an explicit drop".into(),
            Refusal::TtlExpires => "none needed: such packets are dropped and counted by software".into(),
            Refusal::Reserved => "match eth_dst, so that link-local control frames are left out".into(),
            Refusal::NoGuard => "use a NIC profile with rule priorities".into(),
            Refusal::NeverMatches => "none: no packet is of this flow".into(),
            Refusal::NoCounter => "use a NIC profile with rule counters".into(),
            Refusal::NoMark => "none: the flow waits for a free mark".into(),
            Refusal::NoSpread { .. } => "give the port one receive queue, or use a NIC with the RSS action".into(),
            Refusal::NotOffloadCapable { .. } => "use a representor of a NIC in switchdev mode as input port".into(),
            Refusal::Disabled => "turn offload on: shuntctl offload on".into(),
            Refusal::PortDisabled { name, .. } => format!("turn offload on for the port: shuntctl offload on {name}"),
            Refusal::PolicyOff => "let flows in: shuntctl offload policy set all".into(),
            Refusal::PolicyPorts { ports, .. } => {
                format!("name the port in the policy: shuntctl offload policy set ports {ports}")
            }
            Refusal::RecircNotZero => {
                "write rules that need one pass; why there is a second one is said of the flow with recirc_id 0".into()
            }
            Refusal::NotCacheable => "none: each such packet is decided on its own".into(),
            Refusal::MeterSplit { meter } => {
                format!("take meter {} off this path, or keep all its flows in software", names.meter(*meter))
            }
            Refusal::Meter { number, why, .. } => match why {
                MeterObstacle::Bands { .. } => format!("give meter {number} one band, of type drop"),
                MeterObstacle::Ports => format!("keep the bridge of meter {number} to the ports of one NIC"),
                MeterObstacle::Full { limit } => {
                    format!("let rules share meters, or use a NIC with room for more than {limit} of them")
                }
                MeterObstacle::Refused(_) => {
                    format!("look at what the device says; another rate or burst of meter {number} may do")
                }
                MeterObstacle::Moving => format!("none needed: the flow goes in when meter {number} is there"),
            },
            Refusal::TableFull { .. } => "aggregate rules, shorten idle times, or use a NIC with a larger table".into(),
            Refusal::CounterTableFull { limit, .. } => format!(
                "aggregate rules or shorten idle times; if the NIC has more than {limit} counters, say so in its capability file (counters)"
            ),
            Refusal::EncapTableFull { limit, .. } => format!(
                "use fewer tunnel endpoints, or the same outer header for all flows to one of them; if the NIC holds more than {limit}, \
                 say so in its capability file (encap-headers)"
            ),
            Refusal::Cold { .. } => {
                "none needed; to offload flows that carry less: shuntctl offload policy set all, or set hot with a lower --rate".into()
            }
            Refusal::Captured => "end the capture: the flow goes back then".into(),
            Refusal::CounterStuck => "report it to the NIC's vendor; the flow is tried again from time to time".into(),
            Refusal::Inserting => "none needed: it is in hardware when the device has answered".into(),
            Refusal::OldRule { error: None } => "none needed: the flow goes on when the device has let go of it".into(),
            Refusal::OldRule { error: Some(_) } => {
                "none needed if it passes, as the device is asked again; reset the device if it never lets go".into()
            }
            Refusal::Device(e) => match e.kind {
                DeviceErrorKind::NotSupported => "none by itself: the device's message says what it lacks".into(),
                DeviceErrorKind::TableFull => {
                    "leave the NIC to this switch alone: others use its tables or memory".into()
                }
                DeviceErrorKind::Invalid => {
                    "check the firmware's and the driver's version against the NIC guide".into()
                }
                DeviceErrorKind::Busy => "none needed: it is tried again".into(),
                DeviceErrorKind::Exists => "remove the rules that another program put into the NIC".into(),
                DeviceErrorKind::NotFound => "report it to the NIC's vendor: it took the rule and lost it".into(),
                DeviceErrorKind::Dead => "reset the device; its flows go back when it answers again".into(),
                DeviceErrorKind::Other(_) => "look the device's message up in its driver's guide".into(),
            },
        }
    }
}

/// A reason as the guide lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason {
    /// As in [`Refusal::name`].
    pub name: &'static str,
    /// What it means, in a sentence or two.
    pub meaning: &'static str,
}

/// One list for names and meanings, which the compiler checks for gaps.
macro_rules! reasons {
    ($($pattern:pat => $name:literal, $meaning:literal;)*) => {
        /// All reasons that there are.
        pub const REASONS: &[Reason] = &[$(Reason { name: $name, meaning: $meaning }),*];

        impl Refusal {
            /// The reason's name as users see it, for counters and metrics: the variant's; of a device's answer `Device...`.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self {
                    $($pattern => $name,)*
                }
            }
        }
    };
}

reasons! {
    Refusal::MatchField { .. } => "MatchField",
        "The device cannot match the field at all, or not with this value.";
    Refusal::PartialMask { .. } => "PartialMask",
        "The device matches the field as a whole, or leading bits of it, and the flow looks at other bits.";
    Refusal::Prerequisite { .. } => "Prerequisite",
        "The flow looks at a field without looking at what says that packets have it.";
    Refusal::Inexact { .. } => "Inexact",
        "No pattern of rte_flow says exactly this value: a rule would take packets that are not of the flow.";
    Refusal::Action(_) => "Action",
        "The device cannot do the action, or no device can.";
    Refusal::PartialSet { .. } => "PartialSet",
        "The action changes some bits of a field, and the device sets whole fields only.";
    Refusal::ActionNeedsMatch { .. } => "ActionNeedsMatch",
        "The action does nothing to packets that lack a header, and the flow does not say that they have it.";
    Refusal::Repeated(_) => "Repeated",
        "The action comes twice, and a rule does it once.";
    Refusal::RewriteAfterOutput(_) => "RewriteAfterOutput",
        "A copy is sent, then the packet is changed and sent again: the device makes equal copies only. Or a meter comes when all \
         copies are sent.";
    Refusal::DropAfter(_) => "DropAfter",
        "A drop comes after other work. Software counts it under a reason of its own, which a rule cannot.";
    Refusal::SecondPass(_) => "SecondPass",
        "The packet is looked up again after the action, under what the action found out. A rule looks once.";
    Refusal::HashDiffers => "HashDiffers",
        "The group chooses by a hash that the datapath computes. The device has another: packets of one connection \
         would go one way in hardware and another in software. Where the device can do all else, the switch computes the hash, and \
         each connection has a flow. Here it could not, or more than half of all flows that there may be were there \
         ([groups](groups.md)).";
    Refusal::TooManyRewrites { .. } => "TooManyRewrites",
        "The flow changes more of the packet than one rule of the device does.";
    Refusal::EncapTooLong { .. } => "EncapTooLong",
        "The outer header is longer than what the device puts in front of a packet.";
    Refusal::NoResume { .. } => "NoResume",
        "The device could do the first actions and mark the packet for software to go on behind them. Software has no mark \
         for that: all are taken, or the switch is not one that can. So the device only marks.";
    Refusal::OutputPort { .. } => "OutputPort",
        "Hardware does not reach an output port.";
    Refusal::TooManyOutputs { .. } => "TooManyOutputs",
        "The flow sends more copies than one rule of the device makes.";
    Refusal::NoActions => "NoActions",
        "The flow sends nothing anywhere and does not say that it drops.";
    Refusal::TtlExpires => "TtlExpires",
        "Every packet of the flow has a TTL that runs out here. Such packets are dropped and counted by software.";
    Refusal::Reserved => "Reserved",
        "The flow covers reserved link-local addresses (01:80:c2:00:00:0x: LACP, LLDP, STP), which must reach \
         software, and the device cannot leave them out.";
    Refusal::NoGuard => "NoGuard",
        "Packets whose TTL runs out must be left to software by a rule of higher priority, and the device has no \
         priorities.";
    Refusal::NeverMatches => "NeverMatches",
        "The flow asks for a packet that cannot be.";
    Refusal::NoCounter => "NoCounter",
        "The device does not count what a rule hits: the flow would seem idle and expire under traffic.";
    Refusal::NoMark => "NoMark",
        "The flow has no number that fits a mark (24 bits, not 0).";
    Refusal::NoSpread { .. } => "NoSpread",
        "The device cannot spread marked packets over the receive queues of the port.";
    Refusal::NotOffloadCapable { .. } => "NotOffloadCapable",
        "The device of the input port takes no rules: it is no NIC, or one without such rules.";
    Refusal::Disabled => "Disabled",
        "Offload is switched off (`shuntctl offload off`).";
    Refusal::PortDisabled { .. } => "PortDisabled",
        "Offload is switched off for the input port (`shuntctl offload off PORT`).";
    Refusal::PolicyOff => "PolicyOff",
        "The policy is `off`: no flow is to go in.";
    Refusal::PolicyPorts { .. } => "PolicyPorts",
        "The policy is `ports`, and the input port is none of them.";
    Refusal::RecircNotZero => "RecircNotZero",
        "The flow is of a later pass: its packets come from software, not from a wire.";
    Refusal::NotCacheable => "NotCacheable",
        "What becomes of the packet holds for this one only, so there is no flow.";
    Refusal::MeterSplit { .. } => "MeterSplit",
        "The meter is not in the device of the flow's input port, or would see only some of the flow's packets in \
         hardware. Two meters would let twice the rate pass.";
    Refusal::Meter { why: MeterObstacle::Bands { .. }, .. } => "MeterBands",
        "The meter has several bands, or one that does not drop. A device's meter has one rate, and drops what exceeds it.";
    Refusal::Meter { why: MeterObstacle::Ports, .. } => "MeterPorts",
        "The meter's bridge has ports in several devices, and the meter has one place: it is in software.";
    Refusal::Meter { why: MeterObstacle::Full { .. }, .. } => "MeterTableFull",
        "The device has no room for another meter. The meter gets in when another one goes.";
    Refusal::Meter { why: MeterObstacle::Refused(_), .. } => "MeterRefused",
        "The device did not take the meter, or is gone. Unless it cannot do such a meter at all, it is asked again.";
    Refusal::Meter { why: MeterObstacle::Moving, .. } => "MeterMoving",
        "The meter is on its way into the device.";
    Refusal::TableFull { .. } => "TableFull",
        "There is no room for another rule. The flow gets in when rules leave.";
    Refusal::CounterTableFull { .. } => "CounterTableFull",
        "Each flow that is wholly in hardware needs a counter, and other flows have all of them. The flow gets in when one of these leaves.";
    Refusal::EncapTableFull { .. } => "EncapTableFull",
        "The device holds so many different outer headers of tunnels, and its rules have all of them. The flow gets in when the last rule \
         with one of them leaves, or one with the same header comes.";
    Refusal::Cold { .. } => "Cold",
        "The policy is `hot`, and the flow carries too little to be worth a rule.";
    Refusal::Captured => "Captured",
        "The flow is kept in software while its packets are captured (`shuntctl offload capture`).";
    Refusal::CounterStuck => "CounterStuck",
        "The device switches the flow's packets without counting them: the flow would seem idle.";
    Refusal::Inserting => "Inserting",
        "The flow is on its way into the device; software switches it until its rules are there.";
    Refusal::OldRule { .. } => "OldRule",
        "A rule of the same match, of the flow itself or of one before it, is still in the device. It leaves first, as only one \
         can be there. The device's error follows if it did not let go of the rule.";
    Refusal::Device(DeviceError { kind: DeviceErrorKind::NotSupported, .. }) => "DeviceNotSupported",
        "The device said that it cannot do the rule (ENOTSUP). Rules of the same shape are not tried again.";
    Refusal::Device(DeviceError { kind: DeviceErrorKind::TableFull, .. }) => "DeviceTableFull",
        "The device said that it has no room (ENOSPC, ENOMEM).";
    Refusal::Device(DeviceError { kind: DeviceErrorKind::Invalid, .. }) => "DeviceInvalid",
        "The device found the rule wrong (EINVAL). Rules of the same shape are not tried again.";
    Refusal::Device(DeviceError { kind: DeviceErrorKind::Busy, .. }) => "DeviceBusy",
        "The device was busy (EAGAIN, EBUSY). The rule is tried again.";
    Refusal::Device(DeviceError { kind: DeviceErrorKind::Exists, .. }) => "DeviceExists",
        "The device has an equal rule that is not ours (EEXIST).";
    Refusal::Device(DeviceError { kind: DeviceErrorKind::NotFound, .. }) => "DeviceRuleLost",
        "The device took the rule and does not have it any more (ENOENT).";
    Refusal::Device(DeviceError { kind: DeviceErrorKind::Dead, .. }) => "DeviceDead",
        "The device is gone or does not answer (EIO, ENODEV). All of its flows are in software.";
    Refusal::Device(DeviceError { kind: DeviceErrorKind::Other(_), .. }) => "DeviceError",
        "The device failed in another way; its own words follow.";
}

/// What to do about an action that the device cannot do.
fn action_remedy(kind: DpActionKind) -> String {
    match kind {
        DpActionKind::Output => "use a NIC whose rules can send to ports: a SmartNIC in switchdev mode".into(),
        DpActionKind::Set(field) => format!("leave {field} as it is on this path, or use a NIC that sets it"),
        DpActionKind::DecTtl => "route elsewhere, or use a NIC that decrements TTLs".into(),
        DpActionKind::PushVlan => "let the VM tag its packets, or use a NIC that adds tags".into(),
        DpActionKind::PopVlan => "let the VM take tagged packets, or use a NIC that removes tags".into(),
        DpActionKind::Meter => "police elsewhere on this path, or use a NIC with meters".into(),
        DpActionKind::Ct => "write stateless rules where that will do: connections are tracked by software".into(),
        DpActionKind::TunnelPush => "leave the tunnel to the VM, or use a NIC that puts outer headers on".into(),
        DpActionKind::Clone => "let the changed copy be the last of the list: the packet itself goes out before".into(),
        DpActionKind::Sample => "sample fewer flows: those that are sampled stay in software".into(),
        DpActionKind::CheckLen => "set one MTU on both sides, so that rules need not ask for the length".into(),
        DpActionKind::Truncate => "send whole packets: mirror without a length".into(),
        DpActionKind::Punt => "let fewer packets go to the controller".into(),
        DpActionKind::Drop => "use a NIC whose rules can drop".into(),
        DpActionKind::Hash | DpActionKind::CtClear | DpActionKind::TunnelPop | DpActionKind::Recirc => {
            format!("do without {kind} on this path")
        }
    }
}

impl std::fmt::Display for PortRefusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            PortRefusal::Unknown => "is not known",
            PortRefusal::NotRepresentor => "is not a port of an embedded switch",
            PortRefusal::OtherEswitch => "belongs to another embedded switch",
            PortRefusal::InputPort => "is the input port",
        })
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.tell(&Numbers, f)
    }
}

impl Told for Refusal {
    fn tell(&self, names: &dyn Names, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refusal::MatchField { field } => write!(f, "the device cannot match {field}"),
            Refusal::PartialMask { field } => write!(f, "the device cannot match only these bits of {field}"),
            Refusal::Prerequisite { field, on } => write!(f, "{field} is matched but {on} is not"),
            Refusal::Inexact { field } => write!(f, "this value of {field} cannot be matched exactly in hardware"),
            Refusal::Action(kind) => write!(f, "the device cannot do {kind}"),
            Refusal::PartialSet { field } => write!(f, "the device cannot set only some bits of {field}"),
            Refusal::ActionNeedsMatch { action, field } => write!(f, "{action} is sure only with {field} matched"),
            Refusal::Repeated(kind) => write!(f, "{kind} more than once"),
            Refusal::RewriteAfterOutput(kind) => write!(f, "{kind} after an output"),
            Refusal::DropAfter(kind) => write!(f, "a drop after {kind}, which software counts under its own reason"),
            Refusal::SecondPass(kind) => write!(f, "{kind} has the packet looked up again, a rule looks once"),
            Refusal::HashDiffers => f.write_str("the device's hash is not the one that chooses buckets"),
            Refusal::TooManyRewrites { have, max } => write!(f, "{have} changes of the packet, the device makes {max}"),
            Refusal::EncapTooLong { have, max } => {
                write!(f, "an outer header of {have} bytes, the device puts {max} in front")
            }
            Refusal::NoResume { done } => {
                write!(f, "hardware could do the first {done} actions, but there is no mark for what is left")
            }
            Refusal::OutputPort { port, why } => write!(f, "output port {} {why}", names.port(*port)),
            Refusal::TooManyOutputs { have, max } => write!(f, "{have} outputs, the device does {max}"),
            Refusal::NoActions => f.write_str("no actions"),
            Refusal::TtlExpires => f.write_str("the TTL runs out"),
            Refusal::Reserved => f.write_str("the flow covers 01:80:c2:00:00:0x, which must reach software"),
            Refusal::NoGuard => f.write_str("the device has no rule priorities to keep expiring packets out"),
            Refusal::NeverMatches => f.write_str("the flow contradicts itself"),
            Refusal::NoCounter => f.write_str("the device does not count a rule's packets"),
            Refusal::NoMark => f.write_str("the flow has no mark"),
            Refusal::NoSpread { queues } => write!(f, "marked packets cannot be spread over {queues} receive queues"),
            Refusal::NotOffloadCapable { port } => {
                write!(f, "input port {} takes no hardware rules", names.port(*port))
            }
            Refusal::Disabled => f.write_str("offload is off"),
            Refusal::PortDisabled { name, .. } => write!(f, "offload is off for input port {name}"),
            Refusal::PolicyOff => f.write_str("the policy is off"),
            Refusal::PolicyPorts { name, .. } => write!(f, "the policy does not name input port {name}"),
            Refusal::RecircNotZero => f.write_str("the flow is of a later pass"),
            Refusal::NotCacheable => f.write_str("the decision holds for one packet only"),
            Refusal::MeterSplit { .. } => f.write_str("the meter would see some of the flow's packets only"),
            Refusal::Meter { number, why, .. } => match why {
                MeterObstacle::Bands { bands: 1 } => write!(f, "the band of meter {number} does not drop"),
                MeterObstacle::Bands { bands } => write!(f, "meter {number} has {bands} bands, a device's has one"),
                MeterObstacle::Ports => write!(f, "ports of meter {number}'s bridge are in several devices"),
                MeterObstacle::Full { limit } => write!(f, "no room for meter {number}: the device has {limit}"),
                MeterObstacle::Refused(error) => write!(f, "the device refused meter {number}: {error}"),
                MeterObstacle::Moving => write!(f, "meter {number} is on its way into the device"),
            },
            Refusal::TableFull { used, limit } => write!(f, "the device's table is full ({used} of {limit})"),
            Refusal::CounterTableFull { used, limit } => {
                write!(f, "the device's counters are all in use ({used} of {limit})")
            }
            Refusal::EncapTableFull { used, limit } => {
                write!(f, "the device has no room for another outer header ({used} of {limit})")
            }
            Refusal::Cold { needs } => write!(f, "the flow carries less than {needs} packets a second"),
            Refusal::Captured => f.write_str("the flow is being captured"),
            Refusal::CounterStuck => f.write_str("the device does not count the flow's packets"),
            Refusal::Inserting => f.write_str("the flow is on its way into the device"),
            Refusal::OldRule { error: None } => f.write_str("an older rule of the same match is still in the device"),
            Refusal::OldRule { error: Some(error) } => {
                write!(f, "the device does not let go of an older rule of the same match: {error}")
            }
            Refusal::Device(e) => write!(f, "the device refused: {e}"),
        }
    }
}
