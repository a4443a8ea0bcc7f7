#!/usr/bin/env bash
# The same frames through Shunt and Open vSwitch, compared byte for byte: verify.py.
exec python3 "$(dirname "$0")/verify.py" "$@"
