"""Text that learners wrote, as a terminal or a page may show it.

Trusts nothing in it, and that a page's template escapes it.
"""

import re
import unicodedata

MOST_TEXT = 20_000  # characters of one output
MOST_LINES = 500
LONGEST_LINE = 2_000

COLOUR = re.compile(r"\x1b\[[0-9;]*m")

# Lines, and the joiners that emoji and some scripts are written with.
KEPT = "\n\t\u200c\u200d"


def visible(text: str) -> str:
    """`text` on one line, with every character that a terminal or a page would obey
    rather than show written out."""
    return characters(text, keep="")


def plain(text: str) -> str:
    """`text` of several lines, cut to a size a page bears; colours are dropped, other
    control characters written out."""
    cut = len(text) > MOST_TEXT
    text = COLOUR.sub("", text[:MOST_TEXT]).replace("\r\n", "\n")
    lines = text.split("\n")
    cut |= len(lines) > MOST_LINES or any(len(line) > LONGEST_LINE for line in lines)
    lines = [line[:LONGEST_LINE] for line in lines[:MOST_LINES]]
    text = characters("\n".join(lines), KEPT)
    return f"{text.rstrip()}\n… cut" if cut else text


def characters(text: str, keep: str) -> str:
    """`text` with what would be obeyed written out, but for what is in `keep`."""
    return "".join(
        each if each in keep or _harmless(each) else _written_out(each) for each in text
    )


def _harmless(character: str) -> bool:
    # Cc: control; Cf: format, where the bidirectional ones are; Cs: half a character;
    # Zl, Zp: line ends that only some programs see.
    return unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp")


def _written_out(character: str) -> str:
    number = ord(character)
    if number < 32:
        return chr(0x2400 + number)  # the picture of a control character
    return "␡" if number == 127 else f"⟨U+{number:04X}⟩"
