#!/usr/bin/env python3
"""Compares what adit reads of event logs with dissect.eventlog, record by record: number,
event, channel, provider, computer, time, and every value that both give one name.

    pip install dissect.eventlog
    cargo build --example records
    python3 tests/compare/evtx.py FILE-OR-FOLDER...

Values are the same if they are the same text whatever its case, number or GUID.
ADIT_RECORDS names another build of `records`.
"""

import json
import os
import re
import subprocess
import sys
import uuid
from collections import Counter, defaultdict
from datetime import datetime
from pathlib import Path

from dissect.eventlog.evtx import Evtx

ROOT = Path(__file__).resolve().parents[2]
RECORDS = os.environ.get("ADIT_RECORDS", str(ROOT / "target/debug/examples/records"))
# Of the event's head; data may bear the same names.
HEAD = {"Version", "Level", "Task", "Opcode", "Keywords", "UserSid"}
# What adit calls otherwise.
NAMES = {"Provider_Name": "Provider", "Security_UserID": "UserSid", "Execution_ProcessID": "ExecutionProcessID", "Execution_ThreadID": "ExecutionThreadID"}
GUID = re.compile(r"\{?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\}?$", re.I)


def micros(text):
    """A time as both write it, cut to a millisecond."""
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", str(text).replace("Z", "+00:00"))).timestamp().__round__(3)


def same(ours, theirs):
    if isinstance(theirs, bytes):
        texts = (theirs.hex(), theirs.decode("latin-1"), theirs.decode("utf-8", "replace"))
        return any(same(ours, text) for text in texts)
    ours, theirs = str(ours).strip("\0 \r\n\t"), str(theirs).strip("\0 \r\n\t")
    if ours in ("true", "false") and theirs in ("0", "1"):
        return (ours == "true") == (theirs == "1")
    if ours.lower() == theirs.lower():
        return True
    if GUID.match(ours) and GUID.match(theirs):
        return uuid.UUID(ours) in (uuid.UUID(theirs), uuid.UUID(bytes=uuid.UUID(theirs).bytes_le))
    try:
        return int(ours, 0) == int(theirs, 0)
    except ValueError:
        pass
    try:
        return abs(micros(ours) - micros(theirs)) < 0.002
    except ValueError:
        return " ".join(ours.split()).lower() == " ".join(theirs.split()).lower()


def of_adit(path):
    done = subprocess.run([RECORDS, "evtx", str(path)], capture_output=True, check=False)
    found = defaultdict(list)
    for line in done.stdout.splitlines():
        record = json.loads(line)
        found[record.get("EventRecordID"), record.get("EventID")].append(record)
    return found, done.stderr.decode(errors="replace").strip()


def compare(path, sums):
    ours, damage = of_adit(path)
    given = sum(map(len, ours.values()))
    shown = []
    try:
        with open(path, "rb") as file:
            for theirs in Evtx(file):
                sums["records of theirs"] += 1
                found = ours.get((theirs.get("EventRecordID"), theirs.get("EventID")))
                if not found:
                    sums["not in adit"] += 1
                    shown.append(f"not in adit: record {theirs.get('EventRecordID')}, event {theirs.get('EventID')}")
                    continue
                mine = found.pop(0)
                at = next((raw for meaning, raw in mine["times"] if meaning == "Event Logged"), None)
                # In a process audit that name is the parent's.
                names = NAMES | ({"ProcessId": "ParentProcessId"} if theirs["EventID"] == 4688 else {})
                pairs = [(names.get(name, name), value) for name, value in theirs.items() if value is not None and name not in HEAD]
                pairs = [(name, mine[name], value) for name, value in pairs if name in mine and not isinstance(mine[name], list) and not isinstance(value, list)]
                # Sysmon says itself when it saw what it tells of.
                if at and "UtcTime" not in theirs:
                    pairs.append(("time", at, theirs["TimeCreated_SystemTime"]))
                for name, one, other in pairs:
                    sums["values"] += 1
                    if not same(one, other):
                        sums["values that differ"] += 1
                        shown.append(f"record {theirs['EventRecordID']}: {name}: {str(one)[:60]!r} {str(other)[:60]!r}")
    except Exception as error:  # what the other tool cannot read
        sums["files the other tool gave up"] += 1
        shown.append(f"dissect gave up: {type(error).__name__}: {error}")
    alone = [record for left in ours.values() for record in left]
    sums["records of adit alone"] += sum(not record["recovered"] for record in alone)
    sums["recovered by adit alone"] += sum(record["recovered"] for record in alone)
    sums["files"] += 1
    sums["records of adit"] += given
    if shown or damage:
        print(path.name, f"({len(shown)} differ)", damage.splitlines()[:1])
        for line in shown[:4]:
            print("   ", line)


def main(arguments):
    sums = Counter()
    for argument in map(Path, arguments):
        files = sorted(argument.rglob("*.evtx")) if argument.is_dir() else [argument]
        for path in files:
            compare(path, sums)
    print(", ".join(f"{n} {what}" for what, n in sums.items()))
    return 0 if sums["records of theirs"] else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
