//! Each text of the corpus, and flows put together at random, compared with what ovs-ofctl makes of it.

use super::corpus::differences::{DIFFERENCES, Difference, Shows, difference};
use super::corpus::fields_forms::FORMS;
use super::corpus::{Text, deliberate, mix, texts, unsupported};
use crate::text::actions::names::ACTIONS;
use crate::text::names::TEXT_FIELDS;
use crate::text::{NoPorts, ParseError, format_rule, parse_flow};
use std::collections::{BTreeMap, BTreeSet};
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

/// As [`ovs`], in files of so many, by some threads.
fn ovs_in_files_of(size: usize, flows: &[&str]) -> Vec<Option<String>> {
    const THREADS: usize = 4;
    let files: Vec<_> = flows.chunks(size).collect();
    let share = files.len().div_ceil(THREADS).max(1);
    std::thread::scope(|scope| {
        let threads: Vec<_> = files
            .chunks(share)
            .map(|files| scope.spawn(move || files.iter().flat_map(|f| ovs(f)).collect::<Vec<_>>()))
            .collect();
        threads.into_iter().flat_map(|t| t.join().unwrap()).collect()
    })
}

pub fn have_ovs() -> bool {
    let found = Command::new("ovs-ofctl").arg("--version").output().is_ok_and(|o| o.status.success());
    if !found {
        println!("skipped: no ovs-ofctl");
    }
    found
}

/// What each flow is here and there.
struct Answer {
    ours: Result<String, ParseError>,
    theirs: Option<String>,
}

impl Answer {
    /// Whether the two differ in a way that is not known.
    fn differs(&self, flow: &str) -> bool {
        match (&self.ours, &self.theirs, difference(flow).map(|d| d.shows)) {
            (Ok(ours), Some(theirs), _) if ours == theirs => false,
            (Err(_), None, _) => false,
            (Ok(ours), Some(theirs), Some(Shows::Printed(as_theirs))) => as_theirs(ours) != *theirs,
            (Ok(_), Some(_), Some(Shows::Cut)) => false,
            (Err(_), Some(_), Some(Shows::Refused)) | (Ok(_), None, Some(Shows::Taken)) => false,
            (Err(error), Some(_), Some(Shows::NotSupported)) => !error.to_string().ends_with("not supported yet"),
            _ => true,
        }
    }
}

fn answers(flows: &[&str]) -> Vec<Answer> {
    let ours: Vec<_> = flows.iter().map(|f| parse_flow(f, &NoPorts).map(|r| format_rule(&r))).collect();
    // What is refused here is likely to be refused there, which costs a run of ovs-ofctl each.
    let (taken, refused): (Vec<usize>, Vec<usize>) = (0..flows.len()).partition(|i| ours[*i].is_ok());
    let mut theirs = vec![None; flows.len()];
    for (part, size) in [(taken, 64), (refused, 1)] {
        let texts: Vec<_> = part.iter().map(|i| flows[*i]).collect();
        for (i, answer) in part.into_iter().zip(ovs_in_files_of(size, &texts)) {
            theirs[i] = answer;
        }
    }
    ours.into_iter().zip(theirs).map(|(ours, theirs)| Answer { ours, theirs }).collect()
}

/// Where the two differ.
fn differences(flows: &[&str]) -> Vec<String> {
    let pairs = flows.iter().zip(answers(flows)).filter(|(flow, answer)| answer.differs(flow));
    pairs.map(|(flow, a)| format!("{flow}\n  ours: {:?}\n  ovs:  {:?}", a.ours, a.theirs)).collect()
}

#[test]
fn every_text_of_the_corpus_is_as_ovs_has_it() {
    if !have_ovs() {
        return;
    }
    let texts = texts();
    let flows: Vec<_> = texts.iter().map(|t| t.flow.as_str()).collect();
    let answers = answers(&flows);
    let mut coverage = Coverage::default();
    let mut different = Vec::new();
    for (text, answer) in texts.iter().zip(&answers) {
        coverage.count(text, answer);
        if answer.differs(&text.flow) {
            different.push(format!("{}\n  ours: {:?}\n  ovs:  {:?}", text.flow, answer.ours, answer.theirs));
        }
    }
    print!("{coverage}");
    let count = different.len();
    assert!(different.is_empty(), "{count} of {} differ:\n{}", flows.len(), different.join("\n"));
    coverage.check();
}

/// How many texts there are for each field or action, and each form.
#[derive(Default)]
struct Coverage {
    forms: BTreeMap<String, BTreeMap<&'static str, usize>>,
    /// Texts that an action is in, wherever.
    actions: BTreeMap<&'static str, usize>,
    texts: usize,
    refused: usize,
}

impl Coverage {
    fn count(&mut self, text: &Text, answer: &Answer) {
        *self.forms.entry(text.about.clone()).or_default().entry(text.form).or_default() += 1;
        self.texts += 1;
        let actions = text.flow.split_once("actions=").map_or("", |(_, actions)| actions).to_ascii_lowercase();
        let words: BTreeSet<&str> = actions.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
        for name in ACTIONS.iter().filter(|name| words.contains(**name)) {
            *self.actions.entry(name).or_default() += 1;
        }
        self.refused += usize::from(answer.theirs.is_none());
    }

    fn check(&self) {
        assert!(self.texts >= 2000, "{} texts", self.texts);
        assert!(self.refused * 4 >= self.texts, "{} of {} refused by ovs-ofctl", self.refused, self.texts);
        let count = |about: &str, form: &str| self.forms.get(about).and_then(|f| f.get(form)).copied().unwrap_or(0);
        let few: Vec<_> = TEXT_FIELDS
            .iter()
            .flat_map(|field| FORMS.map(|form| (field.name(), form)))
            .filter(|(name, form)| count(name, form) < 5)
            .collect();
        assert!(few.is_empty(), "fewer than 5 texts: {few:?}");
        let few: Vec<_> = ACTIONS.iter().filter(|name| self.actions.get(**name).is_none_or(|n| *n < 5)).collect();
        assert!(few.is_empty(), "fewer than 5 texts: {few:?}");
    }
}

impl std::fmt::Display for Coverage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (about, forms) in &self.forms {
            let all: usize = forms.values().sum();
            write!(f, "{about}: {all} texts")?;
            forms.iter().try_for_each(|(form, n)| write!(f, ", {form} {n}"))?;
            writeln!(f)?;
        }
        let actions: Vec<_> = self.actions.iter().map(|(name, n)| format!("{name} {n}")).collect();
        writeln!(f, "texts with each action: {}", actions.join(", "))?;
        writeln!(f, "{} texts, {} of them refused by ovs-ofctl", self.texts, self.refused)
    }
}

#[test]
fn each_known_difference_is_one() {
    let have_ovs = have_ovs();
    for Difference { what, reason, shows, examples, .. } in DIFFERENCES {
        assert!(!reason.is_empty() && !examples.is_empty(), "{what}");
        for flow in *examples {
            assert_eq!(difference(flow).map(|d| d.what), Some(*what), "{flow}");
            let ours = parse_flow(flow, &NoPorts);
            assert_eq!(
                ours.is_ok(),
                matches!(shows, Shows::Printed(_) | Shows::Cut | Shows::Taken),
                "{flow}: {ours:?}"
            );
            if have_ovs {
                let theirs = ovs(&[flow])[0].clone();
                assert_eq!(theirs.is_none(), matches!(shows, Shows::Taken), "{flow} at ovs-ofctl");
                assert_ne!(ours.ok().map(|r| format_rule(&r)), theirs, "{flow} is no difference");
            }
        }
    }
}

#[test]
fn flows_put_together_at_random_are_as_ovs_has_them() {
    if !have_ovs() {
        return;
    }
    let flows: Vec<_> = (0..1500).map(mix).collect();
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
