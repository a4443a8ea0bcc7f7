//! For those who come from Open vSwitch: how its commands are called here.

use std::ffi::OsString;

/// Commands of ovs-vsctl, ovs-ofctl and ovs-appctl, and ours.
const NAMES: &[(&str, &str)] = &[
    ("add-br", "bridge add BRIDGE"),
    ("del-br", "bridge del BRIDGE"),
    ("list-br", "bridge list"),
    ("br-exists", "bridge show BRIDGE"),
    ("set-fail-mode", "bridge set BRIDGE --fail-mode MODE"),
    ("get-fail-mode", "bridge show BRIDGE"),
    ("add-port", "port add BRIDGE NAME --devargs DEVARGS"),
    ("del-port", "port del BRIDGE NAME"),
    ("list-ports", "port list"),
    ("dump-ports", "port stats NAME [--xstats]"),
    ("dump-ports-desc", "port show NAME"),
    ("mod-port", "port set BRIDGE NAME --up | --down | --flood on|off"),
    ("set-frags", "flow add BRIDGE 'ip,ip_frag=yes,actions=drop'"),
    ("add-flow", "flow add BRIDGE FLOW"),
    ("add-flows", "flow add-file BRIDGE FILE"),
    ("del-flows", "flow del BRIDGE [MATCH]"),
    ("mod-flows", "flow mod BRIDGE FLOW"),
    ("replace-flows", "flow replace BRIDGE FILE"),
    ("diff-flows", "flow diff BRIDGE-OR-FILE BRIDGE-OR-FILE (exit status 1 when they differ)"),
    ("dump-flows", "flow dump BRIDGE [MATCH], or dp flows for datapath flows"),
    ("dump-aggregate", "flow dump BRIDGE [MATCH], with --json for sums"),
    ("parse-flow", "flow parse FILE"),
    ("parse-flows", "flow parse FILE"),
    ("bundle", "flow add-file BRIDGE FILE (all or nothing)"),
    ("monitor", "flow watch [BRIDGE] (flows that go)"),
    ("snoop", "flow watch [BRIDGE] (flows that go)"),
    ("ofproto/trace", "flow trace BRIDGE FLOW [PACKET] [--generate]"),
    ("add-group", "group add BRIDGE GROUP"),
    ("add-groups", "group add-file BRIDGE FILE"),
    ("mod-group", "group mod BRIDGE GROUP"),
    ("del-groups", "group del BRIDGE [GROUP]"),
    ("insert-buckets", "group insert-buckets BRIDGE BUCKETS"),
    ("remove-buckets", "group remove-buckets BRIDGE BUCKETS"),
    ("dump-groups", "group dump BRIDGE [GROUP]"),
    ("dump-group-stats", "group stats BRIDGE [GROUP]"),
    ("add-meter", "meter add BRIDGE METER"),
    ("mod-meter", "meter mod BRIDGE METER"),
    ("del-meter", "meter del BRIDGE METER"),
    ("del-meters", "meter del BRIDGE"),
    ("dump-meter", "meter dump BRIDGE METER"),
    ("dump-meters", "meter dump BRIDGE"),
    ("meter-stats", "meter stats BRIDGE [METER]"),
    ("meter-features", "meter features"),
    ("dump-tables", "table show BRIDGE"),
    ("mod-table", "table set BRIDGE TABLE --eviction on|off"),
    ("dump-table-features", "table show BRIDGE"),
    ("fdb/show", "fdb show BRIDGE"),
    ("fdb/flush", "fdb flush BRIDGE"),
    ("fdb/add", "fdb add BRIDGE PORT VLAN MAC"),
    ("fdb/del", "fdb del BRIDGE VLAN MAC"),
    ("dpctl/dump-flows", "dp flows"),
    ("dpif/show", "show"),
    ("ofproto/list", "bridge list"),
    ("dpif-netdev/pmd-stats-show", "pmd stats"),
    ("dpif-netdev/pmd-stats-clear", "pmd clear"),
    ("dpif-netdev/pmd-perf-show", "pmd stats"),
    ("dpif-netdev/pmd-rxq-show", "pmd rxq"),
    ("dpif-netdev/pmd-rxq-rebalance", "pmd rebalance"),
    ("netdev-dpdk/detach", "port del BRIDGE NAME (which detaches the device)"),
    ("netdev-dpdk/get-mempool-info", "mem show"),
];

/// The arguments, with the options of `ofproto/trace`, which have one dash, in the form that ours have.
pub fn options(args: impl Iterator<Item = OsString>) -> impl Iterator<Item = OsString> {
    args.map(|arg| if arg == "-generate" { OsString::from("--generate") } else { arg })
}

/// What to call instead of a command of Open vSwitch.
pub fn hint(name: &str) -> Option<String> {
    let (_, ours) = NAMES.iter().find(|(theirs, _)| *theirs == name)?;
    Some(format!("{name} of Open vSwitch is here: shuntctl {ours}"))
}
