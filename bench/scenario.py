"""Captures and rules of scenarios and shapes, made by traffic.py and kept for one run."""
import pathlib
import re
import sys

import host
import shapes


def parse(name):
    """`masks300` is the shape `masks` with `--masks 300`."""
    found = re.fullmatch(r"masks(\d+)", name)
    return ("masks", ["--masks", found.group(1)]) if found else (name, [])


def make(name, flows, seed, directory, passes=0):
    """The captures, one for each input port, and the file of rules."""
    kind, options = parse(name)
    stem = pathlib.Path(directory) / f"{name}-{flows}"
    pcap, rules = stem.with_suffix(".pcap"), stem.with_suffix(".flows")
    pcaps = [pcap]
    if kind == "ports":
        pcaps += [pathlib.Path(shapes.beside(str(pcap), port)) for port in shapes.INPUTS[1:]]
    if not rules.exists():
        if passes:
            options = [*options, "--passes", str(passes)]
        host.run([sys.executable, host.HERE / "traffic.py", kind, "--flows", str(flows), "--seed", str(seed), *options,
                  "--pcap", pcap, "--rules", rules])
    return pcaps, rules
