#!/usr/bin/env python3
"""Compares what adit reads from the files of a running Linux system with what others read.

    system_files.py [--most N] [ROOT]

Of the files below ROOT (`/`): archives, programs, the packages' database and logs, unit
files for cron and desktops; then the processes that run. Needs dpkg-query, rpm, bsdtar,
python3-pefile, python3-pyelftools, python3-crontab, python3-xdg, python3-yaml (Debian) and

    cargo build --example records

Property lists, unit files of WinSW and settings of containers are seldom found: those of
testdata and some hundreds made at random stand for them. ADIT_RECORDS names another build
of `records`.
"""
import argparse
import configparser
import email.parser
import json
import os
import plistlib
import random
import re
import shlex
import subprocess
import sys
import tarfile
import tempfile
import xml.etree.ElementTree as ElementTree
import zipfile
from pathlib import Path
from xml.sax.saxutils import escape

import crontab
import pefile
import yaml
from elftools.elf.elffile import ELFFile

ROOT = Path(__file__).resolve().parents[2]
RECORDS = os.environ.get("ADIT_RECORDS", str(ROOT / "target/debug/examples/records"))
TESTDATA = ROOT / "testdata/parse"
SHOWN = 5


class Tally:
    """What was compared of one kind of file, and the first differences."""

    def __init__(self, what: str, tool: str):
        self.what, self.tool = what, tool
        self.files = self.items = self.differ = 0

    def same(self, file, ours, theirs) -> None:
        self.items += 1
        if ours != theirs:
            self.differ += 1
            if self.differ <= SHOWN:
                print(f"  {self.what} {file}\n    adit  {ours!r}\n    other {theirs!r}")

    def told(self) -> str:
        return f"| {self.what} | {self.tool} | {self.files} files, {self.items} values | {self.differ} |"


def records(parser: str, *files) -> list[dict]:
    done = subprocess.run([RECORDS, parser, *map(str, files)], capture_output=True, check=False)
    return [json.loads(line) for line in done.stdout.decode(errors="surrogateescape").split("\n") if line]


def walk(root: str, most: int, wanted) -> list[str]:
    found = []
    for folder, folders, names in os.walk(root):
        skipped = {"proc", "sys", "dev", "tmp", "work"} if folder == "/" else set()
        folders[:] = sorted(f for f in folders if f not in skipped)
        for name in sorted(names):
            path = os.path.join(folder, name)
            if wanted(path) and os.path.isfile(path) and not os.path.islink(path):
                found.append(path)
    return random.Random(1).sample(found, min(most, len(found)))


def tars(root: str, most: int) -> Tally:
    tally = Tally("tar: every file's name, size, time", "Python's tarfile")
    with tempfile.TemporaryDirectory() as tmp:
        plain = []
        for n, path in enumerate(walk(root, most, lambda p: p.endswith((".crate", ".tar", ".tar.gz", ".tgz", ".tar.xz")))):
            to = Path(tmp, f"{n}.tar")
            with to.open("wb") as out:
                unpack = {"xz": ["xz", "-dc"], "ar": ["cat"]}.get(path[-2:], ["gzip", "-dc"])
                subprocess.run([*unpack, path], stdout=out, check=False, stderr=subprocess.DEVNULL)
            plain.append(to)
        tree = Path(tmp, "tree", "a" * 90, "b" * 90, "ü")
        tree.mkdir(parents=True)
        for n in range(20):
            Path(tree, f"file {n}" + "x" * n * 7).write_bytes(b"y" * n * 100)
        for form in ("ustar", "pax", "gnutar"):
            to = Path(tmp, f"made-{form}.tar")
            subprocess.run(["bsdtar", "--format", form, "-cf", to, "-C", tmp, "tree"], check=form != "ustar", stderr=subprocess.DEVNULL)
            plain.append(to)
        for form in ("gnu", "oldgnu", "posix", "v7"):
            to = Path(tmp, f"gnu-{form}.tar")
            subprocess.run(["tar", f"--format={form}", "-cf", to, "-C", tmp, "tree"], check=False, stderr=subprocess.DEVNULL)
            plain.append(to)
        for path in plain:
            own = [(r["MemberName"], r["MemberSize"], r["times"][0][1]) for r in records("tar", path)]
            try:
                archive = tarfile.open(path)
            except tarfile.ReadError:
                continue
            with archive:
                theirs = [(m.name.encode("utf-8", "surrogateescape").decode(errors="replace"), m.size, str(int(m.mtime))) for m in archive if m.isreg()]
            tally.files += 1
            tally.same(path, len(own), len(theirs))
            for a, b in zip(own, theirs):
                tally.same(path, (a[0], a[1], a[2].split(".")[0]), b)
    return tally


def zips(root: str, most: int) -> Tally:
    tally = Tally("zip: every member's name, size, CRC, time", "Python's zipfile")
    for path in walk(root, most, lambda p: p.endswith((".zip", ".whl", ".jar", ".egg", ".nupkg", ".docx", ".xlsx"))):
        try:
            with zipfile.ZipFile(path) as archive:
                theirs = [(m.filename, m.file_size, f"{m.CRC:08x}", m.date_time) for m in archive.infolist()]
        except zipfile.BadZipFile:
            continue
        own = [(r["MemberName"], r["MemberSize"], r["MemberCrc"], r["times"]) for r in records("zip", path)]
        tally.files += 1
        tally.same(path, len(own), len(theirs))
        for a, b in zip(own, theirs):
            tally.same(path, a[:3], b[:3])
            # A zip archive stores two seconds as one; extra fields have finer times in UTC.
            if a[3] and a[3][0][1].startswith(f"{b[3][0]:04}-{b[3][1]:02}"):
                tally.same(path, a[3][0][1][:10], "{:04}-{:02}-{:02}".format(*b[3]))
    return tally


def programs(root: str, most: int) -> tuple[Tally, Tally]:
    unix, windows = Tally("ELF: machine", "pyelftools"), Tally("PE: machine, version resource", "pefile")
    machines = {"EM_X86_64": "x64", "EM_386": "x86", "EM_AARCH64": "arm64", "EM_ARM": "arm"}
    for path in walk(root, most, lambda p: "/bin/" in p or ".so" in p):
        with open(path, "rb") as f:
            if f.read(4) != b"\x7fELF":
                continue
            theirs = ELFFile(f).header["e_machine"]
        own = records("elf", path)
        unix.files += 1
        unix.same(path, own[0].get("Machine") if own else None, machines.get(theirs, theirs))
    kinds = {0x8664: "x64", 0x14C: "x86", 0xAA64: "arm64", 0x1C4: "arm", 0x1C0: "arm"}
    names = {"CompanyName": "Company", "ProductName": "Product", "FileDescription": "Description",
             "OriginalFilename": "OriginalFileName", "InternalName": "InternalName", "FileVersion": "FileVersion", "ProductVersion": "ProductVersion"}
    for path in walk(root, most, lambda p: p.endswith((".exe", ".dll", ".sys"))):
        try:
            program = pefile.PE(path, fast_load=True)
        except pefile.PEFormatError:
            continue
        program.parse_data_directories([pefile.DIRECTORY_ENTRY["IMAGE_DIRECTORY_ENTRY_RESOURCE"]])
        theirs = {}
        for info in getattr(program, "FileInfo", []):
            for table in (t for part in info for t in getattr(part, "StringTable", [])):
                for key, value in table.entries.items():
                    theirs.setdefault(key.decode(), value.decode().strip("\0 "))
        own = records("pe", path)
        windows.files += 1
        windows.same(path, own[0].get("Machine") if own else None, kinds.get(program.FILE_HEADER.Machine))
        for key, name in names.items():
            if own and theirs.get(key):
                windows.same(f"{path} {key}", own[0].get(name), theirs[key])
    return unix, windows


def packages(root: str, most: int) -> list[Tally]:
    database = Tally("dpkg's status: name, version, architecture, state", "dpkg-query")
    admin = Path(root, "var/lib/dpkg")
    if (admin / "status").exists():
        form = "${Package}\t${Version}\t${Architecture}\t${Status}\n"
        listed = subprocess.run(["dpkg-query", f"--admindir={admin}", "-W", "-f", form], capture_output=True, text=True, check=True)
        theirs = sorted(tuple(line.split("\t")) for line in listed.stdout.splitlines())
        own = sorted((r["Name"], r["Version"], r["Architecture"], r["Status"]) for r in records("package_database", admin / "status"))
        database.files = 1
        database.same(admin, len(own), len(theirs))
        for a, b in zip(own, theirs):
            database.same(admin, a, b)
    files = Tally("dpkg's lists: programs of packages", "dpkg -L")
    for path in walk(str(admin / "info"), most, lambda p: p.endswith(".list")):
        name = Path(path).name.removesuffix(".list")
        theirs = subprocess.run(["dpkg", f"--admindir={admin}", "-L", name], capture_output=True, text=True, check=False).stdout.splitlines()
        theirs = [p for p in theirs if p.startswith("/")]
        programs = [p for p in theirs if re.search(r"/(s?bin|games)/[^/]+$", p)]
        own = [r["Image"] for r in records("package_files", path)]
        files.files += 1
        files.same(path, [p for p in own if re.search(r"/(s?bin|games)/[^/]+$", p)], programs)
    log = Tally("dpkg.log: time, deed, package, version", "split by Python")
    for path in walk(str(Path(root, "var/log")), most, lambda p: re.search(r"/dpkg\.log(\.\d+)?$", p)):
        theirs = []
        for line in Path(path).read_text().splitlines():
            words = line.split()
            if words[2:4] == ["status", "installed"]:
                theirs.append((" ".join(words[:2]), "installed", words[4].split(":")[0], words[5]))
            elif len(words) == 6 and words[2] in ("install", "upgrade", "remove", "purge", "configure", "trigproc"):
                version = next(w for w in (words[5], words[4]) if w != "<none>") if words[5] != "<none>" or words[4] != "<none>" else ""
                theirs.append((" ".join(words[:2]), words[2], words[3].split(":")[0], version))
        own = [(r["times"][0][1], r["Action"], r["Name"], r["Version"]) for r in records("unix_package_log", path)]
        log.files += 1
        log.same(path, len(own), len(theirs))
        for a, b in zip(own, theirs):
            log.same(path, a, b)
    manifests = Tally("METADATA and package.json: name, version", "Python's email and json")
    for path in walk(root, most, lambda p: p.endswith(("dist-info/METADATA", "/package.json"))):
        try:
            if path.endswith("json"):
                told = json.loads(Path(path).read_text())
                theirs = (told.get("name"), told.get("version"))
            else:
                told = email.parser.Parser().parsestr(Path(path).read_text(errors="replace"), headersonly=True)
                theirs = (told["Name"], told["Version"])
        except ValueError:
            continue
        own = records("package_manifest", path)
        if not all(theirs) and not own:
            continue
        manifests.files += 1
        manifests.same(path, (own[0].get("Name"), own[0].get("Version")) if own else None, theirs)
    return [database, files, log, manifests, rpm()]


def rpm() -> Tally:
    """A database made by rpm from packages made by rpmbuild."""
    tally = Tally("rpm's database (SQLite): name, version, time of installation", "rpm -qa")
    with tempfile.TemporaryDirectory() as tmp:
        spec = Path(tmp, "x.spec")
        dbpath = Path(tmp, "db")
        for n in range(6):
            spec.write_text(f"Name: tool{n}\nVersion: 1.{n}\nRelease: {n}\nSummary: s{n}\nLicense: x\nBuildArch: noarch\n"
                            f"URL: https://example.com/{n}\nVendor: Maker {n}\n%description\nd\n%files\n")
            subprocess.run(["rpmbuild", "-bb", "--define", f"_topdir {tmp}/b", spec], capture_output=True, check=True)
        built = sorted(map(str, Path(tmp, "b/RPMS").rglob("*.rpm")))
        subprocess.run(["rpm", "--dbpath", dbpath, "--define", "_db_backend sqlite", "-i", "--nodeps", *built], capture_output=True, check=True)
        form = r"%{NAME}\t%{VERSION}\t%{INSTALLTIME}\n"
        listed = subprocess.run(["rpm", "--dbpath", dbpath, "--define", "_db_backend sqlite", "-qa", "--qf", form], capture_output=True, text=True, check=True)
        theirs = sorted(tuple(line.split("\t")) for line in listed.stdout.splitlines())
        file = dbpath / "rpmdb.sqlite"
        if not file.exists():
            return tally
        own = sorted((r["Name"], r["Version"], r["times"][0][1]) for r in records("sqlite", file, f"{file}-wal"))
        tally.files = 1
        tally.same(file, own, theirs)
    return tally


def crons(root: str) -> Tally:
    tally = Tally("crontabs: schedule, user, command", "python-crontab")
    made = ["# x\nSHELL=/bin/sh\n*/5 * * * * root /usr/bin/a -b 'c d'\n@reboot jane /opt/x tcp 22 # why\n0 3 1,15 * 1-5 root cd / && y\n"]
    rng = random.Random(4)
    for _ in range(200):
        lines = []
        for _ in range(rng.randint(1, 9)):
            when = rng.choice(["@daily", "@reboot", "@hourly", " ".join(rng.choice(["*", "1", "1,5", "2-4", "*/2"]) for _ in range(5))])
            lines.append(rng.choice(["", "# note ", "A=b\n"]) + f"{when}{rng.choice([' ', chr(9), '  '])}{rng.choice(['root', 'www-data'])} "
                         + rng.choice(["/bin/x -y", "test -e /z || w=1 z", "a | b > /dev/null 2>&1"]))
        made.append("\n".join(lines) + "\n")
    with tempfile.TemporaryDirectory() as tmp:
        files = [str(p) for p in (Path(root, "etc/crontab"), *Path(root, "etc/cron.d").glob("[a-z]*")) if p.is_file()]
        for n, text in enumerate(made):
            Path(tmp, f"{n}").write_text(text)
            files.append(str(Path(tmp, f"{n}")))
        for path in files:
            jobs = [job for job in crontab.CronTab(tabfile=path, user=False) if job.is_enabled()]
            theirs = [(str(job.slices), job.user, job.command) for job in jobs]
            own = [(r["Schedule"], r["User"], r["CommandLine"]) for r in records("system_crontab", path)]
            tally.files += 1
            tally.same(path, [(s, u, re.sub(r" *#.*", "", c).strip()) for s, u, c in own],
                       [(s, u, re.sub(r" *#.*", "", c).strip()) for s, u, c in theirs])
    return tally


def desktops(root: str, most: int) -> Tally:
    tally = Tally("desktop entries: command, title", "Python's configparser")
    for path in walk(root, most, lambda p: p.endswith(".desktop")):
        told = configparser.RawConfigParser(strict=False, delimiters=("=",), comment_prefixes=("#",))
        told.optionxform = str
        told.read(path, encoding="utf-8")
        entry = told["Desktop Entry"] if told.has_section("Desktop Entry") else {}
        if not entry.get("Exec"):
            continue
        own = records("desktop_entry", path)
        tally.files += 1
        tally.same(path, (own[0].get("CommandLine"), own[0].get("Title")) if own else None, (entry["Exec"], entry.get("Name")))
    return tally


def plists(rng: random.Random) -> Tally:
    tally = Tally("launchd's property lists, XML and binary: label, command, program, run at load, interval, folder", "Python's plistlib")
    texts = ["/usr/local/bin/x", "-a", "--b=c d", "ü ", "<&>", "/Applications/A B.app/Contents/MacOS/A", "🚇" * 3, "x" * 300]
    with tempfile.TemporaryDirectory() as tmp:
        files = [TESTDATA / "unix" / name for name in ("com.example.agent.plist", "com.example.agent.binary.plist")]
        for n in range(300):
            job = {"Label": f"com.example.{n}.{rng.choice(texts)}"}
            if rng.random() < 0.8:
                job["ProgramArguments"] = ["/bin/" + rng.choice(texts).strip("/"), *(rng.choice(texts) for _ in range(rng.randint(0, 20)))]
            else:
                job["Program"] = rng.choice(texts)
            if rng.random() < 0.5:
                job["RunAtLoad"] = rng.random() < 0.5
            if rng.random() < 0.3:
                job["StartInterval"] = rng.randint(1, 1 << 33)
            if rng.random() < 0.3:
                job["WorkingDirectory"] = rng.choice(texts)
            job["Other"] = [1.5, b"data", {"a": [True, {}]}] * rng.randint(0, 90)
            to = Path(tmp, f"com.example.{n}.plist")
            to.write_bytes(plistlib.dumps(job, fmt=rng.choice([plistlib.FMT_XML, plistlib.FMT_BINARY])))
            files.append(to)
        for path in files:
            job = plistlib.loads(path.read_bytes())
            own = records("launchd", path)
            tally.files += 1
            if not own:
                tally.same(path, None, job["Label"])
                continue
            own = own[0]
            tally.same(path, own["ServiceName"], job["Label"])
            if "ProgramArguments" in job:
                tally.same(path, shlex.split(own["CommandLine"]), job["ProgramArguments"])
            tally.same(path, own.get("Image"), job.get("Program") or job["ProgramArguments"][0])
            if job.get("RunAtLoad"):
                tally.same(path, own.get("RunAtLoad"), "true")
            for key in ("StartInterval", "WorkingDirectory"):
                tally.same(path, own.get(key), str(job[key]) if key in job else None)
    return tally


def wrappers(rng: random.Random) -> Tally:
    tally = Tally("WinSW: id, name, command", "Python's ElementTree")
    texts = ["a b", "x & y", "<z>", 'say "hi"', "ü", "%BASE%\\n.exe"]
    with tempfile.TemporaryDirectory() as tmp:
        files = [TESTDATA / "service_wrapper/WebUpd.xml"]
        for n in range(300):
            many = rng.random() < 0.3
            program = escape(rng.choice(texts))
            body = [f"<id>s{n}</id>", f"<name>{escape(rng.choice(texts))}</name>", f"<executable>{program}</executable>"]
            if many:
                body += [f"<argument>{escape(rng.choice(texts[:3]))}</argument>" for _ in range(rng.randint(1, 5))]
            else:
                body.append(f"<arguments>{escape(rng.choice(texts))} tcp 3389</arguments>")
            if rng.random() < 0.3:
                body.append('<!-- <executable>other.exe</executable> --><log mode="roll"/>')
            rng.shuffle(body)
            to = Path(tmp, f"s{n}.xml")
            to.write_text(f'<?xml version="1.0" encoding="utf-8"?>\n<service>{chr(10).join(body)}</service>', encoding="utf-8-sig" if n % 5 == 0 else "utf-8")
            files.append(to)
        for path in files:
            root = ElementTree.fromstring(path.read_text(encoding="utf-8-sig"))
            text = lambda name: (root.findtext(name) or "").strip()
            own = records("service_wrapper", path)
            tally.files += 1
            if not own:
                tally.same(path, None, text("id"))
                continue
            # What starts it alone stands before what it is given always.
            given = [a.text.strip() for a in (*root.iter("startarguments"), *root.iter("startargument"))]
            given += [text("arguments")] if text("arguments") else [a.text.strip() for a in root.iter("argument")]
            tally.same(path, (own[0]["ServiceName"], own[0]["DisplayName"]), (text("id"), text("name")))
            tally.same(path, own[0]["CommandLine"].replace('"', ""), " ".join([text("executable"), *given]).strip().replace('"', ""))
    return tally


def containers(rng: random.Random) -> tuple[Tally, Tally]:
    kept, plan = Tally("Docker's config.v2.json: name, image, command", "Python's json"), Tally("compose files: name, image, command", "PyYAML")
    images = ["ngrok/ngrok:latest", "cloudflare/cloudflared:2024.2.1", "docker.io/snowdreamtech/frpc", "nginx"]
    with tempfile.TemporaryDirectory() as tmp:
        settings = [TESTDATA / "unix/config.v2.json"]
        for n in range(200):
            folder = Path(tmp, f"{rng.getrandbits(256):064x}")
            folder.mkdir()
            arguments = rng.choices(["tcp", "host.docker.internal:3389", "--log", "stdout", "tunnel", "run"], k=rng.randint(0, 4))
            told = {"State": {"Running": True, "StartedAt": "2024-03-01T10:00:00.5Z"}, "ID": folder.name, "Created": "2024-03-01T09:59:59.1Z",
                    "Path": rng.choice(["/entrypoint.sh", "ngrok", ""]), "Args": arguments,
                    "Config": {"Image": rng.choice(images), "Cmd": arguments, "Env": ["A=b"]}, "Name": f"/c{n}"}
            to = folder / "config.v2.json"
            to.write_text(json.dumps(told))
            settings.append(to)
        for path in settings:
            told = json.loads(path.read_text())
            own = records("docker_container", path)
            kept.files += 1
            kept.same(path, (own[0]["Name"], own[0]["Image"]) if own else None, (told["Name"].lstrip("/"), told["Config"]["Image"]))
            words = [w for w in [told["Path"], *told["Args"]] if w]
            if own:
                kept.same(path, own[0].get("CommandLine", ""), " ".join(words))
        for n in range(200):
            services = {}
            for k in range(rng.randint(1, 4)):
                command = rng.choice([["tunnel", "run", "--token", "x y"], "tcp 3389", "http host:80", None])
                services[f"s{k}"] = {"image": rng.choice(images), **({"command": command} if command else {}), "restart": "always",
                                     "environment": rng.choice([["A=b"], {"A": "b"}])}
            to = Path(tmp, "docker-compose.yml")
            to.write_text(yaml.safe_dump({"services": services}, default_flow_style=rng.choice([None, False, True]), sort_keys=rng.random() < 0.5))
            told = yaml.safe_load(to.read_text())["services"]
            own = {r["Name"]: r for r in records("container_plan", to)}
            plan.files += 1
            for name, of in told.items():
                command = of.get("command")
                theirs = command.split() if isinstance(command, str) else command or []
                mine = own.get(name, {})
                plan.same(f"{name} {of}", (mine.get("Image"), mine.get("CommandLine", "").replace('"', "").split()),
                          (of["image"], " ".join(theirs).split()))
    return kept, plan


def processes() -> Tally:
    tally = Tally("`ps auxwww` and `ps -ef`: number, command", "/proc/N/cmdline")
    with tempfile.TemporaryDirectory() as tmp:
        for name, command in (("ps_auxwww.txt", ["ps", "auxwww"]), ("ps_-ef.txt", ["ps", "-efww"])):
            theirs = {}
            listed = subprocess.run(command, capture_output=True, check=True).stdout
            for number in filter(str.isdigit, os.listdir("/proc")):
                try:
                    words = Path("/proc", number, "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
                except OSError:
                    continue
                if words != [b""]:
                    theirs[int(number)] = b" ".join(words).decode(errors="replace").replace("\n", " ").rstrip()
            path = Path(tmp, name)
            path.write_bytes(listed)
            own = {r["ProcessId"]: r["CommandLine"] for r in records("process_listing", path)}
            tally.files += 1
            for number in own.keys() & theirs.keys():
                if not own[number].startswith("ps "):
                    tally.same(f"{name} {number}", " ".join(own[number].split()), " ".join(theirs[number].split()))
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", nargs="?", default="/")
    parser.add_argument("--most", type=int, default=300, help="files of a kind, chosen at random but always the same")
    arguments = parser.parse_args()
    root, most = arguments.root, arguments.most
    rng = random.Random(9)
    tallies = [tars(root, most), zips(root, most), *programs(root, most), *packages(root, most), crons(root), desktops(root, most),
               plists(rng), wrappers(rng), *containers(rng), processes()]
    for tally in tallies:
        print(tally.told())
    return int(any(tally.differ for tally in tallies))


if __name__ == "__main__":
    sys.exit(main())
