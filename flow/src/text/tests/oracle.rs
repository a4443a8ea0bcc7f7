//! Each flow of the corpus, and flows put together at random, compared with what ovs-ofctl makes of it.

use super::corpus::{corpus, deliberate, mix, unsupported};
use crate::text::{NoPorts, ParseError, format_rule, parse_flow};
use std::process::Command;

/// What ovs-ofctl prints behind "ADD " for each flow; `None` where it refuses.
///
/// It refuses a file as a whole, so that a file that is refused is halved.
fn ovs(flows: &[&str]) -> Vec<Option<String>> {
    if flows.is_empty() {
        return Vec::new();
    }
    let name = format!("shunt-flow-text-{}-{:?}", std::process::id(), std::thread::current().id());
    let file = std::env::temp_dir().join(name);
    std::fs::write(&file, flows.join("\n") + "\n").unwrap();
    let run = Command::new("ovs-ofctl").args(["-O", "OpenFlow14", "parse-flows"]).arg(&file).output().unwrap();
    std::fs::remove_file(&file).unwrap();
    let text = String::from_utf8(run.stdout).unwrap();
    let lines: Vec<_> = text.lines().filter_map(|l| l.split_once(": ADD ").map(|(_, flow)| flow.to_owned())).collect();
    if run.status.success() && lines.len() == flows.len() {
        return lines.into_iter().map(Some).collect();
    }
    if flows.len() == 1 {
        return vec![None];
    }
    let (left, right) = flows.split_at(flows.len() / 2);
    let mut answers = ovs(left);
    answers.extend(ovs(right));
    answers
}

fn have_ovs() -> bool {
    let found = Command::new("ovs-ofctl").arg("--version").output().is_ok_and(|o| o.status.success());
    if !found {
        println!("skipped: no ovs-ofctl");
    }
    found
}

/// Where the two differ.
fn differences(flows: &[&str]) -> Vec<String> {
    let ours: Vec<_> = flows.iter().map(|f| parse_flow(f, &NoPorts).map(|r| format_rule(&r))).collect();
    // Those that both refuse cost ovs-ofctl a run each: they go together in small files.
    let (mut taken, mut refused) = (Vec::new(), Vec::new());
    for (i, our) in ours.iter().enumerate() {
        if our.is_ok() { &mut taken } else { &mut refused }.push(i);
    }
    let mut theirs = vec![None; flows.len()];
    for part in [taken, refused] {
        let texts: Vec<_> = part.iter().map(|i| flows[*i]).collect();
        for (i, answer) in part.into_iter().zip(ovs(&texts)) {
            theirs[i] = answer;
        }
    }
    let pairs = flows.iter().zip(ours).zip(theirs);
    pairs
        .filter_map(|((flow, ours), theirs)| match (ours, theirs) {
            (Ok(ours), Some(theirs)) if ours == theirs => None,
            (Err(_), None) => None,
            (ours, theirs) => Some(format!("{flow}\n  ours: {ours:?}\n  ovs:  {theirs:?}")),
        })
        .collect()
}

#[test]
fn every_flow_of_the_corpus_is_as_ovs_has_it() {
    if !have_ovs() {
        return;
    }
    let corpus = corpus();
    let flows: Vec<_> = corpus.iter().map(String::as_str).collect();
    let different = differences(&flows);
    assert!(different.is_empty(), "{} of {}:\n{}", different.len(), flows.len(), different.join("\n"));
    let refused = flows.iter().filter(|f| parse_flow(f, &NoPorts).is_err()).count();
    println!("{} flows, {refused} of them refused", flows.len());
    assert!(flows.len() >= 600 && refused * 5 >= flows.len(), "{refused} of {} refused", flows.len());
}

#[test]
fn flows_put_together_at_random_are_as_ovs_has_them() {
    if !have_ovs() {
        return;
    }
    let flows: Vec<_> = (0..600).map(mix).collect();
    let flows: Vec<_> = flows.iter().map(String::as_str).collect();
    let different = differences(&flows);
    assert!(different.is_empty(), "{} of {}:\n{}", different.len(), flows.len(), different.join("\n"));
}

#[test]
fn what_only_ovs_has_is_refused_by_name() {
    for flow in unsupported() {
        let error = parse_flow(flow, &NoPorts).expect_err(flow);
        assert!(
            matches!(
                error,
                ParseError::UnsupportedField(_) | ParseError::UnsupportedAction(_) | ParseError::UnsupportedForm { .. }
            ),
            "{flow}: {error}"
        );
        assert!(error.to_string().ends_with("is not supported yet"), "{error}");
    }
    if have_ovs() {
        let refused: Vec<_> = unsupported().iter().filter(|f| ovs(&[f])[0].is_none()).collect();
        assert!(refused.is_empty(), "not known to ovs-ofctl: {refused:?}");
    }
}

#[test]
fn deliberate_differences_are_refused_here_and_taken_there() {
    let have_ovs = have_ovs();
    for flow in deliberate() {
        assert!(parse_flow(flow, &NoPorts).is_err(), "{flow}");
        assert!(!have_ovs || ovs(&[flow])[0].is_some(), "{flow}");
    }
}
