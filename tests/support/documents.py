"""The examples in the documents, for the tests that execute them, and the marks of those that no test executes.

An example is one command, or one block of anything else. Indented blocks and those fenced as `sh` have a command in
each line (a backslash at its end continues it, `#` begins a comment); those fenced as `console` have one after each
`$ `, and its output. Every other fenced block is an example as a whole. A comment before a block marks it as not
executed:

    <!-- not executed: it needs Docker -->
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from support.paths import ROOT

DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/*.md", "deploy/*.md", "benchmarks/*.md", "tests/*/*.md")
    for path in ROOT.glob(pattern)
)
MARK = re.compile(r"<!-- not executed: (.+) -->")


@dataclass(frozen=True)
class Example:
    document: str  # relative to the repository's root
    line: int  # where its block begins
    text: str
    not_executed: str | None = None  # why

    def __str__(self) -> str:
        return f"{self.document}:{self.line}: {self.text.splitlines()[0]}"


def examples_of(text: str, document: str = "") -> list[Example]:
    """All examples in the text of a document."""
    lines = text.splitlines()
    found: list[Example] = []
    reason, number = None, 0
    while number < len(lines):
        line, end = lines[number], number + 1
        if line.startswith("```"):
            while lines[end] != "```":
                end += 1
            parts = _parts(line.removeprefix("```"), lines[number + 1 : end])
            end += 1
        elif line.startswith("    ") and not lines[number - 1]:
            while end < len(lines) and (lines[end].startswith("    ") or not lines[end]):
                end += 1
            parts = _parts("sh", [each[4:] for each in lines[number:end]])
        else:
            if line:
                mark = MARK.fullmatch(line)
                reason = mark[1] if mark else None
            number = end
            continue
        found += [Example(document, number + 1, part, reason) for part in parts]
        reason, number = None, end
    return found


def _parts(language: str, block: list[str]) -> list[str]:
    if language == "console":
        return [line[2:] for line in block if line.startswith("$ ")]
    whole = "\n".join(block)
    if language != "sh":
        return [whole + "\n"]
    lines = re.sub(r" *\\\n *", " ", whole).splitlines()
    commands = [re.sub(r"(^|\s+)# .*", "", line) for line in lines]
    return [command for command in commands if command]


def examples_in(document: str) -> list[Example]:
    return examples_of((ROOT / document).read_text(), document)


def all_documented(document: str, beginning: str) -> list[str]:
    """The examples in a document that begin so, for a test that executes all of them.

    A call counts as the promise that the test does: `tests/unit/test_documents.py` looks for the calls. It reads their
    arguments in the source, so these must be literals.
    """
    texts = [each.text for each in examples_in(document) if each.not_executed is None]
    found = list(dict.fromkeys(text for text in texts if text.startswith(beginning)))
    assert found, f"{document}: no example begins with {beginning!r}"
    return found


def documented(document: str, beginning: str) -> str:
    """The example in a document that begins so, and is the only one."""
    found = all_documented(document, beginning)
    assert len(found) == 1, f"{document}: {found} begin with {beginning!r}, expected one"
    return found[0]


def replaced(text: str, names: dict[str, str]) -> str:
    """The text with a test's own names (of a server, a run, a file) in the place of those in a document."""
    for documents_own, tests_own in names.items():
        assert documents_own in text, f"{text}: no {documents_own!r}"
        text = text.replace(documents_own, tests_own)
    return text
