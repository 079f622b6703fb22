"""Makes FAT and exFAT images of many kinds in a folder: `make_fat.py FOLDER`.

Needs dosfstools and mtools; for exFAT exfatprogs and exfat-fuse.
"""

import os
import subprocess
import sys
import tempfile

FAT = {
    "fat12-floppy": ["-C", "-F", "12", 1440],
    "fat12-4k": ["-C", "-F", "12", "-s", "8", 8000],
    "fat16": ["-C", "-F", "16", "-s", "4", 40000],
    "fat16-one-table": ["-C", "-F", "16", "-f", "1", "-r", "128", 20000],
    "fat32": ["-C", "-F", "32", "-s", "1", 40000],
    "fat32-4k-sectors": ["-C", "-F", "32", "-S", "4096", 300000],
}
EXFAT = {"exfat-4k": ["-c", "4k"], "exfat-32k": ["-c", "32k"], "exfat-512": ["-c", "512"]}


def run(*command):
    return subprocess.run([str(word) for word in command], capture_output=True, check=True)


def write(folder, name, data, when=1_710_000_000):
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)
    os.utime(path, (when, when))
    return path


def pattern(length, step):
    return bytes(i * step & 255 for i in range(length))


def populate(folder):
    write(folder, "NGROK.YML", b"version: 3\n", 1_700_000_001)
    write(folder, "readme.txt", b"small letters\n", 1_700_000_003)
    write(folder, "A rather long name of a file.txt", pattern(9000, 7), 1_690_000_000)
    write(folder, "thirteen chrs", b"exactly one part", 1_690_000_010)
    write(folder, "ümläut ☃ 😀.txt", b"x" * 100, 1_600_000_000)
    write(folder, "empty", b"")
    for n in range(60):
        write(folder, f"Many Files/number {n:03}.dat", pattern(700 + n, 3), 1_500_000_000 + n * 1000)
    write(folder, "Gone/Inside a removed folder.txt", pattern(3000, 5))
    write(folder, "Gone/SHORT.TXT", b"short")
    write(folder, "Gone/Deeper/Deep file.txt", b"deep")
    write(folder, "first.bin", pattern(20_000, 11))
    write(folder, "Second one removed.bin", pattern(20_000, 13))
    write(folder, "third.bin", pattern(20_000, 17))


def fat(image, options):
    os.path.exists(image) and os.remove(image)
    *options, size = options
    run("mkfs.fat", *options, "-n", "STICK", image, size)
    with tempfile.TemporaryDirectory() as folder:
        populate(folder)
        names = [os.path.join(folder, name) for name in sorted(os.listdir(folder))]
        run("mcopy", "-s", "-m", "-i", image, *names, "::")
        for name in ("/Many Files/number 003.dat", "/Many Files/number 004.dat", "/Many Files/number 040.dat",
                     "/first.bin", "/Second one removed.bin", "/thirteen chrs", "/readme.txt"):
            run("mdel", "-i", image, "::" + name)
        run("mdeltree", "-i", image, "::/Gone")
        # Larger than either hole: in pieces, and over what first.bin was.
        run("mcopy", "-i", image, write(folder, "piece by piece.bin", pattern(30_000, 19)), "::")


def exfat(image, options):
    with open(image, "wb") as file:
        file.truncate(24 << 20)
    run("mkfs.exfat", *options, "-L", "CARD", image)
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as at:
        populate(folder)
        loop = run("losetup", "-f", "--show", image).stdout.decode().strip()
        try:
            run("mount.exfat-fuse", loop, at)
            run("cp", "-r", "--preserve=timestamps", folder + "/.", at)
            subprocess.run(["sync"])
            for name in ("Many Files/number 003.dat", "Many Files/number 004.dat", "Many Files/number 040.dat",
                         "first.bin", "Second one removed.bin", "thirteen chrs", "readme.txt"):
                os.remove(os.path.join(at, name))
            subprocess.run(["rm", "-r", os.path.join(at, "Gone")], check=True)
            write(at, "piece by piece.bin", pattern(60_000, 19))
            os.rename(os.path.join(at, "empty"), os.path.join(at, "renamed"))
        finally:
            subprocess.run(["umount", at])
            run("losetup", "-d", loop)


def main():
    target = sys.argv[1]
    os.makedirs(target, exist_ok=True)
    for kinds, make in ((FAT, fat), (EXFAT, exfat)):
        for name, options in kinds.items():
            try:
                make(os.path.join(target, name + ".raw"), options)
            except (subprocess.CalledProcessError, OSError) as error:
                print(name, "not made:", error, getattr(error, "stderr", b""))


if __name__ == "__main__":
    main()
