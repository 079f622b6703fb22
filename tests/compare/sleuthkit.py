"""What sleuthkit and adit each say of the volumes of a folder, in one form.

Needs sleuthkit; unpacks .xz, .gz, .7z, qcow2, VHD, VMDK and E01 with the usual tools.
"""

import csv
import gzip
import hashlib
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def run(*command, **options):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, **options).stdout


def unpack(path, into):
    """The raw images that a file holds, written below `into` where they were packed."""
    name = os.path.basename(path)
    out = os.path.join(into, name.replace(".", "_") + ".raw")
    if name.endswith(".xz"):
        inner = os.path.join(into, name[:-3])
        with open(inner, "wb") as file:
            file.write(run("xz", "-dc", path))
        return unpack(inner, into)
    if name.endswith(".gz"):
        inner = os.path.join(into, name[:-3])
        with gzip.open(path) as packed, open(inner, "wb") as file:
            file.write(packed.read())
        return unpack(inner, into)
    if name.endswith(".7z"):
        folder = os.path.join(into, name + ".d")
        run("7z", "x", "-y", "-o" + folder, path)
        return [raw for at, _, names in os.walk(folder) for n in sorted(names)
                for raw in unpack(os.path.join(at, n), into)]
    if name.endswith((".qcow2", ".vhd", ".vmdk")):
        run("qemu-img", "convert", "-O", "raw", path, out)
        return [out] if os.path.exists(out) else []
    if name.endswith(".E01"):
        run("ewfexport", "-q", "-u", "-f", "raw", "-t", out[:-4], path)
        return [out] if os.path.exists(out) else []
    if name.endswith((".raw", ".img", ".dd", ".000", ".001")):
        return [path]
    return []


def volumes(folders, kinds):
    """(name, image, offset, bytes, type) of every volume that sleuthkit calls one of `kinds`."""
    work = tempfile.mkdtemp()
    found = []
    paths = sorted(os.path.join(at, n) for f in folders for at, _, names in os.walk(f) for n in names)
    for path in paths:
        for image in unpack(path, work):
            size = os.path.getsize(image)
            places = [(0, size)]
            for line in run("mmls", "-a", image).decode().splitlines():
                cells = line.split()
                if re.match(r"\d+:", line) and cells[2].isdigit() and cells[4].isdigit():
                    places.append((int(cells[2]) * 512, int(cells[4]) * 512))
            for offset, length in places:
                kind = run("fsstat", "-t", "-o", str(offset // 512), image).decode().strip()
                if kind in kinds:
                    name = f"{os.path.basename(path)}:{os.path.basename(image)}@{offset}"
                    found.append((name, image, offset, min(length, size - offset), kind))
    return found


def adit(found):
    """adit's rows for each volume, and its problems."""
    work = tempfile.mkdtemp()
    jobs = os.path.join(work, "jobs")
    results = []
    with open(jobs, "w") as file:
        for number, (_, image, offset, size, _) in enumerate(found):
            results.append(os.path.join(work, f"{number}.csv"))
            file.write(f"{image}\t{offset}\t{size}\t{results[-1]}\n")
    manifest = os.environ.get("ADIT_MANIFEST", os.path.join(ROOT, "Cargo.toml"))
    subprocess.run(["cargo", "test", "--offline", "-q", "--manifest-path", manifest, "--test", "filesystems"],
                   env={**os.environ, "ADIT_LIST_JOBS": jobs}, check=True, stdout=subprocess.DEVNULL)
    for result in results:
        with open(result, newline="") as file, open(result + ".problems") as problems:
            yield list(csv.DictReader(file)), problems.read().splitlines()


def fls(image, offset):
    """sleuthkit's rows: path, deleted, reallocated, inode, mode, size, times in seconds (0: none)."""
    text = run("fls", "-r", "-p", "-m", "", "-o", str(offset // 512), "-z", "UTC", image)
    rows = []
    for line in text.decode("utf-8", "surrogateescape").split("\n"):
        cells = line.split("|")
        if len(cells) < 11:
            continue
        name = "|".join(cells[1:-9])
        inode, mode, _, _, size, atime, mtime, ctime, crtime = cells[-9:]
        realloc = name.endswith(" (deleted-realloc)")
        deleted = realloc or name.endswith(" (deleted)")
        name = re.sub(r" \(deleted(-realloc)?\)$", "", name)
        link = None
        if mode[2:3] == "l" and " -> " in name:
            name, link = name.split(" -> ", 1)
        rows.append({"path": name, "deleted": deleted, "realloc": realloc, "inode": int(inode), "mode": mode,
                     "size": int(size), "link": link, "accessed": int(atime), "modified": int(mtime),
                     "changed": int(ctime), "created": int(crtime)})
    return rows


def icat(image, offset, inode, recover):
    options = ["-r"] if recover else []
    return hashlib.sha256(run("icat", *options, "-o", str(offset // 512), image, str(inode))).hexdigest()


def istat_times(image, offset, inode):
    """The times of istat with their fractions: {"accessed": "2026-01-01 00:00:00.123456789", …}."""
    text = run("istat", "-z", "UTC", "-o", str(offset // 512), image, str(inode)).decode("utf-8", "replace")
    names = {"Accessed": "accessed", "File Modified": "modified", "Inode Modified": "changed",
             "File Created": "created", "Written": "modified", "Created": "created"}
    return {names[m[1]]: m[2] for m in re.finditer(r"^([A-Z][A-Za-z ]+):\t([\d-]+ [\d:.]+)", text, re.M)
            if m[1] in names}


def seconds(iso):
    """Seconds since 1970 of one of adit's times; 0 when there is none."""
    import datetime
    if not iso:
        return 0
    whole = datetime.datetime.fromisoformat(iso[:19] + "+00:00")
    return int(whole.timestamp())


def end(differences):
    if differences:
        print(f"{differences} differences not explained")
        sys.exit(1)
    print("no difference that is not explained")
