"""Police in hardware: one rule's own, and one that two rules share by its index; the counters say what happened."""

from labkit import Cabled, Port, actions, equal, eventually, hardware, query, sh, udp

lab = Cabled(vfs=2)
up, (rep0, rep1) = lab.uplink, lab.representors
wire_end, vf0, vf1 = Port(lab.wire_end), Port(lab.vf_ends[0]), Port(lab.vf_ends[1])

# A rate so low that in the time of this test only the burst passes: 5 frames of 100 bytes.
sh(f"tc filter add dev {up} ingress pref 1 protocol ip flower skip_sw dst_ip 10.0.0.1 "
   f"action police rate 64bit burst 500 conform-exceed drop/pipe action mirred egress redirect dev {rep0}")
wire_end.send(udp(dst="10.0.0.1"), 20)
eventually(lambda: hardware(up, 1)[0] == 20, what="20 packets counted")
equal(len(vf0.expect(5)), 5, "what passed")
equal(hardware(up, 1), (20, 2000), "what came")
equal(actions(up, 1)[0]["stats"]["drops"], 15, "what was dropped")

# Shared by index, in packets a second; the action is made first, with the rules' flag.
sh("tc actions add action police pkts_rate 1 pkts_burst 8 conform-exceed drop/pipe index 4711 skip_sw")
for pref, rep in ((2, rep0), (3, rep1)):
    sh(f"tc filter add dev {up} ingress pref {pref} protocol ip flower skip_sw dst_ip 10.0.0.{pref} "
       f"action police index 4711 action mirred egress redirect dev {rep}")
shared = query("tc -j -s actions get action police index 4711")
wire_end.send(udp(dst="10.0.0.2"), 6)
wire_end.send(udp(dst="10.0.0.3"), 30)
eventually(lambda: hardware(up, 3, 1)[0] == 30, what="30 packets counted")
passed = len(vf0.drain()) + len(vf1.drain())
equal(len(vf0.frames), 6, "the first rule's, within the burst")
assert 8 <= passed < 36, passed

def shared_action():
    said = query("tc -j -s actions get action police index 4711")
    return next(entry for part in said for entry in part.get("actions", []))


# The action by itself tells of both.
action = shared_action()
equal((action["stats"]["packets"], action["stats"]["drops"]), (36, 36 - passed), "packets and drops of the action")
sh("tc actions del action police index 4711", ok=False)

# Gone with the last user. The kernel frees deleted rules a moment later.
sh(f"tc filter del dev {up} ingress")
eventually(lambda: shared_action()["bind"] == 0, what="the rules have let go of the action")
sh("tc actions del action police index 4711")
equal(lab.nic.lab("rules"), "0", "rules in the table")
