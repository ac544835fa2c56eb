"""From what somebody sees to the rules that speak of it.

A question is what people type: a sentence ("my program hangs"), an error's text ("connection reset by peer"), its name
(``ECONNRESET``) or its number (``errno 104``). Words weigh more the fewer rules use them, and words that mean the same
count as one; an error is one thing, however it is written.
"""

from __future__ import annotations

import errno
import math
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from typing import Final

from .finding import CERTAINTIES, SEVERITIES
from .rule import Rule

__all__ = ["errnos", "search"]

#: Words that say nothing about the fault.
_IDLE: Final = frozenset(
    "a after again all although always an and app application are as at be been but by can code does do error errors exception "
    "failed fails failure for from get gets getting got has have i if in into is it its just keeps my not now of often on "
    "only or our out problem program python script server service socket sockets some sometimes that the their then there "
    "they this to too very was we what when where which why will with you your".split()
)
#: What people call one thing: the first word stands for all.
_ALIKE: Final = (
    "hang hangs hung hanging stuck block blocks blocked blocking freeze freezes frozen deadlock forever stalls stall",
    "slow slowly latency delay delays delayed lag pause takes",
    "lose lost loss losing missing vanish vanishes disappear dropped drops drop",
    "cut truncated incomplete partial half short",
    "container docker podman kubernetes namespace",
    "datagram datagrams udp",
    "late timeout timeouts timed timedout",
    "close closes closed closing",
    "connect connects connecting connection connections connected",
    "dns lookup resolver resolution getaddrinfo name",
    "leak leaks grow grows growing pile",
    "100 cpu spin spins busy loop",
    "ipv6 inet6",
    "multicast group igmp",
)
_MEANING: Final = {word: line.split()[0] for line in _ALIKE for word in line.split()}
#: Weights of a word in what people see, in the name and title, and elsewhere on the rule's page.
_SEEN, _NAMED, _TOLD = 4.0, 3.0, 1.0
#: The share of a question's weight that a rule must speak of.
_COVERED: Final = 0.5
#: What it adds to a rule that a symptom of it is the question to the letter, in meaning, or as an error; that one is a part of
#: the other; and that its title has it.
_SAME_TEXT, _SAME_MEANING, _PART_OF_IT, _IN_TITLE = 18.0, 16.0, 10.0, 0.5
#: What each symptom before it takes away: the first ones are what people see first.
_LATER: Final = 0.5
#: Words that the text of an error has at most; a symptom of more says when it happens.
_BARE_ERROR_WORDS: Final = 3
#: The share of the best rule's score below which a rule is not shown.
_KEPT: Final = 0.2
#: Two names of one number, and the one that stands here (errno(3)).
_SECOND_NAMES: Final = {"EWOULDBLOCK": "EAGAIN", "ENOTSUP": "EOPNOTSUPP"}


#: The classes that Python gives an error of one number (built-in exceptions, OSError).
_CLASSES: Final[dict[str, type[OSError]]] = {
    "EPIPE": BrokenPipeError,
    "ECONNRESET": ConnectionResetError,
    "ECONNREFUSED": ConnectionRefusedError,
    "EAGAIN": BlockingIOError,
    "EINTR": InterruptedError,
}


@cache
def _names_of_texts() -> tuple[re.Pattern[str], dict[str, str]]:
    """A pattern for the texts of errors (strerror(3)) and their classes in Python, and their names."""
    texts = {os.strerror(number).lower(): name for number, name in errno.errorcode.items()}
    texts |= {"address family not supported": "EAFNOSUPPORT", "can't assign requested address": "EADDRNOTAVAIL"}
    texts |= {kind.__name__.lower(): name for name, kind in _CLASSES.items()}
    del texts["protocol error"]  # of any protocol, in what people say
    longest_first = sorted((text for text in texts if " " in text or text.endswith("error")), key=len, reverse=True)
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, longest_first))})\b"), texts


@lru_cache(8192)
def _errors(text: str) -> frozenset[str]:
    """The names of the errors that a text speaks of: by name, by number, by their text, by their class."""
    found = {name for name in re.findall(r"\bE[A-Z0-9]{3,}\b", text) if hasattr(errno, name)}
    numbers = map(int, re.findall(r"(?i)errno\W{0,3}(\d{1,4})\b", text))
    found |= {errno.errorcode[number] for number in numbers if number in errno.errorcode}
    pattern, names = _names_of_texts()
    found |= {names[said] for said in pattern.findall(text.lower())}
    return frozenset(_SECOND_NAMES.get(name, name) for name in found)


def errnos(rule: Rule) -> list[str]:
    """The errors of which a rule's symptoms speak, by name, sorted."""
    return sorted({name for symptom in rule.symptoms for name in _errors(symptom)})


@lru_cache(8192)
def _words(text: str) -> tuple[str, ...]:
    found = []
    for word in re.findall(r"[a-z0-9_:.]+(?:-[a-z0-9_]+)*", text.lower()):
        bare = word.strip(".:")
        bare = bare.removesuffix("ms") if bare[:-2].isdecimal() and bare.endswith("ms") else bare
        if bare and bare not in _IDLE:
            found.append(_MEANING.get(bare) or _MEANING.get(_stem(bare)) or _stem(bare))
    return tuple(found)


def _stem(word: str) -> str:
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 4 and word.isalpha():
            return word.removesuffix(ending).removesuffix("e")
    return word.removesuffix("e") if len(word) > 4 and word.isalpha() else word


def _fields(rule: Rule) -> Iterator[tuple[float, str]]:
    yield _SEEN, " ; ".join(rule.symptoms)
    yield _NAMED, f"{rule.id} {rule.id.replace('-', ' ')} {rule.title}"
    yield _TOLD, f"{rule.sentence} {rule.proof} {rule.fix}"


def search(rules: Sequence[Rule], question: str) -> list[Rule]:
    """Rules that fit what somebody sees, the best first; among those that fit alike in the order given."""
    wanted = _words(question)
    errors = _errors(question) | _errors(question.upper())
    tables = [{word: weight for weight, text in reversed([*_fields(rule)]) for word in _words(text)} for rule in rules]
    used = Counter(word for table in tables for word in table)
    rarity = {word: math.log((len(rules) + 1) / (used[word] + 0.5)) for word in wanted}
    whole = sum(rarity.values())
    scored = []
    for place, (rule, table) in enumerate(zip(rules, tables, strict=True)):
        said = _says(rule, question, errors)
        covered = sum(rarity[word] for word in rarity if word in table)
        if not (said or (whole and covered >= _COVERED * whole)):
            continue
        weight = sum(rarity[word] * table[word] for word in rarity if word in table) / whole if whole else 0.0
        mildness = 0.2 * SEVERITIES.index(rule.severity) + 0.1 * CERTAINTIES.index(rule.certainty)
        scored.append((weight + said - mildness, place, rule))
    best = max((score for score, _, _ in scored), default=0.0)
    kept = [entry for entry in scored if entry[0] >= _KEPT * best]
    return [rule for _, _, rule in sorted(kept, key=lambda entry: (-round(entry[0], 6), entry[1]))]


def _says(rule: Rule, question: str, errors: frozenset[str]) -> float:
    """How clearly one of the symptoms is the question."""
    phrase = " ".join(_words(question))
    in_title = _IN_TITLE if phrase and f" {phrase} " in f" {' '.join(_words(rule.title))} " else 0.0
    best = 0.0
    for position, symptom in enumerate(rule.symptoms):
        words = " ".join(_words(symptom))
        if question.strip().lower() == symptom.lower():
            said = _SAME_TEXT
        elif phrase and words == phrase:
            said = _SAME_MEANING
        elif errors & _errors(symptom):
            said = _SAME_MEANING if len(words.split()) <= _BARE_ERROR_WORDS else _PART_OF_IT
        elif words and phrase and (f" {phrase} " in f" {words} " or (" " in words and f" {words} " in f" {phrase} ")):
            said = _PART_OF_IT
        else:
            continue
        best = max(best, said - _LATER * position)
    return best + in_title
