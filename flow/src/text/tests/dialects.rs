//! What is taken of OpenFlow 1.0 where rules are added, beside what 1.4 takes.

use crate::text::{NoPorts, format_dump, parse_flow, parse_rule};

#[test]
fn steps_that_do_nothing_to_other_packets_need_no_match() {
    for flow in [
        "reg0=2,actions=strip_vlan,output:2",
        "actions=dec_ttl,output:2",
        "actions=mod_nw_ttl:3,output:2",
        "actions=clone(pop_vlan,output:1),output:2",
        "actions=write_actions(pop_vlan,output:1)",
    ] {
        let rule = parse_rule(flow, &NoPorts, &mut Vec::new()).unwrap_or_else(|e| panic!("{flow}: {e}"));
        let again = parse_rule(&format_dump(&rule, &Default::default()), &NoPorts, &mut Vec::new());
        assert_eq!(again.as_ref(), Ok(&rule), "{flow}");
        let only_here = !flow.contains("write_actions");
        assert_eq!(parse_flow(flow, &NoPorts).is_err(), only_here, "{flow}");
    }
}

#[test]
fn a_field_that_may_not_be_there_is_refused_all_the_same() {
    for flow in [
        "arp,actions=dec_ttl,output:2",
        "vlan_tci=0,actions=strip_vlan,output:2",
        "actions=set_field:1->tcp_dst,output:2",
        "actions=load:5->NXM_OF_IP_SRC[],output:2",
    ] {
        assert!(parse_rule(flow, &NoPorts, &mut Vec::new()).is_err(), "{flow}");
    }
}
