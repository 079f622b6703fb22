#!/usr/bin/env python3
"""Compares adit's change journal parser with dissect.ntfs, record by record.

    pip install dissect.ntfs
    python3 tests/compare/usn.py JOURNAL...

Versions 3 and 4, which dissect leaves out, are read by the few lines below.
"""

import datetime
import json
import struct
import subprocess
import sys
from pathlib import Path

from dissect.ntfs.c_ntfs import c_ntfs
from dissect.ntfs.usnjrnl import UsnJrnl

ROOT = Path(__file__).resolve().parents[2]
EPOCH = datetime.datetime(1601, 1, 1)
FURTHER = {
    "DIRECTORY": 0x10,
    "NOT_CONTENT_INDEXED": 0x2000,
    "INTEGRITY_STREAM": 0x8000,
    "VIRTUAL": 0x10000,
    "NO_SCRUB_DATA": 0x20000,
    "EA": 0x40000,
    "PINNED": 0x80000,
    "UNPINNED": 0x100000,
    "RECALL_ON_DATA_ACCESS": 0x400000,
}


def stamp(ticks):
    at = EPOCH + datetime.timedelta(microseconds=ticks // 10)
    return f"{at:%Y-%m-%dT%H:%M:%S.%f}{ticks % 10}Z"


def reference(low, high=0):
    return f"{low & 0xFFFFFFFFFFFF}-{low >> 48}" if high == 0 else f"{high << 64 | low:#034x}"


def by_dissect(path):
    with open(path, "rb") as file:
        for r in UsnJrnl(file).records():
            file_ref = r.record.FileReferenceNumber.dumps()
            parent = r.record.ParentFileReferenceNumber.dumps()
            yield (
                r.Usn,
                r.filename,
                reference(int.from_bytes(file_ref, "little")),
                reference(int.from_bytes(parent, "little")),
                stamp(r.record.TimeStamp),
                int(r.record.Reason),
                int(r.record.FileAttributes),
            )


def by_hand(path, versions):
    """Every aligned place is tried."""
    data = Path(path).read_bytes()
    at = 0
    while at + 60 <= len(data):
        length, major, minor = struct.unpack_from("<IHH", data, at)
        if not (60 <= length <= 4096 and length % 8 == 0 and major in (2, 3, 4) and minor == 0):
            at += 8
            continue
        if major not in versions:
            pass
        elif major == 2:
            f0, p0, usn, time, reason, _, _, attributes, size, start = struct.unpack_from(
                "<QQQQIIIIHH", data, at + 8
            )
            name = data[at + start : at + start + size].decode("utf-16-le")
            yield usn, name, reference(f0), reference(p0), stamp(time), reason, attributes
        elif major == 3:
            f0, f1, p0, p1, usn, time, reason, _, _, attributes, size, start = struct.unpack_from(
                "<QQQQQQIIIIHH", data, at + 8
            )
            name = data[at + start : at + start + size].decode("utf-16-le")
            yield usn, name, reference(f0, f1), reference(p0, p1), stamp(time), reason, attributes
        elif major == 4:
            f0, f1, p0, p1, usn, reason = struct.unpack_from("<QQQQQI", data, at + 8)
            yield usn, None, reference(f0, f1), reference(p0, p1), None, reason, 0
        at += length


def bits(text, names):
    value = 0
    for word in filter(None, (text or "").split("|")):
        value |= int(word, 16) if word.startswith("0x") else names[word]
    return value


def by_adit(path, reasons, attributes):
    command = ["cargo", "run", "--quiet", "--offline", "--locked", "--example", "records"]
    run = subprocess.run([*command, "usn_journal", path], cwd=ROOT, check=True, stdout=subprocess.PIPE)
    for line in run.stdout.splitlines():
        r = json.loads(line)
        yield (
            r["Usn"],
            r.get("FileName"),
            r["FileReference"],
            r["ParentReference"],
            r["times"][0][1] if r["times"] else None,
            bits(r.get("Reason"), reasons),
            bits(r.get("FileAttributes"), attributes),
        )


def flags(kind, further):
    """Names and values of the flags as dissect has them, and those it lacks."""
    members = {name: int(member.value) for name, member in getattr(c_ntfs, kind).__members__.items()}
    return {name.removeprefix("FILE_ATTRIBUTE_"): value for name, value in members.items()} | further


def main():
    reasons = flags("USN_REASON", {"DESIRED_STORAGE_CLASS_CHANGE": 0x01000000})
    attributes = flags("FILE_ATTRIBUTE", FURTHER)
    failed = False
    for path in sys.argv[1:]:
        try:
            expected = [*by_dissect(path), *by_hand(path, {3, 4})]
        except ValueError as error:
            print(f"{path}: dissect gives up ({error}), read by hand")
            expected = by_hand(path, {2, 3, 4})
        expected = sorted(expected, key=str)
        found = sorted(by_adit(str(Path(path).resolve()), reasons, attributes), key=str)
        missing, extra = set(expected) - set(found), set(found) - set(expected)
        same = expected == found
        failed |= not same
        print(f"{path}: expected {len(expected)}, adit {len(found)}: {'equal' if same else 'DIFFERENT'}")
        for title, rows in (("missing", missing), ("too many", extra)):
            for row in sorted(rows, key=str)[:10]:
                print(f"  {title}: {row}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
