"""A lesson file that is not as it must be is refused with its line; a program that fails gives no verdict."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wallsocket.lessons.catalogue import all_claims
from wallsocket.lessons.lesson import LessonError, parse
from wallsocket.lessons.play import play

LESSON = """# A lesson

```toml
minutes = 3
order = 1
```

Some text.

## X99 Two and two is four

```toml
expected = "true"
statement = "It is."

[question]
ask = "How much?"
because = "That is how it is."
answer = "total"

[seen]
total = "the sum"

[verdict]
"true" = "total == 4"
"wrong" = "total < 0"
```

```python
total = 2 + 2
```
"""


def _parsed(text: str):  # type: ignore[no-untyped-def]  # the claim
    return parse(text, Path("states/arithmetic.md"))


def test_a_lesson_is_read_and_played() -> None:
    lesson = _parsed(LESSON)
    assert (lesson.id, lesson.door, lesson.title, lesson.minutes) == ("arithmetic", "states", "A lesson", 3)
    (claim,) = lesson.claims
    assert (claim.id, claim.claim, claim.line) == ("X99", "Two and two is four", 10)
    run = play(claim)
    assert (run.verdict, run.seen, run.right_answer, run.failure) == ("true", {"total": 4}, "4", None)


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("# A lesson\n", "A lesson\n", 1, "before the heading"),
        ("minutes = 3", "minutes = ", 4, "Invalid value"),
        ("minutes = 3", "minutes = '3'", 4, "Expected `int`"),
        ("order = 1", "order = 1\nhours = 2", 6, "unknown field `hours`"),
        ("## X99 Two", "## Two", 10, "a claim is '## ID What is claimed'"),
        ('expected = "true"', 'expected = "right"', 13, "Invalid enum value 'right'"),
        ('expected = "true"', 'expected = "outdated"', 24, "no rule gives the expected verdict"),
        ('statement = "It is."\n', "", 13, "missing required field `statement`"),
        ("```python", "```pyhton", 29, "a block is toml, python"),
        ("```python", "```python name=x", 29, "file=NAME"),
        ("```python", "```python file=../x", 29, "file=NAME"),
        ("total = 2 + 2\n```\n", "total = 2 + 2\n", 29, "not closed"),
        ('"total == 4"', '"sum_of == 4"', 25, "sum_of is not in [seen]"),
        ('"total == 4"', '"total =! 4"', 25, "invalid syntax"),
        ('answer = "total"', "", 16, "several choices or an answer"),
        ("```python\ntotal = 2 + 2\n```\n", "", 13, "one block 'python', not 0"),
        ('total = "the sum"', 'len = "the sum"', 21, "may not use the names"),
    ],
)
def test_what_does_not_belong_is_refused_with_its_line(old: str, new: str, line: int, says: str) -> None:
    assert old in LESSON
    with pytest.raises(LessonError) as refused:
        _parsed(LESSON.replace(old, new, 1))
    assert says in str(refused.value)
    assert refused.value.line == line, str(refused.value)
    assert str(refused.value).startswith(f"states/arithmetic.md:{line}: ")


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("total = 2 / 0", "arithmetic.md:30: ZeroDivisionError: division by zero"),
        ("toatl = 4", "the program has no variable 'total'"),
        ("total = object()", "total is no plain value: object is none of"),
        ("total = 5", "no rule of this lesson fits what was seen"),
        ("total = '4' * 10; total < 3", "TypeError"),
        ("import os; os._exit(3)", "ended before the program did"),
        ("def f(:", "SyntaxError"),
        ("total = [1]", "TypeError: '<' not supported"),
    ],
)
def test_a_program_that_fails_gives_no_verdict(program: str, says: str) -> None:
    run = play(_parsed(LESSON.replace("total = 2 + 2", program)).claims[0])
    assert run.verdict == "unknown"
    assert run.failure is not None
    assert says in run.failure


@pytest.mark.parametrize("network", ["host", "none"])
def test_a_program_that_does_not_end_is_ended_with_all_it_started(network: str) -> None:
    # The child holds the pipe that the program prints to: it must be gone, too, for the run to end.
    program = "import subprocess, time; subprocess.Popen(['sleep', '60']); time.sleep(60)"
    text = LESSON.replace("total = 2 + 2", program)
    text = text.replace('expected = "true"', f'expected = "true"\nlimit_s = 0.7\nnetwork = "{network}"')
    started = time.monotonic()
    run = play(_parsed(text).claims[0])
    assert run.failure == "the program did not end within 0.7 s, and was ended"
    assert time.monotonic() - started < 30


def test_values_stay_what_they_are() -> None:
    program = "import socket, collections\n" \
        "total = {'b': b'\\x00\\xff', 't': (1, 2), 'f': socket.AF_INET, 's': {3, 1}, 'n': None}"  # fmt: skip
    text = LESSON.replace("total = 2 + 2", program).replace('"total == 4"', "\"total['b'] == b'\\\\x00\\\\xff'\"")
    run = play(_parsed(text).claims[0])
    assert run.failure is None
    assert run.seen["total"] == {"b": b"\x00\xff", "t": (1, 2), "f": 2, "s": [1, 3], "n": None}
    from wallsocket.lessons.text import plain

    assert json.loads(json.dumps(plain(run.seen["total"])))["b"] == r"b'\x00\xff'"


def test_programs_import_what_they_use(tmp_path: Path) -> None:
    """The lecture's own code is left as it is: those files are called ``printed…``."""
    for claim in all_claims():
        for block in claim.blocks:
            if block.kind in ("program", "file") and block.language == "python" and "printed" not in block.name:
                (tmp_path / f"{claim.id}-{block.name or 'program.py'}").write_text(block.text)
    words = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--no-cache",
        "--isolated",
        "--select",
        "F401,F811",
        "--output-format",
        "concise",
    ]
    done = subprocess.run([*words, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
