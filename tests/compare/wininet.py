#!/usr/bin/env python3
"""Compares what adit reads of index.dat with libmsiecf's msiecfexport, of a WebCache with
esedbexport and dissect.database, and of a BITS queue's tables with dissect.database.

    apt-get install libmsiecf-utils libesedb-utils; pip install dissect.database
    cargo build --example records
    python3 tests/compare/wininet.py FILE...

The kind of a file is told by its content and its tables. ADIT_RECORDS names another build of
`records`. Of index.dat: offset, whether deleted, address, user, times, name and folder of the
copy; of WebCache: address, user, times, count, size, name; of a queue: texts and GUIDs.
"""

import json
import os
import re
import struct
import subprocess
import sys
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

from dissect.database.ese import ESE

ROOT = Path(__file__).resolve().parents[2]
RECORDS = os.environ.get("ADIT_RECORDS", ROOT / "target/debug/examples/records")
LISTS = re.compile("(?i)(ietld|iecompat|iecompatua|dntexception):")
VISITED = "Page Last Visited"


def by_adit(parser, path):
    out = subprocess.run([RECORDS, parser, path], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in out.stdout.splitlines()]


class Tally:
    def __init__(self, title):
        self.title, self.equal, self.differ = title, 0, 0

    def check(self, what, theirs, ours):
        fits = theirs == ours
        self.equal, self.differ = self.equal + fits, self.differ + (not fits)
        if not fits and self.differ < 20:
            print(f"{self.title}: {what}: {theirs!r}, adit {ours!r}")

    def end(self, rows):
        print(f"{self.title}: {rows} rows: {self.equal} equal, {self.differ} differ")
        return self.differ


def location(text):
    """Kind, user and address of a location."""
    days = re.match(r":(\d{8})(\d{8}): ", text)
    prefix = re.match("Visited: ?|Cookie:", text)
    if not days and not prefix:
        return ("download", "", "") if text.startswith("iedownload:") else ("copy", "", text)
    rest = text[(days or prefix).end():].lstrip()
    user, _, url = rest.partition("@")
    user = "" if user == "-" else user
    if not days:
        return "cookie" if text.startswith("Cookie") else "visit", user, url
    first, last = (datetime.strptime(day, "%Y%m%d") for day in days.groups())
    return "day" if (last - first).days == 1 else "week", user, url


def address(record, url):
    """What adit says in place of an address."""
    return f":Host: {record['HostName']}" if url.startswith(":Host:") else record.get("Url", "")


def times(tally, key, kind, record, accessed, modified):
    """Both times, in adit's form, where the kind of entry says that they stand."""
    ours = dict(record["times"])
    if kind in ("visit", "day"):
        tally.check((key, "accessed"), accessed, ours.get(VISITED, ""))
        if kind == "day":
            tally.check((key, "local"), modified.rstrip("Z"), record.get("LocalTime", ""))
    elif kind == "week":
        tally.check((key, "made"), accessed, record.get("HistoryMade", ""))
        tally.check((key, "local"), modified.rstrip("Z"), ours.get(VISITED, ""))
    elif kind == "download":
        tally.check((key, "accessed"), accessed, ours.get("Download Entry Last Accessed", ""))
    else:
        last = ours.get("Cookie Modified", "") if kind == "cookie" else record.get("LastModified", "")
        tally.check((key, "accessed"), accessed, ours.get("Cache Entry Last Accessed", ""))
        tally.check((key, "modified"), modified, last)


def text_time(text):
    """msiecfexport's text of a FILETIME in adit's form."""
    if not text:
        return ""
    second, _, part = text.partition(".")
    at = datetime.strptime(second, "%b %d, %Y %H:%M:%S")
    return f"{at:%Y-%m-%dT%H:%M:%S}.{part[:7]}Z"


def items(path):
    out = subprocess.run(["msiecfexport", "-m", "all", path], capture_output=True, check=True)
    deleted = False
    for part in out.stdout.decode("utf-8", "replace").split("\n\n"):
        deleted |= "Exporting recovered items" in part or "Number of recovered items" in part
        lines = (line.split(":", 1) for line in part.splitlines() if "\t: " in line)
        item = {name.strip(): value.strip() for name, value in lines}
        if "Record type" in item:
            yield deleted, item


def compare_index(path):
    tally, rows = Tally(f"{Path(path).name}, msiecfexport"), 0
    ours = {int(r["locator"].split(":")[1], 16): r for r in by_adit("index_dat", path)}
    for deleted, item in items(path):
        place = item.get("Location", "")
        if LISTS.match(place):
            continue
        rows += 1
        at = int(item["Offset range"].split()[0])
        record = ours.pop(at, None)
        tally.check((at, "is there"), True, record is not None)
        if record is None:
            continue
        kind, user, url = location(place)
        tally.check((at, "deleted"), deleted, record["recovered"])
        # msiecfexport shows no address of a copy that was not deleted.
        if kind != "download" and item["Record type"] != "LEAK":
            tally.check((at, "address"), url, address(record, url))
        if kind not in ("copy", "download"):
            tally.check((at, "user"), user, record.get("User", ""))
        if item["Record type"] == "URL":
            times(tally, at, kind, record, text_time(item.get("Primary time", "")),
                  text_time(item.get("Secondary time", "")))
        folder = re.search(r"\((\w{8})\)", item.get("Cache directory index", ""))
        name = item.get("Filename", "")
        if name and folder:
            name = f"{folder[1]}\\{name}"
        tally.check((at, "copy"), name, record.get("CacheFile", ""))
    tally.check("others", [], sorted(ours))
    return tally.end(rows)


def ticks(value):
    number = int(value or 0)
    if not 1 < number < (1 << 63) - 1:
        return ""
    at = datetime(1601, 1, 1) + timedelta(microseconds=number // 10)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{number % 10_000_000:07d}Z"


def by_libesedb(path):
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(["esedbexport", "-t", f"{folder}/x", path], capture_output=True)
        if done.returncode:
            return
        for file in sorted(Path(f"{folder}/x.export").iterdir()):
            lines = file.read_text(errors="replace").split("\n")
            columns = lines[0].split("\t")
            for line in filter(None, lines[1:]):
                yield file.name.rsplit(".", 1)[0], dict(zip(columns, line.split("\t")))


def by_dissect(path):
    with open(path, "rb") as file:
        for table in ESE(file).tables():
            if table.name.startswith("Container"):
                for record in table.records():
                    yield table.name, {c.name: record.get(c.name) for c in table.columns}


def compare_cache(title, theirs, ours):
    tally, rows = Tally(title), 0
    theirs = list(theirs)
    lists = {str(row["ContainerId"]) for table, row in theirs if table == "Containers"
             and re.match("(?i)(microsoftedge_)?(iecompat|ietld|dntexception|emie)", row["Name"])}
    left = set(ours)
    for table, row in theirs:
        number = table.rpartition("_")[2]
        place = (row.get("Url") or "").rstrip("\0")
        if not table.startswith("Container_") or number in lists or LISTS.match(place):
            continue
        rows += 1
        key = f"row:{table}/{row['EntryId']}"
        record = ours.get(key)
        left.discard(key)
        tally.check((key, "is there"), True, record is not None)
        if record is None:
            continue
        kind, user, url = location(place)
        if kind == "download":
            blob = row["ResponseHeaders"]
            blob = bytes.fromhex(blob) if isinstance(blob, str) else bytes(blob)
            texts = blob.decode("utf-16-le", "replace").split("\0")[-6:-1]
            names = ("Referrer", "MimeType", "TemporaryFile", "Url", "TargetFilename")
            tally.check((key, "download"), texts, [record.get(name, "") for name in names])
        else:
            tally.check((key, "address"), url, address(record, url))
        if kind != "copy":
            tally.check((key, "user"), user, record.get("User", ""))
        times(tally, key, kind, record, ticks(row["AccessedTime"]), ticks(row["ModifiedTime"]))
        if kind in ("copy", "cookie"):
            name = (row.get("Filename") or "").rstrip("\0")
            tally.check((key, "copy"), name, record.get("CacheFile", ""))
            tally.check((key, "size"), int(row["FileSize"] or 0), record.get("Size", 0))
        elif not url.startswith(":Host:") and kind != "download":
            tally.check((key, "count"), int(row["AccessCount"] or 0), record.get("VisitCount", 0))
    tally.check("others", set(), {key for key in left if key.startswith("row:Container_")})
    return tally.end(rows)


def counted(blob, at):
    count = struct.unpack_from("<I", blob, at)[0]
    end = at + 4 + 2 * count
    return blob[at + 4:end].decode("utf-16-le").rstrip("\0"), end


def compare_queue(path):
    tally, rows = Tally(f"{Path(path).name}, dissect"), 0
    ours = [r for r in by_adit("bits_queue", path) if r["locator"].startswith("row:")]
    with open(path, "rb") as file:
        base = ESE(file)
        for record in base.table("Files").records():
            rows += 1
            texts, at = [], 16
            for _ in range(3):
                text, at = counted(record.get("Blob"), at)
                texts.append(text)
            names = ("TargetFilename", "Url", "TemporaryFile")
            own = [[r.get(name, "") for name in names] for r in ours]
            tally.check(record.get("Id"), True, texts in own)
        for record in base.table("Jobs").records():
            rows += 1
            blob, texts, at = record.get("Blob"), [], 48
            for _ in range(5):
                text, at = counted(blob, at)
                texts.append(text)
            texts[2:4] = [f"{texts[2]} {texts[3]}".strip()]
            guid = f"{{{str(record.get('Id')).upper()}}}"
            names = ("JobName", "Description", "CommandLine", "UserSid", "JobId")
            own = [[r.get(name, "") for name in names] for r in ours]
            tally.check(guid, True, [*texts, guid] in own)
    return tally.end(rows)


def compare(path):
    with open(path, "rb") as file:
        if file.read(16) == b"Client UrlCache ":
            return compare_index(path)
    with open(path, "rb") as file:
        names = {table.name for table in ESE(file).tables()}
    if "Jobs" in names:
        return compare_queue(path)
    live = [r for r in by_adit("web_cache", path) if not r["recovered"]]
    ours, name = {r["locator"]: r for r in live}, Path(path).name
    # dissect.database gives deleted rows, too; adit says of them that they are.
    everything = {r["locator"]: r for r in by_adit("web_cache", path)}
    differ = compare_cache(f"{name}, esedbexport", by_libesedb(path), ours)
    return differ + compare_cache(f"{name}, dissect", by_dissect(path), everything)


sys.exit(bool(sum(map(compare, sys.argv[1:]))))
