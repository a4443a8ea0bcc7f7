//! Each action that is read, with no, simple and wrong arguments.

use super::Text;
use crate::text::actions::names::ACTIONS;

/// Every action in every form.
pub fn texts() -> Vec<Text> {
    ACTIONS.iter().flat_map(|name| of_action(name)).collect()
}

fn of_action(name: &str) -> Vec<Text> {
    let text = |needs: &str, action: String| Text::new(format!("{needs},actions={action}"), name, "each");
    vec![
        text("", name.to_owned()),
        text("ip", name.to_uppercase()),
        text("tcp", format!("{name}:1")),
        text("dl_vlan=5", format!("{name}()")),
        text("udp6", format!("{name}(1)")),
        text("dl_vlan=5,ip", format!("2,{name}")),
        text("ip", format!("{name}=4")),
        text("sctp,vlan_tci=0x1005/0x1fff", format!("{name}(x)")),
        text("arp", format!("{name}:0x10,3")),
    ]
}
