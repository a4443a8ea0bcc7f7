"""What the capability profile lacks is refused with the reason; the rule without skip_sw then stays in software. A
busy eswitch does not change its mode."""

from labkit import Cabled, equal, rules, sh

lab = Cabled(vfs=1)
nic, up, rep = lab.nic, lab.uplink, lab.representors[0]


def refused(match, action, reason, protocol="ip"):
    said = sh(f"tc filter add dev {up} ingress pref 1 protocol {protocol} flower skip_sw {match} action {action}", ok=False)
    assert reason in said, said


# Never supported, by the device's nature.
refused("dst_ip 10.0.0.1", "mirred egress redirect dev lo", "output device is not on the same switch")
refused("ct_state +trk", "drop", "unsupported match key")
refused("dst_ip 10.0.0.1", "skbedit mark 3", "unsupported action")
refused("dst_ip 10.0.0.1", "police rate 1mbit burst 10k conform-exceed pass", "police can only drop what exceeds")

# Smaller profiles.
nic.lab("keys", "control basic eth ipv4")
refused("ip_proto udp dst_port 5", "drop", "unsupported match key ports")
nic.lab("actions", "drop redirect")
refused("dst_ip 10.0.0.1", "vlan push id 5", "unsupported action vlan_push")
equal(nic.lab("actions"), "drop redirect", "profile")
sh(f"tc filter add dev {up} ingress pref 1 protocol ip flower dst_ip 10.0.0.1 action vlan push id 5")
rule = rules(up)[0]["options"]
equal((rule.get("not_in_hw"), rule.get("in_hw")), (True, None), "the same rule without skip_sw")
sh(f"tc filter del dev {up} ingress pref 1")

# A full table; any error.
nic.lab("rules_max", 2)
for n in (1, 2):
    sh(f"tc filter add dev {up} ingress pref {n} protocol ip flower skip_sw dst_ip 10.0.0.{n} action drop")
said = sh(f"tc filter add dev {up} ingress pref 3 protocol ip flower skip_sw dst_ip 10.0.0.3 action drop", ok=False)
assert "the table is full" in said, said
nic.lab("rules_max", 100)
nic.lab("flower_error", 12)
said = sh(f"tc filter add dev {up} ingress pref 3 protocol ip flower skip_sw dst_ip 10.0.0.3 action drop", ok=False)
assert "the lab refuses new rules" in said, said

# Rules keep the mode, and the offload of their device.
said = sh(f"devlink dev eswitch set {nic.handle} mode legacy", ok=False)
assert "rules are offloaded" in said, said
sh(f"ethtool -K {up} hw-tc-offload off", ok=False)
sh(f"tc filter del dev {up} ingress")
equal(nic.lab("rules"), "0", "rules in the table")

# A representor that goes away takes its own rules with it, and rules that lead there drop.
nic.lab("flower_error", 0)
sh(f"tc filter add dev {rep} ingress pref 1 protocol ip flower skip_sw dst_ip 10.0.0.1 action drop")
sh(f"tc filter add dev {up} ingress pref 1 protocol ip flower skip_sw dst_ip 10.0.0.1 action mirred egress redirect dev {rep}")
nic.set_vfs(0)
equal(nic.lab("rules"), "1", "rules in the table")
