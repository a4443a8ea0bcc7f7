"""`make hw-test` in the guest, on one of its igb."""

import os
import subprocess
from pathlib import Path

from labkit import RealNic, sh

PROGRAM = Path(__file__).resolve().parent.parent / "hw.py"

sh("modprobe -a igb igbvf vfio-pci")
nic = RealNic(min(function.name for function in Path("/sys/bus/pci/drivers/igb").glob("0000:*")))
ADDRESS = nic.bus.name
name = nic.uplink()


def hw_test(address, *names):
    env = dict(os.environ, SHUNT_LAB_PF=address, CARGO_TARGET_DIR="/tmp/target")
    env["LAB_BIN"] = next(folder for folder in os.environ["PATH"].split(":") if Path(folder, "shuntd").exists())
    done = subprocess.run([PROGRAM, *names], env=env, capture_output=True, text=True, check=False)
    print(f"$ hw.py {address}\n{done.stdout}{done.stderr}", flush=True)
    return done
