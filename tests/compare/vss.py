#!/usr/bin/env python3
"""Compares adit's shadow copies with libvshadow's, byte for byte.

    apt install libvshadow-utils fuse
    python3 tests/compare/vss.py [--altered ROUNDS] VOLUME...

With --altered, also copies of the volume whose block lists hold forwarders, overlays
and repetitions that the real one has none of, in every order.

VOLUME is a raw NTFS volume (`qemu-img convert -O raw` for other containers). Needs
FUSE, as vshadowmount does.
"""

import argparse
import random
import re
import struct
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BLOCK = 16 << 10
CARGO = ["cargo", "run", "--quiet", "--offline", "--locked", "--example", "shadows", "--"]


def adit(*arguments):
    return subprocess.Popen([*CARGO, *map(str, arguments)], cwd=ROOT, stdout=subprocess.PIPE)


def listed_by_adit(volume):
    for line in adit(volume).communicate()[0].decode().splitlines():
        number, store, copy, created, size, _ = line.split(" ")
        yield int(number), store, copy, created.rstrip("Z"), int(size)


def listed_by_libvshadow(volume):
    text = subprocess.run(["vshadowinfo", volume], check=True, stdout=subprocess.PIPE).stdout.decode()
    for part in re.split(r"^Store: ", text, flags=re.M)[1:]:
        value = {k.strip(): v.strip() for k, v in re.findall(r"^\t([^\t:]+)\t*: (.*)$", part, re.M)}
        day, fraction = re.match(r"(.*\d\d:\d\d:\d\d)\.(\d+) UTC", value["Creation time"]).groups()
        created = datetime.strptime(day, "%b %d, %Y %H:%M:%S").strftime("%Y-%m-%dT%H:%M:%S")
        size = int(re.search(r"\((\d+) bytes\)|^(\d+) bytes", value["Volume size"]).group(1))
        number = int(part.split()[0])
        yield number, value["Identifier"], value["Shadow copy ID"], f"{created}.{fraction[:7]}", size


def first_difference(volume, number, other, at_once):
    """Offset of the first byte that differs; None when there is none."""
    at = 0
    run = adit(volume, number, at_once)
    with open(other, "rb") as expected:
        while True:
            ours, theirs = run.stdout.read(1 << 20), expected.read(1 << 20)
            if ours != theirs:
                run.kill()
                pairs = zip(ours, theirs)
                return at + next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(ours), len(theirs)))
            if not theirs:
                return None
            at += len(theirs)


def alter(volume, seed, copy):
    """Copies the volume with most of its block descriptors changed."""
    subprocess.run(["cp", "--sparse=always", volume, copy], check=True)
    dice = random.Random(seed)
    with open(copy, "r+b") as file:

        def block(at):
            file.seek(at)
            return bytearray(file.read(BLOCK))

        def chain(at):
            while at:
                content = block(at)
                yield at, content
                (at,) = struct.unpack_from("<Q", content, 40)

        size = file.seek(0, 2)
        (catalog,) = struct.unpack_from("<Q", block(0x1E00), 48)
        entries = [c[o : o + 128] for _, c in chain(catalog) for o in range(128, BLOCK, 128)]
        lists = [struct.unpack_from("<Q", e, 8)[0] for e in entries if e[0] == 3]
        taken = {at for first in lists for at, _ in chain(first)} | {at for at, _ in chain(catalog)}
        free = [at for at in range(size // 4, size // 2, BLOCK) if at not in taken]
        pool = dice.sample(free, 150)
        for number, at in enumerate(pool):
            file.seek(at)
            file.write(bytes([number % 255 + 1]) * BLOCK)
        for at, content in [found for first in lists for found in chain(first)]:
            for o in range(128, BLOCK, 32):
                if not any(content[o : o + 32]) or dice.random() < 0.2:
                    continue
                original, relative, stored = (dice.choice(pool) for _ in range(3))
                flags = dice.choice([0, 0, 0x88, 1, 1, 9, 2, 2, 4])
                if flags & 1:
                    stored, relative = 0, original if dice.random() < 0.1 else relative
                parts = dice.getrandbits(32) if flags & 2 else 0
                struct.pack_into("<QQQII", content, o, original, relative, stored, flags, parts)
            file.seek(at)
            file.write(content)


def compare(volume, pieces):
    """Whether adit and libvshadow say the same of a volume; prints how it went."""
    found, expected = list(listed_by_adit(volume)), list(listed_by_libvshadow(volume))
    same = found == expected
    print(f"{volume.name}: {len(expected)} snapshots, list {'equal' if same else 'DIFFERENT'}")
    if not same:
        print(f"  adit       {found}\n  libvshadow {expected}")
    with tempfile.TemporaryDirectory() as mount:
        subprocess.run(["vshadowmount", volume, mount], check=True, stdout=subprocess.DEVNULL)
        try:
            for number, *_, size in expected:
                for at_once in pieces:
                    at = first_difference(volume, number, Path(mount) / f"vss{number}", at_once)
                    same &= at is None
                    what = "equal" if at is None else f"DIFFERENT at {at:#x}"
                    print(f"  snapshot {number}, {size} bytes in pieces of {at_once}: {what}")
        finally:
            subprocess.run(["umount", mount], check=True)
    return same


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--altered", type=int, default=0, metavar="ROUNDS")
    arguments.add_argument("volume", type=Path, nargs="+")
    given = arguments.parse_args()
    same = True
    for volume in given.volume:
        # Once in large pieces, once in such as start and end anywhere.
        same &= compare(volume.resolve(), (1 << 20, 77_777))
        for seed in range(given.altered):
            with tempfile.TemporaryDirectory() as folder:
                altered = Path(folder) / f"altered-{seed}"
                alter(volume.resolve(), seed, altered)
                same &= compare(altered, (1 << 20,))
    sys.exit(not same)


if __name__ == "__main__":
    main()
