"""Open vSwitch with DPDK, and testpmd: the peer and the limit."""
import os
import pathlib
import re
import tempfile
import time

import host
from switch import Bench, Vswitchd


class Ovs(Vswitchd, Bench):
    """One ovs-vswitchd with the bridge br0, one PMD on CPU 1, alone in a directory of its own."""

    name = "ovs"

    def __init__(self, options=""):
        why = host.why_no_ovs()
        if why:
            raise host.BenchError(why)
        super().__init__("shunt-bench-ovs-", "/")
        self.options = options

    def start(self):
        # In memory only: no files of huge pages stay behind when it is killed.
        self.start_database(["dpdk-init=true", "dpdk-socket-mem=1024", "pmd-cpu-mask=0x2", "dpdk-lcore-mask=0x1",
                             "dpdk-extra=--no-pci --in-memory"] + self.options.split())
        self.start_switch(host.OVS_DPDK, seconds=60)
        self.vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev", "fail-mode=secure")
        self.ofctl("del-flows")

    def appctl(self, *args):
        return host.run(["ovs-appctl", "-t", self.dir / "vswitchd.ctl", *args], env=self.env)

    @property
    def pid(self):
        return self.processes[-1].pid

    def port(self, name, devargs, number):
        self.vsctl("add-port", "br0", name, "--", "set", "Interface", name, "type=dpdk", f'options:dpdk-devargs="{devargs}"',
                   f"ofport_request={number}")
        error = self.vsctl("get", "Interface", name, "error").strip()
        if error not in ("[]", '""'):
            raise host.BenchError(f"ovs-vswitchd: port {name}: {error}")

    def perf(self):
        return self.appctl("dpif-netdev/pmd-perf-show")

    def flow_count(self):
        """Flows now and the limit that revalidation has set."""
        shown = self.appctl("upcall/show")
        return int(re.search(r"current (\d+)", shown).group(1))

    def misses(self):
        perf = self.perf()
        return number(perf, r"Rx packets: +(\d+)"), number(perf, r"Upcalls: +(\d+)")

    def measure(self, seconds):
        self.appctl("dpif-netdev/pmd-stats-clear")
        time.sleep(seconds)
        perf = self.perf()
        packets, took = number(perf, r"Rx packets: +(\d+)"), number(perf, r"Measurement duration: ([0-9.]+)", float)
        return {
            "switch": "ovs", "mpps": round(packets / max(took, 1e-9) / 1e6, 3), "cycles_per_packet": number(perf, r", (\d+) cycles/pkt"),
            "upcalls": number(perf, r"Upcalls: +(\d+)"), "megaflows": self.flow_count(),
            "subtables_per_megaflow_hit": number(perf, r"([0-9.]+) subtbl", float), "options": self.options,
        }


def number(text, pattern, kind=int):
    """The first number of that form; 0 when there is none."""
    found = re.search(pattern, text)
    return kind(found.group(1)) if found else kind(0)


def tsc_hz():
    """The frequency of the time stamp counter, from the kernel's calibration: BogoMIPS on x86 are two a cycle."""
    fields = dict(line.split(":", 1) for line in open("/proc/cpuinfo") if ":" in line)
    fields = {name.strip().lower(): text.strip() for name, text in fields.items()}
    if "cpu mhz" in fields:
        return float(fields["bogomips"]) * 1e6 / 2
    raise host.BenchError("the frequency of this CPU's counter is not known here")


def testpmd(pcap, mode="io", seconds=5, options=",infinite_rx=1"):
    """testpmd moves the same capture to net_null on CPU 1 without switching: the limit."""
    why = host.why_no_testpmd()
    if why:
        raise host.BenchError(why)
    command = ["dpdk-testpmd", "--lcores", "0@0,1@1", "--no-pci", "--in-memory", f"--file-prefix=limit{os.getpid()}",
               f"--vdev=net_pcap0,rx_pcap={pcap}{options}", "--vdev=net_null1,no-rx=1", "--", f"--forward-mode={mode}",
               "--nb-cores=1", "--auto-start", "--stats-period", "1", "--total-num-mbufs=262144"]
    with tempfile.TemporaryDirectory(prefix="shunt-bench-") as directory:
        log = pathlib.Path(directory) / "log"
        # It ends when its input does; ours is a pipe that stays open.
        reader, writer = os.pipe()
        with open(log, "wb") as out:
            process = host.subprocess.Popen(command, stdin=reader, stdout=out, stderr=out, preexec_fn=host._die_with_parent)
        os.close(reader)
        try:
            rates = lambda: [int(n) for n in re.findall(r"Rx-pps: +(\d+)", log.read_text(errors="replace"))]
            # Both ports print; the first reading is of its start.
            host.wait_for(lambda: len(rates()) >= 2 * (seconds + 2), "dpdk-testpmd", 30 + 2 * seconds, process, log)
        finally:
            os.close(writer)
            host.stop(process)
        moved = sorted(rate for rate in rates()[2:] if rate)
    if not moved:
        raise host.BenchError("dpdk-testpmd moved nothing")
    pps = moved[len(moved) // 2]
    return {"limit": f"testpmd-{mode}", "mpps": round(pps / 1e6, 3), "cycles_per_packet": round(tsc_hz() / pps, 1)}
