#!/usr/bin/env python3
"""Makes the index.dat files of the tests: a history, one of a day, one of a week, and a cache.

    python3 tests/compare/make_index_dat.py FOLDER

As msiecfexport reads them. Prints nothing.
"""

import struct
import sys
from datetime import datetime
from pathlib import Path

BLOCK, FIRST = 128, 0x4000
UNWRITTEN = struct.pack("<I", 0xDEADBEEF)
DAY = "2024-03-18"


def filetime(text):
    at = datetime.fromisoformat(text) - datetime(1601, 1, 1)
    return (at.days * 86400 + at.seconds) * 10_000_000


def dos(text):
    at = datetime.fromisoformat(text)
    date = at.year - 1980 << 9 | at.month << 5 | at.day
    return struct.pack("<HH", date, at.hour << 11 | at.minute << 5 | at.second // 2)


def padded(raw):
    """Fills the last block with what stands for never written."""
    count = -(-len(raw) // BLOCK)
    room = count * BLOCK
    return (raw + UNWRITTEN * BLOCK)[:room], count


def text(value):
    raw = value.encode("cp1252") + b"\0"
    return (raw + UNWRITTEN)[:-(-len(raw) // 4) * 4]


def url(location, accessed, modified="", name="", data=b"", hits=1, size=0, folder=0xFE,
        checked="", created="", mark=b"URL "):
    head = bytearray(0x68)
    at = len(head)
    parts = b""
    for offset, part in ((52, text(location)), (60, text(name) if name else b""), (68, data)):
        if part:
            struct.pack_into("<I", head, offset, at + len(parts))
            parts += part
    struct.pack_into("<QQ", head, 8, filetime(modified) if modified else 0, filetime(accessed))
    struct.pack_into("<I", head, 32, size)
    struct.pack_into("<I", head, 48, 0x60)
    head[56:60] = bytes([folder, 0, 16, 16])
    struct.pack_into("<I", head, 64, 0x200001)
    struct.pack_into("<I", head, 72, len(data))
    head[80:84] = dos(checked or accessed)
    struct.pack_into("<I", head, 84, hits)
    if created:
        head[92:96] = dos(created)
    head[100:104] = UNWRITTEN
    raw, count = padded(bytes(head) + parts)
    return mark + struct.pack("<I", count) + raw[8:]


def redirected(location):
    raw, count = padded(b"REDR" + struct.pack("<III", 1, 0, 0) + text(location))
    return raw[:4] + struct.pack("<I", count) + raw[8:]


def leak(name, folder, size, created):
    raw = bytearray(UNWRITTEN * 32)
    raw[:8] = b"LEAK" + struct.pack("<I", 1)
    struct.pack_into("<I", raw, 32, size)
    raw[56] = folder
    struct.pack_into("<I", raw, 60, 0x68)
    raw[88:96] = bytes(4) + dos(created)
    raw[0x68:0x68 + len(name) + 1] = name.encode() + b"\0"
    return bytes(raw)


def properties(title):
    value = title.encode("utf-16le") + b"\0\0"
    return (struct.pack("<HHIII", 16, 2, 0x10000000, 0, 1) + struct.pack("<HBBII", 12, 0x14, 3, 1, 0)
            + struct.pack("<HBB", 4 + len(value), 0x10, 0x1F) + value + bytes(8))


def file(entries, folders=(), deleted=()):
    """Entries in order; those of the given indexes in blocks that are not in use."""
    table = bytearray(b"HASH" + struct.pack("<III", 32, 0, 0) + UNWRITTEN * 1020)
    blocks, used, slot = b"", [], 16
    for index, entry in enumerate([table, *entries]):
        count = len(entry) // BLOCK
        if index - 1 not in deleted and index:
            struct.pack_into("<II", table, slot, index << 6 | (5 if entry[:4] == b"REDR" else 0),
                             FIRST + len(used) * BLOCK)
            slot += 8
        used += [index == 0 or index - 1 not in deleted] * count
        blocks += bytes(entry)
    blocks = bytes(table) + blocks[len(table):]
    total = -(-len(used) // 16) * 16
    blocks += bytes((total - len(used)) * BLOCK)
    head = bytearray(FIRST)
    head[:28] = b"Client UrlCache MMF Ver 5.2\0"
    struct.pack_into("<IIII", head, 28, FIRST + len(blocks), FIRST, total, sum(used))
    struct.pack_into("<I", head, 72, len(folders))
    for index, name in enumerate(folders):
        head[76 + index * 12:88 + index * 12] = struct.pack("<I", 1) + name.encode()
    for index, is_used in enumerate(used):
        head[592 + index // 8] |= is_used << index % 8
    return bytes(head) + blocks


def main(folder):
    folder = Path(folder)
    setup = "https://dashboard.ngrok.com/get-started/setup"
    zipped = "https://bin.equinox.io/c/bNyj1mQVY4c/ngrok-v3-stable-windows-amd64.zip"
    at = f"{DAY}T09:01:02"
    cut = url("Visited: jane@https://www.example.com/overwritten", at, at,
              data=properties("A title that was written over by what came next"))
    (folder / "history.dat").write_bytes(file([
        url(f"Visited: jane@{setup}", at, at, data=properties("ngrok - Setup"), hits=3),
        url("Visited: jane@file:///C:/Users/jane/Downloads/ngrok%20v3.zip", f"{DAY}T09:06:00",
            f"{DAY}T09:06:00"),
        url("Visited: jane@https://ngrok.com/download", f"{DAY}T09:04:00", f"{DAY}T09:04:00",
            data=properties("Download")),
        cut[:BLOCK * 2],
        url("Visited: jane@https://caf\u00e9.example/", f"{DAY}T08:00:00", f"{DAY}T08:00:00"),
    ], deleted=(2, 3)))
    (folder / "day.dat").write_bytes(file([
        url(f":2024031820240319: jane@{setup}", at, f"{DAY}T10:01:02"),
        url(":2024031820240319: jane@:Host: dashboard.ngrok.com", at, f"{DAY}T10:01:02"),
    ]))
    (folder / "week.dat").write_bytes(file([
        url(":2024031120240318: jane@https://ngrok.com/download", f"{DAY}T07:00:00",
            "2024-03-15T17:30:00"),
    ]))
    headers = b"HTTP/1.1 200 OK\r\nContent-Type: application/zip\r\n\r\n~U:jane\r\n\0"
    (folder / "content.dat").write_bytes(file([
        url(zipped, f"{DAY}T09:05:00", "2024-02-01T00:00:00", "ngrok[1].zip", headers, 1, 9000000,
            1, f"{DAY}T09:05:02", f"{DAY}T09:05:00"),
        redirected("https://ngrok.com/dl"),
        leak("setup[1].htm", 0, 1966, "2024-03-17T03:24:36"),
        url("https://ngrok.com/", f"{DAY}T09:00:00", "", "ngrok[1].htm", b"", 2, 77, 0, mark=b"LEAK"),
        url("Cookie:jane@ngrok.com/", at, at, "jane@ngrok[1].txt", size=120),
        url("ietld:ngrok.com", at),
    ], folders=("ABCDEFGH", "IJKLMNOP")))


main(*sys.argv[1:])
