//! Flow texts: each field in each form, each action, and many that are wrong.

mod actions;
mod actions_more;
pub mod differences;
mod every_action;
mod fields;
pub mod fields_forms;
mod fields_set;

use fields::FIELDS;

/// Matches and the actions that are tried with them.
fn all_actions() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    actions::ACTIONS.iter().chain(actions_more::ACTIONS)
}

/// Whole flows that do not fit the tables.
const WHOLE: &[&str] = &[
    "actions=",
    "action=1",
    "actions=1 2,3",
    ",,actions=1",
    "priority=1, actions = 1",
    "ip,nw_dst=1.2.3.4,,actions=output:1,,output:2",
    "tcp:3,tp_dst:80,nw_src(1.2.3.4),actions=1",
    "ip(),actions=1",
    "reg0,actions=1",
    "tcp,tcp_flags,actions=1",
    "eth,actions=1",
    "ip4,actions=1",
    "ip6,actions=1",
    "tcp,ip,actions=1",
    "ip,tcp6,actions=1",
    "tcp,udp,actions=1",
    "tcp,dl_type=0x86dd,actions=1",
    "reg0=1,reg0=2,actions=1",
    "reg0[3]=1,reg0[5]=1,actions=1",
    "dl_vlan=5,dl_vlan_pcp=3,actions=1",
    "dl_vlan_pcp=3,dl_vlan=5,actions=1",
    "dl_vlan=5,dl_vlan_pcp=3,dl_vlan=*,actions=1",
    "dl_vlan=5,dl_vlan_pcp=3,dl_vlan_pcp=*,actions=1",
    "dl_vlan=5,vlan_vid=0x1006,actions=1",
    "dl_vlan=65535,dl_vlan_pcp=3,actions=1",
    "dl_vlan=0xffff,vlan_vid=0x1000/0x1000,actions=1",
    "vlan_tci=0x1005/0x1fff,vlan_pcp=3,actions=1",
    "vlan_tci=0x1000/0xf000,dl_vlan=5,actions=1",
    "icmp,icmp_type=3,icmp_code=4,actions=drop",
    "send_flow_rem check_overlap priority=1 reset_counts no_packet_counts no_byte_counts actions=1",
    "cookie=0x5,table=3,idle_timeout=5,hard_timeout=6,importance=7,priority=8,tcp,send_flow_rem,reset_counts,actions=1",
    " cookie=0x0, duration=5.3s, table=0, n_packets=0, n_bytes=0, idle_age=4, priority=5,ip actions=output:1",
    "reg0=1,reg1=2,metadata=3,tun_id=4,pkt_mark=5,ct_state=+trk,ct_zone=6,ct_mark=7,in_port=8,dl_src=1:2:3:4:5:6,tcp,actions=1",
    "no_readonly_table,allow_hidden_fields,actions=1",
    "ipv6,nw_tos=4,nw_ecn=1,nw_ttl=3,nw_frag=no,nw_proto=99,ipv6_label=1,actions=1",
    "tcp6,ipv6_src=::1,ipv6_dst=::2,tp_src=1,tp_dst=2,tcp_flags=+syn,actions=dec_ttl,mod_tp_dst:5,set_field:::5->ipv6_dst,1",
    // Refused.
    "",
    "priority=5",
    "priority=5,actions",
    "ACTIONS=1",
    "foo,actions=1",
    "foo=1,actions=1",
    "nw_dts=1.2.3.4,actions=1",
    "priority=,actions=1",
    "priority,actions=1",
    "priority=1;actions=1",
    "in_port,actions=1",
    "ip,nw_dst,actions=1",
    "ip,nw_dst=,actions=1",
    "dl_src,actions=1",
    "out_port=1,actions=1",
    "TCP,actions=1",
    "NXM_OF_IP_SRC=5,actions=1",
    "vlan_tpid=0x8100,actions=1",
    "vlan1_tci=1,actions=1",
];

/// A flow text, and what it is about: the field or action, and the form of its value.
#[derive(Clone, Debug)]
pub struct Text {
    pub flow: String,
    pub about: String,
    pub form: &'static str,
}

impl Text {
    fn new(flow: impl Into<String>, about: impl Into<String>, form: &'static str) -> Text {
        Text { flow: flow.into(), about: about.into(), form }
    }
}

/// Every text.
pub fn texts() -> Vec<Text> {
    let mut texts: Vec<_> = WHOLE.iter().map(|f| Text::new(*f, "flow", "whole")).collect();
    texts.extend(fields_forms::texts());
    texts.extend(fields_set::texts());
    for (key, needs, values) in FIELDS {
        let values = values.split(' ').filter(|v| *v != "!");
        texts.extend(values.map(|value| Text::new(format!("{needs},{key}={value},actions=1"), *key, "by hand")));
    }
    for difference in differences::DIFFERENCES {
        texts.extend(difference.examples.iter().map(|flow| Text::new(*flow, difference.what, "difference")));
    }
    texts.extend(every_action::texts());
    for (needs, list) in all_actions() {
        texts.extend(list.split(' ').filter(|a| *a != "!").map(|action| {
            let name = action.split([':', '(']).next().unwrap_or_default().to_lowercase();
            Text::new(format!("{needs},actions={action}"), name, "action")
        }));
    }
    let mut seen = std::collections::HashSet::new();
    texts.retain(|t| seen.insert(t.flow.clone()));
    texts
}

/// All of the above as flows.
pub fn corpus() -> Vec<String> {
    texts().into_iter().map(|t| t.flow).collect()
}

/// All lists of actions, good and bad.
pub fn action_lists() -> Vec<&'static str> {
    all_actions().flat_map(|(_, list)| list.split(' ')).filter(|a| *a != "!").collect()
}

/// A flow of parts that are chosen by `seed`.
pub fn mix(seed: u64) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = |n: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as usize % n
    };
    let mut parts = Vec::new();
    let protocols = ["", "ip", "ipv6", "arp", "tcp", "udp", "icmp", "icmp6", "tcp6", "sctp6", "dl_type=0x88cc"];
    parts.push(protocols[next(protocols.len())].to_owned());
    for _ in 0..next(5) {
        let (key, needs, values) = FIELDS[next(FIELDS.len())];
        // Bad values alone are tried one by one; together they would hide each other.
        let good: Vec<_> = values.split(' ').take_while(|v| *v != "!").collect();
        if good.is_empty() {
            continue;
        }
        if next(3) > 0 {
            parts.push(needs.to_owned());
        }
        parts.push(format!("{key}={}", good[next(good.len())]));
    }
    let mut actions = Vec::new();
    let families: Vec<_> = all_actions().collect();
    for _ in 0..next(4) {
        let (needs, list) = *families[next(families.len())];
        let all: Vec<_> = list.split(' ').take_while(|a| *a != "!").collect();
        if all.is_empty() {
            continue;
        }
        if next(3) > 0 {
            parts.push(needs.to_owned());
        }
        actions.push(all[next(all.len())]);
    }
    format!("{},actions={}", parts.join(","), actions.join(","))
}

/// Flows that ovs-ofctl takes and that need more than this switch has.
pub fn unsupported() -> &'static [&'static str] {
    &[
        "mpls,actions=set_mpls_label:5",
        "mpls,actions=set_mpls_tc:5",
        "mpls,actions=set_mpls_ttl:5",
        "mpls,actions=dec_mpls_ttl",
        "mpls,actions=pop_mpls:0x800",
        "actions=push_mpls:0x8847",
        "actions=multipath(eth_src,50,modulo_n,1,0,NXM_NX_REG0[0..15])",
        "tcp,actions=fin_timeout(idle_timeout=5)",
        "actions=delete_field:tun_metadata0",
        "actions=encap(nsh)",
        "actions=decap()",
        "dl_type=0x894f,actions=dec_nsh_ttl",
        "actions=clone(push_mpls:0x8847)",
    ]
}

/// Flows that ovs-ofctl takes and that are refused here on purpose.
pub fn deliberate() -> &'static [&'static str] {
    &[
        // No such table: a switch refuses it.
        "table=5,actions=goto_table:255",
        // A reason without name, which is number 6.
        "actions=controller(reason=)",
        // Taken for no range at all.
        "ip,actions=ct(commit,nat(src=1.2.3))",
        "ipv6,actions=ct(commit,nat(src=:::1))",
        // No connection is in `exec`, and the second translation would hide the first.
        "ip,actions=ct(commit,exec(conjunction(1,1/2)))",
        "ip,actions=ct(commit,nat(src=1.2.3.4),nat(dst=1.2.3.4))",
    ]
}
