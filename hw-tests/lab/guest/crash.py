"""kill -9 of shuntd at each boundary of a change of a NIC: after a restart the NIC is as it was told to be."""

import labkit
from labkit import equal, eventually, query
from shunt import Shunt

nic = labkit.nic()
pf = nic.handle
UP = ("eswitch", "set", pf, "--mode", "switchdev", "--vfs", "1", "--representors", "up")
DOWN = ("eswitch", "set", pf, "--mode", "legacy", "--vfs", "0")
HALF = 6  # boundaries of the first of two scenarios: one of all takes longer than a single scenario may
FEWEST = 8  # boundaries of either way


def is_up():
    if (nic.mode(), nic.vfs()) != ("switchdev", 1) or 0 not in nic.vf_ports():
        return False
    netdev = nic.ports()[nic.vf_ports()[0]].get("netdev")
    return bool(netdev) and "UP" in query(f"ip -j link show {netdev}")[0]["flags"]


def is_down():
    return (nic.mode(), nic.vfs(), nic.vf_ports()) == ("legacy", 0, {})


def at_each_boundary(change, done, back, first=1, last=None):
    """Asks for `change`, with shuntd killed at its first boundary, goes `back`, then at its second, and so on until none is left.
    `first` and `last`: only these.
    """
    shunt = Shunt()
    shunt("bridge", "add", "br0")
    shunt(*UP)
    shunt("rep", "attach", "pf0vf0", "br0")
    boundary = first - 1
    while boundary != last:
        boundary += 1
        shunt(*back)
        shunt.end_at(boundary)
        died = shunt.run(*change).returncode != 0
        if died:
            shunt.ended()
            print([line for line in shunt.log().splitlines() if line.startswith("failpoint")][-1])
            shunt.end_at(None)
            assert shunt.start()
        eventually(done, what=f"what was desired, after a kill at boundary {boundary}")
        equal(shunt.nic(pf)["state"], "as desired", "state")
        if not died:
            break
    print(f"killed up to boundary {boundary if died else boundary - 1}")
    assert died or boundary - 1 >= FEWEST
    shunt.end_at(None)
    if change == DOWN:
        shunt(*UP)
    eventually(lambda: shunt.json("port", "list")[0]["state"] == "up", what="the port is back")
