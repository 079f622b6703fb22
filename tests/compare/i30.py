#!/usr/bin/env python3
"""Compares adit's directory indexes with dissect.ntfs, entry by entry.

    pip install dissect.ntfs
    python3 tests/compare/i30.py INDEX...

INDEX is a $I30:$INDEX_ALLOCATION stream (`icat IMAGE INODE-160-ID`). Entries left over,
which dissect does not list, are searched by hand below: any place where four times of
our age stand before a name that fits.
"""

import json
import struct
import subprocess
import sys
from pathlib import Path

from dissect.ntfs.exceptions import Error
from dissect.ntfs.index import IndexBuffer

from usn import stamp

ROOT = Path(__file__).resolve().parents[2]
BLOCK = 4096
SPACES = ["POSIX", "Win32", "DOS", "Win32+DOS"]
YOUNGEST, OLDEST = 122_753_664_000_000_000, 157_469_184_000_000_000


def name_at(data, at):
    """Name, namespace, sizes and times of the $FILE_NAME at `at`, if its name fits."""
    if at + 66 > len(data):
        return None
    _, *times, allocated, size, _, _, letters, space = struct.unpack_from("<QQQQQQQIIBB", data, at)
    end = at + 66 + 2 * letters
    if letters == 0 or space > 3 or end > len(data):
        return None
    name = data[at + 66 : end].decode("utf-16-le", "replace")
    return name, SPACES[space], size, allocated, *times


def shown(found):
    name, space, size, allocated, *times = found
    return name, space, size, allocated, *(stamp(time) for time in times if time)


def left_over(data, at):
    """Entries from `at` to the end of a block."""
    at = (at + 7) & ~7
    while at < len(data):
        found = name_at(data, at)
        sane = (
            found is not None
            and all(YOUNGEST <= time < OLDEST for time in found[4:])
            and not any(c < " " or c in '/\ufffd' for c in found[0])
            and (found[1] == "POSIX" or not any(c in '"*:<>?\\|' for c in found[0]))
        )
        if sane:
            yield shown(found)
            at = (at + 66 + 2 * len(found[0].encode("utf-16-le")) // 2 + 7) & ~7
        else:
            at += 8


def expected(path):
    used, left = [], []
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        for at in range(0, size, BLOCK):
            try:
                block = IndexBuffer(None, file, at, BLOCK)
            except (Error, EOFError):
                continue
            data = bytes(block.data)
            end = 0
            for entry in block.entries():
                end = entry.offset + entry.length
                if not entry.is_end:
                    used.append(shown(name_at(data, entry.offset + 16)))
            left += left_over(data, end)
    known = {(f[0], f[2], *f[4:]) for f in used}
    fresh = []
    for found in left:
        facts = (found[0], found[2], *found[4:])
        if facts not in known:
            known.add(facts)
            fresh.append(found)
    return used, fresh


def by_adit(path):
    command = ["cargo", "run", "--quiet", "--offline", "--locked", "--example", "records"]
    run = subprocess.run(
        [*command, "directory_index", path], cwd=ROOT, check=True, stdout=subprocess.PIPE
    )
    used, left = [], []
    for line in run.stdout.splitlines():
        r = json.loads(line)
        facts = r["FileName"], r["Namespace"], r["FileSize"], r["AllocatedSize"]
        (left if r["recovered"] else used).append((*facts, *(raw for _, raw in r["times"])))
    return used, left


def main():
    failed = False
    for path in map(lambda p: Path(p).resolve(), sys.argv[1:]):
        for kind, ours, theirs in zip(("in use", "left over"), by_adit(path), expected(path)):
            same = ours == theirs
            failed |= not same
            print(f"{path.name}: {kind}: expected {len(theirs)}, adit {len(ours)}: "
                  f"{'equal' if same else 'DIFFERENT'}")
            for title, rows in (("missing", set(theirs) - set(ours)), ("too many", set(ours) - set(theirs))):
                for row in sorted(rows)[:10]:
                    print(f"  {title}: {row}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
