"""What others change of a NIC is noticed within a second and told; repaired when the configuration says so."""
# lab: memory 1536
# lab: needs shuntd shuntctl

import time

from labkit import Netdevsim, equal, eventually, sh
from shunt import Shunt

nic = Netdevsim(1)
pf = nic.handle
shunt = Shunt()
shunt("eswitch", "set", pf, "--mode", "switchdev", "--vfs", "3", "--representors", "up")
reps = nic.representors(3)


def drifts():
    _, all_nics = shunt.get("/v1/nics")
    return [drift["what"] for drift in next(n for n in all_nics if n["pf"] == pf)["drift"]]


def noticed(words, command):
    """Does it, and sees that it is told: how long that took."""
    before = len(drifts())
    sh(command)
    start = time.monotonic()
    eventually(lambda: any(words in what for what in drifts()[before:]), 20, f"'{words}' is told")
    took = time.monotonic() - start
    print(f"{words}: {took:.2f} s")
    return took


def listens():
    """shuntd takes what comes with a change of its own for its own: something else until it tells of it."""
    sh(f"ip link set {reps[2]} mtu {1500 + int(time.monotonic() * 10) % 50}")
    time.sleep(0.3)
    return drifts()


eventually(listens, what="shuntd listens again after its own change")
took = [
    noticed("set down", f"ip link set {reps[0]} down"),
    noticed("renamed", f"ip link set {reps[1]} name other"),
    noticed("to 1400", f"ip link set {reps[2]} mtu 1400"),
    noticed("mode changed", f"devlink dev eswitch set {pf} mode legacy"),
    noticed("number of VFs", f"echo 0 > {nic.bus}/sriov_numvfs"),
    noticed("the device", f"echo 1 > /sys/bus/netdevsim/del_device; echo '1 1' > /sys/bus/netdevsim/new_device"),
]
assert max(took) <= 1, took
equal(shunt.json("nic", "list")[0]["state"], "not as desired", "state")
assert "change" in shunt("nic", "converge", "--dry-run")
shunt("nic", "converge")
equal(nic.eswitch()["mode"], "switchdev", "mode after converging")

# With the policy to repair, without a word from anybody.
shunt.kill()
config = shunt.folder / "shunt.toml"
config.write_text(config.read_text().replace('"report"', '"repair"'))
assert shunt.start()
sh(f"devlink dev eswitch set {pf} mode legacy")
eventually(lambda: nic.eswitch()["mode"] == "switchdev" and len(nic.ports()) == 4, what="the mode is repaired")
