//! Each field of the table in each form that its values can have, right and wrong.

use super::Text;
use crate::field::{FieldId, Format, Prereq};
use crate::text::names::{Form, KEYS, PROTOCOLS, TEXT_FIELDS, TextField};
use crate::value::Value;

/// The forms that each field is tried in: at least five texts each.
pub const FORMS: [&str; 10] =
    ["value", "mask", "any", "part", "bad value", "bad part", "name", "twice", "prerequisite", "beside others"];

/// Every field in every form, and the keys that are no fields.
pub fn texts() -> Vec<Text> {
    let shorthands = PROTOCOLS.iter().flat_map(|p| of_shorthand(p.0));
    let keys = KEYS.iter().filter(|k| **k != "actions").flat_map(|key| of_key(key));
    TEXT_FIELDS.iter().flat_map(of_field).chain(shorthands).chain(keys).collect()
}

fn of_shorthand(name: &str) -> Vec<Text> {
    let text = |form, m: String| Text::new(format!("{m},actions=1"), name, form);
    let mut texts: Vec<_> = ["", "=", "()", "=5", "(x)", ":", ",reg0=1", ",nw_ttl=5,tp_src=5,mpls_tc=1,arp_op=1"]
        .iter()
        .map(|end| text("shorthand", format!("{name}{end}")))
        .collect();
    texts.extend(["ip", "ipv6", "arp", "tcp6", "mpls", "dl_type=0x88cc"].iter().flat_map(|other| {
        [text("shorthand twice", format!("{name},{other}")), text("shorthand twice", format!("{other},{name}"))]
    }));
    texts.extend([format!("{name}7"), name.to_uppercase(), format!("{name}[]")].map(|m| text("bad shorthand", m)));
    texts
}

fn of_key(name: &str) -> Vec<Text> {
    let values = "=0 =1 =7 =0x10 =010 =255 =65535 =65536 =-1 =x =1x =1/1 = =* (5) :5";
    let mut texts: Vec<_> =
        values.split(' ').map(|v| Text::new(format!("ip,{name}{v},actions=1"), name, "key")).collect();
    texts.push(Text::new(format!("{name},actions=1"), name, "key"));
    texts.push(Text::new(format!("{name}=3 {name}=4 actions=1"), name, "key"));
    texts
}

/// Matches that give a field, the first the plainest.
pub(super) fn needs(field: &TextField) -> &'static [&'static str] {
    match field.def().prereq {
        Prereq::None => &["", "ip"],
        Prereq::VlanVid => &["dl_vlan=5", "vlan_tci=0x1000/0x1000"],
        Prereq::Arp => &["arp", "rarp"],
        Prereq::Ip => &["ip", "ipv6"],
        Prereq::Ipv4 => &["ip", "tcp"],
        Prereq::Ipv6 => &["ipv6", "udp6"],
        Prereq::Tcp => &["tcp", "tcp6"],
        Prereq::Udp => &["udp", "udp6"],
        Prereq::Sctp => &["sctp", "sctp6"],
        Prereq::Icmp => &["icmp", "ip,nw_proto=1"],
        Prereq::Icmpv6 => &["icmp6", "ipv6,nw_proto=58"],
        Prereq::Nd => &["icmp6,icmp_type=135", "icmp6,icmp_type=136,icmp_code=0"],
        Prereq::NdSolicit => &["icmp6,icmp_type=135", "icmp6,icmpv6_type=135,icmpv6_code=0"],
        Prereq::NdAdvert => &["icmp6,icmp_type=136", "icmp6,icmpv6_type=136,icmpv6_code=0"],
        Prereq::Mpls => &["mpls", "mplsm"],
        Prereq::CtIp => &["ct_state=+trk-inv,ct_nw_proto=6,ip", "ct_state=+est,ct_nw_proto=17,ipv6"],
        Prereq::CtIpv4 => &["ct_state=+trk-inv,ip", "ct_state=+new,tcp"],
        Prereq::CtIpv6 => &["ct_state=+trk-inv,ipv6", "ct_state=+rpl+trk,udp6"],
    }
}

/// Matches that leave fields out, or not.
pub(super) const STATES: [&str; 12] = [
    "",
    "arp",
    "ip",
    "ipv6",
    "tcp",
    "udp6",
    "icmp",
    "icmp6",
    "icmp6,icmp_type=136,icmp_code=1",
    "mpls",
    "ct_state=+trk",
    "dl_type=0x88cc",
];

/// Of fields that differ by their number only, the first and the last show all: of the others, a few texts a form.
fn is_one_of_many(field: &TextField) -> bool {
    let number = field.name().trim_start_matches(|c: char| !c.is_ascii_digit());
    field.name().contains("reg") && !matches!(number, "0" | "3" | "7" | "15")
}

fn of_field(field: &'static TextField) -> Vec<Text> {
    let mut texts = all_of_field(field);
    if is_one_of_many(field) {
        let mut counts = std::collections::HashMap::new();
        texts.retain(|t| {
            let count = counts.entry(t.form).or_insert(0);
            *count += 1;
            *count <= 7
        });
    }
    texts
}

fn all_of_field(field: &'static TextField) -> Vec<Text> {
    let (name, def) = (field.name(), field.def());
    let [first, second] = [needs(field)[0], needs(field)[1]];
    let mut texts = Vec::new();
    let mut add = |form, needs: &str, match_text: String| {
        let comma = if needs.is_empty() { "" } else { "," };
        texts.push(Text::new(format!("{needs}{comma}{match_text},actions=1"), name, form));
    };
    let values = values(field);
    let good = |i: usize| &values[i % values.len()];

    for (i, value) in values.iter().enumerate() {
        add("value", [first, second][i % 2], format!("{name}={value}"));
    }
    for (value, mask) in masks(field) {
        add("mask", first, format!("{name}={value}/{mask}"));
    }
    for text in ["=*", "", "=", ":*", "(*)", ":", "()"] {
        add("any", first, format!("{name}{text}"));
    }
    // Of numbers, each field has every other: a text that is refused costs a run of ovs-ofctl.
    let bad = bad_values(field);
    let step = if bad.len() > 10 { 2 } else { 1 };
    for value in bad.iter().skip(field.id as usize % step).step_by(step) {
        add("bad value", first, format!("{name}={value}"));
    }

    let last = field.bits - 1;
    let ones = |bits: u16| Value::ones(bits).0;
    let nibble = last.min(3);
    add("part", first, format!("{name}[]={:#x}", ones(field.bits).min(5)));
    add("part", first, format!("{name}[0..{last}]={:#x}", ones(field.bits)));
    add("part", first, format!("{name}[0..{nibble}]={}", ones(nibble + 1)));
    add("part", second, format!("{name}[{last}]=1,{name}[0]=0"));
    add("part", second, format!("{name}[{}..{last}]=0x1", last / 2));
    for oxm in field.oxm {
        add("part", first, format!("{oxm}[]={:#x}", ones(field.bits).min(3)));
        add("part", first, format!("{oxm}_W[0..{nibble}]=1"));
        add("part", first, format!("{oxm}[{last}]=0"));
    }
    let bad_parts = [
        (format!("[{}]", field.bits), "1"),
        (format!("[0..{}]", field.bits), "1"),
        ("[3..1]".to_owned(), "1"),
        ("[0".to_owned(), "1"),
        ("[x]".to_owned(), "1"),
        ("[0..0]".to_owned(), "2"),
        ("[0]".to_owned(), "x"),
        ("[0]".to_owned(), "1/1"),
        ("[0]x".to_owned(), "1"),
    ];
    // Six of the nine, other ones for each field.
    for (_, (range, value)) in bad_parts.into_iter().enumerate().filter(|(i, _)| (i + field.id as usize) % 3 < 2) {
        add("bad part", first, format!("{name}{range}={value}"));
    }

    // Names are matched exactly; how key and value are parted is up to the user.
    for alias in field.names {
        add("name", first, format!("{alias}={}", good(1)));
        add("name", second, format!("{alias}={}", good(2)));
    }
    add("name", first, format!("{}={}", name.to_uppercase(), good(0)));
    add("name", first, format!("{name}x={}", good(0)));
    add("name", first, format!("{name}:{}", good(3)));
    add("name", first, format!("{name}({})", good(4)));
    add("name", first, format!("\t{name}={} ", good(0)));
    add("name", first, format!("{name}={},,", good(1)));
    if let Some(oxm) = field.oxm.first() {
        add("name", first, format!("{oxm}={}", good(0)));
    }

    add("twice", first, format!("{name}={},{name}={}", good(0), good(1)));
    add("twice", first, format!("{name}={},{name}={}", good(2), good(2)));
    add("twice", second, format!("{name}={},{name}=*", good(1)));
    add("twice", second, format!("{name}=*,{name}={}", good(3)));
    match masks(field).first() {
        Some((value, mask)) => add("twice", first, format!("{name}={},{name}={value}/{mask}", good(0))),
        None => add("twice", first, format!("{name}={},reg3=1,{name}={}", good(1), good(4))),
    }

    for (i, state) in STATES.iter().enumerate() {
        if def.prereq != Prereq::None || i < 8 {
            add("prerequisite", state, format!("{name}={}", good(i)));
        }
    }
    // Behind what it needs, and before it.
    let needs = if first.is_empty() { String::new() } else { format!(",{first}") };
    add("beside others", "", format!("{name}={}{needs}", good(0)));
    add("beside others", "reg5=1,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00", format!("{name}={}{needs}", good(1)));
    add("beside others", "priority=7,table=3", format!("{name}={}{needs},metadata=5", good(2)));
    add("beside others", "recirc_id=1", format!("{name}={}{needs}", good(3)));
    add("beside others", "dl_vlan=7,tun_id=5,in_port=3", format!("{name}={}{needs}", good(4)));
    add("beside others", "cookie=9,ct_mark=1,pkt_mark=2/2", format!("{name}={}{needs},send_flow_rem", good(0)));
    texts
}

fn list(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

/// Values that are right.
pub(super) fn values(field: &TextField) -> Vec<String> {
    let ones = field.def().ones().0;
    match (field.form, field.def().format) {
        (Form::Tos, _) => list("0 4 252 0x20 0xB8 0100 8"),
        (Form::DlVlan, _) => list("0 1 4095 0xffff 0x64 017 100"),
        _ if field.id == FieldId::VlanVid => list("0x1000 0x1001 4101 0x1fff 5 0"),
        _ if field.id == FieldId::CtState => list("0 +trk new|trk 0x21 -inv+trk +est-new+trk 33 snat"),
        (_, Format::TcpFlags) => list("0 syn +syn-ack 0x12 fin|ack 0xfff +ns+[200]"),
        (_, Format::TunFlags) => list("oam +oam -oam 0 1 0x1"),
        (_, Format::Frag) => list("no yes first later not_later NO Later"),
        (_, Format::OfPort) => list("1 65279 LOCAL in_port 4294967294 65534 CONTROLLER none"),
        (_, Format::Mac) => list("00:00:00:00:00:00 00:11:22:33:44:55 FF:ff:Ff:fF:ff:FF 1:2:3:4:5:6 0a:0b:0c:0d:0e:0f"),
        (_, Format::Ipv4) => list("0.0.0.0 10.0.0.1 255.255.255.255 192.168.001.010 1.2.3.4"),
        (_, Format::Ipv6) => list(":: ::1 2001:DB8::1 fe80::1:2:3:4 ::ffff:1.2.3.4 1:2:3:4:5:6:7:8 0:0:0:1::"),
        (_, Format::Decimal | Format::Hex) => {
            let mut values: Vec<_> = [0, 1.min(ones), ones & 0xf, ones.min(0xff)].map(|v| v.to_string()).into();
            values.push(format!("{:#x}", ones));
            values.push(format!("0x{:X}", ones & 0xa5a5_a5a5_a5a5_a5a5_a5a5_a5a5_a5a5_a5a5));
            values.push(format!("0x000000{:x}", ones / 3));
            values.push(format!("0{:o}", ones & 0o17));
            values
        }
    }
}

/// Values with masks: right ones where the field takes them, else such that are refused.
pub(super) fn masks(field: &TextField) -> Vec<(String, String)> {
    let ones = field.def().ones().0;
    let pairs: Vec<(&str, &str)> = match field.def().format {
        _ if field.id == FieldId::CtState => {
            vec![("0x21", "0x21"), ("0", "1"), ("0xff", "0xff"), ("33", "48"), ("0x20", "0x30"), ("0x100", "0x100")]
        }
        Format::TcpFlags => {
            vec![("0x2", "0x12"), ("0", "0xfff"), ("2", "2"), ("0xfff", "1"), ("0x1000", "0x1000"), ("2", "0")]
        }
        Format::TunFlags => vec![("1", "1"), ("0", "1"), ("0x1", "0x1"), ("1", "0"), ("2", "2"), ("0", "0")],
        Format::Frag => vec![("first", "first"), ("no", "1"), ("1", "1"), ("0", "0"), ("yes", "yes")],
        Format::OfPort => vec![("1", "1"), ("1", "0xffff"), ("LOCAL", "1"), ("0", "0"), ("1", "65535")],
        Format::Mac => vec![
            ("01:00:00:00:00:00", "01:00:00:00:00:00"),
            ("00:11:22:33:44:55", "ff:ff:ff:00:00:00"),
            ("00:11:22:33:44:55", "ff:ff:ff:ff:ff:ff"),
            ("00:11:22:33:44:55", "00:00:00:00:00:00"),
            ("ff:ff:ff:ff:ff:ff", "00:00:00:00:00:0F"),
            ("00:11:22:33:44:55", "24"),
            ("00:11:22:33:44:55", "ff:ff:ff"),
        ],
        Format::Ipv4 => vec![
            ("10.1.2.3", "8"),
            ("10.1.2.3", "32"),
            ("10.1.2.3", "0"),
            ("10.1.2.3", "255.255.0.0"),
            ("10.1.2.3", "0.0.255.1"),
            ("10.1.2.3", "255.255.255.255"),
            ("10.1.2.3", "33"),
            ("10.1.2.3", "255.255"),
            ("10.1.2.3", "x"),
        ],
        Format::Ipv6 => vec![
            ("2001:db8::1", "32"),
            ("2001:db8::1", "128"),
            ("2001:db8::1", "0"),
            ("2001:db8::1", "ffff:ffff::"),
            ("2001:db8::1", "::ffff"),
            ("fe80::1", "f000::f"),
            ("2001:db8::1", "129"),
            ("2001:db8::1", "x"),
            ("2001:db8::1", ":::"),
        ],
        Format::Decimal | Format::Hex => {
            let h = |v: u128| format!("{v:#x}");
            let all = Value::ones(u16::from(field.bytes) * 8).0;
            return vec![
                ("1".to_owned(), "1".to_owned()),
                (h(ones), h(ones & 0x0f0f_0f0f_0f0f_0f0f_0f0f_0f0f_0f0f_0f0f)),
                (h(ones), h(ones ^ ones >> 1)),
                ("0".to_owned(), h(ones)),
                ("0".to_owned(), h(all)),
                (h(ones & 0x5a), "0".to_owned()),
                ("1".to_owned(), format!("{:#x}f", all)),
                ("1".to_owned(), "x".to_owned()),
            ];
        }
    };
    pairs.into_iter().map(|(v, m)| (v.to_owned(), m.to_owned())).collect()
}

/// Values that are wrong, or nearly.
fn bad_values(field: &TextField) -> Vec<String> {
    match field.def().format {
        _ if field.id == FieldId::CtState => list("+foo foo +trk+trk trk+new 0x100 +TRK ++trk +trk| 256"),
        Format::TcpFlags => list("+foo foo +syn+syn syn+ack 0x1000 +SYN syn|foo 4096"),
        Format::TunFlags => list("+foo foo +oam+oam oam+oam 2 +key +df OAM"),
        Format::Frag => list("maybe 1 0x3 first,later not-later notlater"),
        Format::OfPort => list("foo -1 0x5 65536 5/3 1x 4294967296 4294901759"),
        Format::Mac => list("zz 1:2:3:4:5 1:2:3:4:5:6:7 00-11-22-33-44-55 001122334455 1.2.3.4 00:11:22:33:44:5g ::1"),
        Format::Ipv4 => list("foo 1.2.3 1.2.3.4.5 1.2.3.4x ::1 0x1020304 1,2,3,4 -1.2.3.4"),
        Format::Ipv6 => list("foo 1.2.3.4 1:2 1:2:3:4:5:6:7:8:9 ::1::2 ::g 12345:: fe80::1%eth0 :"),
        Format::Decimal | Format::Hex => {
            let bits = u32::from(field.bytes) * 8;
            let mut bad = list("x 1x 1/ /1 1/1/1 1.5 1e3 - -1 0xg 08 +1 0x");
            bad.push(format!("0x1{}", "0".repeat(bits as usize / 4)));
            bad.push(if bits < 128 { (1u128 << bits).to_string() } else { u128::MAX.to_string() });
            // Beyond the field, within its bytes.
            if field.bits as u32 != bits {
                bad.push((1u128 << field.bits).to_string());
                bad.push(format!("{:#x}", Value::ones(bits as u16).0));
            }
            bad
        }
    }
}
