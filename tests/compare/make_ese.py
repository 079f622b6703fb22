#!/usr/bin/env python3
"""Makes the databases of the tests that no real sample stands for: a WebCache and a BITS queue.

    python3 tests/compare/make_ese.py FOLDER [PAGE-SIZE]

Writes FOLDER/WebCacheV01.dat and FOLDER/qmgr.db, whole and closed, as esedbexport and
dissect.database read them. Only what these need: a catalog, tables of one leaf or of a root
with leaves, no indexes. Pages of 16 KiB and more are of the larger layout, with long values beside
their record. Prints nothing.
"""

import struct
import sys
from pathlib import Path

BIT, LONG, CURRENCY, LONGBINARY, LONGTEXT, GUID, UNSIGNED = 1, 4, 5, 11, 12, 16, 14
FIXED = {BIT: 1, LONG: 4, UNSIGNED: 4, CURRENCY: 8, GUID: 16}
ROOT, LEAF, PARENT, LONGVALUES = 1, 2, 4, 0x80
CATALOG, SHADOW = 4, 24
DELETED = 2
NEW = 0x0800


def utf16(text):
    return (text + "\0").encode("utf-16le")


def filetime(day, clock="00:00:00"):
    from datetime import datetime
    at = datetime.fromisoformat(f"{day}T{clock}") - datetime(1601, 1, 1)
    return (at.days * 86400 + at.seconds) * 10_000_000


class Base:
    def __init__(self, size):
        self.size, self.large = size, size >= 16 << 10
        self.revision = 0x11 if self.large else 0x0C
        self.head = 80 if self.large else 40
        self.pages, self.next, self.objects = {}, 4, 10
        self.catalog = []

    def number(self):
        self.next += 2 if self.next + 1 == SHADOW else 1
        return self.next

    def page(self, number, objid, flags, nodes, first=b"", before=0, after=0):
        """Nodes are key, data and flags; `first` is what the first tag holds."""
        raw, tags, at = bytearray(self.size), [], 0
        for index, (key, data, own) in enumerate([(None, first, 0), *nodes]):
            value = data if key is None else struct.pack("<H", len(key)) + key + data
            if self.large and key is not None:
                value = struct.pack("<H", len(key) | own << 13) + value[2:]
            raw[self.head + at:self.head + at + len(value)] = value
            tags.append((len(value), at | (0 if self.large else own << 13)))
            at += len(value)
        assert self.head + at + 4 * len(tags) <= self.size, "does not fit"
        for index, tag in enumerate(tags):
            struct.pack_into("<HH", raw, self.size - 4 * (index + 1), *tag)
        free = self.size - self.head - at - 4 * len(tags)
        struct.pack_into("<IIQIIIHHHHI", raw, 0, 0, number, 1, before, after, objid, free, 0, at,
                         len(tags), flags | NEW)
        self.pages[number] = raw

    def tree(self, objid, nodes, flags=0, kind=0):
        """One leaf, or a root and two leaves where the nodes are too many; its root."""
        root = self.number()
        first = struct.pack("<IIII", 1, 1, 0, 0)
        room = self.size - self.head - 64
        if sum(len(key) + len(data) + 6 for key, data, _ in nodes) <= room:
            self.page(root, objid, ROOT | LEAF | kind, nodes, first)
            return root
        leaves, used = [[]], 0
        for node in nodes:
            size = len(node[0]) + len(node[1]) + 6
            if used + size > room:
                leaves.append([])
                used = 0
            leaves[-1].append(node)
            used += size
        numbers = [self.number() for _ in leaves]
        for index, (own, leaf) in enumerate(zip(numbers, leaves)):
            before = numbers[index - 1] if index else 0
            after = numbers[index + 1] if index + 1 < len(numbers) else 0
            self.page(own, objid, LEAF | kind, leaf, b"", before, after)
        ways = [(b"" if own == numbers[-1] else leaves[i + 1][0][0], struct.pack("<I", own), 0)
                for i, own in enumerate(numbers)]
        self.page(root, objid, ROOT | PARENT | kind, ways, first)
        return root

    def record(self, columns, values, separate):
        """Fixed columns in order, then tagged ones; `separate` gives the number of a value."""
        fixed = [c for c in columns if c[1] in FIXED]
        body, empty = b"", 0
        for index, (name, kind) in enumerate(fixed):
            value = values.get(name)
            empty |= (value is None) << index
            value = value if isinstance(value, bytes) else struct.pack(
                {1: "<B", 4: "<i", 8: "<q", 16: "16x"}[FIXED[kind]], *([] if kind == GUID else [value or 0]))
            body += value
        bits = (len(fixed) + 7) // 8
        body += empty.to_bytes(bits, "little")
        tagged = []
        for number, (name, kind) in enumerate((c for c in columns if c[1] not in FIXED), 256):
            value = values.get(name)
            if value is None:
                continue
            value = utf16(value) if isinstance(value, str) else value
            flags = 1
            # esedbexport does not find values beside their record here; dissect.database does.
            if self.large and len(value) > 1000:
                flags, value = 5, struct.pack("<I", separate(value))
            tagged.append((number, bytes([flags]) + value))
        index, data, at = b"", b"", 4 * len(tagged)
        for number, value in tagged:
            index += struct.pack("<HH", number, at + len(data) | (0 if self.large else 0x4000))
            data += value
        return struct.pack("<BBH", len(fixed), 127, 4 + len(body)) + body + index + data

    def table(self, name, columns, rows, deleted=()):
        objid = self.objects
        self.objects += 2
        values = []

        def separate(value):
            values.append(value)
            return len(values)

        nodes = [(struct.pack(">BI", 0x7F, index + 0x80000000), self.record(columns, row, separate),
                  DELETED if index in deleted else 0) for index, row in enumerate(rows)]
        self.entry(objid, 1, objid, name, self.tree(objid, nodes), 80)
        offset, numbers = 4, {True: 1, False: 256}
        for column, kind in columns:
            is_fixed = kind in FIXED
            self.entry(objid, 2, numbers[is_fixed], column, kind, FIXED.get(kind, 0),
                       1200 if kind == LONGTEXT else 0, offset if is_fixed else 0)
            numbers[is_fixed] += 1
            offset += FIXED.get(kind, 0)
        if values:
            long = []
            for number, value in enumerate(values, 1):
                key = struct.pack(">I", number)
                long.append((key, struct.pack("<II", 1, len(value)), 0))
                step = self.size // 4
                for at in range(0, len(value), step):
                    long.append((key + struct.pack(">I", at), value[at:at + step], 0))
            root = self.tree(objid + 1, long, kind=LONGVALUES)
            self.entry(objid, 4, objid + 1, "LV", root, 80)

    def entry(self, table, kind, number, name, what, space, pages=0, offset=0):
        name = name.encode()
        key = struct.pack(">BIBHBI", 0x7F, table | 1 << 31, 0x7F, kind | 1 << 15, 0x7F,
                          number | 1 << 31)
        fixed = struct.pack("<IHIIIIIBHI", table, kind, number, what, space, 0, pages, 0, offset, 0)
        fixed += b"\0\0" if kind != 2 else b"\0\2"
        record = struct.pack("<BBH", 10, 128, 4 + len(fixed)) + fixed
        self.catalog.append((key, record + struct.pack("<H", len(name)) + name, 0))

    def write(self, path):
        first = struct.pack("<IIII", 1, 1, 0, 0)
        self.catalog.sort()
        room = self.size - self.head - 64
        leaves, used = [[]], 0
        for node in self.catalog:
            size = len(node[0]) + len(node[1]) + 6
            if used + size > room:
                leaves.append([])
                used = 0
            leaves[-1].append(node)
            used += size
        numbers = [self.number() for _ in leaves]
        for index, (own, leaf) in enumerate(zip(numbers, leaves)):
            before = numbers[index - 1] if index else 0
            after = numbers[index + 1] if index + 1 < len(numbers) else 0
            self.page(own, 2, LEAF, leaf, b"", before, after)
        ways = [(b"" if own == numbers[-1] else leaves[i + 1][0][0], struct.pack("<I", own), 0)
                for i, own in enumerate(numbers)]
        self.page(CATALOG, 2, ROOT | PARENT, ways, first)
        # libesedb wants the second catalog where the engine has it.
        self.page(SHADOW, 3, ROOT | PARENT, ways, first)
        header = bytearray(self.size)
        struct.pack_into("<III", header, 4, 0x89ABCDEF, 0x620, 0)
        struct.pack_into("<I", header, 52, 3)
        struct.pack_into("<II", header, 232, self.revision, self.size)
        struct.pack_into("<I", header, 0, xor(header, 4))
        out = bytes(header) * 2
        for number in range(1, max(self.pages) + 1):
            if number not in self.pages:
                self.page(number, 1, ROOT | LEAF, [], first)
            page = self.pages[number]
            struct.pack_into("<I", page, 0, xor(page, 4))
            out += bytes(page)
        path.write_bytes(out)


def xor(raw, start):
    total = 0x89ABCDEF
    for (word,) in struct.iter_unpack("<I", raw[start:]):
        total ^= word
    return total


CONTAINERS = [("ContainerId", CURRENCY), ("SetId", UNSIGNED), ("LastAccessTime", CURRENCY),
              ("Name", LONGTEXT), ("PartitionId", LONGTEXT), ("Directory", LONGTEXT)]
ENTRIES = [("EntryId", CURRENCY), ("ContainerId", CURRENCY), ("CacheId", CURRENCY),
           ("UrlHash", CURRENCY), ("SecureDirectory", UNSIGNED), ("FileSize", CURRENCY),
           ("Type", UNSIGNED), ("Flags", UNSIGNED), ("AccessCount", UNSIGNED),
           ("SyncTime", CURRENCY), ("CreationTime", CURRENCY), ("ExpiryTime", CURRENCY),
           ("ModifiedTime", CURRENCY), ("AccessedTime", CURRENCY), ("PostCheckTime", CURRENCY),
           ("SyncCount", UNSIGNED), ("ExemptionDelta", UNSIGNED), ("Url", LONGTEXT),
           ("Filename", LONGTEXT), ("FileExtension", LONGTEXT), ("RequestHeaders", LONGBINARY),
           ("ResponseHeaders", LONGBINARY), ("RedirectUrl", LONGTEXT), ("Group", LONGBINARY),
           ("ExtraData", LONGBINARY)]
COOKIES = [("EntryId", CURRENCY), ("ContainerId", CURRENCY), ("Flags", UNSIGNED),
           ("Expires", CURRENCY), ("LastModified", CURRENCY), ("CookieHash", LONGBINARY),
           ("RDomain", LONGBINARY), ("Name", LONGBINARY), ("Value", LONGBINARY)]
PARTITIONS = [("PartitionId", LONGTEXT), ("PartitionType", UNSIGNED), ("Directory", LONGTEXT),
              ("TableId", CURRENCY), ("LastScavengeTime", CURRENCY)]
HOME = "C:\\Users\\jane\\AppData\\Local\\"
DAY = "2024-03-18"


def properties(title):
    text = utf16(title)
    data = struct.pack("<HBB", 12, 0x14, 3) + struct.pack("<II", 1, 0)
    data += struct.pack("<HBB", 4 + len(text), 0x10, 0x1F) + text + b"\0\0"
    return struct.pack("<HHIII", 16, 2, 0x10000000, 0, 1) + data


def download(*texts, padding=0):
    return bytes([3, 0] * 160) + b"\1\0" * padding + b"\0\0" + b"".join(map(utf16, texts))


def visit(url, clock, number, title="", local=0, count=1):
    at = filetime(DAY, clock)
    return {"EntryId": number, "Url": url, "AccessedTime": at, "SyncTime": at,
            "ModifiedTime": at + local * 36_000_000_000, "AccessCount": count,
            "ExpiryTime": at + 26 * 864_000_000_000,
            "ResponseHeaders": properties(title) if title else None}


def web_cache(path, size):
    base = Base(size)
    ie = HOME + "Microsoft\\Windows\\"
    edge = HOME + "Packages\\Microsoft.MicrosoftEdge_8wekyb3d8bbwe\\AC\\#!001\\MicrosoftEdge\\"
    names = [("History", ie + "History\\History.IE5\\"),
             ("MSHist012024031820240319", ie + "History\\History.IE5\\MSHist012024031820240319\\"),
             ("MSHist012024031120240318", ie + "History\\History.IE5\\MSHist012024031120240318\\"),
             ("Content", ie + "INetCache\\IE\\"), ("iedownload", ie + "IEDownloadHistory\\"),
             ("Cookies", ie + "INetCookies\\"), ("iecompat", ie + "IECompatCache\\"),
             ("History", edge + "History\\")]
    base.table("Containers", CONTAINERS, [
        {"ContainerId": n, "SetId": 0, "LastAccessTime": filetime(DAY), "Name": name,
         "PartitionId": "L" if n == 8 else "M", "Directory": folder}
        for n, (name, folder) in enumerate(names, 1)])
    page = "https://dashboard.ngrok.com/get-started/setup/windows"
    zipped = "https://bin.equinox.io/c/bNyj1mQVY4c/ngrok-v3-stable-windows-amd64.zip"
    base.table("Container_1", ENTRIES, [
        visit(f"Visited: jane@{page}", "09:01:02", 1, "ngrok - Setup", count=3),
        visit("Visited: jane@file:///C:/Users/jane/Downloads/ngrok%20v3.zip", "09:06:00", 2),
        visit("Visited: jane@https://www.example.com/", "08:00:00", 3, "Example")], deleted=[2])
    base.table("Container_2", ENTRIES, [
        visit(f":2024031820240319: jane@{page}", "09:01:02", 1, local=1),
        visit(":2024031820240319: jane@:Host: dashboard.ngrok.com", "09:01:02", 2, local=1)])
    base.table("Container_3", ENTRIES, [
        {"EntryId": 7, "Url": ":2024031120240318: jane@https://ngrok.com/download",
         "AccessedTime": filetime(DAY, "07:00:00"), "ModifiedTime": filetime("2024-03-15", "17:30:00"),
         "SyncTime": filetime(DAY, "07:00:00"), "AccessCount": 1}])
    headers = b"HTTP/1.1 200 OK\r\nContent-Type: application/zip\r\nContent-Length: 9000000\r\n\r\n"
    base.table("Container_4", ENTRIES, [
        {"EntryId": 40, "Url": zipped, "Filename": "ngrok-v3-stable-windows-amd64[1].zip",
         "FileSize": 9000000, "AccessCount": 1, "SecureDirectory": 2,
         "AccessedTime": filetime(DAY, "09:05:00"), "CreationTime": filetime(DAY, "09:05:00"),
         "SyncTime": filetime(DAY, "09:05:00"), "ModifiedTime": filetime("2024-02-01"),
         "ExpiryTime": (1 << 63) - 1, "ResponseHeaders": headers, "FileExtension": "zip"}])
    at = filetime(DAY, "09:05:30")
    base.table("Container_5", ENTRIES, [
        {"EntryId": 1, "Url": "iedownload:{0B1C2D3E-0000-4000-8000-000000000001}", "AccessCount": 1,
         "AccessedTime": at, "SyncTime": at, "ModifiedTime": at,
         "ResponseHeaders": download("https://ngrok.com/download", "application/zip",
                                     HOME + "Temp\\ngrok.zip.abc.partial", zipped,
                                     "C:\\Users\\jane\\Downloads\\ngrok.zip", padding=300)}])
    base.table("Container_6", ENTRIES, [
        {"EntryId": 1, "Url": "Cookie:jane@ngrok.com/", "Filename": "ABCD1234.txt", "FileSize": 120,
         "AccessedTime": filetime(DAY, "09:01:02"), "CreationTime": filetime(DAY, "09:01:02"),
         "ModifiedTime": filetime(DAY, "09:01:02")}])
    base.table("Container_7", ENTRIES, [visit("iecompat:ngrok.com", "06:00:00", 1)])
    # So many that the table has a root and leaves.
    base.table("Container_8", ENTRIES, [
        visit(f"Visited: jane@https://www.example.org/page/{n}", f"10:{n % 60:02}:00", n)
        for n in range(1, 41)])
    base.table("CookieEntryEx_9", COOKIES, [
        {"EntryId": 5, "ContainerId": 9, "Flags": 0, "LastModified": filetime(DAY, "09:02:00"),
         "Expires": filetime("2025-03-18"), "RDomain": b"com.ngrok.dashboard\0",
         "Name": b"session\0", "Value": b"secret\0"}])
    base.table("PartitionsEx", PARTITIONS, [
        {"PartitionId": "M", "PartitionType": 0, "Directory": ie + "WebCache\\", "TableId": 1}])
    base.write(path)


MARK = bytes.fromhex("A15609E143AFC94292E66F9856EBA7F6")
OLD_FILE = bytes.fromhex("E4CF9E5146D99743B73E268513051AB2")
FILES = bytes.fromhex("36DA56776F515A43ACAC44A248FFF34D")


def counted(text):
    return struct.pack("<I", len(text) + 1 if text else 0) + (utf16(text) if text else b"")


def job(number, state, name, program, owner, files, day, process):
    times = [filetime(day, "09:05:00"), filetime(day, "09:06:30")]
    return (MARK + struct.pack("<IIII", 0, 2, state, 0) + number
            + b"".join(map(counted, (name, "", *program, owner)))
            + struct.pack("<I", 3) + bytes(60) + FILES + struct.pack("<I", len(files))
            + b"".join(files) + FILES + struct.pack("<IIII", 0, 0, 60, 86400)
            + struct.pack("<QQQ", *times, 0) + bytes(30) + counted(process) + bytes(8) + MARK)


def file(target, url, temporary, done, size):
    return (OLD_FILE + b"".join(map(counted, (target, url, temporary)))
            + struct.pack("<QQB", done, size, 0) + struct.pack("<I", 4)[:0] + counted("C:\\")
            + counted("\\\\?\\Volume{0}\\") + bytes(24) + OLD_FILE)


def queue(path, size):
    base = Base(size)
    ids = [bytes([n] * 15 + [index]) for index, n in enumerate((0x31, 0x41, 0x51, 0x61, 0x71))]
    owner = "S-1-5-21-1-2-3-1001"
    program = "C:\\Windows\\System32\\cmd.exe"
    jobs = [job(ids[0], 6, "tools", (program, "/c start C:\\Users\\Public\\n.exe"), owner,
                ids[1:3], DAY, "C:\\Windows\\System32\\bitsadmin.exe"),
            job(ids[4], 0, "waits", ("", ""), "S-1-5-18", [], DAY, "")]
    zipped = "https://bin.equinox.io/c/bNyj1mQVY4c/ngrok-v3-stable-windows-amd64.zip"
    files = [file("C:\\Users\\Public\\n.zip", zipped, "C:\\Users\\Public\\BIT1.tmp", 9000000, 9000000),
             file("C:\\Users\\Public\\n.yml", "http://198.51.100.7/n.yml", "C:\\Users\\Public\\BIT2.tmp",
                  0, (1 << 64) - 1)]
    columns = [("Id", GUID), ("Blob", LONGBINARY)]
    base.table("Jobs", columns, [{"Id": ids[0], "Blob": jobs[0]}, {"Id": ids[4], "Blob": jobs[1]}])
    base.table("Files", columns, [{"Id": own, "Blob": blob} for own, blob in zip(ids[1:3], files)])
    # What is left where no table leads to: a removed job in two states and its file, and a
    # former state of the first job.
    left = base.number()
    base.page(left, 999, LEAF, [])
    old = bytes([0x99] * 16)
    gone = [job(old, state, "gone", ("", ""), owner, [ids[3]], "2024-03-01",
                "C:\\Windows\\System32\\bitsadmin.exe") for state in (2, 6)]
    record = base.record(columns, {"Id": ids[3]}, None) + struct.pack("<HHB", 256, 4, 1)
    copy = file("C:\\Temp\\ngrok.exe", "https://dl.example.net/ngrok.exe", "C:\\Temp\\BIT9.tmp", 5, 5)
    former = job(ids[0], 0, "tools", ("", ""), owner, [], DAY, "")
    at = base.head
    for piece in (*gone, record + copy, former):
        base.pages[left][at:at + len(piece)] = piece
        at += len(piece) + 7
    assert at < size - 4
    base.write(path)


def main(folder, size="4096"):
    web_cache(Path(folder) / "WebCacheV01.dat", int(size))
    queue(Path(folder) / "qmgr.db", int(size))


main(*sys.argv[1:])
