# SPDX-License-Identifier: Apache-2.0
"""The checksum that device and reader share: the CRC of POSIX `cksum`, computed by zlib's other one."""

from __future__ import annotations

import zlib

_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def cksum(data: bytes) -> int:
    """What `cksum` prints first for `data`.

    POSIX's CRC takes bits the other way round than zlib's, begins with zero and ends with the length; so
    bytes are mirrored before, and the result after.
    """
    size, length = len(data), bytearray()
    while size:
        length.append(size & 0xFF)
        size >>= 8
    mirrored = zlib.crc32((data + bytes(length)).translate(_REVERSED), 0xFFFFFFFF)
    return int.from_bytes(mirrored.to_bytes(4, "little").translate(_REVERSED), "big")


def line_sum(number: int, text: str) -> tuple[int, int]:
    """The two sums that lava-attachments gives line `number` of an encoded file."""
    a, b = number, 0
    for character in text:
        a += _VALUES.get(character, 0)
        b += a
    return a, b


_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
_VALUES = {character: value for value, character in enumerate(_ALPHABET, 1)}
