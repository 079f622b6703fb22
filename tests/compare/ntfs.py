#!/usr/bin/env python3
"""Compares adit's NTFS reader with The Sleuth Kit on every NTFS volume of a folder.

    cargo build --release --example ntfs
    python3 tests/compare/ntfs.py FOLDER [--contents N] [--istat N]

Raw images, and what qemu-img, ewfexport, 7z, gzip and xz make raw images of.
Compared: all paths with state and size, $STANDARD_INFORMATION and $FILE_NAME times
to the second (fls -m), for N records to 100 ns (istat), and the SHA-256 of N
contents (icat).  What may differ, and why, is in `explained`; each difference is
counted under its reason, and any other fails the run.

make_ntfs.py makes images for it that hold what real ones seldom do.
"""
import argparse
import collections
import csv
import glob
import hashlib
import os
import re
import subprocess
import sys
import tempfile
from datetime import datetime, timezone

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NTFS = os.environ.get("ADIT_NTFS", f"{ROOT}/target/release/examples/ntfs")


def run(*args):
    return subprocess.run([str(a) for a in args], capture_output=True,
                          env={**os.environ, "TZ": "UTC"})


def raw(path, folder):
    """The raw images that a file is or holds."""
    name = os.path.basename(path)
    if name.endswith(".7z"):
        at = tempfile.mkdtemp(dir=folder)
        run("7z", "x", "-y", f"-o{at}", path)
        return [image for inner in glob.glob(f"{at}/*") for image in raw(inner, folder)]
    for ending, tool in ((".xz", "xz"), (".gz", "gzip")):
        if name.endswith(ending):
            inner = f"{folder}/{name[:-3]}"
            with open(inner, "wb") as out:
                subprocess.run([tool, "-dc", path], stdout=out, check=True)
            return raw(inner, folder)
    if name.endswith((".qcow2", ".vhd", ".vmdk", ".vhdx")):
        run("qemu-img", "convert", "-O", "raw", path, f"{folder}/{name}.raw")
        return [f"{folder}/{name}.raw"]
    if name.endswith(".E01"):
        run("ewfexport", "-u", "-q", "-t", f"{folder}/{name}", "-f", "raw", path)
        return [f"{folder}/{name}.raw"]
    return [path] if name.endswith((".raw", ".dd", ".img")) else []


def volumes(image):
    """Offsets of NTFS volumes, in sectors of 512 bytes."""
    if not os.path.exists(image):
        return
    found = [0]
    for line in run("mmls", image).stdout.decode(errors="replace").splitlines():
        match = re.match(r"\d+:\s+(?!Meta|---)\S+\s+(\d+)", line)
        if match:
            found.append(int(match[1]))
    with open(image, "rb") as file:
        for offset in found:
            file.seek(offset * 512 + 3)
            if file.read(8) == b"NTFS    ":
                yield offset


def second(text):
    if not text:
        return 0
    at = datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
    return int(at.timestamp())


def ours(image, offset):
    rows = collections.defaultdict(list)
    out = run(NTFS, "list", image, offset * 512)
    for row in csv.DictReader(out.stdout.decode().splitlines()):
        removed = row["state"] != "present"
        row["number"] = row["id"].split("-")[0]
        rows[(row["path"][3:].replace("\\", "/"), removed)].append(row)
    return rows, out.stderr.decode()


def theirs(image, offset):
    """Rows of fls: name, removed → (inode, is directory, size, times); and the names' times."""
    files, names = collections.defaultdict(list), collections.defaultdict(list)
    skipped = collections.Counter()
    out = run("fls", "-r", "-p", "-m", "/", "-o", offset, image).stdout.decode(errors="replace")
    for line in out.splitlines():
        fields = line.split("|")
        name = "|".join(fields[1:-9])[1:]
        inode, mode = fields[-9], fields[-8]
        size, accessed, modified, changed, created = map(int, fields[-5:])
        removed = name.endswith(" (deleted)")
        if name.endswith(" (deleted-realloc)"):
            skipped["a name in index slack whose record is another file's by now"] += 1
            continue
        name = name[:-10] if removed else name
        of_name = name.endswith(" ($FILE_NAME)")
        name = name[:-13] if of_name else name
        # fls shows \ and : of a name as they are; adit shows U+FFFD.
        base, mark, stream = name.rpartition("/")[2].partition(":")
        row = (inode, "/d" in mode or mode[0] == "d", size, (created, modified, changed, accessed))
        (names if of_name else files)[(name, removed)].append(row)
    return files, names, skipped


def explained(name, removed, row, other):
    """Why fls shows what adit does not, if there is a reason."""
    base = name.rsplit("/", 1)[-1]
    if name == "$OrphanFiles":
        return "the directory of orphans is no file of the volume"
    if re.search(r":\$(O|Q|R|SDH|SII)$", base):
        return "an index of the file system's own is no stream"
    if "/.:" in name or "/..:" in name or base.startswith((".:", "..:")):
        return "a directory's stream, shown once more under its . entry"
    if row[2] == 0 and (name, removed) in other:
        return "an empty named stream, shown under the file's own name"
    return None


def plain(name):
    """A name as adit shows it, from one as fls does."""
    return name.replace("\\", "\ufffd")


def compare(image, offset, arguments):
    mine, problems = ours(image, offset)
    files, names, reasons = theirs(image, offset)
    complaints = [f"problem: {line}" for line in problems.splitlines()
                  if "cannot be shown as stored" not in line]
    if not files:
        return mounted(image, offset)
    pairs = []
    left = {key: list(rows) for key, rows in mine.items()}
    for (name, removed), rows in sorted(files.items()):
        for row in rows:
            key = (plain(name), removed)
            if key not in left:
                odd = [k for k in left if k[1] == removed and "\ufffd" in k[0]
                       and re.fullmatch(re.escape(k[0]).replace("\ufffd", "[:\\\\]"), name)]
                key = odd[0] if odd else key
            number = row[0].split("-")[0]
            candidates = [r for r in left.get(key, []) if r["number"] == number]
            exact = [r for r in candidates if row[1] or int(r["size"]) == row[2]]
            if exact:
                left[key].remove(exact[0])
                pairs.append((name, removed, exact[0], row))
                continue
            reason = explained(name, removed, row, mine)
            if reason:
                reasons[reason] += 1
            else:
                complaints.append(f"only fls: {name} removed={removed} {row}")
    for (name, removed), rows in sorted(left.items()):
        for row in rows:
            if name in ("$Secure", "$Extend/$ObjId", "$Extend/$Quota", "$Extend/$Reparse"):
                reasons["fls shows an internal file by its indexes only"] += 1
            elif row["size"] == "0" and ":" in name:
                reasons["an empty named stream (fls: the file's own name)"] += 1
            else:
                complaints.append(f"only adit: {name} removed={removed} {row['size']}")
    complaints += times(pairs, names, reasons)
    complaints += exact_times(image, offset, pairs, arguments.istat, reasons)
    complaints += contents(image, offset, pairs, arguments.contents, reasons)
    print(f"{image} at {offset}: {len(pairs)} entries alike, {len(complaints)} differ")
    for reason, count in sorted(reasons.items()):
        print(f"    {count:6} {reason}")
    for complaint in complaints[:40]:
        print("    !", complaint)
    return not complaints


def mounted(image, offset):
    """Where fls reads nothing (clusters over 64 KiB): the same from ntfs-3g."""
    at = tempfile.mkdtemp()
    mount = run("mount", "-t", "ntfs-3g", "-o", f"ro,loop,offset={offset * 512}", image, at)
    if mount.returncode:
        print(f"{image} at {offset}: fls and ntfs-3g read nothing; not compared")
        return True
    mine = {}
    for line in run(NTFS, "hash", image, offset * 512).stdout.decode().splitlines():
        path, _, found = line.split("\t")
        mine.setdefault(path, found)
    alike, complaints = 0, []
    try:
        for folder, _, files in os.walk(at):
            for file in files:
                path = f"{folder}/{file}"
                if os.path.islink(path):
                    continue
                with open(path, "rb") as opened:
                    found = hashlib.sha256(opened.read()).hexdigest()
                shown = os.path.relpath(path, at)
                shown = shown.replace("\\", "\ufffd").replace(":", "\ufffd").replace("/", "\\")
                if mine.get("C:\\" + shown) == found:
                    alike += 1
                else:
                    complaints.append(shown)
    finally:
        run("umount", at)
        os.rmdir(at)
    print(f"{image} at {offset}: fls reads nothing; {alike} contents as ntfs-3g has them, "
          f"{len(complaints)} differ", complaints[:10])
    return not complaints


COLUMNS = ("created", "modified", "changed", "accessed")


def times(pairs, names, reasons):
    complaints = []
    linked = collections.defaultdict(set)
    for name, _, row, _ in pairs:
        linked[row["number"]].add(name.split(":")[0])
    for name, removed, row, (_, _, _, stamps) in pairs:
        found = tuple(second(row[column]) for column in COLUMNS)
        if found != stamps and not all(a == b or a == 0 for a, b in zip(found, stamps)):
            complaints.append(f"times of {name}: {found}, fls {stamps}")
        of_name = [r[3] for r in names.get((name.split(":")[0], removed), [])
                   if r[0].split("-")[0] == row["number"]]
        found = tuple(second(row["name_" + column]) for column in COLUMNS)
        if of_name and found not in of_name:
            if len(linked[row["number"]]) > 1:
                reasons["$FILE_NAME times: fls shows those of another name of the file"] += 1
            else:
                complaints.append(f"name's times of {name}: {found}, fls {of_name}")
    return complaints


def exact_times(image, offset, pairs, limit, reasons):
    """All eight to 100 ns, for evenly chosen records."""
    complaints, seen = [], {}
    for pair in pairs:
        seen.setdefault(pair[2]["number"], []).append(pair)
    numbers = sorted(seen, key=int)
    step = max(1, len(numbers) // limit)
    for number in numbers[::step]:
        out = run("istat", "-o", offset, image, number).stdout.decode(errors="replace")
        blocks = re.split(r"\$FILE_NAME Attribute Values:", out)
        if "$STANDARD_INFORMATION Attribute Values:" not in blocks[0]:
            continue
        stamp = r"\s+(\d{4})-(\d\d-\d\d) (\d\d:\d\d:\d\d)\.(\d{7})"
        labels = ("Created:", "File Modified:", "MFT Modified:", "Accessed:")
        read = [tuple("{}-{}T{}.{}Z".format(*m.groups()) if (m := re.search(label + stamp, block))
                      else "" for label in labels) for block in blocks]
        for name, removed, row, _ in seen[number]:
            found = tuple(row[column] for column in COLUMNS)
            if found != read[0] and any(found):
                complaints.append(f"istat {number} {name}: {found}, {read[0]}")
            found = tuple(row["name_" + column] for column in COLUMNS)
            if len(blocks) > 1 and any(found) and found not in read[1:]:
                if len(seen[number]) > 1:
                    reasons["istat shows the times of one name only"] += 1
                else:
                    complaints.append(f"istat {number} {name}: {found}, {read[1:]}")
        reasons["records compared to 100 ns (no difference)"] += 1
    return complaints


def contents(image, offset, pairs, limit, reasons):
    hashes = collections.defaultdict(list)
    for line in run(NTFS, "hash", image, offset * 512).stdout.decode().splitlines():
        path, number, found = line.split("\t")
        hashes[(path, number)].append(found)
    plain = {path: found for (path, _), found in hashes.items() if path.endswith(".plain")}
    complaints = []
    chosen = [pair for pair in pairs if pair[2]["kind"] == "file"]
    step = max(1, len(chosen) // limit)
    for name, removed, row, (inode, *_) in chosen[::step]:
        found = hashes.get((row["path"], row["number"]), ["!absent"])
        if len(found) > 1:
            continue
        found = found[0]
        if row["state"] == "deleted:nothing":
            reasons["removed, clusters in use: not opened"] += 1
            if not found.startswith("!"):
                complaints.append(f"{name} was opened though nothing is left")
            continue
        if int(row["size"]) > 1 << 30:
            reasons["larger than 1 GiB: not hashed"] += 1
            continue
        if name == "$BadClus:$Bad":
            reasons["the hole as large as the volume: icat shows nothing of it"] += 1
            continue
        packed = plain.get(row["path"].replace(".bin", ".plain"))
        if packed and row["path"].endswith(".bin"):
            reasons["packed by the system (icat shows a hole): alike with its original"] += 1
            if [found] != packed:
                complaints.append(f"{name} is not its .plain")
            continue
        out = run("icat", "-o", offset, image, inode)
        if hashlib.sha256(out.stdout).hexdigest() == found:
            reasons["contents compared (no difference)"] += 1
        else:
            complaints.append(f"content of {name} ({inode}): {found}, icat {len(out.stdout)} bytes "
                              f"{out.stderr.decode(errors='replace').strip()[:100]}")
    return complaints


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--contents", type=int, default=2000)
    parser.add_argument("--istat", type=int, default=300)
    arguments = parser.parse_args()
    fine = True
    with tempfile.TemporaryDirectory() as folder:
        for path in sorted(glob.glob(f"{arguments.folder}/**", recursive=True)):
            if not os.path.isfile(path):
                continue
            for image in raw(path, folder):
                for offset in dict.fromkeys(volumes(image)):
                    fine &= compare(image, offset, arguments)
    sys.exit(0 if fine else 1)


main()
