//! The commands of docs/guide/offload-commands.md, run: what the page shows is what they print.
//!
//! In the page, blocks of `console` are one session on one switch. `<!-- send END FROM TO PORT TIMES -->` before a block is the
//! traffic that came meanwhile: UDP from station FROM to station TO with that source port, so many times, in at outside END
//! (0: the wire). `UPDATE_GUIDE=1 cargo test -p hw-tests --test guide_offload` writes the page anew.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use hw_tests::Rig;
use hw_tests::frames::udp;
use std::path::Path;

const PAGE: &str = "../docs/guide/offload-commands.md";

/// Words as a shell would make them of a line; quotes are single ones.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted, mut any) = (Vec::new(), String::new(), false, false);
    for c in line.chars() {
        match c {
            '\'' => (quoted, any) = (!quoted, true),
            ' ' if !quoted => {
                if any {
                    words.push(std::mem::take(&mut word));
                }
                any = false;
            }
            c => {
                word.push(c);
                any = true;
            }
        }
    }
    if any {
        words.push(word);
    }
    words
}

/// The page as it should be.
fn played(page: &str) -> String {
    let rig = Rig::start("connectx,vfs=2,lockstep").unwrap();
    let (mut out, mut lines, mut now) = (String::new(), page.lines().peekable(), 0);
    while let Some(line) = lines.next() {
        out.push_str(line);
        out.push('\n');
        if let Some(said) = line.strip_prefix("<!-- send ") {
            let numbers: Vec<u64> = said.split(' ').map_while(|word| word.parse().ok()).collect();
            let [end, from, to, port, times] = numbers[..] else { panic!("{line}") };
            for _ in 0..times {
                now += 1;
                rig.pass(end as usize, now, &[udp(from as u8, to as u8, port as u16)]).unwrap();
            }
        }
        if line != "```console" {
            continue;
        }
        for line in lines.by_ref() {
            let Some(command) = line.strip_prefix("$ ") else {
                if line == "```" {
                    out.push_str("```\n");
                    break;
                }
                continue;
            };
            let command = command.split(" # ").next().unwrap().trim();
            let words = words(command);
            assert_eq!(words[0], "shuntctl", "{line}");
            let args: Vec<&str> = words[1..].iter().map(String::as_str).collect();
            let done = rig.ctl(&args).unwrap();
            let printed = format!("{}{}", done.stdout, done.stderr);
            out.push_str(line);
            out.push('\n');
            out.push_str(printed.trim_end());
            if !printed.trim().is_empty() {
                out.push('\n');
            }
        }
    }
    out
}

#[test]
fn the_page_shows_what_the_commands_print() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = std::fs::read_to_string(&path).unwrap();
    let played = played(&page);
    if std::env::var_os("UPDATE_GUIDE").is_some() {
        std::fs::write(&path, &played).unwrap();
        return;
    }
    for (n, (have, want)) in page.lines().zip(played.lines()).enumerate() {
        assert_eq!(have, want, "{PAGE}:{}: run with UPDATE_GUIDE=1 to write it anew", n + 1);
    }
    assert_eq!(page.lines().count(), played.lines().count());
}
