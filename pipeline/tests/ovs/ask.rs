//! A packet's key in the words of `ofproto/trace`.

use super::scene::Packet;
use flow::FlowKey;
use flow::key::frag;
use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

fn mac(b: [u8; 6]) -> String {
    format!("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", b[0], b[1], b[2], b[3], b[4], b[5])
}

/// Whether OpenFlow's match syntax, which knows one tag and no ethertype of it, can say the packet.
pub fn is_plain(key: &FlowKey) -> bool {
    !key.vlans[1].is_present() && (!key.vlans[0].is_present() || key.vlans[0].tpid == 0x8100)
}

/// The parameters of `ofproto/trace` for this packet on a bridge; `dp` is the datapath number of its port.
pub fn parameters(bridge: &str, packet: &Packet, dp: u32) -> Vec<String> {
    if is_plain(&packet.key) {
        vec![bridge.to_owned(), openflow(packet)]
    } else {
        vec!["ovs-dummy".to_owned(), datapath(&packet.key, dp)]
    }
}

fn frag_name(bits: u8) -> &'static str {
    match bits {
        0 => "no",
        frag::ANY => "first",
        _ => "later",
    }
}

/// `trk|new`.
fn flags(state: u32) -> String {
    let names = ["new", "est", "rel", "rpl", "inv", "trk", "snat", "dnat"];
    let set = names.iter().enumerate().filter(|(bit, _)| state >> bit & 1 != 0);
    set.map(|(_, name)| *name).collect::<Vec<_>>().join("|")
}

fn openflow(packet: &Packet) -> String {
    let k = &packet.key;
    let mut out = format!("in_port={},dl_src={},dl_dst={}", packet.in_port, mac(k.eth_src), mac(k.eth_dst));
    let mut add = |text: String| out.push_str(&format!(",{text}"));
    if k.vlans[0].is_present() {
        add(format!("vlan_tci={:#06x}", k.vlans[0].tci.get()));
    }
    for (name, value) in [("tun_id", k.tun_id.get()), ("pkt_mark", u64::from(k.pkt_mark.get()))] {
        if value != 0 {
            add(format!("{name}={value:#x}"));
        }
    }
    for (name, value) in [("tun_src", k.tun_src.get()), ("tun_dst", k.tun_dst.get())] {
        if value != 0 {
            add(format!("{name}={}", Ipv4Addr::from(value)));
        }
    }
    for (name, value) in [("tun_ipv6_src", k.tun_ipv6_src), ("tun_ipv6_dst", k.tun_ipv6_dst)] {
        if value != [0; 16] {
            add(format!("{name}={}", Ipv6Addr::from(value)));
        }
    }
    if k.ct_state != 0 {
        add(format!("ct_state={}", flags(k.ct_state.get())));
        add(format!("ct_zone={},ct_mark={:#x}", k.ct_zone.get(), k.ct_mark.get()));
        add(format!("ct_label={:#x}", u128::from_be_bytes(k.ct_label)));
    }
    let eth_type = k.eth_type.get();
    add(format!("dl_type={eth_type:#06x}"));
    if k.ct_nw_proto != 0 {
        add(format!("ct_nw_src={},ct_nw_dst={}", Ipv4Addr::from(k.ct_nw_src.get()), Ipv4Addr::from(k.ct_nw_dst.get())));
        add(format!("ct_nw_proto={},ct_tp_src={},ct_tp_dst={}", k.ct_nw_proto, k.ct_tp_src.get(), k.ct_tp_dst.get()));
    }
    if eth_type == 0x8847 {
        let lse = k.mpls_lse.get();
        add(format!("mpls_label={},mpls_tc={},mpls_bos=1,mpls_ttl={}", lse >> 12, lse >> 9 & 7, lse & 0xff));
    }
    match eth_type {
        0x0806 | 0x8035 => {
            add(format!("arp_spa={},arp_tpa={}", Ipv4Addr::from(k.ipv4_src.get()), Ipv4Addr::from(k.ipv4_dst.get())));
            add(format!("arp_op={},arp_sha={},arp_tha={}", k.nw_proto, mac(k.arp_sha), mac(k.arp_tha)));
            return out;
        }
        0x0800 => {
            add(format!("nw_src={},nw_dst={}", Ipv4Addr::from(k.ipv4_src.get()), Ipv4Addr::from(k.ipv4_dst.get())));
        }
        0x86dd => {
            add(format!("ipv6_src={},ipv6_dst={}", Ipv6Addr::from(k.ipv6_src), Ipv6Addr::from(k.ipv6_dst)));
            add(format!("ipv6_label={:#x}", k.ipv6_label.get()));
        }
        _ => return out,
    }
    add(format!("nw_proto={},nw_tos={},nw_ecn={},nw_ttl={}", k.nw_proto, k.nw_tos & 0xfc, k.nw_tos & 3, k.nw_ttl));
    add(format!("nw_frag={}", frag_name(k.nw_frag)));
    if k.nw_frag & frag::LATER != 0 {
        return out;
    }
    let (src, dst) = (k.tp_src.get(), k.tp_dst.get());
    match (eth_type, k.nw_proto) {
        (_, 6) => add(format!("tcp_src={src},tcp_dst={dst},tcp_flags={:#x}", k.tcp_flags.get())),
        (_, 17) => add(format!("udp_src={src},udp_dst={dst}")),
        (_, 132) => add(format!("sctp_src={src},sctp_dst={dst}")),
        (0x0800, 1) => add(format!("icmp_type={src},icmp_code={dst}")),
        (0x86dd, 58) => {
            add(format!("icmpv6_type={src},icmpv6_code={dst}"));
            if matches!(src, 135 | 136) && dst == 0 {
                add(format!("nd_target={}", Ipv6Addr::from(k.nd_target)));
                add(if src == 135 {
                    format!("nd_sll={}", mac(k.arp_sha))
                } else {
                    format!("nd_tll={}", mac(k.arp_tha))
                });
            }
        }
        _ => {}
    }
    out
}

fn datapath(k: &FlowKey, dp: u32) -> String {
    let mut out = String::new();
    if k.pkt_mark != 0 {
        let _ = write!(out, "skb_mark({:#x}),", k.pkt_mark.get());
    }
    if k.ct_state != 0 {
        let (state, zone, mark) = (k.ct_state.get(), k.ct_zone.get(), k.ct_mark.get());
        let _ = write!(out, "ct_state({state:#x}),ct_zone({zone:#x}),ct_mark({mark:#x}),");
        let _ = write!(out, "ct_label({:#x}),", u128::from_be_bytes(k.ct_label));
    }
    let _ = write!(out, "in_port({dp}),eth(src={},dst={})", mac(k.eth_src), mac(k.eth_dst));
    let tags = k.vlans.iter().filter(|t| t.is_present());
    for tag in tags.clone() {
        let (tpid, pcp) = (tag.tpid.get(), tag.tci.get() >> 13);
        let _ = write!(out, ",eth_type({tpid:#06x}),vlan(vid={},pcp={pcp}),encap(", tag.vid());
    }
    let eth_type = k.eth_type.get();
    // An 802.3 frame has none.
    if eth_type != 0x05ff {
        let _ = write!(out, ",eth_type({eth_type:#06x})");
    }
    network(k, &mut out);
    tags.for_each(|_| out.push(')'));
    out.replace("encap(,", "encap(")
}

fn network(k: &FlowKey, out: &mut String) {
    let (src4, dst4) = (Ipv4Addr::from(k.ipv4_src.get()), Ipv4Addr::from(k.ipv4_dst.get()));
    let (proto, tos, ttl, frag) = (k.nw_proto, k.nw_tos, k.nw_ttl, frag_name(k.nw_frag));
    let eth_type = k.eth_type.get();
    let _ = match eth_type {
        0x8847 => {
            let lse = k.mpls_lse.get();
            write!(out, ",mpls(label={},tc={},ttl={},bos=1)", lse >> 12, lse >> 9 & 7, lse & 0xff)
        }
        0x0806 | 0x8035 => {
            let (sha, tha) = (mac(k.arp_sha), mac(k.arp_tha));
            let _ = write!(out, ",arp(sip={src4},tip={dst4},op={proto},sha={sha},tha={tha})");
            return;
        }
        0x0800 => write!(out, ",ipv4(src={src4},dst={dst4},proto={proto},tos={tos:#x},ttl={ttl},frag={frag})"),
        0x86dd => {
            let (src, dst, label) = (Ipv6Addr::from(k.ipv6_src), Ipv6Addr::from(k.ipv6_dst), k.ipv6_label.get());
            let rest = format!("label={label:#x},proto={proto},tclass={tos:#x},hlimit={ttl},frag={frag}");
            write!(out, ",ipv6(src={src},dst={dst},{rest})")
        }
        _ => return,
    };
    if eth_type == 0x8847 || k.nw_frag & frag::LATER != 0 {
        return;
    }
    let (src, dst) = (k.tp_src.get(), k.tp_dst.get());
    let _ = match (eth_type, proto) {
        (_, 6) => write!(out, ",tcp(src={src},dst={dst}),tcp_flags({:#x})", k.tcp_flags.get()),
        (_, 17) => write!(out, ",udp(src={src},dst={dst})"),
        (_, 132) => write!(out, ",sctp(src={src},dst={dst})"),
        (0x0800, 1) => write!(out, ",icmp(type={src},code={dst})"),
        (0x86dd, 58) => {
            let _ = write!(out, ",icmpv6(type={src},code={dst})");
            if !matches!(src, 135 | 136) || dst != 0 {
                return;
            }
            let (sll, tll) = (mac(k.arp_sha), mac(k.arp_tha));
            write!(out, ",nd(target={},sll={sll},tll={tll})", Ipv6Addr::from(k.nd_target))
        }
        _ => Ok(()),
    };
}
