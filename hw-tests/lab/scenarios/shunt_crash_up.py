"""kill -9 at the first boundaries of the way from legacy to switchdev. Looked at with devlink and ip."""
# lab: memory 1536
# lab: needs shuntd shuntctl
# lab: real eswitch

from crash import DOWN, HALF, UP, at_each_boundary, is_up

at_each_boundary(UP, is_up, DOWN, last=HALF)
