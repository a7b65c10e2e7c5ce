"""Process set-up before numpy is imported: BLAS threads and the C library's memory settings."""

from __future__ import annotations

import ctypes
import os

_BLAS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of malloc.h
_KEPT_BYTES = 256 << 20
_LARGEST_BYTES = 32 << 20  # the largest value that glibc accepts for M_MMAP_THRESHOLD


def prepare_to_compute() -> None:
    """Use one BLAS thread, unless the environment says otherwise, and keep freed memory for the next array.

    Several processes share few cores, and the matrices here are small: with a thread pool in each, the processes spend
    their time waiting for each other's threads.
    """
    for name in _BLAS:
        os.environ.setdefault(name, "1")
    _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Make the C library keep freed memory, up to 256 MB, instead of returning it to the system.

    An update frees and allocates the same arrays thousands of times. Memory that is new from the system is filled with
    zeros page by page, which takes a third of the time of an update. If the C library is not glibc, nothing changes.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, TypeError, OSError):
        return
    mallopt(_M_MMAP_THRESHOLD, _LARGEST_BYTES)
    mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
