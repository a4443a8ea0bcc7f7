//! Changes in words, as iproute2's arguments.

use std::fmt;

/// A row of `name value` pairs.
#[derive(Debug, Default)]
pub(crate) struct Words(String);

impl Words {
    /// Appends a pair when there is a value.
    pub(crate) fn put(&mut self, name: &str, value: Option<impl fmt::Display>) -> &mut Self {
        if let Some(value) = value {
            if !self.0.is_empty() {
                self.0.push(' ');
            }
            self.0 += &format!("{name} {value}");
        }
        self
    }

    /// Appends a switch that is on or off.
    pub(crate) fn put_switch(&mut self, name: &str, on: Option<bool>) -> &mut Self {
        self.put(name, on.map(|on| if on { "enable" } else { "disable" }))
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
