//! For those who come from Open vSwitch: how its commands are called here.

/// Commands of ovs-vsctl, ovs-ofctl and ovs-appctl, and ours.
const NAMES: &[(&str, &str)] = &[
    ("add-br", "bridge add BRIDGE"),
    ("del-br", "bridge del BRIDGE"),
    ("list-br", "bridge list"),
    ("add-port", "port add BRIDGE NAME --devargs DEVARGS"),
    ("del-port", "port del BRIDGE NAME"),
    ("list-ports", "port list"),
    ("dump-ports", "port list"),
    ("add-flow", "flow add BRIDGE FLOW"),
    ("add-flows", "flow add-file BRIDGE FILE"),
    ("del-flows", "flow del BRIDGE [MATCH]"),
    ("mod-flows", "flow add BRIDGE FLOW (a flow with the same match and priority is replaced)"),
    ("dump-flows", "flow dump BRIDGE [MATCH], or dp flows for datapath flows"),
    ("parse-flows", "flow parse FILE"),
    ("fdb/show", "bridge fdb BRIDGE"),
    ("dpctl/dump-flows", "dp flows"),
    ("dpif-netdev/pmd-stats-show", "dp counters"),
];

/// What to call instead of a command of Open vSwitch.
pub fn hint(name: &str) -> Option<String> {
    let (_, ours) = NAMES.iter().find(|(theirs, _)| *theirs == name)?;
    Some(format!("{name} of Open vSwitch is here: shuntctl {ours}"))
}
