"""The names under which learners are known here: safe as folders, and for good."""

import hashlib
import os
import re
import unicodedata

# Names that Windows keeps to itself.
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?")


def safe_id(name: str) -> str:
    """A folder name for the learner called `name`: the same name always gives the same
    id, and two names never give one, on any file system and in any spelling.

    A short name of small letters, digits and `. _ @ -` stays; of another, what is
    readable stays, followed by a hash of the name.
    """
    plain = re.fullmatch(r"[a-z0-9]([a-z0-9._@-]{0,62}[a-z0-9])?", name)
    marked = re.search(r"-[0-9a-f]{12}$", name)
    if plain and not marked and ".." not in name and not RESERVED.fullmatch(name):
        return name
    letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "-", letters.lower())[:40].strip("-") or "student"
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:12]
    return f"{slug}-{digest}"
