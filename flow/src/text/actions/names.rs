//! Names of actions.

use super::super::names::nearest;

/// Actions that are read.
pub(in crate::text) const ACTIONS: [&str; 56] = [
    "output",
    "output_reg",
    "drop",
    "in_port",
    "normal",
    "flood",
    "all",
    "local",
    "table",
    "controller",
    "enqueue",
    "group",
    "bundle",
    "bundle_load",
    "set_field",
    "load",
    "move",
    "push",
    "pop",
    "mod_dl_src",
    "mod_dl_dst",
    "mod_nw_src",
    "mod_nw_dst",
    "mod_nw_tos",
    "mod_nw_ecn",
    "mod_nw_ttl",
    "set_nw_ttl",
    "mod_tp_src",
    "mod_tp_dst",
    "mod_vlan_vid",
    "mod_vlan_pcp",
    "set_vlan_vid",
    "set_vlan_pcp",
    "strip_vlan",
    "pop_vlan",
    "push_vlan",
    "dec_ttl",
    "set_tunnel",
    "set_tunnel64",
    "set_queue",
    "pop_queue",
    "resubmit",
    "learn",
    "conjunction",
    "clone",
    "note",
    "exit",
    "sample",
    "check_pkt_larger",
    "ct",
    "ct_clear",
    "meter",
    "clear_actions",
    "write_actions",
    "write_metadata",
    "goto_table",
];

/// Actions of Open vSwitch that are refused by name.
pub(in crate::text) const OTHER_ACTIONS: [&str; 15] = [
    "set_mpls_label",
    "set_mpls_tc",
    "set_mpls_ttl",
    "dec_mpls_ttl",
    "push_mpls",
    "pop_mpls",
    "dec_nsh_ttl",
    "delete_field",
    "encap",
    "decap",
    "fin_timeout",
    "multipath",
    "debug_recirc",
    "debug_slow",
    "unroll_xlate",
];

/// The action of that name which Open vSwitch has and which is not supported here.
pub(in crate::text) fn other_action(name: &str) -> Option<&'static str> {
    OTHER_ACTIONS.iter().find(|other| other.eq_ignore_ascii_case(name)).copied()
}

/// What a mistyped action was meant to be.
pub(in crate::text) fn nearest_action(name: &str) -> Option<&'static str> {
    nearest(name, ACTIONS.into_iter().chain(OTHER_ACTIONS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistyped_names_are_recognised() {
        assert_eq!(nearest_action("ouput"), Some("output"));
        assert_eq!(nearest_action("resubmt"), Some("resubmit"));
        assert_eq!(other_action("PUSH_MPLS"), Some("push_mpls"));
    }
}
