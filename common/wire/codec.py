"""msgpack with limits: arrays are (dtype, shape, little-endian bytes), and nothing that is decoded can execute.

msgpack's default limits do not protect against hostile input: five megabytes of empty maps decode to 270 MB of objects.
Here a message is one map of a few known fields, and everything else is an error before it can use much memory.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NoReturn

import msgpack
import numpy as np

from ..errors import WireError

if TYPE_CHECKING:
    from collections.abc import Mapping

Array = np.ndarray[Any, Any]

# The dtypes that are allowed. numpy itself would accept 'O', 'V8', 'U4' and 'datetime64' too.
DTYPES = {name: np.dtype(name) for name in ("?", "|u1", "<i4", "<i8", "<f2", "<f4", "<f8")}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}
MAX_DIMS = 8
_DIM_MAX = 2**31  # larger dimensions could overflow numpy's 64-bit sizes
MAX_FIELDS = 64  # of a map or a list: enough for the arrays of a network with 30 layers
MAX_TEXT = 1 << 12


def encode(fields: Mapping[str, Any]) -> bytes:
    """Pack a map of str, int, float, bool, None, bytes, arrays, and maps and lists of these."""
    packed: bytes = msgpack.packb(fields, default=_pack_array)
    return packed


def frames(fields: Mapping[str, Any]) -> list[bytes]:
    """The bytes that `encode` writes around the contents of the arrays in `fields`.

    The result has one part before each array's contents, and one part after the last.
    """
    packer = msgpack.Packer(default=_pack_array)
    parts: list[bytes] = []
    part: bytes = packer.pack_map_header(len(fields))
    for name, value in fields.items():
        part += packer.pack(name) + packer.pack(value)
        if isinstance(value, np.ndarray):
            parts.append(part[: len(part) - value.nbytes])
            part = b""
    return [*parts, part]


def _pack_array(value: object) -> list[Any]:
    if not isinstance(value, np.ndarray):
        raise TypeError(f"cannot encode {type(value).__name__}, expected a number, text, bytes or an array")
    name = _NAMES.get(value.dtype.newbyteorder("<"))
    if name is None:
        raise TypeError(f"cannot encode an array of {value.dtype}, expected one of {', '.join(DTYPES)}")
    return [
        name,
        list(value.shape),
        np.ascontiguousarray(value, dtype=DTYPES[name]).data.cast("B") if value.size else b"",
    ]


def decode(
    data: bytes,
    *,
    max_bytes: int,
    max_list: int = MAX_DIMS,
    max_map: int = MAX_FIELDS,
    max_containers: int | None = None,
) -> dict[str, Any]:
    """Unpack a map.

    Arrays stay lists of their three parts until `take_array` checks them. The memory used is at most a small multiple
    of the size of `data`, because the length and the number of lists and maps are limited.

    Args:
        data: one message.
        max_bytes: the largest size of `data`.
        max_list: the largest number of items in one list.
        max_map: the largest number of fields in one map.
        max_containers: the largest number of lists and maps; by default four times the larger of the two limits above.

    Raises:
        WireError: for everything that `encode` would not have written.
    """
    if len(data) > max_bytes:
        raise WireError(f"payload: {len(data)} bytes, expected at most {max_bytes}")
    count = _Count(4 * max(max_list, max_map) if max_containers is None else max_containers)
    try:
        fields = msgpack.unpackb(
            data,
            raw=False,
            strict_map_key=True,
            # msgpack allocates a list in its declared length, so that may not exceed the number of bytes.
            max_array_len=min(max_list, len(data)),
            max_map_len=min(max_map, len(data)),
            max_str_len=MAX_TEXT,
            max_bin_len=len(data),
            max_ext_len=0,
            ext_hook=_refuse_extension,
            list_hook=count.take,
            object_pairs_hook=lambda pairs: count.take(_unique(pairs)),
        )
    except WireError:
        raise
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        raise WireError(
            f"payload: {str(error) or type(error).__name__}, expected whole msgpack within limits"
        ) from error
    if not isinstance(fields, dict):
        raise WireError(f"payload: {type(fields).__name__}, expected a map")
    return fields


class _Count:
    """Limits the number of lists and maps: millions of empty ones fit into a few bytes but not into memory."""

    def __init__(self, left: int) -> None:
        self._left = left

    def take(self, container: Any) -> Any:  # noqa: ANN401 - whatever msgpack has made
        self._left -= 1
        if self._left < 0:
            raise WireError("payload: more lists and maps than any message has, expected fewer")
        return container


def _brief(value: object) -> str:
    """A short description of a value of unknown type and size, for an error message."""
    if isinstance(value, (int, float)) or value is None:
        return repr(value)
    return repr(value[:40]) if isinstance(value, (str, bytes)) else type(value).__name__


def _refuse_extension(code: int, _data: bytes) -> NoReturn:
    raise WireError(f"payload: extension type {code}, expected none")


def _unique(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise WireError("payload: a field given twice, expected each once")
    if not all(isinstance(key, str) for key in fields):
        raise WireError("payload: a field's name is not text, expected text")
    return fields


def check_fields(fields: Mapping[str, Any], expected: set[str]) -> None:
    """Raise WireError if the fields are not exactly the expected ones."""
    if fields.keys() != expected:
        missing, unknown = sorted(expected - fields.keys()), sorted(fields.keys() - expected)
        raise WireError(f"payload: missing fields {missing}, unknown fields {unknown}, expected {sorted(expected)}")


def take_array(fields: Mapping[str, Any], name: str, dtypes: tuple[str, ...], shape: tuple[int | None, ...]) -> Array:
    """The array in `fields[name]`, as a read-only view of the received bytes.

    Args:
        fields: a result of `decode`.
        name: the field; errors name it.
        dtypes: the allowed dtypes, each a key of DTYPES.
        shape: the expected shape; None means any size.

    Raises:
        WireError: for another dtype, shape or byte length, and for values that are not finite.
    """
    raw = fields[name]
    if not (isinstance(raw, list) and len(raw) == 3):
        raise WireError(f"{name}: {type(raw).__name__}, expected an array as [dtype, shape, bytes]")
    dtype_name, dims, data = raw
    if not isinstance(dtype_name, str) or dtype_name not in dtypes:
        raise WireError(f"{name}: dtype {_brief(dtype_name)}, expected {' or '.join(dtypes)}")
    if not (isinstance(dims, list) and all(type(dim) is int and 0 <= dim < _DIM_MAX for dim in dims)):
        raise WireError(f"{name}: shape {_brief(dims)}, expected a list of integers from 0 to {_DIM_MAX - 1}")
    if tuple(dims) != shape and (
        len(dims) != len(shape) or any(want not in (None, dim) for dim, want in zip(dims, shape, strict=True))
    ):
        wanted = ", ".join("any" if want is None else str(want) for want in shape)
        raise WireError(f"{name}: shape {tuple(dims)}, expected ({wanted})")
    dtype = DTYPES[dtype_name]
    size = math.prod(dims) * dtype.itemsize
    if not isinstance(data, bytes) or len(data) != size:
        length = len(data) if isinstance(data, bytes) else type(data).__name__
        raise WireError(f"{name}: {length} bytes, expected {size} for {dtype_name} {tuple(dims)}")
    array: Array = np.ndarray(dims, dtype, data)
    check_contents(name, array)
    return array


def check_contents(name: str, array: Array) -> None:
    """Raise WireError for numbers that are not finite, and for booleans other than 0 and 1."""
    kind = array.dtype.kind
    if kind == "f" and not _finite(array):
        raise WireError(f"{name}: not finite, expected finite values")
    if kind == "b" and array.tobytes().translate(None, b"\0\1"):
        raise WireError(f"{name}: bytes other than 0 and 1, expected booleans")


def _finite(array: Array) -> bool:
    """Whether all values of an array are finite.

    A finite sum of squares proves it for most arrays, and BLAS computes that in a fraction of the time of isfinite.
    isfinite is used if the sum overflows, and for half floats, which BLAS does not support.
    """
    return (array.itemsize >= 4 and math.isfinite(np.vdot(array, array))) or bool(np.isfinite(array).all())


def take_int(fields: Mapping[str, Any], name: str, low: int, high: int) -> int:
    """The integer in `fields[name]`. Raises WireError if it is not one in [low, high]."""
    value = fields[name]
    if type(value) is not int or not low <= value <= high:
        raise WireError(f"{name}: {_brief(value)}, expected an integer from {low} to {high}")
    return value


def take_bytes(fields: Mapping[str, Any], name: str) -> bytes:
    """The bytes in `fields[name]`. Raises WireError for another type."""
    value = fields[name]
    if not isinstance(value, bytes):
        raise WireError(f"{name}: {type(value).__name__}, expected bytes")
    return value


def take_text(fields: Mapping[str, Any], name: str) -> str:
    """The text in `fields[name]`. Raises WireError for another type."""
    value = fields[name]
    if not isinstance(value, str):
        raise WireError(f"{name}: {type(value).__name__}, expected text")
    return value
