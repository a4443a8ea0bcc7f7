//! OpenStack's bridges: local VLANs of a node to the VLANs of the wire, and to the keys of its tunnels, and back.

use super::lab::Lab;

#[test]
fn vlans_of_the_node_and_of_the_wire() {
    let integration = Lab::new("br-int", &[("tap1", 1), ("tap2", 2), ("int-br-eth0", 3)]);
    integration.add("
        cookie=0x0, duration=100.795s, table=0, n_packets=6, n_bytes=468, idle_age=90, priority=2,in_port=3 actions=drop
        cookie=0x0, duration=97.069s, table=0, n_packets=22, n_bytes=6622, idle_age=31, priority=3,in_port=3,dl_vlan=101 actions=mod_vlan_vid:1,NORMAL
        cookie=0x0, duration=95.781s, table=0, n_packets=8, n_bytes=1165, idle_age=11, priority=3,in_port=3,dl_vlan=102 actions=mod_vlan_vid:2,NORMAL
        cookie=0x0, duration=103.626s, table=0, n_packets=47, n_bytes=13400, idle_age=11, priority=1 actions=NORMAL");
    assert_eq!(integration.trace("in_port=3,dl_vlan=101"), "set(vlan(vid=1)),1,2");
    assert_eq!(integration.trace("in_port=3,dl_vlan=102"), "set(vlan(vid=2)),1,2");
    assert_eq!(integration.trace("in_port=3,dl_vlan=103"), "drop");
    assert_eq!(integration.trace("in_port=3"), "drop");
    assert_eq!(integration.trace("in_port=1,dl_vlan=1"), "2,3");

    let wire = Lab::new("br-eth0", &[("eth0", 1), ("phy-br-eth0", 4)]);
    wire.add("
        cookie=0x0, duration=73.461s, table=0, n_packets=51, n_bytes=32403, idle_age=2, hard_age=65534, priority=4,in_port=4,dl_vlan=1 actions=mod_vlan_vid:101,NORMAL
        cookie=0x0, duration=83.461s, table=0, n_packets=51, n_bytes=32403, idle_age=2, hard_age=65534, priority=4,in_port=4,dl_vlan=2 actions=mod_vlan_vid:102,NORMAL
        cookie=0x0, duration=651.538s, table=0, n_packets=72, n_bytes=3908, idle_age=2574, hard_age=65534, priority=2,in_port=4 actions=drop
        cookie=0x0, duration=654.002s, table=0, n_packets=31733, n_bytes=6505880, idle_age=2, hard_age=65534, priority=1 actions=NORMAL");
    assert_eq!(wire.trace("in_port=4,dl_vlan=1"), "set(vlan(vid=101)),1");
    assert_eq!(wire.trace("in_port=4,dl_vlan=2"), "set(vlan(vid=102)),1");
    assert_eq!(wire.trace("in_port=4,dl_vlan=3"), "drop");
    assert_eq!(wire.trace("in_port=1,dl_vlan=101"), "4");
}

/// The rules of one node, from table 4 (out of tunnels) and 22 (into them); table 0 tells the two directions apart.
fn tunnels(flows: &str) -> Lab {
    let lab = Lab::new("br-tun", &[("patch-int", 1), ("vxlan2", 2), ("vxlan3", 3), ("vxlan4", 4), ("vxlan5", 5)]);
    lab.add(
        "
        table=0,priority=1,in_port=1 actions=resubmit(,22)
        table=0,priority=0 actions=resubmit(,4)
        table=10,priority=1 actions=output:1",
    );
    lab.add(flows);
    lab
}

#[test]
fn vlans_of_the_node_and_tunnel_keys() {
    let lab = tunnels("
        cookie=0x9814613d8b13e33b, duration=355743.467s, table=22, n_packets=121, n_bytes=5490, idle_age=65534, hard_age=65534, priority=1,dl_vlan=786 actions=strip_vlan,load:0x25a->NXM_NX_TUN_ID[],output:3,output:2,output:5,output:4
        cookie=0x9814613d8b13e33b, duration=335047.168s, table=22, n_packets=114, n_bytes=5460, idle_age=23232, hard_age=65534, priority=1,dl_vlan=788 actions=strip_vlan,load:0x222->NXM_NX_TUN_ID[],output:3,output:2,output:5,output:4
        cookie=0x9814613d8b13e33b, duration=355644.212s, table=4, n_packets=1025, n_bytes=107512, idle_age=17091, hard_age=65534, priority=1,tun_id=0x25a actions=mod_vlan_vid:786,resubmit(,10)
        cookie=0x9814613d8b13e33b, duration=334947.915s, table=4, n_packets=8487, n_bytes=710987, idle_age=38, hard_age=65534, priority=1,tun_id=0x222 actions=mod_vlan_vid:788,resubmit(,10)");
    assert_eq!(lab.trace("in_port=2,tun_id=0x25a"), "push_vlan(vid=786,pcp=0),1");
    assert_eq!(lab.trace("in_port=3,tun_id=0x222"), "push_vlan(vid=788,pcp=0),1");
    assert_eq!(lab.trace("in_port=3,tun_id=0x223"), "drop");
    // The key itself is set only towards a tunnel; on other ports nothing carries it.
    assert_eq!(lab.trace("in_port=1,dl_vlan=786"), "pop_vlan,3,2,5,4");
    assert_eq!(lab.trace("in_port=1,dl_vlan=788"), "pop_vlan,3,2,5,4");
    assert_eq!(lab.trace("in_port=1,dl_vlan=787"), "drop");
}

#[test]
fn another_node_has_another_vlan_for_the_same_key() {
    let lab = tunnels("
        cookie=0xa6b0faa0153f7efc, duration=335373.158s, table=4, n_packets=4741, n_bytes=9326933, idle_age=26, hard_age=65534, priority=1,tun_id=0x222 actions=mod_vlan_vid:3678,resubmit(,10)
        cookie=0xa6b0faa0153f7efc, duration=26.944s, table=20, n_packets=0, n_bytes=0, hard_timeout=300, idle_age=26, priority=1,vlan_tci=0x0e5e/0x0fff,dl_dst=fa:16:3e:22:69:3a actions=load:0->NXM_OF_VLAN_TCI[],load:0x222->NXM_NX_TUN_ID[],output:4
        cookie=0xa6b0faa0153f7efc, duration=335373.162s, table=22, n_packets=133, n_bytes=36387, idle_age=23569, hard_age=65534, priority=1,dl_vlan=3678 actions=strip_vlan,load:0x222->NXM_NX_TUN_ID[],output:4,output:3,output:2,output:5
        table=0,priority=2,in_port=1,dl_dst=fa:16:3e:22:69:3a actions=resubmit(,20)");
    assert_eq!(lab.trace("in_port=2,tun_id=0x222"), "push_vlan(vid=3678,pcp=0),1");
    assert_eq!(lab.trace("in_port=1,dl_vlan=3678"), "pop_vlan,4,3,2,5");
    // Known address: loading 0 into the TCI takes the tag off.
    assert_eq!(lab.trace("in_port=1,dl_vlan=3678,dl_dst=fa:16:3e:22:69:3a"), "pop_vlan,4");
}
