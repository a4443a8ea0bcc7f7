//! What must hold for any text as a group or a meter. Shared by the fuzz target and the replay of its findings. Panics
//! when something does not hold.

use flow::OfPort;
use flow::text::{
    GroupCommand, format_group, format_meter, parse_group, parse_group_mod, parse_groups, parse_meter, parse_meter_id,
};

/// Check everything on one text.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let ports = |name: &str| (name == "vf0").then_some(OfPort(7));

    let _ = parse_groups(text, &ports);
    let _ = parse_meter_id(text);
    for command in
        [GroupCommand::Modify, GroupCommand::Delete, GroupCommand::InsertBuckets, GroupCommand::RemoveBuckets]
    {
        let _ = parse_group_mod(command, text, &ports);
    }
    match parse_group(text, &ports) {
        Err(refusal) => assert!(!refusal.to_string().contains('\n')),
        Ok(group) => {
            assert_eq!(group.check(), Ok(()));
            let line = format_group(&group);
            assert!(!line.contains('\n'));
            let again = parse_group(&line, &ports);
            assert_eq!(again.as_ref().ok(), Some(&group), "{line:?} read again: {again:?}");
        }
    }
    match parse_meter(text) {
        Err(refusal) => assert!(!refusal.to_string().contains('\n')),
        Ok(meter) => {
            assert_eq!(meter.check(), Ok(()));
            let lines = format_meter(&meter);
            let again = parse_meter(&lines);
            assert_eq!(again.as_ref().ok(), Some(&meter), "{lines:?} read again: {again:?}");
        }
    }
}
