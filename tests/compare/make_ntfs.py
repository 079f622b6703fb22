#!/usr/bin/env python3
"""Makes NTFS images that hold what real ones seldom hold together.

    sudo python3 make_ntfs.py FOLDER

Needs root, mkntfs and ntfs-3g (with /dev/fuse), and wimlib's wimcapture for the
files that Windows keeps packed.  Writes, as raw volumes:

  features-1k.raw   512-byte sectors, 4 KiB clusters, 1 KiB records
  features-4k.raw   4096-byte sectors and records
  features-64k.raw  64 KiB clusters (nothing is compressed there)
  features-2m.raw   2 MiB clusters, where mkntfs can make them

Each with: compressed, sparse and fragmented files, an attribute list, hard links,
streams of files and directories, links and junctions, odd names, removed files
(in the record, in free clusters, in clusters given away) and removed directories;
the first two with files packed by XPRESS and LZX, too.
"""
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile

ALGORITHMS = [("xpress4k", "XPRESS", 4096, 0), ("lzx", "LZX", 32768, 1),
              ("xpress8k", "XPRESS", 8192, 2), ("xpress16k", "XPRESS", 16384, 3)]


def run(*args):
    subprocess.run([str(a) for a in args], check=True, capture_output=True)


def code(size, rng):
    """Bytes that look like x86 code, with calls."""
    parts = [b"\x48\x89\xe5", b"\x55", b"\x48\x83\xec\x20", b"\x90", b"\xc3", b"\x8b\x45\xfc"]
    out = bytearray()
    while len(out) < size:
        out += rng.choice(parts + [b"\xe8" + rng.randbytes(2) + rng.choice([b"\0\0", b"\xff\xff"])])
    return bytes(out[:size])


def text(size, rng):
    words = [b"ngrok http 8080\n", b"tunnel ", b"authtoken: none\r\n", b"C:\\Windows\\System32\\"]
    return b"".join(rng.choice(words) for _ in range(size // 8 + 1))[:size]


def pack(plain, kind, chunk):
    """The packed stream of `plain`, as wimlib writes it into an image."""
    with tempfile.TemporaryDirectory() as at:
        os.mkdir(f"{at}/in")
        with open(f"{at}/in/file", "wb") as file:
            file.write(plain)
        level = random.Random(len(plain)).choice([20, 50, 100])
        run("wimcapture", f"{at}/in", f"{at}/out.wim", f"--compress={kind}:{level}",
            f"--chunk-size={chunk}", "--no-acls")
        blobs = subprocess.run(["wiminfo", "--blobs", f"{at}/out.wim"], check=True,
                               capture_output=True, text=True).stdout
        for blob in blobs.split("Hash ")[1:]:
            number = lambda name: int(re.search(name + r"\s*= (\d+)", blob)[1])
            if number("Uncompressed size") == len(plain):
                with open(f"{at}/out.wim", "rb") as file:
                    file.seek(number("Offset in WIM"))
                    return file.read(number("Compressed size"))
    raise RuntimeError("wimlib's image does not hold the file")


def put(path, data):
    with open(path, "wb") as file:
        file.write(data)


def fill(root, rng, clusters, packed):
    """Writes the files; returns what is to be removed."""
    os.makedirs(f"{root}/plain/deep/er")
    put(f"{root}/plain/empty", b"")
    put(f"{root}/plain/small.txt", b"in the record")
    put(f"{root}/plain/large.bin", rng.randbytes(300_001))
    for name in ["Überweg 日本 😀.txt", "a,b \"c\".csv", "-dash", "dot.", "UPPER", "upper"]:
        put(f"{root}/plain/deep/{name}", name.encode())
    os.link(f"{root}/plain/large.bin", f"{root}/plain/deep/er/linked.bin")
    os.link(f"{root}/plain/large.bin", f"{root}/plain/deep/linked too.bin")
    os.setxattr(f"{root}/plain/small.txt", "user.Zone.Identifier", b"[ZoneTransfer]\r\nZoneId=3\r\n")
    os.setxattr(f"{root}/plain/small.txt", "user.big", rng.randbytes(60_000))
    os.setxattr(f"{root}/plain/deep", "user.of a folder", b"hidden here")
    os.setxattr(f"{root}/plain/empty", "user.only", b"the file itself is empty")
    # A sparse file with islands, one that was only written in part.
    with open(f"{root}/plain/sparse.bin", "wb") as file:
        file.truncate(20_000_000)
        for at in (0, 5_000_000, 19_990_000):
            file.seek(at)
            file.write(rng.randbytes(5000))
    # Fragments enough for an attribute list: two files grow in turn.
    with open(f"{root}/plain/fragmented.bin", "wb") as one, open(f"{root}/plain/other.bin", "wb") as two:
        for n in range(900 if clusters <= 4096 else 20):
            for file in (one, two):
                file.write(rng.randbytes(clusters))
                file.flush()
                os.fsync(file.fileno())
    # Names and streams enough for one.
    put(f"{root}/plain/many names", b"x" * 5000)
    for n in range(40):
        os.link(f"{root}/plain/many names", f"{root}/plain/deep/many names, number {n:02} of them all")
    put(f"{root}/plain/many streams", b"")
    for n in range(40):
        os.setxattr(f"{root}/plain/many streams", f"user.stream number {n:02}", rng.randbytes(20 * n))
    os.mkdir(f"{root}/many")
    for n in range(300):
        put(f"{root}/many/file {n:03} with a long name to fill the index.log", b"%d" % n)
    os.symlink("plain/large.bin", f"{root}/link")
    put(f"{root}/colon:and\\slash", b"a name of another system")
    if clusters <= 4096:
        os.mkdir(f"{root}/compressed")
        os.setxattr(f"{root}/compressed", "system.ntfs_attrib_be", struct.pack(">I", 0x810))
        put(f"{root}/compressed/text.txt", text(200_000, rng))
        put(f"{root}/compressed/noise.bin", rng.randbytes(150_000))
        put(f"{root}/compressed/mixed.bin", text(70_000, rng) + rng.randbytes(70_000)
            + bytes(140_000) + code(100_001, rng))
        put(f"{root}/compressed/tiny.txt", b"tiny")
    target = "\\??\\C:\\plain\\deep".encode("utf-16-le")
    names = target + b"\0\0" + b"\0\0"
    mount = struct.pack("<HHHH", 0, len(target), len(target) + 2, 0) + names
    os.mkdir(f"{root}/junction")
    os.setxattr(f"{root}/junction", "system.ntfs_reparse_data",
                struct.pack("<IHH", 0xA0000003, len(mount), 0) + mount)
    if packed:
        os.mkdir(f"{root}/packed")
        for name, kind, chunk, number in ALGORITHMS:
            for size in (3000, 32768, 200_003):
                third = size // 3
                plain = code(third, rng) + text(third, rng) + rng.randbytes(size // 10)
                plain = (plain + bytes(size))[:size]
                path = f"{root}/packed/{name} {size}.bin"
                put(path, b"")
                os.setxattr(path, "user.WofCompressedData", pack(plain, kind, chunk))
                os.truncate(path, size)
                put(f"{root}/packed/{name} {size}.plain", plain)
                point = struct.pack("<IIII", 1, 2, 1, number)
                os.setxattr(path, "system.ntfs_reparse_data",
                            struct.pack("<IHH", 0x80000017, len(point), 0) + point)
    os.makedirs(f"{root}/gone/below/deeper")
    put(f"{root}/gone/resident.txt", b"all of it is in the record")
    put(f"{root}/gone/below/free.bin", rng.randbytes(50_000))
    put(f"{root}/gone/below/deeper/stream.txt", b"with a stream")
    os.setxattr(f"{root}/gone/below/deeper/stream.txt", "user.cfg", b"stream of a removed file")
    put(f"{root}/plain/removed.txt", b"removed from a directory that is there")
    put(f"{root}/plain/given away.bin", rng.randbytes(100_000))


def remove(root):
    os.unlink(f"{root}/plain/removed.txt")
    shutil.rmtree(f"{root}/gone")


def make(path, size, arguments, clusters, packed, seed):
    rng = random.Random(seed)
    with open(path, "wb") as file:
        file.truncate(size)
    run("mkntfs", "-Q", "-F", "-q", "-L", "FEATURES", *arguments, path)
    at = tempfile.mkdtemp()

    def mounted(act):
        run("ntfs-3g", path, at, "-o", "compression,streams_interface=xattr")
        try:
            act()
        finally:
            run("umount", at)

    mounted(lambda: fill(at, rng, clusters, packed))

    def change():
        remove(at)
        os.unlink(f"{at}/plain/given away.bin")
        put(f"{at}/taker.bin", rng.randbytes(100_000))

    mounted(change)
    # Once more: record numbers of removed directories go to other files.
    mounted(lambda: [put(f"{at}/new {n}.txt", b"new") for n in range(2)])
    os.rmdir(at)


def main():
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    make(f"{folder}/features-1k.raw", 64 << 20, [], 4096, True, 1)
    make(f"{folder}/features-4k.raw", 96 << 20, ["-s", "4096"], 4096, True, 2)
    make(f"{folder}/features-64k.raw", 256 << 20, ["-c", "65536"], 65536, False, 3)
    try:
        make(f"{folder}/features-2m.raw", 4 << 30, ["-c", "2097152"], 2097152, False, 4)
    except subprocess.CalledProcessError as error:
        print("no volume with 2 MiB clusters:", error.stderr.decode(errors="replace")[-200:])


main()
