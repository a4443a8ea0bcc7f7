"""The switch in the guest: shuntd with a folder of its own, and shuntctl on it."""

import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from labkit import eventually

CONFIG = """
[datapath]
memory_mib = 64
mbufs = 2048
{datapath}

[nic]
drift = "{drift}"
"""


class Shunt:
    """shuntd, started. `drift`: `report` or `repair`; `datapath`: more lines of that section of the configuration."""

    def __init__(self, drift="report", datapath=""):
        self.folder = Path(os.environ.get("SHUNT_LAB_FOLDER", "/tmp/shunt"))
        self.folder.mkdir()
        self.socket = self.folder / "shuntd.sock"
        self.boundary = self.folder / "boundary"
        (self.folder / "shunt.toml").write_text(CONFIG.format(drift=drift, datapath=datapath))
        self.process = None
        self.start()

    def end_at(self, boundary):
        """From now on shuntd ends at this boundary of a change of a NIC, counted from the next one; `None`: at none."""
        if boundary is None:
            self.boundary.unlink(missing_ok=True)
        else:
            self.boundary.write_text(str(boundary))

    def start(self):
        """Starts shuntd and waits until it answers, or has ended: true when it answers."""
        begin = time.monotonic()
        env = dict(os.environ, SHUNT_FAILPOINT=f"nic-boundary:{self.boundary}")
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                ["shuntd", "--config", self.folder / "shunt.toml", "--socket", self.socket,
                 "--state", self.folder / "state.redb"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)

        def ready():
            if self.process.poll() is not None:
                return True
            try:
                self.get("/v1/nics")
                return True
            except (OSError, ValueError, IndexError):  # not yet, or it ended
                return False

        try:
            eventually(ready, 120, "shuntd answers")
        finally:
            if self.process.poll() is not None:
                print(self.log())
        print(f"shuntd started in {time.monotonic() - begin:.2f} s", flush=True)
        return self.process.poll() is None

    def kill(self):
        """kill -9."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def ended(self, seconds=20):
        """Waits until shuntd has ended by itself."""
        self.process.wait(seconds)

    def log(self):
        return (self.folder / "log").read_text(errors="replace")

    def run(self, *args):
        done = subprocess.run(["shuntctl", "--socket", self.socket, *args], capture_output=True, text=True, check=False)
        print(f"$ shuntctl {' '.join(args)}\n{done.stdout}{done.stderr}".rstrip(), flush=True)
        return done

    def __call__(self, *args):
        """shuntctl, which must succeed; what it printed."""
        done = self.run(*args)
        if done.returncode != 0:
            print(self.log())
        assert done.returncode == 0, f"shuntctl {' '.join(args)}: {done.stderr}"
        return done.stdout.strip()

    def refused(self, *args):
        """shuntctl, which must be refused; the words of the refusal."""
        done = self.run(*args)
        assert done.returncode == 1 and not done.stdout, f"shuntctl {' '.join(args)}: {done}"
        return done.stderr.strip()

    def json(self, *args):
        return json.loads(self("--json", *args))

    def nic(self, pf):
        """What it says of one NIC."""
        return next(nic for nic in self.get("/v1/nics")[1] if nic["pf"] == pf)

    def get(self, path):
        """One request without a program's start: how long it took, in seconds, and the answer."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(60)
            client.connect(str(self.socket))
            start = time.monotonic()
            client.sendall(f"GET {path} HTTP/1.1\r\nhost: lab\r\nconnection: close\r\n\r\n".encode())
            answer = b""
            while part := client.recv(1 << 20):
                answer += part
            took = time.monotonic() - start
        return took, json.loads(answer.split(b"\r\n\r\n", 1)[1])
