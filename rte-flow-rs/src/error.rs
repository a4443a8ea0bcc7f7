//! What a device answers when it refuses.

use dpdk::Errno;
use std::ffi::CStr;

/// Which part of a rule is meant (`rte_flow_error_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Nothing said.
    Unspecified,
    /// A rule or action handle.
    Handle,
    /// The attributes' group.
    AttrGroup,
    /// The attributes' priority.
    AttrPriority,
    /// The ingress attribute.
    AttrIngress,
    /// The egress attribute.
    AttrEgress,
    /// The transfer attribute.
    AttrTransfer,
    /// The attributes as a whole.
    Attr,
    /// The pattern's length.
    ItemNum,
    /// An item's values.
    ItemSpec,
    /// An item's range.
    ItemLast,
    /// An item's mask.
    ItemMask,
    /// An item.
    Item,
    /// The number of actions.
    ActionNum,
    /// An action's configuration.
    ActionConf,
    /// An action.
    Action,
    /// The device's state.
    State,
    /// A meter, with the value of `rte_mtr_error_type`.
    Meter(u32),
    /// A value that this crate does not know.
    Other(u32),
}

impl ErrorKind {
    pub(crate) fn from_raw(raw: u32) -> Self {
        match raw {
            dpdk_sys::RTE_FLOW_ERROR_TYPE_NONE | dpdk_sys::RTE_FLOW_ERROR_TYPE_UNSPECIFIED => Self::Unspecified,
            dpdk_sys::RTE_FLOW_ERROR_TYPE_HANDLE => Self::Handle,
            dpdk_sys::RTE_FLOW_ERROR_TYPE_ATTR_GROUP => Self::AttrGroup,
            dpdk_sys::RTE_FLOW_ERROR_TYPE_ATTR_PRIORITY => Self::AttrPriority,
            dpdk_sys::RTE_FLOW_ERROR_TYPE_ATTR_INGRESS => Self::AttrIngress,
            dpdk_sys::RTE_FLOW_ERROR_TYPE_ATTR_EGRESS => Self::AttrEgress,
            dpdk_sys::RTE_FLOW_ERROR_TYPE_ATTR_TRANSFER => Self::AttrTransfer,
            dpdk_sys::RTE_FLOW_ERROR_TYPE_ATTR => Self::Attr,
            dpdk_sys::RTE_FLOW_ERROR_TYPE_ITEM_NUM => Self::ItemNum,
            dpdk_sys::RTE_FLOW_ERROR_TYPE_ITEM_SPEC => Self::ItemSpec,
            dpdk_sys::RTE_FLOW_ERROR_TYPE_ITEM_LAST => Self::ItemLast,
            dpdk_sys::RTE_FLOW_ERROR_TYPE_ITEM_MASK => Self::ItemMask,
            dpdk_sys::RTE_FLOW_ERROR_TYPE_ITEM => Self::Item,
            dpdk_sys::RTE_FLOW_ERROR_TYPE_ACTION_NUM => Self::ActionNum,
            dpdk_sys::RTE_FLOW_ERROR_TYPE_ACTION_CONF => Self::ActionConf,
            dpdk_sys::RTE_FLOW_ERROR_TYPE_ACTION => Self::Action,
            dpdk_sys::RTE_FLOW_ERROR_TYPE_STATE => Self::State,
            other => Self::Other(other),
        }
    }
}

/// What a refusal means for the caller, from its error number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// The device cannot do this (ENOTSUP, ENOSYS): asking again is useless.
    Unsupported,
    /// Such a rule or object is there already (EEXIST).
    Exists,
    /// A table or another resource of the device is full (ENOSPC): something has to go first.
    NoSpace,
    /// The rule makes no sense to the device (EINVAL, ERANGE).
    Invalid,
    /// Memory is short (ENOMEM).
    NoMemory,
    /// The device is gone or dead (EIO, ENODEV, ENXIO).
    DeviceDead,
    /// No such rule or object (ENOENT).
    NotFound,
    /// In use, or not now (EBUSY, EAGAIN): asking again may help.
    Busy,
    /// Anything else.
    Other,
}

/// The element that the device points at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Item by its place in the pattern.
    Item(usize),
    /// Action by its place in the list.
    Action(usize),
}

/// A refusal of rte_flow or rte_mtr.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{operation} on port {port}: {errno}{}{}", reason(.message), place(.cause))]
pub struct RteFlowError {
    /// The call, for example `rte_flow_create`.
    pub operation: &'static str,
    /// DPDK's port id.
    pub port: u16,
    /// Which part of the rule is meant.
    pub kind: ErrorKind,
    /// The error number.
    pub errno: Errno,
    /// The device's words; empty if it has none.
    pub message: String,
    /// The element that is meant, if the device points at one.
    pub cause: Option<Cause>,
}

fn reason(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

fn place(cause: &Option<Cause>) -> String {
    match cause {
        Some(Cause::Item(i)) => format!(" (item {i})"),
        Some(Cause::Action(i)) => format!(" (action {i})"),
        None => String::new(),
    }
}

impl RteFlowError {
    /// A refusal with a reason; for implementations of [`crate::RteFlowApi`].
    pub fn new(operation: &'static str, port: u16, kind: ErrorKind, errno: Errno, message: impl Into<String>) -> Self {
        RteFlowError { operation, port, kind, errno, message: message.into(), cause: None }
    }

    /// The same, pointing at an element.
    #[must_use]
    pub fn at(mut self, cause: Cause) -> Self {
        self.cause = Some(cause);
        self
    }

    /// What the refusal means for the caller.
    pub fn class(&self) -> Class {
        match self.errno {
            Errno::ENOTSUP | Errno::ENOSYS => Class::Unsupported,
            Errno::EEXIST => Class::Exists,
            Errno::ENOSPC => Class::NoSpace,
            Errno::EINVAL | Errno::ERANGE => Class::Invalid,
            Errno::ENOMEM => Class::NoMemory,
            Errno::EIO | Errno::ENODEV | Errno::ENXIO => Class::DeviceDead,
            Errno::ENOENT => Class::NotFound,
            Errno::EBUSY | Errno::EAGAIN => Class::Busy,
            _ => Class::Other,
        }
    }

    /// From a negative return value and the message DPDK left.
    ///
    /// # Safety
    /// `message` is null or a NUL-terminated string.
    pub(crate) unsafe fn from_c(
        operation: &'static str,
        port: u16,
        kind: ErrorKind,
        errno: Errno,
        message: *const std::ffi::c_char,
    ) -> Self {
        let message = if message.is_null() {
            String::new()
        } else {
            // SAFETY: by the caller's promise.
            unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned()
        };
        RteFlowError::new(operation, port, kind, errno, message)
    }
}
