#!/usr/bin/env python3
"""Says what adit alarms on where there is nothing to alarm on.

    clean.py [--adit PROGRAM] SOURCE...

Scans each clean source (a host without a tunnel, or real files of other hosts) and lists every
row of level medium or above by source, tool and rule. Those that clean.md explains, in the
lines `| source | tool | rule | rows | why |`, are counted; any other fails. A source in clean.md
is the name of its folder or file (of a folder `tree`, the one above); `*` in a cell is any text.
A source that adit cannot read at all (exit code 4) is said, and holds no row.
"""
import argparse
import csv
import fnmatch
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
ALARMING = {"medium", "high", "critical"}
csv.field_size_limit(1 << 28)


def explained():
    """The table of clean.md."""
    rows = []
    for line in (HERE / "clean.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip().strip("`") for cell in line.strip().strip("|").split("|")]
        if line.startswith("| `") and len(cells) == 5:
            rows.append(cells)
    return rows


def name_of(source):
    """What clean.md calls a source."""
    path = Path(source)
    return path.parent.name if path.name == "tree" else path.name


def alarms(adit, source):
    """Rows of level medium or above, by tool and rule."""
    found = Counter()
    with tempfile.TemporaryDirectory() as place:
        run = subprocess.run([adit, "scan", source, "-o", f"{place}/o", "--no-bundle", "--progress", "none"],
                             stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if run.returncode == 4:
            print(f"{name_of(source)}: not read: {run.stdout.splitlines()[-1:]}")
        elif run.returncode not in (0, 3):
            sys.exit(f"{source}: exit {run.returncode}: {run.stderr[:400]}")
        for name in ("timeline.csv", "notime.csv"):
            for path in Path(place).rglob(name):
                with open(path, newline="", encoding="utf-8") as text:
                    for row in csv.DictReader(text):
                        if row["level"] in ALARMING and "suppressed" not in row["tag"]:
                            found[row["tool"], row["rule"]] += 1
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--adit", default=str(HERE.parents[1] / "target/release/adit"))
    parser.add_argument("sources", nargs="+")
    options = parser.parse_args()
    known, unexplained, rows = explained(), 0, 0
    for source in options.sources:
        for (tool, rule), count in sorted(alarms(options.adit, source).items()):
            rows += count
            why = [k[4] for k in known if fnmatch.fnmatch(name_of(source), k[0])
                   and fnmatch.fnmatch(tool, k[1]) and fnmatch.fnmatch(rule, k[2])
                   and count <= int(k[3])]
            if not why:
                unexplained += count
            print(f"{name_of(source)}: {tool}, {rule}: {count} rows, {why[0] if why else 'NOT EXPLAINED'}",
                  flush=True)
    print(f"{len(options.sources)} sources: {rows - unexplained} explained, {unexplained} not")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
