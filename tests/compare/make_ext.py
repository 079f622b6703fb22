"""Makes ext2/3/4 images of many kinds in a folder: `make_ext.py FOLDER`.

Needs e2fsprogs. Files are removed with debugfs, which keeps their inodes' maps;
what the kernel leaves is on the images that it wrote (a folder argument of ext.py).
"""

import os
import subprocess
import sys
import tempfile

KINDS = {
    "ext2-1k": ["-t", "ext2", "-b", "1024", "-I", "128"],
    "ext2-4k": ["-t", "ext2", "-b", "4096", "-I", "256"],
    "ext2-noftype": ["-t", "ext2", "-O", "^filetype,^resize_inode", "-I", "128"],
    "ext3-1k": ["-t", "ext3", "-b", "1024", "-I", "256"],
    "ext4-1k": ["-t", "ext4", "-b", "1024"],
    "ext4-2k": ["-t", "ext4", "-b", "2048"],
    "ext4-4k": ["-t", "ext4", "-b", "4096"],
    "ext4-64k": ["-t", "ext4", "-b", "65536"],
    "ext4-noextents": ["-t", "ext4", "-O", "^extents,^64bit"],
    "ext4-128": ["-t", "ext4", "-I", "128", "-b", "1024"],
    "ext4-inline": ["-t", "ext4", "-O", "inline_data", "-I", "512"],
    "ext4-meta": ["-t", "ext4", "-O", "meta_bg,^resize_inode", "-b", "1024"],
    "ext4-nojournal": ["-t", "ext4", "-O", "^has_journal,^metadata_csum,^64bit"],
    "ext4-bigalloc": ["-t", "ext4", "-O", "bigalloc", "-C", "16384", "-b", "4096"],
    "ext4-small-groups": ["-t", "ext4", "-b", "1024", "-g", "1024", "-N", "2000"],
}


def populate(folder):
    def write(name, data, when):
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
        os.utime(path, ns=(when * 10**9 + 123456700, when * 10**9 + 987654300))
    write("etc/hosts", b"127.0.0.1 localhost\n", 1_700_000_000)
    write("home/ann/ngrok.yml", b"version: 3\n" * 3, 1_710_000_001)
    write("home/ann/big.bin", bytes(i * 7 & 255 for i in range(300_000)), 1_720_000_002)
    write("home/ann/empty", b"", 1_720_000_003)
    write("home/ann/ümläut ☃.txt", b"x" * 100, 1_720_000_004)
    write("home/ann/inline-150.txt", b"y" * 150, 1_720_000_005)
    write("far.txt", b"after 2038", 2_500_000_000)
    for n in range(150):
        write(f"many/a rather long name to fill blocks with {n:04}.txt", b"%d" % n, 1_600_000_000 + n)
    for n in range(20):
        write(f"gone/file{n:02}.txt", b"to be removed %d" % n * 20, 1_650_000_000 + n)
    write("gone/folder/inner.txt", b"in a removed folder", 1_650_000_100)
    write("gone/large.bin", bytes(i * 11 & 255 for i in range(90_000)), 1_650_000_200)
    with open(os.path.join(folder, "sparse.bin"), "wb") as file:
        file.seek(700_000)
        file.write(b"end")
        file.truncate(900_000)
    os.symlink("etc/hosts", os.path.join(folder, "short-link"))
    os.symlink("/" + "long/" * 30 + "target", os.path.join(folder, "long-link"))
    os.mkfifo(os.path.join(folder, "pipe"))


REMOVED = ["rm gone/file01.txt", "rm gone/file02.txt", "rm gone/file19.txt", "rm gone/large.bin",
           "rm gone/folder/inner.txt", "rmdir gone/folder", "rm /short-link",
           "rm home/ann/inline-150.txt",
           "rm \"many/a rather long name to fill blocks with 0100.txt\"",
           "rm \"many/a rather long name to fill blocks with 0101.txt\"",
           # A new file takes the first free inode.
           "mkdir gone/new"]


def main():
    target = sys.argv[1]
    os.makedirs(target, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        populate(folder)
        for name, options in KINDS.items():
            image = os.path.join(target, name + ".raw")
            if os.path.exists(image):
                os.remove(image)
            size = "48M" if "64k" in name or "bigalloc" in name else "12M"
            made = subprocess.run(["mke2fs", "-q", "-F", *options, "-d", folder, image, size],
                                  capture_output=True)
            if made.returncode:
                print(name, "not made:", made.stderr.decode().strip())
                os.path.exists(image) and os.remove(image)
                continue
            # Give the directories of some an index of hashes.
            if name in ("ext4-1k", "ext3-1k"):
                subprocess.run(["e2fsck", "-fyD", image], capture_output=True)
            subprocess.run(["debugfs", "-w", "-f", "-", image], input="\n".join(REMOVED).encode(),
                           capture_output=True)
    written_by_kernel(target)


def written_by_kernel(target):
    """Volumes that the kernel itself changed, where it may be mounted: what it leaves of removed files."""
    for kind in ("ext2", "ext3", "ext4"):
        image = os.path.join(target, f"kernel-{kind}.raw")
        os.path.exists(image) and os.remove(image)
        subprocess.run(["mke2fs", "-q", "-F", "-t", kind, "-I", "256", "-b", "1024", image, "12M"], check=True)
        with tempfile.TemporaryDirectory() as at:
            if subprocess.run(["mount", "-o", "loop", image, at], capture_output=True).returncode:
                print(kind, "cannot be mounted here")
                os.remove(image)
                continue
            try:
                populate(at)
                subprocess.run(["sync"])
                for name in ("gone/file01.txt", "gone/file02.txt", "gone/large.bin", "gone/folder/inner.txt"):
                    os.remove(os.path.join(at, name))
                os.rmdir(os.path.join(at, "gone/folder"))
                os.rename(os.path.join(at, "gone/file03.txt"), os.path.join(at, "gone/renamed with a longer name.txt"))
                for n in range(0, 150, 7):
                    os.remove(os.path.join(at, f"many/a rather long name to fill blocks with {n:04}.txt"))
            finally:
                subprocess.run(["umount", at], check=True)


main()
