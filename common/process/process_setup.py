"""Process set-up before numpy is imported: BLAS threads and the C library's memory settings."""

from __future__ import annotations

import ctypes
import os

_BLAS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of malloc.h
_KEPT_BYTES = 256 << 20
_LARGEST_BYTES = 32 << 20  # the maximum that glibc accepts for M_MMAP_THRESHOLD


def prepare_to_compute() -> None:
    """Limit BLAS to one thread unless the environment sets another number, and make the C library keep freed memory.

    Several processes share few cores, and the matrices here are small. With a thread pool in each process, the
    processes would spend their time waiting for each other's threads.
    """
    for name in _BLAS:
        os.environ.setdefault(name, "1")
    _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Make the C library keep up to 256 MB of freed memory instead of returning it to the system.

    An update allocates and frees the same arrays thousands of times. The system fills each new page of memory with
    zeros, which would take a third of the time of an update. If the C library is not glibc, nothing is changed.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, TypeError, OSError):
        return
    mallopt(_M_MMAP_THRESHOLD, _LARGEST_BYTES)
    mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
