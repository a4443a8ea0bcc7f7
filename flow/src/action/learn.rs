//! The `learn` action: a rule that packets make (ovs-actions(7)).

use super::subfield::SubField;
use crate::value::Value;

/// What rule a packet makes, and for how long.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Learn {
    /// Table 0 to 254 that the learned rule goes into.
    pub table: u8,
    pub priority: u16,
    pub cookie: u64,
    /// Seconds; 0 never.
    pub idle_timeout: u16,
    /// Seconds; 0 never.
    pub hard_timeout: u16,
    /// Idle timeout once a FIN or RST was seen, seconds; 0: as before.
    pub fin_idle_timeout: u16,
    /// Hard timeout once a FIN or RST was seen, seconds; 0: as before.
    pub fin_hard_timeout: u16,
    /// Tell the controller when the learned rule goes.
    pub send_flow_rem: bool,
    /// Remove the learned rules with the rule that learns.
    pub delete_learned: bool,
    /// Most rules to learn; 0: no limit.
    pub limit: u32,
    /// Bit that is set to 1 when the rule could be learned within the limit, else to 0.
    pub result: Option<SubField>,
    pub specs: Vec<LearnSpec>,
}

/// One element of the learned rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LearnSpec {
    pub source: LearnSource,
    pub target: LearnTarget,
    /// How many bits: those of `source` and `target`.
    pub bits: u16,
}

/// Where its value is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LearnSource {
    /// Of the packet that is learned from.
    Field(SubField),
    /// Given.
    Immediate(Value),
}

/// What it becomes in the learned rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LearnTarget {
    /// A match on these bits.
    Match(SubField),
    /// An action that loads these bits.
    Load(SubField),
    /// An output to the port with this number.
    Output,
}
