#!/usr/bin/env python3
"""Measure the list of files and a whole scan of a disk image against The Sleuth Kit.

    image.py [--files 200000] [--rounds 3] [--adit PROGRAM] [--work DIR]
             [--dissect TARGET_QUERY] [--logs-mb 256] [--only list|logs]

Makes (once) an NTFS volume of that many files laid out as a Windows machine has them, with
the packed host of testdata/images for its logs and hives; a raw image and an E01 of it.
Needs root for the mount, mkntfs and ntfs-3g, sleuthkit, ewfacquire.  Everything is read
once first; then `adit list files` and `fls -r -p` take turns, each writing to a file, and
`adit scan` is run on the image and on a folder with the files that it located.
Where dissect's target-query is found (or given), an image of the same host with large logs
(make_corpus.py) is scanned against `target-query -f evtx,services,prefetch` of it; the
image is removed afterwards.
CPU seconds (user and system of all threads) and wall seconds; the best round of each.
Nothing here fails when a number is bad: it prints what it saw.
"""
from __future__ import annotations

import argparse
import json
import os
import random
import shutil
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


def run(command: list[str], out: Path | None = None) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds, peak memory in MB."""
    with open(out or os.devnull, "wb") as to, open(os.devnull, "rb") as null:
        start = time.perf_counter()
        child = subprocess.Popen([str(c) for c in command], stdin=null, stdout=to, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        return time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


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
            size = rng.choice(SIZES)
            kind = rng.choice(KINDS)
            head = b"MZ" if kind in ("dll", "exe") and size else b"\x89PNG\r\n\x1a\n" if kind == "png" else b"line of text\r\n"
            path = rng.choice(folders[-50:]) / f"{rng.choice(WORDS).lower()}-{n}.{kind}"
            path.write_bytes((head + rng.randbytes(size // 2)).ljust(size, b"a")[:size] if kind in ("dll", "exe", "png", "dat") else (head * (size // len(head) + 1))[:size])
            made.append(path)
    for path in rng.sample(made, len(made) // 100):
        path.unlink()


def make(work: Path, files: int, adit: Path) -> Path:
    raw = work / f"image-{files}.raw"
    if raw.exists() and raw.with_suffix(".E01").exists():
        return raw
    work.mkdir(parents=True, exist_ok=True)
    with raw.open("wb") as f:
        f.truncate(files * 8192 + (256 << 20))
    subprocess.run(["mkntfs", "-q", "-F", "-f", "-T", raw], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with tempfile.TemporaryDirectory(prefix="adit-image-") as tmp:
        mount = Path(tmp)
        subprocess.run(["ntfs-3g", "-o", "big_writes", raw, mount], check=True)
        try:
            fill(mount, files)
            copy_host(mount)
        finally:
            subprocess.run(["umount", mount], check=True)
    subprocess.run(["ewfacquire", "-q", "-u", "-c", "fast", "-S", "7900MiB", "-t", raw.with_suffix(""), raw], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return raw


def make_logs(work: Path, megabytes: int) -> Path:
    """An NTFS volume of the packed host with that many megabytes of event logs."""
    raw = work / f"logs-{megabytes}.raw"
    work.mkdir(parents=True, exist_ok=True)
    with raw.open("wb") as f:
        f.truncate((megabytes + 192) << 20)
    subprocess.run(["mkntfs", "-q", "-F", "-f", "-T", raw], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with tempfile.TemporaryDirectory(prefix="adit-image-") as tmp:
        subprocess.run(["ntfs-3g", "-o", "big_writes", raw, tmp], check=True)
        try:
            copy_host(Path(tmp))
            corpus = Path(__file__).with_name("make_corpus.py")
            subprocess.run([sys.executable, corpus, tmp, "--size-mb", str(megabytes)], check=True, stdout=subprocess.DEVNULL)
        finally:
            subprocess.run(["umount", tmp], check=True)
    return raw


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


def compare_logs(a: argparse.Namespace) -> list[tuple[str, tuple[float, float, float], str]]:
    raw = make_logs(a.work, a.logs_mb)
    try:
        scan = [a.adit, "scan", raw, "-o", a.work / "out", "--no-bundle"]
        run(scan)
        ours = best([run(scan) for _ in range(a.rounds)])
        theirs = run([a.dissect, "-q", "-f", "evtx,services,prefetch", raw], a.work / "dissect")
        records = (a.work / "dissect").stat().st_size
        (a.work / "dissect").unlink()
    finally:
        raw.unlink()
    print(f"dissect wrote {records / 1e6:.0f} MB of records")
    times = f"{theirs[1] / ours[1]:.0f} times adit's CPU, {theirs[0] / ours[0]:.0f} times its wall time"
    return [(f"scan, {a.logs_mb} MB of logs", ours, ""), (f"dissect, {a.logs_mb} MB of logs", theirs, times)]


def best(rounds: list[tuple[float, float, float]]) -> tuple[float, float, float]:
    return min(r[0] for r in rounds), min(r[1] for r in rounds), max(r[2] for r in rounds)


def located(adit: Path, image: Path, work: Path) -> tuple[float, float, float]:
    """The cost of the located artifacts alone: a scan of the bundle's own files."""
    whole = work / "all"
    shutil.rmtree(whole, ignore_errors=True)
    run([adit, "scan", image, "-o", whole, "--collect", "all"])
    bundle = next(whole.rglob("adit_*.zip"), None)
    if bundle is None:
        return 0.0, 0.0, 0.0
    files = work / "located"
    shutil.rmtree(files, ignore_errors=True)
    shutil.unpack_archive(bundle, files)
    evidence = files / "data" / "evidence"
    return best([run([adit, "scan", evidence, "-o", work / "out", "--no-bundle"]) for _ in range(3)])


def main() -> int:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--files", type=int, default=200_000)
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--adit", type=Path, default=ROOT / "target" / "release" / "adit")
    ap.add_argument("--work", type=Path, default=ROOT / "target" / "bench" / "image")
    ap.add_argument("--dissect", default=shutil.which("target-query"), help="dissect's target-query")
    ap.add_argument("--logs-mb", type=int, default=256)
    ap.add_argument("--only", choices=["list", "logs"])
    a = ap.parse_args()
    rows = []
    if a.only != "logs":
        rows += compare_files(a)
    if a.only != "list" and a.dissect:
        rows += compare_logs(a)
    print(f"\nCPUs: {os.cpu_count()}; {a.files} files; best of {a.rounds}\n")
    print("| what | wall s | CPU s | peak memory | ratio |\n|---|--:|--:|--:|---|")
    for what, (wall, cpu, memory), ratio in rows:
        print(f"| {what} | {wall:.2f} | {cpu:.2f} | {memory:.0f} MB | {ratio} |")
    return 0


def compare_files(a: argparse.Namespace) -> list[tuple[str, tuple[float, float, float], str]]:
    raw = make(a.work, a.files, a.adit)
    e01 = raw.with_suffix(".E01")
    rows = []
    for name, image in (("raw", raw), ("E01", e01)):
        out = a.work / "list"
        run([a.adit, "list", "files", image], out)
        ours, theirs, scans = [], [], []
        for _ in range(a.rounds):
            ours.append(run([a.adit, "list", "files", image], out))
            theirs.append(run(["fls", "-r", "-p", image], a.work / "fls"))
            scans.append(run([a.adit, "scan", image, "-o", a.work / "out", "--no-bundle"]))
        ours, theirs, scans = best(ours), best(theirs), best(scans)
        rows.append((f"list, {name}", ours, f"{ours[1] / theirs[1]:.2f} of fls ({theirs[1]:.1f} s CPU)"))
        run_json = next((a.work / "out").rglob("run.json"), None)
        read = json.loads(run_json.read_text()).get("image") if run_json else None
        if read:
            print(f"{name}: {read['read']:,} of {read['size']:,} bytes of the disk were read ({read['read'] / read['size']:.0%});"
                  f" {read.get('chunks_unpacked', 0):,} chunks unpacked, {read.get('chunks_unpacked_again', 0):,} of them again")
        alone = located(a.adit, image, a.work)
        bar = 1.5 * ours[1] + alone[1]
        rows.append((f"scan, {name}", scans, f"{scans[1] / bar:.2f} of the bar of {bar:.2f} s, 1.5 lists and the located artifacts alone"
                     f" ({alone[1]:.2f} s CPU); {(scans[1] - alone[1]) / ours[1]:.2f} lists beyond these"))
    return rows


if __name__ == "__main__":
    sys.exit(main())
