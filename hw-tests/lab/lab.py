#!/usr/bin/env python3
"""The lab: a small virtual machine with a real kernel, SmartNIC-like devices and this machine's files.

    lab.py run [NAME ...]    run scenarios (all without a name); the last line counts them
    lab.py shell [igb]       a shell in the guest
    lab.py list              the scenarios

Scenarios that need the same machine share a boot; after a failure the next one gets a fresh guest. All that is made is in
$CARGO_TARGET_DIR/lab (target/lab without one): the guest, kept from run to run; run/NAME with the log, dumps and captures
of each scenario; run/guest-N with the console of each boot. LAB_SECONDS bounds a run of scenarios (1800).
"""

import fcntl
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
COMPLAINED = 76  # of a scenario during which the kernel complained

# A scenario says what it needs in comment lines "# lab: KEY VALUE" at its top.
# One CPU boots with the least work for the host; what polls on several threads asks for more.
# `real`: it can be run on a real NIC too, one with an eswitch, or one with VFs only (sriov): see hw.py.
DEFAULTS = {"devices": "", "memory": "1024", "cpus": "1", "seconds": "300", "needs": "", "real": ""}


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


def machine(guest, share, devices, memory, cpus):
    """QEMU's command line: no network but what `devices` names, the host's root and `share` over 9p."""
    command, env = qemu(guest)
    append = "console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable no_timer_check random.trust_cpu=on"
    # On a busy host the guest stands still at times, which is no fault of its kernel.
    append += " nowatchdog rcupdate.rcu_cpu_stall_suppress=1"
    # The guest's clock counts instructions, one a nanosecond, so that what it waits for does not pass by while it stands still.
    clock = ["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=on"]
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
    options = "security_model=none,multidevs=remap"
    command += [
        "-M", platform, *clock, "-cpu", "Nehalem", "-smp", str(cpus), "-m", f"{memory}M",
        "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-kernel", str(guest / "vmlinuz"), "-initrd", str(guest / "initrd"), "-append", append,
        "-virtfs", f"local,path=/,mount_tag=root,readonly=on,{options}",
        "-virtfs", f"local,path={share},mount_tag=lab,{options}",
        *extra,
    ]
    return command, env


def prepare(guest, share, boot, names=()):
    """The script that the guest starts from, in the folder that it shares with us."""
    (share / boot).mkdir(parents=True, exist_ok=True)
    told = {
        "LAB_SOURCE": HERE,
        "LAB_IMAGE": guest,
        "LAB_KERNEL": (guest / "ready").read_text().strip(),
        "LAB_BIN": BINARIES,
        "LAB_BOOT": boot,
        "LAB_SCENARIOS": " ".join(names),
        "LAB_TERM": os.environ.get("TERM", "dumb"),
        "LAB_SIZE": "rows {1} cols {0}".format(*shutil.get_terminal_size((100, 40))),
    }
    lines = [f"export {key}={shlex.quote(str(value))}" for key, value in told.items()]
    (share / "job").write_text("\n".join([*lines, f". {shlex.quote(str(HERE / 'guest/stage2.sh'))}", ""]))


class Clock:
    """Time that the guest had: a busy machine lets it stand still, which is no fault of a scenario's."""

    def __init__(self, process):
        self.process = process
        self.start = time.monotonic()
        self.waited = self.used = 0.0

    def look(self):
        """Seconds since the start; those of them in which the guest's CPU waited for one of ours; CPU seconds that it used."""
        busiest, used = (0, 0), 0.0
        for task in Path(f"/proc/{self.process.pid}/task").glob("*/schedstat"):
            try:
                ran, waited, _ = map(int, task.read_text().split())
            except (OSError, ValueError):
                continue
            busiest = max(busiest, (ran, waited))
        try:  # of all its threads, those that have ended too
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
            used = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except OSError:
            pass
        # They stay when the process has ended.
        self.waited, self.used = max(self.waited, busiest[1] / 1e9), max(self.used, used)
        return time.monotonic() - self.start, self.waited, self.used


class Run:
    """The scenarios of one call, and what became of them."""

    def __init__(self, guest, names):
        self.guest = guest
        self.wanted = {name: settings(file) for name, file in scenarios().items() if name in names}
        self.verdicts = {}
        self.boots = 0
        self.used = 0.0
        self.start = time.monotonic()
        self.end = self.start + int(os.environ.get("LAB_SECONDS", "1800"))
        self.share = CACHE / "run"
        if not names or set(names) == set(scenarios()):
            shutil.rmtree(self.share, ignore_errors=True)
        self.share.mkdir(parents=True, exist_ok=True)
        for name in names:
            shutil.rmtree(self.share / name, ignore_errors=True)
            (self.share / name).mkdir()

    def tell(self, name, verdict, why="", times=None):
        """Says what became of a scenario; `times`: how long it took, how much of it the guest stood still, and its CPU time."""
        self.verdicts[name] = verdict
        line = f"{verdict:8}{name}"
        if times:
            line += f" ({times[0]:.1f} s, {times[2]:.1f} s of CPU)"
        print(line + (f": {why}" if why else ""), flush=True)

    def pending(self):
        """The scenarios of the next boot: those that need the same machine as the first one that is left."""
        left = [name for name in self.wanted if name not in self.verdicts]
        kind = {name: (self.wanted[name]["devices"], self.wanted[name]["cpus"]) for name in left}
        return [name for name in left if kind[name] == kind[left[0]]]

    def check(self):
        """Takes out what cannot run."""
        for name, wanted in self.wanted.items():
            for binary in wanted["needs"].split():
                if name not in self.verdicts and not (BINARIES / binary).exists():
                    self.tell(name, "failed", f"{BINARIES} has no {binary}: cargo build -p manager -p ctl --bins")
            if name not in self.verdicts and "igb" in wanted["devices"].split():
                command, env = qemu(self.guest)
                known = subprocess.run([*command, "-device", "help"], env=env, capture_output=True, text=True, check=False)
                if '"igb"' not in known.stdout:
                    self.tell(name, "skipped", "this QEMU has no igb (it came with 8.0)")

    def all(self):
        """Runs them; the exit code."""
        self.check()
        while len(self.verdicts) < len(self.wanted):
            self.boot(self.pending())
        count = {verdict: list(self.verdicts.values()).count(verdict) for verdict in ("passed", "failed", "skipped")}
        took = time.monotonic() - self.start
        boots = f"{self.boots} boot{'s' if self.boots != 1 else ''}"
        print(f"{boots}, {took:.1f} s, {self.used:.1f} s of CPU; load {os.getloadavg()[0]:.1f}")
        line = f"{count['passed']} passed, {count['failed']} failed"
        if count["skipped"]:
            line += f", {count['skipped']} skipped"
        print(line)
        return 1 if count["failed"] or count["passed"] + count["skipped"] != len(self.wanted) else 0

    def boot(self, names):
        """Runs scenarios in a fresh guest, until one fails; at least one gets its verdict."""
        self.boots += 1
        boot = f"guest-{self.boots}"
        wanted = self.wanted[names[0]]
        memory = max(int(self.wanted[name]["memory"]) for name in names)
        prepare(self.guest, self.share, boot, names)
        command, env = machine(self.guest, self.share, wanted["devices"], memory, wanted["cpus"])
        with (self.share / boot / "console").open("wb") as console:
            with subprocess.Popen([*command, "-serial", "stdio"], env=env, stdin=subprocess.DEVNULL,
                                  stdout=console, stderr=subprocess.STDOUT) as process:
                clock = Clock(process)
                try:
                    left = self.watch(clock, names)
                finally:  # interrupted or too late: no guest stays behind
                    process.kill()
        self.used += clock.used
        # Not run because the one before failed or left something: the next boot's. Nothing run at all: that is a failure.
        if left == names:
            why = f"the guest did not come up: see {self.share / boot}/console"
            self.tell(names[0], "failed", why, clock.look())

    def watch(self, clock, names):
        """Follows a boot to its end; the scenarios that have no verdict."""
        left = list(names)
        since = (0.0, 0.0, 0.0)  # the first one's time includes the boot
        while left:
            name = left[0]
            folder = self.share / name
            ended = clock.process.poll() is not None
            now = clock.look()
            (self.share / "waited").write_text(f"{now[1]:.2f}\n")
            times = tuple(a - b for a, b in zip(now, since))
            if (folder / "result").exists():
                self.judge(name, times)
                left.pop(0)
                since = now
            elif ended:
                if (folder / "started").exists():
                    self.tell(name, "failed", f"the guest ended without a result: see {folder} and the console", times)
                    left.pop(0)
                return left
            elif times[0] - times[1] > int(self.wanted[name]["seconds"]):
                why = f"still running after {self.wanted[name]['seconds']} s: see {folder}"
                self.tell(name, "failed", why, times)
                return left[1:]
            elif time.monotonic() > self.end:
                for name in [n for n in self.wanted if n not in self.verdicts]:
                    self.tell(name, "failed", "no time left: LAB_SECONDS bounds all scenarios together")
                return []
            else:
                time.sleep(0.1)
        try:
            clock.process.wait(60)
        except subprocess.TimeoutExpired:
            print("lab: the guest did not power off", flush=True)
        return left

    def judge(self, name, times):
        folder = self.share / name
        code = int((folder / "result").read_text())
        log = (folder / "log").read_text(errors="replace").strip().splitlines() if (folder / "log").exists() else []
        left = (folder / "left").read_text().strip().replace("\n", ", ") if (folder / "left").exists() else ""
        if code == SKIP:
            self.tell(name, "skipped", log[-1] if log else "no reason given", times)
        elif code == COMPLAINED:
            self.tell(name, "failed", f"the kernel complained: see {folder}/dmesg", times)
        elif code != 0:
            why = f"exit code {code}: see {folder}\n" + "\n".join(f"    {line}" for line in log[-15:])
            self.tell(name, "failed", why, times)
        elif left:
            self.tell(name, "failed", f"left behind, and cannot be taken away: {left}", times)
        else:
            self.tell(name, "passed", "", times)


def command_run(names):
    known = scenarios()
    for name in names:
        if name not in known:
            sys.exit(f"lab: no scenario '{name}': there are {', '.join(known)}")
    names = names or list(known)
    guest, reason = image()
    if guest is None:
        print(f"skipped: {reason}")
        print(f"0 passed, 0 failed, {len(names)} skipped")
        return 0
    with (CACHE / "run.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(f"lab: another run of scenarios uses {CACHE}/run")
        return Run(guest, names).all()


def command_shell(devices):
    guest, reason = image()
    if guest is None:
        sys.exit(f"skipped: {reason}")
    share = CACHE / "shell"
    prepare(guest, share, "shell")
    command, env = machine(guest, share, " ".join(devices), "3072", 2)
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
