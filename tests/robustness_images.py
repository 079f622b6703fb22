#!/usr/bin/env python3
"""Scan hostile copies of disk images: no panic, no hang, no exit code but 0, 3 and 4.

    robustness_images.py --adit PROGRAM IMAGE... [--rounds 40] [--limit 20] [--jobs 2] [--seed 1] [--keep DIR]

Of each image (raw or its first segment; E01 and Ex01 too) --rounds copies are made, each damaged in one
way, the same each time: cut, bytes flipped anywhere, in the first megabyte, in what lies in
records of the master file table or directory indexes; numbers set to what is never right;
records exchanged; for E01 and Ex01 the sections as well, for Ex01 the entries of its tables; of several segments one left out.  Reported: exit
codes other than 0, 3 and 4, panics, runs over --limit seconds, exit 3 without a row in
problems.csv, and rows there that name neither a path nor a place.  Exit 0 only if nothing is wrong.
Needs Python 3.9 and nothing else.
"""
from __future__ import annotations

import argparse
import csv
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ODD = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, (1 << 63) - 1, (1 << 64) - 1]
csv.field_size_limit(1 << 28)


def places(data: bytes, magic: bytes, step: int) -> list[int]:
    """Where records with that mark begin."""
    found, at = [], data.find(magic)
    while at >= 0:
        if at % step == 0:
            found.append(at)
        at = data.find(magic, at + 1)
    return found


def odd_number(dice: random.Random, data: bytearray, start: int, end: int) -> None:
    size = dice.choice([1, 2, 4, 8])
    at = dice.randrange(start, max(start + 1, min(end, len(data)) - size))
    data[at : at + size] = (dice.choice(ODD) & ((1 << 8 * size) - 1)).to_bytes(size, "little")


def flip(dice: random.Random, data: bytearray, start: int, end: int, count: int) -> None:
    for _ in range(count):
        at = dice.randrange(start, min(end, len(data)))
        data[at] ^= 1 + dice.randrange(255)


def sections(data: bytes) -> list[int]:
    found, at = [], 13
    while at + 76 <= len(data):
        found.append(at)
        following = struct.unpack_from("<Q", data, at + 16)[0]
        if following <= at:
            break
        at = following
    return found


def descriptors(data: bytes) -> list[int]:
    """Where the sections of an Ex01 are described: behind them, from the end."""
    found, at = [], len(data) - 64
    while at >= 32:
        found.append(at)
        at = struct.unpack_from("<Q", data, at + 8)[0]
    return found


def seal(out: bytearray, start: int, end: int) -> None:
    """Puts the checksum behind that belongs there."""
    out[end : end + 4] = struct.pack("<I", zlib.adler32(out[start:end]))


def damage(name: str, data: bytes, round_: int, seed: int) -> tuple[str, bytes]:
    """How the image was damaged, and what came of it."""
    dice = random.Random(f"{seed}/{name}/{round_}")
    out = bytearray(data)
    ewf = data[:3] in (b"EVF", b"LVF")
    second = data[:4] == b"EVF2"
    own = ["section", "sealed"] + (["entries"] if second else [])
    kinds = ["cut", "anywhere", "start"] + (own if ewf else ["record", "records", "index", "boot", "swap", "table"])
    kind = kinds[round_ % len(kinds)]
    records = [] if ewf else places(data, b"FILE", 1024)
    indexes = [] if ewf else places(data, b"INDX", 4096)
    if kind == "cut":
        del out[dice.randrange(len(out)) :]
    elif kind == "anywhere":
        flip(dice, out, 0, len(out), max(1, len(out) // 10_000))
    elif kind == "start":
        flip(dice, out, 0, 1 << 20 if not ewf else 4096, dice.choice([1, 10, 100]))
    elif kind == "section":
        at = dice.choice(descriptors(data) if second else sections(data))
        flip(dice, out, at, at + (64 if second else 76), dice.choice([1, 4, 16]))
    elif kind == "sealed":  # with the checksum that belongs to it
        at = dice.choice(descriptors(data) if second else sections(data))
        odd_number(dice, out, at, at + 40)
        seal(out, at, at + (60 if second else 72))
    elif kind == "entries":
        at = dice.choice([at for at in descriptors(data) if data[at] == 4])
        start = at - struct.unpack_from("<Q", data, at + 16)[0]
        end = start + 32 + 16 * struct.unpack_from("<I", data, start + 8)[0]
        if dice.randrange(4) == 0:
            odd_number(dice, out, start, start + 16)
            seal(out, start, start + 16)
        for _ in range(20):
            odd_number(dice, out, start + 32, end)
        seal(out, start + 32, end)
    elif kind == "record" and records:
        for _ in range(3):
            at = dice.choice(records)
            odd_number(dice, out, at, at + 510)
    elif kind == "records" and records:
        for at in records:
            odd_number(dice, out, at + 4, at + 400)
    elif kind == "index" and indexes:
        for at in dice.sample(indexes, max(1, len(indexes) // 2)):
            odd_number(dice, out, at + 4, at + 500)
    elif kind == "boot":
        boots = places(data, b"NTFS    ", 1) or [3]
        odd_number(dice, out, boots[0], boots[0] + 80)
    elif kind == "swap" and len(records) > 2:
        one, other = dice.sample(records, 2)
        out[one : one + 1024], out[other : other + 1024] = data[other : other + 1024], data[one : one + 1024]
    elif kind == "table":
        odd_number(dice, out, 446, 510)
    return kind, bytes(out)


def segments(image: Path) -> list[Path]:
    """The image's files: those of its stem with a numbered ending."""
    if image.suffix.lower() not in (".e01", ".ex01", ".001", ".000"):
        return [image]
    if image.suffix.lower() == ".ex01":
        return sorted(p for p in image.parent.iterdir() if p.stem == image.stem and p.suffix[:3].lower() == ".ex")
    return sorted(p for p in image.parent.iterdir() if p.stem == image.stem and len(p.suffix) == 4
                  and (p.suffix[1:].isdigit() or p.suffix[1] in "EeFf"))


def scan(arguments: argparse.Namespace, source: Path, out: Path):
    start = time.monotonic()
    try:
        run = subprocess.run([arguments.adit, "scan", "--no-bundle", "--progress", "none", source, "-o", out],
                             stdin=subprocess.DEVNULL, capture_output=True, timeout=arguments.limit * 3)
        code, said = run.returncode, run.stderr.decode("utf-8", "replace")
    except subprocess.TimeoutExpired as expired:
        code, said = None, (expired.stderr or b"").decode("utf-8", "replace")
    rows = []
    for file in out.rglob("problems.csv"):
        with file.open(encoding="utf-8-sig", newline="") as opened:
            rows += list(csv.DictReader(opened))
    return code, time.monotonic() - start, said, rows


def write_sparse(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.truncate(len(data))
        for at in range(0, len(data), 1 << 16):
            block = data[at : at + (1 << 16)]
            if any(block):
                file.seek(at)
                file.write(block)


def attempt(arguments, image: Path, files: list[Path], round_: int):
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "in"
        place.mkdir()
        if len(files) > 1 and round_ % 8 == 7:
            gone = files[1 + round_ % (len(files) - 1)]
            kind, chosen, data = f"without {gone.suffix}", gone, None
        else:
            chosen = files[round_ % len(files)]
            kind, data = damage(chosen.name, chosen.read_bytes(), round_, arguments.seed)
        for file in files:
            if file != chosen:
                (place / file.name).symlink_to(file.resolve())
            elif data is not None:
                write_sparse(place / file.name, data)
        code, took, said, rows = scan(arguments, place / image.name, Path(folder) / "out")
        wrong = []
        if code not in (0, 3, 4):
            wrong.append("hung" if code is None else f"exit {code}")
        if "panicked at" in said:
            wrong.append("panic")
        if took > arguments.limit:
            wrong.append(f"{took:.1f} s")
        if code == 3 and not rows:
            wrong.append("exit 3 without a problem")
        wrong += [f"a problem without a place: {row}" for row in rows if not row["path"] and not row["locator"]][:1]
        if wrong and arguments.keep:
            shutil.copytree(place, Path(arguments.keep) / f"{image.name}-{round_}", dirs_exist_ok=True)
        return round_, kind, code, took, wrong, said


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
    parser.add_argument("--adit", required=True)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--limit", type=float, default=20)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", metavar="DIR")
    arguments = parser.parse_args()
    failures = 0
    for image in arguments.images:
        files, codes, slowest = segments(image), Counter(), 0.0
        with ThreadPoolExecutor(arguments.jobs) as pool:
            for round_, kind, code, took, wrong, said in pool.map(
                    lambda n: attempt(arguments, image, files, n), range(arguments.rounds)):
                codes[code] += 1
                slowest = max(slowest, took)
                if wrong:
                    failures += 1
                    print(f"  ! {image.name} round {round_} ({kind}): {'; '.join(wrong)[:300]}")
                    if "panicked at" in said:
                        print("    " + said[said.find("panicked at") :][:300].replace("\n", " "))
        print(f"{image.name}: {arguments.rounds} copies, exits {dict(sorted(codes.items(), key=str))}, slowest {slowest:.1f} s")
    print(f"{failures} wrong")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
