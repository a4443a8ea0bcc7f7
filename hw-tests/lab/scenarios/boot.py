"""The guest boots into this machine's files, and what it writes stays in it."""

import os
import platform
from pathlib import Path

assert platform.release().startswith("6.12."), platform.release()
assert Path("/sys/bus/netdevsim").is_dir(), "netdevsim is not loaded"
assert Path(os.environ["LAB_SOURCE"], "lab.py").exists()
Path("/etc/lab-was-here").write_text("in the guest only\n")
assert "overlay" in Path("/proc/mounts").read_text()
