//! What a reason tells an operator to type is typed, and the flow goes in.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use api::{DpFlowView, Explanation, Handled, PacketExplanation, Reason};
use hw_tests::Rig;
use hw_tests::frames::udp;

/// A switch with a flow that hardware takes, from `uplink` to `pf0vf0`.
fn switch() -> Rig {
    let rig = Rig::start("connectx,vfs=2,lockstep").unwrap();
    rig.ok(&["bridge", "add", "br0", "--fail-mode", "secure"]).unwrap();
    for (number, name) in ["uplink", "pf0vf0", "pf0vf1"].into_iter().enumerate() {
        let number = (number + 100).to_string();
        rig.ok(&["port", "add", "br0", name, "--devargs", name, "--ofport", &number]).unwrap();
    }
    rig.ok(&["flow", "add", "br0", "in_port=100,udp,actions=output:101"]).unwrap();
    rig.pass(0, 1, &[udp(1, 2, 1)]).unwrap();
    assert_eq!(flow(&rig).handled, Handled::Hardware);
    rig
}

fn flow(rig: &Rig) -> DpFlowView {
    let flows: Vec<DpFlowView> = rig.json(&["dp", "flows"]).unwrap();
    let [flow] = flows.as_slice() else { panic!("{flows:?}") };
    flow.clone()
}

fn names(reasons: &[Reason]) -> Vec<&str> {
    reasons.iter().map(|reason| reason.name.as_str()).collect()
}

/// The command in a text, as the words that are typed.
fn command(text: &str) -> Vec<&str> {
    let (_, command) = text.split_once("shuntctl ").unwrap_or_else(|| panic!("no command in: {text}"));
    let end = [", ", ")"].iter().filter_map(|end| command.find(end)).min().unwrap_or(command.len());
    command[..end].split_whitespace().collect()
}

/// What keeps the flow out, and the one reason that it has then.
const OBSTACLES: [(&[&str], &str); 5] = [
    (&["offload", "off"], "Disabled"),
    (&["offload", "off", "uplink"], "PortDisabled"),
    (&["offload", "policy", "set", "off"], "PolicyOff"),
    (&["offload", "policy", "set", "ports", "pf0vf0,pf0vf1"], "PolicyPorts"),
    (&["offload", "policy", "set", "hot", "--rate", "1000000"], "Cold"),
];

#[test]
fn the_command_of_a_remedy_brings_the_flow_in() {
    let rig = switch();
    for (obstacle, name) in OBSTACLES {
        rig.ok(&["offload", "policy", "set", "all"]).unwrap();
        rig.ok(obstacle).unwrap();
        let found = flow(&rig);
        assert_eq!((found.handled, names(&found.reasons)), (Handled::Software, vec![name]));
        let remedy = &found.reasons[0].remedy;
        rig.ok(&command(remedy)).unwrap();
        assert_eq!(flow(&rig).handled, Handled::Hardware, "{remedy}");
    }
}

#[test]
fn each_single_change_that_would_help_does() {
    let rig = switch();
    let mut tried = 0;
    for (obstacle, name) in OBSTACLES {
        // Of a flow that is only too slow no change of it or its rules is told.
        for n in 0.. {
            for words in
                [&["offload", "on"][..], &["offload", "on", "uplink"], &["offload", "policy", "set", "all"], obstacle]
            {
                rig.ok(words).unwrap();
            }
            let found = flow(&rig);
            let explained: Vec<Explanation> = rig.json(&["offload", "explain", &found.id.to_string()]).unwrap();
            let Some(help) = explained[0].would_help.get(n) else { break };
            rig.ok(&command(help)).unwrap();
            assert_eq!(flow(&rig).handled, Handled::Hardware, "{name}: {help}");
            tried += 1;
        }
    }
    assert!(tried >= 5, "{tried}");
}

#[test]
fn two_obstacles_are_two_reasons_and_no_single_change_is_promised() {
    let rig = switch();
    rig.ok(&["offload", "off"]).unwrap();
    rig.ok(&["offload", "off", "uplink"]).unwrap();
    rig.ok(&["offload", "policy", "set", "ports", "pf0vf0"]).unwrap();
    let found = flow(&rig);
    assert_eq!(names(&found.reasons), ["Disabled", "PortDisabled", "PolicyPorts"]);
    let explained: Vec<Explanation> = rig.json(&["offload", "explain", &found.id.to_string()]).unwrap();
    assert!(explained[0].would_help.is_empty(), "{:?}", explained[0].would_help);
    for (n, reason) in found.reasons.iter().enumerate() {
        assert_eq!(names(&flow(&rig).reasons), names(&found.reasons[n..]));
        rig.ok(&command(&reason.remedy)).unwrap();
    }
    assert_eq!(flow(&rig).handled, Handled::Hardware);
}

/// No switch or policy is in the way of a port whose device takes no rules.
#[test]
fn a_port_without_hardware_is_told_so_whatever_is_wished() {
    let rig = switch();
    rig.ok(&["port", "add", "br0", "t0", "--type", "dpdk", "--devargs", "net_null0", "--ofport", "200"]).unwrap();
    for (obstacle, _) in OBSTACLES {
        rig.ok(obstacle).unwrap();
        let explained: PacketExplanation = rig.json(&["offload", "explain", "in_port=200,udp"]).unwrap();
        assert_eq!(names(&explained.passes[0].reasons), ["NotOffloadCapable"], "{obstacle:?}");
    }
}

/// What was said of a port's offload goes with the port; what was said of one whose device is gone does not.
#[test]
fn a_port_that_comes_again_begins_anew() {
    let mut rig = switch();
    let policy = |rig: &Rig| rig.json::<api::OffloadPolicyView>(&["offload", "policy", "show"]).unwrap();
    let add = |rig: &Rig| rig.ok(&["port", "add", "br0", "uplink", "--devargs", "uplink", "--ofport", "100"]).unwrap();
    rig.ok(&["offload", "off", "uplink"]).unwrap();
    rig.ok(&["offload", "off", "pf0vf1"]).unwrap();
    rig.ok(&["port", "del", "br0", "uplink"]).unwrap();
    assert_eq!(policy(&rig).ports_off, ["pf0vf1".to_owned()].into());
    // Neither is there to be switched.
    rig.refused(&["offload", "on", "uplink"]).unwrap();
    rig.refused(&["offload", "off", "uplink"]).unwrap();
    rig.restart().unwrap();
    assert_eq!(policy(&rig).ports_off, ["pf0vf1".to_owned()].into());
    add(&rig);
    rig.pass(0, 1, &[udp(1, 2, 1), udp(1, 2, 1)]).unwrap();
    assert_eq!(flow(&rig).handled, Handled::Hardware);

    rig.ok(&["offload", "policy", "set", "ports", "uplink,pf0vf0"]).unwrap();
    rig.ok(&["port", "del", "br0", "uplink"]).unwrap();
    assert_eq!(policy(&rig).policy, api::OffloadPolicy::Ports { ports: ["pf0vf0".to_owned()].into() });
    add(&rig);
    rig.pass(0, 9, &[udp(1, 2, 1)]).unwrap();
    let found = flow(&rig);
    assert_eq!(names(&found.reasons), ["PolicyPorts"]);
    rig.ok(&command(&found.reasons[0].remedy)).unwrap();
    assert_eq!(flow(&rig).handled, Handled::Hardware);

    rig.ok(&["offload", "policy", "set", "hot", "--priority", "uplink=7", "--priority", "pf0vf1=3"]).unwrap();
    rig.ok(&["bridge", "del", "br0"]).unwrap();
    let after = policy(&rig);
    assert!(matches!(&after.policy, api::OffloadPolicy::Hot(hot) if hot.priorities.is_empty()), "{after:?}");
    assert!(after.ports_off.is_empty());
}
