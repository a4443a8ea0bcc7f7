//! Actions of tables, connections, groups, queues and instructions in each form, and such that are wrong.

/// As in [`super::actions::ACTIONS`].
pub(super) const ACTIONS: &[(&str, &str)] = &[
    // Outputs.
    (
        "",
        "output:reg0 output:reg0[] output:NXM_NX_REG0[0..15] output:reg15[3] output:metadata[0..31] output:in_port output:NXM_OF_IN_PORT[] output(reg1[16..31]) output_reg:reg0[] output:tun_id[] output:xreg0[0..15] output:OXM_OF_METADATA[] output:eth_src[0..15] ! output:reg16 output:reg0[0..32] output:reg0[5..3] output:reg0x output:ip_src[] output:tcp_dst[] output:reg0[ output:reg0[1.2]",
    ),
    (
        "",
        "output(port=1,max_len=100) output(max_len=14,port=LOCAL) output(port=in_port,max_len=4294967295) output(port=1,max_len=0x64) output(port=65279,max_len=1000) ! output(port=1,max_len=13) output(port=1) output(max_len=100) output(port=normal,max_len=100) output(port=controller,max_len=100) output(port=65280,max_len=100) output(port=foo,max_len=100) output(port=1,max_len=x) output(port=1,max_len=100,foo=1) output(port=1,max_len=) output_trunc(port=1,max_len=100)",
    ),
    ("ip", "output:ip_src[0..15] output:nw_tos output:nw_ttl[]"),
    ("tcp", "output:tcp_dst output:NXM_OF_TCP_SRC[] ! output:udp_dst"),
    (
        "",
        "controller(id=5) controller(max_len=100,id=5) controller(reason=no_match) controller(reason=invalid_ttl,id=7) controller(reason=action_set) controller(reason=GROUP) controller(reason=packet_out) controller(userdata=01.02.0a) controller(userdata=0102) controller(userdata=) controller(pause) controller(userdata=ff,pause,id=1,max_len=3,reason=no_match,meter_id=9) controller(meter_id=5) controller(meter_id=0) controller(max_len=0,pause) controller(id=0) controller(reason=action,max_len=12) controller() controller(userdata=00.00,userdata=01) controller:id=5 CONTROLLER(id=65535) controller(pause=1)",
    ),
    (
        "",
        "! controller(id=65536) controller(id=x) controller(reason=foo) controller(userdata=0) controller(userdata=0g) controller(userdata=x1) controller(meter_id=x) controller(meter_id) controller(max_len=65536) controller(id) controller(-1) controller(foo) controller(max_len) controller(reason=7)",
    ),
    (
        "",
        "enqueue:1:2 enqueue(1,2) enqueue:1q2 enqueue(LOCAL,7) enqueue:in_port:0 enqueue(1,0x10) ENQUEUE:65279:1 enqueue(1:2) enqueue:1:4294967295 enqueue(:1,2) ! enqueue enqueue:1 enqueue() enqueue(1,) enqueue(1) enqueue:normal:1 enqueue:controller:1 enqueue:65280:1 enqueue:foo:1 enqueue:1:x enqueue(1,2,3) enqueue(1::2) enqueue:all:1",
    ),
    (
        "",
        "group:0 group:1 group(5) group:0x10 group:4294967040 group:4294967295 GROUP:7 group:-1 ! group group: group:x group:5x group(1,2) group:99999999999999999999",
    ),
    (
        "",
        "set_queue:0 set_queue:1 set_queue(5) set_queue:0xff set_queue:4294967295 SET_QUEUE:3 ! set_queue set_queue: set_queue:x set_queue(1,2)",
    ),
    ("", "pop_queue set_queue:1,2,pop_queue POP_QUEUE pop_queue() pop_queue,pop_queue pop_queue(1)"),
    (
        "",
        "meter:1 meter:1,2 meter(5),output:1 meter:4294901760 METER:3,resubmit(,4) meter:7,clear_actions meter:1,goto_table:3 meter:0x10,normal ! meter:0x10,drop meter meter:0 meter:x meter:4294901761 1,meter:1 meter:1,meter:2 meter:1,1,meter:1 clear_actions,meter:1",
    ),
    (
        "",
        "bundle(eth_src,0,hrw,ofport,members:1,2,3) bundle(eth_src,50,active_backup,ofport,slaves:4,8) bundle(symmetric_l4,60,hrw,ofport,members:) bundle(symmetric_l3l4,0,hrw,ofport,members:[1,2]) bundle(symmetric_l3l4+udp,65535,hrw,ofport,members:1) bundle(symmetric_l3,0,ACTIVE_BACKUP,ofport,members:LOCAL) bundle(nw_src,0,hrw,ofport,MEMBERS:1,NONE) bundle(nw_dst,0,hrw,OFPORT,members:1,in_port,flood) bundle(ETH_SRC,65536,hrw,ofport,members:1) bundle(eth_src,x,hrw,ofport,members:1)",
    ),
    (
        "",
        "! bundle bundle() bundle(eth_src) bundle(eth_src,0,hrw,ofport) bundle(foo,0,hrw,ofport,members:1) bundle(eth_src,0,foo,ofport,members:1) bundle(eth_src,0,hrw,foo,members:1) bundle(eth_src,0,hrw,ofport,foo:1) bundle(eth_src,0,hrw,ofport,members:foo) bundle(eth_src,0,hrw,ofport,members:controller) bundle(eth_src,0,hrw,ofport,members:65280) bundle(eth_src,0,hrw,ofport,reg0[],members:1)",
    ),
    (
        "",
        "bundle_load(eth_src,0,hrw,ofport,NXM_NX_REG0[],members:4,8) bundle_load(nw_src,5,active_backup,ofport,reg1[0..15],members:1) bundle_load(symmetric_l4,0,hrw,ofport,reg0[16..31],slaves:1,2) bundle_load(eth_src,0,hrw,ofport,xreg1,members:1) bundle_load(eth_src,0,hrw,ofport,metadata[],members:[1,2]) ! bundle_load(eth_src,0,hrw,ofport,members:1) bundle_load(eth_src,0,hrw,ofport,reg0[0..14],members:1) bundle_load(eth_src,0,hrw,ofport,reg16[],members:1) bundle_load(eth_src,0,hrw,ofport,tcp_dst[],members:1) bundle_load(eth_src,0,hrw,ofport,eth_type[],members:1)",
    ),
    // Fields.
    (
        "",
        "move:reg0[]->reg1[] move:reg0->reg1 move:NXM_NX_REG0[0..15]->NXM_NX_REG1[16..31] move:reg0[3]->reg1[5] move:in_port[]->reg0[0..15] move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[] move:reg0[0..15]->NXM_OF_IN_PORT[] move:eth_type[]->reg0[0..15] move:xreg0[]->metadata[] move:xxreg0[]->xxreg1[] move:tun_id[]->xreg3[] move:vlan_tci[0..11]->reg0[0..11] move:reg0[0..11]->vlan_tci[0..11] move:pkt_mark[]->reg4[] move:reg0[]->reg0[] move(reg0[]->reg1[]) move:ct_state[0..7]->reg0[0..7] move:ct_mark[]->reg0[] move:ct_zone[]->reg0[0..15] move:vlan_vid[]->reg0[0..11] move:conj_id[]->reg0[] move:tun_src[]->reg0[] move:reg0[]->tun_dst[]",
    ),
    (
        "",
        "! move move: move:reg0[] move:reg0[]-> move:->reg0[] move:reg0[]->reg1[0..15] move:reg0[]->eth_type[] move:ip_src[]->reg0[] move:reg0[]->ip_src[] move:tcp_dst[]->reg0[0..15] move:reg16[]->reg0[] move:reg0[]->reg16[] move:reg0[]->ct_mark[] move:reg0[]->ct_zone[0..15] move:reg0[0..32]->reg1[0..32] move:reg0[]->reg1[]x move:vlan_pcp[]->reg0[0..2] move:reg0[0..2]->ct_state[0..2]",
    ),
    (
        "ip",
        "move:ip_src[]->ip_dst[] move:NXM_OF_IP_SRC[]->reg0[] move:reg0[]->nw_dst[] move:nw_ttl[]->reg0[0..7] move:nw_tos[]->reg0[0..7] move:ip_dscp[]->reg0[0..5] move:nw_ecn[]->reg0[0..1] move:nw_proto[]->reg0[0..7] ! move:reg0[0..7]->nw_proto[] move:arp_spa[]->reg0[] move:ipv6_src[0..31]->reg0[]",
    ),
    (
        "tcp",
        "move:tcp_src[]->tcp_dst[] move:NXM_OF_TCP_DST[]->reg0[0..15] move:tcp_flags[]->reg0[0..11] ! move:reg0[0..11]->tcp_flags[] move:udp_src[]->reg0[0..15]",
    ),
    (
        "arp",
        "move:arp_spa[]->arp_tpa[] move:arp_sha[]->arp_tha[] move:NXM_OF_ETH_SRC[]->NXM_NX_ARP_SHA[] move:arp_op[]->reg0[0..15] ! move:ip_src[]->reg0[]",
    ),
    (
        "dl_vlan=5",
        "move:vlan_pcp[]->reg0[0..2] move:vlan_vid[]->reg0[0..11] move:reg0[0..11]->vlan_vid[] move:reg0[0..2]->vlan_pcp[] strip_vlan,push_vlan:0x8100,move:vlan_pcp[]->reg0[0..2] ! strip_vlan,move:vlan_pcp[]->reg0[0..2]",
    ),
    (
        "ipv6",
        "move:ipv6_src[]->ipv6_dst[] move:ipv6_src[0..31]->reg0[] move:xxreg0[]->ipv6_dst[] move:ipv6_label[]->reg0[0..19]",
    ),
    (
        "",
        "push:reg0[] push:reg0 push:NXM_NX_REG0[0..15] push:metadata[] push:in_port[] push:xxreg0[] push(reg0[7]) push:eth_type[] push:ct_state[] ! push push: push:reg16[] push:ip_src[] push:reg0[0..32] push:reg0[]x push:tcp_dst[]",
    ),
    (
        "",
        "pop:reg0[] pop:reg1 pop:NXM_NX_REG2[0..15] pop:metadata[] pop:in_port[] pop:xreg0[] pop(eth_src[]) push:reg0[],pop:reg1[] pop:ct_mark[] ! pop pop: pop:reg16[] pop:eth_type[] pop:ip_src[] pop:ct_state[] pop:reg0[0..40]",
    ),
    ("ip", "push:ip_src[],pop:ip_dst[] push:nw_ttl[] pop:nw_tos[] ! pop:nw_proto[]"),
    (
        "",
        "set_field:5->xreg0 set_field:0x123456789abcdef0->xreg7 set_field:5/0xff->xreg1 set_field:1->xxreg0 set_field:0x10000000000000000->xxreg3 set_field:5/0xff00000000000000000000000000000f->xxreg1 load:5->xreg0[] load:5->OXM_OF_PKT_REG1[0..31] load:1->xxreg0[127] load:5->NXM_NX_XXREG1[0..63] load:5->xxreg2[] load:0xffffffffffffffff->xreg0[] ! set_field:5->xreg8 set_field:5->xxreg4 load:5->xreg0[0..64] load:1->xxreg0[128] set_field:0x10000000000000000->xreg0 load:256->xreg0[0..7]",
    ),
    (
        "",
        "set_field:1.2.3.4->tun_src set_field:1.2.3.4->tun_dst set_field:::1->tun_ipv6_dst set_field:5->tun_gbp_id set_field:5->tun_gbp_flags set_field:oam->tun_flags load:5->NXM_NX_TUN_GBP_ID[] load:0x01020304->NXM_NX_TUN_IPV4_DST[] set_field:1.2.3.4/255.255.255.0->tun_src ! set_field:x->tun_src set_field:1.2.3->tun_dst set_field:65536->tun_gbp_id set_field:256->tun_gbp_flags",
    ),
    (
        "",
        "set_tunnel:0 set_tunnel:5 set_tunnel:0xffffffff set_tunnel64:5 set_tunnel64:0xffffffffffffffff set_tunnel:0x100000000 set_tunnel(7) SET_TUNNEL:8 set_tunnel:-1 ! set_tunnel set_tunnel: set_tunnel:5x set_tunnel64 set_tunnel:0x10000000000000000",
    ),
    (
        "",
        "write_metadata:0 write_metadata:5 write_metadata:0x5/0xf write_metadata:0xffffffffffffffff 1,write_metadata:5 write_metadata:5/0 write_metadata:0xff/0xf WRITE_METADATA:1/1,goto_table:3 write_metadata:5/0xffffffffffffffff ! write_metadata write_metadata: write_metadata:x write_metadata:5/ write_metadata:/5 write_metadata:5/x write_metadata:0x10000000000000000 write_metadata:5,1 write_metadata:1,write_metadata:2 goto_table:3,write_metadata:5 write_metadata:5,write_actions(1)",
    ),
    (
        "ip",
        "dec_ttl(0) dec_ttl(1,2) dec_ttl(65535) dec_ttl(1,2,3,4,5,6,7,8,9) dec_ttl(x) dec_ttl(65536) dec_ttl:5 DEC_TTL(1) dec_ttl,dec_ttl(3) ! dec_ttl(,)",
    ),
    ("", "! dec_ttl(0) dec_ttl(1,2) dec_ttl:5"),
    // Tables.
    (
        "",
        "resubmit(1,2) resubmit(1) resubmit(,2,) resubmit:local resubmit(LOCAL,0) RESUBMIT(,9) resubmit(65279,254) resubmit(normal,3) resubmit(65535,3) resubmit(1,2,,x) ! resubmit(,2,ct) resubmit(1,,ct) resubmit(,,ct) resubmit(,2,CT) resubmit(x,2,ct) resubmit(,2,ct,)",
    ),
    (
        "ct_state=+trk+est,ip",
        "resubmit(,2,ct) resubmit(1,2,ct) resubmit(1,,ct) resubmit(in_port,3,ct) resubmit(,2,ct,x) ! resubmit(,,ct) resubmit(,2,xct)",
    ),
    ("ct_state=+trk-inv,ip", "resubmit(,2,ct) resubmit(7,,ct)"),
    ("ct_state=+trk,ip", "! resubmit(,2,ct) resubmit(1,2,ct)"),
    ("ct_state=+rpl", "resubmit(,2,ct)"),
    (
        "",
        "learn() learn(table=1) learn(table=0,priority=5) learn(table=254,hard_timeout=10,idle_timeout=20) learn(fin_idle_timeout=1,fin_hard_timeout=2) learn(cookie=0x5,send_flow_rem,delete_learned) learn(limit=5) learn(limit=5,result_dst=reg0[0]) learn(result_dst=NXM_NX_REG1[31]) learn(priority=x) learn(priority=65541) learn(idle_timeout=5s) learn(cookie=x) learn(cookie=5x) learn(cookie=-1) learn(limit=-1) LEARN(table=3) learn(priority=32768) learn(cookie=99999999999999999999) learn",
    ),
    (
        "",
        "learn(table=1,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[]) learn(NXM_OF_VLAN_TCI[0..11],NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:NXM_OF_IN_PORT[]->NXM_NX_REG0[0..15]) learn(in_port) learn(eth_type=0x800) learn(dl_type=0x806) learn(NXM_OF_ETH_TYPE[]=0x86dd) learn(eth_src) learn(eth_src=00:11:22:33:44:55) learn(eth_dst=eth_src[]) learn(reg0=reg1) learn(reg0[]=reg1[]) learn(reg0[0..15]=reg1[16..31]) learn(reg0[3]=1) learn(reg0[0..7]=0xff) learn(reg0[0..7]=0) learn(reg0=5) learn(metadata=0x12345) learn(xreg0=5) learn(in_port=1) learn(in_port=LOCAL) learn(vlan_tci=0x1005) learn(vlan_tci[0..11]=5) learn(tun_id=7) learn(pkt_mark)",
    ),
    (
        "",
        "learn(eth_type=0x800,nw_proto=6,tcp_dst=80) learn(eth_type=0x800,nw_src=1.2.3.4) learn(eth_type=0x800,ip_dst=10.0.0.1,output:reg0[]) learn(eth_type=0x86dd,ipv6_src=::1) learn(eth_type=0x800,nw_proto=17,udp_src=53,load:5->udp_dst[]) learn(eth_type=0x800,NXM_OF_IP_TOS[]=4) learn(eth_type=0x806,arp_op=1) learn(NXM_OF_ETH_TYPE[]=0x800,NXM_OF_IP_PROTO[]=6,NXM_OF_TCP_DST[0..7]=5)",
    ),
    (
        "",
        "learn(load:5->reg0[]) learn(load:0x10->NXM_NX_REG0[0..7]) learn(load:0->reg0[0]) learn(load:0xffffffffffffffff->xreg0[]) learn(load:0x123456789abcdef0123->xxreg0[]) learn(load:reg0[]->reg1[]) learn(load:in_port[]->reg0[0..15]) learn(load:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]) learn(load:1->NXM_OF_VLAN_TCI[0..11]) learn(output:reg0[]) learn(output:NXM_OF_IN_PORT[]) learn(output:reg0[0..15]) learn(output:in_port,output:reg1[]) learn(load:1->in_port[]) learn(load=5->reg0[]) learn(load:5->ct_mark[])",
    ),
    (
        "",
        "! learn(table=255) learn(table=256) learn(table=x) learn(result_dst=reg0) learn(result_dst=reg0[0..1]) learn(result_dst=eth_type[0]) learn(result_dst=foo) learn(foo) learn(foo=1) learn(reg0=reg1[0..15]) learn(reg0[0..3]=16) learn(reg0[0..3]=x) learn(reg0=x) learn(eth_src=x) learn(tcp_dst=80) learn(nw_src=1.2.3.4) learn(eth_type=0x800,tcp_dst=80) learn(nw_src) learn(NXM_OF_IP_DST[]=NXM_OF_IP_SRC[]) learn(load:5) learn(load:->reg0[]) learn(load:5->) learn(load:256->reg0[0..7]) learn(load:5x->reg0[]) learn(load:reg0[]->reg1[0..15]) learn(load:5->eth_type[]) learn(load:80->tcp_dst[]) learn(output:reg16[]) learn(output) learn(output:5) learn(reg0=5/0xff) learn(load) learn(reg0[0..40]=1) learn(group:5) learn(actions=1)",
    ),
    (
        "ip",
        "learn(eth_type=0x800,nw_src=nw_dst[]) learn(NXM_OF_ETH_TYPE[]=0x800,NXM_OF_IP_DST[]=NXM_OF_IP_SRC[]) learn(load:nw_src[]->reg0[]) ! learn(nw_src=nw_dst[]) learn(eth_type=0x800,tcp_dst=tcp_src[])",
    ),
    (
        "tcp",
        "learn(eth_type=0x800,nw_proto=6,tcp_dst=tcp_src[],nw_dst=nw_src[],load:tcp_src[]->reg0[0..15],output:in_port[]) learn(table=10,idle_timeout=10,NXM_OF_ETH_TYPE[]=0x800,NXM_OF_IP_PROTO[]=6,NXM_OF_IP_SRC[]=NXM_OF_IP_DST[],NXM_OF_TCP_SRC[]=NXM_OF_TCP_DST[],load:1->reg0[0])",
    ),
    (
        "",
        "conjunction(1,1/2) conjunction(0,2/2) conjunction(4294967295,64/64) conjunction(1,1/2),conjunction(2,2/3) conjunction(5,1/3),note:00 note:01,conjunction(5,1/3) CONJUNCTION(0x10,3/4) conjunction(1,1/2),note:01,conjunction(3,3/3) conjunction(-1,1/2) conjunction(1,257/2) ! conjunction conjunction() conjunction(1) conjunction(1,1) conjunction(1,0/2) conjunction(1,3/2) conjunction(1,1/1) conjunction(1,1/65) conjunction(x,1/2) conjunction(1,1/2),1 1,conjunction(1,1/2) conjunction(1,1/2x) conjunction:1,1/2 conjunction(1,1/2),goto_table:3 conjunction(1,1/2),drop",
    ),
    (
        "",
        "learn(in_port_oxm=5) learn(conj_id=5) learn(ct_label=5) learn(vlan_vid=0x1005) learn(vlan_vid=5) learn(eth_type=0x800,nw_frag=first) learn(eth_type=0x800,nw_tos=5) move:actset_output[]->reg0[] output:actset_output push:actset_output[] move:reg0[]->in_port_oxm[] load:5->in_port_oxm[] load:5->in_port_oxm[0..7] ! learn(actset_output=5) learn(reg0=actset_output) learn(output:actset_output) learn(vlan_pcp=5) learn(nw_frag=no) set_field:5->in_port_oxm load:5->actset_output[] learn(dl_vlan=5) learn(load:actset_output[]->reg0[])",
    ),
    // Lists inside lists.
    (
        "",
        "clone(1) clone(1,2) clone(drop) clone() clone(set_field:5->reg0,1),2 clone(clone(1),2) clone(push_vlan:0x8100,set_field:4101->vlan_vid,1) clone(mod_vlan_vid:5,1),mod_vlan_vid:6,2 CLONE(1) clone(resubmit(,3)) clone(learn(table=3)) clone(conjunction(1,1/2)) clone clone(output:reg0[]) clone(controller(id=5)) clone(note:00,exit) clone(set_tunnel:5,1) clone(enqueue:1:2)",
    ),
    (
        "",
        "! clone(foo) clone(1,drop) clone(goto_table:3) clone(clear_actions) clone(write_actions(1)) clone(write_metadata:5) clone(meter:1) clone(strip_vlan) clone(dec_ttl) clone(clone(foo)) clone(nat) clone(set_field:5->ct_mark) clone(conjunction(1,1/2),1) clone(apply_actions(1)) clone(push_vlan:0x8100),strip_vlan clone(set_field:80->tcp_dst)",
    ),
    (
        "dl_vlan=5",
        "clone(strip_vlan,1),2 clone(strip_vlan),strip_vlan clone(mod_vlan_vid:6),mod_vlan_pcp:3 ! strip_vlan,clone(strip_vlan)",
    ),
    ("ip", "clone(dec_ttl,set_field:1.2.3.4->ip_src,1) clone(ct(commit)) clone(dec_ttl(1,2))"),
    (
        "",
        "write_actions(1) write_actions(output:1) write_actions(drop) write_actions() write_actions(set_field:5->reg0,group:7) 1,write_actions(2) write_actions(dec_ttl) write_actions(strip_vlan) write_actions(push_vlan:0x8100,output:2) write_actions(mod_vlan_vid:5) write_actions(resubmit(,3)) write_actions(set_queue:3,output:2) write_actions(controller) write_actions(load:5->reg0[],move:reg0[]->reg1[]) write_actions(set_tunnel:5) write_actions(ct_clear) write_actions(mod_dl_src:00:11:22:33:44:55) clear_actions,write_actions(1) WRITE_ACTIONS(normal) write_actions(mod_nw_ttl:5) write_actions(dec_ttl(1)) write_actions(load:5->reg0[0..3],load:6->reg0[0..3]) write_actions(1),goto_table:3 write_actions(1),write_metadata:5 write_actions",
    ),
    (
        "",
        "! write_actions(1),2 write_actions(1),write_actions(2) write_actions(),1 write_actions(),drop write_actions(goto_table:3) write_actions(meter:1) write_actions(clone(1)) write_actions(learn()) write_actions(note:00) write_actions(exit) write_actions(enqueue:1:2) write_actions(bundle(eth_src,0,hrw,ofport,members:1)) write_actions(output:reg0[]) write_actions(output(port=1,max_len=100)) write_actions(controller(id=5)) write_actions(push:reg0[]) write_actions(pop:reg0[]) write_actions(pop_queue) write_actions(sample(probability=1)) write_actions(conjunction(1,1/2)) write_actions(check_pkt_larger(5)->reg0[0]) write_actions(mod_nw_src:1.2.3.4) write_actions(set_field:80->tcp_dst) write_actions(set_vlan_vid:5) write_actions(mod_nw_tos:4) write_actions(foo) write_actions(1,drop) write_actions(write_actions(1)) write_actions(clear_actions) write_actions(ct(commit)) write_actions(write_metadata:1) write_actions(set_field:5->ct_mark) write_metadata:5,write_actions(1) goto_table:3,write_actions(1)",
    ),
    (
        "tcp",
        "write_actions(mod_tp_dst:80,mod_nw_src:1.2.3.4,set_field:80->tcp_src) write_actions(ct(commit,zone=5)) write_actions(mod_nw_tos:4,mod_nw_ecn:1)",
    ),
    (
        "dl_vlan=5",
        "write_actions(mod_vlan_vid:6,mod_vlan_pcp:3) write_actions(strip_vlan) strip_vlan,write_actions(mod_vlan_vid:6) write_actions(set_vlan_vid:6)",
    ),
    (
        "",
        "clear_actions CLEAR_ACTIONS 1,clear_actions clear_actions() clear_actions,goto_table:5 set_field:5->reg0,clear_actions,write_actions(1),write_metadata:5/5,goto_table:9 meter:1,2,clear_actions,write_actions(3),write_metadata:4,goto_table:5 ! clear_actions,1 clear_actions,clear_actions clear_actions,drop write_actions(1),clear_actions write_metadata:1,clear_actions goto_table:3,clear_actions",
    ),
    (
        "",
        "goto_table(3) GOTO_TABLE:3 1,goto_table:3 set_field:5->reg0,goto_table:3 ! goto_table:3,goto_table:4 goto_table:foo goto_table:-1 goto_table:3,drop goto_table:3,1 goto_table:0x5",
    ),
    // Others.
    (
        "",
        "note:00 note:00.11.22 note:001122 note note: note(aa.bb) note:00.11.22.33.44.55 note:00.11.22.33.44.55.66 note:FF NOTE:1a note:.01..02 ! note:0 note:000 note:gg note:1.2 note:00x note:0x00",
    ),
    ("", "exit 1,exit EXIT exit,2 exit() exit(5) exit,exit"),
    (
        "",
        "sample(probability=1) sample(probability=65535,collector_set_id=1,obs_domain_id=2,obs_point_id=3) sample(probability=5,sampling_port=1) sample(probability=5,sampling_port=LOCAL,egress) sample(probability=5,ingress) sample(probability=5,egress,ingress) SAMPLE(probability=0x10) sample(probability=1,collector_set_id=4294967295) sample(obs_point_id=5,probability=6) sample(probability=5,sampling_port=none) sample:probability=5 ! sample sample() sample(probability=0) sample(probability=65536) sample(probability=x) sample(collector_set_id=1) sample(probability=1,foo=1) sample(probability=1,sampling_port=foo) sample(probability=1,obs_domain_id=x) sample(probability=1,obs_point_id) sample(probability)",
    ),
    (
        "",
        "check_pkt_larger(1500)->reg0[0] check_pkt_larger(0)->NXM_NX_REG1[31] check_pkt_larger(65535)->metadata[5] check_pkt_larger:1500->reg0[0] check_pkt_larger(0x100)->xxreg0[127] CHECK_PKT_LARGER(9)->reg15[3],output:1 check_pkt_larger(9)->ct_mark[0] ! check_pkt_larger check_pkt_larger(1500) check_pkt_larger(1500)-> check_pkt_larger(1500)->reg0 check_pkt_larger(1500)->reg0[0..1] check_pkt_larger(65536)->reg0[0] check_pkt_larger(x)->reg0[0] check_pkt_larger(1500)->reg16[0] check_pkt_larger(1500)->eth_type[0] check_pkt_larger()->reg0[0] check_pkt_larger(1500)->foo[0]",
    ),
    // Connections.
    (
        "ip",
        "ct ct() ct(commit) ct(commit,force) ct(table=1) ct(table=0) ct(zone=5) ct(zone=65535,table=254) ct(commit,table=2,zone=0x10) ct(nat) ct(table=1,nat) ct(commit,nat) CT(commit) ct(zone=0) ct(zone=reg0[0..15]) ct(zone=NXM_NX_REG13[16..31],table=3) ct(zone=metadata[0..15]) ct(zone=ct_zone) ct(zone=5,zone=reg0[0..15]) ct(zone=reg0[0..15],zone=5) ct(commit=1) ct(force,commit) ct(exec()) ct(commit,exec()) ct(nat()) ct(zone=010) ct(zone=tun_id[0..15])",
    ),
    (
        "ip",
        "ct(commit,exec(set_field:5->ct_mark)) ct(commit,exec(set_field:5/0xf->ct_mark)) ct(commit,exec(load:5->NXM_NX_CT_MARK[0..7])) ct(commit,exec(load:1->ct_label[5])) ct(commit,exec(set_field:0x5->ct_label)) ct(commit,exec(set_field:5/7->ct_label)) ct(commit,exec(move:reg0[]->ct_mark[])) ct(commit,exec(move:ip_src[]->ct_mark[])) ct(commit,exec(move:reg0[0..15]->NXM_NX_CT_LABEL[16..31],set_field:5->ct_mark)) ct(commit,exec(set_field:5/0->ct_mark)) ct(commit,exec(load:5->NXM_NX_CT_LABEL[0..63],load:6->NXM_NX_CT_LABEL[64..127])) ct(exec(set_field:5->ct_mark),commit) ct(commit,exec(drop)) ct(commit,exec(set_field:5->ct_mark),exec(set_field:6->ct_label),zone=7)",
    ),
    (
        "ip",
        "ct(commit,nat(src)) ct(commit,nat(dst)) ct(commit,nat(src=1.2.3.4)) ct(commit,nat(dst=1.2.3.4)) ct(commit,nat(src=1.2.3.4-1.2.3.9)) ct(commit,nat(src=1.2.3.4:80)) ct(commit,nat(src=1.2.3.4:80-90)) ct(commit,nat(src=1.2.3.4-1.2.3.9:80-90,persistent)) ct(commit,nat(src=1.2.3.4,hash)) ct(commit,nat(src=1.2.3.4,random,persistent)) ct(commit,nat(src,random)) ct(commit,nat(dst,persistent,hash)) ct(commit,nat(src=1.2.3.4-1.2.3.4)) ct(commit,nat(src=1.2.3.4:80-80)) ct(commit,nat(src=1.2.3.4:0)) ct(commit,nat(src=0.0.0.0)) ct(commit,nat(src=)) ct(commit,table=5,zone=1,nat(src=10.0.0.1-10.0.0.255:1024-65535),exec(set_field:1->ct_mark)) ct(commit,nat(src=1.2.3.4:65536)) ct(commit,nat(src=300.2.3.4)) ct(commit,nat(src=1.2.3.4,src=1.2.3.5)) ct(commit,nat(src=0.0.0.0:0))",
    ),
    (
        "ip",
        "ct(commit,exec(set_field:5->ct_mark),nat(src=1.2.3.4)) ct(commit,exec(nat(src=1.2.3.4))) ct(commit,exec(set_field:5->ct_mark,nat(dst))) ct(commit,exec(nat,set_field:5->ct_mark)) ct(commit,exec(set_field:5->ct_mark,nat(src=1.2.3.4),set_field:6->ct_label)) ct(exec(nat)) ct(commit,exec(set_field:5->ct_mark),nat,exec(set_field:6->ct_label))",
    ),
    (
        "ip",
        "! ct(foo) ct(commit,foo=1) ct(force) ct(table=255) ct(table=256) ct(table=x) ct(zone=65536) ct(zone=x) ct(zone=reg0) ct(zone=reg0[0..14]) ct(zone=reg16[0..15]) ct(zone=tcp_dst[]) ct(zone) ct(alg=foo) ct(alg) ct(commit,alg=ftp) ct(commit,alg=tftp) ct(exec(set_field:5->ct_mark)) ct(commit,exec(set_field:5->reg0)) ct(commit,exec(1)) ct(commit,exec(drop,set_field:5->ct_mark)) ct(commit,exec(mod_dl_src:1:2:3:4:5:6)) ct(commit,exec(ct(commit))) ct(commit,exec(clone(set_field:5->ct_mark))) ct(commit,exec(move:ct_mark[]->reg0[])) ct(commit,exec(foo)) ct(commit,exec(push:reg0[])) ct(commit,exec(move:tcp_dst[]->ct_mark[0..15])) ct(COMMIT)",
    ),
    (
        "ip",
        "! ct(nat(src=1.2.3.4)) ct(nat(src)) ct(commit,nat(foo)) ct(commit,nat(src,dst)) ct(commit,nat(persistent)) ct(commit,nat(random)) ct(commit,nat(src,hash,random)) ct(commit,nat(src=1.2.3.4-)) ct(commit,nat(src=1.2.3.9-1.2.3.4)) ct(commit,nat(src=1.2.3.4:)) ct(commit,nat(src=1.2.3.4:x)) ct(commit,nat(src=1.2.3.4:90-80)) ct(commit,nat(src=1.2.3.4:0-80)) ct(commit,nat(src=0.0.0.0:80)) ct(commit,nat(src=0.0.0.0-1.2.3.4)) ct(commit,nat(src=::1)) ct(commit,nat(src=1.2.3.4x)) nat nat(src=1.2.3.4) ct(commit,nat(src=x)) ct(commit,nat(src=1.2.3.4/8)) ct(commit,nat(src=1.2.3.4-::1))",
    ),
    (
        "ipv6",
        "ct(commit,nat(src=::1)) ct(commit,nat(src=fe80::1-fe80::9)) ct(commit,nat(src=[::1]:80)) ct(commit,nat(src=[fe80::1]-[fe80::9]:80-90)) ct(commit,nat(src=[::1])) ct(commit,nat(src=::)) ct(commit,nat(dst=2001:db8::1,random)) ct(commit,nat(src=::ffff:1.2.3.4)) ct(commit,nat(src=fe80::1-fe80::1)) ct(commit) ! ct(commit,nat(src=1.2.3.4)) ct(commit,nat(src=fe80::9-fe80::1)) ct(commit,nat(src=[::1]:)) ct(commit,nat(src=[::1)) ct(commit,nat(src=::-::1)) ct(commit,nat(src=[::]:80))",
    ),
    (
        "tcp",
        "ct(commit,alg=ftp) ct(alg=ftp) ct(commit,zone=5,alg=ftp,table=7,nat) ct(alg=ftp,alg=ftp) ct(commit,exec(set_field:5->ct_mark),alg=ftp) ct(zone=tcp_dst[]) ! ct(alg=tftp) ct(alg=FTP)",
    ),
    (
        "udp6",
        "ct(alg=tftp) ct(commit,alg=tftp,zone=2) ct(commit,alg=tftp,nat(src=::5)) ct(alg=tftp,table=3) ct(table=3,alg=tftp) ! ct(alg=ftp)",
    ),
    ("arp", "! ct ct(commit) ct(table=5) ct(nat)"),
    ("", "! ct ct(commit) ct(commit,exec(set_field:5->ct_mark)) ct(zone=5) exec(1)"),
    ("ct_state=+inv+trk,ip", "ct(table=3) ct ! ct(commit) ct(commit,table=3)"),
    ("ct_state=-inv+trk,ip", "ct(commit) ct(commit,zone=reg0[0..15],exec(move:reg0[]->ct_mark[]))"),
    ("ip", "ct(commit,zone=reg0[0..15],nat(src=::1)) ct(commit,zone=reg0[0..15],exec(move:tcp_dst[]->ct_mark[0..15]))"),
    ("", "ct_clear CT_CLEAR ct_clear,1 ct_clear() ct_clear,ct_clear ct_clear(1)"),
    (
        "",
        "! exec commit force members:1 apply_actions(1) apply_actions unroll_xlate drop(),1 1,drop() foo(1) output:1:2 group:1:2",
    ),
];
