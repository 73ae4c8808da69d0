#!/usr/bin/env python3
"""Make src/services/plugins/words/fold_table.inc: how the word filter folds characters before it compares.

    python3 tools/make_fold_table.py Unihan_Variants.txt[.bz2] >src/services/plugins/words/fold_table.inc

Needs the Unihan database (Debian's unicode-data has it in /usr/share/unicode; made with Unicode 15.0 and Python 3.11, whose own
character data is 14.0). Three steps, each to one character: compatibility (NFKC: full width, circled, mathematical letters), lower
case, traditional to simplified (kSimplifiedVariant, followed to its end). What is white space, punctuation, a symbol, a control or format
character or a combining mark is skipped in matching: ranges of those come second.
"""
import bz2
import sys
import unicodedata

SKIPPED = ("Z", "P", "S", "M")


def simplified_variants(path):
    opener = bz2.open if path.endswith(".bz2") else open
    variants = {}
    with opener(path, "rt", encoding="utf-8") as file:
        for line in file:
            if line.startswith("#") or "\tkSimplifiedVariant\t" not in line:
                continue
            source, _, targets = line.rstrip("\n").split("\t")
            source = int(source[2:], 16)
            targets = [int(t.split("<")[0][2:], 16) for t in targets.split()]
            others = [t for t in targets if t != source]
            if others:
                variants[source] = others[0]
    return variants


def fold(code, variants):
    text = unicodedata.normalize("NFKC", chr(code)).lower()
    if len(text) != 1:
        return code
    folded = ord(text)
    for _ in range(8):  # no chain is longer; a circle would end too
        if folded not in variants:
            break
        folded = variants[folded]
    return folded


def skipped(code):
    category = unicodedata.category(chr(code))
    return category[0] in SKIPPED or category in ("Cc", "Cf")


def main():
    variants = simplified_variants(sys.argv[1])
    codes = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    ignored = {c for c in codes if skipped(c)}
    pairs = [(c, fold(c, variants)) for c in codes if c not in ignored]
    # What folds to something skipped would be neither: it stays itself.
    pairs = [(c, f) for c, f in pairs if f != c and f not in ignored]
    # Symbols that stand for one letter or digit are read as it: circled and squared forms.
    for code in sorted(ignored):
        folded = fold(code, variants)
        if folded != code and folded not in ignored:
            pairs.append((code, folded))
            ignored.discard(code)
    # Runs of the same distance (full width, mathematical alphabets) take one row: first, last and the target of the first.
    rows = []
    for code, folded in sorted(pairs):
        if rows and rows[-1][1] + 1 == code and folded - code == rows[-1][2] - rows[-1][0]:
            rows[-1][1] = code
        else:
            rows.append([code, code, folded])
    ranges = []
    for code in sorted(ignored):
        if ranges and ranges[-1][1] + 1 == code:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    print("// Made by tools/make_fold_table.py; do not edit. Derived from the Unicode Character Database and the Unihan database,")
    print("// (c) 1991-2022 Unicode, Inc., under the Unicode licence (docs/dependencies.md).")
    print("// {first, last, what first folds to}; the distance is the same in the whole row.")
    print_rows("constexpr FoldRow kFolds[] = {", ["{%d,%d,%d}" % tuple(r) for r in rows])
    print("// {first, last} that are skipped.")
    print_rows("constexpr SkipRow kSkips[] = {", ["{%d,%d}" % tuple(r) for r in ranges])


def print_rows(head, items):
    print(head)
    line = ""
    for item in items:
        if len(line) + len(item) > 150:
            print(line)
            line = ""
        line += item + ","
    print(line)
    print("};")


main()
