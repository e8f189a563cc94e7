"""What callers give, checked, by sentences that name it."""

from __future__ import annotations

from typing import Any

import numpy as np


def natural(name: str, number: Any, least: int = 0) -> int:
    if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or number < least:
        raise ValueError(f"{name} is {number!r}, and must be an integer of at least {least}")
    return int(number)


def real(name: str, number: Any) -> float:
    if isinstance(number, bool) or not isinstance(number, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be a number, and is {type(number).__name__}")
    return float(number)


def utf8(name: str, text: Any) -> bytes:
    if not isinstance(text, str):
        raise TypeError(f"{name} must be a str, and is {type(text).__name__}")
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ValueError(
            f"{name} has half of a surrogate pair, which no text in UTF-8 has; "
            "string.encode('utf-8', 'replace').decode() replaces it"
        ) from None
