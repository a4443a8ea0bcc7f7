//! The two answers about a packet, side by side.

use super::bits::{self, Bits};
use super::normalise::{self, Event};
use super::ours::{Ours, Pass as OurPass};
use super::scene::{Packet, Scene};
use super::theirs::Theirs;
use super::trace::Pass;
use flow::dp::{ActionList, DpAction, DropReason, Translation};
use flow::rule::RuleSpec;
use flow::text::NoPorts;

/// Headings of docs/guide/differences.md.
const TTL: &str = "TTL that runs out";
const THIRD_TAG: &str = "A third tag";
const INNER_TAG: &str = "NORMAL and the inner tag";
const MIRROR_INPUT: &str = "Counts of what comes in on a mirror's output";
const MIRRORS: &str = "Mirrors of changed packets";
const ICMP: &str = "ICMP in later fragments";

/// How one packet fared.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// What differs; empty: nothing.
    pub differences: Vec<String>,
    pub hits: Vec<(u8, Option<u64>)>,
    pub forwarded: bool,
    pub passes: usize,
    pub our_bits: Bits,
    pub their_bits: Bits,
    /// A heading of docs/guide/differences.md.
    pub excused: Option<&'static str>,
}

/// Compare both answers about one packet. `first` may be the translation of another packet that its mask covers.
pub fn judge(ours: &Ours, first: &Translation, packet: &Packet, theirs: &[Pass]) -> Verdict {
    let mine = ours.passes(packet, Some(first));
    let mut verdict = Verdict { passes: theirs.len(), ..Verdict::default() };
    if mine.len() != theirs.len() {
        verdict.differences.push(format!("number of passes: ours {}, theirs {}", mine.len(), theirs.len()));
    }
    for (mine, theirs) in mine.iter().zip(theirs) {
        let differences = compare(ours, mine, theirs, &mut verdict);
        if !differences.is_empty() && verdict.excused.is_none() {
            let tags = mine.key.vlans.iter().filter(|t| t.is_present()).count() + ours.pushes(&theirs.hits);
            let same_rules = ours.hits(&mine.translation) == theirs.hits;
            verdict.excused = excuse(ours, same_rules, tags, theirs, mine).or_else(|| mirrors(ours, mine, theirs));
        }
        verdict.differences.extend(differences);
    }
    verdict
}

fn compare(ours: &Ours, mine: &OurPass, theirs: &Pass, verdict: &mut Verdict) -> Vec<String> {
    let mut differences = Vec::new();
    let t = &mine.translation;
    let their_events = match &theirs.error {
        // Given up: nothing is sent.
        Some(_) => Vec::new(),
        None => normalise::theirs(&theirs.actions, &mine.key),
    };
    verdict.forwarded |= sends(&their_events);
    if mine.events != their_events {
        let only = |of: &[Event], other: &[Event]| -> String {
            let events = of.iter().filter(|e| !other.contains(e));
            events.map(|e| format!("\n      {e:?}")).collect()
        };
        differences.push(format!(
            "actions\n    ours   {}\n    theirs {}\n    seen of ours only{}\n    seen of theirs only{}",
            ActionList(&t.actions),
            theirs.text,
            only(&mine.events, &their_events),
            only(&their_events, &mine.events),
        ));
    }
    let hits = ours.hits(t);
    if hits != theirs.hits {
        differences.push(format!("rules hit\n    ours   {hits:x?}\n    theirs {:x?}", theirs.hits));
    }
    verdict.hits.extend(&theirs.hits);
    if theirs.error.is_some() {
        // Its mask is not finished.
        return differences;
    }
    for (to, from) in [
        (&mut verdict.our_bits, bits::our_bits(&t.mask)),
        (&mut verdict.their_bits, bits::their_bits(&theirs.megaflow)),
    ] {
        from.into_iter().for_each(|(name, n)| *to.entry(name).or_default() += n);
    }
    differences
}

fn sends(events: &[Event]) -> bool {
    events.iter().any(|e| match e {
        Event::Output { .. } => true,
        Event::Sample { events, .. } | Event::Copy(events) => sends(events),
        Event::Length { longer, rest, .. } => sends(longer) || sends(rest),
        _ => false,
    })
}

/// What differs in the rules that the switches learn from a packet.
pub fn judge_learned(ours: &Ours, packet: &Packet, theirs: &[Pass]) -> Option<String> {
    let mut mine: Vec<RuleSpec> =
        ours.passes(packet, None).iter().flat_map(|p| Ours::learned(&p.translation)).collect();
    let lines: Vec<String> = theirs.iter().flat_map(|p| p.learned.clone()).collect();
    let mut their_rules = learned(&lines);
    // How often one is learned in a loop does not matter.
    mine.dedup();
    their_rules.dedup();
    let text = |rules: &[RuleSpec]| rules.iter().map(flow::text::format_rule).collect::<Vec<_>>().join("; ");
    (mine != their_rules)
        .then(|| format!("rules learned\n    ours   {}\n    theirs {}", text(&mine), text(&their_rules)))
}

/// `table=1 dl_dst=.. priority=5 cookie=0x1 actions=output:1` as rules.
fn learned(lines: &[String]) -> Vec<RuleSpec> {
    let read = |line: &String| {
        let (head, actions) = line.split_once(" actions=").unwrap_or_else(|| panic!("no actions in {line}"));
        let text = format!("{},actions={actions}", head.replace(' ', ","));
        flow::text::parse_flow(&text, &NoPorts).unwrap_or_else(|e| panic!("{text}: {e}"))
    };
    lines.iter().map(read).collect()
}

/// Why a difference is right: its heading in docs/guide/differences.md.
fn excuse(ours: &Ours, same_rules: bool, tags: usize, pass: &Pass, mine: &OurPass) -> Option<&'static str> {
    let t = &mine.translation;
    // OFPR_INVALID_TTL
    if pass.text.contains("controller(reason=2,") {
        return Some(TTL);
    }
    if mine.key.nw_frag & flow::key::frag::LATER != 0 && pass.text.contains("set(icmp") {
        return Some(ICMP);
    }
    let gave_up = matches!(t.actions.as_slice(), [DpAction::Drop(DropReason::VlanTooDeep)]);
    let their_events = normalise::theirs(&pass.actions, &mine.key);
    let less = mine.events.iter().all(|e| their_events.contains(e));
    if tags > 2 && (gave_up || ours.hits(t).len() < pass.hits.len() || less) {
        return Some(THIRD_TAG);
    }
    // Mirrors send as NORMAL does. Behind a patch cable a packet may have got a tag by NORMAL, and one with another tag meets other
    // rules.
    let patched = ours.bridges.len() > 1;
    let second = tags + usize::from(patched) > 1;
    if (same_rules || patched) && (pass.normal || ours.mirror_output().is_some()) && second {
        return Some(INNER_TAG);
    }
    None
}

/// The same for what has to do with mirrors.
fn mirrors(ours: &Ours, mine: &OurPass, theirs: &Pass) -> Option<&'static str> {
    let reserved = ours.mirror_output()?;
    let their_events = normalise::theirs(&theirs.actions, &mine.key);
    if mine.key.in_port.get() == reserved && !sends(&mine.events) && !sends(&their_events) {
        return Some(MIRROR_INPUT);
    }
    let (mut copies, mut their_copies) = (0, 0);
    let rest = without_copies(&mine.events, reserved, &mut copies);
    let their_rest = without_copies(&their_events, reserved, &mut their_copies);
    (rest == their_rest && copies >= their_copies).then_some(MIRRORS)
}

/// What is no copy of a mirror, which goes to its port or into its VLAN.
fn without_copies(events: &[Event], reserved: u32, copies: &mut usize) -> Vec<Event> {
    let mut rest = Vec::new();
    for event in events {
        match event {
            Event::Output { port, packet, .. }
                if *port == reserved || packet.tags.first().is_some_and(|t| t.1 & 0xfff == 30) =>
            {
                *copies += 1;
            }
            Event::Length { over, longer, rest: others } => {
                let longer = without_copies(longer, reserved, copies);
                let others = without_copies(others, reserved, copies);
                rest.push(Event::Length { over: *over, longer, rest: others });
            }
            other => rest.push(other.clone()),
        }
    }
    rest
}

/// Scenes in which each select group that chooses by a hash of ours always takes the same bucket: with all choices.
fn choices(scene: &Scene) -> Vec<Scene> {
    let mut scenes = vec![scene.clone()];
    for (i, group) in
        scene.groups.iter().enumerate().filter(|(_, g)| g.kind == "select" && g.selection.starts_with("hash"))
    {
        let fixed = |s: &Scene, b: usize| {
            let mut s = s.clone();
            s.groups[i].buckets.iter_mut().enumerate().for_each(|(j, to)| {
                if j != b {
                    to.weight = Some(0);
                }
            });
            s
        };
        scenes = scenes.iter().flat_map(|s| (0..group.buckets.len()).map(|b| fixed(s, b))).collect();
    }
    scenes
}

/// Whether the answers agree when select groups take the buckets that Open vSwitch took: the choice is each switch's own.
pub fn agrees_with_some_choice(
    theirs: &Theirs,
    scene: &Scene,
    came: &[Packet],
    packet: &Packet,
    passes: &[Pass],
) -> bool {
    if !passes.iter().any(|p| p.chose) {
        return false;
    }
    choices(scene).iter().any(|scene| {
        let mut ours = Ours::of(scene, theirs.dp(scene.setup));
        came.iter().for_each(|p| ours.receive(p));
        let first = ours.passes(packet, None).remove(0).translation;
        let verdict = judge(&ours, &first, packet, passes);
        verdict.differences.is_empty() || verdict.excused.is_some()
    })
}

#[test]
fn excuses_are_in_the_guide() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/guide/differences.md");
    let guide = std::fs::read_to_string(path).expect("the guide");
    for heading in [TTL, THIRD_TAG, INNER_TAG, MIRROR_INPUT, MIRRORS, ICMP] {
        assert!(guide.lines().any(|l| l == format!("## {heading}")), "no section {heading:?}");
    }
}
