"""Makes the small volumes of testdata/source: `make_samples.py FOLDER`.

Needs e2fsprogs, dosfstools, mtools, exfatprogs and exfat-fuse. Times of making and
identifiers differ from run to run, so a new sample needs a new `.expected`.
"""

import gzip
import os
import subprocess
import sys
import tempfile

import make_fat


def run(*command, **options):
    return subprocess.run([str(word) for word in command], capture_output=True, check=True, **options)


def populate(folder, links):
    write = make_fat.write
    write(folder, "ngrok.yml", b"version: 3\nagent: {}\n", 1_700_000_001)
    write(folder, "Folder/A rather long name.txt", make_fat.pattern(3000, 7), 1_690_000_000)
    write(folder, "Folder/umlaut \u00fc.txt", b"x" * 100, 1_600_000_000)
    write(folder, "Folder/Gone/Inner file.txt", b"in a removed folder", 1_610_000_000)
    write(folder, "removed one.bin", make_fat.pattern(2500, 11), 1_620_000_000)
    write(folder, "SHORT.TXT", b"removed, short name", 1_630_000_000)
    write(folder, "empty", b"", 1_640_000_000)
    if links:
        os.symlink("Folder/ngrok.yml", os.path.join(folder, "link"))
        os.symlink("/" + "x" * 80, os.path.join(folder, "long link"))
        with open(os.path.join(folder, "sparse"), "wb") as file:
            file.seek(9000)
            file.write(b"end")


def ext(image, options):
    with tempfile.TemporaryDirectory() as folder:
        populate(folder, True)
        run("mke2fs", "-q", "-F", *options, "-d", folder, image, "256k")
    removed = ["rm \"removed one.bin\"", "rm SHORT.TXT", "rm \"Folder/Gone/Inner file.txt\"", "rmdir Folder/Gone"]
    run("debugfs", "-w", "-f", "-", image, input="\n".join(removed).encode())


def fat(image, options, size, kept=None):
    run("mkfs.fat", "-C", *options, "-n", "STICK", image, size)
    with tempfile.TemporaryDirectory() as folder:
        populate(folder, False)
        names = [os.path.join(folder, name) for name in sorted(os.listdir(folder))]
        run("mcopy", "-s", "-m", "-i", image, *names, "::")
    for name in ("/removed one.bin", "/SHORT.TXT"):
        run("mdel", "-i", image, "::" + name)
    run("mdeltree", "-i", image, "::/Folder/Gone")
    if kept:
        os.truncate(image, kept)


def exfat(image):
    with open(image, "wb") as file:
        file.truncate(1 << 20)
    run("mkfs.exfat", "-c", "512", "-b", "4096", "-L", "CARD", image)
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as at:
        populate(folder, False)
        loop = run("losetup", "-f", "--show", image).stdout.decode().strip()
        try:
            run("mount.exfat-fuse", loop, at, env={**os.environ, "TZ": "Asia/Tokyo"})
            run("cp", "-r", "--preserve=timestamps", folder + "/.", at)
            os.remove(os.path.join(at, "removed one.bin"))
            os.remove(os.path.join(at, "SHORT.TXT"))
            run("rm", "-r", os.path.join(at, "Folder/Gone"))
        finally:
            subprocess.run(["umount", at])
            run("losetup", "-d", loop)


def main():
    target = sys.argv[1]
    work = tempfile.mkdtemp()
    made = {
        "ext/ext2": lambda image: ext(image, ["-t", "ext2", "-b", "1024", "-I", "128", "-N", "64"]),
        "ext/ext4": lambda image: ext(image, ["-t", "ext4", "-b", "1024", "-N", "64", "-O", "^has_journal"]),
        "ext/ext4-inline": lambda image: ext(
            image, ["-t", "ext4", "-b", "1024", "-N", "64", "-O", "^has_journal,inline_data"]),
        "fat/fat12": lambda image: fat(image, ["-F", "12"], 160),
        "fat/fat16": lambda image: fat(image, ["-F", "16", "-s", "1"], 2500, 200 << 10),
        "fat/fat32": lambda image: fat(image, ["-F", "32", "-s", "1"], 33600, 640 << 10),
        "exfat/exfat": exfat,
    }
    for name, make in made.items():
        image = os.path.join(work, os.path.basename(name))
        make(image)
        os.makedirs(os.path.join(target, os.path.dirname(name)), exist_ok=True)
        with open(image, "rb") as file, open(os.path.join(target, name + ".img.gz"), "wb") as packed:
            packed.write(gzip.compress(file.read(), 9, mtime=0))


if __name__ == "__main__":
    main()
