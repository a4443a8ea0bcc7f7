#!/usr/bin/env python3
"""The lab's scenarios on a NIC of this machine: SHUNT_LAB_PF=0000:08:00.0 hw.py [NAME ...]

Runs those that say "# lab: real eswitch" or "# lab: real sriov" (for NICs without an eswitch), with shuntd and shuntctl of $LAB_BIN
($CARGO_TARGET_DIR/debug). The NIC must be one that nobody uses: without VFs, in legacy, and not the way of this machine to the world.
After each scenario it is put back into the state in which it was found; what differs is told, and fails the scenario.
$CARGO_TARGET_DIR/hw/NAME/log has the log of each. The last line counts them. Exit status: 0 all passed, 1 not, 2 this NIC may not be used.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "guest"))
import lab  # noqa: E402  its neighbour
import labkit  # noqa: E402


def ask(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return json.loads(done.stdout) if done.returncode == 0 and done.stdout.strip() else None


def above(netdev):
    """A netdev and what is stacked on it: bonds, bridges, VLANs."""
    found = [netdev]
    for name in found:
        found += [up.name[len("upper_"):] for up in Path(f"/sys/class/net/{name}").glob("upper_*")
                  if up.name[len("upper_"):] not in found]
    return found


def why_not(nic):
    """Why this NIC may not be used; None when it may."""
    address = nic.bus.name
    if os.geteuid() != 0:
        return "VFs and modes are root's to change: run it as root"
    if not nic.bus.is_dir():
        return f"there is no PCI function {address}: see lspci -D"
    if not (nic.bus / "sriov_totalvfs").exists():
        return f"{address} has no SR-IOV, or is a VF itself: name a PF, with SR-IOV switched on in its firmware"
    netdevs = sorted(os.listdir(nic.bus / "net")) if (nic.bus / "net").is_dir() else []
    if not netdevs:
        return f"{address} has no network device: let its kernel driver have it"
    used = {name for netdev in netdevs for name in above(netdev)}
    for family in ("-4", "-6"):
        for route in ask(["ip", family, "-j", "route", "show", "default", "table", "all"]) or []:
            ways = [route.get("dev")] + [hop.get("dev") for hop in route.get("nexthops", [])]
            for dev in used.intersection(ways):
                return f"the default route of this machine goes out by {dev}, which is {address}: name another NIC"
    if nic.vfs() != 0:
        return f"{address} has {nic.vfs()} VFs, which somebody may use: remove them (echo 0 > {nic.bus}/sriov_numvfs)"
    if nic.has_eswitch() and nic.mode() != "legacy":
        return f"{address} is in mode {nic.mode()}, which somebody may use: devlink dev eswitch set {nic.handle} mode legacy"
    return None


class State:
    """What of a NIC is put back. Its netdev may have another index and name afterwards, as modes make it anew."""

    def __init__(self, nic):
        self.nic = nic
        self.before = self.read()

    def read(self):
        nic = self.nic
        link = ask(["ip", "-d", "-j", "link", "show", nic.uplink()])[0]
        return {
            "VFs": nic.vfs(),
            "mode": nic.mode() if nic.has_eswitch() else None,
            "encap-mode": nic.eswitch().get("encap-mode") if nic.has_eswitch() else None,
            "up": "UP" in link["flags"],
            "mtu": link["mtu"],
            "address": link["address"],
            "hw-tc-offload": labkit.offloads(nic.uplink()),
        }

    def restore(self):
        """Puts it back; what could not be."""
        nic, before = self.nic, self.before
        if nic.vfs() != before["VFs"]:
            nic.set_vfs(before["VFs"])
        if before["mode"] and nic.mode() != before["mode"]:
            nic.set_mode(before["mode"])
        now = self.read()
        if before["encap-mode"] != now["encap-mode"]:
            labkit.sh(f"devlink dev eswitch set {nic.handle} encap-mode {before['encap-mode']}")
        name = nic.uplink()
        if now["hw-tc-offload"] != before["hw-tc-offload"]:
            labkit.sh(f"ethtool -K {name} hw-tc-offload {'on' if before['hw-tc-offload'] else 'off'}")
        if (now["up"], now["mtu"]) != (before["up"], before["mtu"]):
            labkit.sh(f"ip link set {name} mtu {before['mtu']} {'up' if before['up'] else 'down'}")
        now = self.read()
        return [f"{key} is {now[key]}, was {was}" for key, was in before.items() if now[key] != was]


def run(name, file, address, seconds):
    """Runs one scenario; its exit code and the end of its log."""
    folder = lab.TARGET / "hw" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="shunt-hw-") as scratch:
        env = dict(os.environ, SHUNT_LAB_PF=address, SHUNT_LAB_FOLDER=f"{scratch}/shunt", PYTHONPATH=str(HERE / "guest"),
                   PYTHONDONTWRITEBYTECODE="1", PATH=f"{lab.BINARIES}:{os.environ['PATH']}", LC_ALL="C.UTF-8")
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen([sys.executable, "-u", file], env=env, stdin=subprocess.DEVNULL, stdout=log,
                                       stderr=log, cwd=scratch, start_new_session=True)
            try:
                code = process.wait(seconds)
            except subprocess.TimeoutExpired:
                code = f"still running after {seconds} s"
            finally:  # shuntd too, which it started
                try:
                    os.killpg(process.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
                process.wait()
    return code, (folder / "log").read_text(errors="replace").strip().splitlines()


def main():
    address = os.environ.get("SHUNT_LAB_PF")
    if not address:
        sys.exit("hw: name the PF to be used: SHUNT_LAB_PF=0000:08:00.0 make hw-test")
    nic = labkit.RealNic(address)
    reason = why_not(nic)
    if reason:
        print(f"hw: {reason}", file=sys.stderr)
        return 2
    missing = [binary for binary in ("shuntd", "shuntctl") if not (lab.BINARIES / binary).exists()]
    if missing:
        print(f"hw: {lab.BINARIES} has no {missing[0]}: cargo build -p manager -p ctl --bins", file=sys.stderr)
        return 2
    kind = "eswitch" if nic.has_eswitch() else "sriov"
    real = {name: (file, lab.settings(file)) for name, file in lab.scenarios().items() if lab.settings(file)["real"]}
    unknown = [name for name in sys.argv[1:] if name not in real]
    if unknown:
        print(f"hw: no scenario '{unknown[0]}' for real NICs: there are {', '.join(real)}", file=sys.stderr)
        return 2
    state = State(nic)
    print(f"{nic.handle}, driver {(nic.bus / 'driver').resolve().name}, {nic.uplink()}: {state.before}", flush=True)
    count = {"passed": 0, "failed": 0, "skipped": 0}

    def tell(name, verdict, why=""):
        count[verdict] += 1
        print(f"{verdict:8}{name}" + (f": {why}" if why else ""), flush=True)

    for name, (file, wanted) in real.items():
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        if wanted["real"] != kind:
            tell(name, "skipped", f"it is for NICs {'with' if wanted['real'] == 'eswitch' else 'without'} an eswitch")
            continue
        code, log = run(name, file, address, int(wanted["seconds"]))
        left = state.restore()
        if code == lab.SKIP:
            tell(name, "skipped", log[-1] if log else "no reason given")
        elif code != 0:
            tell(name, "failed", f"{code}: see {lab.TARGET}/hw/{name}/log\n" + "\n".join(f"    {x}" for x in log[-15:]))
        elif left:
            tell(name, "failed", f"not as it was found: {'; '.join(left)}")
        else:
            tell(name, "passed")
    print(", ".join(f"{n} {verdict}" for verdict, n in count.items() if n or verdict != "skipped"))
    return 1 if count["failed"] or not count["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
