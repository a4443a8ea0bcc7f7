//! `select` groups in hardware: the switch chooses the bucket of each connection, the one that software would choose.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use api::{DpFlowView, MockView, paths};
use hw_tests::Rig;
use hw_tests::frames::udp;

const GROUP: &str =
    "group_id=1,type=select,bucket=weight:3,output:2,bucket=weight:1,mod_dl_dst:02:00:00:00:00:99,output:3";
const CONNECTIONS: u16 = 40;

/// uplink and three VFs. The group is behind two rules.
fn rig(config: &str, group: &str) -> Rig {
    let rig = Rig::configured("connectx,vfs=3,lockstep", config).unwrap();
    rig.ok(&["bridge", "add", "br0", "--fail-mode", "secure"]).unwrap();
    for (number, name) in ["uplink", "pf0vf0", "pf0vf1", "pf0vf2"].into_iter().enumerate() {
        let number = (number + 1).to_string();
        rig.ok(&["port", "add", "br0", name, "--devargs", name, "--ofport", &number]).unwrap();
    }
    rig.ok(&["group", "add", "br0", group]).unwrap();
    rig.ok(&["flow", "add", "br0", "ip,actions=dec_ttl,mod_dl_src:02:00:00:00:00:77,goto_table:1"]).unwrap();
    rig.ok(&["flow", "add", "br0", "table=1,ip,actions=group:1"]).unwrap();
    rig
}

/// A packet of each connection, and where each leaves.
fn pass(rig: &Rig, at: u64, connections: std::ops::Range<u16>) -> Vec<(usize, Vec<u8>)> {
    let frames: Vec<Vec<u8>> = connections.map(|n| udp(1, 2, 1000 + n)).collect();
    // One after the other, so that they leave in this order.
    (0..).zip(&frames).flat_map(|(i, frame)| rig.pass(0, at + i, std::slice::from_ref(frame)).unwrap()).collect()
}

fn handled(rig: &Rig) -> (u64, u64) {
    let mock: MockView = rig.json_of("GET", paths::MOCK_COUNTERS).unwrap();
    (mock.tally.hardware, mock.tally.software)
}

fn flows(rig: &Rig, filter: &str) -> usize {
    let args: &[&str] = if filter.is_empty() { &["dp", "flows"] } else { &["dp", "flows", filter] };
    rig.json::<Vec<DpFlowView>>(args).unwrap().len()
}

/// Flows with this reason.
fn reasons(rig: &Rig, reason: &str) -> usize {
    rig.json::<Vec<DpFlowView>>(&["dp", "flows", "--reason", reason]).unwrap().len()
}

#[test]
fn each_connection_of_a_group_is_in_hardware_with_the_bucket_of_software() {
    let (on, off) = (rig("", GROUP), rig("", GROUP));
    off.ok(&["offload", "off"]).unwrap();
    for at in [100, 200, 300] {
        let (with, without) = (pass(&on, at, 0..CONNECTIONS), pass(&off, at, 0..CONNECTIONS));
        assert_eq!(with.len(), usize::from(CONNECTIONS));
        assert_eq!(with, without, "the same bucket whoever chooses");
        let second = with.iter().filter(|(end, frame)| *end == 2 && frame[5] == 0x99).count();
        assert!((4..=16).contains(&second), "a quarter or so takes the second bucket: {second}");
    }
    let n = u64::from(CONNECTIONS);
    assert_eq!((handled(&on), handled(&off)), ((2 * n, n), (0, 3 * n)));
    assert_eq!(flows(&on, "--offloaded"), usize::from(CONNECTIONS));
    assert!(flows(&off, "") <= 17, "one flow, and one for each value of the hash");
    let stats = |rig: &Rig| -> Vec<Vec<String>> {
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let text = rig.ok(&["group", "stats", "br0"]).unwrap();
        // The last column of a group is how long it is there.
        text.lines().skip(1).map(words).map(|mut line| line.split_off(2).into_iter().take(5).collect()).collect()
    };
    assert_eq!(stats(&on), stats(&off), "buckets count the same");
    assert!(stats(&on).concat().contains(&(3 * n).to_string()), "{:?}", stats(&on));
}

#[test]
fn turning_offload_off_and_on_joins_and_parts_the_connections() {
    let rig = rig("", GROUP);
    let first = pass(&rig, 100, 0..CONNECTIONS);
    for at in [200, 1000] {
        rig.ok(&["offload", "off"]).unwrap();
        assert_eq!(pass(&rig, at, 0..CONNECTIONS), first);
        assert!(flows(&rig, "") <= 17);
        assert_eq!(reasons(&rig, "Disabled"), flows(&rig, ""));
        rig.ok(&["offload", "on"]).unwrap();
        assert_eq!(pass(&rig, at + 100, 0..CONNECTIONS), first);
        assert_eq!(flows(&rig, "--offloaded"), usize::from(CONNECTIONS));
    }
}

#[test]
fn where_hardware_can_take_no_bucket_all_connections_share_a_flow() {
    let rig = rig("", "group_id=1,type=select,bucket=set_field:1->nw_ecn,output:2,bucket=set_field:2->nw_ecn,output:3");
    pass(&rig, 100, 0..CONNECTIONS);
    pass(&rig, 200, 0..CONNECTIONS);
    assert!(flows(&rig, "") <= 17);
    assert_eq!((flows(&rig, "--offloaded"), reasons(&rig, "HashDiffers")), (0, 1));
    // The remedy.
    let plain = "group_id=1,type=select,bucket=output:2,bucket=output:4";
    rig.ok(&["group", "mod", "br0", plain]).unwrap();
    pass(&rig, 300, 0..CONNECTIONS);
    assert_eq!((flows(&rig, "--offloaded"), reasons(&rig, "HashDiffers")), (usize::from(CONNECTIONS), 0));
}

#[test]
fn a_connection_that_cannot_go_in_does_not_keep_others_out() {
    // A bucket that sends back to where the packets come from, and a packet whose TTL runs out, come first.
    let rig = rig("", "group_id=1,type=select,bucket=output:2,bucket=output:1");
    let mut expiring = udp(1, 2, 7);
    (expiring[22], expiring[24]) = (1, expiring[24].wrapping_add(63));
    assert_eq!(rig.pass(0, 50, &[expiring]).unwrap(), []);
    let sent = pass(&rig, 100, 0..CONNECTIONS).len();
    assert_eq!(pass(&rig, 200, 0..CONNECTIONS).len(), sent);
    assert!((10..=30).contains(&sent), "half of the connections take each bucket: {sent}");
    assert_eq!(flows(&rig, "--offloaded"), sent);
    assert_eq!(handled(&rig).0, sent as u64);
}

#[test]
fn with_many_flows_new_connections_share_them_and_old_ones_stay_in_hardware() {
    let rig = rig("[datapath]\nflow_limit = 200\nmax_idle_ms = 1000\n", GROUP);
    for round in 0..5 {
        // The first 40 go on; 60 new ones come each time, all within the second after which a flow is idle.
        pass(&rig, 100 + 150 * u64::from(round), 0..CONNECTIONS);
        pass(&rig, 150 + 150 * u64::from(round), 100 + 60 * round..160 + 60 * round);
    }
    let all = flows(&rig, "");
    assert!((100..=160).contains(&all), "at most a few more than half of the limit: {all}");
    let before = handled(&rig);
    pass(&rig, 900, 0..CONNECTIONS);
    assert_eq!(handled(&rig).0 - before.0, u64::from(CONNECTIONS), "those that were in stay in");
    pass(&rig, 950, 900..910);
    assert_eq!(handled(&rig).0 - before.0, u64::from(CONNECTIONS), "new ones are software's");
    assert!(reasons(&rig, "HashDiffers") >= 1);
    assert!(rig.log().contains("new connections of select groups share flows"), "{}", rig.log());
    // The others go idle.
    for at in [1400, 1900, 2400, 2900] {
        pass(&rig, at, 0..10);
    }
    assert!(flows(&rig, "") < 50);
    pass(&rig, 3000, 900..910);
    let before = handled(&rig);
    pass(&rig, 3050, 900..910);
    assert_eq!(handled(&rig).0 - before.0, 10, "there is room again");
}
