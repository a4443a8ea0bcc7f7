//! The table of actions in the guide is made from the code: `UPDATE_DOCS=1 cargo test -p flow actions_table` writes it.

use crate::text::actions::names::{ACTIONS, OTHER_ACTIONS};
use crate::text::{NoPorts, format_rule, parse_flow};
use std::fmt::Write;
use std::path::PathBuf;

const HEAD: &str = "\
<!-- Made from the code: UPDATE_DOCS=1 cargo test -p flow actions_table -->
# Actions

What `actions=` of a flow can hold, with the names of ovs-actions(7), in the forms that are taken. Names are taken in
any case. *Becomes* is what `shuntctl flow parse` and `ovs-ofctl -O OpenFlow14 parse-flows` print of a flow with the given
match: older actions become those that OpenFlow 1.4 has.

Instructions come in OpenFlow 1.3's order, each once: `meter`, then the actions, then `clear_actions`, `write_actions`,
`write_metadata`, `goto_table`. `drop` stands alone; `conjunction` stands beside `conjunction` and `note` only. Lists may
be nested 100 deep, and hold 4,000 actions in all.

| action | with the match | becomes |
|---|---|---|
";

const TAIL: &str = "
## Where it differs from ovs-ofctl

Held against ovs-ofctl 3.1.0 with more than 1,700 lists of actions; groups and meters against the messages that
ovs-ofctl sends. There are no other differences known.

| what | here | why |
|---|---|---|
| `goto_table:255` | refused | no table has this number |
| `set_field:...->dl_vlan`, `...->dl_vlan_pcp`, and parts of them in `move`, `load`, `push` | refused | ovs-ofctl sends another field than was meant |
| `controller(reason=)` | refused | ovs-ofctl takes the empty name for a reason without name |
| `nat(src=1.2.3)`, `nat(src=:::1)` | refused | ovs-ofctl takes a mistyped address for none at all |
| two `nat` in one `ct` | refused | the second would hide the first |
| `conjunction` in `exec` of `ct` | refused | it does nothing there |
| `write_actions()` without actions | left out of dumps | it has no effect, and no message has it |
| more than 64,000 bytes of actions | refused | ovs-ofctl's own limits are close to this, by action |
| `resubmit(PORT,,ct)`, and `nat(src,random)` without addresses | printed whole in dumps | ovs-ofctl leaves a part out, so that what is read back would be another action |
| buckets: `mod_tp_src`, `mod_tp_dst` | refused | without a match, the protocol is not known, and no switch takes it |
| buckets: values with bits beyond their mask, sets of no bit, parts of `vlan_vid` | taken | they mean the same |
| buckets: parts of fields that take no mask in text (`vlan_pcp`, `nw_ttl` ...) | printed as `load` | ovs-ofctl prints a mask that it does not read back |
| buckets: `check_pkt_larger` behind another action | taken | ovs-ofctl does not read back its own dump of it |
| meters without unit | kbps | OpenFlow's default |
| meters: `type=drop,rate=5000,rate=12000` | two bands | ovs-ofctl forgets the first rate |
| meters `controller` and `slowpath` | refused | there are no such meters |
";

/// Matches, and the actions that are shown with them.
#[rustfmt::skip]
const SHOWN: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "drop", "output:1", "1", "output:LOCAL", "output:reg0[0..15]", "output_reg:reg0[]", "output(port=1,max_len=100)",
            "in_port", "normal", "flood", "all", "local", "table", "controller", "controller:128",
            "controller(max_len=64,reason=no_match,id=5,userdata=01.02,pause,meter_id=7)", "enqueue:1:2", "enqueue(1,2)",
            "group:5", "bundle(eth_src,50,active_backup,ofport,members:4,8)",
            "bundle_load(symmetric_l4,0,hrw,ofport,reg0[0..15],members:4,8)", "set_field:5->reg0",
            "set_field:0x50/0xf0->reg0", "set_field:10.0.0.1->tun_dst", "load:5->reg0[0..15]", "load:5->xreg0[]",
            "move:in_port[]->reg0[0..15]", "move:xxreg0[]->xxreg1[]", "push:reg0[]", "pop:reg0[0..15]",
            "mod_dl_src:00:11:22:33:44:55", "mod_dl_dst:00:11:22:33:44:55", "mod_vlan_vid:5", "mod_vlan_pcp:3",
            "push_vlan:0x8100", "push_vlan:0x88a8", "set_tunnel:5", "set_tunnel64:5", "set_queue:3", "pop_queue",
            "resubmit:1", "resubmit(1,2)", "resubmit(,2)",
            "learn(table=10,idle_timeout=60,NXM_OF_VLAN_TCI[0..11],eth_dst=eth_src[],load:in_port[]->reg0[0..15],output:in_port[])",
            "learn(table=1,priority=5,cookie=0x7,send_flow_rem,delete_learned,limit=10,result_dst=reg1[0],reg0=5,load:1->reg2[0])",
            "conjunction(7,1/2)", "clone(mod_vlan_vid:5,1),2", "note:01.02.03", "exit",
            "sample(probability=100,collector_set_id=1,obs_domain_id=2,obs_point_id=3,sampling_port=1,egress)",
            "check_pkt_larger(1500)->reg0[0]", "ct_clear", "meter:1,2", "clear_actions", "write_actions(group:5)",
            "write_metadata:5/0xff", "goto_table:3",
            "meter:1,set_field:5->reg0,clear_actions,write_actions(2),write_metadata:5,goto_table:3",
        ],
    ),
    (
        "ip",
        &[
            "mod_nw_src:10.0.0.1", "mod_nw_dst:10.0.0.1", "mod_nw_tos:4", "mod_nw_ecn:1", "mod_nw_ttl:5", "set_nw_ttl:5",
            "dec_ttl", "dec_ttl(1,2)", "ct(commit,zone=5,table=3)", "ct(commit,force,exec(set_field:5->ct_mark))",
            "ct(table=2,zone=reg0[0..15],nat)", "ct(commit,nat(src=10.0.0.1-10.0.0.9:1024-2048,random))",
        ],
    ),
    ("tcp", &["mod_tp_src:80", "mod_tp_dst:80", "ct(commit,alg=ftp)"]),
    ("dl_vlan=5", &["strip_vlan", "pop_vlan", "set_vlan_vid:6", "set_vlan_pcp:3", "mod_vlan_vid:6"]),
    ("ct_state=+trk+est,ip", &["resubmit(,2,ct)"]),
];

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn table() -> String {
    let mut out = HEAD.to_owned();
    for (matching, actions) in SHOWN {
        for action in *actions {
            let rule = parse_flow(&format!("{matching},actions={action}"), &NoPorts).expect(action);
            let printed = format_rule(&rule);
            let becomes = printed.split_once("actions=").map_or("", |(_, a)| a);
            let matching = if matching.is_empty() { String::new() } else { format!("`{matching}`") };
            let _ = writeln!(out, "| `{}` | {matching} | `{}` |", cell(action), cell(becomes));
        }
    }
    out.push_str("\n## Not supported yet\n\nRefused by name: ");
    out.push_str(&OTHER_ACTIONS.map(|name| format!("`{name}`")).join(", "));
    out.push_str(".\n");
    out.push_str(TAIL);
    out
}

#[test]
fn actions_table_of_the_guide_is_that_of_the_code() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/guide/actions-table.md");
    let table = table();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == table, "{} is stale: UPDATE_DOCS=1 cargo test -p flow actions_table", path.display());
}

#[test]
fn every_action_is_in_the_table() {
    let shown: Vec<_> = SHOWN.iter().flat_map(|(_, actions)| *actions).collect();
    for name in ACTIONS {
        let is = |a: &&&str| {
            a.strip_prefix(name).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_'))
        };
        assert!(shown.iter().any(is), "{name}");
    }
}
