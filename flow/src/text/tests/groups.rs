//! Groups and meters, compared with the messages that ovs-ofctl makes of them.

use super::corpus::action_lists;
use super::oracle::have_ovs;
use super::switch::sent;
use crate::group::{BucketPlace, GroupMod};
use crate::text::{
    GroupCommand, NoPorts, ParseError, format_group, format_meter, parse_group, parse_group_mod, parse_groups,
    parse_meter, parse_meter_id,
};

const GROUP_MOD: u8 = 15;
const METER_MOD: u8 = 29;

/// Groups: good ones, then bad ones.
const GROUPS: [&[&str]; 2] = [
    &[
        "group_id=1,type=all",
        "group_id=0,type=all,bucket=output:1",
        "group_id=1 type=all bucket=actions=output:1",
        "group_id=4294967040,type=select,bucket=1",
        "group_id=0x10,type=select",
        "group_id=1,type=indirect,bucket=output:1",
        "group_id=1,type=indirect,bucket=drop",
        "group_id=1,type=ff,bucket=watch_port:1,output:1,bucket=watch_port:2,output:2",
        "group_id=1,type=fast_failover,bucket=watch_group:5,actions=2",
        "group_id=3,type=ff,bucket=watch_port:2,watch_group:0,weight:0,actions=",
        "group_id=1,type=ff,bucket=watch_port=1,watch_group=4294967040,output:1",
        "group_id=1,type=all,bucket=output:1,bucket=output:2,bucket=output:3",
        "group_id=1,type=all,bucket=1,2,3",
        "group_id=1,type=all,bucket=actions=1,2,set_field:5->reg0,3",
        "group_id=1,type=all,bucket=set_field:00:11:22:33:44:55->eth_dst,1",
        "group_id=1,type=all,bucket=action=1,actions=2",
        "group_id=1,type=all,bucket=bucket_id:5,1,bucket=2,bucket=bucket_id:0,3,bucket=4",
        "group_id=1,type=all,bucket=bucket_id=4294967040,1",
        "group_id=1,type=select,bucket=weight:5,output:1,bucket=weight:0,output:2,bucket=weight:1,output:3",
        "group_id=1,type=select,bucket=WEIGHT:65535,ACTIONS=1",
        "group_id=1,type=select,bucket=watch_port:7,weight:3,1",
        "group_id=1,type=select,bucket=watch_port:any,1",
        "group_id=1,type=select,bucket=watch_port:controller,1",
        "group_id=1,type=select,selection_method=dp_hash,bucket=1",
        "group_id=1,type=select,selection_method=hash,bucket=1",
        "group_id=1,type=select,selection_method=dp_hash,selection_method_param=5,bucket=1",
        "group_id=1,type=select,selection_method=hash,selection_method_param=0xffffffffffffffff,bucket=1",
        "group_id=1,type=select,selection_method=hash,fields=ip_dst,bucket=1",
        "group_id=1,type=select,selection_method=hash,fields=nw_dst=255.255.0.0,bucket=1",
        "group_id=1,type=select,selection_method=hash,fields(ip_dst,nw_proto),bucket=1",
        "group_id=1,type=select,selection_method=hash,fields(tcp_dst,ip_src=255.255.255.0,eth_src,reg0=0xff,in_port),bucket=1",
        "group_id=1,type=select,selection_method=hash,fields(ipv6_dst=ffff::,metadata,xreg0,vlan_vid),bucket=1",
        "group_id=1,type=select,selection_method=hash,fields(eth_dst,eth_src),selection_method_param=7,bucket=1",
        "group_id=1,type=select,selection_method=hash,fields=eth_src=ff:ff:00:00:00:00,bucket=1",
        "group_id=1,type=select,selection_method=hash,fields=ip_dst=255.0.255.0,bucket=1",
        "type=all,group_id=1,bucket=1",
        "group_id=1,group_id=2,type=all,type=select,bucket=1",
        "group_id=1,type=all,bucket=",
        "group_id=1,type=all,bucket=group:2,bucket=resubmit(,5)",
        "group_id=1,type=all,bucket=ct(commit,nat(dst=10.0.0.1))",
        "group_id=1,type=all,bucket=meter:5,1",
        "group_id=1,type=select,selection_method_param=0,bucket=1",
    ],
    &[
        "",
        "group_id=1",
        "type=all,bucket=1",
        "group_id=x,type=all",
        "group_id=4294967041,type=all",
        "group_id=1,type=foo",
        "group_id=1,type=ALL",
        "group_id=1,type=all,foo=1",
        "group_id=1,type=all,foo",
        "group_id=1,type=all,bucket=weight:5,1",
        "group_id=1,type=indirect",
        "group_id=1,type=indirect,bucket=1,bucket=2",
        "group_id=1,type=ff,bucket=1",
        "group_id=1,type=all,bucket=watch_port:1,1",
        "group_id=1,type=indirect,bucket=watch_group:1,1",
        "group_id=1,type=all,bucket=foo:1",
        "group_id=1,type=all,bucket=weight:x,1",
        "group_id=1,type=select,bucket=weight:65536,1",
        "group_id=1,type=ff,bucket=watch_port:foo,1",
        "group_id=1,type=ff,bucket=watch_port:normal,1",
        "group_id=1,type=ff,bucket=watch_group:4294967041,1",
        "group_id=1,type=all,bucket=bucket_id:x,1",
        "group_id=1,type=all,bucket=bucket_id:4294967041,1",
        "group_id=1,type=all,bucket=bucket_id:1,1,bucket=bucket_id:1,2",
        "group_id=1,type=all,bucket=goto_table:5",
        "group_id=1,type=all,bucket=clear_actions",
        "group_id=1,type=all,bucket=write_actions(1)",
        "group_id=1,type=all,bucket=1,drop",
        "group_id=1,type=all,bucket=weight:0",
        "group_id=1,type=all,selection_method=hash,bucket=1",
        "group_id=1,type=select,selection_method=foo,bucket=1",
        "group_id=1,type=select,selection_method=sixteen_bytes_ab,bucket=1",
        "group_id=1,type=select,selection_method_param=5,bucket=1",
        "group_id=1,type=select,selection_method=hash,selection_method_param=x,bucket=1",
        "group_id=1,type=select,fields=ip_dst,bucket=1",
        "group_id=1,type=select,selection_method=dp_hash,fields=ip_dst,bucket=1",
        "group_id=1,type=select,selection_method=hash,fields=foo,bucket=1",
        "group_id=1,type=select,selection_method=hash,fields=ip_dst=0.0.0.0,bucket=1",
        "group_id=1,type=select,selection_method=hash,fields(ip_dst,ip_dst),bucket=1",
        "group_id=1,type=select,selection_method=hash,fields=nw_proto=5,bucket=1",
        "group_id=1,type=select,selection_method=hash,fields=ip_dst=1.2.3.4/8,bucket=1",
        "group_id=1,type=all,command_bucket_id=all,bucket=1",
        "group_id=1,type=all,bucket=set_field:5->ct_mark",
        "group_id=1,type=all,bucket=nat",
        "group_id=-1,type=all",
    ],
];

/// Actions of buckets that differ on purpose. Open vSwitch prints a whole field of less than whole bytes with its mask, and
/// masks where text cannot have them; leaves out what it does not print in rules either; sends sets of no bit; refuses
/// values with bits beyond their mask, and parts of vlan_vid; and sends mod_tp_* that no switch takes.
const BUCKETS_DIFFER: [&str; 32] = [
    "set_field:0x1005/0x1fff->vlan_vid",
    "set_field:0x5/0xfff->vlan_vid",
    "set_field:0x5/0xf->vlan_vid",
    "load:5->vlan_vid[]",
    "load:3->OXM_OF_VLAN_PCP[]",
    "load:1->vlan_pcp[0]",
    "set_field:*->reg0",
    "set_field:5/0->reg0,2",
    "set_field:aa:bb:cc:dd:ee:ff/ff:00:00:00:00:ff->dl_src",
    "load:3->in_port[0..7]",
    "set_field:10.0.0.1/8->nw_src",
    "set_field:1.2.3.4/255.0.0.255->ip_dst",
    "load:5->nw_ttl[0..3]",
    "load:1->OXM_OF_IP_DSCP[]",
    "load:1->NXM_NX_IP_ECN[0]",
    "load:0->NXM_NX_IPV6_LABEL[]",
    "set_field:1.2.3.4/255.255.255.0->tun_src",
    "resubmit(1,,ct)",
    "resubmit(7,,ct)",
    "load:5->in_port_oxm[]",
    "load:5->in_port_oxm[0..7]",
    "ct(commit,exec(set_field:5/0->ct_mark))",
    "ct(commit,nat(src,random))",
    "ct(commit,nat(dst,persistent,hash))",
    "load:3->NXM_OF_IP_TOS[2..7]",
    "load:3->nw_tos[0..7]",
    "load:3->nw_tos[0..1]",
    "load:1->nw_tos[2]",
    "enqueue:controller:1",
    "enqueue:normal:1",
    "enqueue:all:1",
    "mod_tp_",
];

/// Meters: good ones, then bad ones.
const METERS: [&[&str]; 2] = [
    &[
        "meter=1,kbps,band=type=drop,rate=5000",
        "meter=1 pktps bands=type=drop rate=1",
        "meter=1,kbps,bands=type=drop,rate=5000",
        "meter=4294901760,kbps,bands=type=drop,rate=4294967295",
        "meter=0x10,kbps,stats,bands=type=drop,rate=5",
        "meter=1,kbps,burst,bands=type=drop,rate=5000,burst_size=500",
        "meter=1,kbps,burst,stats,bands=type=drop,rate=5000,burst_size=500",
        "meter=1,pktps,bands=type=drop,rate=5,type=drop,rate=12",
        "meter=1,kbps,bands=type=dscp_remark,rate=5,prec_level=1",
        "meter=1,kbps,burst,bands=type=dscp_remark,rate=5,prec_level=3,burst_size=7,type=drop,rate=9,burst_size=8",
        "kbps,meter=1,bands=type=drop,rate=5",
        "meter=1,kbps,kbps,bands=type=drop,rate=5",
        "meter=1,stats,bands=type=drop,rate=5",
        "  meter=1  kbps  bands=  type=drop  rate=5 ",
        "meter=1,kbps,bands=type=drop,rate=5,prec_level=0",
        "meter=1,kbps,bandstand=type=drop,rate=5",
    ],
    &[
        "",
        "meter=1",
        "meter=1,kbps",
        "meter=1,kbps,bands",
        "meter=1,kbps,bands=",
        "kbps,bands=type=drop,rate=5",
        "meter=0,kbps,bands=type=drop,rate=5",
        "meter=4294901761,kbps,bands=type=drop,rate=5",
        "meter=x,kbps,bands=type=drop,rate=5",
        "meter,kbps,bands=type=drop,rate=5",
        "meter=1,mbps,bands=type=drop,rate=5",
        "meter=1,foo=1,kbps,bands=type=drop,rate=5",
        "meter=1,kbps,bands=rate=5,type=drop",
        "meter=1,kbps,bands=type=foo,rate=5",
        "meter=1,kbps,bands=type=drop",
        "meter=1,kbps,bands=type=drop,rate=0",
        "meter=1,kbps,bands=type=drop,rate=x",
        "meter=1,kbps,bands=type=drop,rate=5,burst_size=5",
        "meter=1,kbps,burst,bands=type=drop,rate=5",
        "meter=1,kbps,bands=type=dscp_remark,rate=5",
        "meter=1,kbps,bands=type=drop,rate=5,prec_level=1",
        "meter=1,kbps,bands=type=dscp_remark,rate=5,prec_level=256",
        "meter=1,kbps,bands=type=drop,rate=5,foo=1",
        "meter=1,kbps,bands=type=drop,rate",
    ],
];

/// What ovs-ofctl makes of groups; it refuses a file as a whole, so that a file that is refused is halved.
fn ovs_groups(texts: &[&str]) -> Vec<Option<String>> {
    if texts.is_empty() {
        return Vec::new();
    }
    let name = format!("shunt-groups-{}-{:?}", std::process::id(), std::thread::current().id());
    let file = std::env::temp_dir().join(name);
    std::fs::write(&file, texts.join("\n") + "\n").unwrap();
    let answers = sent(&["-O", "OpenFlow15", "add-groups", "SWITCH", file.to_str().unwrap()], 6, GROUP_MOD);
    std::fs::remove_file(&file).unwrap();
    match answers {
        Some(messages) if messages.len() == texts.len() => {
            messages.iter().map(|m| m.lines().find_map(|l| l.strip_prefix(" ADD ")).map(str::to_owned)).collect()
        }
        _ if texts.len() == 1 => vec![None],
        _ => {
            let (left, right) = texts.split_at(texts.len() / 2);
            let mut answers = ovs_groups(left);
            answers.extend(ovs_groups(right));
            answers
        }
    }
}

fn group_differences(texts: &[&str]) -> Vec<String> {
    let ours: Vec<_> = texts.iter().map(|t| parse_group(t, &NoPorts).map(|g| format_group(&g))).collect();
    let (taken, refused): (Vec<_>, Vec<_>) = (0..texts.len()).partition(|i| ours[*i].is_ok());
    let mut theirs = vec![None; texts.len()];
    for part in [taken, refused] {
        let list: Vec<_> = part.iter().map(|i| texts[*i]).collect();
        for (i, answer) in part.into_iter().zip(ovs_groups(&list)) {
            theirs[i] = answer;
        }
    }
    let pairs = texts.iter().zip(ours).zip(theirs);
    pairs
        .filter_map(|((text, ours), theirs)| match (ours, theirs) {
            (Ok(ours), Some(theirs)) if ours == theirs => None,
            (Err(_), None) => None,
            (ours, theirs) => Some(format!("{text}\n  ours: {ours:?}\n  ovs:  {theirs:?}")),
        })
        .collect()
}

#[test]
fn groups_are_as_ovs_has_them() {
    if !have_ovs() {
        return;
    }
    // An empty line of a file is no group.
    let all: Vec<_> = GROUPS.concat().into_iter().filter(|t| !t.is_empty()).collect();
    let different = group_differences(&all);
    assert!(different.is_empty(), "{} of {}:\n{}", different.len(), all.len(), different.join("\n"));
}

#[test]
fn actions_of_buckets_are_as_ovs_has_them() {
    if !have_ovs() {
        return;
    }
    let group = |actions: &str| format!("group_id=1,type=all,bucket=actions={actions}");
    let (good, bad): (Vec<_>, Vec<_>) = action_lists()
        .into_iter()
        .filter(|a| !BUCKETS_DIFFER.contains(a) && !a.starts_with("mod_tp_"))
        .map(group)
        .partition(|t| parse_group(t, &NoPorts).is_ok());
    // Refused ones cost a run each.
    let all: Vec<&str> = good.iter().chain(bad.iter().step_by(12)).map(String::as_str).collect();
    let different = group_differences(&all);
    println!("{} buckets", all.len());
    assert!(different.is_empty(), "{} of {}:\n{}", different.len(), all.len(), different.join("\n"));
}

#[test]
fn meters_are_as_ovs_has_them() {
    if !have_ovs() {
        return;
    }
    for text in METERS.concat() {
        let ours = parse_meter(text).map(|m| format_meter(&m));
        let sent = sent(&["-O", "OpenFlow13", "add-meter", "SWITCH", text], 4, METER_MOD);
        let theirs = sent.and_then(|m| m.first()?.split_once(" ADD ").map(|(_, meter)| meter.trim_end().to_owned()));
        // Without unit, ours are kbps.
        let theirs = theirs.map(|t| if t.starts_with("meter=1 stats") { t.replace("stats", "kbps stats") } else { t });
        match (&ours, theirs) {
            (Ok(ours), Some(theirs)) => assert_eq!(*ours, theirs, "{text}"),
            (Err(_), None) => {}
            (ours, theirs) => panic!("{text}\n  ours: {ours:?}\n  ovs:  {theirs:?}"),
        }
    }
}

#[test]
fn groups_and_meters_are_read_back() {
    for text in GROUPS[0] {
        let Ok(group) = parse_group(text, &NoPorts) else { continue };
        assert_eq!(parse_group(&format_group(&group), &NoPorts).as_ref(), Ok(&group), "{text}");
    }
    let mut buckets = 0;
    for actions in action_lists() {
        let text = format!("group_id=1,type=all,bucket=actions={actions}");
        let Ok(group) = parse_group(&text, &NoPorts) else { continue };
        let again = format_group(&group);
        assert_eq!(parse_group(&again, &NoPorts).as_ref(), Ok(&group), "{text}\n{again}");
        buckets += 1;
    }
    assert!(buckets > 500, "{buckets}");
    for text in METERS[0] {
        let meter = parse_meter(text).expect(text);
        assert_eq!(parse_meter(&format_meter(&meter)), Ok(meter), "{text}");
    }
    for text in GROUPS[1] {
        assert!(parse_group(text, &NoPorts).is_err(), "{text}");
    }
    for text in METERS[1] {
        assert!(parse_meter(text).is_err(), "{text}");
    }
}

#[test]
fn several_rates_of_one_type_are_several_bands() {
    let short = parse_meter("meter=1,kbps,bands=type=drop,rate=5000,rate=12000").unwrap();
    assert_eq!(format_meter(&short), "meter=1 kbps bands=\ntype=drop rate=5000\ntype=drop rate=12000");
    let long = parse_meter("meter=1,kbps,bands=type=drop,rate=5000,type=drop,rate=12000").unwrap();
    assert_eq!(short, long);
    assert_eq!(
        parse_meter("meter=1,bands=type=drop,rate=5").map(|m| format_meter(&m)).unwrap(),
        "meter=1 kbps bands=\ntype=drop rate=5"
    );
    assert!(parse_meter("meter=1,kbps,pktps,bands=type=drop,rate=5").is_err());
    assert_eq!(parse_meter_id("meter=5"), Ok(Some(5)));
    assert_eq!(parse_meter_id("meter=all"), Ok(None));
    assert_eq!(parse_meter_id(""), Ok(None));
    assert!(parse_meter_id("meter=0").is_err() && parse_meter_id("foo=1").is_err() && parse_meter_id("meter").is_err());
}

#[test]
fn files_have_commands() {
    let text = "# groups\ngroup_id=1,type=all,bucket=1\nadd group_id=2,type=select\ndelete group_id=1\ndelete\n\
                insert_bucket group_id=2,command_bucket_id=last,bucket=5\nremove_bucket,group_id=2,command_bucket_id=3\n";
    let changes = parse_groups(text, &NoPorts).unwrap();
    assert!(
        matches!(
            &changes[..],
            [
                GroupMod::Add(_),
                GroupMod::Add(_),
                GroupMod::Delete(Some(1)),
                GroupMod::Delete(None),
                GroupMod::InsertBuckets { group: 2, place: BucketPlace::Last, .. },
                GroupMod::RemoveBuckets { group: 2, place: BucketPlace::Id(3) },
            ]
        ),
        "{changes:?}"
    );
    let error = parse_groups("group_id=1,type=all\n\ngroup_id=x,type=all\n", &NoPorts).unwrap_err();
    assert_eq!(error.to_string(), "line 3: bad value `x` for `group_id`: 0 to 4294967040");
    let refused = |command, text| parse_group_mod(command, text, &NoPorts).unwrap_err();
    assert!(matches!(refused(GroupCommand::Delete, "group_id=1,type=all"), ParseError::Misplaced { key: "type", .. }));
    assert!(matches!(refused(GroupCommand::InsertBuckets, "group_id=1,bucket=1"), ParseError::NoValue { .. }));
    assert!(matches!(refused(GroupCommand::RemoveBuckets, "group_id=1,bucket=1"), ParseError::Misplaced { .. }));
}

#[test]
fn errors_name_group_and_bucket() {
    let error = |text: &str| parse_group(text, &NoPorts).unwrap_err().to_string();
    assert_eq!(
        error("group_id=7,type=ff,bucket=watch_port:1,1,bucket=2"),
        "bucket 1 of failover group 7 watches nothing: give it watch_port or watch_group"
    );
    assert_eq!(
        error("group_id=7,type=indirect,bucket=1,bucket=2"),
        "indirect group 7 has 2 buckets: it must have one (use type=all or type=select)"
    );
    assert_eq!(
        error("group_id=7,type=all,bucket=bucket_id:3,1,bucket=bucket_id:3,2"),
        "group 7 has bucket 3 twice: give each its own bucket_id"
    );
    let error = |text: &str| parse_meter(text).unwrap_err().to_string();
    assert_eq!(error("meter=4,bands=type=drop,rate=5,type=drop"), "band 2 of meter 4 has no rate: add rate=RATE");
}
