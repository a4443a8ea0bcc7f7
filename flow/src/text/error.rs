//! What is wrong with flow text, and what was silently changed in it.

/// Why flow text was refused. One line, naming the key and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// A match key that does not exist.
    #[error("unknown field `{name}`{}", did_you_mean(*.meant))]
    UnknownField { name: String, meant: Option<&'static str> },
    /// An action that does not exist.
    #[error("unknown action `{name}`{}", did_you_mean(*.meant))]
    UnknownAction { name: String, meant: Option<&'static str> },
    /// A field, shorthand or key that Open vSwitch has and this switch has not.
    #[error("field `{0}` is not supported yet")]
    UnsupportedField(String),
    /// An action that Open vSwitch has and this switch has not.
    #[error("action `{0}` is not supported yet")]
    UnsupportedAction(&'static str),
    /// A known action in a form that is not supported.
    #[error("action `{action}` with {form} is not supported yet")]
    UnsupportedForm { action: &'static str, form: &'static str },
    /// A known key that has no place in this kind of text.
    #[error("`{key}` has no place here: {remedy}")]
    Misplaced { key: &'static str, remedy: &'static str },
    /// A flow to add without `actions=`.
    #[error("no actions: end the flow with `actions=...` (`actions=drop` to drop)")]
    NoActions,
    /// A key without its value.
    #[error("`{key}` needs a value: {accepted}")]
    NoValue { key: String, accepted: &'static str },
    /// A value that the key cannot have.
    #[error("bad value `{value}` for `{key}`: {accepted}")]
    BadValue { key: String, value: String, accepted: String },
    /// A mask on a key that takes none or none like this.
    #[error("bad mask in `{value}` for `{key}`: it is matched as a whole or not at all")]
    BadMask { key: String, value: String },
    /// A port that is neither a number nor a known name.
    #[error("unknown port `{port}` for `{key}`: give a number, a port's name or one like `LOCAL`")]
    UnknownPort { key: String, port: String },
    /// An action or field that needs something of the match.
    #[error("`{what}` needs {needs}: {remedy}")]
    Prerequisite { what: String, needs: &'static str, remedy: &'static str },
    /// An action on a field that no action may change.
    #[error("field `{0}` is read-only: it can be matched, not set")]
    ReadOnly(&'static str),
    /// `drop` beside other actions.
    #[error("`drop` stands alone: remove it or the other actions")]
    DropNotAlone,
    /// Something after `goto_table`.
    #[error("`goto_table` ends the list: move it behind `{0}`")]
    NotLast(String),
    /// An instruction of OpenFlow 1.1 behind one that it has to be before.
    #[error(
        "`{0}` has to be before `{1}`: the order is meter, actions, clear_actions, write_actions, write_metadata, goto_table"
    )]
    OutOfOrder(String, &'static str),
    /// An instruction of OpenFlow 1.1 twice.
    #[error("`{0}` twice: once is all there can be")]
    Twice(&'static str),
    /// An action inside another that cannot hold it.
    #[error("`{action}` cannot be inside `{outer}`: {remedy}")]
    Inside { action: String, outer: &'static str, remedy: &'static str },
    /// `conjunction` beside other actions.
    #[error(
        "`conjunction` stands beside other `conjunction` and `note` only: move the other actions to a rule with `conj_id=`"
    )]
    ConjunctionNotAlone,
    /// Lists inside lists.
    #[error("actions nested more than {0} deep: use `resubmit`")]
    TooDeep(usize),
    /// A group that cannot be.
    #[error(transparent)]
    Group(#[from] crate::group::GroupError),
    /// A meter that cannot be.
    #[error(transparent)]
    Meter(#[from] crate::meter::MeterError),
    /// A table that does not come later.
    #[error("`goto_table:{to}` in table {from}: only a later table can follow (use `resubmit(,{to})`)")]
    NotLater { from: u8, to: u8 },
    /// More tags than are handled.
    #[error("more than {0} VLAN tags: remove a `push_vlan`")]
    TooManyTags(usize),
    /// More actions than an OpenFlow message holds.
    #[error("more than {0} actions: use `resubmit` to share lists")]
    TooManyActions(usize),
}

/// Something that was taken as Open vSwitch takes it, though it may not be what was meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Note {
    /// A field was left out of the match, since no packet is known to have it (OVS: "normalization").
    #[error("`{field}` was left out of the match: it needs {needs}")]
    LeftOut { field: &'static str, needs: &'static str },
    /// A number was cut to the field's width.
    #[error("`{value}` for `{key}` was cut to its {bits} bits")]
    Cut { key: String, value: String, bits: u16 },
    /// The end of a value was not read.
    #[error("the end of `{value}` for `{key}` was not read")]
    Ignored { key: String, value: String },
}

/// Why a file of flows was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {error}")]
pub struct FileError {
    /// From 1.
    pub line: usize,
    #[source]
    pub error: ParseError,
}

fn did_you_mean(name: Option<&'static str>) -> String {
    name.map(|n| format!(": did you mean `{n}`?")).unwrap_or_default()
}

/// Text of the user's, fit for a line of an error: short, and without control characters.
pub(super) fn excerpt(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut out: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if text.chars().nth(LONGEST).is_some() {
        out.push_str("...");
    }
    out
}

impl ParseError {
    pub(super) fn bad_value(key: &str, value: &str, accepted: impl Into<String>) -> ParseError {
        ParseError::BadValue { key: excerpt(key), value: excerpt(value), accepted: accepted.into() }
    }
}
