#!/usr/bin/env python3
"""Compares what adit reads from registry hives with what regipy and dissect read.

    registry.py FOLDER

FOLDER holds hives (with their .LOG1, .LOG2) and values of AppCompatCache (*.bin), at any
depth.  regipy gives keys and values and applies the logs; ShimCache is read with
Mandiant's parser in regipy and with dissect.target's, lists of shell items with
dissect.target; the other contents are taken apart here.  Needs regipy and dissect.target
and the example `records` (cargo build --examples; ADIT_RECORDS names another one).
"""
from __future__ import annotations

import codecs
import collections
import io
import json
import logging
import os
import re
import struct
import subprocess
import sys
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

from dissect.target.plugins.os.windows.regf import shellbags
from dissect.target.plugins.os.windows.regf.shimcache import ShimCache
from regipy.plugins.system.external import ShimCacheParser
from regipy.recovery import apply_transaction_logs
from regipy.registry import RegistryHive

sys.path.insert(0, str(Path(__file__).parent))
import make_hive  # noqa: E402

logging.disable(logging.CRITICAL)
RECORDS = os.environ.get("ADIT_RECORDS", "target/debug/examples/records")
EXPLORER = r"Software\Microsoft\Windows\CurrentVersion\Explorer"


def stamp(ticks: int) -> str:
    """As adit writes a FILETIME: ISO with seven digits; none for 0."""
    if not ticks:
        return ""
    seconds, rest = divmod(ticks, 10_000_000)
    return f"{datetime(1601, 1, 1) + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.{rest:07d}Z"


SOFTWARE = ("", "Software\\", "Wow6432Node\\", "Software\\Wow6432Node\\")
# What is read of a hive; `*` is any one name.
PATTERNS = [
    r"*\Services\bam\State\UserSettings\*", r"*\Services\bam\UserSettings\*", r"*\Services\dam\State\UserSettings\*", r"*\Services\dam\UserSettings\*",
    r"*\Control\Session Manager\AppCompatCache", r"*\Services\SharedAccess\Parameters\FirewallPolicy\FirewallRules",
    r"Root\*\*", r"Root\File\*\*", r"Local Settings\Software\Microsoft\Windows\Shell\MuiCache", r"Software\Microsoft\Windows\ShellNoRoam\MUICache",
    rf"{EXPLORER}\UserAssist\*\Count", rf"{EXPLORER}\RunMRU", rf"{EXPLORER}\TypedPaths", rf"{EXPLORER}\WordWheelQuery", rf"{EXPLORER}\RecentDocs",
    rf"{EXPLORER}\RecentDocs\*", rf"{EXPLORER}\ComDlg32\OpenSavePidlMRU\*", rf"{EXPLORER}\FeatureUsage\*",
    r"Software\Microsoft\Windows\CurrentVersion\Search\RecentApps\*",
    r"Microsoft\Windows NT\CurrentVersion\Schedule\TaskCache\Tasks\*",
    *(rf"{head}Microsoft\Windows\CurrentVersion\Uninstall\*" for head in SOFTWARE),
]
# A hive may be a user's `Software` alone.
NAMES = [p.lower().split("\\") for p in PATTERNS]
NAMES += [names[1:] for names in NAMES if names[0] == "software" and len(names) > 2]


def leads_on(path: str) -> bool:
    """Whether a key is read, or lies above one that is."""
    names = path.lower().split("\\")
    return any(len(names) <= len(p) and all(a in (b, "*") for a, b in zip(p, names)) for p in NAMES)


def without_old_entries(log: bytes) -> bytes:
    """A log ends where the sequence of its entries does; regipy goes on to what an older one left."""
    at, expected = 512, None
    while log[at:at + 4] == b"HvLE":
        size, _, sequence = struct.unpack_from("<III", log, at + 4)
        if expected not in (None, sequence) or size == 0:
            break
        at, expected = at + size, sequence + 1
    return log[:at].ljust(len(log), b"\0")


class Hive:
    """The keys of a hive by lower-case path: (path, FILETIME, values by name)."""

    def __init__(self, file: Path) -> None:
        logs = [f"{file}.LOG{n}" for n in (1, 2) if Path(f"{file}.LOG{n}").exists()]
        self.restored = None
        if logs:
            # The newest first: regipy applies the second one before the first.
            logs.sort(key=lambda log: struct.unpack_from("<I", Path(log).read_bytes()[:8].ljust(8, b"\0"), 4), reverse=True)
            self.restored = tempfile.mktemp()
            with tempfile.TemporaryDirectory() as folder:
                fresh = []
                for i, log in enumerate(logs):
                    fresh.append(f"{folder}/{i}")
                    Path(fresh[-1]).write_bytes(without_old_entries(Path(log).read_bytes()))
                apply_transaction_logs(str(file), *fresh, restored_hive_path=self.restored)
        self.keys: dict[str, tuple[str, int, dict[str, object]]] = {}
        hive = RegistryHive(self.restored or str(file))
        stack = [("", hive.root)]
        while stack:
            path, node = stack.pop()
            if any(len(p) == path.count("\\") + 1 for p in NAMES):
                self.keys[path.lower()] = (path, node.header.last_modified, self.values(node))
            if node.subkey_count:
                for child in node.iter_subkeys():
                    below = f"{path}\\{child.name}".strip("\\")
                    if leads_on(below):
                        stack.append((below, child))
        if self.restored:
            os.remove(self.restored)

    @staticmethod
    def values(node) -> dict[str, tuple[str, object]]:
        out = {}
        for v in node.iter_values(as_json=False, trim_values=False) if node.values_count else ():
            name = "" if v.name == "(default)" else v.name
            data = v.value
            if isinstance(data, str) and "BINARY" in str(v.value_type) or isinstance(data, str) and str(v.value_type) in ("REG_NONE", "0"):
                try:
                    data = bytes.fromhex(data)
                except ValueError:
                    pass
            out.setdefault(name, data)
        return out

    def like(self, pattern: str):
        pattern = pattern if any(p.startswith("software") for p in self.keys) or not pattern.startswith("Software\\") else pattern[9:]
        wanted = re.compile("^" + r"\\".join("[^\\\\]+" if n == "*" else re.escape(n) for n in pattern.lower().split("\\")) + "$")
        for path, key in self.keys.items():
            if wanted.match(path):
                yield key


def raw(value) -> bytes:
    return value if isinstance(value, bytes) else b""


def string(value) -> str | None:
    return value.split("\0")[0] if isinstance(value, str) else None


def sid_values(hive: Hive):
    for service in ("bam", "dam"):
        for middle in ("", r"State\\"[:-1]):
            for path, _, values in hive.like(rf"*\Services\{service}\{middle}UserSettings\*"):
                for name, data in values.items():
                    if len(raw(data)) >= 8:
                        yield (path.split("\\")[-1], name, stamp(struct.unpack_from("<Q", data)[0]))


def userassist(hive: Hive):
    for _, _, values in hive.like(r"Software\Microsoft\Windows\CurrentVersion\Explorer\UserAssist\*\Count"):
        for name, data in values.items():
            plain = codecs.decode(name, "rot13")
            if plain.startswith("UEME_CTL") or not raw(data):
                continue
            if len(data) >= 72:
                runs, last = struct.unpack_from("<I", data, 4)[0], struct.unpack_from("<Q", data, 60)[0]
            else:
                runs, last = struct.unpack_from("<IQ", data, 4)
                runs = runs - 5 if runs > 5 else runs
            yield (name, runs, stamp(last))


def shim_values(hive: Hive):
    for path, _, values in hive.like(r"*\Control\Session Manager\AppCompatCache"):
        yield path.split("\\")[0], raw(values.get("AppCompatCache"))


def shimcache(hive: Hive):
    for control_set, data in shim_values(hive):
        entries = enumerate(ShimCache(io.BytesIO(data), "6.1"))
        while True:
            try:
                position, (when, path) = next(entries)
            except (StopIteration, EOFError):  # dissect stumbles over room kept for more
                break
            since = when.replace(tzinfo=None) - datetime(1601, 1, 1) if when else timedelta()
            yield (control_set, position, path.replace("\t", " ").strip(), tenths(since // timedelta(microseconds=1)))


def executed(hive: Hive):
    """Mandiant's parser: path and flag, of formats that have one; each pair once."""
    for _, data in shim_values(hive):
        if data[:1] in b"\x30\x34":
            continue
        for row in ShimCacheParser.get_shimcache_entries(data) or ():
            if row["exec_flag"] in ("True", "False") and row["path"] != "None":
                yield (row["path"].lower(), row["exec_flag"].lower())


AMCACHE = {
    "inventoryapplicationfile": ("LowerCaseLongPath", "ProductName", "Publisher", "FileId"),
    "inventoryapplication": (None, "Name", "Publisher", None),
    "inventoryapplicationshortcut": ("ShortcutTargetPath", None, None, None),
    "inventorydriverbinary": ("", "Product", "DriverCompany", "DriverId"),
    "programs": (None, "0", "2", None),
}


def amcache(hive: Hive):
    for pattern in (r"Root\*\*", r"Root\File\*\*"):
        for path, when, values in hive.like(pattern):
            parts = path.split("\\")
            kind = ("15", "0", "1", "101") if len(parts) == 4 else AMCACHE.get(parts[1].lower())
            if not kind:
                continue
            texts = [(string(values.get(n)) or "") if n else "" for n in kind]
            if kind[0] == "":
                texts[0] = parts[-1].replace("/", "\\")
            name = string(values.get("DriverName")) or string(values.get("Name")) or ""
            if not any(texts[:2]) and not name:
                continue
            yield (path, *texts[:3], texts[3][4:].upper(), stamp(when))


def muicache(hive: Hive):
    for pattern in (r"Local Settings\Software\Microsoft\Windows\Shell\MuiCache", r"Software\Microsoft\Windows\ShellNoRoam\MUICache"):
        for _, _, values in hive.like(pattern):
            programs: dict[str, list[str]] = collections.defaultdict(lambda: ["", ""])
            for name, data in values.items():
                if string(data) is None:
                    continue
                for i, end in enumerate((".FriendlyAppName", ".ApplicationCompany")):
                    if name.endswith(end):
                        programs[name[:-len(end)]][i] = string(data)
                        break
                else:
                    programs[name][0] = string(data)
            for program, names in programs.items():
                if "\\" in program and not program.startswith("@"):
                    yield (program, *names)


def ordered(values: dict):
    listed = values.get("MRUListEx")
    if isinstance(listed, bytes):
        order = [str(n) for (n,) in struct.iter_unpack("<I", listed[:len(listed) // 4 * 4])]
        order = order[:order.index(str(0xFFFFFFFF))] if str(0xFFFFFFFF) in order else order
    else:
        order = list(string(values.get("MRUList")) or "")
    names = [n for n in dict.fromkeys(order) if n in values]
    names += [n for n in values if n not in names and not n.startswith("MRUList")]
    return [(i, n, values[n]) for i, n in enumerate(names)]


def wide(data: bytes) -> str:
    text = data[:len(data) // 2 * 2].decode("utf-16-le", "replace")
    return text.split("\0")[0]


def lists(hive: Hive):
    for sub in ("RunMRU", "TypedPaths", "WordWheelQuery", "RecentDocs", r"RecentDocs\*"):
        for path, _, values in hive.like(rf"{EXPLORER}\{sub}"):
            for position, name, data in ordered(values):
                text = wide(data) if isinstance(data, bytes) else string(data)
                if text:
                    yield (text.removesuffix("\\1") if sub == "RunMRU" else text, position)


def item_path(data: bytes) -> list[str]:
    return [item.name or "" for item in shellbags.parse_shell_item_list(data)]


def dialogs(hive: Hive):
    for path, _, values in hive.like(rf"{EXPLORER}\ComDlg32\OpenSavePidlMRU\*"):
        for position, name, data in ordered(values):
            if isinstance(data, bytes):
                names = [n for n in item_path(data) if n]
                if names:
                    yield (path.lower(), name, names[-1].strip("\\").lower(), position)


def uninstall(hive: Hive):
    seen = set()
    for prefix in SOFTWARE:
        for path, when, values in hive.like(rf"{prefix}Microsoft\Windows\CurrentVersion\Uninstall\*"):
            texts = [str(values.get(n, "") or "").split("\0")[0] for n in ("DisplayName", "DisplayVersion", "Publisher")]
            if any(texts) and path not in seen:
                seen.add(path)
                yield (path.split("\\")[-1], *texts, stamp(when))


def firewall(hive: Hive):
    for path, _, values in hive.like(r"*\Services\SharedAccess\Parameters\FirewallPolicy\FirewallRules"):
        for name, data in values.items():
            rule = string(data) or ""
            pairs = collections.defaultdict(list)
            for part in rule.split("|"):
                if "=" in part:
                    pairs[part.split("=", 1)[0]].append(part.split("=", 1)[1])
            if pairs:
                yield (path.split("\\")[0], name, *(" ".join(pairs[n]) for n in ("App", "Name", "Action", "Dir", "LPort")))


def feature_usage(hive: Hive):
    for path, _, values in hive.like(rf"{EXPLORER}\FeatureUsage\*"):
        feature = path.split("\\")[-1]
        for name, data in values.items():
            if isinstance(data, int) and feature in ("AppLaunch", "AppSwitched", "AppBadgeUpdated", "ShowJumpView"):
                yield (feature, name, data)


def recent_apps(hive: Hive):
    for path, _, values in hive.like(r"Software\Microsoft\Windows\CurrentVersion\Search\RecentApps\*"):
        app = string(values.get("AppPath")) or string(values.get("AppId"))
        if app:
            yield (path.split("\\")[-1], values.get("LaunchCount"), stamp(values.get("LastAccessedTime") or 0))


def task_cache(hive: Hive):
    base = r"Microsoft\Windows NT\CurrentVersion\Schedule\TaskCache\Tasks\*"
    for path, when, values in hive.like(base):
        info = raw(values.get("DynamicInfo"))
        times = [stamp(struct.unpack_from("<Q", info, at)[0]) for at in (4, 12, 28) if len(info) >= at + 8]
        yield (path.split("\\")[-1], string(values.get("Path")) or "", *[t for t in times if t])


def value_of(locator: str) -> str:
    return locator.split("|", 1)[1] if "|" in locator else ""


def key_of(locator: str) -> str:
    return locator.removeprefix("key:").split("|", 1)[0]


def last_name(path: str) -> str:
    return path.rstrip("\\").rsplit("\\", 1)[-1].lower()


def time_of(record: dict, meaning: str) -> str:
    return next((raw for m, raw in record["times"] if m == meaning), "")


def micros(text: str) -> int:
    if not text:
        return 0
    at = datetime.strptime(text[:26], "%Y-%m-%dT%H:%M:%S.%f")
    return tenths((at - datetime(1601, 1, 1)) // timedelta(microseconds=1))


def tenths(micros: int) -> int:
    """Tenths of a second, from the middle of a millisecond: dissect rounds in floating point."""
    return (micros + 500) // 100_000


# kind: (what the other tool says, adit's categories, the same of a record of adit)
KINDS = {
    "bam": (sid_values, {"bam"}, lambda r: (r["UserSid"], r["Image"], time_of(r, "Last Time Executed"))),
    "userassist": (userassist, {"userassist"}, lambda r: (value_of(r["locator"]), r["RunCount"], time_of(r, "Last Time Executed"))),
    "shimcache": (shimcache, {"shimcache"}, lambda r: (key_of(r["locator"]).split("\\")[0], r["Position"], (r.get("Package") or r.get("Image", "")).strip(), micros(time_of(r, "File Modified")))),
    "executed": (executed, {"shimcache"}, lambda r: (r.get("Image", "").lower(), r["Executed"]) if "Executed" in r else None),
    "amcache": (amcache, {"amcache"}, lambda r: (r["locator"].removeprefix("key:"), r.get("Image", ""), r.get("Product", ""), r.get("Company", ""),
                                               (r.get("Hashes", "")[5:] or r.get("Sha1First30MB", "")).upper(), time_of(r, "Key Last Written"))),
    "muicache": (muicache, {"muicache"}, lambda r: (r["Image"], r.get("Description", ""), r.get("Company", ""))),
    "lists": (lists, {"run_dialog", "typed_path", "explorer_search", "recent_document"},
              lambda r: (r.get("CommandLine") or r.get("Image"), r["Position"]) if "Position" in r else None),
    "dialogs": (dialogs, {"open_save_dialog"}, lambda r: (key_of(r["locator"]).lower(), value_of(r["locator"]), last_name(r["Image"]), r["Position"])
                if "opensavepidlmru" in r["locator"].lower() else None),
    "uninstall": (uninstall, {"uninstall"}, lambda r: (r["Name"], r.get("Product", ""), r.get("ProductVersion", ""), r.get("Company", ""), time_of(r, "Key Last Written"))),
    "firewall": (firewall, {"firewall_rule"}, lambda r: (key_of(r["locator"]).split("\\")[0], value_of(r["locator"]), *(one(r, n) for n in ("Image", "Name", "Action", "Direction", "LocalPort")))
                 if key_of(r["locator"]).endswith(r"FirewallPolicy\FirewallRules") else None),
    "feature_usage": (feature_usage, {"feature_usage", "taskbar_menu"}, lambda r: (r["Feature"], value_of(r["locator"]), r["Count"])),
    "recent_apps": (recent_apps, {"recent_app"}, lambda r: (key_of(r["locator"]).split("\\")[-1], r.get("RunCount"), time_of(r, "Last Time Executed"))),
    "task_cache": (task_cache, {"task_cache"}, lambda r: (key_of(r["locator"]).split("\\")[-1], r.get("Name", ""), *dict.fromkeys([t for m, t in r["times"] if m.startswith("Task ")]))
                   if "\\Tasks\\" in r["locator"] else None),
}


ONCE = {"lists", "executed"}


def one(record: dict, name: str) -> str:
    value = record.get(name, "")
    return " ".join(value) if isinstance(value, list) else value


def of_adit(file: Path, parser: str = "registry") -> list[dict]:
    logs = [f"{file}.LOG{n}" for n in (1, 2) if Path(f"{file}.LOG{n}").exists()]
    done = subprocess.run([RECORDS, parser, str(file), *logs], capture_output=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def compare(name: str, hive: Hive, records: list[dict], totals: collections.Counter) -> None:
    for kind, (theirs, categories, shape) in KINDS.items():
        expected = collections.Counter(theirs(hive))
        rows = [shape(r) for r in records if r["category"] in categories and not r["recovered"]]
        found = collections.Counter(row for row in rows if row is not None)
        if kind == "dialogs":  # a property view has no name in dissect: adit takes the path in its properties
            unnamed = {row[:2] for row in expected if row[2].startswith("<")}
            expected, found = (collections.Counter({row: n for row, n in rows.items() if row[:2] not in unnamed}) for rows in (expected, found))
        missing, extra = expected - found, found - expected
        if kind in ONCE:  # the same of two keys of one time is told once
            expected, found = set(expected), set(found)
            missing, extra = (collections.Counter(rows) for rows in (expected - found, found - expected))
            expected, found = collections.Counter(expected), collections.Counter(found)
        equal, differ = sum((expected & found).values()), sum(missing.values()) + sum(extra.values())
        if equal or differ:
            totals["equal"] += equal
            totals["differ"] += differ
            print(f"{name}: {kind}: {equal} equal, {differ} differ", flush=True)
            for mark, rows in (("-", missing), ("+", extra)):
                for row in list(rows)[:5]:
                    print("   ", mark, row)


def is_hive(file: Path) -> bool:
    with file.open("rb") as f:
        return f.read(4) == b"regf" and not file.suffix.upper().startswith(".LOG")


def main() -> int:
    totals: collections.Counter = collections.Counter()
    for file in sorted(Path(sys.argv[1]).rglob("*")):
        if not file.is_file():
            continue
        name = str(file.relative_to(sys.argv[1]))
        if file.suffix == ".bin":
            key = r"ControlSet001\Control\Session Manager\AppCompatCache"
            value = make_hive.Key(values={"AppCompatCache": make_hive.binary(file.read_bytes())}, when=1)
            hive = Hive.__new__(Hive)
            hive.keys = {key.lower(): (key, 1, {"AppCompatCache": file.read_bytes()})}
            with tempfile.NamedTemporaryFile() as made:
                made.write(make_hive.hive(make_hive.at(key, value)))
                made.flush()
                compare(name, hive, of_adit(Path(made.name)), totals)
        elif is_hive(file):
            try:
                hive = Hive(file)
            except Exception as error:  # regipy refuses damaged hives
                print(f"{name}: regipy: {error!r}"[:120])
                continue
            compare(name, hive, of_adit(file), totals)
    print(f"{totals['equal']} equal, {totals['differ']} differ")
    return 1 if totals["differ"] else 0


if __name__ == "__main__":
    sys.exit(main())
