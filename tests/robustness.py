#!/usr/bin/env python3
"""Scan damaged copies of files: no panic, no hang, and no loss that goes unsaid.

    robustness.py --adit PROGRAM FOLDER|FILE... [--cuts 10] [--flips 1] [--jobs 2] [--limit 10] [--max-mb 64] [--keep DIR]

Every file is cut at random points and, in further copies, gets one byte in a hundred
flipped (the same each time); `adit scan` runs on a folder with that copy alone, and with
the file's transaction logs if it has any.  Reported: exit codes other than 0, 3 and 4, runs
over --limit seconds, panics, and, for event logs and hives, damage that certainly took
records but is not said (exit 3 with a row in problems.csv, or exit 4).  "unsure" counts
damaged hives that scanned clean: a flip may lie in nothing that matters.
Exit 0 only if nothing is wrong.  Needs Python 3.9 and nothing else.
"""
from __future__ import annotations

import argparse
import csv
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

MASK = (1 << 64) - 1
LOGS = (".LOG1", ".LOG2")
csv.field_size_limit(1 << 28)


class Random:
    """Marsaglia's xorshift with a multiplier, as in robustness.rs."""

    def __init__(self, name: str, index: int):
        h = 0xCBF29CE484222325
        for b in name.encode("utf-8", "surrogateescape"):
            h = (h ^ b) * 0x0100000001B3 & MASK
        self.x = max(1, h ^ index * 0x9E3779B97F4A7C15 & MASK)

    def below(self, limit: int) -> int:
        x = self.x
        x ^= x >> 12
        x = (x ^ x << 25) & MASK
        x ^= x >> 27
        self.x = x
        return ((x * 0x2545F4914F6CDD1D & MASK) >> 33) % max(1, limit)


def damage(name: str, sample: bytes, index: int, cuts: int) -> bytes:
    r = Random(name, index)
    if index < cuts:
        return sample[:r.below(len(sample))]
    out = bytearray(sample)
    for _ in range(-(-len(sample) // 100)):
        at = r.below(len(out))
        out[at] ^= 1 + r.below(255)
    return bytes(out)


def lost(sample: bytes, bytes_: bytes) -> bool:
    """Whether the damage certainly took records of a log or bins of a hive."""
    if sample[:4] == b"regf" and len(sample) > 44:
        return len(bytes_) < min(4096 + struct.unpack_from("<I", sample, 40)[0], len(sample))
    if sample[:8] == b"ElfFile\0":
        for at in range(4096, len(sample), 65536):
            if sample[at:at + 8] == b"ElfChnk\0" and len(sample) >= at + 512:
                end = min(at + struct.unpack_from("<I", sample, at + 48)[0], len(sample))
                if end > at + 512 and bytes_[at + 512:end] != sample[at + 512:end]:
                    return True
    return False


def records(out: Path) -> int:
    """Records read, after coverage.csv."""
    n = 0
    for file in out.rglob("coverage.csv"):
        with file.open(encoding="utf-8-sig", newline="") as f:
            n += sum(int(r.get("records") or 0) for r in csv.DictReader(f))
    return n


def problems(out: Path) -> int:
    n = 0
    for file in out.rglob("problems.csv"):
        with file.open(encoding="utf-8-sig", newline="") as f:
            n += sum(1 for _ in csv.DictReader(f))
    return n


def is_log(file: Path) -> bool:
    return file.suffix.upper() in LOGS


class Runner:
    def __init__(self, a: argparse.Namespace):
        self.a = a

    def scan(self, file: Path, content: bytes | None) -> tuple[int | None, float, str, int, int]:
        """Exit code (None: hung), seconds, what it said, problems, records."""
        with tempfile.TemporaryDirectory(prefix="adit-rob-") as tmp:
            src, out = Path(tmp) / "evidence", Path(tmp) / "out"
            src.mkdir()
            if content is None:
                shutil.copyfile(file, src / file.name)
            else:
                (src / file.name).write_bytes(content)
            hive = file.with_suffix("") if is_log(file) else file
            for beside in (hive, *(hive.with_name(hive.name + log) for log in LOGS)):
                if beside != file and beside.exists():
                    shutil.copyfile(beside, src / beside.name)
            start = time.monotonic()
            try:
                p = subprocess.run([self.a.adit, "scan", src, "-o", out], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=self.a.limit * 6)
                code, said = p.returncode, p.stderr.decode("utf-8", "replace")
            except subprocess.TimeoutExpired as e:
                code, said = None, (e.stderr or b"").decode("utf-8", "replace")
            return code, time.monotonic() - start, said, problems(out) if out.exists() else 0, records(out) if out.exists() else 0

    def file(self, name: str, file: Path) -> tuple[list[str], Counter]:
        sample = file.read_bytes()
        kind = "log" if sample[:8] == b"ElfFile\0" else "hive" if sample[:4] == b"regf" and not is_log(file) else "other"
        bad, counts = [], Counter()
        code, seconds, said, _, whole = self.scan(file, None)
        if code not in (0, 3, 4) or seconds > self.a.limit or "panicked at" in said:
            bad.append(f"{name}, sound: exit {code}, {seconds:.1f} s: {said.strip()[-300:]}")
        for index in range(self.a.cuts + self.a.flips):
            content = damage(name, sample, index, self.a.cuts)
            what = f"{name}, " + (f"cut at {len(content)}" if index < self.a.cuts else f"flips {index - self.a.cuts}")
            code, seconds, said, rows, read = self.scan(file, content)
            counts[f"exit {code}"] += 1
            wrong = ""
            if code is None or seconds > self.a.limit:
                wrong = "hang"
            elif "panicked at" in said or code == 101 or code < 0:
                wrong = "panic"
            elif code not in (0, 3, 4):
                wrong = "exit code"
            elif code == 3 and not rows and kind != "other":
                wrong = "exit 3 without a problem"
            elif code == 0 and kind != "other" and lost(sample, content):
                wrong = "loss unsaid"
            elif code == 0 and kind != "other" and read < whole:
                wrong = f"{read} records of {whole}, unsaid"
            elif code == 0 and kind == "hive" and index >= self.a.cuts:
                counts["unsure"] += 1
            if wrong:
                bad.append(f"{what}: {wrong} (exit {code}, {seconds:.1f} s, {rows} problems): {said.strip()[-300:]}")
                counts["wrong"] += 1
                if self.a.keep:
                    self.a.keep.mkdir(parents=True, exist_ok=True)
                    (self.a.keep / f"{name.replace('/', '_')}.{index}").write_bytes(content)
        return bad, counts


def main() -> int:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--adit", type=Path, required=True)
    ap.add_argument("sources", type=Path, nargs="+")
    ap.add_argument("--cuts", type=int, default=10)
    ap.add_argument("--flips", type=int, default=1, help="copies with 1 %% of the bytes flipped")
    ap.add_argument("--jobs", type=int, default=2)
    ap.add_argument("--limit", type=float, default=10, help="seconds that count as a hang")
    ap.add_argument("--max-mb", type=float, default=64, help="leave larger files out")
    ap.add_argument("--keep", type=Path, help="keep the damaged copies that went wrong here")
    a = ap.parse_args()
    a.adit = a.adit.resolve()
    todo = []
    for source in a.sources:
        for f in [source] if source.is_file() else sorted(source.rglob("*")):
            if f.is_file() and not f.is_symlink() and 0 < f.stat().st_size <= a.max_mb * (1 << 20):
                todo.append((f.name if source.is_file() else f.relative_to(source).as_posix(), f))
    total, wrong = Counter(), 0
    runner = Runner(a)
    with ThreadPoolExecutor(a.jobs) as pool:
        for bad, counts in pool.map(lambda t: runner.file(*t), todo):
            for line in bad:
                print(line, flush=True)
            wrong += len(bad)
            total += counts
    print(f"{len(todo)} files, {sum(v for k, v in total.items() if k.startswith('exit'))} damaged copies: {wrong} wrong; " + ", ".join(f"{k}: {v}" for k, v in sorted(total.items())))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
