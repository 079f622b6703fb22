"""Writes registry hives: a base block and one bin, format 1.3 (no segmented data).

    hive({"Name": Key(values={"Value": (kind, bytes)}, keys={...}, when=FILETIME)}) -> bytes

For the samples of the tests and for values that are kept outside a hive.  Run as a
program it writes the samples of testdata/parse/registry that hold several artifacts:

    python3 tests/compare/make_hive.py FOLDER
"""
from __future__ import annotations

import struct
import sys
from dataclasses import dataclass, field
from pathlib import Path

NO_CELL = 0xFFFFFFFF


@dataclass
class Key:
    values: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    keys: dict[str, "Key"] = field(default_factory=dict)
    when: int = 0
    deleted: bool = False  # its cells are free and its parent does not list it


def text(value: str, kind: int = 1) -> tuple[int, bytes]:
    return kind, (value + "\0").encode("utf-16-le")


def number(value: int) -> tuple[int, bytes]:
    return 4, struct.pack("<I", value)


def binary(value: bytes) -> tuple[int, bytes]:
    return 3, value


class Bin:
    def __init__(self) -> None:
        self.cells = bytearray(32)

    def cell(self, body: bytes) -> int:
        at = len(self.cells)
        size = (len(body) + 4 + 7) & ~7
        self.cells += struct.pack("<i", -size) + body.ljust(size - 4, b"\0")
        return at

    def free(self, start: int) -> None:
        """Marks the cells from there on as free."""
        while start < len(self.cells):
            size = -struct.unpack_from("<i", self.cells, start)[0]
            struct.pack_into("<i", self.cells, start, size)
            start += size

    def value(self, name: str, kind: int, data: bytes) -> int:
        raw, latin = encoded(name)
        if len(data) <= 4:
            length, where = len(data) | 1 << 31, int.from_bytes(data.ljust(4, b"\0"), "little")
        else:
            length, where = len(data), self.cell(data)
        return self.cell(b"vk" + struct.pack("<HIIIHH", len(raw), length, where, kind, latin, 0) + raw)

    def key(self, name: str, key: Key, parent: int, security: int, root: bool = False) -> int:
        raw, latin = encoded(name)
        values = [self.value(n, *v) for n, v in key.values.items()]
        value_list = self.cell(struct.pack(f"<{len(values)}I", *values)) if values else NO_CELL
        at = self.cell(b"nk".ljust(76, b"\0") + raw)
        if root:  # comes first, as Windows has it; then the one security record
            security = len(self.cells)
            self.cell(b"sk" + struct.pack("<HIIII", 0, security, security, 1, 20) + b"\1\0\4\x80".ljust(20, b"\0"))
        children = []
        for child_name, child in sorted(key.keys.items(), key=lambda kv: kv[0].upper()):
            start = len(self.cells)
            where = self.key(child_name, child, at, security)
            if child.deleted:
                self.free(start)
            else:
                children.append((child_name, where))
        body = b"".join(struct.pack("<II", child, name_hash(n)) for n, child in children)
        subkeys = self.cell(b"lh" + struct.pack("<H", len(children)) + body) if children else NO_CELL
        flags = (0x2C if root else 0) | (0x20 if latin else 0)
        head = b"nk" + struct.pack("<HQIIIIIIIIII4I I HH", flags, key.when, 0, parent, len(children), 0, subkeys, NO_CELL, len(values), value_list,
                                   security, NO_CELL, 0, 0, 0, 0, 0, len(raw), 0)
        self.cells[at + 4:at + 4 + len(head)] = head
        return at


def encoded(name: str) -> tuple[bytes, int]:
    try:
        return name.encode("latin-1"), 1
    except UnicodeEncodeError:
        return name.encode("utf-16-le"), 0


def name_hash(name: str) -> int:
    total = 0
    for c in name.upper():
        total = (total * 37 + ord(c)) & 0xFFFFFFFF
    return total


def hive(keys: dict[str, Key]) -> bytes:
    out = Bin()
    root = out.key("ROOT", Key(keys=keys, when=133_500_000_000_000_000), NO_CELL, NO_CELL, root=True)
    size = (len(out.cells) + 8 + 4095) & ~4095
    free = size - len(out.cells)
    cells = bytes(out.cells) + struct.pack("<i", free).ljust(free, b"\0")
    cells = b"hbin" + struct.pack("<IIIIII", 0, size, 0, 0, 0, 0).ljust(28, b"\0") + cells[32:]
    base = bytearray(4096)
    struct.pack_into("<4sIIQIIIIIII", base, 0, b"regf", 1, 1, 133_500_000_000_000_000, 1, 3, 0, 1, root, size, 1)
    total = 0
    for (word,) in struct.iter_unpack("<I", base[:508]):
        total ^= word
    struct.pack_into("<I", base, 508, total)
    return bytes(base) + cells


def at(path: str, key: Key) -> dict[str, Key]:
    """The key at a path, as the tree that leads to it."""
    names = path.split("\\")
    for name in reversed(names[1:]):
        key = Key(keys={name: key}, when=key.when)
    return {names[0]: key}


def merged(*trees: dict[str, Key]) -> dict[str, Key]:
    out: dict[str, Key] = {}
    for tree in trees:
        for name, key in tree.items():
            if name in out:
                old = out[name]
                out[name] = Key({**old.values, **key.values}, merged(old.keys, key.keys), max(old.when, key.when), old.deleted)
            else:
                out[name] = key
    return out


# --- samples ---------------------------------------------------------------

SECOND = 10_000_000
MARCH = 133_552_296_000_000_000  # 2024-03-18T10:00:00Z


def filetime(seconds: int) -> bytes:
    return struct.pack("<Q", MARCH + seconds * SECOND)


def shim10(*entries: tuple[str, int]) -> bytes:
    out = struct.pack("<I", 0x34).ljust(0x34, b"\0")
    for path, when in entries:
        raw = path.encode("utf-16-le")
        body = struct.pack("<H", len(raw)) + raw + struct.pack("<QI", when, 0)
        out += b"10ts" + struct.pack("<II", 0, len(body)) + body
    return out


def system() -> bytes:
    control_set = "ControlSet001"
    sid = "S-1-5-21-1-2-3-1001"
    policy = rf"{control_set}\Services\SharedAccess\Parameters\FirewallPolicy"
    moderator = rf"{control_set}\Services\bam\State\UserSettings"
    return hive(merged(
        at("Select", Key({"Current": number(1)}, when=MARCH)),
        at(rf"{moderator}\{sid}", Key({
            r"\Device\HarddiskVolume3\Users\jane\ngrok.exe": binary(filetime(1) + bytes(16)),
            "Microsoft.Windows.Cortana_cw5n1h2txyewy": binary(filetime(2) + bytes(16)),
            "Never": binary(bytes(24)), "Version": number(1), "SequenceNumber": number(7)}, when=MARCH)),
        at(rf"{moderator}\S-1-5-18", Key({r"\Device\HarddiskVolume3\gone.exe": binary(filetime(3) + bytes(16))}, when=MARCH, deleted=True)),
        at(rf"{control_set}\Control\Session Manager\AppCompatCache", Key({"AppCompatCache": binary(shim10(
            (r"C:\Users\jane\ngrok.exe", MARCH), ("00000009\t0003000800000000\t000a00003ad70000\t8664\tngrok.ngrok\t1g87z0zv29zzc\t", 0)))}, when=MARCH)),
        at(rf"{control_set}\Control\Session Manager\Environment", Key({"ComSpec": text(r"%SystemRoot%\system32\cmd.exe", 2)}, when=MARCH)),
        at(rf"{control_set}\Control\Session Manager\Memory Management\PrefetchParameters", Key({"EnablePrefetcher": number(0)}, when=MARCH)),
        at(rf"{control_set}\Control\Terminal Server", Key({"fDenyTSConnections": number(0), "ProductVersion": text("5.1")}, when=MARCH)),
        at(rf"{control_set}\Control\Terminal Server\WinStations\RDP-Tcp", Key({"PortNumber": number(3390)}, when=MARCH)),
        at(rf"{control_set}\Services\PortProxy\v4tov4\tcp", Key({"0.0.0.0/8080": text("10.0.0.5/3389"), "*/81": text("inner.example/80")}, when=MARCH)),
        at(rf"{policy}\FirewallRules", Key({"{1}": text(r"v2.30|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=80|LPort=443|App=C:\ngrok\ngrok.exe|Name=ngrok|")}, when=MARCH)),
        at(rf"{policy}\StandardProfile\AuthorizedApplications\List", Key({r"C:\old\ngrok.exe": text(r"C:\old\ngrok.exe:*:Enabled:ngrok")}, when=MARCH)),
        at(rf"{policy}\StandardProfile\GloballyOpenPorts\List", Key({"3389:TCP": text("3389:TCP:*:Enabled:Remote Desktop")}, when=MARCH)),
    ))


def software() -> bytes:
    version, cache = r"Microsoft\Windows\CurrentVersion", r"Microsoft\Windows NT\CurrentVersion\Schedule\TaskCache"

    def string(value: str) -> bytes:
        raw = value.encode("utf-16-le")
        return struct.pack("<I", len(raw)) + raw

    def task(path: str, command: str, arguments: str) -> Key:
        actions = struct.pack("<H", 3) + string("Author") + struct.pack("<H", 0x6666) + string("") + string(command) + string(arguments) + string("") + b"\0\0"
        info = struct.pack("<I", 3) + filetime(0) + filetime(60) + struct.pack("<II", 0, 0) + filetime(90)
        return Key({"Path": text(path), "Author": text(r"HOST\jane"), "Actions": binary(actions), "DynamicInfo": binary(info)}, when=MARCH)

    def leaf(ident: str, index: int = 3, secured: bool = True) -> Key:
        values = {"Id": text(ident), "Index": number(index)}
        return Key({**values, "SD": binary(b"\1\0\4\x80")} if secured else values, when=MARCH)

    local = struct.pack("<8H", 2024, 3, 1, 18, 11, 30, 5, 0)
    return hive(merged(
        at(rf"{version}\Uninstall\ngrok", Key({"DisplayName": text("ngrok"), "Publisher": text("ngrok, Inc."), "DisplayVersion": text("3.8.0"),
                                               "DisplayIcon": text(r'"C:\Program Files\ngrok\ngrok.exe",0'), "InstallDate": text("20240318")}, when=MARCH)),
        at(rf"Wow6432Node\{version}\Uninstall\Empty", Key({"NoRemove": number(1)}, when=MARCH)),
        at(rf"{version}\Appx\AppxAllUserStore\Applications\ngrok.ngrok_3.10.0.0_x64__1g87z0zv29zzc",
           Key({"Path": text(r"C:\Program Files\WindowsApps\ngrok.ngrok_3.10.0.0_x64__1g87z0zv29zzc\AppxManifest.xml")}, when=MARCH)),
        at(rf"{version}\Appx\AppxAllUserStore\S-1-5-21-1-2-3-1001\ngrok.ngrok_3.10.0.0_x64__1g87z0zv29zzc", Key(when=MARCH)),
        at(rf"{version}\App Paths\ngrok.exe", Key({"": text(r"C:\ngrok\ngrok.exe")}, when=MARCH)),
        at(rf"{cache}\Tree\Shown", leaf("{A}")), at(rf"{cache}\Tree\Folder\Unsecured", leaf("{B}", secured=False)),
        at(rf"{cache}\Tree\Zero", leaf("{C}", index=0)), at(rf"{cache}\Tree\Lost", leaf("{E}")),
        at(rf"{cache}\Tasks\{{A}}", task(r"\Shown", "ngrok.exe", "tcp 3389")), at(rf"{cache}\Tasks\{{B}}", task(r"\Folder\Unsecured", "ngrok.exe", "")),
        at(rf"{cache}\Tasks\{{C}}", task(r"\Zero", "ngrok.exe", "")), at(rf"{cache}\Tasks\{{D}}", task(r"\Unlisted", "ngrok.exe", "")),
        at(r"Microsoft\Windows Defender\Exclusions\Paths", Key({r"C:\ngrok": number(0)}, when=MARCH)),
        at(r"Microsoft\Windows NT\CurrentVersion\Image File Execution Options\sethc.exe", Key({"Debugger": text(r"C:\ngrok\ngrok.exe start --all")}, when=MARCH)),
        at(r"Microsoft\Windows NT\CurrentVersion\NetworkList\Profiles\{1}", Key({"ProfileName": text("Hamachi"), "DateCreated": binary(local)}, when=MARCH)),
    ))


def user() -> bytes:
    explorer = r"Software\Microsoft\Windows\CurrentVersion\Explorer"
    count = rf"{explorer}\UserAssist\{{CEBFF5CD-ACE2-4F4F-9178-9926F41749EA}}\Count"
    new = struct.pack("<4I", 0, 4, 5, 6000) + bytes(44) + filetime(5) + bytes(4)
    old = struct.pack("<II", 1, 8) + filetime(6)
    return hive(merged(
        at(explorer, Key({"Logon User Name": text("jane")}, when=MARCH)),
        at(count, Key({r"P:\Hfref\wnar\atebx.rkr": binary(new), "{1NP14R77-02R7-4R5Q-O744-2RO1NR5198O7}\\pzq.rkr": binary(new), "HRZR_PGYFRFFVBA": binary(bytes(8)),
                       "HRZR_EHACNGU:P:\\atebx.rkr": binary(old)}, when=MARCH)),
        at(rf"{explorer}\FeatureUsage\AppSwitched", Key({r"{6D809377-6AF0-444B-8957-A3773F02200E}\ngrok\ngrok.exe": number(3)}, when=MARCH)),
        at(r"Software\Microsoft\Windows\CurrentVersion\Search\RecentApps\{1}",
           Key({"AppId": text(r"C:\ngrok\ngrok.exe"), "LaunchCount": number(2), "LastAccessedTime": (11, filetime(7))}, when=MARCH)),
        at(r"Software\Microsoft\Windows NT\CurrentVersion\AppCompatFlags\Layers", Key({r"C:\ngrok\ngrok.exe": text("~ RUNASADMIN")}, when=MARCH)),
        at(rf"{explorer}\RunMRU", Key({"a": text("ngrok http 80\\1"), "b": text("cmd\\1"), "MRUList": text("ba")}, when=MARCH)),
        at(rf"{explorer}\TypedPaths", Key({"url1": text(r"C:\ngrok")}, when=MARCH)),
        at(rf"{explorer}\WordWheelQuery", Key({"0": binary("ngrok\0".encode("utf-16-le")), "MRUListEx": binary(struct.pack("<iI", 0, 0xFFFFFFFF))}, when=MARCH)),
        at(rf"{explorer}\RecentDocs\.yml", Key({"0": binary("ngrok.yml\0".encode("utf-16-le") + bytes(8)), "MRUListEx": binary(struct.pack("<iI", 0, 0xFFFFFFFF))}, when=MARCH)),
        at(r"Software\Microsoft\Internet Explorer\TypedURLs", Key({"url1": text("https://ngrok.com/download")}, when=MARCH)),
        at(r"Software\Microsoft\Internet Explorer\TypedURLsTime", Key({"url1": binary(filetime(8))}, when=MARCH)),
        at(r"Software\Microsoft\Terminal Server Client\Servers\0.tcp.ngrok.io:12345", Key({"UsernameHint": text(r"HOST\admin")}, when=MARCH)),
        at(r"Software\Microsoft\Terminal Server Client\Default", Key({"MRU0": text("10.0.0.5"), "MRU1": text("srv:3390")}, when=MARCH)),
        at(r"Software\SimonTatham\PuTTY\SshHostKeys", Key({"ssh-ed25519@443:tunnel.us.ngrok.com": text("0x1,0x2")}, when=MARCH)),
        at(r"Software\SimonTatham\PuTTY\Sessions\a%20b", Key({"HostName": text("root@vps.example"), "PortNumber": number(22), "PortForwardings": text("R3389=localhost:3389")}, when=MARCH)),
        at(r"Software\Microsoft\Windows\CurrentVersion\Internet Settings", Key({"ProxyServer": text("http=127.0.0.1:8080"), "ProxyEnable": number(1)}, when=MARCH)),
        at(rf"{explorer}\StartupApproved\Run", Key({"ngrok": binary(struct.pack("<I", 3) + filetime(9)), "OneDrive": binary(struct.pack("<I", 2) + bytes(8))}, when=MARCH)),
        at("Environment", Key({"NGROK_REGION": text("eu")}, when=MARCH)),
    ))


def classes() -> bytes:
    bags = r"Local Settings\Software\Microsoft\Windows\Shell\BagMRU"
    computer = struct.pack("<HBB", 20, 0x1F, 0x50) + bytes.fromhex("E04FD020EA3A6910A2D808002B30309D") + b"\0\0"
    drive = struct.pack("<HB", 25, 0x2F) + b"C:\\".ljust(22, b"\0") + b"\0\0"
    long_name = "ngrok-v3\0".encode("utf-16-le")
    extension = struct.pack("<HHIIIH", 46 + len(long_name) + 2, 9, 0xBEEF0004, 0, 0, 0).ljust(36, b"\0") + bytes(10) + long_name + struct.pack("<H", 0x1C)
    folder = (struct.pack("<HBBI", 28 + len(extension), 0x31, 0, 0).ljust(14, b"\0") + b"NGROK-~1\0\0\0\0\0\0")[:28] + extension + b"\0\0"
    return hive(merged(
        at(r"Local Settings\Software\Microsoft\Windows\Shell\MuiCache", Key({
            r"C:\x\svchost_.exe.FriendlyAppName": text("ngrok agent"), r"C:\x\svchost_.exe.ApplicationCompany": text("ngrok, Inc."),
            "LangID": binary(b"\x09\x04"), "@shell32.dll,-1": text("text")}, when=MARCH)),
        at(r"Local Settings\Software\Microsoft\Windows\CurrentVersion\AppModel\Repository\Packages\ngrok.ngrok_3.10.0.0_x64__1g87z0zv29zzc", Key({
            "DisplayName": text("ngrok"), "PackageRootFolder": text(r"C:\Program Files\WindowsApps\ngrok.ngrok_3.10.0.0_x64__1g87z0zv29zzc")}, when=MARCH)),
        at(bags, Key({"0": binary(computer)}, when=MARCH)), at(rf"{bags}\0", Key({"0": binary(drive)}, when=MARCH)),
        at(rf"{bags}\0\0", Key({"0": binary(folder)}, when=MARCH)), at(rf"{bags}\0\0\0", Key(when=MARCH)),
    ))


def amcache() -> bytes:
    sha1 = "0000" + "ab" * 20
    file = {"LowerCaseLongPath": text(r"c:\ngrok\ngrok.exe"), "FileId": text(sha1), "ProductName": text("ngrok agent"), "Publisher": text("ngrok, inc."), "Size": number(25_000_000)}
    return hive(merged(
        at(r"Root\InventoryApplicationFile\ngrok.exe|1", Key(file, when=MARCH)),
        at(r"Root\InventoryApplicationFile\large.exe|2", Key({**file, "Size": number(31_457_281)}, when=MARCH)),
        at(r"Root\InventoryApplication\0006", Key({"Name": text("ngrok"), "Publisher": text("ngrok, Inc."), "RootDirPath": text(r"C:\ngrok")}, when=MARCH)),
        at(r"Root\InventoryApplicationShortcut\1", Key({"ShortcutPath": text(r"C:\x\ngrok.lnk"), "ShortcutTargetPath": text(r"C:\ngrok\ngrok.exe")}, when=MARCH)),
        at(r"Root\InventoryDriverBinary\c:/windows/system32/drivers/wintun.sys", Key({"DriverName": text("wintun.sys"), "DriverId": text(sha1)}, when=MARCH)),
        at(r"Root\File\{v}\10000a1b2", Key({"15": text(r"C:\ngrok\ngrok.exe"), "101": text(sha1), "0": text("ngrok agent"), "17": (11, filetime(10)), "f": number(1_700_000_000)}, when=MARCH)),
        at(r"Root\Programs\0006", Key({"0": text("ngrok"), "2": text("ngrok, Inc."), "a": number(1_710_756_000), "d": (7, "C:\\ngrok\0C:\\x\0\0".encode("utf-16-le"))}, when=MARCH)),
    ))


def main() -> None:
    folder = Path(sys.argv[1])
    samples = {"artifacts-SYSTEM": system, "artifacts-SOFTWARE": software, "artifacts-NTUSER.DAT": user, "artifacts-UsrClass.dat": classes, "artifacts-Amcache.hve": amcache}
    for name, made in samples.items():
        (folder / name).write_bytes(made())


if __name__ == "__main__":
    main()
