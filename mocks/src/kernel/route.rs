//! rtnetlink links as the kernel answers them.

use super::{
    fault::Op,
    model::{Host, Netdev},
    wire::{
        EINVAL, ENODEV, EOPNOTSUPP, Refusal, Reply, Request, attrs, find, message, put, put_str, put_u32, refuse,
        u32_of,
    },
};

pub(super) const GROUP_LINK: u32 = 1;

const NEWLINK: u16 = 16;
const DELLINK: u16 = 17;
const GETLINK: u16 = 18;
const SETLINK: u16 = 19;
const IFINFO: usize = 16;
const ARPHRD_ETHER: u16 = 1;
const UP: u32 = 1;

pub(super) fn op(request: &Request<'_>) -> Option<Op> {
    match request.kind {
        GETLINK => Some(Op::LinkGet),
        SETLINK | NEWLINK => Some(Op::LinkSet),
        _ => None,
    }
}

pub(super) fn handle(host: &mut Host, journal: &mut Vec<String>, request: &Request<'_>) -> Result<Vec<Reply>, Refusal> {
    if request.is_dump() {
        return Ok(host.netdevs.values().map(|dev| Reply { kind: NEWLINK, payload: payload(dev) }).collect());
    }
    let (Some(header), Some(body)) = (request.payload.get(..IFINFO), request.payload.get(IFINFO..)) else {
        return Err(refuse(EINVAL));
    };
    let word = |at: usize| u32_of(&header[at..at + 4]);
    let (ifindex, flags, change) = (word(4)?, word(8)?, word(12)?);
    let attrs = attrs(body)?;
    let dev = host.netdevs.get_mut(&ifindex).ok_or_else(|| refuse(ENODEV))?;
    match request.kind {
        GETLINK => Ok(vec![Reply { kind: NEWLINK, payload: payload(dev) }]),
        SETLINK => {
            if let Some(mtu) = find(&attrs, 4) {
                let mtu = u32_of(mtu)?;
                if !(68..=9978).contains(&mtu) {
                    let text =
                        if mtu < 68 { "mtu less than device minimum" } else { "mtu greater than device maximum" };
                    return Err((EINVAL, text.to_owned()));
                }
                dev.mtu = mtu;
                journal.push(format!("link {ifindex} mtu {mtu}"));
            }
            if change & UP != 0 {
                dev.up = flags & UP != 0;
                journal.push(format!("link {ifindex} {}", if dev.up { "up" } else { "down" }));
            }
            host.touch(ifindex);
            Ok(Vec::new())
        }
        _ => Err(refuse(EOPNOTSUPP)),
    }
}

/// The multicast message about a device.
pub(super) fn event(gone: bool, dev: &Netdev) -> Vec<u8> {
    message(if gone { DELLINK } else { NEWLINK }, 0, 0, &payload(dev))
}

fn payload(dev: &Netdev) -> Vec<u8> {
    let mut bytes = vec![0, 0];
    bytes.extend(ARPHRD_ETHER.to_ne_bytes());
    bytes.extend(dev.ifindex.to_ne_bytes());
    // BROADCAST | MULTICAST, and when up: UP | RUNNING | LOWER_UP
    let flags: u32 = 0x1002 | if dev.up { 0x1_0041 } else { 0 };
    bytes.extend(flags.to_ne_bytes());
    bytes.extend([0; 4]);
    put_str(&mut bytes, 3, &dev.name);
    put_u32(&mut bytes, 13, 1000);
    put(&mut bytes, 16, &[if dev.up { 6 } else { 2 }]);
    put_u32(&mut bytes, 4, dev.mtu);
    put(&mut bytes, 33, &[u8::from(dev.up)]);
    put(&mut bytes, 1, &dev.mac);
    put(&mut bytes, 2, &[0xff; 6]);
    if let Some(id) = &dev.switch_id {
        put(&mut bytes, 36, id);
    }
    if let Some(name) = &dev.port_name {
        put_str(&mut bytes, 38, name);
    }
    put_str(&mut bytes, 56, &dev.parent.1);
    put_str(&mut bytes, 57, &dev.parent.0);
    bytes
}
