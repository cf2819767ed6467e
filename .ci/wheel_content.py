# SPDX-License-Identifier: MIT
"""What a wheel must hold, and what its page on the index must not: links into a checkout."""

from __future__ import annotations

import email
import re
import sys
import zipfile

NEEDED = (
    "pydarts/__init__.py",
    "pydarts/_core.pyi",
    "pydarts/py.typed",
    "pydarts/spaces/ready.json",
    "pydarts/include/pydarts.h",
    "pydarts/share/cmake/pydarts/pydartsConfig.cmake",
)
MOST_BYTES = 20 << 20

with zipfile.ZipFile(sys.argv[1]) as wheel:
    names = wheel.namelist()
    sizes = {info.filename: info.file_size for info in wheel.infolist()}
    size = sum(info.compress_size for info in wheel.infolist())
    (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
    page = email.message_from_bytes(wheel.read(metadata))
missing = [name for name in NEEDED if name not in names]
assert not missing, f"{missing} are missing"
others = {name.split("/")[0] for name in names} - {"pydarts"}
assert all(re.fullmatch(r"pydarts_nas-[\w.]+\.(dist-info|libs)", name) for name in others), others
assert size < MOST_BYTES, f"{size:,} bytes"
assert page["License-Expression"] == "MIT", page["License-Expression"]
assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
text = str(page.get_payload())
links = re.findall(r"\]\((?!https?:)[^)]*\)|(?:src|href)=\"(?!https?:)[^\"]*", text)
assert "# pydarts" in text and not links, links
cores = [name for name in names if re.fullmatch(r"pydarts/_core\.[\w.-]+\.(so|pyd)", name)]
assert len(cores) == 1, cores
print(f"wheel: {size:,} bytes packed, {len(names)} files; {cores[0]}: {sizes[cores[0]]:,} bytes")
