"""The memory that holds plaintext: what it promises, and how it refuses where it cannot keep the promise."""

from __future__ import annotations

import errno
import mmap
import os
import subprocess
import sys

import numpy as np
import pytest

from remeasure.errors import UserError
from remeasure.impls.flexserve.secure.pool import Pool, zero

PAGE = mmap.PAGESIZE


@pytest.fixture
def secret_memory():
    try:
        Pool(8 * PAGE).close()
    except UserError as error:
        pytest.skip(str(error))


@pytest.fixture(params=["secret", "none"])
def pool(request):
    if request.param == "secret":
        request.getfixturevalue("secret_memory")
    made = Pool(8 * PAGE, request.param)
    yield made
    made.close()


def test_a_new_pool_is_zero_and_keeps_what_is_written(pool):
    assert not any(pool.view(0, pool.nbytes))
    pool.view(PAGE, 5)[:] = b"plain"
    assert pool.view(PAGE - 1, 7) == b"\0plain\0"


def test_touching_changes_no_byte(pool):
    pool.view(0, pool.nbytes)[:] = bytes(range(256)) * (pool.nbytes // 256)
    pool.touch(100, 3 * PAGE)
    pool.touch(0, pool.nbytes)
    assert pool.view(0, pool.nbytes) == bytes(range(256)) * (pool.nbytes // 256)


def test_touching_brings_every_page_of_the_range_into_memory(pool):
    pool.touch(3 * PAGE + 5, 2 * PAGE)
    assert all(in_memory(pool.address(page * PAGE)) for page in (3, 4, 5))


def test_zeroing_leaves_the_neighbours(pool):
    pool.view(0, 3 * PAGE)[:] = b"\xff" * (3 * PAGE)
    pool.zero(PAGE + 1, PAGE - 2)
    assert pool.view(PAGE, PAGE) == b"\xff" + bytes(PAGE - 2) + b"\xff"


def test_pages_start_where_addresses_say(pool):
    array = np.frombuffer(pool.view(PAGE, PAGE), np.uint8)
    assert array.__array_interface__["data"][0] == pool.address(PAGE)
    assert pool.address() % PAGE == 0


@pytest.mark.parametrize(("offset", "nbytes"), [(-1, 2), (0, 8 * PAGE + 1), (8 * PAGE, 1), (4, -1)])
def test_a_range_outside_the_pool_is_a_mistake_of_the_caller(pool, offset, nbytes):
    with pytest.raises(ValueError, match="outside a pool"):
        pool.view(offset, nbytes)


def test_a_view_that_outlives_the_pool_shows_zeros(pool):
    view = pool.view(0, 16)
    view[:] = b"sixteen bytes of"
    pool.close()
    assert view == bytes(16)


def test_only_secret_memory_is_called_protected(pool):
    assert pool.protected == (pool.protection == "secret")


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EPERM])
def test_a_kernel_without_secret_memory_is_refused_and_the_way_out_is_said(code):
    def refused() -> int:
        raise OSError(code, os.strerror(code))

    with pytest.raises(UserError) as caught:
        Pool(PAGE, "secret", refused)
    assert os.strerror(code) in str(caught.value)
    assert "refused" in str(caught.value)
    assert "--set protection=none" in str(caught.value)


def test_an_unprotected_pool_asks_for_no_secret_memory():
    def never() -> int:
        raise AssertionError

    assert not Pool(PAGE, "none", never).protected


LIMITED = """
import ctypes, resource, sys
from remeasure.errors import UserError
from remeasure.impls.flexserve.secure.pool import Pool

class Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]

class Sets(ctypes.Structure):
    _fields_ = [("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32)]

libc = ctypes.CDLL(None, use_errno=True)
header, sets = Header(0x20080522, 0), (Sets * 2)()
assert not libc.capget(ctypes.byref(header), sets)
sets[0].effective &= ~(1 << 14)  # CAP_IPC_LOCK, which lets root lock memory without limit
assert not libc.capset(ctypes.byref(header), sets)
resource.setrlimit(resource.RLIMIT_MEMLOCK, (64 << 10, resource.getrlimit(resource.RLIMIT_MEMLOCK)[1]))
small = Pool(16 << 10)
small.touch(0, small.nbytes)
try:
    Pool(128 << 10)
except UserError as error:
    print(error)
"""


def test_a_limit_on_locked_memory_is_refused_before_anything_is_touched(secret_memory):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", LIMITED], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "128 KiB of secret memory" in done.stdout
    assert "RLIMIT_MEMLOCK, 64 KiB" in done.stdout
    assert "--set protection=none" in done.stdout


def test_zero_overwrites_all_of_a_view():
    memory = bytearray(b"secret" * 100)
    zero(memoryview(memory)[6:-6])
    assert memory == b"secret" + bytes(588) + b"secret"


def in_memory(address: int) -> bool:
    """Whether the kernel has backed the page at `address` of this process."""
    with open("/proc/self/pagemap", "rb", buffering=0) as pages:
        return bool(int.from_bytes(os.pread(pages.fileno(), 8, address // PAGE * 8), "little") >> 63)
