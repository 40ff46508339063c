"""Compiled loops between the ids that users give to nodes and rows 0..N-1: an open-addressing hash table of texts or of int64.

Texts lie one after another in `data` (uint8), text k from offsets[k] to offsets[k + 1]. A slot holds 32 bits of the hash above 32 bits of
the row + 1, 0 where it is empty; texts are compared in full, so that equal hashes join no two ids. A lookup goes over a block of keys in
steps, hash, slot, text: the memory accesses of a step do not wait for each other.
"""

from __future__ import annotations

import numpy as np
from numba import njit

BLOCK = 256
LOW = np.uint64(0xFFFFFFFF)


@njit(nogil=True, cache=True, inline="always")
def _mix(h, word):  # type: ignore[no-untyped-def]
    h = (h ^ word) * np.uint64(0x9E3779B97F4A7C15)
    return h ^ (h >> np.uint64(29))


@njit(nogil=True, cache=True)
def _hash_text(data, start, stop):  # type: ignore[no-untyped-def]
    """64 bits of the bytes from `start` to `stop`, 8 at a time."""
    h = _mix(np.uint64(0x243F6A8885A308D3), np.uint64(stop - start))
    at = start
    while at < stop:
        word = np.uint64(0)
        for b in range(min(8, stop - at)):
            word |= np.uint64(data[at + b]) << np.uint64(8 * b)
        h = _mix(h, word)
        at += 8
    return _mix(h, np.uint64(0))


@njit(nogil=True, cache=True)
def _equal(data, start, stop, other, other_start, other_stop):  # type: ignore[no-untyped-def]
    length, at = stop - start, 0
    if other_stop - other_start == length:
        while at < length and data[start + at] == other[other_start + at]:
            at += 1
    return other_stop - other_start == length and at == length


@njit(nogil=True, cache=True)
def insert_texts(data, offsets, slots):  # type: ignore[no-untyped-def]
    """Put every text into the empty `slots` (uint64, a power of two of them, more than there are texts); the first row that repeats
    another and that other, or (-1, -1)."""
    mask = np.uint64(slots.shape[0] - 1)
    for row in range(offsets.shape[0] - 1):
        h = _hash_text(data, offsets[row], offsets[row + 1])
        at = h & mask
        while slots[at] != 0:
            if slots[at] >> np.uint64(32) == h >> np.uint64(32):
                other = np.int64(slots[at] & LOW) - 1
                if _equal(data, offsets[other], offsets[other + 1], data, offsets[row], offsets[row + 1]):
                    return row, other
            at = (at + np.uint64(1)) & mask
        slots[at] = (h & ~LOW) | np.uint64(row + 1)
    return -1, -1


@njit(nogil=True, cache=True)
def find_texts(data, offsets, slots, keys, key_offsets, rows):  # type: ignore[no-untyped-def]
    """rows[k] = the row of key k, -1 where it is none of the texts; how many are none."""
    mask = np.uint64(slots.shape[0] - 1)
    hashes, candidates = np.empty(BLOCK, np.uint64), np.empty(BLOCK, np.uint64)
    missing, touched = 0, 0
    for first in range(0, rows.shape[0], BLOCK):
        count = min(BLOCK, rows.shape[0] - first)
        for k in range(count):
            hashes[k] = _hash_text(keys, np.int64(key_offsets[first + k]), np.int64(key_offsets[first + k + 1]))
        for k in range(count):
            candidates[k] = slots[hashes[k] & mask]
        for k in range(count):  # brings the text into the cache; empty ones have no byte to touch
            if candidates[k] != 0 and data.shape[0]:
                touched += data[min(offsets[np.int64(candidates[k] & LOW) - 1], data.shape[0] - 1)]
        for k in range(count):
            at, slot, found = hashes[k] & mask, candidates[k], np.int64(-1)
            start, stop = np.int64(key_offsets[first + k]), np.int64(key_offsets[first + k + 1])
            while slot != 0:
                if slot >> np.uint64(32) == hashes[k] >> np.uint64(32):
                    row = np.int64(slot & LOW) - 1
                    if _equal(data, offsets[row], offsets[row + 1], keys, start, stop):
                        found = row
                        break
                at = (at + np.uint64(1)) & mask
                slot = slots[at]
            rows[first + k] = found
            if found < 0:
                missing += 1
    return missing if touched >= 0 else -1  # `touched` has to be used


@njit(nogil=True, cache=True)
def _hash_number(number):  # type: ignore[no-untyped-def]
    return _mix(_mix(np.uint64(0x243F6A8885A308D3), np.uint64(number)), np.uint64(0))


@njit(nogil=True, cache=True)
def insert_numbers(numbers, slots):  # type: ignore[no-untyped-def]
    """The same for int64; slots (int32) hold row + 1."""
    mask = np.uint64(slots.shape[0] - 1)
    for row in range(numbers.shape[0]):
        at = _hash_number(numbers[row]) & mask
        while slots[at] != 0:
            if numbers[slots[at] - 1] == numbers[row]:
                return row, np.int64(slots[at] - 1)
            at = (at + np.uint64(1)) & mask
        slots[at] = row + 1
    return -1, -1


@njit(nogil=True, cache=True)
def find_numbers(numbers, slots, keys, rows):  # type: ignore[no-untyped-def]
    """rows[k] = the row of keys[k], -1 where it is none of the numbers; how many are none."""
    mask = np.uint64(slots.shape[0] - 1)
    missing = 0
    for k in range(keys.shape[0]):
        at, found = _hash_number(keys[k]) & mask, np.int64(-1)
        while slots[at] != 0:
            if numbers[slots[at] - 1] == keys[k]:
                found = np.int64(slots[at] - 1)
                break
            at = (at + np.uint64(1)) & mask
        rows[k] = found
        if found < 0:
            missing += 1
    return missing
