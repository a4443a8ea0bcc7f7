//! The Faucet tutorial, its controller's rules given as they are printed there.

use super::lab::{Lab, has_lines};
use flow::FieldId;

const COOKIE: &str = "cookie=0x5adc15c0";

fn lab(flows: &str) -> Lab {
    let lab = Lab::new("br0", &[("p1", 1), ("p2", 2), ("p3", 3), ("p4", 4), ("p5", 5)]);
    add(&lab, flows);
    lab
}

fn add(lab: &Lab, flows: &str) {
    let with_cookie = |line: &str| format!("{COOKIE},{}", line.trim());
    let lines: Vec<_> = flows.lines().filter(|l| !l.trim().is_empty()).map(with_cookie).collect();
    lab.add(&lines.join("\n"));
}

const LAYER_2: &str = "
    priority=9000,in_port=p1,vlan_tci=0x0000/0x1fff actions=push_vlan:0x8100,set_field:4196->vlan_vid,goto_table:1
    priority=9000,in_port=p2,vlan_tci=0x0000/0x1fff actions=push_vlan:0x8100,set_field:4196->vlan_vid,goto_table:1
    priority=9000,in_port=p3,vlan_tci=0x0000/0x1fff actions=push_vlan:0x8100,set_field:4196->vlan_vid,goto_table:1
    priority=9000,in_port=p4,vlan_tci=0x0000/0x1fff actions=push_vlan:0x8100,set_field:4296->vlan_vid,goto_table:1
    priority=9000,in_port=p5,vlan_tci=0x0000/0x1fff actions=push_vlan:0x8100,set_field:4296->vlan_vid,goto_table:1
    priority=0 actions=drop
    table=1, priority=9099,dl_type=0x9000 actions=drop
    table=1, priority=9099,dl_src=ff:ff:ff:ff:ff:ff actions=drop
    table=1, priority=9001,dl_src=0e:00:00:00:00:01 actions=drop
    table=1, priority=9000,dl_vlan=100 actions=CONTROLLER:96,goto_table:2
    table=1, priority=9000,dl_vlan=200 actions=CONTROLLER:96,goto_table:2
    table=1, priority=0 actions=goto_table:2
    table=2, priority=0 actions=goto_table:3
    table=3, priority=9099,dl_dst=01:00:0c:cc:cc:cd actions=drop
    table=3, priority=9099,dl_dst=01:80:c2:00:00:00/ff:ff:ff:ff:ff:f0 actions=drop
    table=3, priority=9004,dl_vlan=100,dl_dst=ff:ff:ff:ff:ff:ff actions=pop_vlan,output:p1,output:p2,output:p3
    table=3, priority=9004,dl_vlan=200,dl_dst=ff:ff:ff:ff:ff:ff actions=pop_vlan,output:p4,output:p5
    table=3, priority=9000,dl_vlan=100 actions=pop_vlan,output:p1,output:p2,output:p3
    table=3, priority=9000,dl_vlan=200 actions=pop_vlan,output:p4,output:p5
    table=3, priority=9003,dl_vlan=100,dl_dst=33:33:00:00:00:00/ff:ff:00:00:00:00 actions=pop_vlan,output:p1,output:p2,output:p3
    table=3, priority=9003,dl_vlan=200,dl_dst=33:33:00:00:00:00/ff:ff:00:00:00:00 actions=pop_vlan,output:p4,output:p5
    table=3, priority=9001,dl_vlan=100,dl_dst=01:80:c2:00:00:00/ff:ff:ff:00:00:00 actions=pop_vlan,output:p1,output:p2,output:p3
    table=3, priority=9002,dl_vlan=100,dl_dst=01:00:5e:00:00:00/ff:ff:ff:00:00:00 actions=pop_vlan,output:p1,output:p2,output:p3
    table=3, priority=9001,dl_vlan=200,dl_dst=01:80:c2:00:00:00/ff:ff:ff:00:00:00 actions=pop_vlan,output:p4,output:p5
    table=3, priority=9002,dl_vlan=200,dl_dst=01:00:5e:00:00:00/ff:ff:ff:00:00:00 actions=pop_vlan,output:p4,output:p5
    table=3, priority=0 actions=drop";

fn trace(lab: &Lab, packet: &str) -> String {
    lab.pipeline.trace(lab.bridge, &lab.packet(packet)).unwrap().to_string()
}

#[test]
fn layer_2_floods_then_knows() {
    let lab = lab(LAYER_2);
    assert_eq!(lab.trace("in_port=1"), "push_vlan(vid=100,pcp=0),controller(96),pop_vlan,2,3");
    has_lines(
        &trace(&lab, "in_port=1"),
        &[
            "bridge(\"br0\")",
            " 0. in_port=1,vlan_tci=0x0000/0x1fff, priority 9000, cookie 0x5adc15c0",
            "    push_vlan:0x8100",
            "    set_field:4196->vlan_vid",
            "    goto_table:1",
            " 1. dl_vlan=100, priority 9000, cookie 0x5adc15c0",
            "    CONTROLLER:96",
            "    goto_table:2",
            " 2. priority 0, cookie 0x5adc15c0",
            "    goto_table:3",
            " 3. dl_vlan=100, priority 9000, cookie 0x5adc15c0",
            "    pop_vlan",
            "    output:1",
            "     >> skipping output to input port",
            "    output:2",
            "    output:3",
            "Final flow: unchanged",
        ],
    );
    // What the controller adds once it has seen the addresses of p1 and p2.
    add(
        &lab,
        "table=1 priority=9098,in_port=1,dl_vlan=100,dl_src=00:11:11:00:00:00 hard_timeout=3605 actions=goto_table:2
         table=2 priority=9099,dl_vlan=100,dl_dst=00:11:11:00:00:00 idle_timeout=3605 actions=pop_vlan,output:1",
    );
    let packet = "in_port=2,dl_src=00:22:22:00:00:00,dl_dst=00:11:11:00:00:00";
    assert_eq!(lab.trace(packet), "push_vlan(vid=100,pcp=0),controller(96),pop_vlan,1");
    add(
        &lab,
        "table=1 priority=9098,in_port=2,dl_vlan=100,dl_src=00:22:22:00:00:00 hard_timeout=3599 actions=goto_table:2
         table=2 priority=9099,dl_vlan=100,dl_dst=00:22:22:00:00:00 idle_timeout=3599 actions=pop_vlan,output:2",
    );
    assert_eq!(lab.trace(packet), "1");
    has_lines(
        &trace(&lab, packet),
        &[
            " 1. in_port=2,dl_vlan=100,dl_src=00:22:22:00:00:00, priority 9098, cookie 0x5adc15c0",
            "    goto_table:2",
            " 2. dl_vlan=100,dl_dst=00:11:11:00:00:00, priority 9099, cookie 0x5adc15c0",
            "    pop_vlan",
            "    output:1",
            "Final flow: unchanged",
            "Datapath actions: 1",
        ],
    );
}

const ROUTER: &str = "
    priority=9000,in_port=p1,vlan_tci=0x0000/0x1fff actions=push_vlan:0x8100,set_field:4196->vlan_vid,goto_table:1
    priority=9000,in_port=p4,vlan_tci=0x0000/0x1fff actions=push_vlan:0x8100,set_field:4296->vlan_vid,goto_table:1
    priority=0 actions=drop
    table=1, priority=9099,dl_type=0x9000 actions=drop
    table=1, priority=9099,dl_src=ff:ff:ff:ff:ff:ff actions=drop
    table=1, priority=9001,dl_src=0e:00:00:00:00:01 actions=drop
    table=1 priority=9131,arp,dl_vlan=100 actions=goto_table:3
    table=1 priority=9131,arp,dl_vlan=200 actions=goto_table:3
    table=1 priority=9099,ip,dl_vlan=100,dl_dst=0e:00:00:00:00:01 actions=goto_table:2
    table=1 priority=9099,ip,dl_vlan=200,dl_dst=0e:00:00:00:00:01 actions=goto_table:2
    table=1, priority=9000,dl_vlan=100 actions=CONTROLLER:96,goto_table:4
    table=1, priority=9000,dl_vlan=200 actions=CONTROLLER:96,goto_table:4
    table=1, priority=0 actions=goto_table:4
    table=2 priority=9131,ip,dl_vlan=100,nw_dst=10.100.0.254 actions=goto_table:3
    table=2 priority=9131,ip,dl_vlan=200,nw_dst=10.200.0.254 actions=goto_table:3
    table=2 priority=9123,ip,dl_vlan=200,nw_dst=10.100.0.0/24 actions=goto_table:3
    table=2 priority=9123,ip,dl_vlan=100,nw_dst=10.100.0.0/24 actions=goto_table:3
    table=2 priority=9123,ip,dl_vlan=200,nw_dst=10.200.0.0/24 actions=goto_table:3
    table=2 priority=9123,ip,dl_vlan=100,nw_dst=10.200.0.0/24 actions=goto_table:3
    table=3 priority=9133,arp,arp_tpa=10.100.0.254 actions=CONTROLLER:128
    table=3 priority=9133,arp,arp_tpa=10.200.0.254 actions=CONTROLLER:128
    table=3 priority=9132,arp,dl_dst=ff:ff:ff:ff:ff:ff actions=goto_table:4
    table=3 priority=9131,arp actions=goto_table:4
    table=3 priority=9130,ip actions=CONTROLLER:128
    table=4, priority=0 actions=drop";

const HOST_1: &str = "
    table=1 priority=9098,in_port=1,dl_vlan=100,dl_src=00:01:02:03:04:05 hard_timeout=3605 actions=goto_table:4
    table=2 priority=9131,ip,dl_vlan=200,nw_dst=10.100.0.1 actions=set_field:4196->vlan_vid,set_field:0e:00:00:00:00:01->eth_src,set_field:00:01:02:03:04:05->eth_dst,dec_ttl,goto_table:4
    table=2 priority=9131,ip,dl_vlan=100,nw_dst=10.100.0.1 actions=set_field:4196->vlan_vid,set_field:0e:00:00:00:00:01->eth_src,set_field:00:01:02:03:04:05->eth_dst,dec_ttl,goto_table:4
    table=4 priority=9099,dl_vlan=100,dl_dst=00:01:02:03:04:05 idle_timeout=3605 actions=pop_vlan,output:1";

const HOST_2: &str = "
    table=1 priority=9098,in_port=4,dl_vlan=200,dl_src=00:10:20:30:40:50 hard_timeout=3598 actions=goto_table:4
    table=2 priority=9131,ip,dl_vlan=200,nw_dst=10.200.0.1 actions=set_field:4296->vlan_vid,set_field:0e:00:00:00:00:01->eth_src,set_field:00:10:20:30:40:50->eth_dst,dec_ttl,goto_table:4
    table=2 priority=9131,ip,dl_vlan=100,nw_dst=10.200.0.1 actions=set_field:4296->vlan_vid,set_field:0e:00:00:00:00:01->eth_src,set_field:00:10:20:30:40:50->eth_dst,dec_ttl,goto_table:4
    table=4 priority=9099,dl_vlan=200,dl_dst=00:10:20:30:40:50 idle_timeout=3598 actions=pop_vlan,output:4";

const REQUEST: &str = "in_port=1,dl_src=00:01:02:03:04:05,dl_dst=ff:ff:ff:ff:ff:ff,dl_type=0x806,arp_spa=10.100.0.1,\
    arp_tpa=10.100.0.254,arp_sha=00:01:02:03:04:05,arp_tha=ff:ff:ff:ff:ff:ff,arp_op=1";
const REPLY: &str = "in_port=4,dl_src=00:10:20:30:40:50,dl_dst=0e:00:00:00:00:01,dl_type=0x806,arp_spa=10.200.0.1,\
    arp_tpa=10.200.0.254,arp_sha=00:10:20:30:40:50,arp_tha=0e:00:00:00:00:01,arp_op=2";
const PACKET: &str = "in_port=1,dl_src=00:01:02:03:04:05,dl_dst=0e:00:00:00:00:01,udp,nw_src=10.100.0.1,nw_dst=10.200.0.1,\
    nw_ttl=64";

#[test]
fn routing_in_six_steps() {
    let lab = lab(ROUTER);
    // 1 and 2: the host asks for its router.
    assert_eq!(lab.trace(REQUEST), "push_vlan(vid=100,pcp=0),controller(128)");
    add(&lab, HOST_1);
    // 3 and 4: a packet to a host that is not known yet.
    assert_eq!(lab.trace(PACKET), "push_vlan(vid=100,pcp=0),controller(128)");
    has_lines(
        &trace(&lab, PACKET),
        &[
            " 0. in_port=1,vlan_tci=0x0000/0x1fff, priority 9000, cookie 0x5adc15c0",
            " 1. ip,dl_vlan=100,dl_dst=0e:00:00:00:00:01, priority 9099, cookie 0x5adc15c0",
            "    goto_table:2",
            " 2. ip,dl_vlan=100,nw_dst=10.200.0.0/24, priority 9123, cookie 0x5adc15c0",
            "    goto_table:3",
            " 3. ip, priority 9130, cookie 0x5adc15c0",
            "    CONTROLLER:128",
        ],
    );
    // 10.200.0.0/25 is told from 10.200.0.254 by the first bit of its last byte: prefixes are not matched in full.
    let mask = lab.translate(PACKET).mask;
    assert_eq!(mask.get(FieldId::Ipv4Dst).0, 0xffff_ff80);
    assert_eq!(mask.get(FieldId::UdpDst).0, 0);
    // 5: the other host answers.
    assert_eq!(lab.trace(REPLY), "push_vlan(vid=200,pcp=0),controller(128)");
    add(&lab, HOST_2);
    // 6: the packet is delivered. The TTL is decremented in place, where the document sets it: one flow for all TTLs.
    assert_eq!(lab.trace(PACKET), "dec_ttl,set(eth(src=0e:00:00:00:00:01)),set(eth(dst=00:10:20:30:40:50)),4");
    let delivered = trace(&lab, PACKET);
    has_lines(
        &delivered,
        &[
            " 2. ip,dl_vlan=100,nw_dst=10.200.0.1, priority 9131, cookie 0x5adc15c0",
            "    set_field:4296->vlan_vid",
            "    set_field:0e:00:00:00:00:01->eth_src",
            "    set_field:00:10:20:30:40:50->eth_dst",
            "    dec_ttl",
            "    goto_table:4",
            " 4. dl_vlan=200,dl_dst=00:10:20:30:40:50, priority 9099, cookie 0x5adc15c0",
            "    pop_vlan",
            "    output:4",
        ],
    );
    let last = delivered.lines().find(|l| l.starts_with("Final flow: ")).unwrap();
    assert!(last.contains("dl_src=0e:00:00:00:00:01,dl_dst=00:10:20:30:40:50"), "{last}");
    assert!(last.contains("nw_ttl=63"), "{last}");
    assert_eq!(lab.translate(PACKET).mask.get(FieldId::IpTtl).0, 0);
}

#[test]
fn an_access_list_costs_four_bits_of_the_port() {
    let lab = lab("
        priority=9099,tcp,in_port=p1,tp_dst=8080 actions=drop
        priority=9098,in_port=p1 actions=goto_table:1
        priority=9099,in_port=p2 actions=goto_table:1
        priority=0 actions=drop
        table=1, priority=9000,in_port=p1,vlan_tci=0x0000/0x1fff actions=push_vlan:0x8100,set_field:4196->vlan_vid,goto_table:2
        table=1, priority=0 actions=drop
        table=2, priority=9099,ip,dl_vlan=100,dl_dst=0e:00:00:00:00:01 actions=goto_table:3
        table=3, priority=9123,ip,dl_vlan=100,nw_dst=10.200.0.0/24 actions=goto_table:4
        table=4, priority=9130,ip actions=CONTROLLER:128");
    let packet = |port: u16| {
        format!(
            "in_port=1,dl_src=00:01:02:03:04:05,dl_dst=0e:00:00:00:00:01,tcp,nw_src=10.100.0.1,nw_dst=10.200.0.1,\
             nw_ttl=64,tp_dst={port}"
        )
    };
    assert_eq!(lab.trace(&packet(80)), "push_vlan(vid=100,pcp=0),controller(128)");
    assert_eq!(lab.trace(&packet(8080)), "drop");
    // 80 and 8080 differ in the fourth bit from the top.
    assert_eq!(lab.translate(&packet(80)).mask.get(FieldId::TcpDst).0, 0xf000);
}
