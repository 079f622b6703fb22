#!/usr/bin/env python3
"""Compares adit's SRUM rows with libesedb and dissect.database, value by value.

    apt-get install libesedb-utils; pip install dissect.database
    cargo build --example records
    python3 tests/compare/ese.py SRUDB.dat...

esedbexport does not look at the bits that say that a value is none and shows what fills its
place (bytes 0x2a): these count as none. Its times of a row are compared to the second.
"""

import json
import re
import struct
import subprocess
import sys
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

from dissect.database.ese import ESE

ROOT = Path(__file__).resolve().parents[2]
RECORDS = ROOT / "target/debug/examples/records"
TABLES = {
    "{973F5D5C-1D90-4944-BE8E-24B94231A174}", "{D10CA2FE-6FCF-4F6D-848E-B2E99266FA89}",
    "{DD6636C4-8929-4683-974E-22C046A43763}", "{5C8CF1C7-7257-4F13-B223-970EF5939312}",
    "{7ACBBAA3-D029-4BE4-9A7A-0885927F1D8F}", "{D10CA2FE-6FCF-4F6D-848E-B2E99266FA86}",
}
NAMES = "SruDbIdMapTable"
MOMENTS = {
    "ConnectStartTime": "Network Connected", "StartTime": "Usage Started",
    "EndTime": "Usage Ended",
}
FILLER = {str(int.from_bytes(b"\x2a" * size, "little")) for size in (4, 8)}


def filetime(ticks):
    at = datetime(1601, 1, 1) + timedelta(microseconds=ticks // 10)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{ticks % 10_000_000:07d}Z"


def ole(days):
    milliseconds = round(days * 86_400_000)
    at = datetime(1899, 12, 30) + timedelta(milliseconds=milliseconds)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z"


def by_adit(path):
    out = subprocess.run([RECORDS, "srum", path], capture_output=True, text=True, check=True)
    rows = {}
    for line in out.stdout.splitlines():
        record = json.loads(line)
        table, number = record["locator"].removeprefix("row:").rsplit("/", 1)
        if not record["recovered"]:
            rows[table, int(number)] = record
    return rows


def number(value):
    """A number as both tools mean it; 0 and none are one, adit leaves both out."""
    text = "" if value is None else str(value)
    return 0 if text in FILLER or not text else int(text)


def by_libesedb(path):
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["esedbexport", "-t", f"{folder}/x", path], check=True, capture_output=True)
        for file in sorted(Path(f"{folder}/x.export").iterdir()):
            lines = file.read_text(errors="replace").split("\n")
            columns = lines[0].split("\t")
            for line in filter(None, lines[1:]):
                yield file.name.rsplit(".", 1)[0], dict(zip(columns, line.split("\t")))


def by_dissect(path):
    with open(path, "rb") as file:
        base = ESE(file)
        for table in base.tables():
            if table.name in TABLES or table.name == NAMES:
                for record in table.records():
                    yield table.name, {c.name: record.get(c.name) for c in table.columns}


def raw_time(value):
    """The moment of a row in adit's form; of esedbexport's text to the second."""
    if isinstance(value, float):
        return ole(value)
    if isinstance(value, int):
        return ole(struct.unpack("<d", struct.pack("<Q", value))[0])
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%S}"
    return f"{datetime.strptime(value.split('.')[0], '%b %d, %Y %H:%M:%S'):%Y-%m-%dT%H:%M:%S}"


def same_moment(theirs, ours):
    if len(theirs) > 19:
        return theirs == ours
    at = datetime.fromisoformat(ours.rstrip("Z"))
    return abs(at - datetime.fromisoformat(theirs)) <= timedelta(seconds=1)


def is_same(column, value, record):
    moments = dict(record["times"])
    if column == "TimeStamp":
        return same_moment(raw_time(value), record["times"][0][1])
    if column in MOMENTS:
        ours = moments.get(MOMENTS[column], "")
        if isinstance(value, str) and re.match("[A-Z]", value):
            day = datetime.strptime(value.split(".")[0], "%b %d, %Y %H:%M:%S")
            return ours == f"{day:%Y-%m-%dT%H:%M:%S}.{value.split('.')[1][:7]}Z"
        ticks = number(value)
        return ours == (filetime(ticks) if ticks > 0 else "")
    return number(value) == record.get(column, 0)


def who(names, row, record):
    """Whether program and user are those that the map says."""
    kind, blob = names.get(number(row["AppId"]), (None, b""))
    text = blob.decode("utf-16le", "replace").split("\0")[0] if kind is not None else ""
    ours = record.get("Application", record.get("Image", record.get("ServiceName", "")))
    kind, sid = names.get(number(row["UserId"]), (None, b""))
    user = ""
    if kind == 3 and sid:
        parts = struct.unpack_from(f"<{sid[1]}I", sid, 8)
        user = "-".join(map(str, ("S", sid[0], int.from_bytes(sid[2:8], "big"), *parts)))
    return text == ours, user == record.get("UserSid", "")


def compare(title, theirs, ours):
    equal = differ = 0
    names, rows = {}, []
    for table, row in theirs:
        if table == NAMES:
            blob = row.get("IdBlob") or b""
            blob = bytes.fromhex(blob.replace(" ", "")) if isinstance(blob, str) else blob
            if blob:
                names[number(row["IdIndex"])] = (number(row["IdType"]), blob)
        elif table in TABLES:
            rows.append((table, row))
    left = set(ours)
    for table, row in rows:
        key = table, number(row["AutoIncId"])
        record = ours.get(key)
        left.discard(key)
        if record is None:
            differ += 1
            print(f"{title}: {key} is missing")
            continue
        results = list(zip(("AppId", "UserId"), who(names, row, record)))
        for column, value in row.items():
            if column not in ("AutoIncId", "AppId", "UserId", "Usage"):
                results.append((column, is_same(column, value, record)))
        for column, fits in results:
            equal, differ = equal + fits, differ + (not fits)
            if not fits and differ < 20:
                print(f"{title}: {key} {column}: {row[column]!r}, adit {record}")
    differ += len(left)
    print(f"{title}: {len(rows)} rows: {equal} equal, {differ} differ")
    return differ


def main(paths):
    differ = 0
    for path in paths:
        ours = by_adit(path)
        name = Path(path).name
        for tool, read in ("esedbexport", by_libesedb), ("dissect", by_dissect):
            try:
                theirs = list(read(path))
            except Exception as refusal:
                print(f"{name}, {tool}: refused by it: {refusal}")
                continue
            differ += compare(f"{name}, {tool}", theirs, ours)
    sys.exit(bool(differ))


main(sys.argv[1:])
