//! `shuntctl offload capabilities`.

use crate::output::table;
use api::{CapabilityRow, OffloadCapabilities};

/// Width of a line.
const WIDTH: usize = 100;
/// Width of the names in one row.
const NAMES: usize = 40;

pub fn text(c: &OffloadCapabilities) -> String {
    let head = format!("port {}: {} ({})", c.port, c.device, c.profile);
    if c.groups.is_empty() {
        return format!("{head}\nno hardware rules{}", asked(c));
    }
    let parts = [("match", &c.fields, "not matched"), ("action", &c.actions, "not done")];
    let parts = parts.map(|(what, rows, nowhere)| part(c, what, rows, nowhere));
    let limits = table(["limit", "value"], c.limits.iter().map(|l| [l.name.clone(), l.value.to_string()]));
    format!("{head}\n\n{}\n\n{limits}{}", parts.join("\n\n"), asked(c))
}

/// What a file said, what another start of the port would give, and what the device denied.
fn asked(c: &OffloadCapabilities) -> String {
    let mut out = c.file.as_ref().map_or_else(String::new, |file| format!("\n\nwith capability file {file}"));
    if !c.needs.is_empty() {
        let rows = c.needs.iter().map(|need| [need.what.clone(), need.devargs.clone()]);
        let advice: Vec<&str> = c.needs.iter().map(|need| need.advice.as_str()).collect();
        let needs = table(["needs a port restart", "with devargs"], rows);
        out.push_str(&format!("\n\n{needs}\n{}", advice.join("\n")));
    }
    if !c.denied.is_empty() {
        let rows = c.denied.iter().map(|d| [d.claim.clone(), d.why.clone()]);
        out.push_str(&format!("\n\n{}", table(["claimed, and denied", "the device said"], rows)));
    }
    if c.refused_shapes > 0 {
        out.push_str("\n\nrefused since, with whatever values (0 stands for them), and not tried again");
        let line = |r: &api::CapabilityRefused| format!("\n  {}\n      the device said: {}", r.rule, r.why);
        out.extend(c.refused.iter().map(line));
        match c.refused_shapes - c.refused.len().min(c.refused_shapes) {
            0 => {}
            more => out.push_str(&format!("\n  and {more} more")),
        }
    }
    out
}

/// Rows that say the same are one line; those that no group can do are a list.
fn part(c: &OffloadCapabilities, what: &str, rows: &[CapabilityRow], nowhere: &str) -> String {
    let can = |row: &&CapabilityRow| row.groups.iter().any(|g| g != "-");
    let mut lines: Vec<Vec<String>> = Vec::new();
    for row in rows.iter().filter(can) {
        match lines.last_mut() {
            Some(last) if last[1..] == row.groups[..] && last[0].len() + row.name.len() + 2 <= NAMES => {
                last[0].push_str(&format!(", {}", row.name));
            }
            _ => lines.push([std::slice::from_ref(&row.name), &row.groups[..]].concat()),
        }
    }
    let cannot: Vec<&str> = rows.iter().filter(|r| !can(r)).map(|r| r.name.as_str()).collect();
    let head: Vec<String> = c
        .groups
        .iter()
        .map(|g| if g.name.ends_with(')') { g.name.clone() } else { format!("{} ({})", g.name, g.handles) })
        .collect();
    let at = |cells: &[String], i: usize| cells.get(i).cloned().unwrap_or_default();
    let shown = match head.len() {
        1 => table([what, &head[0]], lines.iter().map(|l| [at(l, 0), at(l, 1)])),
        2 => table([what, &head[0], &head[1]], lines.iter().map(|l| [at(l, 0), at(l, 1), at(l, 2)])),
        _ => {
            let more = |l: &Vec<String>| [at(l, 0), at(l, 1), at(l, 2), l.get(3..).unwrap_or_default().join(", ")];
            table([what, &head[0], &head[1], &head[2..].join(", ")], lines.iter().map(more))
        }
    };
    if cannot.is_empty() { shown } else { format!("{shown}\n{}", wrap(&format!("{nowhere}: "), &cannot)) }
}

/// A list in lines of at most [`WIDTH`].
fn wrap(head: &str, words: &[&str]) -> String {
    let (mut lines, mut line) = (Vec::new(), head.to_owned());
    for (i, word) in words.iter().enumerate() {
        let word = if i + 1 == words.len() { (*word).to_owned() } else { format!("{word}, ") };
        if line.len() + word.trim_end().len() > WIDTH {
            lines.push(std::mem::replace(&mut line, "  ".to_owned()).trim_end().to_owned());
        }
        line.push_str(&word);
    }
    lines.push(line);
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::CapabilityNeed;

    #[test]
    fn what_needs_a_restart_is_said_with_its_devargs() {
        let mut capabilities = OffloadCapabilities { port: "p0".into(), ..OffloadCapabilities::default() };
        assert!(!text(&capabilities).contains("restart"));
        let need = |what: &str, devargs: &str| CapabilityNeed {
            what: what.into(),
            devargs: devargs.into(),
            advice: format!("{what} needs port p0 to be probed with {devargs}"),
        };
        capabilities.needs =
            vec![need("the template engine", "dv_flow_en=2"), need("marking in the embedded switch", "dv_xmeta_en=1")];
        let text = text(&capabilities);
        let lines: Vec<Vec<&str>> =
            text.lines().skip(3).map(|line| line.split("  ").map(str::trim).collect()).collect();
        assert_eq!(lines[0].first().zip(lines[0].last()), Some((&"needs a port restart", &"with devargs")), "{text}");
        assert_eq!(lines[1].first().zip(lines[1].last()), Some((&"the template engine", &"dv_flow_en=2")), "{text}");
        assert!(
            text.ends_with("\nmarking in the embedded switch needs port p0 to be probed with dv_xmeta_en=1"),
            "{text}"
        );
    }

    #[test]
    fn lists_stay_within_the_width() {
        let words: Vec<String> = (0..60).map(|n| format!("word{n}")).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let text = wrap("not matched: ", &words);
        assert!(text.lines().all(|l| l.len() <= WIDTH) && text.lines().count() > 3, "{text}");
        assert!(text.ends_with("word58, word59"));
    }
}
