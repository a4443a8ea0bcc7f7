//! Actions in each form, and such that are wrong.

/// The match that actions are tried with, and the actions: good ones, then bad ones behind a `!`.
pub(super) const ACTIONS: &[(&str, &str)] = &[
    (
        "",
        "1 output:1 output(1) OUTPUT:1 65279 +5 drop DROP in_port IN_PORT normal NORMAL normal:5 flood all local LOCAL output:local output:in_port table output:TABLE controller controller:0 controller:100 controller(max_len=7) controller(100) output:CONTROLLER controller(reason=action) 65534 4294967294 4294967293",
    ),
    (
        "",
        "! output output: output:foo output:-1 output:0x5 65280 65535 65536 output:none any unset output:unset controller:65536 controller:x controller(foo=1) nothing frobnicate:5",
    ),
    ("", "mod_dl_src:00:11:22:33:44:55 mod_dl_dst:1:2:3:4:5:6 ! mod_dl_src mod_dl_src:x mod_dl_dst:1:2:3"),
    (
        "",
        "! mod_nw_src:1.2.3.4 mod_nw_dst:1.2.3.4 mod_nw_tos:4 mod_nw_ecn:1 mod_nw_ttl:5 set_nw_ttl:5 mod_tp_src:5 mod_tp_dst:5 dec_ttl dec_ttl() strip_vlan pop_vlan set_vlan_vid:5 set_vlan_pcp:5",
    ),
    (
        "ip",
        "mod_nw_src:1.2.3.4 mod_nw_dst:1.2.3.4 mod_nw_tos:0 mod_nw_tos:252 mod_nw_ecn:3 mod_nw_ttl:255 set_nw_ttl:5 dec_ttl dec_ttl() ! mod_nw_src:1.2.3 mod_nw_src:x mod_nw_src:1.2.3.4/8 mod_nw_tos:5 mod_nw_tos:256 mod_nw_ecn:4 mod_nw_ttl:256 mod_tp_src:5 mod_tp_dst:5 mod_nw_tos:x mod_nw_src:256.1.1.1",
    ),
    ("ipv6", "mod_nw_tos:4 mod_nw_ecn:1 mod_nw_ttl:5 dec_ttl ! mod_nw_src:1.2.3.4 mod_nw_dst:1.2.3.4 mod_tp_dst:5"),
    ("arp", "! mod_nw_src:1.2.3.4 mod_nw_tos:4 dec_ttl mod_tp_dst:5"),
    ("tcp", "mod_tp_src:0 mod_tp_dst:65535 ! mod_tp_src:65536 mod_tp_dst:-1 mod_tp_dst:x"),
    ("udp6", "mod_tp_src:1 mod_tp_dst:2"),
    ("sctp", "mod_tp_src:1 mod_tp_dst:2"),
    ("icmp", "! mod_tp_src:1 mod_tp_dst:2"),
    ("tcp,nw_frag=later", "! mod_tp_src:1 set_field:80->tcp_dst"),
    ("tcp,nw_frag=first", "mod_tp_src:1"),
    (
        "",
        "mod_vlan_vid:0 mod_vlan_vid:4095 mod_vlan_pcp:7 mod_vlan_vid:5,mod_vlan_pcp:3 mod_vlan_pcp:3,mod_vlan_vid:5,strip_vlan push_vlan:0x8100 push_vlan:0x88a8 push_vlan:33024 push_vlan:0x8100,push_vlan:0x88a8 push_vlan:0x8100,pop_vlan push_vlan:0x8100,set_field:4101->vlan_vid push_vlan:0x8100,mod_vlan_vid:7 push_vlan:0x8100,set_field:3->vlan_pcp",
    ),
    (
        "",
        "! mod_vlan_vid:4096 mod_vlan_vid:x mod_vlan_pcp:8 push_vlan:0x9100 push_vlan push_vlan:x push_vlan:0x8100,push_vlan:0x8100,push_vlan:0x8100 push_vlan:0x8100,pop_vlan,pop_vlan push_vlan:0x8100,set_field:5->vlan_vid set_field:4101->vlan_vid set_field:3->vlan_pcp",
    ),
    (
        "dl_vlan=5",
        "strip_vlan pop_vlan mod_vlan_vid:6 mod_vlan_pcp:6 set_vlan_vid:6 set_vlan_pcp:6 strip_vlan,mod_vlan_vid:7 push_vlan:0x88a8 set_field:4101->vlan_vid set_field:0x1005/0x1fff->vlan_vid set_field:0x5/0xfff->vlan_vid set_field:0x5/0xf->vlan_vid load:5->vlan_vid[] load:3->OXM_OF_VLAN_PCP[] load:1->vlan_pcp[0] ! strip_vlan,strip_vlan push_vlan:0x8100,push_vlan:0x8100 set_vlan_vid:4096 set_vlan_pcp:8 set_field:5->vlan_vid load:5->vlan_vid[0..12]",
    ),
    ("vlan_tci=0x1000/0x1000", "strip_vlan mod_vlan_vid:6"),
    ("vlan_tci=0", "mod_vlan_vid:6 ! strip_vlan"),
    (
        "",
        "set_field:0x1005->vlan_tci set_field:0x1005->vlan_tci,pop_vlan load:0x1->NXM_OF_VLAN_TCI[12],strip_vlan load:5->vlan_tci[0..11] ! load:0->NXM_OF_VLAN_TCI[],pop_vlan",
    ),
    (
        "",
        "set_field:0->reg0 set_field:0x50->reg15 set_field:5/0xff->reg1 set_field:0x50/0xf0f0->reg0 set_field:5/0xffffffff->reg0 set_field:*->reg0 set_field:5/0->reg0,2 set_field:5->metadata set_field:5/7->metadata set_field:5->tun_id set_field:5->tunnel_id set_field:5->pkt_mark set_field:7->in_port set_field:LOCAL->in_port set_field:aa:bb:cc:dd:ee:ff->eth_src set_field:aa:bb:cc:dd:ee:ff->dl_dst set_field:aa:bb:cc:dd:ee:ff/ff:00:00:00:00:ff->dl_src set_tunnel:5 set_tunnel64:0x10000000000",
    ),
    (
        "",
        "! set_field:5 set_field:5-> set_field:x->reg0 set_field:0x1ffffffff->reg0 set_field:5->reg16 set_field:0x800->eth_type set_field:5->ct_mark set_field:5->ct_zone set_field:5->recirc_id set_field:1.2.3.4->ip_src set_field:::1->ipv6_src set_field:5->nw_ttl set_field:80->tcp_dst set_field:1->arp_op set_field:foo->in_port set_field:5->NXM_NX_REG0 set_field set_tunnel:x",
    ),
    (
        "",
        "load:0->reg0[] load:5->NXM_NX_REG0[] load:5->NXM_NX_REG0[0..3] load:1->reg1[7] load:1->reg1 load:5->NXM_NX_TUN_ID[0..31] load:5->OXM_OF_METADATA[] load:5->metadata[0..3] load:3->NXM_OF_IN_PORT[] load:3->in_port[0..7] load:0xaabb->NXM_OF_ETH_SRC[0..15] load:0xaabbccddeeff->OXM_OF_ETH_DST[] load:5->NXM_NX_PKT_MARK[]",
    ),
    (
        "",
        "! load load:5 load:5-> load:x->reg0[] load:0x1ff->reg0[0..7] load:1->reg0[0..40] load:1->reg0[3 load:1->reg0[5..3] load:1->reg16[] load:1->reg0[]x load:5->NXM_OF_ETH_TYPE[] load:5->NXM_OF_IP_SRC[] load:5->NXM_NX_CT_MARK[] load:5->NXM_NX_CT_ZONE[] load:1->reg0[32] load:4294967296->reg0[]",
    ),
    (
        "ip",
        "set_field:10.0.0.1->ip_src set_field:10.0.0.1->nw_dst set_field:10.0.0.1/8->nw_src set_field:1.2.3.4/255.0.0.255->ip_dst set_field:5->nw_ttl set_field:4->nw_tos set_field:1->ip_dscp set_field:1->nw_ecn set_field:1->ip_ecn load:0x0a000001->NXM_OF_IP_SRC[] load:5->NXM_NX_IP_TTL[] load:5->nw_ttl[0..3] load:4->NXM_OF_IP_TOS[] load:3->NXM_OF_IP_TOS[2..7] load:3->nw_tos[0..7] load:1->nw_tos[2] load:3->nw_tos[0..1] load:1->OXM_OF_IP_DSCP[] load:1->NXM_NX_IP_ECN[0] ! set_field:5->nw_tos set_field:64->ip_dscp set_field:4->nw_ecn set_field:4/4->nw_tos set_field:6->nw_proto set_field:::1->ipv6_dst set_field:80->tp_dst set_field:first->nw_frag load:6->NXM_OF_IP_PROTO[]",
    ),
    (
        "ipv6",
        "set_field:::1->ipv6_src set_field:fe80::/64->ipv6_dst set_field:::1/::ff->ipv6_src set_field:1->ipv6_label set_field:1/0xff->ipv6_label set_field:5->nw_ttl load:1->NXM_NX_IPV6_SRC[0..63] load:1->ipv6_dst[] load:0->NXM_NX_IPV6_LABEL[] ! set_field:1.2.3.4->ip_src set_field:0x100000->ipv6_label",
    ),
    (
        "tcp",
        "set_field:80->tcp_dst set_field:80->tp_src set_field:80/0xff->tcp_dst load:80->NXM_OF_TCP_DST[] load:1->tcp_src[3..9] ! set_field:80->udp_dst set_field:syn->tcp_flags load:80->NXM_OF_UDP_DST[] load:2->NXM_NX_TCP_FLAGS[]",
    ),
    ("udp", "set_field:53->udp_src load:53->NXM_OF_UDP_DST[0..7]"),
    ("sctp6", "set_field:53->sctp_src load:53->sctp_dst[]"),
    ("icmp", "set_field:8->icmp_type set_field:1->icmp_code load:8->NXM_OF_ICMP_TYPE[] ! set_field:256->icmp_type"),
    (
        "icmp6",
        "set_field:8->icmpv6_type load:1->NXM_NX_ICMPV6_CODE[] ! set_field:8->icmp_type set_field:::1->nd_target",
    ),
    (
        "icmp6,icmp_type=135",
        "set_field:::1->nd_target set_field:00:00:00:00:00:01->nd_sll ! set_field:00:00:00:00:00:01->nd_tll",
    ),
    ("icmp6,icmp_type=136,icmp_code=0", "set_field:::1->nd_target set_field:00:00:00:00:00:01->nd_tll"),
    (
        "arp",
        "set_field:2->arp_op set_field:1.2.3.4->arp_spa set_field:1.2.3.4->arp_tpa set_field:00:00:00:00:00:01->arp_sha set_field:00:00:00:00:00:01->arp_tha load:2->NXM_OF_ARP_OP[] load:1->NXM_OF_ARP_SPA[0..7] load:1->NXM_NX_ARP_THA[] ! set_field:256->arp_op set_field:1.2.3.4->ip_src",
    ),
    (
        "",
        "resubmit:5 resubmit(5) resubmit(5,6) resubmit(,6) resubmit(in_port,6) resubmit(5,255) resubmit:local resubmit(5,) ! resubmit resubmit: resubmit() resubmit(,) resubmit(,255) resubmit(in_port) resubmit(5,256) resubmit(foo,4) resubmit(5,4,x) resubmit(5,x)",
    ),
    (
        "",
        "goto_table:1 goto_table:254 1,goto_table:4 ! goto_table goto_table:0 goto_table:256 goto_table:x goto_table:1,2 goto_table:1,goto_table:2",
    ),
    ("table=5", "goto_table:6 ! goto_table:5 goto_table:4"),
    ("", "1,2,LOCAL drop,drop 1,,2 ! drop,1 1,drop"),
];
