"""Compares adit's FAT and exFAT readers with sleuthkit: `fat.py FOLDER...`.

Equal must be: every name present or removed, its kind, size, number, times and,
where adit gives content, its SHA-256. Explained differences are counted apart.
"""

import collections
import concurrent.futures
import re
import sys

import sleuthkit as tsk

# What sleuthkit adds: tables, the label, the folder of what has no parent.
ADDED = re.compile(r"/\$(MBR|FAT\d|OrphanFiles|ALLOC_BITMAP|UPCASE_TABLE|EmptyFiles)|.* \(Volume Label Entry\)$"
                   r"|/\$(OrphanFiles)/.*")


def path_of(row):
    return row["path"].removeprefix("E:").replace("\\", "/")


def compare(name, image, offset, rows):
    theirs = [row for row in tsk.fls(image, offset) if not ADDED.match(row["path"])]
    explained = collections.Counter()
    wrong = []
    pairs = []
    left = {row["id"]: row for row in rows}
    if len(left) != len(rows):
        wrong.append("numbers are not unique")
    for row in theirs:
        match = left.pop(str(row["inode"]), None)
        if match is None:
            wrong.append(f"only sleuthkit: {row['path']} {row['inode']} deleted {row['deleted']} {row['size']}")
        else:
            pairs.append((row, match))
    for row in left.values():
        wrong.append(f"only adit: {row['path']} {row['state']} {row['id']}")
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for lines in pool.map(lambda pair: facts(image, offset, *pair, explained), pairs):
            wrong += lines
    print(f"{name}: {len(theirs)} names, {sum(r['deleted'] for r in theirs)} removed, {len(wrong)} differences",
          *(f"; {n} × {why}" for why, n in sorted(explained.items())))
    for line in wrong[:30]:
        print("   ", line)
    return len(wrong)


def facts(image, offset, theirs, ours, explained):
    wrong = []
    path = path_of(ours)
    if path != theirs["path"]:
        wrong.append(f"{path}: sleuthkit {theirs['path']}")
    if (ours["state"] != "present") != theirs["deleted"]:
        wrong.append(f"{path}: {ours['state']}, sleuthkit deleted {theirs['deleted']}")
    kind = "directory" if theirs["mode"][2] == "d" else "file"
    if kind != ours["kind"]:
        wrong.append(f"{path}: kind {ours['kind']}, sleuthkit {theirs['mode']}")
    if kind == "file" and int(ours["size"]) != theirs["size"]:
        wrong.append(f"{path}: size {ours['size']}, sleuthkit {theirs['size']}")
    for column in ("accessed", "modified", "created"):
        ahead = tsk.seconds(ours[column]) - theirs[column]
        second = ours[column].endswith(".0000000Z") and ahead % 900 == 1
        if ahead - second and abs(ahead) <= 14 * 3600 and (ahead - second) % 900 == 0 and "exfat" in image:
            explained["times whose zone sleuthkit leaves out"] += 1
        elif ahead == 1 and second:
            explained["times with exactly 100 hundredths, of which sleuthkit drops the second"] += 1
        elif ahead:
            wrong.append(f"{path}: {column} {ours[column]}, sleuthkit {theirs[column]}")
    if len(ours["sha256"]) == 64:
        if ours["sha256"] != tsk.icat(image, offset, theirs["inode"], theirs["deleted"]):
            wrong.append(f"{path}: {ours['state']} content differs from icat's")
    elif ours["kind"] == "file" and ours["state"] == "deleted-nothing":
        explained["removed files of which adit gives no content"] += 1
    elif ours["kind"] == "file":
        wrong.append(f"{path}: not read: {ours['sha256']}")
    return wrong


def main():
    found = tsk.volumes(sys.argv[1:], {"fat12", "fat16", "fat32", "exfat"})
    differences = 0
    for (name, image, offset, _, _), (rows, problems) in zip(found, tsk.adit(found)):
        differences += compare(name, image, offset, rows)
        for problem in problems[:5]:
            print("    problem:", problem)
    print(len(found), "volumes")
    tsk.end(differences)


main()
