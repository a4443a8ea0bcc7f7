//! What the kernel and the crate `representors` say, as errors of the API.

use api::{Error, ErrorKind};
use representors::{Cause, ConvergeError, DeviceId, ObserveError, PlanError, StepFailure};

const EPERM: i32 = 1;
const EBUSY: i32 = 16;
const ENODEV: i32 = 19;
const EOPNOTSUPP: i32 = 95;

/// The rooms below name the PF first; `object` has it already.
pub(crate) fn about(kind: ErrorKind, object: &str, message: impl std::fmt::Display) -> Error {
    let message = message.to_string();
    let pf = object.trim_start_matches("eswitch ");
    let rest = message.strip_prefix(pf).map(|rest| rest.trim_start_matches(':').trim_start().to_owned());
    Error::new(kind, object, rest.unwrap_or(message))
}

/// A NIC could not be read.
pub(crate) fn observe(device: &DeviceId, e: &ObserveError) -> Error {
    let object = format!("eswitch {device}");
    match e {
        ObserveError::NoSuchNic(_) => {
            Error::new(ErrorKind::NotFound, object, "there is no such NIC").remedy("list them with: shuntctl nic list")
        }
        other => about(ErrorKind::Failed, &object, other),
    }
}

/// There is no way to what is wanted.
pub(crate) fn plan(device: &DeviceId, e: &PlanError) -> Error {
    let kind = match e {
        PlanError::Unsupported { .. } | PlanError::LegacyOnly { .. } => ErrorKind::Unsupported,
        PlanError::VfsInUse { .. } => ErrorKind::Conflict,
        _ => ErrorKind::Invalid,
    };
    about(kind, &format!("eswitch {device}"), e)
}

/// A change failed.
pub(crate) fn converge(device: &DeviceId, e: &ConvergeError) -> Error {
    match e {
        ConvergeError::Observe(e) => observe(device, e),
        ConvergeError::Plan(e) => plan(device, e),
        ConvergeError::Step(failure) => step(device, failure),
        other => about(ErrorKind::Failed, &format!("eswitch {device}"), other),
    }
}

fn step(device: &DeviceId, failure: &StepFailure) -> Error {
    let errno = match &failure.cause {
        Cause::Netlink(e) => e.errno(),
        Cause::Sysfs(e) => e.source.raw_os_error(),
        Cause::Observe(_) | Cause::NotVerified { .. } | Cause::Missing(_) | Cause::Plan(_) => None,
    };
    let gone = matches!(&failure.cause, Cause::Observe(ObserveError::NoSuchNic(_)));
    let (kind, remedy) = match errno {
        Some(EBUSY) => (ErrorKind::Conflict, format!("see who uses the NIC: shuntctl nic check {device}")),
        Some(EOPNOTSUPP) => (ErrorKind::Unsupported, format!("see what it can do: shuntctl nic check {device}")),
        Some(EPERM) => (ErrorKind::Forbidden, "run shuntd with CAP_NET_ADMIN and CAP_SYS_ADMIN".to_owned()),
        _ if gone || errno == Some(ENODEV) => {
            (ErrorKind::NotFound, "see whether it is still there: shuntctl nic list".to_owned())
        }
        _ => (ErrorKind::Failed, "the kernel's log may say more: dmesg; then try again".to_owned()),
    };
    about(kind, &format!("eswitch {device}"), failure).remedy(remedy)
}
