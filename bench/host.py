"""The machine that benchmarks run on: programs, huge pages, processes that end with us."""
import contextlib
import ctypes
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
OVS_DPDK = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk"
PAGES = pathlib.Path("/sys/kernel/mm/hugepages/hugepages-2048kB")
# What one switch takes at most, and what is asked for: twice that, since pages of one that ends come back late.
PAGES_NEEDED, PAGES_WANTED = 1024, 2048


class BenchError(Exception):
    """Why something cannot be measured; the text names the remedy."""


def note(text):
    print(text, file=sys.stderr, flush=True)


def programs():
    """The directory of shuntd and shuntctl, built for release when they are missing."""
    given = os.environ.get("SHUNT_BIN")
    directory = pathlib.Path(given) if given else TARGET / "release"
    if not given and not (directory / "shuntd").exists():
        build()
    if not (directory / "shuntd").exists():
        raise BenchError(f"{directory}/shuntd is missing; build it: cargo build --release -p manager -p ctl")
    return directory


def build():
    command = ["cargo", "build", "--quiet", "--release", "--locked", "-p", "manager", "-p", "ctl"]
    subprocess.run(command, cwd=ROOT, check=True, stdout=sys.stderr)


def free_pages():
    try:
        return int((PAGES / "free_hugepages").read_text())
    except (OSError, ValueError):
        return 0


def reserve_pages():
    """Reserve and mount huge pages as root; say the command otherwise. Whether there are enough for the peers."""
    if free_pages() < PAGES_WANTED:
        # Pages of a switch that has just ended may still be on their way back.
        time.sleep(1)
    missing = PAGES_WANTED - free_pages()
    if missing > 0 and PAGES.exists():
        total = int((PAGES / "nr_hugepages").read_text())
        commands = [f"echo {total + missing} > {PAGES}/nr_hugepages"]
        if os.geteuid() == 0:
            try:
                (PAGES / "nr_hugepages").write_text(str(total + missing))
            except OSError as e:
                note(f"cannot reserve huge pages: {e}")
        if free_pages() < PAGES_NEEDED:
            note(f"{free_pages()} huge pages of 2 MiB are free, {PAGES_NEEDED} are needed. As root, on a machine with free memory:\n  "
                 + "\n  ".join(commands))
    if free_pages() >= PAGES_NEEDED and not os.path.ismount("/dev/hugepages"):
        command = ["mount", "-t", "hugetlbfs", "none", "/dev/hugepages"]
        if os.geteuid() == 0:
            os.makedirs("/dev/hugepages", exist_ok=True)
            subprocess.run(command, check=False)
        else:
            note("huge pages are not mounted. As root:\n  " + " ".join(command))
    return free_pages() >= PAGES_NEEDED


def cpus():
    return sorted(os.sched_getaffinity(0))


def why_no_ovs():
    """Why Open vSwitch with DPDK cannot run here, or None."""
    if not os.access(OVS_DPDK, os.X_OK):
        return "Open vSwitch with DPDK is not installed: scripts/deps.sh bench"
    return missing_for_dpdk()


def why_no_testpmd():
    if shutil.which("dpdk-testpmd") is None:
        return "dpdk-testpmd is not installed: scripts/deps.sh bench"
    return missing_for_dpdk()


def missing_for_dpdk():
    if os.geteuid() != 0:
        return "peers need root"
    if len(cpus()) < 2:
        return "peers need two CPUs"
    if free_pages() < PAGES_NEEDED:
        return f"peers need {PAGES_NEEDED} free huge pages of 2 MiB, and {free_pages()} are free"
    return None


def _die_with_parent():
    # PR_SET_PDEATHSIG: a benchmark that is killed leaves no switch behind.
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def spawn(command, log, **options):
    """A process that ends with this one, its output in a file."""
    with open(log, "ab") as out:
        return subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                preexec_fn=_die_with_parent, **options)


def stop(process, patience=5):
    if process is None or process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def run(command, **options):
    """The output of a program that must succeed."""
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
    if done.returncode:
        raise BenchError(f"{pathlib.Path(command[0]).name} {' '.join(str(c) for c in command[1:4])}: "
                         f"{done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def wait_for(ready, what, seconds=30, process=None, log=None):
    """Poll until `ready` is true."""
    until = time.monotonic() + seconds
    while not ready():
        dead = process is not None and process.poll() is not None
        if dead or time.monotonic() > until:
            tail = pathlib.Path(log).read_text(errors="replace")[-2000:] if log and os.path.exists(log) else ""
            raise BenchError(f"{what}: {'it ended' if dead else f'not within {seconds} s'}\n{tail}")
        time.sleep(0.02)


def memory(pid):
    """Resident bytes of a process: ordinary pages, huge pages."""
    fields = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    kib = lambda name: int(fields.get(name, "0 kB").split()[0]) * 1024
    return kib("VmRSS"), kib("HugetlbPages")


@contextlib.contextmanager
def aside(cpu=1):
    """This process, away from the CPU of the PMD; programs started meanwhile too."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, (before - {cpu}) or before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def describe():
    """What figures depend on."""
    info = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "kernel": os.uname().release, "cpus": len(cpus()),
            "load": round(os.getloadavg()[0], 1), "huge_pages_free": free_pages()}
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            info["cpu"] = line.split(":", 1)[1].strip()
            break
    for name, command in (("dpdk", ["pkg-config", "--modversion", "libdpdk"]), ("rustc", ["rustc", "--version"]),
                          ("commit", ["git", "-C", str(ROOT), "rev-parse", "--short=12", "HEAD"])):
        try:
            info[name] = run(command).strip()
        except (BenchError, OSError):
            pass
    if os.access(OVS_DPDK, os.X_OK):
        try:
            info["ovs"] = run([OVS_DPDK, "--version"]).splitlines()[0]
        except BenchError:
            pass
    return info
