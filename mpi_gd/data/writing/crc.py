"""The CRC-32 of bytes whose parts several processes have.

As zlib's `crc32_combine` does it: appending n bytes multiplies a checksum's polynomial by x^(8 n),
modulo that of CRC-32, in the ring of polynomials over two elements.
"""

from __future__ import annotations

__all__ = ["joined_crc"]

# Bits in reverse, as in all of CRC-32: the highest is the coefficient of x^0.
_POLYNOMIAL = 0xEDB88320
_ONE = 1 << 31


def joined_crc(first: int, second: int, n_bytes: int) -> int:
    """Return the checksum of a text and a second one of `n_bytes`, from those of both."""
    return _times(_power(8 * n_bytes), first) ^ second


def _times(a: int, b: int) -> int:
    """Return the product of two polynomials."""
    product = 0
    for bit in range(31, -1, -1):
        if a >> bit & 1:
            product ^= b
        b = b >> 1 ^ _POLYNOMIAL if b & 1 else b >> 1
    return product


def _power(n: int) -> int:
    """Return x^n."""
    power, square = _ONE, _ONE >> 1
    while n:
        if n & 1:
            power = _times(square, power)
        square = _times(square, square)
        n >>= 1
    return power
