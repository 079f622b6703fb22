#!/usr/bin/env python3
"""Compares the rows that adit reads of browsers' and systems' databases with SQLite's own
reading of them, each by its number: address, title, times, paths, texts.

    cargo build --example records
    python3 tests/compare/sqlite.py DATABASE...

The kind of a database is told by its tables. A log or journal beside it is given to both;
SQLite works on a copy. ADIT_RECORDS names another build of `records`.
"""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RECORDS = os.environ.get("ADIT_RECORDS", str(ROOT / "target/debug/examples/records"))

# Table, its number, query of values; fields of the record in the same order, and how many times.
QUERIES = {
    "visits": ("select v.id, u.url, u.title, p.url, v.visit_time from visits v join urls u on u.id=v.url left join visits f on f.id=v.from_visit left join urls p on p.id=f.url", ["Url", "Title", "Referrer"], 1),
    "downloads": ("select d.id, (select group_concat(url, ' ') from (select url from downloads_url_chains c where c.id=d.id order by chain_index)), d.target_path, d.referrer, d.received_bytes, d.start_time, d.end_time from downloads d", ["Url", "TargetFilename", "Referrer", "BytesReceived"], 2),
    "keyword_search_terms": ("select k.rowid, k.term, u.url, u.last_visit_time from keyword_search_terms k join urls u on u.id=k.url_id", ["Term", "Url"], 1),
    "moz_historyvisits": ("select v.id, p.url, p.title, f.url, v.visit_date from moz_historyvisits v join moz_places p on p.id=v.place_id left join moz_historyvisits o on o.id=v.from_visit left join moz_places f on f.id=o.place_id", ["Url", "Title", "Referrer"], 1),
    "moz_annos": ("select a.id, p.url, a.dateAdded from moz_annos a join moz_places p on p.id=a.place_id join moz_anno_attributes n on n.id=a.anno_attribute_id where n.name='downloads/destinationFileURI'", ["Url"], 1),
    "history_visits": ("select v.id, i.url, v.title, v.visit_time from history_visits v join history_items i on i.id=v.history_item", ["Url", "Title"], 1),
    "LSQuarantineEvent": ("select rowid, LSQuarantineDataURLString, LSQuarantineOriginURLString, LSQuarantineAgentName, LSQuarantineTimeStamp from LSQuarantineEvent", ["Url", "Referrer", "Agent"], 1),
    "Activity": ("select rowid, StartTime, EndTime from Activity where ActivityType in (5,6)", [], 2),
    "PackageUser": ("select u._PackageUserID, p.PackageFullName, l.InstalledLocation, u.InstallTime from PackageUser u join Package p on p._PackageID=u.Package left join PackageLocation l on l.Package=u.Package", ["PackageFullName", "Image"], 1),
    "Packages": ("select hnum from Packages", [], 0),
}


def text(value):
    return "" if value in (None, 0, "", 0.0) else " ".join(value) if isinstance(value, list) else str(value)


def number(value):
    return "" if value in (None, 0, "", "0") else f"{float(value):.6f}"


def of_sqlite(copy):
    con = sqlite3.connect(copy)
    con.text_factory = lambda b: b.decode("utf-8", "replace")
    tables = {name for (name,) in con.execute("select name from sqlite_master where type='table'")}
    for table, (query, fields, times) in QUERIES.items():
        if table not in tables or (table == "Packages" and "Installtid" not in tables):
            continue
        columns = {column[1] for column in con.execute("pragma table_info(visits)")}
        if table == "visits" and "external_referrer_url" in columns:
            query = query.replace("p.url", "coalesce(p.url, v.external_referrer_url)")
        for row in con.execute(query):
            end = 1 + len(fields)
            yield (f"row:{table}/{row[0]}", *map(text, row[1:end]), *[t for t in map(number, row[end : end + times]) if t])


def of_adit(path, beside):
    out = subprocess.run([RECORDS, "sqlite", path, *beside], capture_output=True, check=True)
    if out.stderr:
        print(f"{path}: {out.stderr.decode().strip()[:300]}")
    for line in out.stdout.splitlines():
        r = json.loads(line)
        table = r["locator"].removeprefix("row:").rsplit("/", 1)[0]
        if table not in QUERIES or r["recovered"]:
            continue
        _, fields, times = QUERIES[table]
        stamps = [number(raw) for _, raw in r["times"][:times]]
        yield (r["locator"], *[text(r.get(f)) for f in fields], *stamps)


def main():
    equal = differ = 0
    for path in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as work:
            beside = [f"{path}{e}" for e in ("-wal", "-journal") if os.path.exists(f"{path}{e}")]
            for file in [path, *beside]:
                shutil.copy(file, Path(work) / ("copy" + file.removeprefix(path)))
            theirs = sorted(set(of_sqlite(str(Path(work) / "copy"))))
        ours = sorted(set(of_adit(path, beside)))
        same = set(ours) & set(theirs)
        equal += len(same)
        for row in sorted(set(ours) ^ set(theirs)):
            differ += 1
            print(f"{path}: {'adit' if row in ours else 'SQLite'}: {str(row)[:200]}")
        print(f"{path}: {len(same)} equal")
    print(f"{equal} equal, {differ} differ")
    sys.exit(differ != 0)


main()
