"""What shuntctl says of VFs, representors and eswitches is what iproute2 says of them, field by field."""
# lab: memory 1536
# lab: needs shuntd shuntctl

from labkit import Netdevsim, Port, equal, eventually, offloads, query, sh, udp, wire
from shunt import Shunt

VFS = 3
nic, far = Netdevsim(1, 2), Netdevsim(2)
pf = nic.handle
shunt = Shunt()
reps = nic.switchdev(VFS)
uplink = nic.uplink()
wire(reps[0], far.uplink())

# Others set things, too.
sh(f"devlink port function set {pf}/128 hw_addr 02:11:22:33:44:50")
sh(f"devlink port function rate set {pf}/129 tx_share 20mbit tx_max 300mbit")
sh(f"ip link set {uplink} vf 0 vlan 77 qos 5")
sh(f"ip link set {uplink} vf 1 trust on")
sh(f"ip link set {uplink} vf 2 spoofchk on")
sh(f"ip link set {uplink} vf 2 state disable")
sh(f"ip link set {reps[1]} mtu 1700")
sh(f"ethtool -K {reps[1]} hw-tc-offload on")
sender = Port(far.uplink())
sender.send(udp(), 7)
eventually(lambda: query(f"ip -s -j link show {reps[0]}")[0]["stats64"]["rx"]["packets"] >= 7, what="packets counted")

# VFs.
devlink = {port["vfnum"]: (key, port) for key, port in query("devlink -j port show")["port"].items()
           if port["flavour"] == "pcivf" and key.startswith(pf)}
rates = query("devlink -j port function rate show")["rate"]
infos = {vf["vf"]: vf for vf in query(f"ip -d -s -j link show {uplink}")[0]["vfinfo_list"]}
said = {vf["vf"]: vf for vf in shunt.json("vf", "list")}
equal(sorted(said), sorted(infos), "VFs")
for n, vf in said.items():
    key, port = devlink[n]
    info, rate = infos[n], rates[key]
    rep = query(f"ip -d -s -j link show {port['netdev']}")[0]
    rx, tx = rep["stats64"]["rx"], rep["stats64"]["tx"]
    vlan = info.get("vlan_list", [{}])[0]
    wanted = {
        "name": f"pf{port['pfnum']}vf{n}",
        "pf": pf,
        "vf": n,
        "address": None,   # no PCI functions on this bus
        "driver": None,
        "netdev": None,
        "iommu_group": None,
        "holders": [],
        "representor": port["netdev"],
        "port": None,
        "mac": info["address"],
        "vlan": {"id": vlan.get("vlan", 0), "qos": vlan.get("qos", 0), "proto": vlan.get("protocol", "802.1Q")},
        "trust": info["trust"],
        "spoof_check": info["spoofchk"],
        "link_state": info["link_state"],
        "min_rate": rate.get("tx_share", 0) // 125000,
        "max_rate": rate.get("tx_max", 0) // 125000,
    }
    for field, value in wanted.items():
        equal(vf[field], value, f"VF {n}: {field}")
    # The representor receives what the VF sent.
    counters = vf["representor_counters"]
    for field, value in {
        "rx_packets": rx["packets"], "rx_bytes": rx["bytes"], "rx_dropped": rx["dropped"], "multicast": rx["multicast"],
        "tx_packets": tx["packets"], "tx_bytes": tx["bytes"], "tx_dropped": tx["dropped"],
    }.items():
        equal(counters[field], value, f"VF {n}: counter {field}")
    unknown = set(vf) - set(wanted) - {"counters", "representor_counters"}
    equal(unknown, set(), "fields that nobody compared")
    # iproute2 names the counters of the two directions differently.
    stats, counters = info["stats"], vf["counters"]
    equal([counters[field] for field in ("rx_packets", "rx_bytes", "multicast", "broadcast", "tx_packets", "tx_bytes")],
          [stats["rx"][field] for field in ("packets", "bytes", "multicast", "broadcast")]
          + [stats["tx"][field] for field in ("tx_packets", "tx_bytes")], f"VF {n}: counters of the function")
    # One by one it is the same.
    equal(shunt.json("vf", "show", f"{pf}/{vf['name']}"), vf, f"vf show {vf['name']}")

# Representors.
said = {rep["name"]: rep for rep in shunt.json("rep", "list", pf)}
equal(sorted(said), sorted(["uplink"] + [f"pf0vf{n}" for n in range(VFS)]), "representors")
for name, rep in said.items():
    link = query(f"ip -d -j link show {rep['netdev']}")[0]
    offload = offloads(rep["netdev"])
    equal((rep["ifindex"], rep["mtu"], rep["up"], rep["hw_tc_offload"], rep["external"]),
          (link["ifindex"], link["mtu"], "UP" in link["flags"], offload, False), name)
    port_name = "p1" if name == "uplink" else name
    equal(link["phys_port_name"], port_name, f"phys_port_name of {name}")

# The eswitch.
eswitch = shunt.json("eswitch", "show", pf)[0]
theirs = nic.eswitch()
equal((eswitch["mode"], eswitch["inline_mode"], eswitch["encap_mode"]),
      (theirs["mode"], theirs["inline-mode"], theirs["encap-mode"]), "eswitch")
equal((eswitch["vfs"], eswitch["driver"], eswitch["uplink"]), (VFS, "netdevsim", uplink), "eswitch")
