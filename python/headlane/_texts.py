"""Texts as the engine takes them: end to end, with an offset for each. Arrow's arrays of strings are that already."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator
from ctypes import POINTER, c_char_p, c_int, c_int64, c_void_p, cast
from typing import Any, NamedTuple

import numpy as np

from headlane import _abi
from headlane._checked import utf8


class Texts(NamedTuple):
    """Some texts, and what must live as long as the engine reads them."""

    struct: _abi.headlane_texts
    n_texts: int
    n_bytes: int
    keep: object


def parts_of(inputs: Any) -> list[Texts]:
    """What a caller gave for texts: a str, an Arrow array (a part for each of its chunks), or a list of str."""
    if isinstance(inputs, str):
        return [from_strings([inputs])]
    if is_arrow(inputs):
        return from_arrow(inputs)
    return [from_strings(as_strings(inputs))]


def from_strings(strings: list[str]) -> Texts:
    """Of strings that are known to be strings."""
    try:
        parts = [string.encode() for string in strings]
    except UnicodeEncodeError:
        parts = [utf8(f"inputs[{i}]", string) for i, string in enumerate(strings)]  # which says where
    offsets = np.zeros(len(parts) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, parts), np.int64, len(parts)), out=offsets[1:])
    data = b"".join(parts)
    struct = _abi.headlane_texts()
    struct.n_texts = len(parts)
    struct.data = cast(c_char_p(data), c_void_p).value
    struct.data_bytes = len(data)
    struct.offsets_64 = offsets.ctypes.data
    return Texts(struct, len(parts), len(data), (data, offsets))


def as_strings(inputs: Any, name: str = "inputs") -> list[str]:
    """A list of what the caller gave for texts; whatever is not a text is refused by its place and type."""
    if isinstance(inputs, (bytes, bytearray, memoryview, dict, set, frozenset)) or not isinstance(inputs, Iterable):
        raise TypeError(f"{name} must be a str, or a list of str, and is {type(inputs).__name__}")
    if isinstance(inputs, str) or (isinstance(inputs, np.ndarray) and inputs.ndim != 1):
        shown = "a str" if isinstance(inputs, str) else f"an array of {inputs.ndim} dimensions"
        raise TypeError(f"{name} must be a list of str, or an array of one dimension, and is {shown}")
    strings = inputs.tolist() if isinstance(inputs, np.ndarray) else list(inputs)
    for i, string in enumerate(strings):
        if not isinstance(string, str):
            shown = f" ({string!r})" if isinstance(string, float) or string is None else ""
            raise TypeError(f"{name}[{i}] must be a str, and is {type(string).__name__}{shown}")
    return strings


class _ArrowSchema(ctypes.Structure):
    pass


class _ArrowArray(ctypes.Structure):
    pass


class _ArrowStream(ctypes.Structure):
    pass


_Release = ctypes.CFUNCTYPE(None, c_void_p)
_Get = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p)

_ArrowSchema._fields_ = [
    ("format", c_char_p),
    ("name", c_char_p),
    ("metadata", c_void_p),
    ("flags", c_int64),
    ("n_children", c_int64),
    ("children", c_void_p),
    ("dictionary", c_void_p),
    ("release", _Release),
    ("private_data", c_void_p),
]
_ArrowArray._fields_ = [
    ("length", c_int64),
    ("null_count", c_int64),
    ("offset", c_int64),
    ("n_buffers", c_int64),
    ("n_children", c_int64),
    ("buffers", POINTER(c_void_p)),
    ("children", c_void_p),
    ("dictionary", c_void_p),
    ("release", _Release),
    ("private_data", c_void_p),
]
_ArrowStream._fields_ = [
    ("get_schema", _Get),
    ("get_next", _Get),
    ("get_last_error", ctypes.CFUNCTYPE(c_char_p, c_void_p)),
    ("release", _Release),
    ("private_data", c_void_p),
]

_get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_get_pointer.restype = c_void_p
_get_pointer.argtypes = [ctypes.py_object, c_char_p]


def is_arrow(inputs: Any) -> bool:
    return hasattr(inputs, "__arrow_c_array__") or hasattr(inputs, "__arrow_c_stream__")


def from_arrow(inputs: Any) -> list[Texts]:
    """The texts of an array of strings, in the memory where they lie; of a chunked array, a part for each chunk."""
    if hasattr(inputs, "__arrow_c_array__"):
        schema, array = inputs.__arrow_c_array__()
        form = _ArrowSchema.from_address(_get_pointer(schema, b"arrow_schema"))
        found = _ArrowArray.from_address(_get_pointer(array, b"arrow_array"))
        return [_from_array(form, found, 0, (schema, array, inputs))]
    capsule = inputs.__arrow_c_stream__()
    stream = _ArrowStream.from_address(_get_pointer(capsule, b"arrow_array_stream"))
    parts: list[Texts] = []
    n_before = 0
    for schema, chunk in _chunks(stream):
        part = _from_array(schema.struct, chunk.struct, n_before, (capsule, chunk, inputs))
        parts.append(part)
        n_before += part.n_texts
    return parts


class _Released:
    """A struct of Arrow's that a stream filled, which is released with this object."""

    def __init__(self, struct: Any) -> None:
        self.struct = struct

    def __del__(self) -> None:
        if self.struct.release:
            self.struct.release(ctypes.addressof(self.struct))


def _chunks(stream: Any) -> Iterator[tuple[_Released, _Released]]:
    def get(function: Any, struct: Any) -> _Released:
        if function(ctypes.addressof(stream), ctypes.addressof(struct)) != 0:
            message = stream.get_last_error(ctypes.addressof(stream)) or b"no reason was given"
            raise ValueError(f"the Arrow stream could not be read: {message.decode('utf-8', 'replace')}")
        return _Released(struct)

    schema = get(stream.get_schema, _ArrowSchema())
    while True:
        chunk = get(stream.get_next, _ArrowArray())
        if not chunk.struct.release:
            return
        yield schema, chunk


def _from_array(schema: Any, array: Any, n_before: int, keep: object) -> Texts:
    form = schema.format
    if form not in (b"u", b"U") or schema.dictionary:
        kind = "a dictionary" if schema.dictionary else f"of Arrow's format {form.decode('ascii', 'replace')!r}"
        raise TypeError(
            f"inputs must be an Arrow array of string or large_string, and is {kind}; "
            "cast it to string first (pyarrow: array.cast('string'))"
        )
    _refuse_nulls(array, n_before)
    offset_type = np.int32 if form == b"u" else np.int64
    struct = _abi.headlane_texts()
    length = array.length
    if length == 0:
        return Texts(struct, 0, 0, keep)
    struct.n_texts = length
    width = np.dtype(offset_type).itemsize
    offsets = array.buffers[1] + array.offset * width
    ends = np.ctypeslib.as_array((ctypes.c_char * ((length + 1) * width)).from_address(offsets)).view(offset_type)
    first, last = int(ends[0]), int(ends[length])
    struct.data = array.buffers[2] if last > 0 else None
    struct.data_bytes = last
    setattr(struct, "offsets_32" if form == b"u" else "offsets_64", offsets)
    return Texts(struct, length, last - first, keep)


def _refuse_nulls(array: Any, n_before: int) -> None:
    if array.null_count == 0 or not array.buffers[0]:
        return
    n_bits = array.offset + array.length
    bitmap = np.ctypeslib.as_array((ctypes.c_uint8 * ((n_bits + 7) // 8)).from_address(array.buffers[0]))
    valid = np.unpackbits(bitmap, count=n_bits, bitorder="little")[array.offset :]
    nulls = np.flatnonzero(valid == 0)
    if len(nulls):
        raise ValueError(
            f"inputs has {len(nulls)} nulls, the first at {n_before + int(nulls[0])}; a null has no vector: "
            "drop the nulls, or fill them with texts"
        )
