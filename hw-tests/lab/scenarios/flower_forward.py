"""flower rules that netdevsim executes: redirect, mirror, drop, goto; their counters are those of real packets, and
what goes in hardware is not seen by packet sockets of the ports in between."""

from labkit import Cabled, Port, equal, hardware, rules, sh, udp

lab = Cabled(vfs=2)
up, (rep0, rep1) = lab.uplink, lab.representors
wire_end, vf0, vf1 = Port(lab.wire_end), Port(lab.vf_ends[0]), Port(lab.vf_ends[1])
between = Port(rep0)


def add(device, pref, match, action, flag="skip_sw"):
    sh(f"tc filter add dev {device} ingress pref {pref} protocol ip flower {flag} {match} action {action}")


# Without a rule, a packet from the wire comes up at the uplink's netdev.
at_uplink = Port(up)
wire_end.send(udp(dport=1))
equal(at_uplink.expect(1), [udp(dport=1)], "to the stack")

# Redirect to a VF.
add(up, 10, "ip_proto udp dst_port 2000", f"mirred egress redirect dev {rep0}")
rule = rules(up)[0]["options"]
equal((rule.get("in_hw"), rule.get("in_hw_count"), rule.get("skip_sw")), (True, 1, True), "state of the rule")
wire_end.send(udp(), 5)
equal(vf0.expect(5), [udp()] * 5, "at VF 0")
equal(hardware(up, 10), (5, 500), "packets and bytes")
equal((at_uplink.drain(), between.drain()), ([], []), "seen in software")

# Mirror and redirect, the other way too.
add(up, 20, "ip_proto udp dst_port 2001", f"mirred egress mirror dev {rep0} pipe action mirred egress redirect dev {rep1}")
wire_end.send(udp(dport=2001, size=200), 3)
equal(vf0.expect(3), vf1.expect(3), "copies")
equal(hardware(up, 20), (3, 600), "packets and bytes")
add(rep1, 10, "dst_ip 10.0.0.9", f"mirred egress redirect dev {up}")
vf1.send(udp(dst="10.0.0.9"), 2)
wire_end.expect(2)
equal(hardware(rep1, 10), (2, 200), "packets and bytes")

# The lower pref wins; drop.
add(up, 5, "ip_proto udp dst_port 2000 src_ip 10.0.0.66", "drop")
wire_end.send(udp(src="10.0.0.66"), 4)
wire_end.send(udp())
equal(vf0.expect(1), [udp()], "after the drop rule")
equal((hardware(up, 5), hardware(up, 10)), ((4, 400), (6, 600)), "counters")

# Chains: on from chain 0, and to the stack when the chain has nothing that matches.
sh(f"tc filter add dev {up} ingress chain 7 pref 1 protocol ip flower skip_sw ip_proto udp src_port 77 "
   f"action mirred egress redirect dev {rep1}")
add(up, 4, "dst_ip 10.0.0.7", "goto chain 7")
wire_end.send(udp(dst="10.0.0.7", sport=77), 2)
vf1.expect(2)
wire_end.send(udp(dst="10.0.0.7", sport=78))
at_uplink.expect(1)
equal(hardware(up, 4), (3, 300), "packets and bytes of the goto")

# A rule that is in hardware and in software counts in hardware, once.
add(up, 6, "dst_ip 10.0.0.8", f"mirred egress redirect dev {rep1}", flag="")
wire_end.send(udp(dst="10.0.0.8"), 3)
vf1.expect(3)
equal(hardware(up, 6), (3, 300), "packets and bytes of a rule in both")

# Deleted is deleted.
sh(f"tc filter del dev {up} ingress pref 10")
wire_end.send(udp())
at_uplink.expect(1)
equal(vf0.drain(), [], "at VF 0")
equal(lab.nic.lab("rules"), "6", "rules in the table")
