"""DPDK ports with a driver that has rte_flow (net_tap, over the kernel's flower): asked what it takes, and its answer told."""
# lab: memory 1536
# lab: needs shuntd shuntctl

from labkit import Port, equal, eventually, sh, udp
from shunt import Shunt

sh("modprobe -a tun sch_ingress sch_multiq cls_flower act_gact act_mirred act_skbedit")
shunt = Shunt(datapath='hardware_rules = "on"')
shunt("bridge", "add", "br0")


def add():
    for n in (0, 1):
        shunt("port", "add", "br0", f"p{n}", "--type", "dpdk", "--devargs", f"net_tap{n},iface=dtap{n}", "--ofport", str(n + 1), "--n-rxq-desc", "128")
        sh(f"ip link set dtap{n} up")


def flows():
    """Sends, and what is told of the flow that came of it."""
    one, other = Port("dtap0"), Port("dtap1")
    frame = udp(eth_dst="ff:ff:ff:ff:ff:ff", dport=4711)

    def arrives():
        one.send(frame)
        return frame in other.drain()

    eventually(arrives, what="a frame from tap to tap")
    return [flow for flow in shunt.json("dp", "flows") if "tp_dst" in flow["flow"] or flow["handled"]]


add()
for n in (0, 1):
    said = shunt.refused("offload", "capabilities", f"p{n}")
    assert "takes no hardware rules: driver net_tap takes none that mark, or switch, packets: " in said, said
told = flows()
assert told and all(flow["handled"] == "software" and flow["reasons"] for flow in told), told
equal({reason["name"] for flow in told for reason in flow["reasons"]}, {"NotOffloadCapable"}, "reasons")
# Nothing keeps a device open: the same can be made again.
for n in (0, 1):
    shunt("port", "del", "br0", f"p{n}")
assert "dtap0" not in sh("ip link show")
add()
flows()
shunt("port", "set", "br0", "p0", "--mtu", "1400")
flows()
