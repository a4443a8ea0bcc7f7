//! Flow texts: each field in each form, each action, and many that are wrong.

mod actions;
mod actions_more;

/// Matches and the actions that are tried with them.
fn all_actions() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    actions::ACTIONS.iter().chain(actions_more::ACTIONS)
}

/// Match keys with the match that they need, and values: good ones, then bad ones behind a `!`.
const FIELDS: &[(&str, &str, &str)] = &[
    ("in_port", "", "0 1 65279 65280 LOCAL local in_port controller 65534 4294967294 ANY ! foo -1 0x5 65536 5/3"),
    ("recirc_id", "", "0 5 0x10 ! x 5/3 4294967296"),
    ("tun_id", "", "0 5 0xffffffffffffffff 5/0xff 0/0 -1 * ! 0x10000000000000000 x"),
    ("tunnel_id", "", "7 7/7"),
    ("pkt_mark", "", "0 5 0xffffffff 0x5/0xf 010 ! 4294967296 x/1 1/x"),
    (
        "ct_state",
        "",
        "0 +trk +trk+est-new trk|new 0x21 0x21/0x21 0/3 0x21/0xff -dnat ! 0x100 +foo foo +trk+trk trk+new",
    ),
    ("ct_mark", "", "0 6 0x6/0xf ! x"),
    ("ct_zone", "", "0 5 65535 ! 65536 5/3"),
    ("dp_hash", "", "0 5 5/0xff ! x"),
    ("metadata", "", "0 5 0x5/0xf 18446744073709551615 0xffffffffffffffff ! 18446744073709551616 zz"),
    ("reg0", "", "0 1 0xffffffff 5/3 0/0xff 0x100/0xff * 5/0 ! 0x1ffffffff x 5/ /5 5/3/1"),
    ("reg15", "", "7 0x7/0x70"),
    (
        "dl_src",
        "",
        "00:11:22:33:44:55 AA:bb:CC:dd:EE:ff 1:2:3:4:5:6 01:00:00:00:00:00/01:00:00:00:00:00 ! zz 1:2:3:4:5 1:2:3:4:5:6:7 00:11:22:33:44:55/1",
    ),
    ("eth_src", "", "00:11:22:33:44:55/ff:ff:00:00:00:00 00:11:22:33:44:55/00:00:00:00:00:00 *"),
    ("dl_dst", "", "ff:ff:ff:ff:ff:ff 100:2:3:4:5:6 0x1:2:3:4:5:6 ! 1.2.3.4"),
    ("eth_dst", "", "00:00:00:00:00:00 33:33:00:00:00:00/ff:ff:00:00:00:00"),
    ("dl_type", "", "0x800 0x806 0x86dd 0x88cc 0x5ff 5 0 2048 0x8035 ! 0x10000 0x800/0xff00 x"),
    ("eth_type", "", "0x0800 0x600"),
    (
        "vlan_tci",
        "",
        "0 0x1000 0x1123 0xf123 0x1000/0x1000 0x0123/0x0fff 0xf000/0xf000 0x3000/0xf000 0x2000/0xe000 0x5/0x1fff 0x1005/0x1fff 0x1005/0x100f 0x0/0x1000 0xffff * ! 0x10000 0x2005/0xefff x",
    ),
    ("dl_vlan", "", "0 10 4095 4096 0xffff 65535 * ! 65536 5/0xfff x"),
    ("dl_vlan_pcp", "", "0 7 8 * ! 256 1/3"),
    ("vlan_vid", "", "0 10 0x100a 0x1000/0x1000 0x1005/0x1fff 5/0xfff 0x2000 0x1123/0x1f00 * ! 65536 x"),
    ("vlan_pcp", "", "0 7 9 ! 256 1/3"),
    ("nw_proto", "ip", "0 6 17 132 1 47 255 * ! 256 6/15 tcp"),
    ("ip_proto", "ipv6", "0 6 17 58 89"),
    ("nw_proto", "arp", "1 2"),
    ("nw_proto", "", "6"),
    ("nw_tos", "ip", "0 4 252 5 0x20 * ! 256 4/4"),
    ("nw_tos", "ipv6", "8"),
    ("nw_tos", "arp", "4"),
    ("ip_dscp", "ip", "0 1 63 64 ! 256"),
    ("nw_ecn", "ip", "0 3 4 ! 256 3/3"),
    ("ip_ecn", "ipv6", "1"),
    ("nw_ttl", "ip", "0 64 255 ! 256 64/64"),
    ("nw_ttl", "", "64"),
    ("nw_frag", "ip", "no yes first later not_later FIRST * ! maybe 1"),
    ("ip_frag", "ipv6", "no yes first later not_later"),
    ("nw_frag", "tcp", "later first"),
    ("nw_frag", "tcp,tp_dst=80", "first yes not_later ! later"),
    ("nw_frag", "udp6,tp_dst=80", "! later"),
    ("nw_frag", "tcp,tcp_flags=+syn", "! later"),
    ("nw_frag", "icmp,icmp_type=8", "later"),
    ("recirc_id", "tcp,ct_mark=5,reg0=1", "7"),
    ("recirc_id", "dl_vlan=5", "7"),
    ("nw_frag", "", "yes"),
    (
        "nw_src",
        "ip",
        "1.2.3.4 0.0.0.0 255.255.255.255 1.2.3.4/0 1.2.3.4/8 1.2.3.4/32 1.2.3.4/255.0.255.0 1.2.3.4/255.255.255.0 300.2.3.4 * ! 1.2.3.4/33 1.2.3 1.2.3.4.5 1.2.3.4x ::1 foo",
    ),
    ("nw_dst", "tcp", "10.0.0.0/8 10.1.2.3/255.255.0.0"),
    ("ip_src", "arp", "1.2.3.4 1.2.3.4/24"),
    ("ip_dst", "", "1.2.3.4"),
    ("nw_dst", "ipv6", "1.2.3.4"),
    (
        "ipv6_src",
        "ipv6",
        "::1 :: fe80::1/64 fe80::1/10 2001:db8::/ffff:ffff:: ::1.2.3.4 ::ffff:1.2.3.4 1:0:0:2:0:0:0:3 1:2:3:4:5:6:7:8 ::1/0 ::1/128 * ! fe80:::1 ::1/129 ::1/x 1.2.3.4 1:2",
    ),
    ("ipv6_dst", "tcp6", "fe80::1/ffff::ffff 1:0:0:2::/ffff:0:0:ffff::"),
    ("ipv6_dst", "ip", "::1"),
    ("ipv6_label", "ipv6", "0 5 0x12345 0x5/0xff 0xfffff ! 0x100000 x"),
    ("arp_op", "arp", "0 1 255 256 ! 65536 1/1"),
    ("arp_op", "rarp", "3"),
    ("arp_spa", "arp", "1.2.3.4 1.2.3.4/16 1.2.3.4/0.0.0.255 ! x"),
    ("arp_tpa", "rarp", "1.2.3.4 1.2.3.4/31"),
    ("arp_sha", "arp", "00:00:00:00:00:01 00:01:00:00:00:00/ff:ff:00:00:00:00 ! x"),
    ("arp_tha", "arp", "00:00:00:00:00:01"),
    ("arp_tha", "ip", "00:00:00:00:00:01"),
    ("tp_src", "tcp", "0 80 65535 0x50 80/0xfff0 0x50/0xffff 5/0 * ! 65536 -1 0x50/-1 http"),
    ("tp_dst", "udp6", "53 53/0xff"),
    ("tp_dst", "", "80"),
    ("tp_dst", "ip", "80"),
    ("tp_src", "icmp", "8 256 8/0xf"),
    ("tp_src", "icmp6", "135"),
    ("tcp_src", "tcp", "80 80/0xff"),
    ("tcp_dst", "tcp6", "443"),
    ("tcp_dst", "udp", "80"),
    ("tcp_dst", "", "80"),
    ("udp_src", "udp", "53 0x1/0x1"),
    ("udp_dst", "tcp", "53"),
    ("sctp_src", "sctp", "5 5/7"),
    ("sctp_dst", "sctp6", "5"),
    (
        "tcp_flags",
        "tcp",
        "0 2 0xfff syn syn|ack +syn +syn-ack +[200] +ece-ns 2/0x12 0/0xfff 2/0 ! 0x1000 +syn+syn +foo foo syn+ack",
    ),
    ("tcp_flags", "tcp6", "+fin"),
    ("tcp_flags", "udp", "+syn"),
    ("icmp_type", "icmp", "0 8 255 * ! 256 8/8"),
    ("icmp_code", "icmp", "0 3"),
    ("icmp_type", "icmp6", "135"),
    ("icmpv6_type", "icmp6", "128 135 ! 256"),
    ("icmpv6_code", "icmp6", "1"),
    ("icmp_type", "", "8"),
    ("nd_target", "icmp6,icmp_type=135", "::1 fe80::/16 ! x"),
    ("nd_target", "icmp6,icmp_type=135,icmp_code=1", "::1"),
    ("nd_target", "icmp6", "::1"),
    ("nd_sll", "icmp6,icmp_type=135", "00:00:00:00:00:01 00:00:00:00:00:01/00:00:00:00:00:ff"),
    ("nd_sll", "icmp6,icmp_type=136", "00:00:00:00:00:01"),
    ("nd_tll", "icmp6,icmp_type=136", "00:00:00:00:00:01"),
    ("reg1[0..3]", "", "5 0xf ! 16 x"),
    ("reg1[7]", "", "1 0 ! 2"),
    ("NXM_NX_REG2[]", "", "7"),
    ("nw_src[0..7]", "ip", "5 ! 256"),
    ("nw_proto[]", "ip", "6"),
    ("nw_tos[2..7]", "ip", "! 1"),
    ("reg1[5..3]", "", "! 1"),
    ("reg1[0..32]", "", "! 1"),
    ("reg1[0..3", "", "! 1"),
    ("reg16[]", "", "! 1"),
    ("priority", "ip", "0 1 10 32768 65535 0x10 010 +5 ! 65536 -1 x 1x"),
    ("table", "ip", "0 1 254 255 +5 ! 256 -1 0x5 x"),
    ("cookie", "ip", "0 5 0xabcdef 0xffffffffffffffff -1 ! 5/5 0x123456789abcdef01 x"),
    ("idle_timeout", "", "0 5 65535 ! 65536 x"),
    ("hard_timeout", "ip", "0 5 ! -1"),
    ("importance", "ip", "0 7 ! 65536"),
    ("duration", "", "5.3s"),
    ("n_packets", "", "7"),
    ("idle_age", "", "7"),
];

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

/// All of the above as flows.
pub fn corpus() -> Vec<String> {
    let mut flows: Vec<String> = WHOLE.iter().map(|f| (*f).to_owned()).collect();
    for (key, needs, values) in FIELDS {
        let values = values.split(' ').filter(|v| *v != "!");
        flows.extend(values.map(|value| format!("{needs},{key}={value},actions=1")));
    }
    for (needs, list) in all_actions() {
        flows.extend(list.split(' ').filter(|a| *a != "!").map(|action| format!("{needs},actions={action}")));
    }
    flows
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
        // Two whose bits OVS keeps for another field when the protocol is changed behind them.
        if good.is_empty() || matches!(key, "tcp_flags" | "ipv6_label") {
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
        "packet_type=(1,0x800),actions=1",
        "tun_metadata0=5,actions=1",
        "tun_gtpu_flags=5,actions=1",
        "tun_erspan_ver=1,actions=1",
        "dl_type=0x894f,nsh_flags=1,actions=1",
    ]
}

/// Flows that ovs-ofctl takes and that are refused here on purpose.
pub fn deliberate() -> &'static [&'static str] {
    &[
        // No such table: a switch refuses it.
        "table=5,actions=goto_table:255",
        // ovs-ofctl sends another field than was meant.
        "dl_vlan=5,actions=set_field:3->dl_vlan",
        // A reason without name, which is number 6.
        "actions=controller(reason=)",
        // Taken for no range at all.
        "ip,actions=ct(commit,nat(src=1.2.3))",
        "ipv6,actions=ct(commit,nat(src=:::1))",
        // No connection is in `exec`, and the second translation would hide the first.
        "ip,actions=ct(commit,exec(conjunction(1,1/2)))",
        "ip,actions=ct(commit,nat(src=1.2.3.4),nat(dst=1.2.3.4))",
        // Text behind the flags.
        "tcp,tcp_flags=2/3x,actions=1",
    ]
}
