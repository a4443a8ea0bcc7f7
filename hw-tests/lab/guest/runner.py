"""Runs the scenarios of one boot, one after the other, each in a process of its own, and tidies up after each.

    runner.py NAME ...

/lab/NAME gets: `started`, `log`, `dmesg` (what the kernel said meanwhile), `result` (the exit code; it comes last). The boot ends
with the last scenario, or with the first that failed or left something behind: the others get a fresh guest.
"""

import os
import runpy
import shutil
import signal
import subprocess
import sys
import traceback
from pathlib import Path

import labkit

SHARE = Path("/lab")
SCENARIOS = Path(__file__).resolve().parent.parent / "scenarios"
FAILED = 1
COMPLAINED = 76  # the kernel did
SIGNS = ("WARNING: CPU", "BUG:", "Oops", "general protection fault", "refcount_t:")


def kernel_log():
    return subprocess.run(["dmesg", "--read-clear"], capture_output=True, text=True, check=False).stdout


def scenario(folder, file):
    """The body of the child; its exit code."""
    log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
    nothing = os.open("/dev/null", os.O_RDONLY)
    for fd, to in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(fd, to)
    os.chdir("/tmp")
    code = 0
    labkit.begin(folder)
    try:
        runpy.run_path(file, run_name="__main__")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else FAILED if end.code else 0
    except BaseException:  # whatever it is, it is this scenario's failure
        traceback.print_exc()
        code = FAILED
    labkit.end(code)
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def run(name, file):
    """True when the next scenario may run in this guest."""
    folder = SHARE / name
    (folder / "started").touch()
    child = os.fork()
    if child == 0:
        code = FAILED
        try:
            os.setsid()
            code = scenario(folder, file)
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    code = 128 - code if code < 0 else code
    try:
        os.killpg(child, signal.SIGKILL)  # what it started
    except ProcessLookupError:
        pass
    left = tidy()
    said = kernel_log()
    (folder / "dmesg").write_text(said)
    if code in (0, labkit.SKIP) and any(sign in said for sign in SIGNS):
        code = COMPLAINED
    if left:
        (folder / "left").write_text("\n".join(left) + "\n")
    (folder / "result.new").write_text(str(code))
    (folder / "result.new").rename(folder / "result")
    return code in (0, labkit.SKIP) and not left


def tidy():
    """Takes away the devices that scenarios make; what cannot be taken away."""
    left = []
    for device in Path("/sys/bus/netdevsim/devices").glob("netdevsim*"):
        Path("/sys/bus/netdevsim/del_device").write_text(device.name[len("netdevsim"):])
    for file in Path("/sys/bus/pci/devices").glob("*/sriov_numvfs"):
        if file.read_text().strip() != "0":
            file.write_text("0")
    for device in Path("/sys/devices/virtual/net").iterdir():
        if device.name != "lo":
            subprocess.run(["ip", "link", "del", device.name], capture_output=True, check=False)
    subprocess.run(["tc", "actions", "flush", "action", "police"], capture_output=True, check=False)
    for entry in Path("/tmp").iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink()
    left += [f"netdevsim device {d.name}" for d in Path("/sys/bus/netdevsim/devices").glob("netdevsim*")]
    left += [f"network device {d.name}" for d in Path("/sys/devices/virtual/net").iterdir() if d.name != "lo"]
    return left


def main():
    kernel_log()
    for name in sys.argv[1:]:
        if not run(name, SCENARIOS / f"{name}.py"):
            break


main()
