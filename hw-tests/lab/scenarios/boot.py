"""The guest boots into this machine's files, and what it writes stays in it."""

import os
import platform
from pathlib import Path

from labkit import Netdevsim, equal

assert platform.release().startswith("6.12."), platform.release()
assert Path(os.environ["LAB_SOURCE"], "lab.py").exists()
Path("/etc/lab-was-here").write_text("in the guest only\n")
assert "overlay" in Path("/proc/mounts").read_text()

nic = Netdevsim(1, 2)
equal(len(nic.ports()), 2, "uplinks")
nic.remove()
