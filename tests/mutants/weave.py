"""Owns the weaving: one build that holds every mutant of a package, each asleep until a variable names it.
It must not decide what a mutant is (`cargo mutants` does), or run a test.

`a < b` becomes `if crate::mutant::is(7) { a > b } else { a < b }`, and so on. What stands where nothing can be asked
at run time (constants, chains of `let`), and what does not compile like this, is left out, and built on its own.
"""

import json
import re
import subprocess
from pathlib import Path

import tree_sitter
import tree_sitter_rust

PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_rust.language()))

# `MUTANT=<number>` wakes one. `MUTANT_REACHED=<file>` wakes none and writes down which ones a test comes by.
SWITCH = """//! Wakes one mutant, or writes down which ones are reached.
#![allow(missing_docs)]

use std::fs::File;
use std::io::Write as _;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

const COUNT: usize = %d;
static ACTIVE: LazyLock<u32> = LazyLock::new(|| match std::env::var("MUTANT") {
    Ok(number) => number.parse().expect("a number"),
    Err(_) if REACHED.is_some() => u32::MAX,
    Err(_) => 0,
});
static REACHED: LazyLock<Option<File>> = LazyLock::new(|| {
    let path = std::env::var("MUTANT_REACHED").ok()?;
    Some(File::options().create(true).append(true).open(path).expect("a file"))
});
static SEEN: [AtomicBool; COUNT] = [const { AtomicBool::new(false) }; COUNT];

#[inline]
pub fn is(number: u32) -> bool {
    let active = *ACTIVE;
    active == number || (active == u32::MAX && reached(number))
}

#[cold]
fn reached(number: u32) -> bool {
    if !SEEN[number as usize].swap(true, Ordering::Relaxed) {
        let mut file = REACHED.as_ref().expect("it was asked for");
        file.write_all(format!("{number}\\n").as_bytes()).expect("it can be written");
    }
    false
}
"""


class Mutant:
    """One mutation as `cargo mutants --list --json` tells it, with its place in bytes."""

    def __init__(self, number, told, text):
        self.number = number
        self.file = told["file"]
        self.name = told["name"]
        self.genre = told["genre"]
        self.replacement = told["replacement"]
        function = told.get("function") or {}
        self.function = function.get("function_name", "-")
        # One `impl` is one type, so another cannot be returned beside it.
        self.is_opaque = "impl " in function.get("return_type", "")
        lines = text.split("\n")
        starts = [0]
        for line in lines:
            starts.append(starts[-1] + len(line.encode()) + 1)

        def place(at):
            return starts[at["line"] - 1] + len(lines[at["line"] - 1][: at["column"] - 1].encode())

        self.start, self.end = place(told["span"]["start"]), place(told["span"]["end"])
        # What changes, without the place, which moves with every edit of the file.
        self.change = self.name.split(": ", 1)[1].removesuffix(f" in {self.function}")

    def alone(self, source):
        """The file with this mutation only."""
        return source[: self.start] + self.replacement.encode() + source[self.end :]


def is_constant(node):
    """Whether this is evaluated by the compiler, where no variable can be asked."""
    above = node
    while above is not None:
        if above.type in ("const_item", "static_item", "const_block", "array_type", "enum_variant"):
            return True
        if above.type == "function_item":
            modifiers = [child for child in above.children if child.type == "function_modifiers"]
            return any(b"const" in child.text for child in modifiers)
        above = above.parent
    return False


def encloses(outer, inner):
    """Whether a region holds another; of two in one place, the guard of an arm holds its expression."""
    if outer[:2] == inner[:2]:
        return outer[2] < inner[2]
    return outer[0] <= inner[0] and inner[1] <= outer[1]


class Weave:
    """The woven text of one file."""

    def __init__(self, source, mutants):
        self.source = source
        root = PARSER.parse(source).root_node
        self.regions, self.insertions, self.left_out = {}, {}, []
        for mutant in mutants:
            place = self.place(root, mutant)
            if place is None:
                self.left_out.append(mutant)
            elif isinstance(place, tuple):
                self.regions.setdefault(place, []).append(mutant)
            else:
                self.insertions.setdefault(place, []).append(mutant)

    def place(self, root, mutant):
        node = root.descendant_for_byte_range(mutant.start, mutant.end)
        if node is None or is_constant(node):
            return None
        if mutant.genre == "FnValue":
            return None if mutant.is_opaque else mutant.start
        if mutant.genre in ("BinaryOperator", "UnaryOperator"):
            node = root.descendant_for_byte_range(mutant.start, mutant.start + 1).parent
            kinds = ("binary_expression", "compound_assignment_expr", "unary_expression")
            return (node.start_byte, node.end_byte, 1) if node.type in kinds else None
        if mutant.genre == "StructField":
            while node is not None and node.type != "struct_expression":
                node = node.parent
            return (node.start_byte, node.end_byte, 1) if node is not None else None
        if mutant.genre == "MatchArmGuard":
            plain = b"let " not in self.source[mutant.start : mutant.end]
            return (mutant.start, mutant.end, 0) if plain else None
        if mutant.genre == "MatchArm":
            while node is not None and node.type != "match_arm":
                node = node.parent
            pattern = node.child_by_field_name("pattern") if node is not None else None
            return pattern.end_byte if pattern is not None else None
        return None

    def render(self):
        return self.between(0, len(self.source), None)

    def between(self, start, end, within):
        """The woven text from here to there."""
        inner = [r for r in self.regions if start <= r[0] and r[1] <= end and (within is None or encloses(within, r))]
        tops = [r for r in inner if not any(encloses(o, r) for o in inner)]
        pieces, at = [], start
        for region in sorted(tops):
            pieces += [self.plain(at, region[0]), self.region(region)]
            at = region[1]
        pieces.append(self.plain(at, end))
        return b"".join(pieces)

    def plain(self, start, end):
        """Text without regions; what is inserted at its end belongs to it, so that it precedes a region that begins there."""
        pieces, at = [], start
        for place in sorted(p for p in self.insertions if start < p <= end):
            pieces.append(self.source[at:place])
            at = place
            for mutant in self.insertions[place]:
                number = mutant.number
                if mutant.genre == "MatchArm":
                    text = f" if /*<{number}*/ !crate::mutant::is({number}) /*{number}>*/"
                else:
                    text = f"if crate::mutant::is({number}) {{ /*<{number}*/ return {mutant.replacement}; /*{number}>*/ }}\n"
                pieces.append(text.encode())
        pieces.append(self.source[at:end])
        return b"".join(pieces)

    def region(self, region):
        mutants = self.regions[region]
        woven = self.between(*region[:2], region)
        if mutants[0].genre == "MatchArmGuard":
            always = [m.number for m in mutants if m.replacement == "true"]
            never = [m.number for m in mutants if m.replacement == "false"]
            text = b"(" + b"".join(b"crate::mutant::is(%d) || " % n for n in always)
            return text + b"(" + b"".join(b"!crate::mutant::is(%d) && " % n for n in never) + b"(" + woven + b")))"
        text = b"("
        for mutant in mutants:
            before, after = self.source[region[0] : mutant.start], self.source[mutant.end : region[1]]
            replaced = before + mutant.replacement.encode() + after
            number = mutant.number
            text += b"if crate::mutant::is(%d) { /*<%d*/ %s /*%d>*/ } else " % (number, number, replaced, number)
        first = mutants[0].number
        return text + b"{ /*[%d*/ " % first + woven + b" /*%d]*/ })" % first

    def drop(self, numbers):
        """Leaves these out."""
        for places in (self.regions, self.insertions):
            for place, mutants in list(places.items()):
                self.left_out += [m for m in mutants if m.number in numbers]
                places[place] = [m for m in mutants if m.number not in numbers]
                if not places[place]:
                    del places[place]


def blamed(text, start, end, weave):
    """The numbers of the mutants that an error at this place of a woven file is about, and whether one of them itself is
    wrong, not that it is woven."""
    best, numbers = None, set()
    for mutants in list(weave.regions.values()) + list(weave.insertions.values()):
        for mutant in mutants:
            opened, closed = text.find(b"/*<%d*/" % mutant.number), text.find(b"/*%d>*/" % mutant.number)
            if opened <= start and end <= closed + 8 and opened >= 0:
                return {mutant.number}, True
    for mutants in weave.regions.values():
        first = mutants[0].number
        opened, closed = text.find(b"/*[%d*/" % first), text.find(b"/*%d]*/" % first)
        whole = text.find(b"crate::mutant::is(%d)" % first)
        if whole >= 0 and whole - 4 <= start and end <= closed + 10:
            if best is None or whole > best:
                best, numbers = whole, {m.number for m in mutants}
    if not numbers:
        # The least around it that holds any.
        node = PARSER.parse(text).root_node.descendant_for_byte_range(start, end)
        while node is not None and not numbers:
            numbers = {int(number) for number in re.findall(rb"/\*<(\d+)\*/", text[node.start_byte : node.end_byte])}
            node = node.parent
    return numbers, False


def weave(package, mutants, libraries, packages, environment, said=print):
    """Weaves these into the files of these libraries until they compile; and which of them cannot compile at all, with the error."""
    weaves, errors = {}, {}
    for file in sorted({m.file for m in mutants}):
        weaves[file] = Weave((package / file).read_bytes(), [m for m in mutants if m.file == file])
    for library in libraries:
        (package / library / "mutant.rs").write_text(SWITCH % (max(m.number for m in mutants) + 1))
        file = package / library / "lib.rs"
        text = file.read_text().replace("\npub mod ", "\npub mod mutant;\npub mod ", 1)
        file.write_text(text.replace("\n\n", "\n#![allow(warnings)]\n\n", 1))
    for turn in range(40):
        texts = {file: woven.render() for file, woven in weaves.items()}
        for file, text in texts.items():
            (package / file).write_bytes(text)
        command = ["cargo", "test", "--no-run", *packages, "--lib", "--message-format=json", "--quiet"]
        result = subprocess.run(command, cwd=package, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if result.returncode == 0:
            return weaves, errors
        dropped, strange = set(), []
        for line in result.stdout.splitlines():
            told = json.loads(line)
            message = told.get("message") or {}
            if told.get("reason") != "compiler-message" or message.get("level") != "error":
                continue
            code = (message.get("code") or {}).get("code", "")
            found = set()
            for span in (s for s in message["spans"] if s["is_primary"]):
                if span["file_name"] in weaves:
                    file = span["file_name"]
                    numbers, is_wrong = blamed(texts[file], span["byte_start"], span["byte_end"], weaves[file])
                    found |= numbers
                    if is_wrong:
                        errors.update(dict.fromkeys(numbers, code))
            if not found:
                strange.append(message["rendered"])
            dropped |= found
        if not dropped:
            raise SystemExit("failed to weave:\n" + "\n".join(strange[:5]) + result.stderr.decode()[-2000:])
        said(f"  turn {turn + 1}: {len(dropped)} do not compile when woven")
        for woven in weaves.values():
            woven.drop(dropped)
    raise SystemExit("failed to weave: too many turns")
