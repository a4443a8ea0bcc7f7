//! Matches put together at random, from what they require up, are read back from their text.

use crate::field::{FIELDS, FieldDef, FieldId, Prereq};
use crate::matching::Match;
use crate::rule::DEFAULT_PRIORITY;
use crate::text::names::TEXT_FIELDS;
use crate::text::{NoPorts, format_match, parse_flow_noting, parse_match};
use crate::value::Value;
use proptest::prelude::*;

/// What a match starts from: the protocols that give fields their prerequisites.
const BASES: [&str; 18] = [
    "",
    "ip",
    "ipv6",
    "arp",
    "rarp",
    "tcp",
    "tcp6",
    "udp",
    "udp6",
    "sctp",
    "sctp6",
    "icmp",
    "icmp6",
    "icmp6,icmp_type=135,icmp_code=0",
    "icmp6,icmp_type=136,icmp_code=0",
    "mpls",
    "mplsm",
    "dl_type=0x88cc",
];

/// Connections and tags beside it.
const BESIDE: [&str; 10] = [
    "",
    "",
    "ct_state=+trk-inv",
    "ct_state=+est+trk,ct_nw_proto=6",
    "ct_state=0x2/0x7",
    "vlan_tci=0",
    "vlan_tci=0x1000/0x1000",
    "dl_vlan=7",
    "dl_vlan=7,dl_vlan_pcp=3",
    "vlan_tci=0x1005/0x100f",
];

/// Fields of which a match may be anything, once it has what they require.
fn choices(base: &Match) -> Vec<&'static FieldDef> {
    use FieldId as F;
    FIELDS
        .iter()
        .filter(|def| TEXT_FIELDS.iter().any(|f| f.id == def.id) && base.satisfies(def.prereq))
        .filter(|def| base.get(def.id).1 == Value(0) && !matches!(def.prereq, Prereq::VlanVid))
        // Those that are set with the base, and names for bytes of others.
        .filter(|def| !matches!(def.id, F::VlanTci | F::VlanVid | F::CtState | F::IpTos | F::InPortOxm | F::EthType))
        .filter(|def| !matches!(def.id, F::CtTpSrc | F::CtTpDst) || base.key.ct_nw_proto != 0)
        .filter(|def| def.id != F::IpProto || base.satisfies(Prereq::Ip))
        .collect()
}

fn require(m: &mut Match, def: &FieldDef, value: u128, mask: u128) {
    let mask = if def.maskable { mask & def.ones().0 } else { def.ones().0 };
    let (value, mask) = match def.id {
        // A later fragment has no ports.
        FieldId::IpFrag => {
            let forms = [(0, 3), (1, 3), (1, 1), (0, 2), (3, 3)];
            let protocol = m.key.nw_proto != 0;
            forms[(value % if protocol { 4 } else { 5 }) as usize]
        }
        FieldId::CtNwProto => (value | 1, mask),
        FieldId::IpProto => (89, mask),
        FieldId::InPort | FieldId::ActsetOutput => (value & 0xffff, mask),
        _ => (value, mask),
    };
    if mask != 0 {
        m.set(def.id, Value(value), Value(mask));
    }
}

fn matches() -> impl Strategy<Value = Match> {
    let fields = prop::collection::vec((any::<prop::sample::Index>(), any::<u128>(), mask()), 0..8);
    (0..BASES.len(), 0..BESIDE.len(), fields).prop_map(|(base, beside, fields)| {
        let text = format!("{},{}", BASES[base], BESIDE[beside]);
        let mut m = parse_match(&text, &NoPorts).expect(&text);
        for (index, value, mask) in fields {
            let choices = choices(&m);
            require(&mut m, choices[index.index(choices.len())], value, mask);
        }
        m
    })
}

/// All bits, a prefix, some bits.
fn mask() -> impl Strategy<Value = u128> {
    prop_oneof![
        Just(u128::MAX),
        (0u32..128).prop_map(|n| u128::MAX << n),
        any::<u128>(),
        (0u32..128).prop_map(|n| 1 << n)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_match_is_what_its_text_says(m in matches(), priority: u16) {
        let text = format_match(&m, DEFAULT_PRIORITY);
        prop_assert_eq!(parse_match(&text, &NoPorts), Ok(m), "{}", &text);
        let flow = format!("{},actions=drop", format_match(&m, priority));
        let mut notes = Vec::new();
        let rule = parse_flow_noting(&flow, &NoPorts, &mut notes);
        prop_assert_eq!(rule.map(|r| (r.matching, r.priority)), Ok((m, priority)), "{}", &flow);
        prop_assert_eq!(notes, []);
    }

    #[test]
    fn a_match_covers_what_it_was_read_from(m in matches(), key_bits in any::<[u128; 4]>()) {
        // A packet that differs from the match in bits that it leaves open only is matched; any other is not.
        let (mut key, regs) = (m.key, m.regs);
        for (i, word) in key.words_mut().iter_mut().enumerate() {
            let noise = (key_bits[i % 4] >> (i % 8 * 8)) as u64;
            let mask = u64::from_ne_bytes(m.mask.0.words()[i]);
            *word = (u64::from_ne_bytes(*word) | noise & !mask).to_ne_bytes();
        }
        prop_assert!(m.matches(&key, &regs));
        for def in FIELDS.iter().filter(|def| def.is_in_key()) {
            let mask = m.mask.get(def.id).0;
            if mask != 0 {
                let mut other = key;
                let bit = mask & mask.wrapping_neg();
                other.set(def.id, Value(key.get(def.id).unwrap_or_default().0 ^ bit));
                prop_assert!(!m.matches(&other, &regs), "{}", def.name);
            }
        }
    }
}

#[test]
fn every_field_of_the_table_has_its_text() {
    // Of the datapath alone: what no rule matches.
    let internal = [FieldId::VlanTpid, FieldId::Vlan1Tpid, FieldId::Vlan1Tci, FieldId::SkbPriority];
    for def in &FIELDS {
        let mut texts = TEXT_FIELDS.iter().filter(|f| f.id == def.id).peekable();
        assert_eq!(texts.peek().is_none(), internal.contains(&def.id), "{}", def.name);
        for name in texts.flat_map(|f| f.names) {
            assert!(
                def.name == *name
                    || def.aliases.contains(name)
                    || matches!(def.id, FieldId::VlanVid | FieldId::VlanPcp),
                "{name} is a name of {} in text only",
                def.name
            );
        }
    }
}
