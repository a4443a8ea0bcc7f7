"""Rules that change packets: VLAN push, pop and modify, pedit with csum; what arrives is compared byte by byte."""

from labkit import Cabled, Port, equal, hardware, sh, udp

lab = Cabled(vfs=1)
up, rep = lab.uplink, lab.representors[0]
wire_end, vf = Port(lab.wire_end), Port(lab.vf_ends[0])


def add(device, pref, protocol, match, action):
    sh(f"tc filter add dev {device} ingress pref {pref} protocol {protocol} flower skip_sw {match} action {action}")


# Push on the way out, pop on the way in.
add(rep, 1, "ip", "dst_ip 10.0.0.2", f"vlan push id 100 priority 3 pipe action mirred egress redirect dev {up}")
vf.send(udp(), 3)
equal(wire_end.expect(3), [udp(vlan=(3 << 13) | 100)] * 3, "tagged")
equal(hardware(rep, 1), (3, 300), "counted as received")
add(up, 1, "802.1q", "vlan_id 100", f"vlan pop pipe action mirred egress redirect dev {rep}")
wire_end.send(udp(vlan=100), 2)
equal(vf.expect(2), [udp()] * 2, "untagged")
equal(hardware(up, 1), (2, 208), "counted with the tag")

# Another VLAN is none of that rule's; modify.
add(up, 2, "802.1q", "vlan_id 200", f"vlan modify id 201 pipe action mirred egress redirect dev {rep}")
wire_end.send(udp(vlan=200))
equal(vf.expect(1), [udp(vlan=201)], "modified")

# Addresses, TTL and port, with the checksums that follow from them.
add(rep, 2, "ip", "dst_ip 10.0.0.3 ip_proto udp",
    "pedit ex munge eth dst set 02:00:00:00:09:09 munge eth src set 02:00:00:00:09:08 munge ip src set 192.0.2.1 "
    "munge ip ttl set 9 munge udp dport set 4000 pipe action csum ip4h and udp pipe "
    f"action mirred egress redirect dev {up}")
vf.send(udp(dst="10.0.0.3", size=101), 2)
wanted = udp(src="192.0.2.1", dst="10.0.0.3", dport=4000, ttl=9, size=101, eth_dst="02:00:00:00:09:09",
             eth_src="02:00:00:00:09:08")
equal(wire_end.expect(2), [wanted] * 2, "rewritten")
equal(hardware(rep, 2), (2, 202), "packets and bytes")
