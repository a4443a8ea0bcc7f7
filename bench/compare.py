#!/usr/bin/env python3
"""Measure Shunt, Open vSwitch (two configurations) and testpmd in turn, in one run, and judge by ratios.

    make bench          all of it, about 35 minutes
    make bench QUICK=1  one round, at most 8 minutes

Writes to target/bench: compare.json, compare.md, compare.svg, and samples.jsonl (each measurement as it is made, so that a run that
was broken off goes on with BENCH_RESUME=1). Each measurement is also one line of JSON on standard output.
"""
import json
import subprocess
import sys
import tempfile
import time

import churn
import host
import memory
import newflows
import offload
import pmds
import report
import run
import scenario
import settings
from plot import draw

OUT = host.TARGET / "bench"
SMC = "smc-enable=true max-idle=60000"
# Configuration, what is run, options.
CONFIGURATIONS = [("shunt", "shunt", ""), ("ovs", "ovs", ""), ("ovs-smc", "ovs", SMC)]


class Samples:
    """Every measurement so far, on disk."""

    def __init__(self, chosen):
        OUT.mkdir(parents=True, exist_ok=True)
        self.path, self.kept, self.all = OUT / "samples.jsonl", set(), []
        self.mark = {"seed": chosen.seed, "seconds": chosen.seconds}
        if chosen.resume and self.path.exists():
            lines = [json.loads(line) for line in self.path.read_text().splitlines()]
            self.all = [s for s in lines if "error" not in s and self.mark.items() <= s.items()]
            self.kept = {tuple(s["key"]) for s in self.all}
        self.path.write_text("".join(json.dumps(s) + "\n" for s in self.all))

    def take(self, measure, **labels):
        """Measure, unless it was measured before. A failure is a sample too."""
        key = [labels.get(name) for name in ("part", "scenario", "flows", "configuration", "round")]
        if tuple(key) in self.kept:
            return
        labels |= self.mark | {"key": key}
        try:
            results = measure()
            results = [results] if isinstance(results, dict) else results
            for result in results:
                self.add(labels | result)
        except (host.BenchError, OSError, subprocess.SubprocessError, ValueError) as e:
            host.note(f"failed: {labels}: {e}")
            lines = str(e).strip().splitlines() or [type(e).__name__]
            self.add(labels | {"error": ": ".join(dict.fromkeys([lines[0], lines[-1]]))[:400]})

    def add(self, sample):
        self.all.append(sample)
        line = json.dumps(sample)
        print(line, flush=True)
        with open(self.path, "a") as out:
            out.write(line + "\n")


def configurations():
    why = host.why_no_ovs()
    if why:
        host.note(f"skipped: Open vSwitch with DPDK: {why}")
    return [c for c in CONFIGURATIONS if c[1] == "shunt" or not why]


def estimate(chosen, several, with_testpmd):
    """Seconds, roughly, from what parts take on an idle machine."""
    one = lambda flows: 3.0 + settings.LEAST + chosen.seconds + (4 if flows >= 50_000 else 0)
    total = sum(one(f) for f in chosen.flows) * len(chosen.scenarios) * several * chosen.rounds
    total += one(chosen.shape_flows) * len(chosen.shapes) * several * chosen.rounds
    total += len(chosen.flows) * chosen.rounds * (chosen.seconds + 4) * with_testpmd
    peers = 1 + (several > 1)
    parts = {"newflows": 10 + peers * (chosen.sustained + 7) + (not settings.QUICK) * (10 + peers * (min(chosen.sustained, 10) + 7)), "churn": 2 * (14 + 4 * chosen.seconds),
             "pmds": chosen.rounds * 2 * (5 + chosen.seconds), "memory": 25, "slowpath": 120, "verify": 45, "offload": 60}
    return total + sum(parts.get(extra, 0) for extra in chosen.extras)


def matrix(chosen, samples, directory, several):
    """Scenarios and shapes: all configurations of a cell follow each other, and all cells follow each other in each round."""
    cells = [("scenario", name, flows) for flows in chosen.flows for name in chosen.scenarios]
    cells += [("shape", name, chosen.shape_flows) for name in chosen.shapes]
    for turn in range(chosen.rounds):
        for part, name, flows in cells:
            pcaps, rules = scenario.make(name, flows, chosen.seed, directory)
            # Nobody is always the first.
            for i in range(len(several)):
                label, kind, options = several[(i + turn) % len(several)]
                samples.take(lambda: run.scenario(kind, pcaps, rules, chosen.seconds, options),
                             part=part, scenario=name, flows=flows, configuration=label, round=turn)
            # It does not look at packets: frames of the same size give the same limit, whatever the scenario.
            if part == "scenario" and name == chosen.scenarios[0] and not host.why_no_testpmd():
                samples.take(lambda: run.scenario("testpmd", pcaps, rules, chosen.seconds), part="limit", scenario="any", flows=flows,
                             configuration="testpmd", round=turn)


def slow_path():
    """The lines of run_pipeline.sh."""
    done = subprocess.run([host.HERE / "run_pipeline.sh"], stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def verify(flows):
    """The lines of verify.py: a difference is a failed goal."""
    done = subprocess.run([sys.executable, host.HERE / "verify.py", "--flows", str(flows)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        raise host.BenchError(done.stderr)
    keep = ("verify", "flows", "received", "sent")
    return [{"bench": "frames", **{k: line[k] for k in keep}, "goal": "equal to Open vSwitch's", "pass": line["equal"]} for line in lines]


def extras(chosen, samples):
    known = {
        "newflows": [("exact", lambda: newflows.run(["exact"], chosen.sustained)), ("routed", lambda: newflows.run(["routed"], chosen.sustained))],
        "churn": [(str(flows), lambda flows=flows: churn.run(flows, chosen.seconds)) for flows in churn.FLOWS],
        "pmds": [(str(turn), lambda: pmds.run(chosen.seconds)) for turn in range(chosen.rounds)],
        "memory": [("", memory.run)],
        "slowpath": [("", slow_path)],
        "verify": [("", lambda: verify(2000))],
        "offload": [("", offload.run)],
    }
    if settings.QUICK:
        known["newflows"] = known["newflows"][:1]
    for extra in chosen.extras:
        if extra not in known:
            raise SystemExit(f"BENCH_EXTRAS: {extra} is unknown; choose of {', '.join(known)}")
        for label, measure in known[extra]:
            samples.take(measure, part=extra, scenario=label)


def main():
    if len(sys.argv) > 1:
        raise SystemExit(__doc__ + "\n" + settings.__doc__)
    chosen = settings.read()
    host.reserve_pages()
    host.programs()
    several = configurations()
    if host.why_no_testpmd():
        host.note(f"skipped: testpmd: {host.why_no_testpmd()}")
    seconds = estimate(chosen, len(several), not host.why_no_testpmd())
    host.note(f"about {seconds / 60:.0f} minutes; settings: {chosen}")
    if host.os.getloadavg()[0] > 0.5:
        host.note(f"the load of this machine is {host.os.getloadavg()[0]:.1f}: figures are comparable only on a quiet one")
    start, about = time.monotonic(), host.describe()
    samples = Samples(chosen)
    try:
        with tempfile.TemporaryDirectory(prefix="shunt-bench-") as directory:
            matrix(chosen, samples, directory, several)
        extras(chosen, samples)
    finally:
        result = report.judge(samples.all, about | {"minutes": round((time.monotonic() - start) / 60, 1), "settings": vars(chosen)})
        (OUT / "compare.json").write_text(json.dumps(result, indent=1) + "\n")
        (OUT / "compare.md").write_text(report.markdown(result))
        (OUT / "compare.svg").write_text(draw(result))
        host.note(report.markdown(result))
        host.note(f"written: {OUT}/compare.json, compare.md, compare.svg, samples.jsonl")
    if any("error" in s for s in samples.all):
        raise SystemExit("some measurements failed; see above")


if __name__ == "__main__":
    main()
