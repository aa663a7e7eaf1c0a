"""The compromised kernel of the paper's threat model, as far as a process can play it: it reads another's memory.

`python -m remeasure.impls.flexserve.secure.attacker PID ADDRESS NBYTES MARKER` tries both ways that Linux offers and
prints JSON: for each way its `outcome` ("read", or the name of the error) and whether the bytes of MARKER (hexadecimal)
were `found`. Unprotected memory must be read by the same attempt, or a refusal proves nothing.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable

REFUSALS = {"/proc/PID/mem": "EIO", "process_vm_readv": "EFAULT"}
"""What the kernel answers where the memory is secret. EPERM or EACCES would mean that the attacker may not try."""

_PR_SET_PTRACER = 0x59616D61


class _IOVec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("nbytes", ctypes.c_size_t))


def attack(pid: int, address: int, nbytes: int, marker: bytes) -> dict[str, dict[str, object]]:
    """What an attacker in a process of its own got, by the way it tried: {way: {"outcome", "found"}}."""
    libc = ctypes.CDLL(None)
    command = [sys.executable, "-m", __name__, str(pid), str(address), str(nbytes), marker.hex()]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    libc.prctl(_PR_SET_PTRACER, ctypes.c_ulong(-1))  # or Yama refuses what only a debugger may do
    try:
        done = subprocess.run(
            command, env=environment, check=True, capture_output=True, text=True, timeout=60
        )
    finally:
        libc.prctl(_PR_SET_PTRACER, ctypes.c_ulong(0))
    result: dict[str, dict[str, object]] = json.loads(done.stdout)
    return result


def attempts(pid: int, address: int, nbytes: int, marker: bytes) -> dict[str, dict[str, object]]:
    """The same, from the process that calls it."""
    ways: dict[str, Callable[[int, int, int], bytes]] = {
        "/proc/PID/mem": _by_proc,
        "process_vm_readv": _by_process_vm_readv,
    }
    return {name: _attempt(way, pid, address, nbytes, marker) for name, way in ways.items()}


def _attempt(
    way: Callable[[int, int, int], bytes], pid: int, address: int, nbytes: int, marker: bytes
) -> dict[str, object]:
    try:
        seen = way(pid, address, nbytes)
    except OSError as error:
        return {"outcome": errno.errorcode[error.errno or 0], "found": False}
    return {"outcome": "read", "found": marker in seen}


def _by_proc(pid: int, address: int, nbytes: int) -> bytes:
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        return os.pread(memory.fileno(), nbytes, address)


def _by_process_vm_readv(pid: int, address: int, nbytes: int) -> bytes:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.process_vm_readv.restype = ctypes.c_ssize_t
    seen = ctypes.create_string_buffer(nbytes)
    local, remote = _IOVec(ctypes.addressof(seen), nbytes), _IOVec(address, nbytes)
    got = libc.process_vm_readv(
        pid,
        ctypes.byref(local),
        ctypes.c_ulong(1),
        ctypes.byref(remote),
        ctypes.c_ulong(1),
        ctypes.c_ulong(0),
    )
    if got < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return seen.raw[:got]


if __name__ == "__main__":
    print(
        json.dumps(attempts(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), bytes.fromhex(sys.argv[4])))
    )
