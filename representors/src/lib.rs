//! SR-IOV and switchdev: what NICs there are, and how they get to be as they should.
//!
//! # What it is for
//! - [`Kernel::inventory`] reads the NICs of the host: each PF with its eswitch, its VFs and its representors.
//! - [`plan`] compares a [`Desired`] state with what was read and gives a [`Plan`]: steps as data, printable as a dry run, in the order
//!   that the driver wants ([`Strategy`]). It touches nothing.
//! - [`apply`] carries a plan out. Each step is verified by reading back until it is so, or until a deadline, before anything builds on it. When a step fails,
//!   what was done is rolled back, and the error says which step failed, what the kernel said, and what was rolled back.
//! - [`converge`] does all three, and tries the driver's other order when the kernel refuses the first.
//! - [`DriftWatch`] tells what others changed of a NIC since; [`Kernel::vf_counters`] what was counted for its VFs.
//!
//! Beside mode and number of VFs, steps are: inline and encapsulation mode, drivers and settings of VFs
//! ([`VfSetting`]), sub-functions, MTU and up of representors, `hw-tc-offload`. A setting goes the way that the NIC
//! shows (devlink port function, devlink rate, or
//! `IFLA_VF_*` through the PF's network device).
//!
//! # Identity
//! A representor is known by its [`RepKey`]: device, controller, PF and VF (or SF) number. Interface names are attributes: they are
//! changed by udev, by people, and between boots. `pf0vf3` is understood everywhere that a key is read.
//!
//! # Orders
//! Drivers disagree. ice changes its mode only while there are no VFs; so do mlx5 devices with some firmware; older
//! mlx5 drivers go to switchdev only when VFs exist and are unbound; the PCI core changes a number of VFs only
//! through 0; VFs appear some time after they were asked for. What is known about drivers is in one table
//! (`driver.rs`); an unknown driver gets the safe order (no VFs while the mode changes). Destroying VFs that a
//! userspace driver holds (vfio: a virtual machine) is refused, by name, unless told otherwise.
//!
//! # Threads
//! None of its own. Everything blocks and belongs on a control thread; the longest wait is [`Pace::deadline`] a step, plus
//! the time that the driver takes inside a system call.
//!
//! # Invariants
//! - `plan` of a state that is as desired is empty, so converging twice changes nothing the second time.
//! - After an error of [`converge`] the NIC is as it was before, or the error says what is not ([`Rollback::Incomplete`],
//!   [`Rollback::Failed`]).
//! - Sub-functions that a wish does not name are left alone, unless it says that there are to be no others ([`Desired::sfs`]).
//! - A process may end at any [`Boundary`] of a step: converging again, to the same wish, ends where the first would have. What the wish
//!   does not name survives converging, but not an end in the moment in which there are no VFs.
//! - A plan made for a state that has changed meanwhile is not applied ([`ConvergeError::Stale`]).
#![forbid(unsafe_code)]

mod apply;
mod counters;
mod desired;
mod devargs;
mod drift;
mod driver;
mod error;
mod execute;
mod inventory;
mod kernel;
mod key;
mod observe;
mod plan;
mod run;
mod setting;
mod step;
mod target;
mod watch;

pub use apply::{Report, apply, converge};
pub use counters::VfCounters;
pub use desired::{Desired, SfDesired, VfDesired};
pub use devargs::{DpdkRepresentors, dpdk_devargs};
pub use drift::{Drift, DriftWatch, NicDrift};
pub use driver::{Strategy, is_known, is_userspace};
pub use error::{Cause, ConvergeError, ObserveError, Rollback, StepFailure};
pub use inventory::{Holder, Inventory, Lag, Netdev, Nic, RateNode, Representor, Sriov, Uplink, Vf};
pub use kernel::{Kernel, Pace};
pub use key::{BadKey, Function, RepKey, RepName};
pub use plan::{Plan, PlanError, VfInUse, plan, plan_with};
pub use run::{Boundary, Phase, StepReport};
pub use setting::VfSetting;
pub use step::{Port, Step, VfDriver};
pub use watch::{Change, Watch};

pub use devlink_rs::{DeviceId, EncapMode, EswitchMode, FunctionState, InlineMode};
pub use netlink::{LinkStats, VfInfo, VfLinkState, VfRate, VfStats, VfVlan, VlanProto};
