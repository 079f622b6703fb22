#!/usr/bin/env python3
"""Compares what adit says of Linux logs with what the systems' own readers say.

    linux.py ADIT FILE...     *.journal: journalctl; audit.log: ausearch; wtmp, btmp: utmpdump

adit lists only what its rules care for: each of its rows must be in the other's list,
with the same time and text, under the same number or line.
"""
import csv
import json
import re
import subprocess
import sys
import tempfile
from datetime import datetime, timezone
from pathlib import Path


def rows(adit: str, file: str) -> list[dict]:
    with tempfile.TemporaryDirectory() as out:
        subprocess.run([adit, "scan", file, "-o", out, "--no-bundle"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        found = []
        for name in ("timeline.csv", "notime.csv"):
            for path in Path(out).glob(f"*/{name}"):
                with path.open(encoding="utf-8-sig", newline="") as f:
                    found += list(csv.DictReader(f))
        return found


def lines(command: list[str]) -> list[str]:
    return subprocess.run(command, check=True, capture_output=True, text=True, errors="replace").stdout.split("\n")[:-1]


def journal(file: str) -> dict[str, set[str]]:
    """Microseconds by sequence number, counted from the file's first."""
    told = {}
    for line in lines(["journalctl", "--file", file, "-o", "json", "--all"]):
        entry = json.loads(line)
        number = entry.get("__SEQNUM") or re.search(r";i=([0-9a-f]+);", ";" + entry["__CURSOR"].replace("s=", "s=", 1))[1]
        number = int(number, 16) if "__SEQNUM" not in entry else int(number)
        told[f"record:{number}"] = {entry["__REALTIME_TIMESTAMP"]}
    return told


def audit(file: str) -> dict[str, set[str]]:
    """Milliseconds of every event, under the line of its first record."""
    told, first = {}, {}
    for number, line in enumerate(Path(file).read_text(errors="replace").split("\n"), 1):
        stamp = re.search(r"msg=audit\(([\d.]+:\d+)\)", line)
        if stamp:
            first.setdefault(stamp[1], number)
    for line in lines(["ausearch", "--raw", "-if", file]):
        stamp = re.search(r"msg=audit\(([\d.]+:\d+)\)", line)
        if stamp and stamp[1] in first:
            told[f"line:{first[stamp[1]]}"] = {stamp[1]}
    return told


def logins(file: str) -> dict[str, set[str]]:
    """Microseconds of login and, by terminal, of logout, by offset."""
    told, open_ = {}, {}
    for number, line in enumerate(lines(["utmpdump", file])):
        kind, terminal = re.match(r"\[(\d)\]", line)[1], re.findall(r"\[([^\]]*)\]", line)[4].strip()
        at = datetime.fromisoformat(re.findall(r"\[([^\]]*)\]", line)[-1].replace(",", "."))
        stamp = f"{int(at.timestamp())}.{at.microsecond:06d}"
        key = f"offset:{number * 384:#x}"
        if kind == "8":
            if terminal in open_:
                told[open_.pop(terminal)].add(stamp)
            continue
        told[key] = {stamp}
        if kind == "7":
            open_[terminal] = key
    return told


def compare(adit: str, file: str) -> tuple[int, int]:
    name = Path(file).name
    told = journal(file) if ".journal" in name else audit(file) if "audit" in name else logins(file)
    own = {"Journal Entry Logged", "Audit Event", "Login", "Logout", "Failed Login", "Login Record Written"}
    equal = differ = 0
    for row in rows(adit, file):
        if row["timestamp_desc"] not in own:
            continue
        if row["datetime_raw"] in told.get(row["locator"], set()):
            equal += 1
        else:
            differ += 1
            print(f"{file} {row['locator']}: {row['datetime']}, the other says {told.get(row['locator'])}")
    print(f"{name}: {len(told)} entries by the other reader; of adit's rows {equal} equal, {differ} differ")
    return equal, differ


if __name__ == "__main__":
    results = [compare(sys.argv[1], file) for file in sys.argv[2:]]
    equal, differ = (sum(column) for column in zip(*results))
    print(f"{equal} equal, {differ} differ")
    sys.exit(differ > 0)
