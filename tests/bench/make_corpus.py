#!/usr/bin/env python3
"""Make the event logs of one busy Windows host: the benchmark's corpus.

    make_corpus.py OUT [--size-mb 1024] [--hits PERCENT] [--single-file] [--seed N]

OUT gets Windows/System32/winevt/Logs with one .evtx file per channel (`--single-file`:
only Security.evtx, 2048 MB by default).  Records have the field lists, types and template
structure that Windows writes; names, times, addresses and ids in them are random.  Some
distinct chunks per channel are made, then repeated with new record ids, times and
checksums.  Nothing in them speaks of a tunnel tool, loopback addresses occur as on any
host.  `--hits 1` plants events of a tunnel agent in 1 % of all chunks.

Needs Python 3.9 and nothing else.  Same arguments, same bytes.
"""
from __future__ import annotations

import argparse
import random
import struct
import sys
import time
import zlib
from pathlib import Path
from uuid import UUID

import corpus_events as ce

CHUNK = 65536
HEADER = 4096
EPOCH = 116444736000000000  # 1970 in FILETIME ticks
START = EPOCH + 1_735_689_600 * 10_000_000  # 2025-01-01
SPAN = 30 * 86400 * 10_000_000  # the host's logs reach over thirty days

FIXED = {"u8": ("<B", 0x04), "u16": ("<H", 0x06), "u32": ("<I", 0x08), "u64": ("<Q", 0x0A), "bool": ("<I", 0x0D),
         "time": ("<Q", 0x11), "hex32": ("<I", 0x14), "hex64": ("<Q", 0x15)}
OTHER = {"str": 0x01, "bin": 0x0E, "guid": 0x0F, "sid": 0x13, "xml": 0x21, "strs": 0x81}
TYPE = {**{k: v[1] for k, v in FIXED.items()}, **OTHER}
PACK = {k: struct.Struct(v[0]).pack for k, v in FIXED.items()}
# the System part's values, in Windows' order: (type, optional)
SYSTEM = ("u8", "u8", "u16", "u16", "u16", "hex64", "time", "guid", "u32", "u32", "u64", "u8", "sid", "guid", "str", "str", "str", "xml")


def sid(text: str) -> bytes:
    parts = [int(x) for x in text.split("-")[2:]]
    return struct.pack("<BB", 1, len(parts) - 1) + parts[0].to_bytes(6, "big") + b"".join(struct.pack("<I", x) for x in parts[1:])


_sids: dict[str, bytes] = {}


def value(kind: str, v) -> tuple[int, bytes]:
    """Type code and bytes of one substitution value; None is a null."""
    if v is None:
        return 0, b""
    if kind in PACK:
        return TYPE[kind], PACK[kind](v)
    if kind == "str":
        return 1, v.encode("utf-16-le")
    if kind == "sid":
        if v not in _sids:
            _sids[v] = sid(v)
        return 0x13, _sids[v]
    if kind == "guid":
        return 0x0F, v if isinstance(v, bytes) else UUID(v).bytes_le
    if kind == "strs":
        return 0x81, b"".join(x.encode("utf-16-le") + b"\0\0" for x in v)
    return TYPE[kind], v


def units_hash(units) -> int:
    """The hash of names and template ids, over 16-bit units."""
    h = 0
    for u in units:
        h = (h * 65599 + u) & 0xFFFFFFFF
    return h


class Chunk:
    """One 64 KiB chunk under construction; knows where ids and times are."""

    def __init__(self) -> None:
        self.b = bytearray(512)
        self.names: dict[str, int] = {}
        self.templates: dict[object, int] = {}
        self.places: list[tuple[int, int, int, int]] = []  # record, time value, id value, UtcTime text (0: none)

    # names and elements of a template, after [MS-EVEN6] 2.2.12

    def name(self, name: str) -> None:
        b = self.b
        at = self.names.get(name)
        if at is not None:
            b += struct.pack("<I", at)
            return
        at = len(b) + 4
        h = units_hash(name.encode()) & 0xFFFF
        bucket = 128 + 4 * (h % 64)
        older = struct.unpack_from("<I", b, bucket)[0]
        b += struct.pack("<IIHH", at, older, h, len(name)) + name.encode("utf-16-le") + b"\0\0"
        struct.pack_into("<I", b, bucket, at)
        self.names[name] = at

    def content(self, c) -> None:
        if isinstance(c, str):
            self.b += struct.pack("<BBH", 5, 1, len(c)) + c.encode("utf-16-le")
        else:  # (index, type)
            self.b += struct.pack("<BHB", 0x0E, c[0], TYPE[c[1]])

    def element(self, name: str, attributes: list, children: list) -> None:
        b = self.b
        b += struct.pack("<BHI", 0x41 if attributes else 0x01, 0xFFFF, 0)
        size_at = len(b) - 4
        self.name(name)
        if attributes:
            b += bytes(4)
            list_at = len(b)
            for i, (key, v) in enumerate(attributes):
                b.append(0x46 if i + 1 < len(attributes) else 0x06)
                self.name(key)
                self.content(v)
            struct.pack_into("<I", b, list_at - 4, len(b) - list_at)
        if not children:
            b.append(3)
        else:
            b.append(2)
            for c in children:
                if isinstance(c, list):
                    self.element(*c)
                else:
                    self.content(c)
            b.append(4)
        struct.pack_into("<I", b, size_at, len(b) - size_at - 4)

    def instance(self, key: object, root: list, values: list[tuple[int, bytes]]) -> list[int]:
        """A template instance; returns where each value starts."""
        b = self.b
        b += b"\x0f\x01\x01\x00"
        tid = zlib.crc32(repr(key).encode())
        at = self.templates.get(key)
        if at is None:
            at = len(b) + 10
            rest = zlib.adler32(repr(key).encode())
            ident = struct.pack("<4I", tid, rest, rest, rest)
            bucket = 384 + 4 * (units_hash(struct.unpack("<8H", ident)) % 32)
            older = struct.unpack_from("<I", b, bucket)[0]
            b += struct.pack("<BBII", 0x0C, 1, tid, at)
            b += struct.pack("<I", older) + ident + bytes(4)
            body = len(b)
            b += b"\x0f\x01\x01\x00"
            self.element(*root)
            b.append(0)
            struct.pack_into("<I", b, body - 4, len(b) - body)
            struct.pack_into("<I", b, bucket, at)
            self.templates[key] = at
        else:
            b += struct.pack("<BBII", 0x0C, 1, tid, at)
        b += struct.pack("<I", len(values))
        for kind, data in values:
            b += struct.pack("<HBB", len(data), kind, 0)
        starts = []
        for _, data in values:
            starts.append(len(b))
            b += data
        return starts

    def record(self, event: ce.Event, got: ce.Values) -> bool:
        """Append one event, or leave the chunk as it was if it is full."""
        keep = bytes(self.b), dict(self.names), dict(self.templates)
        b = self.b
        at = len(b)
        b += struct.pack("<IIQQ", 0x2A2A, 0, 0, 0)
        d = event
        q = 0 if d.classic else None
        inner = value("xml", b"")
        vals = [value(k, v) for k, v in zip(SYSTEM, (
            d.level, d.opcode, d.task, d.event_id, q, d.keywords, 0, got.activity, got.pid, got.tid, 0, d.version, got.user, None, None, None, None))]
        starts = self.instance(("event", d.provider, d.channel, ce.COMPUTER), d.outer, vals + [inner])
        body_at = len(b)
        fields = [value(k, v) for (_, k), v in zip(d.fields, got.data)]
        inner_starts = self.instance(("data", d.provider, d.event_id, d.version), d.inner, fields)
        b.append(0)
        # the last value is the event's own data: its size goes into the value table
        struct.pack_into("<H", b, starts[0] - 4, len(b) - body_at)
        b.append(0)
        size = len(b) - at + 4
        pad = -size % 8
        b += bytes(pad)
        struct.pack_into("<I", b, at + 4, size + pad)
        b += struct.pack("<I", size + pad)
        if len(b) >= CHUNK:  # Windows never fills the last bytes
            self.b, self.names, self.templates = bytearray(keep[0]), keep[1], keep[2]
            return False
        text = next((inner_starts[i] for i, (n, _) in enumerate(d.fields) if n == "UtcTime"), 0)
        self.places.append((at, starts[6], starts[10], text))
        return True

    def finished(self) -> bytearray:
        b = self.b
        free = len(b)
        struct.pack_into("<8sQQQQIII", b, 0, b"ElfChnk\0", 0, 0, 0, 0, 128, self.places[-1][0], free)
        struct.pack_into("<I", b, 120, 1)
        b += bytes(CHUNK - free)
        return b


class Writer:
    """One log file; chunks are stamped with ids, times and checksums."""

    def __init__(self, path: Path):
        self.f = open(path, "wb", buffering=1 << 20)
        self.f.write(bytes(HEADER))
        self.chunks, self.next = 0, 1

    def add(self, chunk: bytearray, places: list, first_time: int, step: int) -> None:
        n, rid, t = len(places), self.next, first_time
        q = struct.Struct("<Q").pack_into
        qq = struct.Struct("<QQ").pack_into
        for at, time_at, id_at, text_at in places:
            qq(chunk, at + 8, rid, t)
            q(chunk, time_at, t)
            q(chunk, id_at, rid)
            if text_at:
                s = (t - EPOCH) // 10_000
                whole = s // 1000
                if whole != getattr(self, "second", None):
                    self.second, self.text = whole, time.strftime("%Y-%m-%d %H:%M:%S.", time.gmtime(whole))
                chunk[text_at:text_at + 46] = f"{self.text}{s % 1000:03d}".encode("utf-16-le")
            rid += 1
            t += step
        struct.pack_into("<QQQQ", chunk, 8, self.next, rid - 1, self.next, rid - 1)
        free = struct.unpack_from("<I", chunk, 48)[0]
        view = memoryview(chunk)
        struct.pack_into("<I", chunk, 52, zlib.crc32(view[512:free]))
        struct.pack_into("<I", chunk, 124, zlib.crc32(view[128:512], zlib.crc32(view[:120])))
        self.f.write(chunk)
        self.next += n
        self.chunks += 1

    def close(self) -> None:
        head = bytearray(HEADER)
        struct.pack_into("<8sQQQIHHHH", head, 0, b"ElfFile\0", 0, self.chunks - 1, self.next, 128, 1, 3, HEADER, self.chunks)
        struct.pack_into("<I", head, 124, zlib.crc32(head[:120]))
        self.f.seek(0)
        self.f.write(head)
        self.f.close()


def make_chunks(channel: str, count: int, rng: random.Random, hits: bool) -> list[tuple[bytearray, list]]:
    """Distinct chunks of one channel; with `hits`, each holds a few events of a tunnel agent."""
    kinds, weights = zip(*ce.background(channel))
    planted = ce.hits(channel) if hits else []
    out, carry = [], None
    for _ in range(count):
        c = Chunk()
        due = sorted(rng.sample(range(20), min(len(planted), 1 + rng.randrange(2)))) if planted else []
        i = 0
        while True:
            if due and i == due[0]:
                due.pop(0)
                event = rng.choice(planted)
                c.record(event, event.draw(rng))
            if carry is None:
                event = rng.choices(kinds, weights)[0]
                carry = event, event.draw(rng)
            if not c.record(*carry):
                break
            carry = None
            i += 1
        out.append((c.finished(), c.places))
    return out


def main() -> int:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("out", type=Path)
    ap.add_argument("--size-mb", type=int, help="total size (default 1024, with --single-file 2048)")
    ap.add_argument("--hits", type=float, default=0.0, metavar="PERCENT", help="share of the chunks that hold a tunnel's events")
    ap.add_argument("--single-file", action="store_true", help="one Security.evtx instead of one file per channel")
    ap.add_argument("--distinct", type=int, default=96, help="distinct chunks per channel (default 96)")
    ap.add_argument("--seed", type=int, default=1)
    a = ap.parse_args()
    shares = {"Security": 1.0} if a.single_file else ce.SHARES
    total = (a.size_mb or (2048 if a.single_file else 1024)) * (1 << 20) // CHUNK + 1
    able = sum(s for c, s in shares.items() if ce.hits(c))
    logs = a.out / "Windows" / "System32" / "winevt" / "Logs"
    logs.mkdir(parents=True, exist_ok=True)
    records = chunks = hit = 0
    for n, (channel, share) in enumerate(shares.items()):
        rng = random.Random(a.seed * 1000 + n)
        count = max(1, round(total * share / sum(shares.values())))
        if count > 65535:
            sys.exit("a log holds at most 65535 chunks")
        plain = make_chunks(channel, min(a.distinct, count), rng, False)
        rate = a.hits / 100 * sum(shares.values()) / able if a.hits and ce.hits(channel) else 0.0
        special = make_chunks(channel, min(24, count), rng, True) if rate else []
        w = Writer(logs / ce.file_name(channel))
        span, step_total, due = SPAN // count, 0, 0.0
        for i in range(count):
            due += rate
            if due >= 1 and special:
                due -= 1
                hit += 1
                data, places = special[rng.randrange(len(special))]
            else:
                data, places = plain[i % len(plain)]
            w.add(data, places, START + i * span, max(1, span // (len(places) + 1)))
        w.close()
        records += w.next - 1
        chunks += w.chunks
    print(f"{chunks} chunks, {records} records, {hit} chunks with hits, {(chunks * CHUNK + HEADER * len(shares)) / 1e6:.0f} MB in {logs}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
