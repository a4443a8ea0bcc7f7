//! Frames from keys: the way back from what extraction does, with code of its own.

use flow::key::frag;
use flow::{FlowKey, VlanTag};

const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
const FRAGMENT: u8 = 44;

/// The key with everything taken out that such a packet does not have, so that a frame can say it.
#[must_use]
pub fn complete(key: &FlowKey) -> FlowKey {
    let mut out = FlowKey::ZERO;
    (out.eth_dst, out.eth_src, out.eth_type) = (key.eth_dst, key.eth_src, key.eth_type);
    for (to, tag) in out.vlans.iter_mut().zip(key.vlans).take_while(|(_, t)| t.is_present()) {
        *to = tag;
        if to.tpid == 0 {
            to.tpid = 0x8100.into();
        }
    }
    let eth_type = key.eth_type.get();
    match eth_type {
        0x0806 | 0x8035 => {
            (out.nw_proto, out.ipv4_src, out.ipv4_dst) = (key.nw_proto, key.ipv4_src, key.ipv4_dst);
            (out.arp_sha, out.arp_tha) = (key.arp_sha, key.arp_tha);
        }
        0x0800 => (out.ipv4_src, out.ipv4_dst) = (key.ipv4_src, key.ipv4_dst),
        0x86dd => {
            (out.ipv6_src, out.ipv6_dst) = (key.ipv6_src, key.ipv6_dst);
            out.ipv6_label = (key.ipv6_label.get() & 0xf_ffff).into();
        }
        _ => {}
    }
    if matches!(eth_type, 0x0800 | 0x86dd) {
        (out.nw_proto, out.nw_tos, out.nw_ttl) = (key.nw_proto, key.nw_tos, key.nw_ttl);
        out.nw_frag = if key.nw_frag & frag::LATER != 0 { frag::LATER | frag::ANY } else { key.nw_frag & frag::ANY };
        if eth_type == 0x86dd && out.nw_frag & frag::LATER != 0 {
            // The protocol behind the fragment header is that of the first fragment (OVS, lib/flow.c).
            out.nw_proto = FRAGMENT;
        }
        if out.nw_frag & frag::LATER == 0 {
            complete_l4(&mut out, key, eth_type);
        }
    }
    out
}

fn complete_l4(out: &mut FlowKey, key: &FlowKey, eth_type: u16) {
    let icmp = if eth_type == 0x0800 { ICMP } else { ICMPV6 };
    match key.nw_proto {
        TCP => {
            (out.tp_src, out.tp_dst) = (key.tp_src, key.tp_dst);
            out.tcp_flags = (key.tcp_flags.get() & 0xfff).into();
        }
        UDP | SCTP => (out.tp_src, out.tp_dst) = (key.tp_src, key.tp_dst),
        p if p == icmp => {
            out.tp_src = (key.tp_src.get() & 0xff).into();
            out.tp_dst = (key.tp_dst.get() & 0xff).into();
            let kind = out.tp_src.get();
            if p == ICMPV6 && matches!(kind, 135 | 136) && out.tp_dst == 0 {
                out.nd_target = key.nd_target;
                // The frame has the one option that goes with the message.
                out.nd_options_type = if kind == 135 { 1 } else { 2 };
                if kind == 135 {
                    out.arp_sha = key.arp_sha;
                } else {
                    out.arp_tha = key.arp_tha;
                }
            }
        }
        _ => {}
    }
}

/// The frame of a [`complete`] key, padded to 60 bytes. Bit 12 of a tag (drop eligible) is clear on the wire.
#[must_use]
pub fn frame(key: &FlowKey, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(128 + payload.len());
    out.extend(key.eth_dst);
    out.extend(key.eth_src);
    for tag in key.vlans.iter().filter(|t| t.is_present()) {
        out.extend(tag.tpid.get().to_be_bytes());
        out.extend((tag.tci.get() & !VlanTag::PRESENT).to_be_bytes());
    }
    out.extend(key.eth_type.get().to_be_bytes());
    match key.eth_type.get() {
        0x0806 | 0x8035 => arp(&mut out, key),
        0x0800 => ipv4(&mut out, key, payload),
        0x86dd => ipv6(&mut out, key, payload),
        _ => out.extend(payload),
    }
    out.resize(out.len().max(60), 0);
    out
}

fn arp(out: &mut Vec<u8>, key: &FlowKey) {
    out.extend([0, 1, 8, 0, 6, 4, 0, key.nw_proto]);
    out.extend(key.arp_sha);
    out.extend(key.ipv4_src.to_bytes());
    out.extend(key.arp_tha);
    out.extend(key.ipv4_dst.to_bytes());
}

fn ipv4(out: &mut Vec<u8>, key: &FlowKey, payload: &[u8]) {
    let (src, dst) = (key.ipv4_src.to_bytes(), key.ipv4_dst.to_bytes());
    let body = l4(key, payload, &[src, dst].concat());
    let fragment: u16 = match key.nw_frag {
        0 => 0,
        frag::ANY => 0x2000,
        // 1480 bytes in.
        _ => 185,
    };
    let mut header = vec![0x45, key.nw_tos];
    header.extend((20 + body.len() as u16).to_be_bytes());
    header.extend([0x12, 0x34]);
    header.extend(fragment.to_be_bytes());
    header.extend([key.nw_ttl, key.nw_proto, 0, 0]);
    header.extend(src);
    header.extend(dst);
    let sum = checksum(&[&header]);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    out.extend(header);
    out.extend(body);
}

fn ipv6(out: &mut Vec<u8>, key: &FlowKey, payload: &[u8]) {
    let body = l4(key, payload, &[key.ipv6_src, key.ipv6_dst].concat());
    let extension: &[u8] = match key.nw_frag {
        0 => &[],
        frag::ANY => &[key.nw_proto, 0, 0, 1, 0, 0, 0, 9],
        // 1480 bytes in: the offset counts 8 bytes and stands above 3 other bits.
        _ => &[UDP, 0, 0x05, 0xc8, 0, 0, 0, 9],
    };
    let first = 6 << 28 | u32::from(key.nw_tos) << 20 | key.ipv6_label.get();
    out.extend(first.to_be_bytes());
    out.extend(((body.len() + extension.len()) as u16).to_be_bytes());
    out.extend([if extension.is_empty() { key.nw_proto } else { FRAGMENT }, key.nw_ttl]);
    out.extend(key.ipv6_src);
    out.extend(key.ipv6_dst);
    out.extend(extension);
    out.extend(body);
}

/// The layer 4 header and payload; `addresses` are those of the pseudo header.
fn l4(key: &FlowKey, payload: &[u8], addresses: &[u8]) -> Vec<u8> {
    if key.nw_frag & frag::LATER != 0 {
        return payload.to_vec();
    }
    let (src, dst) = (key.tp_src.to_bytes(), key.tp_dst.to_bytes());
    let ports = [src, dst].concat();
    let (mut body, sum_at) = match key.nw_proto {
        TCP => {
            let flags = (5 << 12 | key.tcp_flags.get() & 0xfff).to_be_bytes();
            let rest = [flags[0], flags[1], 0x20, 0, 0, 0, 0, 0];
            ([&ports[..], &[0, 0, 0, 1, 0, 0, 0, 2], &rest, payload].concat(), 16)
        }
        UDP => {
            let len = (8 + payload.len() as u16).to_be_bytes();
            ([&ports[..], &len, &[0, 0], payload].concat(), 6)
        }
        SCTP => {
            let mut body = [&ports[..], &[0, 0, 0, 7, 0, 0, 0, 0], payload].concat();
            let sum = crc32c(&body);
            body[8..12].copy_from_slice(&sum.to_le_bytes());
            return body;
        }
        ICMP => ([&[src[1], dst[1], 0, 0, 0, 1, 0, 2], payload].concat(), 2),
        ICMPV6 => (icmpv6(key, payload), 2),
        _ => return payload.to_vec(),
    };
    let len = (body.len() as u32).to_be_bytes();
    let sum = if key.nw_proto == ICMP {
        checksum(&[&body])
    } else {
        checksum(&[addresses, &len, &[0, 0, 0, key.nw_proto], &body])
    };
    // A UDP checksum of 0 means that there is none (RFC 768).
    let sum = if key.nw_proto == UDP && sum == 0 { 0xffff } else { sum };
    body[sum_at..sum_at + 2].copy_from_slice(&sum.to_be_bytes());
    body
}

fn icmpv6(key: &FlowKey, payload: &[u8]) -> Vec<u8> {
    let (kind, code) = (key.tp_src.to_bytes()[1], key.tp_dst.to_bytes()[1]);
    let mut body = vec![kind, code, 0, 0, 0, 0, 0, 0];
    if code == 0 && matches!(kind, 135 | 136) {
        body.extend(key.nd_target);
        let (option, mac) = if kind == 135 { (1, key.arp_sha) } else { (2, key.arp_tha) };
        if mac != [0; 6] {
            body.extend([option, 1]);
            body.extend(mac);
        }
    } else {
        body.extend(payload);
    }
    body
}

/// The Internet checksum (RFC 1071) over parts of which all but the last have an even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0u32;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |b| u32::from(*b));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// CRC32c, bit by bit (RFC 9260, appendix A).
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ if crc & 1 != 0 { 0x82f6_3b78 } else { 0 };
        }
    }
    !crc
}
