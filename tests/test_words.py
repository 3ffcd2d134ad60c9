"""Texts use plain words: each pattern here made readers stumble, and has a better one beside it."""

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
}
IGNORED = re.compile(r"(^|/)(vendor/|LICENSE|test_words\.py)|\.(lock|png|svg|ico)$|package-lock")


def texts():
    """Return each file of the repository that people read, with its lines."""
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
            yield name, path.read_text(errors="replace").splitlines()


def test_texts_use_plain_words():
    found = [
        f"{name}:{number}: {line.strip()[:90]} (better: {better})"
        for name, lines in texts()
        for number, line in enumerate(lines, 1)
        for pattern, better in BETTER.items()
        if re.search(pattern, line, re.IGNORECASE)
    ]
    assert not found, "\n".join(found)
