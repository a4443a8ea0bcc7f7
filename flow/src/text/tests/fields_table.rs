//! The table of fields in the guide is made from the code: `UPDATE_DOCS=1 cargo test -p flow fields_table` writes it.

use super::corpus::differences::{DIFFERENCES, Shows};
use crate::field::{FieldId, Format, Place, Prereq};
use crate::text::names::{Form, OTHER_FIELDS, PROTOCOLS, TEXT_FIELDS, TextField};
use std::fmt::Write;
use std::path::PathBuf;

const HEAD: &str = "\
<!-- Made from the code: UPDATE_DOCS=1 cargo test -p flow fields_table -->
# Fields

What a flow can match, with the names of ovs-fields(7). A field is written `name=value`; with a mask, if the table says
that it takes one, `name=value/mask`; addresses also with a length, `nw_dst=10.0.0.0/8`; a part of it by bits,
`reg0[0..7]=5` or `NXM_NX_REG0[0..7]=5`. `name=*` is any value.

- *Needs*: what the match must say so that its packets have the field. Otherwise the field is left out with a note, as
  ovs-ofctl does it (`shuntctl` shows the note), unless the table of differences or the error says otherwise.
- *Set*: whether `set_field`, `load`, `move` and `pop` may change it.
- *Where*: in the *key* of a datapath flow, so that it is in the mask of megaflows, or in a *register* that exists only
  while a packet is translated.

";

fn needs(field: &TextField) -> String {
    match field.def().prereq {
        Prereq::None => String::new(),
        prereq if matches!(field.id, FieldId::CtTpSrc | FieldId::CtTpDst) => {
            format!("`ct_nw_proto` and {}", prereq.text())
        }
        prereq => prereq.text().to_owned(),
    }
}

/// Whether actions may change it.
fn set(field: &TextField) -> &'static str {
    match field.id {
        FieldId::CtMark | FieldId::CtLabel => "in `ct(exec(...))`",
        FieldId::InPortOxm => "by `load`",
        _ if field.def().writable && !matches!(field.form, Form::DlVlan | Form::DlVlanPcp) => "yes",
        _ => "no",
    }
}

/// How values are written.
fn values(field: &TextField) -> &'static str {
    match (field.form, field.def().format) {
        (Form::Tos, _) => "multiple of 4",
        (Form::DlVlan, _) => "number, or 0xffff for no tag",
        _ if field.id == FieldId::CtState => "`+trk-inv`, `new\\|trk`",
        (_, Format::TcpFlags) => "`+syn-ack`, `syn\\|ack`",
        (_, Format::TunFlags) => "`+oam`, `-oam`",
        (_, Format::Frag) => "`no`, `yes`, `first`, `later`, `not_later`",
        (_, Format::OfPort) => "port: number, name, `LOCAL` ...",
        (_, Format::Mac) => "MAC address",
        (_, Format::Ipv4) => "IPv4 address",
        (_, Format::Ipv6) => "IPv6 address",
        (_, Format::Decimal | Format::Hex) => "number",
    }
}

fn code<'a>(names: impl IntoIterator<Item = &'a &'a str>) -> String {
    names.into_iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")
}

fn table() -> String {
    let mut out = HEAD.to_owned();
    out.push_str("| field | other names | NXM, OXM | values | bits | mask | needs | set | where |\n");
    out.push_str("|---|---|---|---|---|---|---|---|---|\n");
    for field in TEXT_FIELDS {
        let def = field.def();
        let place = match def.place {
            Place::Key { .. } => "key",
            Place::Registers { .. } => "register",
        };
        let yes = |is| if is { "yes" } else { "no" };
        let plain = field.form == Form::Plain;
        let row = [
            format!("`{}`", field.name()),
            code(&field.names[1..]),
            code(field.oxm),
            values(field).to_owned(),
            field.bits.to_string(),
            yes(def.maskable && plain && !matches!(def.format, Format::Frag)).to_owned(),
            needs(field),
            set(field).to_owned(),
            place.to_owned(),
        ];
        let _ = writeln!(out, "| {} |", row.join(" | "));
    }
    out.push_str("\n## Shorthands\n\n| name | the same as |\n|---|---|\n");
    for (name, eth_type, proto) in PROTOCOLS {
        let _ = match proto {
            0 => writeln!(out, "| `{name}` | `eth_type={eth_type:#06x}` |"),
            _ => writeln!(out, "| `{name}` | `eth_type={eth_type:#06x},nw_proto={proto}` |"),
        };
    }
    out.push_str("| `eth` | nothing: every packet is Ethernet |\n");
    out.push_str("\n## Not supported yet\n\nRefused by name: ");
    out.push_str(&OTHER_FIELDS.map(|name| format!("`{}`", name.replace('<', "<N>"))).join(", "));
    out.push_str(".\n\n## Where it differs from ovs-ofctl\n\n");
    out.push_str("Held against ovs-ofctl 3.1.0 with thousands of texts. Of matches and of changes of fields there are no other\ndifferences.\n\n");
    out.push_str("| what | here | why |\n|---|---|---|\n");
    for difference in DIFFERENCES {
        let here = match difference.shows {
            Shows::NotSupported => "not supported yet",
            Shows::Refused => "refused",
            Shows::Taken => "taken",
            Shows::Printed(_) | Shows::Cut => "printed otherwise",
        };
        let _ = writeln!(out, "| {} | {here} | {} |", difference.what, difference.reason);
    }
    out
}

#[test]
fn fields_table_of_the_guide_is_that_of_the_code() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/guide/fields-table.md");
    let table = table();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == table, "{} is stale: UPDATE_DOCS=1 cargo test -p flow fields_table", path.display());
}
