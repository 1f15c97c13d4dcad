"""The first process of a host: it lives as long as its standard input is open."""

import signal
import socket
import sys

# Orphans end without a parent that waits for them, as they do under a real init.
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
if len(sys.argv) > 1:
    socket.sethostname(sys.argv[1])
print("there", flush=True)
sys.stdin.read()
