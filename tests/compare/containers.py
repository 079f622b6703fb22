#!/usr/bin/env python3
"""Compares the reading of disk images with the tools that make them.

Makes one disk (compressible, random and empty stretches, an MBR), turns it into
every kind of image that qemu-img and ewfacquire can make, and lets the test
`made_images_equal_their_originals` read each: whole (SHA-256, stored hashes) and
at random from several threads. Images named with --image are compared with what
qemu-img or ewfexport reads out of them. Prints a table; exits with 1 on any difference.
Ex01 are made and read by the ewfacquire and ewfexport of a newer libewf (20260924 does;
the 20140813 of Debian does not) that lie in the folder named with --ewftools.

usage: containers.py [--size MIB] [--keep FOLDER] [--only WORD] [--ewftools FOLDER] [--image FILE]...
"""

import argparse
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(*command, **options):
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.PIPE, **options)


def make_disk(path, mib, seed):
    """Writes a disk of that size whose 64-KiB stretches are text, noise or nothing."""
    dice = random.Random(seed)
    out = bytearray()
    while len(out) < mib << 20:
        kind = dice.randrange(4)
        if kind == 0:
            out += dice.randbytes(1 << 16)
        elif kind == 1:
            out += bytes(1 << 16)
        else:
            line = b"%08x some text of a disk %d\n" % (len(out), dice.randrange(1 << 30))
            out += (line * (1 << 12))[:1 << 16]
    out = out[:mib << 20]
    out[:512] = bytes(446) + struct.pack("<B3sB3sII", 0, b"\0\2\0", 7, b"\0\0\0", 128,
                                         (mib << 11) - 128) + bytes(48) + b"\x55\xaa"
    path.write_bytes(out)


class Images:
    """A folder of images, each in its own, with its original beside it."""

    def __init__(self, base, only, newer):
        self.base = base
        self.only = only
        self.newer = newer

    def wanted(self, name):
        return not self.only or self.only in name

    def folder(self, name):
        folder = self.base / name
        folder.mkdir(parents=True)
        return folder

    def original(self, name, raw):
        (self.base / f"{name}.raw").symlink_to(raw.resolve())

    def convert(self, name, raw, fmt, file, *options):
        if self.wanted(name):
            target = self.folder(name) / file
            run("qemu-img", "convert", "-f", "raw", "-O", fmt, *options, raw, target)
            self.original(name, raw)

    def ewf(self, name, raw, *options):
        if self.wanted(name):
            target = self.folder(name) / "disk"
            run("ewfacquire", "-u", "-q", "-t", target, *options, raw, stdin=subprocess.DEVNULL)
            self.original(name, raw)

    def ex01(self, name, raw, *options):
        if self.newer and self.wanted(name):
            target = self.folder(name) / "disk"
            run(self.newer / "ewfacquire", "-u", "-q", "-f", "encase7-v2", "-t", target, *options, raw,
                stdin=subprocess.DEVNULL)
            self.original(name, raw)

    def overlay(self, name, fmt, base, changed, *options):
        """An image over another; the disk is read back by qemu-img."""
        if not self.wanted(name):
            return
        folder = self.folder(name)
        run("qemu-img", "convert", "-f", "raw", "-O", fmt, *options, base, folder / f"base.{fmt}")
        below = f"base.{fmt}"
        for number, at in enumerate(changed):
            child = f"child{number}.{fmt}"
            run("qemu-img", "create", "-f", fmt, "-b", below, "-F", fmt, child, cwd=folder)
            run("qemu-io", "-f", fmt, "-c", f"write -P {17 + number} {at} 70000", child, cwd=folder)
            below = child
        raw = self.base / f"{name}.raw"
        run("qemu-img", "convert", "-f", fmt, "-O", "raw", folder / below, raw)

    def cut(self, name, raw, size):
        """The original of an image of the first bytes alone."""
        original = self.base / f"{name}.raw"
        if original.exists():
            original.unlink()
            original.write_bytes(raw.read_bytes()[:size])

    def split(self, name, raw, size, suffixes):
        if self.wanted(name):
            folder = self.folder(name)
            data = raw.read_bytes()
            for number, at in enumerate(range(0, len(data), size)):
                (folder / f"disk.{suffixes(number)}").write_bytes(data[at:at + size])
            self.original(name, raw)

    def given(self, image):
        """An existing image, its segments beside it, against the other tool's reading."""
        name = f"given-{image.name}"
        folder = self.folder(name)
        ewf = image.suffix.lower() in (".e01", ".ex01")
        for part in image.parent.iterdir() if ewf else [image]:
            if part.stem != image.stem or part.suffix[:-2] != image.suffix[:-2]:
                continue
            (folder / part.name).symlink_to(part.resolve())
        raw = self.base / f"{name}.raw"
        if ewf:
            # Not by the folder's name: newer ones refuse it.
            target = self.base / f"{name}-read"
            run(self.newer / "ewfexport" if self.newer else "ewfexport", "-u", "-q", "-f", "raw", "-t", target, image)
            target.with_name(f"{target.name}.raw").rename(raw)
            target.with_name(f"{target.name}.raw.info").unlink(missing_ok=True)
        else:
            # By its name: a fixed VHD has its mark at the end, where qemu-img does not look.
            kind = ["-f", "vpc"] if image.suffix.lower() == ".vhd" else []
            run("qemu-img", "convert", *kind, "-O", "raw", image, raw)

    def refused(self, name):
        (self.base / f"{name}.refused").touch()


def make_all(images, raw):
    images.convert("raw", raw, "raw", "disk.dd")
    images.split("split-001", raw, 3 << 20, lambda n: f"{n + 1:03}")
    images.split("split-000", raw, 3 << 20, lambda n: f"{n:03}")
    images.split("split-aa", raw, 5 << 20, lambda n: f"{chr(97 + n // 26)}{chr(97 + n % 26)}")
    for fmt in ("ewf", "smart", "ftk", "encase1", "encase2", "encase3", "encase4", "encase5",
                "encase6", "encase7", "linen5", "linen6", "linen7", "ewfx"):
        images.ewf(f"e01-{fmt}", raw, "-f", fmt, "-c", "deflate:fast")
    for level in ("none", "empty-block", "fast", "best"):
        images.ewf(f"e01-{level}", raw, "-f", "encase6", "-c", f"deflate:{level}", "-d", "sha1")
    images.ewf("e01-split", raw, "-f", "encase6", "-c", "deflate:fast", "-S", str(1 << 20))
    images.ewf("e01-chunks", raw, "-f", "encase6", "-c", "deflate:fast", "-b", "1024")
    images.ewf("e01-odd", raw, "-f", "encase6", "-c", "deflate:fast", "-B", str(1_000_448))
    images.cut("e01-odd", raw, 1_000_448)
    make_ex01(images, raw)
    for kind in ("monolithicSparse", "monolithicFlat", "twoGbMaxExtentSparse",
                 "twoGbMaxExtentFlat", "streamOptimized"):
        images.convert(f"vmdk-{kind}", raw, "vmdk", "disk.vmdk", "-o", f"subformat={kind}")
    images.overlay("vmdk-delta", "vmdk", raw, [1_000_000, 1_050_000, 9_999_999])
    images.convert("vhd-dynamic", raw, "vpc", "disk.vhd", "-o", "subformat=dynamic,force_size=on")
    images.convert("vhd-fixed", raw, "vpc", "disk.vhd", "-o", "subformat=fixed,force_size=on")
    for kind in ("dynamic", "fixed"):
        for block in (1, 2, 32):
            images.convert(f"vhdx-{kind}-{block}", raw, "vhdx", "disk.vhdx",
                           "-o", f"subformat={kind},block_size={block}M")
    for option in ("compat=0.10", "compat=1.1", "cluster_size=4096", "cluster_size=2M",
                   "extended_l2=on,cluster_size=128k", "refcount_bits=1"):
        images.convert(f"qcow2-{option}", raw, "qcow2", "disk.qcow2", "-o", option)
    images.convert("vdi-dynamic", raw, "vdi", "disk.vdi")
    images.convert("vdi-static", raw, "vdi", "disk.vdi", "-o", "static=on")
    images.convert("qcow2-zlib", raw, "qcow2", "disk.qcow2", "-c")
    images.convert("qcow2-zstd", raw, "qcow2", "disk.qcow2", "-c", "-o", "compression_type=zstd")
    images.convert("qcow2-zstd-4k", raw, "qcow2", "disk.qcow2", "-c", "-o",
                   "compression_type=zstd,cluster_size=4k")
    images.overlay("qcow2-backing", "qcow2", raw, [1_000_000, 1_050_000, 9_999_999])
    images.overlay("qcow2-backing-l2", "qcow2", raw, [1_000_000, 1_050_000], "-o",
                   "extended_l2=on,cluster_size=128k")
    if images.wanted("qcow2-encrypted"):
        images.convert("qcow2-encrypted", raw, "qcow2", "disk.qcow2", "--object",
                       "secret,id=s,data=1234", "-o", "encrypt.format=luks,encrypt.key-secret=s")
        (images.base / "qcow2-encrypted.raw").unlink()
        images.refused("qcow2-encrypted")


def make_ex01(images, raw):
    for packed in ("none", "deflate:fast", "deflate:best", "bzip2:fast", "bzip2:best"):
        images.ex01(f"ex01-{packed.replace(':', '-')}", raw, "-c", packed, "-d", "sha1")
    images.ex01("ex01-split", raw, "-c", "deflate:fast", "-S", str(1 << 20))
    images.ex01("ex01-chunks", raw, "-c", "deflate:fast", "-b", "1024")
    images.ex01("ex01-small-chunks", raw, "-c", "bzip2:fast", "-b", "16", "-S", str(1 << 20))
    images.ex01("ex01-odd", raw, "-c", "deflate:fast", "-B", str(1_000_448))
    images.cut("ex01-odd", raw, 1_000_448)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=24, metavar="MIB")
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    parser.add_argument("--only", metavar="WORD")
    parser.add_argument("--ewftools", type=Path, metavar="FOLDER")
    parser.add_argument("--image", type=Path, action="append", default=[], metavar="FILE")
    options = parser.parse_args()
    base = options.keep or Path(tempfile.mkdtemp(prefix="adit-images-"))
    base.mkdir(parents=True, exist_ok=True)
    try:
        raw = base / "disk.original"
        make_disk(raw, options.size, 1)
        images = Images(base, options.only, options.ewftools and options.ewftools.resolve())
        if not options.image or options.only:
            make_all(images, raw)
        for image in options.image:
            images.given(image)
        command = ["cargo", "test", "--offline", "--locked", "--test", "containers", "--",
                   "--nocapture", "made_images_equal_their_originals"]
        return subprocess.run(command, cwd=ROOT, env=environment(base)).returncode and 1
    except subprocess.CalledProcessError as error:
        sys.stderr.write(f"{error}\n{error.stderr.decode(errors='replace')}\n")
        return 1
    finally:
        if not options.keep:
            shutil.rmtree(base)


def environment(base):
    return {**os.environ, "ADIT_IMAGES": str(base.resolve())}


if __name__ == "__main__":
    sys.exit(main())
