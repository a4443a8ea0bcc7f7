"""Medians, ratios and goals of a run, and the table of them."""
import statistics

# Scenario and flows: at least so many times the better Open vSwitch.
GOALS = {(name, flows): goal for name in ("acl", "l3", "pipeline") for flows, goal in ((1000, 2.0), (8000, 3.0), (100_000, 5.0))}
GOALS |= {("l2", 1000): 2.0, ("l2", 8000): 2.5, ("l2", 100_000): 4.0}
# Cycles of `port`, at most so many times testpmd's.
PORT_GOAL = 1.5
# Cycles with 300 masks, at most so many times those with 30.
MASKS_GOAL = 1.3
PEERS = ("ovs", "ovs-smc")


def spread(values):
    """Median, least and most."""
    return {"median": round(statistics.median(values), 3), "min": min(values), "max": max(values), "runs": len(values)}


def collect(samples):
    """Samples by cell and configuration."""
    cells = {}
    for sample in samples:
        if sample.get("part") in ("scenario", "shape") and "error" not in sample:
            cell = cells.setdefault((sample["part"], sample["scenario"], sample["flows"]), {})
            cell.setdefault(sample["configuration"], []).append(sample)
    return cells


def limits(samples):
    by_flows = {}
    for sample in samples:
        if sample.get("part") == "limit" and "error" not in sample:
            by_flows.setdefault(sample["flows"], []).append(sample)
    return {flows: {name: spread([s[name] for s in some]) for name in ("mpps", "cycles_per_packet")} for flows, some in by_flows.items()}


def judge_cell(part, name, flows, by_configuration, limit):
    cell = {"part": part, "scenario": name, "flows": flows, "results": {}}
    for configuration, some in by_configuration.items():
        result = {field: spread([s[field] for s in some]) for field in ("mpps", "cycles_per_packet")}
        for field in ("upcalls", "megaflows", "masks", "subtables_per_megaflow_hit"):
            if field in some[-1]:
                result[field] = some[-1][field]
        cell["results"][configuration] = result
    ours = cell["results"].get("shunt")
    theirs = [cell["results"][p]["mpps"]["median"] for p in PEERS if p in cell["results"]]
    if ours and theirs and max(theirs):
        cell["ratio_to_better_ovs"] = round(ours["mpps"]["median"] / max(theirs), 2)
    if limit:
        cell["results"]["testpmd"] = limit
        if ours:
            cell["cycles_to_testpmd"] = round(ours["cycles_per_packet"]["median"] / limit["cycles_per_packet"]["median"], 2)
    goal = GOALS.get((name, flows)) if part == "scenario" else None
    if name == "port":
        cell["goal"] = f"<= {PORT_GOAL} x testpmd's cycles"
        if "cycles_to_testpmd" in cell:
            cell["pass"] = cell["cycles_to_testpmd"] <= PORT_GOAL
    elif goal:
        cell["goal"] = f">= {goal:g} x OVS"
        if "ratio_to_better_ovs" in cell:
            cell["pass"] = cell["ratio_to_better_ovs"] >= goal
    return cell


def judge_masks(cells):
    """Cells of 30 and of 300 masks against each other."""
    cycles = {c["scenario"]: c["results"]["shunt"]["cycles_per_packet"]["median"] for c in cells if "shunt" in c["results"]}
    for cell in cells:
        if cell["scenario"] == "masks300" and {"masks30", "masks300"} <= cycles.keys():
            cell["cycles_to_masks30"] = round(cycles["masks300"] / cycles["masks30"], 2)
            cell["goal"] = f"<= {MASKS_GOAL} x the cycles of masks30"
            cell["pass"] = cell["cycles_to_masks30"] <= MASKS_GOAL


def judge_pmds(samples):
    ratios = [s["ratio"] for s in samples if s.get("part") == "pmds" and "ratio" in s]
    if not ratios:
        return []
    ratio = spread(ratios)
    return [{"bench": "two_pmds", "ratio": ratio, "goal": ">= 1.9 x one PMD", "pass": ratio["median"] >= 1.9}]


def judge(samples, about):
    limit = limits(samples)
    cells = [judge_cell(*key, by, limit.get(key[2])) for key, by in sorted(collect(samples).items(), key=lambda item: (item[0][0], item[0][2]))]
    judge_masks(cells)
    others = [s for s in samples if s.get("part") not in ("scenario", "shape", "limit")]
    return {"about": about, "cells": cells, "extras": others + judge_pmds(samples),
            "errors": [s for s in samples if "error" in s], "samples": samples}


def shown(result, field="mpps"):
    if result is None:
        return "-"
    value = result[field]
    return f"{value['median']:g} ({value['min']:g}..{value['max']:g})"


def verdict(cell):
    return {True: "pass", False: "**FAIL**", None: ""}[cell.get("pass")]


def row(*cells):
    return "| " + " | ".join(str(c) for c in cells) + " |\n"


def table(cells):
    text = row("scenario", "flows", "shunt Mpps", "cycles", "OVS Mpps", "OVS smc Mpps", "testpmd Mpps", "to OVS", "cycles to testpmd", "masks", "goal", "")
    text += row(*["---"] * 12)
    for cell in cells:
        r = cell["results"]
        ours = r.get("shunt")
        ratio = cell.get("ratio_to_better_ovs")
        text += row(cell["scenario"], f"{cell['flows']:,}", shown(ours), shown(ours, "cycles_per_packet"), shown(r.get("ovs")), shown(r.get("ovs-smc")),
                    shown(r.get("testpmd")), f"{ratio:.2f}" if ratio else "-", cell.get("cycles_to_testpmd", "-"),
                    ours.get("masks", "-") if ours else "-", cell.get("goal", ""), verdict(cell))
    return text


LABELS = ("part", "scenario", "round", "goal", "pass", "error", "seed", "seconds", "configuration", "key")


def markdown(result):
    about = result["about"]
    facts = ", ".join(f"{name} {about[name]}" for name in ("time", "cpu", "cpus", "kernel", "dpdk", "ovs", "rustc", "commit", "load") if name in about)
    text = f"# Benchmark\n\n{facts}. Median (least..most) of the rounds; one PMD on CPU 1.\n\n"
    for part, title in (("scenario", "Scenarios"), ("shape", "Shapes")):
        cells = [c for c in result["cells"] if c["part"] == part]
        if cells:
            text += f"## {title}\n\n{table(cells)}\n"
    if result["extras"]:
        text += "## Other benchmarks\n\n" + row("bench", "result", "goal", "") + row(*["---"] * 4)
        for extra in result["extras"]:
            values = ", ".join(f"{k} {v}" for k, v in extra.items() if k not in LABELS and k != "bench" and v not in ("", None))
            text += row(extra.get("bench", extra.get("part")), extra.get("error") or values, extra.get("goal", ""), verdict(extra))
        text += "\n"
    if result["errors"]:
        text += "## Failed\n\n" + "".join(f"- {' '.join(str(e.get(k, '')) for k in ('part', 'scenario', 'flows', 'configuration'))}: {e['error']}\n"
                                          for e in result["errors"])
    return text
