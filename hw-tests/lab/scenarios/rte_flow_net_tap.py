"""The crate rte-flow-rs on a driver of DPDK that really makes rules: net_tap, over the kernel's flower."""
# lab: memory 1536

import os
import subprocess
from pathlib import Path

from labkit import sh, skip

TEST = "real::tests::net_tap_takes_rules_or_says_why_not"

# Cargo's name for the tests of the crate ends with a hash; those of the last build are the latest.
folder = next((Path(f) / "deps" for f in os.environ["PATH"].split(":") if Path(f, "deps").is_dir()), Path("/nonexistent"))
built = [file for file in folder.glob("rte_flow_rs-*") if not file.suffix and os.access(file, os.X_OK)]
if not built:
    skip("the tests of rte-flow-rs are not built: cargo test -p rte-flow-rs --no-run")
sh("modprobe -a tun sch_ingress sch_multiq cls_flower act_gact act_mirred act_skbedit")
test = max(built, key=lambda file: file.stat().st_mtime)
done = subprocess.run([test, "--exact", TEST, "--nocapture"], capture_output=True, text=True, check=False)
print(done.stdout, done.stderr)
assert done.returncode == 0 and "1 passed" in done.stdout, "the test failed"
assert "skipped" not in done.stdout, "this kernel has flower, so the driver has to take the rule"
