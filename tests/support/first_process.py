"""Runs as the first process of a host and ends when its standard input is closed."""

import signal
import socket
import sys

# Orphans vanish when they end, as under a real init, although this process does not wait for them.
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
if len(sys.argv) > 1:
    socket.sethostname(sys.argv[1])
print("there", flush=True)
sys.stdin.read()
