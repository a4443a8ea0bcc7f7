//! Where this switch differs from ovs-ofctl on purpose, and why. There are no others.

/// What the difference looks like.
#[derive(Clone, Copy, Debug)]
pub enum Shows {
    /// Refused here by name, as not supported yet; ovs-ofctl takes it.
    NotSupported,
    /// Refused here, taken by ovs-ofctl.
    Refused,
    /// Taken here, refused by ovs-ofctl.
    Taken,
    /// Printed otherwise: the bits that are cut are not told any more.
    Cut,
    /// Printed otherwise: this makes of our text theirs.
    Printed(fn(&str) -> String),
}

/// One difference.
#[derive(Debug)]
pub struct Difference {
    /// The fields or actions.
    pub what: &'static str,
    pub reason: &'static str,
    pub shows: Shows,
    /// Whether a text is about it.
    pub applies: fn(&str) -> bool,
    pub examples: &'static [&'static str],
}

pub const DIFFERENCES: &[Difference] = &[
    Difference {
        what: "`tun_metadata<N>`",
        reason: "the options of Geneve need a map per bridge and a place in the key; tunnels with options are not terminated",
        shows: Shows::NotSupported,
        applies: |flow| flow.contains("tun_metadata"),
        examples: &["tun_metadata0=5,actions=1", "tun_metadata7=0x12/0xff,actions=1", "tun_metadata63,actions=1"],
    },
    Difference {
        what: "`tun_erspan_*`, `tun_gtpu_*`",
        reason: "tunnels of these kinds are not terminated",
        shows: Shows::NotSupported,
        applies: |flow| flow.contains("tun_erspan_") || flow.contains("tun_gtpu_"),
        examples: &[
            "tun_erspan_ver=1,actions=1",
            "tun_erspan_idx=5,actions=1",
            "tun_erspan_dir=1,actions=1",
            "tun_erspan_hwid=1,actions=1",
            "tun_gtpu_flags=5,actions=1",
            "tun_gtpu_msgtype=5,actions=1",
        ],
    },
    Difference {
        what: "`nsh_*`",
        reason: "network service headers are not parsed",
        shows: Shows::NotSupported,
        applies: |flow| flow.contains("nsh_") || flow.contains("nsp=") || flow.contains("nsi="),
        examples: &[
            "dl_type=0x894f,nsh_flags=1,actions=1",
            "dl_type=0x894f,nsh_ttl=1,actions=1",
            "dl_type=0x894f,nsh_mdtype=1,actions=1",
            "dl_type=0x894f,nsh_np=1,actions=1",
            "dl_type=0x894f,nsh_spi=1,actions=1",
            "dl_type=0x894f,nsp=1,actions=1",
            "dl_type=0x894f,nsi=1,actions=1",
            "dl_type=0x894f,nsh_si=1,actions=1",
            "dl_type=0x894f,nsh_c1=1,actions=1",
        ],
    },
    Difference {
        what: "`packet_type` other than `(0,0)`",
        reason: "every packet is Ethernet: there are no ports of layer 3",
        shows: Shows::NotSupported,
        applies: |flow| flow.contains("packet_type=(") && !flow.contains("(0,0)"),
        examples: &["packet_type=(1,0x800),actions=1", "packet_type=(0,1),actions=1"],
    },
    Difference {
        what: "`eth`, `packet_type=(0,0)` beside `recirc_id`",
        reason: "that packets are Ethernet is printed where Open vSwitch infers it, not where it was written alone",
        shows: Shows::Printed(|ours| ours.replacen("recirc_id=0x5", "recirc_id=0x5,eth", 1)),
        applies: |flow| flow.contains("recirc_id=5") && (flow.contains("eth,") || flow.contains("packet_type")),
        examples: &["eth,recirc_id=5,actions=1", "recirc_id=5,packet_type=(0,0),actions=1"],
    },
    Difference {
        what: "`tun_gbp_flags` with a mask",
        reason: "ovs-ofctl prints the value alone, which read back is another match",
        shows: Shows::Printed(without_mask_of_gbp_flags),
        applies: |flow| flow.contains("tun_gbp_flags") || flow.contains("TUN_GBP_FLAGS"),
        examples: &["tun_gbp_flags=5/7,actions=1"],
    },
    Difference {
        what: "an IPv6 mask whose first group has decimal digits first",
        reason: "ovs-ofctl reads it as a length and refuses it, though it prints such masks itself: dumps are read back here",
        shows: Shows::Taken,
        applies: |flow| {
            flow.split(['/', ',']).skip(1).any(|s| s.starts_with(|c: char| c.is_ascii_digit()) && s.contains("::"))
        },
        examples: &["ipv6,ipv6_src=8000::1/8000::1,actions=1", "tun_ipv6_dst=::/0:ffff::,actions=1"],
    },
    Difference {
        what: "`ip_frag`: a later fragment that is none",
        reason: "no packet is, and ovs-ofctl prints it as `nw_frag=<error>`",
        shows: Shows::Refused,
        applies: |flow| flow.contains("ip_frag[1]=1,ip_frag[0]=0"),
        examples: &["ip,ip_frag[1]=1,ip_frag[0]=0,actions=1"],
    },
    Difference {
        what: "`load` to the high 8 bits of `arp_op`",
        reason: "opcodes have 8 bits, as in Open vSwitch, which cuts them when it executes the action, not when it reads it",
        shows: Shows::Cut,
        applies: |flow| {
            flow.contains("arp")
                && ["load:0x5a5a", "load:0xffff", "arp_op[15]", "[7..15]"].iter().any(|s| flow.contains(s))
        },
        examples: &["arp,actions=load:0x102->arp_op[]", "arp,actions=load:1->arp_op[15]"],
    },
    Difference {
        what: "`set_field`, `load`, `move`, `pop` to `nd_options_type`",
        reason: "the type says whether the address behind it is that of the source or the target: it is not rewritten",
        shows: Shows::Refused,
        applies: |flow| {
            ["->nd_options_type", "->ERICOXM_OF_ICMPV6_ND_OPTIONS_TYPE", "pop:nd_options_type"]
                .iter()
                .any(|s| flow.contains(s))
        },
        examples: &["icmp6,icmp_type=135,actions=set_field:1->nd_options_type"],
    },
    Difference {
        what: "`set_field`, `load` to `dl_vlan`",
        reason: "ovs-ofctl sends another field, `in_port`: set `vlan_vid`, or use `mod_vlan_vid`",
        shows: Shows::Refused,
        applies: |flow| flow.contains("->dl_vlan"),
        examples: &["dl_vlan=5,actions=set_field:3->dl_vlan"],
    },
    Difference {
        what: "`set_field:*` to `in_port_oxm`",
        reason: "it sets nothing, and the field cannot be set so",
        shows: Shows::Refused,
        applies: |flow| flow.contains("set_field:*->in_port_oxm"),
        examples: &["actions=set_field:*->in_port_oxm"],
    },
    Difference {
        what: "text behind VALUE/MASK of a field of flags",
        reason: "ovs-ofctl skips it in silence",
        shows: Shows::Refused,
        applies: |flow| flow.contains("/3x") || flow.contains("/1x"),
        examples: &["tcp,tcp_flags=2/3x,actions=1", "tun_flags=1/1x,actions=1"],
    },
];

fn without_mask_of_gbp_flags(ours: &str) -> String {
    let Some(at) = ours.find("tun_gbp_flags=") else { return ours.to_owned() };
    let (before, value) = ours.split_at(at);
    let end = value.find([',', ' ']).unwrap_or(value.len());
    let (value, behind) = value.split_at(end);
    let value = value.split_once('/').map_or(value, |(value, _)| value);
    format!("{before}{value}{behind}")
}

/// The difference that a text is about.
pub fn difference(flow: &str) -> Option<&'static Difference> {
    DIFFERENCES.iter().find(|d| (d.applies)(flow) || d.examples.contains(&flow))
}
