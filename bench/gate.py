#!/usr/bin/env python3
"""Instructions a packet, counted by callgrind, against the numbers that are kept: the gate of `make gate`.

    gate.py            compare; exit 1 when a case needs over 3 % more than its baseline
    gate.py --record   measure and keep

Instructions are counted inside the polls of a PMD only (of the translation, for `translate`), and hardly change from run to run,
whatever else the machine does. They depend on the compiler and on DPDK's inline functions: with others than those of the baseline
nothing can be said, and the gate is skipped. Fewer instructions are shown, so that the baseline can follow (`make gate-record`).
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

import host

BASELINE = host.ROOT / "datapath/benches/instructions.json"
MOST = 1.03
PACKETS = 8192
CASES = ("extract", "cache_hit", "megaflow_hit_1", "megaflow_hit_8", "megaflow_hit_32", "miss", "actions")


def toolchain():
    """What the numbers are of."""
    return {"arch": os.uname().machine, "rustc": host.run(["rustc", "--version"]).strip(),
            "dpdk": host.run(["pkg-config", "--modversion", "libdpdk"]).strip(),
            "valgrind": host.run(["valgrind", "--version"]).strip()}


def executable(package, bench):
    """The built program of a benchmark."""
    command = ["cargo", "bench", "--locked", "--no-run", "--message-format=json", "-p", package, "--bench", bench]
    done = subprocess.run(command, cwd=host.ROOT, stdout=subprocess.PIPE, text=True, check=True)
    found = [m["executable"] for m in map(json.loads, done.stdout.splitlines())
             if m.get("reason") == "compiler-artifact" and m["target"]["name"] == bench and m.get("executable")]
    return found[-1]


def count(program, args):
    """Instructions a packet."""
    with tempfile.TemporaryDirectory(prefix="shunt-bench-") as directory:
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={directory}/out", "--toggle-collect=*measured*", program, *args, str(PACKETS)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    found = re.search(r"Collected : (\d+)", done.stdout)
    if done.returncode or not found or int(found.group(1)) == 0:
        raise host.BenchError(f"{' '.join(args)}: callgrind counted nothing:\n{done.stdout[-2000:]}")
    return round(int(found.group(1)) / PACKETS, 1)


def measure():
    datapath, pipeline = executable("datapath", "instructions"), executable("pipeline", "translate")
    counted = {case: count(datapath, [case]) for case in CASES}
    counted["translate"] = count(pipeline, ["instructions"])
    return counted


def compare(before, now):
    """Lines to print, and whether no case needs more than it may."""
    lines, good = [], True
    for case, instructions in now.items():
        base = before.get(case)
        if base is None:
            lines.append(f"{case:16} {instructions:9.1f}  no baseline: make gate-record")
            good = False
            continue
        change = instructions / base
        verdict = "" if change <= MOST else "  MORE THAN +3 %"
        if change < 2 - MOST:
            verdict = "  less: make gate-record"
        good &= change <= MOST
        lines.append(f"{case:16} {instructions:9.1f}  baseline {base:9.1f}  {(change - 1) * 100:+5.1f} %{verdict}")
    return lines, good


def main():
    if shutil.which("valgrind") is None:
        print("skipped: valgrind is missing; install it: scripts/deps.sh bench")
        return
    tools, record = toolchain(), sys.argv[1:] == ["--record"]
    kept = json.loads(BASELINE.read_text()) if BASELINE.exists() else {"toolchain": {}, "instructions": {}}
    if not record and kept["toolchain"] != tools:
        print(f"skipped: the baseline is of {kept['toolchain']}, here is {tools}; make gate-record makes one of this")
        return
    now = measure()
    lines, good = compare({} if record else kept["instructions"], now)
    if record:
        BASELINE.write_text(json.dumps({"toolchain": tools, "instructions": now}, indent=2) + "\n")
        print("\n".join(f"{case:16} {n:9.1f}" for case, n in now.items()))
        return
    print("instructions a packet:\n" + "\n".join(lines))
    if not good:
        raise SystemExit("the fast path needs more instructions than datapath/benches/instructions.json allows (+3 %). If that is "
                         "meant: make gate-record, and say why in the commit")


if __name__ == "__main__":
    main()
