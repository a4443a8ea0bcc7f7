#!/usr/bin/env python3
"""Write a capture into a named pipe over and over: more distinct packets than buffers could hold.

    feed.py PCAP FIFO

net_pcap reads the pipe as a file that never ends. When a device is stopped and started again it opens the pipe again and gets the
capture from its beginning.
"""
import fcntl
import mmap
import os
import signal
import sys

HEADER, PIPE, CHUNK = 24, 1 << 20, 1 << 20


def pour(data, fifo):
    """Write until the reader closes."""
    out = os.open(fifo, os.O_WRONLY)
    try:
        fcntl.fcntl(out, fcntl.F_SETPIPE_SZ, PIPE)
        at = 0
        while True:
            at += os.write(out, data[at:at + CHUNK])
            if at == len(data):
                at = HEADER
    except BrokenPipeError:
        pass
    finally:
        os.close(out)


def main():
    pcap, fifo = sys.argv[1:3]
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    # Beside the control threads of the switch, not on its PMD's CPU.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with open(pcap, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped, memoryview(mapped) as data:
        while True:
            pour(data, fifo)


if __name__ == "__main__":
    main()
