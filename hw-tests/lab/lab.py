#!/usr/bin/env python3
"""The lab: a small virtual machine with a real kernel, SmartNIC-like devices and this machine's files.

    lab.py run [NAME ...]    run scenarios (all without a name), one boot each; the last line counts them
    lab.py shell [igb]       a shell in the guest
    lab.py list              the scenarios

Everything it makes is in $CARGO_TARGET_DIR/lab (target/lab without one): the guest, kept from run to run, and
run/NAME with the log, console, dumps and captures of each scenario.
"""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPO = HERE.parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", REPO / "target")).resolve()
CACHE = TARGET / "lab"
BINARIES = Path(os.environ.get("LAB_BIN", TARGET / "debug")).resolve()  # ours, which the guest has in its PATH
SKIP = 75  # exit code of image.sh, and of a scenario that cannot run here

# A scenario says what it needs in comment lines "# lab: KEY VALUE" at its top.
# One CPU boots with the least work for the host; what polls on several threads asks for more.
DEFAULTS = {"devices": "", "memory": "1024", "cpus": "1", "seconds": "300", "needs": ""}


def settings(scenario):
    found = dict(DEFAULTS)
    for line in scenario.read_text().splitlines():
        if line.startswith("# lab: "):
            key, _, value = line[len("# lab: "):].partition(" ")
            if key not in found:
                sys.exit(f"{scenario}: unknown setting '{key}': use {', '.join(found)}")
            found[key] = value.strip()
    return found


def scenarios():
    return {file.stem: file for file in sorted((HERE / "scenarios").glob("*.py"))}


def image():
    """The guest's folder, made if need be; or None and why the lab cannot be had here."""
    made = subprocess.run([HERE / "image.sh", CACHE], stdout=subprocess.PIPE, text=True, check=False)
    last = made.stdout.strip().splitlines()[-1:] or [""]
    if made.returncode == SKIP:
        return None, last[0]
    if made.returncode != 0:
        sys.exit("lab: the guest cannot be built (above)")
    return Path(last[0]), ""


def qemu(guest):
    """The emulator's command, and the environment it needs when it was unpacked rather than installed."""
    root = guest / "packages" / "qemu"
    installed = root / "qemu-system-x86_64"
    env = dict(os.environ)
    if installed.exists():
        return [str(installed)], env
    env["LD_LIBRARY_PATH"] = f"{root}/usr/lib/x86_64-linux-gnu:{root}/lib/x86_64-linux-gnu"
    command = [str(root / "usr/bin/qemu-system-x86_64")]
    for folder in ("qemu", "seabios"):
        command += ["-L", str(root / "usr/share" / folder)]
    return command, env


def machine(guest, run, devices, memory, cpus):
    """QEMU's command line: no network but what `devices` names, the host's root and `run` over 9p."""
    command, env = qemu(guest)
    append = "console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable no_timer_check random.trust_cpu=on"
    # On a busy host the guest stands still at times, which is no fault of its kernel.
    append += " nowatchdog rcupdate.rcu_cpu_stall_suppress=1"
    platform = "q35"
    extra = []
    if "igb" in devices.split():
        # SR-IOV functions get IOMMU groups of their own, as on a server.
        platform = "q35,kernel-irqchip=split"
        append += " intel_iommu=on"
        extra = ["-device", "intel-iommu,intremap=on,caching-mode=on"]
        for n in (1, 2):
            extra += ["-netdev", f"hubport,id=wire{n},hubid=0",
                      "-device", f"pcie-root-port,id=slot{n},chassis={n},slot={n}",
                      "-device", f"igb,bus=slot{n},netdev=wire{n},mac=02:00:00:00:00:0{n}"]
    share = "security_model=none,multidevs=remap"
    command += [
        "-M", platform, "-accel", "tcg,thread=multi", "-cpu", "Nehalem", "-smp", str(cpus), "-m", f"{memory}M",
        "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-kernel", str(guest / "vmlinuz"), "-initrd", str(guest / "initrd"), "-append", append,
        "-virtfs", f"local,path=/,mount_tag=root,readonly=on,{share}",
        "-virtfs", f"local,path={run},mount_tag=lab,{share}",
        *extra,
    ]
    return command, env


def prepare(guest, name, scenario):
    """A clean folder for one run, with the script that the guest starts from."""
    run = CACHE / "run" / name
    shutil.rmtree(run, ignore_errors=True)
    run.mkdir(parents=True)
    told = {
        "LAB_SOURCE": HERE,
        "LAB_IMAGE": guest,
        "LAB_KERNEL": (guest / "ready").read_text().strip(),
        "LAB_BIN": BINARIES,
        "LAB_SCENARIO": scenario or "",
        "LAB_TERM": os.environ.get("TERM", "dumb"),
        "LAB_SIZE": "rows {1} cols {0}".format(*shutil.get_terminal_size((100, 40))),
    }
    lines = [f"export {key}={shlex.quote(str(value))}" for key, value in told.items()]
    (run / "job").write_text("\n".join([*lines, f". {shlex.quote(str(HERE / 'guest/stage2.sh'))}", ""]))
    return run


def run_one(guest, name, scenario):
    """Runs one scenario in a fresh guest: 'passed', 'failed' or 'skipped', and what to say about it."""
    wanted = settings(scenario)
    run = prepare(guest, name, scenario)
    for binary in wanted["needs"].split():
        if not (BINARIES / binary).exists():
            return "failed", f"{BINARIES} has no {binary}: cargo build -p manager -p ctl --bins"
    if "igb" in wanted["devices"].split():
        command, env = qemu(guest)
        known = subprocess.run([*command, "-device", "help"], env=env, capture_output=True, text=True, check=False)
        if '"igb"' not in known.stdout:
            return "skipped", "this QEMU has no igb (it came with 8.0)"
    command, env = machine(guest, run, wanted["devices"], wanted["memory"], wanted["cpus"])
    limit = int(wanted["seconds"])
    with (run / "console").open("wb") as console:
        with subprocess.Popen([*command, "-serial", "stdio"], env=env, stdin=subprocess.DEVNULL,
                              stdout=console, stderr=subprocess.STDOUT) as guest_process:
            try:
                guest_process.wait(limit)
            except subprocess.TimeoutExpired:
                guest_process.kill()
                return "failed", f"the guest was still running after {limit} s"
            except BaseException:  # interrupted: no guest stays behind
                guest_process.kill()
                raise
    result = run / "result"
    if not result.exists():
        return "failed", f"the guest ended without a result: see {run}/console"
    code = int(result.read_text())
    log = (run / "log").read_text(errors="replace").strip().splitlines()
    if code == SKIP:
        return "skipped", log[-1] if log else "no reason given"
    dmesg = (run / "dmesg").read_text(errors="replace")
    for sign in ("WARNING: CPU", "BUG:", "Oops", "general protection fault", "refcount_t:"):
        if sign in dmesg:
            return "failed", f"the kernel complained ({sign}): see {run}/dmesg"
    if code == 0:
        return "passed", ""
    return "failed", f"exit code {code}: see {run}\n" + "\n".join(f"    {line}" for line in log[-15:])


def command_run(names):
    known = scenarios()
    for name in names:
        if name not in known:
            sys.exit(f"lab: no scenario '{name}': there are {', '.join(known)}")
    guest, reason = image()
    if guest is None:
        print(f"skipped: {reason}")
        print(f"0 passed, 0 failed, {len(names or known)} skipped")
        return 0
    count = {"passed": 0, "failed": 0, "skipped": 0}
    for name in names or known:
        start = time.monotonic()
        verdict, why = run_one(guest, name, known[name])
        count[verdict] += 1
        print(f"{verdict:8}{name} ({time.monotonic() - start:.1f} s)" + (f": {why}" if why else ""), flush=True)
    line = f"{count['passed']} passed, {count['failed']} failed"
    if count["skipped"]:
        line += f", {count['skipped']} skipped"
    print(line)
    return 1 if count["failed"] else 0


def command_shell(devices):
    guest, reason = image()
    if guest is None:
        sys.exit(f"skipped: {reason}")
    run = prepare(guest, "shell", None)
    command, env = machine(guest, run, " ".join(devices), "3072", 2)
    return subprocess.run([*command, "-serial", "mon:stdio"], env=env, check=False).returncode


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    verb, *rest = sys.argv[1:] or ["help"]
    if verb == "run":
        return command_run(rest)
    if verb == "shell":
        return command_shell(rest)
    if verb == "list":
        print("\n".join(scenarios()))
        return 0
    print(__doc__.strip())
    return 0 if verb == "help" else 2


if __name__ == "__main__":
    sys.exit(main())
