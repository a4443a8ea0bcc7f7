"""`make hw-test` on a PCI function of the guest: what it runs, and that it leaves the NIC as it found it."""
# lab: devices igb
# lab: memory 1536
# lab: needs shuntd shuntctl

import subprocess

from hwtest import ADDRESS, hw_test, name, nic
from labkit import equal, sh

sh(f"ip link set {name} down mtu 1400")
done = hw_test(ADDRESS, "shunt_igb", "shunt_switchdev")
equal(done.returncode, 0, "exit status")
assert done.stdout.endswith("skipped shunt_switchdev: it is for NICs with an eswitch\n1 passed, 0 failed, 1 skipped\n"), done.stdout
link = subprocess.run(["ip", "link", "show", name], capture_output=True, text=True, check=True).stdout
assert "mtu 1400" in link and "UP" not in link.split(">")[0], link
equal(nic.vfs(), 0, "VFs at last")
