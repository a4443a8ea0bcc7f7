"""`make hw-test` on a PCI function of the guest: what it refuses to use, what it runs, and that it leaves the NIC as it found it."""
# lab: devices igb
# lab: memory 1536
# lab: needs shuntd shuntctl

import os
import subprocess
from pathlib import Path

from labkit import RealNic, equal, sh

PROGRAM = Path(__file__).resolve().parent.parent / "hw.py"

sh("modprobe -a igb igbvf vfio-pci")
cards = sorted(function.name for function in Path("/sys/bus/pci/drivers/igb").glob("0000:*"))
nic = RealNic(cards[0])
name = nic.uplink()


def hw_test(address, *names):
    env = dict(os.environ, SHUNT_LAB_PF=address, CARGO_TARGET_DIR="/tmp/target", LAB_BIN=str(Path("/proc/self/cwd")))
    env["LAB_BIN"] = next(folder for folder in os.environ["PATH"].split(":") if Path(folder, "shuntd").exists())
    done = subprocess.run([PROGRAM, *names], env=env, capture_output=True, text=True, check=False)
    print(f"$ hw.py {address}\n{done.stdout}{done.stderr}", flush=True)
    return done


def refused(words, address=cards[0]):
    done = hw_test(address)
    equal((done.returncode, done.stdout), (2, ""), "exit status and output of a refusal")
    assert words in done.stderr, done.stderr


# What it does not touch.
refused("no PCI function", "0000:ff:00.0")
sh(f"ip addr add 192.0.2.2/24 dev {name} && ip link set {name} up && ip route add default via 192.0.2.1")
refused(f"default route of this machine goes out by {name}")
sh("ip route del default")
sh(f"ip link add br9 type bridge && ip link set {name} master br9 && ip link set br9 up && ip addr add 198.51.100.2/24 dev br9")
sh("ip route add default via 198.51.100.1")
refused("goes out by br9")
sh("ip link del br9")
sh(f"ip -6 addr add 2001:db8::2/64 dev {name} nodad && ip -6 route add default via 2001:db8::1 dev {name}")
refused(f"goes out by {name}")
sh(f"ip -6 route del default && ip addr flush dev {name}")
nic.set_vfs(1)
refused("has 1 VFs")
refused("is a VF itself", (nic.bus / "virtfn0").resolve().name)
nic.set_vfs(0)

# What it runs, and what is left.
sh(f"ip link set {name} down mtu 1400")
done = hw_test(cards[0], "shunt_igb", "shunt_switchdev")
equal(done.returncode, 0, "exit status")
assert done.stdout.endswith("skipped shunt_switchdev: it is for NICs with an eswitch\n1 passed, 0 failed, 1 skipped\n"), done.stdout
link = subprocess.run(["ip", "link", "show", name], capture_output=True, text=True, check=True).stdout
assert "mtu 1400" in link and "UP" not in link.split(">")[0], link
equal(nic.vfs(), 0, "VFs at last")
