"""What all switches of the benchmark have in common."""
import os
import pathlib
import shutil
import tempfile

import host
from shapes import INPUTS

OUTPUT = 2


class Alone:
    """Processes in a directory of their own: both are gone when the block ends, also when it did not begin well."""

    def __init__(self, prefix):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix=prefix))
        self.processes = []

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            host.stop(process)
        shutil.rmtree(self.dir, ignore_errors=True)


class Bench:
    """Ports that captures come from and a port that takes everything, for switches with `port(name, devargs, number)`."""

    def sink(self):
        self.port("p2", "net_null_b,no-rx=1", OUTPUT)

    def source(self, pcaps, options="infinite_rx=1"):
        """Ports 1, 3, 4 ... receive these captures."""
        for number, pcap in zip(INPUTS, pcaps):
            extra = f",{options}" if options else ""
            self.port(f"p{number}", f"net_pcap_{number},rx_pcap={pcap}{extra}", number)


class Vswitchd(Alone):
    """ovsdb-server and ovs-vswitchd, installed below `root`."""

    def __init__(self, prefix, root):
        super().__init__(prefix)
        self.root = pathlib.Path(root)
        self.env = dict(os.environ, **{name: str(self.dir) for name in ("OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR")})
        self.remote = self.dir / "db.sock"

    def start_database(self, settings):
        """With these pairs in `other_config`."""
        database = self.dir / "conf.db"
        self._run("usr/bin/ovsdb-tool", "create", database, self.root / "usr/share/openvswitch/vswitch.ovsschema")
        self._spawn("usr/sbin/ovsdb-server", database, f"--remote=punix:{self.remote}")
        host.wait_for(self.remote.exists, "ovsdb-server", process=self.processes[-1])
        self.vsctl("--no-wait", "init")
        pairs = [setting.split("=", 1) for setting in settings]
        self.vsctl("--no-wait", "set", "Open_vSwitch", ".", *(f'other_config:{key}="{value}"' for key, value in pairs))

    def start_switch(self, program, *options, seconds=30):
        """ovs-vswitchd; its control socket."""
        control = self.dir / "vswitchd.ctl"
        log = self._spawn(program, f"unix:{self.remote}", f"--unixctl={control}", *options)
        host.wait_for(control.exists, "ovs-vswitchd", seconds, self.processes[-1], log)
        return control

    def _run(self, program, *args):
        return host.run([self.root / program, *args], env=self.env)

    def _spawn(self, program, *args):
        log = self.dir / f"{pathlib.Path(program).name}.log"
        command = [self.root / program, *args, "-vconsole:off", "-vsyslog:off", f"--log-file={log}"]
        self.processes.append(host.spawn(command, self.dir / "out", env=self.env, cwd=self.dir))
        return log

    @property
    def pid(self):
        return self.processes[-1].pid

    def vsctl(self, *args):
        return self._run("usr/bin/ovs-vsctl", f"--db=unix:{self.remote}", "--timeout=60", *args)

    def ofctl(self, command, *args):
        return self._run("usr/bin/ovs-ofctl", command, f"unix:{self.dir}/br0.mgmt", *args)

    def load(self, rules):
        self.ofctl("add-flows", rules)
