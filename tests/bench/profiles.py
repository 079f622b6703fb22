#!/usr/bin/env python3
"""What hunting for every tool costs over hunting for one.

    profiles.py SOURCE... [--adit PROGRAM] [--rounds 3] [--one ngrok]

Scans each source with all profiles and with one, turn by turn, each into a folder of its own
that is thrown away; the best round of each counts. Prints a line per source and the ratio
(1.00 is no cost; at most 2.00 is wanted). Nothing fails when a number is bad.
"""
from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def seconds(adit: str, source: str, profiles: list[str]) -> float:
    """One scan's wall time."""
    with tempfile.TemporaryDirectory() as out:
        line = [adit, "scan", source, "-o", f"{out}/o", "--progress", "none"]
        for profile in profiles:
            line += ["--profile", profile]
        start = time.perf_counter()
        subprocess.run(line, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--adit", default=str(ROOT / "target/release/adit"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", default="ngrok")
    options = parser.parse_args()
    print("| source | one profile | all | ratio |\n|---|---|---|---|")
    for source in options.sources:
        best = {"one": float("inf"), "all": float("inf")}
        seconds(options.adit, source, [])  # so that both find it cached
        for _ in range(options.rounds):
            for which, profiles in (("one", [options.one]), ("all", [])):
                best[which] = min(best[which], seconds(options.adit, source, profiles))
        ratio = best["all"] / best["one"]
        print(f"| {Path(source).name} | {best['one']:.2f} s | {best['all']:.2f} s | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
