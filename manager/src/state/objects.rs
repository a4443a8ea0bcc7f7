//! What a bridge has beside ports and rules: meters, groups, tables' limits, mirrors, fixed addresses.

use std::fmt::{Display, Formatter};
use std::str::FromStr;

/// Names an object within its bridge. In the order in which objects are made after a start: each may name those before it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectKey {
    /// ovs-ofctl text.
    Meter(u32),
    /// ovs-ofctl text.
    Group(u32),
    /// An [`api::TableSet`].
    Table(u8),
    /// An [`api::Mirror`].
    Mirror(String),
    /// An [`api::FdbAdd`]: VLAN and address.
    Station(u16, String),
}

/// As the state file has it: numbers are ordered as text, too.
impl Display for ObjectKey {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            ObjectKey::Meter(id) => write!(f, "meter {id:010}"),
            ObjectKey::Group(id) => write!(f, "group {id:010}"),
            ObjectKey::Table(id) => write!(f, "table {id:03}"),
            ObjectKey::Mirror(name) => write!(f, "mirror {name}"),
            ObjectKey::Station(vlan, mac) => write!(f, "station {vlan:04} {mac}"),
        }
    }
}

impl FromStr for ObjectKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || format!("unknown kind of object `{text}`");
        let (kind, name) = text.split_once(' ').ok_or_else(unknown)?;
        fn number<T: FromStr>(text: &str) -> Result<T, String> {
            text.parse().map_err(|_| format!("`{text}` is no number"))
        }
        match kind {
            "meter" => Ok(ObjectKey::Meter(number(name)?)),
            "group" => Ok(ObjectKey::Group(number(name)?)),
            "table" => Ok(ObjectKey::Table(number(name)?)),
            "mirror" => Ok(ObjectKey::Mirror(name.to_owned())),
            "station" => {
                let (vlan, mac) = name.split_once(' ').ok_or_else(unknown)?;
                Ok(ObjectKey::Station(number(vlan)?, mac.to_owned()))
            }
            _ => Err(unknown()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_back_and_are_made_in_order() {
        let keys = [
            ObjectKey::Meter(5),
            ObjectKey::Group(7),
            ObjectKey::Group(4_294_967_040),
            ObjectKey::Table(254),
            ObjectKey::Mirror("m 1".to_owned()),
            ObjectKey::Station(10, "02:00:00:00:00:01".to_owned()),
        ];
        for key in &keys {
            assert_eq!(key.to_string().parse::<ObjectKey>().as_ref(), Ok(key));
        }
        assert!(keys.is_sorted());
        assert!("frob 1".parse::<ObjectKey>().is_err() && "group x".parse::<ObjectKey>().is_err());
    }
}
