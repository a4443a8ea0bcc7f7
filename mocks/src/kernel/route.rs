//! rtnetlink links as the kernel answers them.

use super::{
    fault::Op,
    functions::{VfRequest, rate_mbit},
    model::{Host, Netdev, Nic, Vf},
    wire::{
        EEXIST, EINVAL, ENODEV, EOPNOTSUPP, ERANGE, Refusal, Reply, Request, attrs, find, message, put, put_nested,
        put_str, put_u32, refuse, text, u32_of,
    },
};

pub(super) const GROUP_LINK: u32 = 1;
pub(super) const GROUP_TC: u32 = 4;

const NEWLINK: u16 = 16;
const DELLINK: u16 = 17;
const GETLINK: u16 = 18;
const SETLINK: u16 = 19;
const NEWQDISC: u16 = 36;
const DELQDISC: u16 = 37;
const GETQDISC: u16 = 38;
const IFINFO: usize = 16;
/// `IFLA_EXT_MASK` and two of its bits.
const EXT_MASK: u16 = 29;
const FILTER_VF: u32 = 1;
const SKIP_STATS: u32 = 8;
const ARPHRD_ETHER: u16 = 1;
const UP: u32 = 1;

pub(super) fn op(request: &Request<'_>) -> Option<Op> {
    match request.kind {
        GETLINK => Some(Op::LinkGet),
        SETLINK | NEWLINK => Some(Op::LinkSet),
        GETQDISC => Some(Op::QdiscGet),
        _ => None,
    }
}

pub(super) fn handle(host: &mut Host, journal: &mut Vec<String>, request: &Request<'_>) -> Result<Vec<Reply>, Refusal> {
    if request.kind == GETQDISC {
        let all = host.netdevs.values().flat_map(|dev| dev.qdiscs.iter().map(move |kind| (dev.ifindex, *kind)));
        return Ok(all.map(|(i, kind)| Reply { kind: NEWQDISC, payload: qdisc(i, kind) }).collect());
    }
    let (Some(header), Some(body)) = (request.payload.get(..IFINFO), request.payload.get(IFINFO..)) else {
        return Err(refuse(EINVAL));
    };
    let word = |at: usize| u32_of(&header[at..at + 4]);
    let (mut ifindex, flags, change) = (word(4)?, word(8)?, word(12)?);
    let attrs = attrs(body)?;
    let mask = find(&attrs, EXT_MASK).map(u32_of).transpose()?.unwrap_or(0);
    if request.is_dump() {
        let reply = |dev| Reply { kind: NEWLINK, payload: payload(dev, pf_of(host, dev, mask)) };
        return Ok(host.netdevs.values().map(reply).collect());
    }
    let name = find(&attrs, 3).map(text).transpose()?;
    if let (0, Some(name)) = (ifindex, name) {
        ifindex = host.netdevs.values().find(|d| d.name == name).map_or(0, |d| d.ifindex);
    }
    let dev = host.netdevs.get(&ifindex).ok_or_else(|| refuse(ENODEV))?;
    match request.kind {
        GETLINK => Ok(vec![Reply { kind: NEWLINK, payload: payload(dev, pf_of(host, dev, mask)) }]),
        SETLINK => {
            set(host, journal, ifindex, (flags, change), &attrs)?;
            host.touch(ifindex);
            Ok(Vec::new())
        }
        _ => Err(refuse(EOPNOTSUPP)),
    }
}

/// One thing after the other, as `do_setlink` does, until something is refused.
fn set(
    host: &mut Host,
    journal: &mut Vec<String>,
    ifindex: u32,
    (flags, change): (u32, u32),
    attrs: &[(u16, &[u8])],
) -> Result<(), Refusal> {
    if let Some(name) = find(attrs, 3) {
        let (name, from) = (text(name)?, host.netdevs.get(&ifindex).map(|d| d.name.clone()).unwrap_or_default());
        if name != from && !host.rename(&from, name) {
            return Err(refuse(if name.len() > 15 { ERANGE } else { EEXIST }));
        }
    }
    let master = find(attrs, 10).map(u32_of).transpose()?;
    if master.is_some_and(|m| m != 0 && host.netdevs.get(&m).is_none_or(|d| d.bond_mode.is_none())) {
        return Err(refuse(EOPNOTSUPP));
    }
    let dev = host.netdevs.get_mut(&ifindex).ok_or_else(|| refuse(ENODEV))?;
    if let Some(mac) = find(attrs, 1) {
        dev.mac = mac.try_into().map_err(|_| refuse(EINVAL))?;
        journal.push(format!("link {ifindex} address {:02x?}", dev.mac));
    }
    if let Some(mtu) = find(attrs, 4) {
        let mtu = u32_of(mtu)?;
        if !(68..=9978).contains(&mtu) {
            let text = if mtu < 68 { "mtu less than device minimum" } else { "mtu greater than device maximum" };
            return Err((EINVAL, text.to_owned()));
        }
        dev.mtu = mtu;
        journal.push(format!("link {ifindex} mtu {mtu}"));
    }
    if let Some(master) = master {
        dev.master = Some(master).filter(|m| *m != 0);
    }
    if change & UP != 0 {
        dev.up = flags & UP != 0;
        journal.push(format!("link {ifindex} {}", if dev.up { "up" } else { "down" }));
    }
    if let Some(list) = find(attrs, 22) {
        for (_, info) in super::wire::attrs(list)? {
            let (vf, wish) = vf_request(info)?;
            journal.extend(host.set_vf(ifindex, vf, &wish)?);
        }
    }
    Ok(())
}

/// An `IFLA_VF_INFO` as `do_setvfinfo` reads it.
fn vf_request(info: &[u8]) -> Result<(u32, VfRequest), Refusal> {
    let (mut vf, mut wish) = (None, VfRequest::default());
    for (kind, value) in attrs(info)? {
        let word = |n: usize| value.get(n * 4..n * 4 + 4).ok_or_else(|| refuse(ERANGE)).and_then(u32_of);
        let (mut number, mut rest) = (None, value);
        match kind {
            1 => wish.mac = rest.get(4..10).and_then(|m| m.try_into().ok()),
            2 => wish.vlan = Some((word(1)?, word(2)?, 0x8100)),
            4 => wish.spoof_check = Some(word(1)? != 0),
            5 => wish.link_state = Some(word(1)?),
            6 => wish.rate = Some((word(1)?, word(2)?)),
            9 => wish.trust = Some(word(1)? != 0),
            12 => {
                let list = attrs(value)?;
                rest = find(&list, 1).filter(|t| t.len() >= 16).ok_or_else(|| refuse(EINVAL))?;
                let at = |n: usize| u32_of(&rest[n..n + 4]);
                wish.vlan = Some((at(4)?, at(8)?, u16::from_be_bytes([rest[12], rest[13]])));
                number = Some(at(0)?);
            }
            _ => return Err(refuse(EINVAL)),
        }
        vf = Some(number.map_or_else(|| word(0), Ok)?);
    }
    vf.map(|vf| (vf, wish)).ok_or_else(|| refuse(EINVAL))
}

/// The NIC whose VFs are to be told about, and whether with counters.
fn pf_of<'a>(host: &'a Host, dev: &Netdev, mask: u32) -> Option<(&'a Nic, bool)> {
    let pf = |n: &&Nic| n.uplink == dev.ifindex && mask & FILTER_VF != 0;
    host.nics.iter().find(pf).map(|nic| (nic, mask & SKIP_STATS == 0))
}

fn qdisc(ifindex: u32, kind: &str) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    let (handle, parent): (u32, u32) = (0xffff_0000, 0xffff_fff1);
    for word in [ifindex, handle, parent, 1] {
        bytes.extend(word.to_ne_bytes());
    }
    put_str(&mut bytes, 1, kind);
    bytes
}

/// The multicast message about a qdisc.
pub(super) fn qdisc_event(gone: bool, ifindex: u32, kind: &str) -> Vec<u8> {
    message(if gone { DELQDISC } else { NEWQDISC }, 0, 0, &qdisc(ifindex, kind))
}

/// The multicast message about a device.
pub(super) fn event(gone: bool, dev: &Netdev) -> Vec<u8> {
    message(if gone { DELLINK } else { NEWLINK }, 0, 0, &payload(dev, None))
}

fn payload(dev: &Netdev, vfs: Option<(&Nic, bool)>) -> Vec<u8> {
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
    if let Some(master) = dev.master {
        put_u32(&mut bytes, 10, master);
        let mut info = Vec::new();
        put_str(&mut info, 4, "bond");
        let mut port = Vec::new();
        put(&mut port, 1, &[0]);
        put_nested(&mut info, 5, &port);
        put_nested(&mut bytes, 18, &info);
    }
    if let Some(mode) = dev.bond_mode {
        let (mut info, mut data) = (Vec::new(), Vec::new());
        put_str(&mut info, 1, "bond");
        put(&mut data, 1, &[mode]);
        put_nested(&mut info, 2, &data);
        put_nested(&mut bytes, 18, &info);
    }
    // struct rtnl_link_stats64: packets received and sent, then bytes.
    let [rx_packets, rx_bytes, tx_packets, tx_bytes] = dev.counters;
    let mut stats: Vec<u8> =
        [rx_packets, tx_packets, rx_bytes, tx_bytes].iter().flat_map(|n| n.to_ne_bytes()).collect();
    stats.resize(25 * 8, 0);
    put(&mut bytes, 23, &stats);
    if let Some((nic, counters)) = vfs {
        put_u32(&mut bytes, 21, u32::from(nic.num_vfs));
        let mut list = Vec::new();
        for (n, vf) in (0u32..).zip(&nic.vfs) {
            put_nested(&mut list, 1, &vf_info(n, vf, counters));
        }
        put_nested(&mut bytes, 22, &list);
    }
    if !dev.parent.1.is_empty() {
        put_str(&mut bytes, 56, &dev.parent.1);
        put_str(&mut bytes, 57, &dev.parent.0);
    }
    bytes
}

/// An `IFLA_VF_INFO` as `rtnl_fill_vfinfo` writes it.
fn vf_info(n: u32, vf: &Vf, counters: bool) -> Vec<u8> {
    let mut info = Vec::new();
    let words = |words: &[u32]| words.iter().flat_map(|w| w.to_ne_bytes()).collect::<Vec<u8>>();
    let mut mac = words(&[n]);
    mac.extend(vf.mac);
    mac.resize(36, 0);
    put(&mut info, 1, &mac);
    let c = &vf.config;
    let tag = words(&[n, c.vlan.0.into(), c.vlan.1.into()]);
    put(&mut info, 2, &tag);
    let (min, max) = rate_mbit(c.share);
    put(&mut info, 6, &words(&[n, min, max]));
    put(&mut info, 3, &words(&[n, max]));
    put(&mut info, 4, &words(&[n, c.spoof_check.into()]));
    put(&mut info, 5, &words(&[n, c.link_state]));
    // Nobody says whether RSS may be queried: -1.
    put(&mut info, 7, &words(&[n, u32::MAX]));
    put(&mut info, 9, &words(&[n, c.trust.into()]));
    let mut list = Vec::new();
    put(&mut list, 1, &[&tag[..], &c.vlan.2.to_be_bytes(), &[0, 0]].concat());
    put_nested(&mut info, 12, &list);
    if counters {
        let mut stats = Vec::new();
        let [rx_packets, rx_bytes, tx_packets, tx_bytes] = vf.counters;
        for (kind, n) in
            [(0, rx_packets), (1, tx_packets), (2, rx_bytes), (3, tx_bytes), (4, 0), (5, 0), (7, 0), (8, 0)]
        {
            put(&mut stats, kind, &u64::to_ne_bytes(n));
        }
        put_nested(&mut info, 8, &stats);
    }
    info
}
