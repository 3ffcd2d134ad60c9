"""Texts use plain words: each pattern here made readers stumble, and has a better one beside it.

Names of tests are texts too, and a text continues over the ends of its lines.
"""

import re
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
BETTER = {
    r"\b(un)?told\b": "sent, shown, said",
    r"\btells? (people|you|nobody|whom)\b": "sends to, says",
    r"\bmeanwhile\b": "until then, at the same time, since",
    r"\b(go|goes|going|went) on\b": "continue, still",
    r"\bwhoever\b": "who, everybody who",
    r"\bthe one before\b": "the earlier one",
    r"\b(the )?release before\b(?! [a-z])": "the earlier release",
    r"\bbegun\b": "started",
    r", say\b(?! )": "such as, for example",
    r"\bhalf an? (hour|minute)\b": "30 minutes, 30 s",
    r"\bto be had\b": "available",
    r"\bas good as\b": "almost",
    r"\banew\b": "again",
    r"\bforetell": "show what would change",
    r"\b(for want of|in vain)\b": "for lack of, without success",
    r"\btells? of\b": "shows, exports",
    r"\bof today\b": "current",
    r"\bnothing of both\b": "neither",
}
IGNORED = re.compile(r"(^|/)(vendor/|LICENSE|test_words\.py)|\.(lock|png|svg|ico)$|package-lock")


def texts():
    """Return each file of the repository that people read, and its text."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in sorted(listed.stdout.splitlines()):
        path = REPOSITORY / name
        if path.is_file() and not path.is_symlink() and not IGNORED.search(name):
            yield name, path.read_text(errors="replace")


def found_in(text):
    """Return the number of the line, the words and what is better, for each pattern found."""
    # The same length, so that the place of what is found is its place in the text.
    prose = re.sub(r"\bdef test_\w+", lambda name: name[0].replace("_", " "), text)
    prose = re.sub(r"\n *(#|//)?", lambda end: " " * len(end[0]), prose)
    for pattern, better in BETTER.items():
        for found in re.finditer(pattern.replace(" ", " +"), prose, re.IGNORECASE):
            yield text.count("\n", 0, found.start()) + 1, found[0], better


def test_a_pattern_is_found_in_names_and_over_the_end_of_a_line():
    text = "def test_counts_go_on():\n    # Alerts go\n    # on.\n"
    assert [line for line, *_ in found_in(text)] == [1, 2]


def test_texts_use_plain_words():
    found = [
        f"{name}:{line}: {words} (better: {better})"
        for name, text in texts()
        for line, words, better in found_in(text)
    ]
    assert not found, "\n".join(found)
