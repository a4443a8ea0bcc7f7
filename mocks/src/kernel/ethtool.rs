//! Features of network devices as ethtool's netlink answers: one of them, `hw-tc-offload`, and one that is fixed.

use super::{
    model::{Host, Netdev},
    wire::{
        EBUSY, EINVAL, ENODEV, EOPNOTSUPP, Refusal, Reply, attrs, find, put, put_nested, put_str, put_u32, refuse,
        text, u32_of,
    },
};

/// What this kernel gave ethtool.
pub(super) const ETHTOOL_ID: u16 = 0x1c;
const FEATURES_GET: u8 = 11;
const FEATURES_SET: u8 = 12;
/// `ETHTOOL_FLAG_COMPACT_BITSETS`.
const COMPACT: u32 = 1;
const OFFLOAD: &str = "hw-tc-offload";
const FIXED: &str = "highdma";

pub(super) fn is_set(payload: &[u8]) -> bool {
    payload.first() == Some(&FEATURES_SET)
}

pub(super) fn handle(
    host: &mut Host,
    journal: &mut Vec<String>,
    payload: &[u8],
    dump: bool,
) -> Result<Vec<Reply>, Refusal> {
    let (Some(&cmd), Some(body)) = (payload.first(), payload.get(4..)) else { return Err(refuse(EINVAL)) };
    let all = attrs(body)?;
    let header = attrs(find(&all, 1).ok_or_else(|| refuse(EINVAL))?)?;
    let compact = find(&header, 3).map(u32_of).transpose()?.is_some_and(|flags| flags & COMPACT != 0);
    if dump && cmd == FEATURES_GET {
        return Ok(host.netdevs.values().map(|dev| features(dev, compact)).collect());
    }
    let ifindex = u32_of(find(&header, 1).ok_or_else(|| refuse(EINVAL))?)?;
    let rules = host.nics.iter().any(|n| n.uplink == ifindex && n.profile.refuses_offload_off());
    let dev = host.netdevs.get_mut(&ifindex).ok_or_else(|| refuse(ENODEV))?;
    match cmd {
        FEATURES_GET => Ok(vec![features(dev, compact)]),
        FEATURES_SET => {
            let wanted = attrs(find(&all, 3).ok_or_else(|| refuse(EINVAL))?)?;
            for (_, bit) in attrs(find(&wanted, 3).ok_or_else(|| refuse(EINVAL))?)? {
                let bit = attrs(bit)?;
                let name = text(find(&bit, 2).ok_or_else(|| refuse(EINVAL))?)?;
                let on = find(&bit, 3).is_some();
                match name {
                    OFFLOAD if dev.can_tc_offload => {
                        if rules && !on && dev.qdiscs.contains(&"clsact") {
                            return Err((EBUSY, "Offloaded tc filters active".to_owned()));
                        }
                        dev.tc_offload = on;
                        journal.push(format!("feature {ifindex} {OFFLOAD} {on}"));
                    }
                    // A fixed feature: acknowledged, and not done.
                    OFFLOAD | FIXED => {}
                    _ => return Err((EINVAL, "bit name not found".to_owned())),
                }
            }
            host.touch(ifindex);
            Ok(Vec::new())
        }
        _ => Err(refuse(EOPNOTSUPP)),
    }
}

/// The answer about one device: the hardware's bits with a mask of all, the others as lists without one.
fn features(dev: &Netdev, compact: bool) -> Reply {
    let mut active = vec![FIXED];
    active.extend(dev.tc_offload.then_some(OFFLOAD));
    let changeable: &[&str] = if dev.can_tc_offload { &[OFFLOAD] } else { &[] };
    let mut body = vec![FEATURES_GET, 1, 0, 0];
    let mut about = Vec::new();
    put_u32(&mut about, 1, dev.ifindex);
    put_str(&mut about, 2, &dev.name);
    put_nested(&mut body, 1, &about);
    if compact {
        put_nested(&mut body, 2, &words(changeable, true));
        put_nested(&mut body, 4, &words(&active, false));
        put_nested(&mut body, 5, &words(&[FIXED], false));
    } else {
        put_nested(&mut body, 2, &bits(&[OFFLOAD, FIXED], changeable, true));
        put_nested(&mut body, 4, &bits(&active, &active, false));
        put_nested(&mut body, 5, &bits(&[FIXED], &[FIXED], false));
    }
    Reply { kind: ETHTOOL_ID, payload: body }
}

fn bit(name: &str) -> u32 {
    u32::from(name == OFFLOAD) * 46
}

/// A compact bit set: words of 32 bits.
fn words(set: &[&str], mask: bool) -> Vec<u8> {
    let value = set.iter().fold(0u64, |all, name| all | 1 << bit(name));
    let words = |bits: u64| {
        bits.to_le_bytes()
            .chunks(4)
            .flat_map(|w| {
                let word = w.iter().rev().fold(0u32, |all, b| all << 8 | u32::from(*b));
                word.to_ne_bytes()
            })
            .collect::<Vec<u8>>()
    };
    let mut all = Vec::new();
    if !mask {
        put(&mut all, 1, &[]);
    }
    put_u32(&mut all, 2, 64);
    put(&mut all, 4, &words(value));
    if mask {
        put(&mut all, 5, &words(u64::MAX));
    }
    all
}

/// A verbose bit set.
fn bits(listed: &[&str], set: &[&str], mask: bool) -> Vec<u8> {
    let (mut list, mut all) = (Vec::new(), Vec::new());
    for name in listed {
        let mut bit = Vec::new();
        put_u32(&mut bit, 1, self::bit(name));
        put_str(&mut bit, 2, name);
        if mask && set.contains(name) {
            put(&mut bit, 3, &[]);
        }
        put_nested(&mut list, 1, &bit);
    }
    if !mask {
        put(&mut all, 1, &[]);
    }
    put_u32(&mut all, 2, 64);
    put_nested(&mut all, 3, &list);
    all
}
