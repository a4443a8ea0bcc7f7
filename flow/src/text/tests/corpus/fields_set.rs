//! Each field of the table as what actions change and read, in each form, right and wrong.

use super::Text;
use super::fields_forms::{STATES, masks, needs, values};
use crate::text::names::{TEXT_FIELDS, TextField};
use crate::value::Value;

/// Every field in every form.
pub fn texts() -> Vec<Text> {
    TEXT_FIELDS.iter().filter(|f| !is_one_of_many(f)).flat_map(of_field).collect()
}

/// Of fields that differ by their number only, a few are tried.
fn is_one_of_many(field: &TextField) -> bool {
    let number = field.name().trim_start_matches(|c: char| !c.is_ascii_digit());
    field.name().contains("reg") && !matches!(number, "0" | "3" | "15")
}

fn of_field(field: &'static TextField) -> Vec<Text> {
    let (name, bits) = (field.name(), field.bits);
    let [first, second] = [needs(field)[0], needs(field)[1]];
    let mut texts = Vec::new();
    let mut add = |form, needs: &str, action: String| {
        texts.push(Text::new(format!("{needs},actions={action}"), name, form));
    };
    let good = values(field);
    for (i, value) in good.iter().enumerate() {
        add("set_field", [first, second][i % 2], format!("set_field:{value}->{name}"));
    }
    for (value, mask) in masks(field).iter().take(5) {
        add("set_field", first, format!("set_field:{value}/{mask}->{name}"));
    }
    for alias in &field.names[1..] {
        add("set_field", first, format!("set_field:{}->{alias}", good[1]));
    }
    add("set_field", first, format!("set_field:*->{name}"));
    add("set_field", first, format!("set_field:x->{name}"));
    add("set_field", first, format!("set_field:{}->{name}[]", good[0]));
    for state in STATES.iter().skip(field.id as usize % 2).step_by(2) {
        add("set_field", state, format!("set_field:{}->{name}", good[1]));
    }

    let last = bits - 1;
    let ones = Value::ones(bits).0;
    let some = ones & 0x5a5a_5a5a_5a5a_5a5a;
    add("load", first, format!("load:0->{name}[]"));
    add("load", second, format!("load:{some:#x}->{name}"));
    add("load", first, format!("load:1->{name}[0]"));
    add("load", first, format!("load:1->{name}[{last}]"));
    add("load", first, format!("load:{:#x}->{name}[0..{last}]", ones & u128::from(u64::MAX)));
    add("load", first, format!("load:1->{name}[{}..{last}]", last / 2));
    add("load", first, format!("load:1->{name}[0..{bits}]"));
    add("load", first, format!("load:0x10000000000000000->{name}[]"));
    for oxm in field.oxm {
        add("load", first, format!("load:{some:#x}->{oxm}[]"));
        add("load", second, format!("load:1->{oxm}[0..{}]", last.min(1)));
    }
    add("load", "", format!("load:1->{name}[]"));
    add("load", "arp", format!("load:0->{name}[0]"));

    add("move", first, format!("move:{name}[]->xxreg1[0..{last}]"));
    add("move", second, format!("move:xxreg2[0..{last}]->{name}[]"));
    add("move", first, format!("move:{name}[0]->reg0[5]"));
    add("move", first, format!("move:reg0[5]->{name}[{last}]"));
    add("move", "", format!("move:{name}[0]->reg0[0]"));
    add("move", "", format!("move:reg0[0]->{name}[0]"));
    if bits > 1 {
        add("move", first, format!("move:{name}[1..{last}]->{name}[0..{}]", last - 1));
    }
    add("stack", first, format!("push:{name}[]"));
    add("stack", second, format!("pop:{name}[0..{last}]"));
    add("stack", first, format!("push:{name}[{last}],pop:reg0[{}]", last.min(31)));
    add("stack", "", format!("push:{name}"));
    add("stack", "mpls", format!("pop:{name}"));
    texts
}
