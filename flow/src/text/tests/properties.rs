//! What holds for any text and any rule.

use super::corpus::{corpus, mix};
use crate::action::Action;
use crate::port::OfPort;
use crate::rule::RuleSpec;
use crate::text::{
    NoPorts, Note, ParseError, RuleStats, format_actions, format_dump, format_match, format_rule, parse_filter,
    parse_flow, parse_flow_noting, parse_flows, parse_match,
};
use proptest::prelude::*;
use std::time::Duration;

fn all_rules() -> Vec<(String, RuleSpec)> {
    let flows = corpus().into_iter().chain((10_000..14_000).map(mix));
    flows.filter_map(|f| parse_flow(&f, &NoPorts).ok().map(|r| (f, r))).collect()
}

#[test]
fn a_dump_is_read_back_as_the_same_rule() {
    let stats =
        RuleStats { packets: 5, bytes: 300, duration: Duration::from_millis(1500), idle_age: Some(Duration::ZERO) };
    let rules = all_rules();
    assert!(rules.len() > 1500);
    for (flow, rule) in rules {
        let dump = format_dump(&rule, &stats);
        let mut notes = Vec::new();
        let again = parse_flow_noting(&dump, &NoPorts, &mut notes);
        assert_eq!(again.as_ref(), Ok(&rule), "{flow}\n{dump}");
        assert_eq!(notes, [], "{flow}\n{dump}");
    }
}

#[test]
fn a_printed_rule_is_read_back_as_one_that_prints_the_same() {
    for (flow, rule) in all_rules() {
        // The keys before "actions=" are those of a flow_mod, not of flow text.
        let text = format!(
            "table={},{},actions={}",
            rule.table,
            format_match(&rule.matching, rule.priority),
            format_rule(&rule).split_once("actions=").unwrap().1
        );
        let mut again = parse_flow(&text, &NoPorts).expect(&flow);
        (again.cookie, again.flags, again.importance) = (rule.cookie, rule.flags, rule.importance);
        (again.idle_timeout, again.hard_timeout) = (rule.idle_timeout, rule.hard_timeout);
        assert_eq!(format_rule(&again), format_rule(&rule), "{flow}\n{text}");
    }
}

#[test]
fn a_match_is_read_back_as_the_same_match_and_filter() {
    for (flow, rule) in all_rules() {
        let text = format_match(&rule.matching, crate::rule::DEFAULT_PRIORITY);
        assert_eq!(parse_match(&text, &NoPorts).as_ref(), Ok(&rule.matching), "{flow}");
        let filter = parse_filter(&text, false, &NoPorts).unwrap();
        assert!(filter.selects(&rule), "{flow}");
        let strict = parse_filter(&format!("priority={},{text}", rule.priority), true, &NoPorts).unwrap();
        assert!(strict.selects(&rule), "{flow}");
    }
}

#[test]
fn filters_have_keys_of_their_own() {
    let rule = parse_flow("table=1,cookie=0x15,priority=7,tcp,actions=2,controller", &NoPorts).unwrap();
    let selects = |text, strict| parse_filter(text, strict, &NoPorts).map(|f| f.selects(&rule));
    for text in ["", "table=1", "table=255", "cookie=0x5/0xf", "out_port=2", "out_port=controller", "ip", "tcp,table=1"]
    {
        assert_eq!(selects(text, false), Ok(true), "{text}");
    }
    for text in ["table=0", "cookie=0x5/-1", "out_port=3", "udp", "tcp,tp_dst=80"] {
        assert_eq!(selects(text, false), Ok(false), "{text}");
    }
    let nested = "table=1,tcp,actions=clone(enqueue:4:1,group:5),output(port=6,max_len=100),output:reg0[],group:7,\
                  ct(commit,exec(set_field:5->ct_mark)),write_actions(9,group:8)";
    let nested = parse_flow(nested, &NoPorts).unwrap();
    let selects_nested = |text| parse_filter(text, false, &NoPorts).unwrap().selects(&nested);
    for text in
        ["out_port=4", "out_port=9", "out_group=5", "out_group=7", "out_group=8", "out_group=any", "out_port=any"]
    {
        assert!(selects_nested(text), "{text}");
    }
    for text in ["out_port=6", "out_port=1", "out_port=controller", "out_group=4", "out_group=all"] {
        assert!(!selects_nested(text), "{text}");
    }
    assert_eq!(selects("priority=7,tcp", true), Ok(true));
    assert_eq!(selects("priority=8,tcp", true), Ok(false));
    assert_eq!(selects("priority=7,ip", true), Ok(false));
    assert_eq!(selects("tcp", true), Ok(false));
    for text in ["actions=1", "priority=7", "cookie=5", "idle_timeout=5", "out_group=x", "foo"] {
        assert!(selects(text, false).is_err(), "{text}");
    }
}

#[test]
fn errors_name_the_key_and_the_remedy() {
    let error = |text: &str| parse_flow(text, &NoPorts).unwrap_err().to_string();
    assert_eq!(error("ip,nw_dts=1.2.3.4,actions=1"), "unknown field `nw_dts`: did you mean `nw_dst`?");
    assert_eq!(error("actions=ouput:1"), "unknown action `ouput`: did you mean `output`?");
    assert_eq!(error("actions=push_mpls:0x8847"), "action `push_mpls` is not supported yet");
    assert_eq!(
        error("actions=1,meter:5"),
        "`meter:5` has to be before `actions`: the order is meter, actions, clear_actions, write_actions, \
         write_metadata, goto_table"
    );
    assert_eq!(error("actions=clear_actions,clear_actions"), "`clear_actions` twice: once is all there can be");
    assert_eq!(
        error("actions=clone(goto_table:3)"),
        "`goto_table:3` cannot be inside `clone`: it is an instruction of the rule: move it out"
    );
    assert_eq!(
        error("actions=set_field:5->ct_mark"),
        "`ct_mark` needs a `ct` action around it: set it inside `ct(commit,exec(...))`"
    );
    assert_eq!(
        error("actions=conjunction(1,1/2),2"),
        "`conjunction` stands beside other `conjunction` and `note` only: move the other actions to a rule with \
         `conj_id=`"
    );
    assert_eq!(error("tun_metadata0=1,actions=1"), "field `tun_metadata0` is not supported yet");
    assert_eq!(error("actions=set_field:80->tcp_dst"), "`tcp_dst` needs `tcp` or `tcp6`: add it to the match");
    assert_eq!(
        error("in_port=vf9,actions=1"),
        "unknown port `vf9` for `in_port`: give a number, a port's name or one like `LOCAL`"
    );
    assert_eq!(
        error("ip,nw_dst=1.2.3.4/33,actions=1"),
        "bad value `1.2.3.4/33` for `nw_dst`: an IPv4 address, ADDRESS/LENGTH (0 to 32) or ADDRESS/MASK"
    );
    assert_eq!(error("priority=1"), "no actions: end the flow with `actions=...` (`actions=drop` to drop)");
    assert_eq!(
        error("table=4,actions=goto_table:2"),
        "`goto_table:2` in table 4: only a later table can follow (use `resubmit(,2)`)"
    );
    // One line, of bounded length, whatever was written.
    let long = error(&format!("priority={},actions=1", "\u{7}\u{1b}[31m".repeat(1000)));
    assert!(long.len() < 1000 && !long.contains(char::is_control), "{long}");
}

#[test]
fn what_is_changed_in_silence_is_noted() {
    let notes = |text: &str| {
        let mut notes = Vec::new();
        parse_flow_noting(text, &NoPorts, &mut notes).unwrap();
        notes.iter().map(Note::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        notes("tcp_dst=80,actions=1"),
        ["`tp_dst` was left out of the match: it needs `tcp`, `udp`, `sctp`, `icmp`, or one of them for IPv6"]
    );
    assert_eq!(notes("ip,nw_src=300.2.3.4,actions=1"), ["`300.2.3.4` for `nw_src` was cut to its 8 bits"]);
    assert_eq!(notes("dl_vlan=4096,actions=1"), ["`4096` for `dl_vlan` was cut to its 12 bits"]);
    assert_eq!(notes("ip,actions=load:10.0.0.1->NXM_OF_IP_SRC[]").len(), 1);
    assert_eq!(notes("dl_vlan=0xffff,actions=1"), [""; 0]);
    assert_eq!(notes("vlan_tci=0,actions=1"), [""; 0]);
    assert_eq!(notes("tcp,tp_dst=80,vlan_tci=0x1123,actions=1"), [""; 0]);
}

#[test]
fn ports_may_be_named() {
    let named = |name: &str| (name == "vf0").then_some(OfPort(7));
    let rule = parse_flow("in_port=vf0,actions=vf0,output:vf0,resubmit:vf0", &named).unwrap();
    assert_eq!(format_rule(&rule), "in_port=7 actions=output:7,output:7,resubmit:7");
}

#[test]
fn a_file_is_read_line_by_line() {
    let text = "# rules\n\npriority=1,actions=1 # one\r\n  \nip,actions=2\n";
    assert_eq!(parse_flows(text, &NoPorts).unwrap().len(), 2);
    let error = parse_flows("actions=1\n\nfoo=1,actions=1\n", &NoPorts).unwrap_err();
    assert_eq!(error.to_string(), "line 3: unknown field `foo`");
}

#[test]
fn dumps_look_like_ovs_ofctl_s() {
    let rule =
        parse_flow("priority=5,ip,idle_timeout=9,send_flow_rem,actions=mod_vlan_vid:5,output:2", &NoPorts).unwrap();
    let stats = RuleStats { packets: 3, bytes: 180, duration: Duration::from_nanos(2_000_123_000), idle_age: None };
    assert_eq!(
        format_dump(&rule, &stats),
        "cookie=0x0, duration=2.000123s, table=0, n_packets=3, n_bytes=180, idle_timeout=9, send_flow_rem \
         priority=5,ip actions=mod_vlan_vid:5,output:2"
    );
    assert_eq!(format_actions(&[]), "drop");
}

#[test]
fn huge_and_deep_texts_are_answered() {
    let deep = "(".repeat(1 << 20);
    assert!(parse_flow(&format!("reg0{deep},actions=1"), &NoPorts).is_err());
    assert!(parse_flow(&format!("actions=clone{deep}"), &NoPorts).is_err());
    assert!(parse_flow(&"a".repeat(1 << 20), &NoPorts).is_err());
    assert!(parse_flow(&format!("actions={}", "1,".repeat(1 << 19)), &NoPorts).is_err());
    assert!(parse_flow(&format!("{}actions=1", "ip,".repeat(1 << 19)), &NoPorts).is_ok());
    assert!(matches!(
        parse_flow(&format!("reg0={},actions=1", "9".repeat(1 << 20)), &NoPorts),
        Err(ParseError::BadValue { .. })
    ));
    assert_eq!(parse_flow(&format!("actions={}", "1,".repeat(4000)), &NoPorts).unwrap().actions.len(), 4000);
}

/// Text that is close to flow text.
fn nearly() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        Just("actions=".to_owned()),
        prop::sample::select(super::super::names::TEXT_FIELDS).prop_map(|f| f.names[0].to_owned()),
        prop::sample::select(&super::super::actions::names::ACTIONS[..]).prop_map(str::to_owned),
        prop::sample::select(&super::super::names::KEYS[..]).prop_map(str::to_owned),
        "[=:,()/|+* \\[\\].\"-]{1,3}",
        "(0x)?[0-9a-f]{0,20}",
        "[0-9.:/]{1,16}",
        Just("->".to_owned()),
        any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(token, 0..24).prop_map(|tokens| tokens.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics(text in prop_oneof![nearly(), ".*"]) {
        if let Ok(rule) = parse_flow(&text, &NoPorts) {
            prop_assert_eq!(parse_flow(&format_dump(&rule, &RuleStats::default()), &NoPorts), Ok(rule.clone()));
            let _ = format_rule(&rule);
        }
        let _ = parse_filter(&text, true, &NoPorts);
        let _ = parse_match(&text, &NoPorts);
        let _ = parse_flows(&text, &NoPorts);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse_flow(&String::from_utf8_lossy(&bytes), &NoPorts);
    }

    #[test]
    fn any_set_is_printed_and_read_back(index in 0..super::super::names::TEXT_FIELDS.len(), value: u128, mask: u128) {
        let field = super::super::names::TEXT_FIELDS[index].id;
        let mask = crate::Value(mask & field.def().ones().0);
        let action = Action::Load { field, value: crate::Value(value & mask.0), mask };
        // Printing is total, also for what text cannot have made.
        let _ = format_actions(&[action, Action::SetField { field, value: crate::Value(value), mask }]);
        let _ = crate::text::field_value(field, crate::Value(value), mask);
    }
}
