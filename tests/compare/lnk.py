#!/usr/bin/env python3
"""Compares adit's shortcuts with liblnk, those inside jump lists too.

    apt-get install liblnk-utils; pip install dissect.ole
    python3 tests/compare/lnk.py FILE...

FILE is a `.lnk`, an `automaticDestinations-ms` or a `customDestinations-ms`. The shortcuts
of a jump list are cut out with dissect.ole or at their header and given to lnkinfo; its
DestList is read by the few lines below.
"""

import json
import re
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

from dissect.ole import OLE
from dissect.ole.exceptions import Error

from prefetch import iso
from usn import stamp

ROOT = Path(__file__).resolve().parents[2]
HEAD = bytes.fromhex("4c0000000114020000000000c000000000000046")
FIELDS = {
    "Local path": "Image",
    "Network path": "Network path",
    "Description": "Description",
    "Relative path": "RelativePath",
    "Working directory": "WorkingDirectory",
    "Command line arguments": "Arguments",
    "Drive serial number": "DriveSerial",
    "Volume label": "VolumeLabel",
    "Machine identifier": "MachineId",
    "File size": "TargetSize",
}
TIMES = {
    "Creation time": "Target Created (LNK)",
    "Modification time": "Target Modified (LNK)",
    "Access time": "Target Accessed (LNK)",
}


def by_lnkinfo(blob):
    with tempfile.NamedTemporaryFile(suffix=".lnk") as file:
        file.write(blob)
        file.flush()
        out = subprocess.run(["lnkinfo", file.name], capture_output=True).stdout.decode(errors="replace")
    said, times, target = {}, {}, []
    section = ""
    for line in out.splitlines():
        if line and not line.startswith("\t"):
            section = line.rstrip(":")
        key, _, value = (part.strip() for part in line.partition(": "))
        if section == "Link information" and key in TIMES and value.endswith("UTC"):
            times[TIMES[key]] = iso(value)
        elif key in FIELDS and section in ("Link information", "Distributed link tracking data"):
            if key == "File size":
                value = int(value.removesuffix(" bytes"))
            elif key == "Drive serial number":
                value = value.removeprefix("0x").rjust(8, "0").upper()
            # It shows 0 for a share, which has none, and swallows what follows broken characters.
            if value and "\ufffd" not in str(value) and value != "00000000":
                said[FIELDS[key]] = value
        elif key == "NTFS file reference":
            target = re.findall(r"\d+", value)
        elif key == "Shell item":
            target = []
    droids = re.findall(r"Droid (?:volume|file) identifier\s*: (\S+)", out)
    if droids:
        said["Droid"] = " ".join("{" + d.upper() + "}" for d in droids)
    if target and target[0] != "0":
        said["TargetReference"] = "-".join(target)
    return said, times


def dest_list(data):
    """Entry number to path, last use and count of a DestList."""
    version, count = struct.unpack_from("<II", data)
    at, out = 32, {}
    for _ in range(count):
        number, = struct.unpack_from("<I", data, at + 88)
        used, = struct.unpack_from("<Q", data, at + 100)
        place = at + (112 if version == 1 else 128)
        letters, = struct.unpack_from("<H", data, place)
        path = data[place + 2 : place + 2 + 2 * letters].decode("utf-16-le", "replace")
        out[number] = path, stamp(used).rstrip("Z")
        at = place + 2 + 2 * letters + (0 if version == 1 else 4)
    return out


def expected(path):
    """Locator, shortcut and line of the list of each entry."""
    data = path.read_bytes()
    if path.name.endswith("automaticDestinations-ms"):
        with open(path, "rb") as file:
            ole = OLE(file)
            streams = {name: ole.get(name).open().read() for name in ole.root.listdir()}
        listed = dest_list(streams.pop("DestList"))
        for name, blob in streams.items():
            yield f"member:{name}", blob, listed.get(int(name, 16))
    else:
        starts = [m.start() for m in re.finditer(re.escape(HEAD), data)]
        for start, end in zip(starts, [*starts[1:], len(data)]):
            yield f"offset:{start:#x}", data[start:end], None


def main():
    subprocess.run(["cargo", "build", "-q", "--example", "records"], cwd=ROOT, check=True)
    program = ROOT / "target/debug/examples/records"
    equal = differ = 0
    for path in map(Path, sys.argv[1:]):
        parser = {"automaticDestinations-ms": "automatic_destinations", "customDestinations-ms": "custom_destinations"}
        name = parser.get(path.name.rsplit(".", 1)[-1], "shortcut")
        out = subprocess.run([program, name, path], capture_output=True, text=True)
        lines = [line for line in out.stdout.splitlines() if line.startswith("{")]
        own = {record["locator"]: record for record in map(json.loads, lines)}
        if out.returncode:
            print(f"  {path.name}: refused by adit: {out.stderr.strip()}")
        try:
            listed = list(expected(path))
        except Error as refusal:
            print(f"  {path.name}: refused by dissect: {refusal}; adit has {len(own)}")
            continue
        for locator, blob, line in listed:
            record = own.pop(locator, None)
            if record is None:
                print(f"  {path.name} {locator}: not among adit's")
                differ += 1
                continue
            said, times = by_lnkinfo(blob)
            share = said.pop("Network path", "")
            if "Image" not in said:
                said.update({"Image": share} if share else {})
            elif not share.lower().startswith(record.get("Share", "").lower()):
                said["Share"] = share
            if line:
                times["Last Accessed (Jump List)"] = line[1]
                said.setdefault("ListedPath" if "ListedPath" in record else "Image", line[0])
            mine = {meaning: raw.rstrip("Z") for meaning, raw in record["times"]}
            wrong = [(k, record.get(k), v) for k, v in said.items() if str(record.get(k, "")).strip().lower() != str(v).strip().lower()]
            wrong += [(k, mine.get(k), v) for k, v in times.items() if mine.get(k) != v]
            wrong += [(k, mine[k], None) for k in mine if k not in times and not re.match(r"[0-9a-f]{4} ", mine[k])]
            for key, is_, should in wrong:
                print(f"  {path.name} {locator}: {key}: {is_!r} and {should!r}")
            differ += bool(wrong)
            equal += not wrong
        for locator in own:
            print(f"  {path.name} {locator}: only adit has it")
            differ += 1
    print(f"{equal} equal, {differ} differ")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
