#!/usr/bin/env python3
"""Compares adit's reading of bare $MFT files with dissect.ntfs, record by record.

    cargo build --release --example ntfs
    python3 tests/compare/mft.py FILE...        (needs: pip install dissect.ntfs)

Of every record both must know: whether it is in use, all names but 8.3 names beside
long ones, both sets of times to 100 ns, and names and sizes of its streams.
"""
import collections
import csv
import os
import re
import subprocess
import sys
from datetime import datetime, timedelta, timezone

from dissect.ntfs import NTFS as Volume
from dissect.ntfs.c_ntfs import ATTRIBUTE_TYPE_CODE as KIND

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NTFS = os.environ.get("ADIT_NTFS", f"{ROOT}/target/release/examples/ntfs")
COLUMNS = ("created", "modified", "changed", "accessed")
EPOCH = datetime(1601, 1, 1, tzinfo=timezone.utc)


def ticks(text):
    if not text:
        return 0
    whole = datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
    return int((whole - EPOCH).total_seconds()) * 10**7 + int(text[20:27])


def ours(path):
    records = collections.defaultdict(lambda: {"names": set(), "streams": {}, "times": None, "used": None})
    out = subprocess.run([NTFS, "mft", path], capture_output=True, text=True)
    for row in csv.DictReader(out.stdout.splitlines()):
        number = int(row["id"].split("-")[0])
        record = records[number]
        record["used"] = row["state"] == "present"
        record["times"] = tuple(ticks(row[column]) for column in COLUMNS)
        base, _, stream = row["path"].rsplit("\\", 1)[-1].partition(":")
        if stream or row["kind"] == "file":
            record["streams"][stream] = int(row["size"])
        if not base.startswith("OrphanFile-"):
            record["names"].add((base, tuple(ticks(row["name_" + c]) for c in COLUMNS)))
    return records, out.stderr


def raw(value):
    return value & 0xFFFFFFFFFFFFFFFF


def shown(name):
    return re.sub(r"[\\:\0\ud800-\udfff]", "\ufffd", name)


def theirs(segment):
    names, streams = [], {}
    times = (0, 0, 0, 0)
    for attribute in segment.attributes[KIND.STANDARD_INFORMATION]:
        a = attribute.attribute.attr
        times = tuple(map(raw, (a.CreationTime, a.LastModificationTime, a.LastChangeTime, a.LastAccessTime)))
    for attribute in segment.attributes[KIND.FILE_NAME]:
        a = attribute.attribute.attr
        stamps = tuple(map(raw, (a.CreationTime, a.LastModificationTime, a.LastChangeTime, a.LastAccessTime)))
        names.append((a.Flags, shown(attribute.attribute.file_name), stamps))
    long = [name[1:] for name in names if name[0] != 2]
    names = set(long or [name[1:] for name in names])
    for attribute in segment.attributes[KIND.DATA]:
        header = attribute.header
        if header.resident or header.lowest_vcn == 0:
            streams[shown(attribute.name)] = header.size
    return names, streams, times


def plausible(stamps):
    """Years from 1700 to 9999, as adit shows them; anything else is no time."""
    low, high = 31241376000000000, 2650467744000000000
    return tuple(t if low <= t < high else 0 for t in stamps)


def main():
    fine = True
    for path in sys.argv[1:]:
        records, problems = ours(path)
        alike, complaints = 0, []
        with open(path, "rb") as file:
            for segment in Volume(mft=file).mft.segments():
                number = segment.segment
                if segment.header.BaseFileRecordSegment.SegmentNumberLowPart:
                    continue
                names, streams, times = theirs(segment)
                names = {(name, plausible(stamps)) for name, stamps in names}
                if number == 5 or not (names or streams or any(times)) or number < 16 and not names:
                    continue
                mine = records.get(number)
                if mine is None:
                    complaints.append(f"{number}: not listed; {names}")
                    continue
                if mine["used"] != bool(segment.header.Flags & 1):
                    complaints.append(f"{number}: in use {mine['used']}")
                if segment.header.Flags & 2 or "" not in streams:
                    mine["streams"].pop("", None)
                if mine["times"] != plausible(times):
                    complaints.append(f"{number}: times {mine['times']} {times}")
                elif mine["names"] != names:
                    complaints.append(f"{number}: names {mine['names']} {names}")
                elif mine["streams"] != streams:
                    complaints.append(f"{number}: streams {mine['streams']} {streams}")
                else:
                    alike += 1
        print(f"{path}: {alike} records alike, {len(complaints)} differ; "
              f"{len(problems.splitlines())} problems met")
        for complaint in complaints[:30]:
            print("    !", complaint)
        fine &= not complaints
    sys.exit(0 if fine else 1)


main()
