#!/usr/bin/env python3
"""Compares what adit reads of single Windows files with dissect.target and Python's own
XML reader: tasks, Defender's support log and quarantine, what the Recycle Bin notes of a
file, consumers in WMI repositories (dissect.cim; INDEX.BTR and MAPPING*.MAP beside them),
and counts lines of histories; lines of the compatibility assistant and of error reports,
and names in lists of recent files, are split apart.

    pip install dissect.target
    cargo build --example records
    python3 tests/compare/windows_files.py FILE...

The kind of a file is told by its content. ADIT_RECORDS names another build of `records`.
"""

import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from datetime import datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RECORDS = os.environ.get("ADIT_RECORDS", str(ROOT / "target/debug/examples/records"))
TASK = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"


def adit(parser, path):
    out = subprocess.run([RECORDS, parser, str(path)], capture_output=True, check=True)
    return [json.loads(line) for line in out.stdout.splitlines()]


def task_xml(path):
    """Commands, arguments, folders, account, name and date of a task."""
    root = ET.fromstring(Path(path).read_bytes().decode("utf-16").encode("utf-8").split(b"?>", 1)[1])

    def text(of, name):
        return (of.findtext(f".//{TASK}{name}") or "").strip()

    for action in root.find(f"{TASK}Actions"):
        yield [text(action, name) for name in ("Command", "Arguments", "WorkingDirectory", "ClassId")] + [
            text(root, name) for name in ("URI", "UserId", "RunLevel", "Date", "Author")
        ]


def task_xml_of_adit(path):
    for r in adit("task_xml", path):
        names = ("Command", "Arguments", "WorkingDirectory", "ClassId", "Name", "User", "RunLevel", "Date", "Author")
        yield [r.get(name, "") for name in names]


def task_job(path):
    from dissect.target.plugins.os.windows.tasks.job import AtTask

    class Opened(type(Path())):
        def open(self, mode="rb"):
            return super().open(mode)

    job = AtTask(Opened(path))
    action = next(iter(job.get_actions()))
    values = (action.command, action.arguments, action.working_directory, job.author, job.description)
    yield [str(value or "") for value in values]


def task_job_of_adit(path):
    for r in adit("task_job", path):
        yield [r.get(name, "") for name in ("Command", "Arguments", "WorkingDirectory", "Author", "Description")]


def mplog(path):
    """Line, and what the patterns of dissect.target take out of it."""
    from dissect.target.plugins.os.windows.defender.mplog import DEFENDER_MPLOG_PATTERNS

    for number, line in enumerate(Path(path).read_bytes().decode("utf-16").replace("\r\n", "\n").split("\n"), 1):
        for pattern, record in DEFENDER_MPLOG_PATTERNS:
            match = pattern.match(line)
            name = record.name.rsplit("/", 1)[-1]
            if not match:
                continue
            found = match.groupdict()
            if name == "processimage":
                yield [number, name, found["ts"], found["process_image_name"], found["max_time_file"]]
            elif name == "detectionadd":  # dissect keeps the line's end as one text
                yield [number, "detection", found["ts"], found["detection"].split(" ")[0]]
            elif name == "exclusion":
                yield [number, name, found["ts"], found["full_path_with_drive_letter"]]
        # Of the other detections dissect takes those of one kind only.
        if event := re.match(r"(\S+) DETECTIONEVENT MPSOURCE_\S+ (\S+) ", line):
            yield [number, "detection", *event.groups()]


def mplog_of_adit(path):
    for r in adit("defender_mplog", path):
        number, message = int(r["locator"].split(":")[1]), r["Message"]
        stamp = r["times"][0][1] if r["times"] else ""
        if message.startswith("ProcessImageName"):
            yield [number, "processimage", stamp, r.get("Image", ""), r.get("Path", "")]
        elif message.startswith(("DETECTION_ADD", "DETECTIONEVENT")):
            yield [number, "detection", stamp, r["ThreatName"]]
        elif message.startswith("[Exclusion]"):
            yield [number, "exclusion", stamp, r["Image"]]


def quarantine(path):
    from dissect.target.plugins.os.windows.defender.quarantine import QuarantineEntry

    with open(path, "rb") as file:
        entry = QuarantineEntry(file)
    for r in entry.resources:
        name, kind = entry.detection_name.decode(), r.detection_type.decode()
        yield [name, f"{kind}:{r.detection_path}", entry.timestamp.strftime("%Y-%m-%dT%H:%M:%S")]


def quarantine_of_adit(path):
    for r in adit("defender_quarantine", path):
        yield [r["ThreatName"], r["Resources"][0], r["times"][0][1][:19]]


def history(path):
    lines = Path(path).read_text("utf-8").split("\n")
    open_, count = False, 0
    for line in lines:
        count += bool(line.strip()) and not open_
        open_ = line.rstrip("\r").endswith("`")
    yield [count]


def history_of_adit(path):
    yield [len(adit("powershell_history", path))]


def recycled(path):
    from dissect.target.plugins.os.windows.recyclebin import RecyclebinPlugin
    from dissect.util.ts import wintimestamp

    data = Path(path).read_bytes()
    header = RecyclebinPlugin.select_header(None, data)(data)
    when = wintimestamp(header.timestamp) + timedelta(microseconds=5)  # it counts in floats
    yield [header.filename.rstrip("\0"), header.file_size, when.strftime("%Y-%m-%dT%H:%M:%S.%f")[:23]]


def recycled_of_adit(path):
    for r in adit("recycle_bin", path):
        yield [r["Image"], r["FileSize"], r["times"][0][1][:23]]


def pca(path):
    """Python splits the lines: path and time, or time, status, path, name, maker, version, id, text."""
    text = Path(path).read_bytes()
    text = text.decode("utf-16-le" if b"\0" in text else "utf-8-sig").lstrip("\ufeff")
    for number, line in enumerate(text.splitlines(), 1):
        part = line.split("|")
        if len(part) == 2:
            yield [number, part[0], part[1]]
        elif len(part) == 8:
            yield [number, part[2], part[0]] + part[3:]


def pca_of_adit(path):
    for r in adit("pca", path):
        more = ("Product", "Company", "FileVersion", "ProgramId", "Details")
        row = [int(r["locator"].split(":")[1]), r["Image"], r["times"][0][1]]
        yield row + [r.get(name, "") for name in more] if "RunStatus" in r else row


def wmi(path):
    """Live consumers that run something, with the queries bound to them."""
    from dissect.cim.cim import CIM

    folder = Path(path).parent
    maps = [open(folder / f"MAPPING{n}.MAP", "rb") for n in (1, 2, 3)]
    repository = CIM(open(folder / "INDEX.BTR", "rb"), open(path, "rb"), maps)
    left, queries, consumers, bound = [repository.root], {}, [], {}

    def value(of, name):
        try:
            return of.properties[name].value
        except (KeyError, ValueError):
            return None

    while left:
        space = left.pop()
        left.extend(space.namespaces)

        def instances(name):
            try:
                return list(space.class_(name).instances)
            except Exception:  # dissect has no such class in this namespace
                return []

        for name, what in ("CommandLineEventConsumer", "CommandLineTemplate"), ("ActiveScriptEventConsumer", "ScriptText"):
            consumers += [(name, value(one, "Name"), value(one, what), value(one, "CreatorSID")) for one in instances(name)]
        queries.update((value(one, "Name"), value(one, "Query")) for one in instances("__EventFilter"))
        for one in instances("__FilterToConsumerBinding"):
            consumer, by = (value(one, end).split('"')[1] for end in ("Consumer", "Filter"))
            bound.setdefault(consumer, []).append(by)
    for name, own, what, sid in consumers:
        parts = [int.from_bytes(bytes(sid[at:at + 4]), "little") for at in range(8, len(sid), 4)]
        user = "-".join(map(str, ("S", sid[0], sid[7], *parts)))
        yield [name, own, what, user, sorted(bound.get(own, [])), sorted(queries[by] for by in bound.get(own, []))]


def wmi_of_adit(path):
    for r in adit("wmi_repository", path):
        yield [r["Class"], r["Name"], r["CommandLine"], r.get("UserSid"), sorted(r.get("Filter", [])), sorted(r.get("Query", []))]



def wer(path):
    lines = Path(path).read_text("utf-16").splitlines()
    keys = dict(reversed([line.split("=", 1) for line in lines if "=" in line]))
    for meaning, key in ("Error Reported", "EventTime"), ("Error Report Sent", "UploadTime"):
        if key in keys:
            yield [meaning, keys[key]]
    for key, value in keys.items():
        if key.startswith("LoadedModule["):
            yield ["module", value]
        elif key.endswith(".Name") and "Sig[" in key:
            yield ["signature", f"{value}={keys[key.replace('.Name', '.Value')]}"]
    yield ["type", keys["EventType"]]


def wer_of_adit(path):
    for r in adit("error_report", path):
        for meaning, at in r["times"]:
            whole, part = at.rstrip("Z").split(".")
            since = datetime.fromisoformat(whole) - datetime(1601, 1, 1)
            yield [meaning, str((since.days * 86400 + since.seconds) * 10**7 + int(part))]
        yield from (["module", name] for name in r.get("LoadedFiles", []))
        yield from (["signature", part] for part in r.get("Signature", []))
        yield ["type", r["EventType"]]


def recent(path):
    data, at = Path(path).read_bytes(), 20
    while at + 4 <= len(data):
        letters = int.from_bytes(data[at:at + 4], "little")
        yield data[at + 4:at + 4 + 2 * letters].decode("utf-16-le")
        at += 6 + 2 * letters


def recent_of_adit(path):
    for r in adit("recent_file_cache", path):
        yield r["Image"]


def kind(path):
    start = Path(path).read_bytes()[:4608]
    if Path(path).name.startswith("$I"):
        return recycled, recycled_of_adit
    if Path(path).name.startswith("Pca") and path.endswith(".txt"):
        return pca, pca_of_adit
    if Path(path).name.endswith("OBJECTS.DATA"):
        return wmi, wmi_of_adit
    if path.endswith(".wer"):
        return wer, wer_of_adit
    if path.endswith(".bcf"):
        return recent, recent_of_adit
    wide = start.decode("utf-16-le", "replace")
    if "<Task" in wide:
        return task_xml, task_xml_of_adit
    if "77BDAF73" in wide:
        return mplog, mplog_of_adit
    if start[2:4] == b"\1\0" and start[20:22] == b"\x46\0":
        return task_job, task_job_of_adit
    if "history" in str(path).lower():
        return history, history_of_adit
    return quarantine, quarantine_of_adit


def main():
    differing = 0
    for path in sys.argv[1:]:
        theirs, ours = kind(path)
        try:
            theirs, ours = sorted(map(str, theirs(path))), sorted(map(str, ours(path)))
        except Exception as refusal:
            said = getattr(refusal, "stderr", b"").decode(errors="replace").strip()
            print(f"{path}: refused: {said or repr(refusal)}")
            continue
        differ = sorted(set(theirs) ^ set(ours))
        equal = len(set(theirs) & set(ours))
        differing += len(differ)
        print(f"{path}: {equal} equal, {len(differ)} differ")
        for line in differ[:10]:
            print(f"    {'only adit' if line in ours else 'only theirs'}: {line}")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
