"""For every test: one thread, no colours, and properties that are the same each time they are searched."""

from __future__ import annotations

import os
import signal

from hypothesis import settings

# Before numpy is imported anywhere: threads would make short tests wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["NO_COLOR"] = "1"

# A shell that starts the tests in the background has them ignore Ctrl-C, and what they start inherits that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Shared machines are slow at times; a deadline would test the machine.
settings.register_profile("steady", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("steady")
