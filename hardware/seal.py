"""JSON files that carry their own hash: every bit of the file is under it, those of the hash included.

A hash shows damage. It does not show who wrote the file: whoever changes it can compute another one.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

KEY = "sha256"
BLANK = "0" * 64


def seal(text: str) -> str:
    """Return the text with its hash in place of `BLANK`.

    Args:
        text: of a JSON object whose member `KEY` is `BLANK`.
    """
    return text.replace(BLANK, _hash(text.encode()), 1)


def is_intact(raw: bytes, content: Mapping[str, Any]) -> bool:
    """Return whether a file is what `seal` made of it, to the last bit.

    Args:
        raw: the file.
        content: what it says, which has a member `KEY`.
    """
    stated = content[KEY]
    if not isinstance(stated, str) or not re.fullmatch("[0-9a-f]{64}", stated) or raw.count(stated.encode()) != 1:
        return False
    return _hash(raw.replace(stated.encode(), BLANK.encode())) == stated


def _hash(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()
