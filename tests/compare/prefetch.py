#!/usr/bin/env python3
"""Compares adit's prefetch files with libscca and dissect.target, file by file.

    apt-get install libscca-utils; pip install dissect.target
    python3 tests/compare/prefetch.py FILE-OR-FOLDER...

sccainfo reads versions 17 to 30: version, name, hash, run count, run times, files, volumes.
dissect reads all: name, run times (to about a microsecond, for it reckons in floating-point
numbers), files, and the run count but in the newer layout of 30 and 31, where it looks eight
bytes behind it: there the number is read by hand. Of version 17 it has the layout wrong.
"""

import json
import re
import struct
import subprocess
import sys
from datetime import datetime
from pathlib import Path

from dissect.target.plugins.os.windows.prefetch import Prefetch

ROOT = Path(__file__).resolve().parents[2]


def iso(text):
    """`Jun 05, 2019 19:55:04.877778700 UTC` as adit writes it."""
    seconds, fraction = text.removesuffix(" UTC").split(".")
    return f"{datetime.strptime(seconds, '%b %d, %Y %H:%M:%S'):%Y-%m-%dT%H:%M:%S}.{fraction[:7]}"


def by_adit(program, path):
    out = subprocess.run([program, "prefetch", path], capture_output=True, text=True)
    if out.returncode:
        return None
    record = json.loads(out.stdout)
    return {
        "version": record["FormatVersion"],
        "name": record["ProgramName"],
        "hash": record["PrefetchHash"].lower(),
        "count": record.get("RunCount"),
        "times": [raw.rstrip("Z") for _, raw in record["times"]],
        "files": record.get("LoadedFiles", []),
        "volumes": [v.split(" serial ")[0] for v in record.get("Volumes", [])],
        "serials": [v.split(" serial ")[1][:8].lower() for v in record.get("Volumes", [])],
    }


def by_scca(path):
    out = subprocess.run(["sccainfo", path], capture_output=True, text=True)
    if out.returncode or "Format version" not in out.stdout:
        return None
    every = lambda key: re.findall(rf"^\t{key}(?:: \d+:?)?:?\t+: (.*)$", out.stdout, re.M)
    return {
        "version": int(every("Format version")[0]),
        "name": every("Executable filename")[0],
        "hash": every("Prefetch hash")[0].removeprefix("0x").rjust(8, "0"),
        "count": int(every("Run count")[0]),
        "times": [iso(t) for t in every("Last run time") if t.endswith("UTC")],
        "files": every("Filename"),
        "volumes": every("Device path"),
        "serials": [s.removeprefix("0x").rjust(8, "0") for s in every("Serial number")],
    }


def by_dissect(path):
    with open(path, "rb") as file:
        found = Prefetch(file)
        if found.header.version == 17:
            return None
        stamp = lambda at: f"{at:%Y-%m-%dT%H:%M:%S.%f}"
        data = found.fh.getvalue() if hasattr(found.fh, "getvalue") else path.read_bytes()
        newer = found.header.version >= 30 and struct.unpack_from("<I", data, 84)[0] == 296
        times = [found.latest_timestamp, *(found.previous_timestamps or [])]
        return {
            "name": found.header.name.decode("utf-16-le", "ignore").split("\0")[0],
            "count": struct.unpack_from("<I", data, 200)[0] if newer else found.fn.run_count,
            "times": [stamp(t) for t in times if t and t.year > 1601],
            "files": [entry.rstrip("\0") for entry in found.metrics],
        }


def near(own, other):
    """Whether the times are the same to what the other tool tells."""
    if len(own) != len(other) or other and len(other[0]) == len(own[0]):
        return own == other
    micro = lambda text: datetime.fromisoformat(text[:26].ljust(26, "0"))
    return all(abs((micro(a) - micro(b)).total_seconds()) <= 3e-6 for a, b in zip(own, other))


def differs(name, own, other):
    wrong = []
    for key, value in other.items():
        mine = own[key]
        if key == "times" and near(mine, value):
            continue
        if mine != value:
            wrong.append(f"{key}: {mine!r:.150} and {value!r:.150}")
    for line in wrong:
        print(f"  {name}: {line}")
    return bool(wrong)


def main():
    subprocess.run(["cargo", "build", "-q", "--example", "records"], cwd=ROOT, check=True)
    program = ROOT / "target/debug/examples/records"
    paths = []
    for argument in map(Path, sys.argv[1:]):
        paths += sorted(argument.rglob("*.pf")) if argument.is_dir() else [argument]
    tools = {"sccainfo": by_scca, "dissect": by_dissect}
    equal, differ, refused = dict.fromkeys(tools, 0), dict.fromkeys(tools, 0), dict.fromkeys(tools, 0)
    for path in paths:
        own = by_adit(program, path)
        if own is None:
            print(f"  {path.name}: refused by adit")
        for tool, read in tools.items():
            try:
                other = read(path)
            except Exception as error:  # whatever it refuses
                print(f"  {path.name}: refused by {tool}: {error!r}")
                other = None
            if other is None:
                refused[tool] += 1
            elif own is None or differs(f"{path.name} ({tool})", own, other):
                differ[tool] += 1
            else:
                equal[tool] += 1
    for tool in tools:
        print(f"{tool}: {equal[tool]} equal, {differ[tool]} differ, {refused[tool]} not read by it")
    return 1 if any(differ.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
