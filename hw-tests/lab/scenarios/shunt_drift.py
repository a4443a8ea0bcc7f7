"""What others change of a NIC is noticed within a second and told; repaired when the configuration says so."""
# lab: memory 1536
# lab: needs shuntd shuntctl
# lab: real eswitch

import time

import labkit
from labkit import equal, eventually, sh
from shunt import Shunt

nic = labkit.nic()
pf = nic.handle
shunt = Shunt()
shunt("eswitch", "set", pf, "--mode", "switchdev", "--vfs", "3", "--representors", "up")
reps = nic.representors(3)


def drifts():
    return [drift["what"] for drift in shunt.nic(pf)["drift"]]


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
bus = nic.bus.parent.parent
took = [
    noticed("set down", f"ip link set {reps[0]} down"),
    noticed("renamed", f"ip link set {reps[1]} name other"),
    noticed("to 1400", f"ip link set {reps[2]} mtu 1400"),
    noticed("mode changed", f"devlink dev eswitch set {pf} mode legacy"),
    noticed("number of VFs", f"echo 0 > {nic.bus}/sriov_numvfs"),
    *([noticed("the device", f"echo {nic.number} > {bus}/del_device; echo '{nic.number} 1' > {bus}/new_device")] if nic.simulated else []),
]
assert max(took) <= 1, took
equal(shunt.nic(pf)["state"], "not as desired", "state")
assert "change" in shunt("nic", "converge", pf, "--dry-run")
shunt("nic", "converge", pf)
equal(nic.mode(), "switchdev", "mode after converging")

# With the policy to repair, without a word from anybody.
shunt.kill()
config = shunt.folder / "shunt.toml"
config.write_text(config.read_text().replace('"report"', '"repair"'))
assert shunt.start()
sh(f"devlink dev eswitch set {pf} mode legacy")
eventually(lambda: nic.mode() == "switchdev" and len(nic.vf_ports()) == 3, what="the mode is repaired")
