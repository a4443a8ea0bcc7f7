//! What the daemon says when it refuses or fails.

use serde::{Deserialize, Serialize};

/// The sort of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The request cannot be right: bad text, bad value.
    Invalid,
    /// What it names is not there.
    NotFound,
    /// What it makes is there already, or is in use.
    Conflict,
    /// A limit was reached.
    Full,
    /// This daemon, device or build cannot do it.
    Unsupported,
    /// The caller may not.
    Forbidden,
    /// It should have worked.
    Failed,
}

impl ErrorKind {
    /// The HTTP status that goes with it.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            ErrorKind::Invalid => 400,
            ErrorKind::Forbidden => 403,
            ErrorKind::NotFound => 404,
            ErrorKind::Conflict => 409,
            ErrorKind::Full => 507,
            ErrorKind::Unsupported => 501,
            ErrorKind::Failed => 500,
        }
    }
}

/// A refused or failed request. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{object}: {message}{}", remedy.as_ref().map(|r| format!("; {r}")).unwrap_or_default())]
pub struct Error {
    pub kind: ErrorKind,
    /// What it is about: `bridge br0`, `flow 3 of 20`.
    pub object: String,
    /// What is wrong, in one line.
    pub message: String,
    /// What to do about it, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Error {
    /// An error without a remedy.
    pub fn new(kind: ErrorKind, object: impl Into<String>, message: impl std::fmt::Display) -> Error {
        Error { kind, object: object.into(), message: one_line(&message.to_string()), remedy: None }
    }

    /// The same with a remedy.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Error {
        self.remedy = Some(one_line(&remedy.into()));
        self
    }
}

fn one_line(text: &str) -> String {
    text.split('\n').map(str::trim).filter(|s| !s.is_empty()).collect::<Vec<_>>().join(": ")
}
