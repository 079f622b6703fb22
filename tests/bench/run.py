#!/usr/bin/env python3
"""Measure adit on generated event logs and print a table for the README.

    run.py [--size-mb 1024] [--rounds 5] [--adit PROGRAM] [--corpus DIR] [--no-evtx-dump]

Builds adit and the corpora (kept under target/bench), reads everything once so that it is
cached, then times adit against `cat` of the same files to /dev/null (one `cat` of all, and
two at a time, each half of the bytes) and against `evtx_dump -o jsonl`, turn by turn; the
best round of each counts.  Nothing here fails when a number is bad: it prints what it saw.
"""
from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
EVTX = "0.15.1"
Run = tuple[float, float, int]  # wall seconds, peak memory in MB, exit code


def run(args: list[str], cwd: Path | None = None) -> Run:
    """One command, its output thrown away."""
    with open(os.devnull, "r+b") as null:
        start = time.perf_counter()
        child = subprocess.Popen([str(a) for a in args], stdin=null, stdout=null, stderr=null, cwd=cwd)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        return time.perf_counter() - start, usage.ru_maxrss / 1024, child.returncode


def cat(files: list[Path], at_once: int) -> float:
    """So many cats at once, each over its share of the files (by size)."""
    halves: list[list[Path]] = [[] for _ in range(at_once)]
    sizes = [0] * at_once
    for f in sorted(files, key=lambda f: -f.stat().st_size):
        i = sizes.index(min(sizes))
        halves[i].append(f)
        sizes[i] += f.stat().st_size
    with open(os.devnull, "wb") as null:
        start = time.perf_counter()
        children = [subprocess.Popen(["cat", *map(str, h)], stdout=null) for h in halves if h]
        for c in children:
            c.wait()
        return time.perf_counter() - start


def corpus(at: Path, args: list[str]) -> Path:
    """The generated corpus, made anew when the generator or its arguments changed."""
    digest = hashlib.sha256("\0".join(args).encode())
    for f in ("make_corpus.py", "corpus_events.py"):
        digest.update((HERE / f).read_bytes())
    stamp = at / "stamp"
    if not stamp.exists() or stamp.read_text() != digest.hexdigest():
        shutil.rmtree(at, ignore_errors=True)
        subprocess.run([sys.executable, HERE / "make_corpus.py", at / "host", *args], check=True)
        stamp.write_text(digest.hexdigest())
    return at / "host"


def logs(host: Path) -> list[Path]:
    return sorted(host.rglob("*.evtx"))


def warm(files: list[Path]) -> int:
    total = 0
    for f in files:
        with f.open("rb") as r:
            while block := r.read(1 << 22):
                total += len(block)
    return total


def scan(adit: Path, host: Path, extra: list[str]) -> Run:
    with tempfile.TemporaryDirectory(prefix="adit-bench-") as tmp:
        return run([adit, "scan", host, "-o", Path(tmp) / "out", *extra])


def evtx_dump(program: Path, files: list[Path]) -> float:
    return sum(run([program, "-o", "jsonl", f])[0] for f in files)


def main() -> int:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--size-mb", type=int, default=1024)
    ap.add_argument("--single-mb", type=int, default=2048)
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--adit", type=Path, help="the program to measure (default: built here, release)")
    ap.add_argument("--corpus", type=Path, default=ROOT / "target" / "bench", help="where corpora are kept")
    ap.add_argument("--no-evtx-dump", action="store_true")
    a = ap.parse_args()
    adit = a.adit
    if adit is None:
        subprocess.run(["cargo", "build", "--release", "--locked"], cwd=ROOT, check=True)
        adit = ROOT / "target" / "release" / "adit"
    dump = None
    if not a.no_evtx_dump:
        dump = ROOT / "target" / "bench" / "evtx" / "bin" / "evtx_dump"
        if not dump.exists():
            subprocess.run(["cargo", "install", "evtx", "--version", EVTX, "--locked", "--root", dump.parents[1]], check=True)
    size = ["--size-mb", str(a.size_mb)]
    plain = corpus(a.corpus / f"plain-{a.size_mb}", size)
    planted = corpus(a.corpus / f"hits1-{a.size_mb}", [*size, "--hits", "1"])
    single = corpus(a.corpus / f"single-{a.single_mb}", ["--size-mb", str(a.single_mb), "--single-file"])

    rows: list[tuple[str, float, float, float, float, str]] = []  # what, seconds, one cat's, two cats', MB/s, memory
    codes = set()
    for what, host, extra in (("no hits", plain, []), ("no hits, `--no-bundle`", plain, ["--no-bundle"]), ("hits in 1 % of chunks, `--no-bundle`", planted, ["--no-bundle"]),
                              ("hits in 1 % of chunks", planted, []), ("one 2 GB file" if a.single_mb == 2048 else f"one file of {a.single_mb} MB", single, [])):
        files = logs(host)
        total = warm(files)
        cats, pairs, scans, peak = [], [], [], 0.0
        for _ in range(a.rounds):
            cats.append(cat(files, 1))
            pairs.append(cat(files, 2))
            seconds, memory, code = scan(adit, host, extra)
            scans.append(seconds)
            peak = max(peak, memory)
            codes.add(code)
        rows.append((what, min(scans), min(cats), min(pairs), total / 1e6 / min(scans), f"{peak:.0f} MB"))
        if dump and host is plain and not extra:
            times = [evtx_dump(dump, files) for _ in range(min(2, a.rounds))]
            rows.append(("`evtx_dump -o jsonl`, for comparison", min(times), min(cats), min(pairs), total / 1e6 / min(times), ""))
    with tempfile.TemporaryDirectory() as tmp:
        starts = [run([adit, "list", "profiles"]) for _ in range(20)]
        if starts[0][2]:  # no such command: an empty folder instead
            Path(tmp, "Windows").mkdir()
            starts = [scan(adit, Path(tmp), []) for _ in range(20)]
    print(f"\nCPUs: {os.cpu_count()}; best of {a.rounds}; exit codes of the scans: {sorted(codes)}\n")
    print("| logs | seconds | times `cat` | times two `cat`s at once | MB/s | peak memory |\n|---|--:|--:|--:|--:|--:|")
    for what, seconds, cats, pairs, speed, memory in rows:
        print(f"| {what} | {seconds:.2f} | {seconds / cats:.1f} | {seconds / pairs:.1f} | {speed:.0f} | {memory} |")
    print(f"\nStart-up (rules and artifacts): {1000 * min(s[0] for s in starts):.0f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
