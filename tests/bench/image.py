#!/usr/bin/env python3
"""Measure the list of files and a whole scan of a disk image against The Sleuth Kit.

    image.py [--files 200000] [--rounds 3] [--adit PROGRAM] [--work DIR]
             [--dissect TARGET_QUERY] [--logs-mb 96]

Makes (once) an NTFS volume of that many files laid out as a Windows machine has them, with
the host of testdata/hosts for its logs and hives, and that many megabytes of further logs
(make_corpus.py); a raw image and an E01 of it.
Needs root for the mount, mkntfs and ntfs-3g, sleuthkit, ewfacquire.  Everything is read
once first; then `adit list files` and `fls -r -p` take turns, each writing to a file, and
`adit scan` is run on the image and on a copy without the records of all files but those that
`adit list artifacts` names, which lie where they lay: the scan of that without its list is what
the located artifacts cost alone.
Where dissect's target-query is found (or given), `target-query -f evtx,services,prefetch` of
the raw image follows, once.
CPU seconds (user and system of all threads) and wall seconds; the best round of each.
Nothing here fails when a number is bad: it prints what it saw.
"""
from __future__ import annotations

import argparse
import contextlib
import csv
import json
import multiprocessing
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORDS = ["Microsoft", "Windows", "lib", "Cache", "data", "x64", "Packages", "Local", "en-US", "resources"]
KINDS = ["dll", "exe", "txt", "log", "json", "xml", "mui", "manifest", "dat", "png"]
# Where a Windows machine keeps its files, in parts of a hundred.
PLACES = [("Windows/WinSxS", 40), ("Windows/System32", 10), ("Windows/servicing", 6), ("Windows/assembly", 4),
          ("Program Files", 12), ("Program Files (x86)", 5), ("ProgramData", 5), ("Users/jane/AppData", 15), ("Users/jane", 3)]
SIZES = [0, 120, 400, 650, 1500, 4000, 9000]
PROGRAM_SIZES = [2000, 4000, 9000, 30000]
RECORD = 1024
IS_FOLDER = 2


def run(command: list[str], out: Path | None = None) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds, peak memory in MB."""
    with open(out or os.devnull, "wb") as to, open(os.devnull, "rb") as null:
        start = time.perf_counter()
        child = subprocess.Popen([str(c) for c in command], stdin=null, stdout=to, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        return time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def program(rng: random.Random, size: int) -> bytes:
    """A well-formed 64-bit program of one section, half of it noise."""
    dos = b"MZ".ljust(0x3C, b"\0") + (0x80).to_bytes(4, "little")
    coff = struct.pack("<4sHHIIIHH", b"PE\0\0", 0x8664, 1, 0x60000000, 0, 0, 240, 0x22)
    body = size - 0x200
    optional = struct.pack("<HBBIIIIIQIIHHHHHHIIIIHHQQQQII", 0x20B, 14, 0, body, 0, 0, 0x1000, 0x1000, 0x140000000, 0x1000, 0x200,
                           6, 0, 0, 0, 6, 0, 0, 0x1000 + body, 0x200, 0, 3, 0x8160, 1 << 20, 4096, 1 << 20, 4096, 0, 16).ljust(240, b"\0")
    section = struct.pack("<8sIIIIIIHHI", b".text", body, 0x1000, body, 0x200, 0, 0, 0, 0, 0x60000020)
    head = (dos.ljust(0x80, b"\0") + coff + optional + section).ljust(0x200, b"\0")
    return head + rng.randbytes(body // 2) + b"a" * (body - body // 2)


def content(rng: random.Random, kind: str) -> bytes:
    if kind in ("dll", "exe"):
        return program(rng, rng.choice(PROGRAM_SIZES))
    size = rng.choice(SIZES)
    if kind in ("png", "dat"):
        head = b"\x89PNG\r\n\x1a\n" if kind == "png" else b"data"
        return (head + rng.randbytes(size // 2)).ljust(size, b"a")[:size]
    line = b"line of text\r\n"
    return (line * (size // len(line) + 1))[:size]


def fill(root: Path, files: int) -> None:
    """The same tree for the same number, whatever the machine."""
    rng = random.Random(7)
    made: list[Path] = []
    for place, share in PLACES:
        folders = [root / place]
        folders[0].mkdir(parents=True, exist_ok=True)
        for n in range(files * share // 100):
            if n % 80 == 0:
                folder = rng.choice(folders[-50:]) / f"{rng.choice(WORDS)}_{n}"
                if len(folder.parts) - len(root.parts) < 12:
                    folder.mkdir()
                    folders.append(folder)
            kind = rng.choice(KINDS)
            path = rng.choice(folders[-50:]) / f"{rng.choice(WORDS).lower()}-{n}.{kind}"
            path.write_bytes(content(rng, kind))
            made.append(path)
    for path in rng.sample(made, len(made) // 100):
        path.unlink()


def volume(raw: Path, size: int, fill_it) -> None:
    """An NTFS volume, filled while it is mounted."""
    raw.parent.mkdir(parents=True, exist_ok=True)
    with raw.open("wb") as f:
        f.truncate(size)
    subprocess.run(["mkntfs", "-q", "-F", "-f", "-T", raw], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with mounted(raw, "big_writes") as root:
        fill_it(root)


@contextlib.contextmanager
def mounted(raw: Path, options: str):
    with tempfile.TemporaryDirectory(prefix="adit-image-") as tmp:
        subprocess.run(["ntfs-3g", "-o", options, raw, tmp], check=True)
        try:
            yield Path(tmp)
        finally:
            subprocess.run(["umount", tmp], check=True)


def acquire(raw: Path) -> None:
    raw.with_suffix(".E01").unlink(missing_ok=True)
    subprocess.run(["ewfacquire", "-q", "-u", "-c", "fast", "-S", "7900MiB", "-t", raw.with_suffix(""), raw], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def make(work: Path, files: int, logs: int) -> Path:
    raw = work / f"image-{files}-{logs}.raw"
    corpus = Path(__file__).with_name("make_corpus.py")

    def fill_all(root: Path) -> None:
        fill(root, files)
        copy_host(root)
        subprocess.run([sys.executable, corpus, root, "--size-mb", str(logs)], check=True, stdout=subprocess.DEVNULL)

    if not raw.exists():
        volume(raw, files * 8192 + (logs + 256 << 20), fill_all)
        acquire(raw)
    return raw


def make_located(raw: Path, adit: Path) -> Path:
    """That image without the records of files that no artifact has read: the rest lies where it lay."""
    alone = raw.with_name("located.raw")
    paths = {row["path"] for row in rows_of([adit, "list", "artifacts", raw])}
    kept = {int(row["id"].split("-")[0]) for row in rows_of([adit, "list", "files", raw]) if row["path"] in paths}
    shutil.copyfile(raw, alone)
    with alone.open("r+b") as f:
        for number, at, record in records(f):
            flags, base = struct.unpack_from("<H", record, 22)[0], struct.unpack_from("<I", record, 32)[0]
            if number >= 24 and not flags & IS_FOLDER and (base or number) not in kept:
                f.seek(at)
                f.write(bytes(len(record)))
    acquire(alone)
    return alone


def rows_of(command: list) -> list[dict]:
    """Of a command that prints CSV."""
    return list(csv.DictReader(subprocess.run(command, check=False, capture_output=True, text=True).stdout.splitlines()))


def records(f):
    """Number, offset in the volume and bytes of each record of its $MFT."""
    f.seek(0)
    boot = f.read(512)
    cluster = struct.unpack_from("<H", boot, 11)[0] * boot[13]
    start = struct.unpack_from("<Q", boot, 48)[0] * cluster
    f.seek(start)
    number, lcn = 0, 0
    for length, moved in list(runs(f.read(RECORD))):
        lcn += moved
        for at in range(lcn * cluster, (lcn + length) * cluster, RECORD):
            f.seek(at)
            yield number, at, f.read(RECORD)
            number += 1


def runs(record: bytes):
    """Clusters, and how far they lie from those before, of the $MFT's own content."""
    at = struct.unpack_from("<H", record, 20)[0]
    while struct.unpack_from("<I", record, at)[0] != 0x80:
        at += struct.unpack_from("<I", record, at + 4)[0]
    at += struct.unpack_from("<H", record, at + 32)[0]
    while record[at]:
        lengths, offsets = record[at] & 15, record[at] >> 4
        at += 1
        length = int.from_bytes(record[at:at + lengths], "little")
        yield length, int.from_bytes(record[at + lengths:at + lengths + offsets], "little", signed=True)
        at += lengths + offsets


def copy_host(to: Path) -> None:
    """The packed host, its logs under the names that Windows gives them."""
    host = ROOT / "testdata" / "hosts" / "JUMP-01"
    drive = next((d for d in (host, host / "C") if (d / "Windows").is_dir()), host)
    for path in sorted(drive.rglob("*")):
        if path.is_file():
            name = path.name.replace("_4", "%4") if path.suffix == ".evtx" else path.name
            target = to / path.relative_to(drive).parent / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def apart(make, *arguments):
    """What that gives, without the memory it took: a child begins with the peak of its parent."""
    with multiprocessing.get_context("fork").Pool(1) as one:
        return one.apply(make, arguments)


def best(rounds: list[tuple[float, float, float]]) -> tuple[float, float, float]:
    return min(r[0] for r in rounds), min(r[1] for r in rounds), max(r[2] for r in rounds)


def main() -> int:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--files", type=int, default=200_000)
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--adit", type=Path, default=ROOT / "target" / "release" / "adit")
    ap.add_argument("--work", type=Path, default=ROOT / "target" / "bench" / "image")
    ap.add_argument("--dissect", default=shutil.which("target-query"), help="dissect's target-query")
    ap.add_argument("--logs-mb", type=int, default=96)
    a = ap.parse_args()
    rows = compare(a)
    print(f"\nCPUs: {os.cpu_count()}; {a.files} files; best of {a.rounds}\n")
    print("| what | wall s | CPU s | peak memory | ratio |\n|---|--:|--:|--:|---|")
    for what, (wall, cpu, memory), ratio in rows:
        print(f"| {what} | {wall:.2f} | {cpu:.2f} | {memory:.0f} MB | {ratio} |")
    return 0


def compare(a: argparse.Namespace) -> list[tuple[str, tuple[float, float, float], str]]:
    raw = apart(make, a.work, a.files, a.logs_mb)
    alone = apart(make_located, raw, a.adit)
    out = a.work / "out"
    rows = []
    for name in ("raw", "E01"):
        image, located = raw.with_suffix(f".{name}"), alone.with_suffix(f".{name}")
        scan = [a.adit, "scan", image, "-o", out, "--no-bundle"]
        commands = {
            "list": [a.adit, "list", "files", image],
            "fls": ["fls", "-r", "-p", image],
            "located list": [a.adit, "list", "files", located],
            "located": [a.adit, "scan", located, "-o", out, "--no-bundle"],
            "scan": scan,
        }
        run(commands["list"])
        rounds = {what: [] for what in commands}
        for _ in range(a.rounds):
            for what, command in commands.items():
                rounds[what].append(run(command, a.work / "list"))
        result = {what: best(times) for what, times in rounds.items()}
        told = next((json.loads(path.read_text()).get("image") for path in out.rglob("run.json")), None)
        if told:
            print(f"{name}: {told['read']:,} of {told['size']:,} bytes of the disk were read ({told['read'] / told['size']:.0%});"
                  f" {told.get('chunks_unpacked', 0):,} chunks unpacked, {told.get('chunks_unpacked_again', 0):,} of them again")
        listing, fls = result["list"][1], result["fls"][1]
        artifacts = max(result["located"][1] - result["located list"][1], 0.0)
        bar = 1.5 * listing + artifacts
        rows.append((f"list, {name}", result["list"], f"{listing / fls:.2f} of fls ({fls:.1f} s CPU)"))
        rows.append((f"scan, {name}", result["scan"], f"{result['scan'][1] / bar:.2f} of the bar of {bar:.2f} s, 1.5 lists and"
                     f" the located artifacts alone ({artifacts:.2f} s CPU)"))
        if a.dissect and name == "raw":
            theirs = run([a.dissect, "-q", "-f", "evtx,services,prefetch", image], a.work / "list")
            times = [f"{theirs[at] / result['scan'][at]:.0f} times adit's {unit}" for at, unit in ((1, "CPU"), (0, "wall time"))]
            rows.append(("dissect's evtx, services, prefetch, raw", theirs, ", ".join(times)))
    return rows


if __name__ == "__main__":
    sys.exit(main())
