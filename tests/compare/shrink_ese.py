#!/usr/bin/env python3
"""Makes the small database of the tests from a real one: only some tables' pages, numbered anew.

    shrink_ese.py SRUDB.dat OUT [OLD=NEW ...]

Names are replaced by others of the same length. Sums of the pages are made anew (the simple
one; the correcting code beside it is left as it was).
"""
import struct
import sys

KEEP = {"SruDbIdMapTable", "{973F5D5C-1D90-4944-BE8E-24B94231A174}",
        "{DD6636C4-8929-4683-974E-22C046A43763}", "{7ACBBAA3-D029-4BE4-9A7A-0885927F1D8F}"}
SIZE = 4096


def tags(page):
    for i in range(1, struct.unpack_from("<H", page, 34)[0] & 0xFFF):
        size, at = struct.unpack_from("<HH", page, SIZE - 4 * (i + 1))
        flags, size, at = at >> 13, size & 0x1FFF, 40 + (at & 0x1FFF)
        key = at + (2 if flags & 4 else 0)
        data = key + 2 + struct.unpack_from("<H", page, key)[0]
        yield data, at + size


def main(source, target, *changes):
    raw = bytearray(open(source, "rb").read())
    page = lambda n: raw[(n + 1) * SIZE:(n + 2) * SIZE]
    order = {1: 1, 2: 2, 3: 3, 4: 4}

    def walk(number):
        order.setdefault(number, len(order) + 1)
        one = page(number)
        if struct.unpack_from("<I", one, 36)[0] & 2:
            return [number]
        return [leaf for data, _ in tags(one)
                for leaf in walk(struct.unpack_from("<I", one, data)[0])]

    roots = []
    for leaf in walk(4):
        for data, end in tags(page(leaf)):
            at = (leaf + 1) * SIZE + data
            record = raw[at:at + end - data]
            ends = struct.unpack_from("<H", record, 2)[0]
            if struct.unpack_from("<H", record, 8)[0] == 1:
                count = record[1] - 127
                first = struct.unpack_from("<H", record, ends)[0]
                name = record[ends + 2 * count:ends + 2 * count + first].decode()
                roots.append((at, name))
    objects = set()
    for at, name in roots:
        root = struct.unpack_from("<I", raw, at + 14)[0]
        if name in KEEP:
            objects.add(struct.unpack_from("<I", raw, at + 4)[0])
            walk(root)
            struct.pack_into("<I", raw, at + 14, order[root])
    for leaf in walk(4):
        for data, end in tags(page(leaf)):
            at = (leaf + 1) * SIZE + data
            if struct.unpack_from("<I", raw, at + 4)[0] not in objects:
                struct.pack_into("<H", raw, at + 8, 0)
    out = bytearray(raw[:2 * SIZE]) + bytearray(SIZE * len(order))
    for old, new in order.items():
        one = page(old)
        for at in (16, 20):
            struct.pack_into("<I", one, at, order.get(struct.unpack_from("<I", one, at)[0], 0))
        if not struct.unpack_from("<I", one, 36)[0] & 2:
            for data, _ in tags(one):
                child = struct.unpack_from("<I", one, data)[0]
                struct.pack_into("<I", one, data, order.get(child, 0))
        for change in changes:
            before, after = (text.encode("utf-16le") for text in change.split("=", 1))
            assert len(before) == len(after), change
            one = one.replace(before, after)
        total = new
        for word in struct.unpack("<1022I", one[8:]):
            total ^= word
        struct.pack_into("<I", one, 0, total)
        out[(new + 1) * SIZE:(new + 2) * SIZE] = one
    open(target, "wb").write(out)


main(*sys.argv[1:])
