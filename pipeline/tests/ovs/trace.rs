//! What `ofproto/trace` prints (ovs-vswitchd(8)), taken apart.

/// One pass of a packet through the tables. A packet that is recirculated has several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pass {
    /// Table and cookie of the rules hit, in order; `None`: no rule matched.
    pub hits: Vec<(u8, Option<u64>)>,
    pub megaflow: String,
    pub actions: Vec<Item>,
    /// The line that `actions` is from.
    pub text: String,
    /// Why the translation was given up.
    pub error: Option<String>,
    /// What the switch has to say of why the packet stays in user space.
    pub slow: Vec<String>,
    /// Whether NORMAL was executed.
    pub normal: bool,
    /// Rules that `learn` would make, in words of its own.
    pub learned: Vec<String>,
    /// Whether a group chose one of its buckets.
    pub chose: bool,
}

/// `name` or `name(args)`, as in `set(eth(src=02:00:00:00:00:01))`; a number alone is an output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Item {
    pub name: String,
    pub args: Vec<Item>,
}

impl Item {
    /// `key` and `value` of an item written `key=value`.
    pub fn pair(&self) -> (&str, &str) {
        self.name.split_once('=').unwrap_or((&self.name, ""))
    }

    /// The argument with this name, with or without a value.
    pub fn arg(&self, key: &str) -> Option<&Item> {
        self.args.iter().find(|a| a.pair().0 == key)
    }
}

/// Read a list of items, to its end or to the parenthesis that closes it.
pub fn items(text: &mut &str) -> Vec<Item> {
    let mut list = Vec::new();
    loop {
        let end = text.find(['(', ')', ',']).unwrap_or(text.len());
        let mut item = Item { name: text[..end].trim().to_owned(), args: Vec::new() };
        *text = &text[end..];
        if let Some(rest) = text.strip_prefix('(') {
            *text = rest;
            item.args = items(text);
            *text = text.strip_prefix(')').unwrap_or_else(|| panic!("no `)` at {text:?}"));
        }
        if !item.name.is_empty() || !item.args.is_empty() {
            list.push(item);
        }
        match text.strip_prefix(',') {
            Some(rest) => *text = rest,
            None => return list,
        }
    }
}

/// Take the answer of one `ofproto/trace` apart.
pub fn parse(text: &str) -> Vec<Pass> {
    let mut passes = Vec::new();
    let mut pass = Pass::default();
    let mut seen_actions = false;
    for line in text.lines() {
        let line = line.trim_end();
        if line.starts_with("Flow: ") {
            if seen_actions {
                passes.push(std::mem::take(&mut pass));
                seen_actions = false;
            }
        } else if let Some(megaflow) = line.strip_prefix("Megaflow: ") {
            pass.megaflow = megaflow.to_owned();
        } else if let Some(actions) = line.strip_prefix("Datapath actions: ") {
            pass.text = actions.to_owned();
            pass.actions = items(&mut &*actions);
            seen_actions = true;
        } else if let Some(rest) = line.strip_prefix("Translation failed (") {
            pass.error = Some(rest.split(')').next().unwrap_or_default().to_owned());
        } else if let Some(reason) = line.strip_prefix("  - ") {
            pass.slow.push(reason.to_owned());
        } else if let Some(rule) = line.trim_start().strip_prefix("-> table=") {
            pass.learned.push(format!("table={rule}"));
        } else if line.contains("-> using bucket ") {
            pass.chose = true;
        } else if line.trim() == "NORMAL" {
            pass.normal = true;
        } else if let Some(hit) = hit(line) {
            pass.hits.push(hit);
        }
    }
    assert!(seen_actions, "no datapath actions in {text:?}");
    passes.push(pass);
    passes
}

/// ` 0. in_port=1, priority 32768, cookie 0x5`, at any depth; ` 1. No match.`
fn hit(line: &str) -> Option<(u8, Option<u64>)> {
    let (table, rule) = line.trim_start().split_once(". ")?;
    let table = table.parse().ok()?;
    if rule == "No match." {
        return Some((table, None));
    }
    // Other lines do not begin with a number and a full stop. A miss in a second bridge is shown as a hidden rule: all of
    // ours have cookies, that one has none.
    rule.contains("priority ").then_some(())?;
    let Some((_, cookie)) = rule.split_once(", cookie 0x") else { return Some((table, None)) };
    Some((table, u64::from_str_radix(cookie.trim(), 16).ok()))
}

#[test]
fn traces_are_taken_apart() {
    let text = "Flow: tcp,in_port=1\n\nbridge(\"br0\")\n-------------\n 0. in_port=1, priority 7, cookie 0x1f\n    goto_table:3\n\
                 3. No match.\n            drop\n\nFinal flow: unchanged\nMegaflow: recirc_id=0,eth,ip,in_port=1,nw_frag=no\n\
                Datapath actions: set(eth(src=02:00:00:00:00:01)),clone(push_vlan(vid=5,pcp=0),2),userspace(pid=0,slow_path(action))\n\
                This flow is handled by the userspace slow path because it:\n  - Uses action(s) not supported by datapath.\n";
    let passes = parse(text);
    assert_eq!(passes.len(), 1);
    assert_eq!(passes[0].hits, [(0, Some(0x1f)), (3, None)]);
    assert_eq!(passes[0].slow, ["Uses action(s) not supported by datapath."]);
    let names: Vec<&str> = passes[0].actions.iter().map(|a| a.name.as_str()).collect();
    assert_eq!(names, ["set", "clone", "userspace"]);
    assert_eq!(passes[0].actions[0].args[0].args[0].pair(), ("src", "02:00:00:00:00:01"));
    assert_eq!(passes[0].actions[1].args[1].name, "2");
}
