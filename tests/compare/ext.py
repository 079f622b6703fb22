"""Compares adit's ext2/3/4 reader with sleuthkit: `ext.py FOLDER...`.

Equal must be: every name present or removed, its kind, size, inode, times (to 100 ns)
and, where adit gives content, its SHA-256. Explained differences are counted apart.
"""

import collections
import concurrent.futures
import hashlib
import sys

import sleuthkit as tsk

KINDS = {"r": "file", "d": "directory", "l": "link"}


def compare(name, image, offset, rows):
    theirs = [row for row in tsk.fls(image, offset) if not row["path"].startswith("/$OrphanFiles")]
    explained = collections.Counter()
    wrong = []
    pairs = []
    left = collections.defaultdict(list)
    for row in rows:
        left[row["path"]].append(row)
    for row in theirs:
        candidates = left[row["path"]]
        match = next((r for r in candidates if (r["state"] != "present") == row["deleted"]
                      and r["id"] == str(row["inode"])), None)
        if match is None and row["deleted"]:
            match = next((r for r in candidates if r["state"] != "present" and r["id"] == ""), None)
            if match is not None:
                explained["removed name whose inode is used again or gone: name only"] += 1
                candidates.remove(match)
                continue
        if match is None and row["deleted"] and set(row["path"].rsplit("/", 1)[1]) <= {"^"}:
            explained["names that sleuthkit makes of an index of hashes"] += 1
            continue
        if match is None:
            wrong.append(f"only sleuthkit: {row['path']} inode {row['inode']} deleted {row['deleted']}")
            continue
        candidates.remove(match)
        pairs.append((row, match))
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for lines in pool.map(lambda pair: facts(image, offset, *pair, explained), pairs):
            wrong += lines
    for rest in left.values():
        wrong += [f"only adit: {row['path']} {row['state']} inode {row['id']}" for row in rest]
    print(f"{name}: {len(theirs)} names, {sum(r['deleted'] for r in theirs)} removed, {len(wrong)} differences",
          *(f"; {n} × {why}" for why, n in sorted(explained.items())))
    for line in wrong[:20]:
        print("   ", line)
    return len(wrong)


def facts(image, offset, theirs, ours, explained):
    wrong = []
    path = theirs["path"]
    kind = KINDS.get(theirs["mode"][2], "special")
    if kind != ours["kind"]:
        wrong.append(f"{path}: kind {ours['kind']}, sleuthkit {theirs['mode']}")
    if ours["kind"] == "file" and int(ours["size"]) != theirs["size"]:
        wrong.append(f"{path}: size {ours['size']}, sleuthkit {theirs['size']}")
    if kind == "link" and theirs["link"] is not None and ours["link_target"] != theirs["link"]:
        wrong.append(f"{path}: target {ours['link_target']}, sleuthkit {theirs['link']}")
    exact = tsk.istat_times(image, offset, theirs["inode"])
    for column in ("accessed", "modified", "changed", "created"):
        if column == "created" and theirs[column] == 0:
            if ours[column]:
                explained["births in a large inode, which sleuthkit shows on ext4 only"] += 1
        elif (tsk.seconds(ours[column]) - theirs[column]) in (-2**32, 2**32, 2**33):
            explained["times before 1970 or after 2038, as the kernel reads them"] += 1
        elif tsk.seconds(ours[column]) != theirs[column]:
            wrong.append(f"{path}: {column} {ours[column]}, sleuthkit {theirs[column]}")
        elif ours[column] and "." in exact.get(column, ""):
            if ours[column][:27].replace("T", " ") != exact[column][:27]:
                wrong.append(f"{path}: {column} {ours[column]}, istat {exact[column]}")
    if len(ours["sha256"]) == 64:
        if ours["sha256"] != tsk.icat(image, offset, theirs["inode"], theirs["deleted"]):
            if ours["sha256"] == debugfs(image, offset, theirs["inode"]):
                explained["contents that icat does not read and debugfs reads as adit does"] += 1
            else:
                wrong.append(f"{path}: content differs from icat's and debugfs's")
    elif ours["kind"] == "file" and not theirs["deleted"]:
        wrong.append(f"{path}: not read: {ours['sha256']}")
    return wrong


def debugfs(image, offset, inode):
    return hashlib.sha256(tsk.run("debugfs", "-R", f"cat <{inode}>", f"{image}?offset={offset}")).hexdigest()


def main():
    found = tsk.volumes(sys.argv[1:], {"ext2", "ext3", "ext4"})
    differences = 0
    for (name, image, offset, _, _), (rows, problems) in zip(found, tsk.adit(found)):
        differences += compare(name, image, offset, rows)
        for problem in problems[:5]:
            print("    problem:", problem)
    print(len(found), "volumes")
    tsk.end(differences)


main()
