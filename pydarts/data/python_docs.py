# SPDX-License-Identifier: MIT
"""The language reference that comes with Python, as a corpus to try things on."""

from __future__ import annotations


def read_python_docs() -> tuple[str, str, str]:
    """Return training, validation and test text, with each topic as a whole in one of them.

    Raises
    ------
    ImportError
        If this Python comes without its documentation.
    """
    try:
        from pydoc_data.topics import topics  # some distributions leave it out
    except ImportError as error:
        raise ImportError(
            "the corpus 'python-docs' is Python's own documentation, which this Python comes"
            " without: give a file, a folder or a text"
        ) from error
    seen: set[str] = set()
    parts: tuple[list[str], ...] = ([], [], [])
    sizes, total = [0, 0, 0], 0
    for topic in sorted(topics):
        fresh: list[str] = []
        for paragraph in topics[topic].split("\n\n"):
            words = " ".join(paragraph.split())
            if words and words not in seen:
                seen.add(words)
                fresh.append(paragraph.strip("\n"))
        if not fresh:
            continue
        text = "\n\n".join(fresh) + "\n\n"
        total += len(text)
        # To the part that is furthest below its share.
        behind = [tenths * total - 10 * size for tenths, size in zip((8, 1, 1), sizes, strict=True)]
        part = behind.index(max(behind))
        parts[part].append(text)
        sizes[part] += len(text)
    train, valid, test = map("".join, parts)
    return train, valid, test
