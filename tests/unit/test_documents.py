"""Every command and code block in the documents is executed by a test, or is marked with the reason why none does."""

from __future__ import annotations

import ast
import re
import shlex
from dataclasses import dataclass

import click
import pytest
from support.documents import DOCUMENTS, MARK, Example, examples_in, examples_of
from support.paths import ROOT, TESTS

from broodmind.deploy.cli import cli


@dataclass(frozen=True)
class Claim:
    """A call of `documented` or `all_documented` in a test."""

    place: str
    document: str
    beginning: str

    def is_of(self, example):
        return (
            example.document == self.document
            and example.not_executed is None
            and example.text.startswith(self.beginning)
        )


def claims():
    for path in TESTS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"documented", "all_documented"}:
                place = f"{path.relative_to(ROOT)}:{node.lineno}"
                if not place.startswith("tests/support/documents.py"):  # where they are defined
                    arguments = [each.value for each in node.args if isinstance(each, ast.Constant)]
                    assert len(arguments) == 2, f"{place}: expected a document and a beginning, both as literals"
                    yield Claim(place, *arguments)


def executed(examples, claims):
    """The texts of the examples that are claimed. One that stands in several documents is executed once."""
    return {each.text for each in examples if any(claim.is_of(each) for claim in claims)}


def unexecuted(examples, claims):
    texts = executed(examples, claims)
    return [str(each) for each in examples if each.not_executed is None and each.text not in texts]


ALL = [each for document in DOCUMENTS for each in examples_in(document)]
CLAIMS = list(claims())


def test_every_example_is_executed_or_marked():
    assert not unexecuted(ALL, CLAIMS), (
        "expected a test that takes it by `documented` from support/documents.py and executes it, "
        "or <!-- not executed: REASON --> before its block"
    )


def test_no_example_is_marked_that_is_executed_after_all():
    texts = executed(ALL, CLAIMS)
    assert not [str(each) for each in ALL if each.not_executed is not None and each.text in texts]


def test_every_claim_is_of_an_example():
    assert not [claim for claim in CLAIMS if not any(claim.is_of(each) for each in ALL)]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_mark_has_the_right_form_and_stands_before_a_block(document):
    lines = [line for line in (ROOT / document).read_text().splitlines() if line.startswith("<!-- not ")]
    assert [line for line in lines if not MARK.fullmatch(line)] == []
    assert len(lines) == len({each.line for each in examples_in(document) if each.not_executed is not None})


TEXT = """
Two commands:

    first --a 1   # with a comment
    second \\
        --b 2

    # a comment
    third

<!-- not executed: it needs a
reason in one line -->

```python
import random

    indented = "in a block"
```

<!-- not executed: it needs Docker -->
```sh
docker 1

docker 2
```

<!-- not executed: of no block -->

A paragraph
    that goes on.

```console
$ fourth
its output
```
"""


def test_the_examples_of_a_text_are_its_commands_and_other_blocks():
    python = 'import random\n\n    indented = "in a block"\n'
    assert examples_of(TEXT, "a.md") == [
        Example("a.md", 4, "first --a 1"),
        Example("a.md", 4, "second --b 2"),
        Example("a.md", 4, "third"),
        Example("a.md", 14, python),
        Example("a.md", 21, "docker 1", "it needs Docker"),
        Example("a.md", 21, "docker 2", "it needs Docker"),
        Example("a.md", 32, "fourth"),
    ]


def test_an_example_that_is_neither_executed_nor_marked_is_found():
    found = [Claim("t.py:1", "a.md", "first"), Claim("t.py:2", "a.md", "import"), Claim("t.py:3", "b.md", "third")]
    assert unexecuted(examples_of(TEXT, "a.md"), found) == ["a.md:4: second --b 2", "a.md:4: third", "a.md:32: fourth"]


def test_an_example_in_two_documents_is_executed_once():
    both = [Example("a.md", 1, "up --x 1"), Example("b.md", 1, "up --x 1"), Example("b.md", 3, "up --x 2")]
    assert unexecuted(both, [Claim("t.py:1", "a.md", "up")]) == ["b.md:3: up --x 2"]


INLINE = [
    (document, " ".join(code.split()))
    for document in DOCUMENTS
    if document != "CHANGELOG.md"  # which also names what is no more
    for code in re.findall(r"(?<!`)`(broodmind [a-z][^`]*)`", (ROOT / document).read_text())
]


@pytest.mark.parametrize(("document", "code"), INLINE)
def test_a_command_within_a_sentence_has_a_known_name_and_known_options(document, code):
    name, *words = shlex.split(code)[1:]
    command = cli.get_command(click.Context(cli), name)
    assert command is not None, f"{document}: {code}"
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    known.add("--help")
    assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known
