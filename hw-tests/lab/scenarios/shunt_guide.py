"""The chapter "From a bare SmartNIC to switchdev in one command" of docs/guide/eswitch.md: its commands print what it shows.

target/lab/run/shunt_guide/chapter.md gets the chapter with what they print now.
"""
# lab: memory 1536
# lab: needs shuntd shuntctl

import re
import subprocess
from pathlib import Path

from labkit import Netdevsim
from shunt import Shunt

TITLE = "## From a bare SmartNIC to switchdev in one command"
page = Path(__file__).resolve().parents[3] / "docs/guide/eswitch.md"
lines = page.read_text().splitlines()
begin = lines.index(TITLE)
end = next(n for n in range(begin + 1, len(lines)) if lines[n].startswith("## "))



def comparable(line):
    """Indices of netdevs depend on how many there have been."""
    return re.sub(r"( eth\d +)\d+ +", r"\1- ", line)


Netdevsim(1, max_vfs=4)
shunt = Shunt()
shunt("bridge", "add", "br0")
made, in_block, commands = [], False, 0
for line in lines[begin:end]:
    if line.startswith("```"):
        in_block = not in_block
        made.append(line)
    elif not in_block:
        made.append(line)
    elif line.startswith("$ "):
        commands += 1
        command = line[2:].replace("shuntctl", f"shuntctl --socket {shunt.socket}", 1)
        done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
        said = (done.stdout + done.stderr).rstrip()
        made += [line, *(text.rstrip() for text in said.splitlines())]
        print(f"{line}\n{said}", flush=True)
Path("/lab/shunt_guide/chapter.md").write_text("\n".join(made) + "\n")
assert commands >= 10, commands
for number, (now, shown) in enumerate(zip(made, lines[begin:end]), begin + 1):
    assert comparable(now) == comparable(shown), f"{page}:{number}: it prints '{now}', the page says '{shown}'"
assert len(made) == end - begin, f"{page}: the chapter has {end - begin} lines, with what is printed {len(made)}"
