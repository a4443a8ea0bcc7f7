"""kill -9 at the first boundaries of the way back to legacy. Looked at with devlink and ip."""
# lab: memory 1536
# lab: needs shuntd shuntctl
# lab: real eswitch

from crash import DOWN, HALF, UP, at_each_boundary, is_down

at_each_boundary(DOWN, is_down, UP, last=HALF)
