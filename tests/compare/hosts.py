#!/usr/bin/env python3
"""Compares what adit says of one host from every kind of disk image, and from its tree.

    hosts.py [--adit PROGRAM] FOLDER [--trees FOLDER]

FOLDER holds one folder per host: images of one disk (`disk.E01`, `disk.Ex01`, `disk.raw`, `disk.vhd`,
`disk.vhdx`, `disk.vmdk`, `disk.qcow2`, the first segment at `split/disk.001`).  Every file that a
scan writes must be the same from each, column by column, but for the cells that name the
evidence itself (`source`; `path` of what coverage.csv could not find), run.json, the notes for
--resume and the bundle.
With --trees (HOST/tree, the files of the same volume as a mounted image shows them) also the
findings are compared: each tool's answers in verdict.json, sessions and credentials, and the chains.
A folder holds no removed files, streams, change journal or NTFS times: answers that rest on
such rows alone are counted apart, any other difference fails.  Exit 0 only if nothing differs.
"""
import argparse
import csv
import io
import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ["disk.E01", "disk.Ex01", "disk.raw", "split/disk.001", "disk.vhd", "disk.vhdx", "disk.vmdk", "disk.qcow2"]
# What only an image holds: times of the master file table, its removed entries, the change
# journal, directory indexes, streams.
IMAGE_ONLY = re.compile(r"windows\.filesystem\.(usn_journal|mft|directory_index)")
csv.field_size_limit(1 << 28)


def scan(adit, source, out):
    run = subprocess.run([adit, "scan", source, "-o", out, "--progress", "none"], stdin=subprocess.DEVNULL,
                         capture_output=True, text=True)
    if run.returncode not in (0, 3):
        sys.exit(f"{source}: exit {run.returncode}: {run.stderr[:400]}")
    files = {}
    for path in sorted(Path(out).rglob("*")):
        if path.is_file() and path.suffix != ".zip" and path.name not in ("run.json", ".adit-batch.jsonl"):
            files[path.relative_to(out).as_posix()] = path.read_bytes()
    return run.returncode, files


def rows(data):
    text = data.decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def differences(name, one, other, names):
    """How two files of results differ: (column, count, first example)."""
    if one == other:
        return []
    if not name.endswith(".csv"):
        # The evidence's own path is the only thing that may differ.
        same = one.replace(names[0].encode(), b"@") == other.replace(names[1].encode(), b"@")
        return [] if same else [("bytes", 1, name)]
    a, b = rows(one), rows(other)
    if len(a) != len(b):
        return [("rows", abs(len(a) - len(b)), f"{len(a)} and {len(b)}")]
    found = {}
    for left, right in zip(a, b):
        for column in left:
            if left[column] == right.get(column):
                continue
            if column in ("source", "path") and left[column].endswith(names[0]) and right[column].endswith(names[1]):
                continue
            found.setdefault(column, [0, (left[column], right.get(column))])[0] += 1
    return [(column, n, example) for column, (n, example) in found.items()]


def compare_images(adit, folder, results):
    complaints, first, shown = 0, None, []
    for image in IMAGES:
        path = folder / image
        if not path.exists():
            continue
        with tempfile.TemporaryDirectory() as out:
            code, files = scan(adit, path, out)
        results.setdefault(folder.name, files)
        if first is None:
            first = image, code, files
            print(f"{folder.name}: {image}: {len(files)} files of results, exit {code}, "
                  f"{sum(len(rows(d)) for n, d in files.items() if n.endswith('/timeline.csv'))} rows of timeline")
            continue
        found = []
        if code != first[1]:
            found.append(("exit", 1, (first[1], code)))
        for name in sorted(set(first[2]) | set(files)):
            if name not in files or name not in first[2]:
                found.append(("file", 1, name))
                continue
            names = [str(folder / first[0]), str(path)]
            found += [(f"{name} {c}", n, e) for c, n, e in differences(name, first[2][name], files[name], names)]
        shown.append(f"{image} {'DIFFERS' if found else 'equal'}")
        complaints += len(found)
        for what, count, example in found[:10]:
            print(f"    ! {image}: {what}: {count} times, first {example}")
    print(f"    {'; '.join(shown)}")
    return complaints


def verdict(files):
    return next(json.loads(data) for name, data in files.items() if name.endswith("/verdict.json"))


def table(files, name):
    return next((rows(data) for path, data in files.items() if path.endswith("/" + name)), [])


def key(session):
    return session.get("kind"), session.get("user"), session.get("local_port"), session.get("remote_address")


def compare_tree(adit, name, tree, image, explained):
    """How the findings of a tree differ from those of its image."""
    with tempfile.TemporaryDirectory() as out:
        _, files = scan(adit, tree, out)
    found, theirs, ours = [], verdict(files), verdict(image)
    kinds = {row["row_id"]: row for row in table(image, "timeline.csv") + table(image, "notime.csv")}

    def image_only(ids):
        """Whether a folder can show none of these rows."""
        known = [kinds[i] for i in ids if i in kinds]
        return bool(known) and all(
            IMAGE_ONLY.search(r["artifact"]) or {"deleted", "recovered"} & set(r["tag"].split())
            or re.search(r"^(.:)?\\.*:[^\\]+$", r["source_path"]) or "$FN" in r["timestamp_desc"] for r in known)

    tools = {t["tool"]: t for t in ours["tools"]}, {t["tool"]: t for t in theirs["tools"]}
    for tool in sorted(set(tools[0]) | set(tools[1])):
        left, right = tools[0].get(tool), tools[1].get(tool)
        if left is None or right is None:
            ids = [i for r in (left or {"rungs": {}})["rungs"].values() for i in r["rows"]]
            if left and image_only(ids):
                explained[f"{tool}: only what an image alone holds speaks of it"] += 1
            else:
                found.append(f"tool {tool} only in the {'image' if left else 'tree'}")
            continue
        for rung in left["rungs"]:
            a, b = left["rungs"][rung], right["rungs"].get(rung, {})
            if a["answer"] == b.get("answer"):
                continue
            if a["answer"] == "yes" and image_only(a["rows"]):
                explained[f"{tool} {rung}: rests on what an image alone holds"] += 1
            elif a["answer"] != "yes" and b.get("answer") != "yes":
                explained[f"{tool} {rung}: {a['answer']} from the image, {b.get('answer')} from the tree, "
                          f"which lacks a source: {b.get('why', '')[:80]}"] += 1
            else:
                found.append(f"{tool} {rung}: image {a['answer']} ({a['why'][:60]}), tree {b.get('answer')} ({b.get('why', '')[:60]})")
        for what in ("sessions", "credentials"):
            pick = key if what == "sessions" else (lambda c: c.get("id"))
            a, b = Counter(map(pick, left[what])), Counter(map(pick, right[what]))
            for lost in (a - b).elements():
                ids = [i for item in left[what] if pick(item) == lost for i in item["rows"]]
                if image_only(ids):
                    explained[f"{tool} {what}: rests on what an image alone holds"] += 1
                else:
                    found.append(f"{tool}: {what} {lost} only in the image")
            found += [f"{tool}: {what} {more} only in the tree" for more in (b - a).elements()]
    levels = ours["level"], theirs["level"]
    if levels[0] != levels[1]:
        found.append(f"level: image {levels[0]}, tree {levels[1]}")
    # A chain is called after its last stage: one that only an image shows is left out on both sides.
    hidden = {(t, rung) for t, tool in tools[0].items() for rung, r in tool["rungs"].items()
              if r["answer"] == "yes" and image_only(r["rows"])}

    def name_of(row):
        return row["tool"], row["user"], "" if (row["tool"], row["stage"]) in hidden else row["stage"]

    def alike(one, other):
        return one[:2] == other[:2] and "" in (one[2], other[2])

    ids = {name_of(r): r["rows"].split() for r in table(image, "findings.csv")}
    chains = [Counter(map(name_of, table(f, "findings.csv"))) for f in (image, files)]
    for one in list((chains[0] - chains[1]).elements()):
        other = next((c for c in (chains[1] - chains[0]).elements() if alike(one, c)), None)
        if other:
            explained["chains whose last stage an image alone shows"] += 1
            chains[0][one] -= 1
            chains[1][other] -= 1
    for lost in (chains[0] - chains[1]).elements():
        if image_only(ids[lost]):
            explained["chains of what an image alone holds"] += 1
        else:
            found.append(f"chain {lost} only in the image")
    found += [f"chain {more} only in the tree" for more in (chains[1] - chains[0]).elements()]
    print(f"    tree: {len(theirs['tools'])} tools, {len(table(files, 'findings.csv'))} chains, "
          f"{len(table(files, 'timeline.csv'))} rows; {len(found)} differences not explained")
    for line in found[:20]:
        print("    !", line)
    return len(found)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--trees", type=Path, metavar="FOLDER")
    parser.add_argument("--adit", default=str(ROOT / "target/release/adit"), metavar="PROGRAM")
    given = parser.parse_args()
    wrong, results, explained = 0, {}, Counter()
    for folder in sorted(p for p in given.folder.resolve().iterdir() if p.is_dir()):
        wrong += compare_images(given.adit, folder, results)
        tree = given.trees and given.trees / folder.name / "tree"
        if tree and tree.is_dir() and folder.name in results:
            wrong += compare_tree(given.adit, folder.name, tree, results[folder.name], explained)
    for reason, count in sorted(explained.items()):
        print(f"    {count:4} {reason}")
    print(f"{wrong} differences not explained")
    sys.exit(1 if wrong else 0)


main()
