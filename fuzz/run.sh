#!/bin/sh
# Fuzz one target for some seconds: fuzz/run.sh extract 300
# Needs stable Rust and a C++ compiler, nothing else: the flags below are those that cargo-fuzz gives rustc, less the
# address sanitizer, which needs nightly and finds nothing in crates that forbid unsafe code.
# Starts from seeds/TARGET, keeps what it learns in corpus/TARGET, writes findings to artifacts/TARGET.
# More folders of inputs may follow the seconds.
set -eu
cd "$(dirname "$0")"
target=${1:?target: extract, rule_parser, group_meter_parser, translate, netlink or devlink}
seconds=${2:?seconds}
shift 2

triple=$(rustc -vV | sed -n 's/^host: //p')
flags="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4"
flags="$flags -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table"
flags="$flags -Cllvm-args=-sanitizer-coverage-trace-compares"
# With a target named, build scripts and procedural macros are not instrumented.
RUSTFLAGS="$flags" cargo build --release --target "$triple" --bin "$target"
built=${CARGO_TARGET_DIR:-target}/$triple/release/$target

# Longer rules find nothing that short ones do not, and are slow.
case $target in *_parser) set -- -max_len=300 "$@" ;; esac
[ ! -f "$target.dict" ] || set -- "-dict=$target.dict" "$@"
mkdir -p "corpus/$target" "artifacts/$target"
exec "$built" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="artifacts/$target/" "corpus/$target" "seeds/$target" "regressions/$target" "$@"
