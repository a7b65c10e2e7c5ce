"""Log lines: a sentence, then fields that a program can take apart again."""

from __future__ import annotations

import json
import logging
import re

import pytest

from broodmind.common.process.log import Log, format_fields

FIELD = re.compile(r' (\w+)=("(?:[^"\\]|\\.)*"|\S+)')


@pytest.mark.parametrize(
    "value",
    [
        "plain",
        "exit code 1",
        'a "quoted" word',
        "a=b",
        "",
        "two\nlines",
        "\x1b]0;title\x07",
        "C:\\games",
        "π",
        "\x7f \x9b",
        1.5,
        None,
    ],
)
def test_fields_can_be_parsed_from_their_line(value):
    line = format_fields({"before": 1, "value": value, "after": "x"})
    found = {name: json.loads(raw) if raw.startswith('"') else raw for name, raw in FIELD.findall(line)}
    assert found == {"before": "1", "value": str(value), "after": "x"}
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", line)


def test_a_plain_value_is_written_as_it_is():
    assert format_fields({"actor": "a-000", "steps": 7}) == " actor=a-000 steps=7"


def test_an_event_is_its_sentence_and_its_fields(caplog):
    with caplog.at_level(logging.INFO, "broodmind"):
        Log("learner").info("version published", version=7, by="learner 1")
    assert caplog.messages == ['version published version=7 by="learner 1"']
