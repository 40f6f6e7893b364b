"""Exact amounts in millionths. No floating point: what a buyer pays can be added up by hand."""

import math
import re
from dataclasses import dataclass

_MILLION = 1_000_000
#: The most that can be reported: 12 digits before the point.
_MOST = 999_999_999_999_999_999


@dataclass(frozen=True, order=True)
class Amount:
    """Millionths of a unit, from 0 to 999999999999.999999. Sums stop there; the host takes no more digits."""

    micros: int = 0

    @classmethod
    def units(cls, units: int) -> "Amount":
        """Whole units."""
        return cls(units * _MILLION)

    @classmethod
    def of(cls, value: float) -> "Amount | None":
        """What a number prints as, rounded down to a millionth; None for what is negative, not finite or too large."""
        if not 0 <= value < 1e12:
            return None
        digits, _, exponent = repr(abs(float(value))).partition("e")
        return _scaled(digits, 6 + int(exponent or 0))

    @classmethod
    def in_units(cls, value: float, unit: int) -> "Amount | None":
        """A whole number in units of so many, rounded down to a millionth: bytes in units of 1,000,000,000 are gigabytes.

        None for what is negative, not finite or too large.
        """
        if not 0 <= value < math.inf:
            return None
        return _checked(int(value) * _MILLION // unit)

    @classmethod
    def quantity(cls, text: str) -> "Amount | None":
        """A Kubernetes quantity such as 2, 0.5, 1500m, 16Gi, rounded down to a millionth; None for what is none."""
        parts = re.fullmatch(r"\+?([0-9.]+)([a-zA-Z]*)", text)
        if not parts:
            return None
        digits, suffix = parts.groups()
        binary = ["Ki", "Mi", "Gi", "Ti", "Pi"]
        if suffix in binary:
            amount = _scaled(digits, 6)
            return amount and _checked(amount.micros << 10 * (binary.index(suffix) + 1))
        places = {"n": -3, "u": 0, "m": 3, "": 6, "k": 9, "M": 12, "G": 15, "T": 18}.get(suffix)
        return None if places is None else _scaled(digits, places)

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(min(self.micros + other.micros, _MOST))

    def __str__(self) -> str:
        """The decimal of the interface, such as 812.250000."""
        return f"{self.micros // _MILLION}.{self.micros % _MILLION:06}"


def _checked(micros: int) -> Amount | None:
    return Amount(micros) if micros <= _MOST else None


def _scaled(decimal: str, places: int) -> Amount | None:
    """The decimal times 10^places millionths, rounded down."""
    whole, _, fraction = decimal.partition(".")
    digits = whole + fraction
    if not digits.isascii() or not digits.isdigit():
        return None
    kept = max(len(whole) + places, 0)
    return _checked(int(digits.ljust(kept, "0")[:kept] or "0"))
