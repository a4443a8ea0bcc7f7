//! Keys and values: `key`, `key=value`, `key:value`, `key(value)`, separated by commas and white space.

const SEPARATORS: &[u8] = b", \t\r\n";

/// The rest of a text that is split into keys and values, as OVS splits it.
#[derive(Debug)]
pub(super) struct Pairs<'a>(pub &'a str);

impl<'a> Iterator for Pairs<'a> {
    /// Key and value; the value is empty when there is none.
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<(&'a str, &'a str)> {
        let rest = self.0.trim_start_matches(|c: char| u8::try_from(c).is_ok_and(|b| SEPARATORS.contains(&b)));
        if rest.is_empty() {
            self.0 = rest;
            return None;
        }
        let (key, delimiter, rest) = cut(rest, find(rest, b":=(, \t\r\n"));
        let ends: &[u8] = match delimiter {
            Some(b':' | b'=') => SEPARATORS,
            Some(b'(') => b")",
            _ => {
                self.0 = rest;
                return Some((key, ""));
            }
        };
        let mut end = value_end(rest, ends);
        // The form `key(x)->y`: the value is `x)->y`.
        if delimiter == Some(b'(') && rest[end..].starts_with(")->") {
            end += value_end(&rest[end..], SEPARATORS);
        }
        let (value, _, rest) = cut(rest, end);
        self.0 = rest;
        Some((key, value))
    }
}

/// Position of the first of `any`, or the end.
fn find(text: &str, any: &[u8]) -> usize {
    text.bytes().position(|b| any.contains(&b)).unwrap_or(text.len())
}

/// What is before the ASCII character at `at`, that character, and what is behind it.
fn cut(text: &str, at: usize) -> (&str, Option<u8>, &str) {
    let behind = if at < text.len() { at + 1 } else { at };
    (&text[..at], text.as_bytes().get(at).copied(), &text[behind..])
}

/// Where a value ends: at one of `ends` outside parentheses, or with the text.
fn value_end(text: &str, ends: &[u8]) -> usize {
    let mut depth = 0usize;
    for (at, b) in text.bytes().enumerate() {
        match b {
            b'(' => depth += 1,
            b')' if depth > 0 => depth -= 1,
            _ if depth == 0 && ends.contains(&b) => return at,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(&str, &str)> {
        Pairs(text).collect()
    }

    #[test]
    fn splits_keys_and_values() {
        assert_eq!(pairs("a,b=1 c:2\t d(3,4),"), [("a", ""), ("b", "1"), ("c", "2"), ("d", "3,4")]);
        assert_eq!(pairs("load(1)->x,y"), [("load", "1)->x"), ("y", "")]);
        assert_eq!(pairs("a=f(1,2),b"), [("a", "f(1,2)"), ("b", "")]);
        assert_eq!(pairs("a(b(c)d)e"), [("a", "b(c)d"), ("e", "")]);
        assert_eq!(pairs("a(b"), [("a", "b")]);
        assert_eq!(pairs("ä=ö,ü"), [("ä", "ö"), ("ü", "")]);
        assert_eq!(pairs(" , "), []);
    }
}
