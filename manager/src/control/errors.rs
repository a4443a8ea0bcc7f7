//! Errors of the rooms as errors of the API.

use api::{Error, ErrorKind};
use pipeline::{ErrorClass, FlowError};

/// A request that cannot be right.
#[must_use]
pub fn invalid(object: impl Into<String>, message: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Invalid, object, message)
}

/// What the pipeline says about `object`.
pub(super) fn pipeline(object: impl Into<String>, error: &FlowError) -> Error {
    let kind = match error.class() {
        ErrorClass::NotFound => ErrorKind::NotFound,
        ErrorClass::Conflict => ErrorKind::Conflict,
        ErrorClass::Full => ErrorKind::Full,
        ErrorClass::Invalid => ErrorKind::Invalid,
    };
    // Which change of a batch it is, is said by the object.
    let message = match error {
        FlowError::Change { error, .. } => error.to_string(),
        other => other.to_string(),
    };
    about(kind, object, message)
}

/// An error about `object`. Rooms name the object in their messages; it is named once.
pub fn about(kind: ErrorKind, object: impl Into<String>, message: impl std::fmt::Display) -> Error {
    let (object, message) = (object.into(), message.to_string());
    let rest = message.strip_prefix(&object).map(|rest| rest.trim_start_matches(':').trim_start().to_owned());
    Error::new(kind, object, rest.unwrap_or(message))
}

/// There is no such bridge.
pub(super) fn no_bridge(name: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("bridge {name}"), "there is no such bridge")
        .remedy("list them with: shuntctl bridge list")
}

/// There is no such port.
pub(super) fn no_port(bridge: &str, name: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("port {name}"), format!("bridge {bridge} has no such port"))
        .remedy("list them with: shuntctl port list")
}
