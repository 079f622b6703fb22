"""Writes registry hives: a base block and one bin, format 1.3 (no segmented data).

    hive({"Name": Key(values={"Value": (kind, bytes)}, keys={...}, when=FILETIME)}) -> bytes

For the samples of the tests and for values that are kept outside a hive.  Run as a
program it writes the samples of testdata/parse/registry that hold several artifacts:

    python3 tests/compare/make_hive.py FOLDER
"""
from __future__ import annotations

import struct
import sys
from dataclasses import dataclass, field
from pathlib import Path

NO_CELL = 0xFFFFFFFF


@dataclass
class Key:
    values: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    keys: dict[str, "Key"] = field(default_factory=dict)
    when: int = 0


def text(value: str, kind: int = 1) -> tuple[int, bytes]:
    return kind, (value + "\0").encode("utf-16-le")


def number(value: int) -> tuple[int, bytes]:
    return 4, struct.pack("<I", value)


def binary(value: bytes) -> tuple[int, bytes]:
    return 3, value


class Bin:
    def __init__(self) -> None:
        self.cells = bytearray(32)

    def cell(self, body: bytes) -> int:
        at = len(self.cells)
        size = (len(body) + 4 + 7) & ~7
        self.cells += struct.pack("<i", -size) + body.ljust(size - 4, b"\0")
        return at

    def value(self, name: str, kind: int, data: bytes) -> int:
        raw, latin = encoded(name)
        if len(data) <= 4:
            length, where = len(data) | 1 << 31, int.from_bytes(data.ljust(4, b"\0"), "little")
        else:
            length, where = len(data), self.cell(data)
        return self.cell(b"vk" + struct.pack("<HIIIHH", len(raw), length, where, kind, latin, 0) + raw)

    def key(self, name: str, key: Key, parent: int, security: int, root: bool = False) -> int:
        raw, latin = encoded(name)
        values = [self.value(n, *v) for n, v in key.values.items()]
        value_list = self.cell(struct.pack(f"<{len(values)}I", *values)) if values else NO_CELL
        at = self.cell(b"nk".ljust(76, b"\0") + raw)
        children = [(n, self.key(n, k, at, security)) for n, k in sorted(key.keys.items(), key=lambda kv: kv[0].upper())]
        body = b"".join(struct.pack("<II", child, name_hash(n)) for n, child in children)
        subkeys = self.cell(b"lh" + struct.pack("<H", len(children)) + body) if children else NO_CELL
        flags = (0x2C if root else 0) | (0x20 if latin else 0)
        head = b"nk" + struct.pack("<HQIIIIIIIIII4I I HH", flags, key.when, 0, parent, len(children), 0, subkeys, NO_CELL, len(values), value_list,
                                   security, NO_CELL, 0, 0, 0, 0, 0, len(raw), 0)
        self.cells[at + 4:at + 4 + len(head)] = head
        return at


def encoded(name: str) -> tuple[bytes, int]:
    try:
        return name.encode("latin-1"), 1
    except UnicodeEncodeError:
        return name.encode("utf-16-le"), 0


def name_hash(name: str) -> int:
    total = 0
    for c in name.upper():
        total = (total * 37 + ord(c)) & 0xFFFFFFFF
    return total


def hive(keys: dict[str, Key]) -> bytes:
    out = Bin()
    at = len(out.cells)
    security = out.cell(b"sk" + struct.pack("<HIIII", 0, at, at, 1, 20) + b"\1\0\4\x80".ljust(20, b"\0"))
    root = out.key("ROOT", Key(keys=keys, when=133_500_000_000_000_000), NO_CELL, security, root=True)
    size = (len(out.cells) + 8 + 4095) & ~4095
    free = size - len(out.cells)
    cells = bytes(out.cells) + struct.pack("<i", free).ljust(free, b"\0")
    cells = b"hbin" + struct.pack("<IIIIII", 0, size, 0, 0, 0, 0).ljust(28, b"\0") + cells[32:]
    base = bytearray(4096)
    struct.pack_into("<4sIIQIIIIIII", base, 0, b"regf", 1, 1, 133_500_000_000_000_000, 1, 3, 0, 1, root, size, 1)
    total = 0
    for (word,) in struct.iter_unpack("<I", base[:508]):
        total ^= word
    struct.pack_into("<I", base, 508, total)
    return bytes(base) + cells


def at(path: str, key: Key) -> dict[str, Key]:
    """The key at a path, as the tree that leads to it."""
    names = path.split("\\")
    for name in reversed(names[1:]):
        key = Key(keys={name: key}, when=key.when)
    return {names[0]: key}


def merged(*trees: dict[str, Key]) -> dict[str, Key]:
    out: dict[str, Key] = {}
    for tree in trees:
        for name, key in tree.items():
            if name in out:
                old = out[name]
                out[name] = Key({**old.values, **key.values}, merged(old.keys, key.keys), max(old.when, key.when))
            else:
                out[name] = key
    return out
