"""`make hw-test` refuses to use a NIC that somebody else uses."""
# lab: devices igb
# lab: memory 1536
# lab: needs shuntd shuntctl

from hwtest import ADDRESS, hw_test, name, nic
from labkit import equal, sh


def refused(words, address=ADDRESS):
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
