"""What is measured, chosen by the environment; `make bench QUICK=1` takes the short column.

    BENCH_SCENARIOS  port acl l3 l2 pipeline
    BENCH_FLOWS      1000 8000 100000
    BENCH_SHAPES     ipv6 vlan prefixes ports masks30 masks300     quick: masks30 masks300
    BENCH_SHAPE_FLOWS 8000
    BENCH_EXTRAS     newflows churn pmds memory verify slowpath offload    quick: newflows churn pmds
    BENCH_ROUNDS     3                                             quick: 1
    BENCH_SECONDS    3, of each measurement                        quick: 1
    BENCH_SUSTAINED  30, of new flows                              quick: 4
    BENCH_SEED       7
    BENCH_RESUME     1: keep what target/bench/samples.jsonl has of an earlier run with the same seed and seconds

Words are separated by commas or spaces; an empty list leaves that part out.
"""
import os
from dataclasses import dataclass

QUICK = os.environ.get("QUICK", "") not in ("", "0")
# Seconds that a switch runs at least before it is measured.
LEAST = 1.0 if QUICK else 2.0


def words(name, default, quick=None):
    text = os.environ.get(f"BENCH_{name}", quick if QUICK and quick is not None else default)
    return text.replace(",", " ").split()


def number(name, default, quick=None):
    (word,) = words(name, str(default), None if quick is None else str(quick)) or ["0"]
    return int(word)


@dataclass(frozen=True)
class Settings:
    scenarios: tuple
    flows: tuple
    shapes: tuple
    shape_flows: int
    extras: tuple
    rounds: int
    seconds: int
    sustained: int
    seed: int
    resume: bool


def read():
    return Settings(
        scenarios=tuple(words("SCENARIOS", "port acl l3 l2 pipeline")),
        flows=tuple(int(n) for n in words("FLOWS", "1000 8000 100000")),
        shapes=tuple(words("SHAPES", "ipv6 vlan prefixes ports masks30 masks300", "masks30 masks300")),
        shape_flows=number("SHAPE_FLOWS", 8000),
        extras=tuple(words("EXTRAS", "newflows churn pmds memory verify slowpath offload", "newflows churn pmds memory verify")),
        rounds=number("ROUNDS", 3, 1),
        seconds=number("SECONDS", 3, 1),
        sustained=number("SUSTAINED", 30, 4),
        seed=number("SEED", 7),
        resume=number("RESUME", 0) != 0,
    )
