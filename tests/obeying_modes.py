"""Root, who may write everywhere, for once obeys the modes of files as everybody does."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

VERSION_3 = 0x20080522
DAC_OVERRIDE, DAC_READ_SEARCH = 1 << 1, 1 << 2


class Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class Capabilities(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


@contextmanager
def obeying_modes() -> Iterator[None]:
    """This thread, not its children, lays down what lets it pass by a mode; see capset(2)."""
    system, header = ctypes.CDLL(None, use_errno=True), Header(VERSION_3, 0)
    now = (Capabilities * 2)()

    def effective(mask: int) -> None:
        now[0].effective = mask
        if system.capset(ctypes.byref(header), now) != 0:
            raise OSError(os.strerror(ctypes.get_errno()))

    assert system.capget(ctypes.byref(header), now) == 0
    before = now[0].effective
    effective(before & ~(DAC_OVERRIDE | DAC_READ_SEARCH))
    try:
        yield
    finally:
        effective(before)
