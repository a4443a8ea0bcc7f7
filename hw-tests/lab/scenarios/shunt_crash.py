"""kill -9 at each boundary of a change of a NIC: after a restart the NIC is as it was told to be. Looked at with devlink and ip."""
# lab: memory 1536
# lab: needs shuntd shuntctl

from labkit import Netdevsim, equal, eventually, query
from shunt import Shunt

nic = Netdevsim(1)
pf = nic.handle
UP = ("eswitch", "set", pf, "--mode", "switchdev", "--vfs", "1", "--representors", "up")
DOWN = ("eswitch", "set", pf, "--mode", "legacy", "--vfs", "0")


def vfs():
    return nic.bus.joinpath("sriov_numvfs").read_text().strip()


def is_up():
    if nic.eswitch()["mode"] != "switchdev" or vfs() != "1":
        return False
    netdev = nic.ports().get(128, {}).get("netdev")
    return bool(netdev) and "UP" in query(f"ip -j link show {netdev}")[0]["flags"]


def is_down():
    return (nic.eswitch()["mode"], vfs(), sorted(nic.ports())) == ("legacy", "0", [0])


shunt = Shunt()
shunt("bridge", "add", "br0")
shunt(*UP)
shunt("rep", "attach", "pf0vf0", "br0")
killed = {UP: 0, DOWN: 0}
boundary = 1  # which shuntd comes to when it starts: what is desired is on disk
before = None
while before != killed:  # until neither change has a boundary of this number
    before = dict(killed)
    boundary += 1
    for change, done in ((DOWN, is_down), (UP, is_up)):
        shunt.kill()
        assert shunt.start(f"nic-boundary:{boundary}"), "it ended before the change"
        if shunt.run(*change).returncode != 0:
            shunt.ended()
            killed[change] += 1
            print([line for line in shunt.log().splitlines() if line.startswith("failpoint")][-1])
            assert shunt.start()
        eventually(done, what=f"what was desired, after a kill at boundary {boundary}")
        equal(shunt.get("/v1/nics")[1][0]["state"], "as desired", "state")
print(f"killed at {killed[DOWN]} boundaries on the way down, at {killed[UP]} on the way up")
assert min(killed.values()) >= 8, killed
eventually(lambda: shunt.json("port", "list")[0]["state"] == "up", what="the port is back")
