# SPDX-License-Identifier: MIT
"""What every operation of a space costs on this processor, and what networks of them cost."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from pydarts import _core
from pydarts.common.checks import integer
from pydarts.common.environment import environment
from pydarts.common.errors import ArgumentError
from pydarts.common.files import check_free, read_described, write_json
from pydarts.costs.counts import Counts, count_fixed, count_network, count_operation
from pydarts.costs.measured import Timing, measure_fixed, measure_genotypes, measure_places
from pydarts.costs.native import native
from pydarts.costs.shape import NetworkShape, Place, as_size, places
from pydarts.costs.table import CostTable, table_of
from pydarts.engine.network import resolve_threads
from pydarts.spaces.darts import Genotype
from pydarts.spaces.ready import as_space
from pydarts.spaces.space import Space

FORMAT: Final = "pydarts-profile"
VERSION: Final = 1
MIN_REPEATS: Final = 30
PROFILE: Final = "profile.json"
_WHOLE_REPEATS = 15  # of networks that serve as context

#: Cell, operation and stride, of which all sizes have the same factor; None: the fixed parts.
Group = tuple[str, str, int] | None


@dataclass(frozen=True, eq=False, repr=False)
class Profile:
    """The latency of every operation of a space where it stands in a network of some shape.

    Attributes
    ----------
    space : Space
    shape : NetworkShape
        Image size, channels, cells, classes, channels of the images, stem.
    batch, threads : int
        With which all was measured.
    timings : dict of Place to Timing
        Seconds of each operation by itself: median and quartiles.
    fixed : Timing
        Of the network without operations: stem, preprocessing, residual blocks and classifier.
    stem : Timing
        Of these the stem, with a classifier of its channels.
    factors : dict
        What an operation costs in networks over what it costs alone, by cell, operation and stride;
        under None that of the fixed parts. All 1 where plain sums predict best.
    networks : int
        Random networks that were measured for these factors.
    error : float or None
        Mean relative error of the latencies of these, each predicted from the others.
    environment : dict
        Processor, instruction set, versions.
    """

    space: Space
    shape: NetworkShape
    batch: int
    threads: int
    timings: Mapping[Place, Timing]
    fixed: Timing
    stem: Timing
    factors: Mapping[Group, float]
    networks: int
    error: float | None
    environment: Mapping[str, Any]

    @property
    def latency(self) -> CostTable:
        """The seconds of a network as a table over edges and operations."""
        return table_of(self.space, self._native().latency())

    def _native(self) -> _core.Profile:
        factors = {group: factor for group, factor in self.factors.items() if group is not None}
        return _core.Profile(
            native(self.space),
            self.shape.sizes,
            list(self.timings.items()),
            self.fixed,
            self.factors.get(None, 1.0),
            factors,
        )

    def predict(self, genotype: Genotype) -> float:
        """Return the seconds that a network of a genotype is predicted to take for a batch.

        Parameters
        ----------
        genotype : Genotype
            Of the profile's space.

        Raises
        ------
        ValueError
            If it is of another space.
        """
        self._check(genotype)
        return self.latency.predict(genotype)

    def count(self, genotype: Genotype) -> Counts:
        """Return the multiply-adds, weights and peak memory of a network of a genotype."""
        self._check(genotype)
        return count_network(genotype, self.shape)

    def measure(self, genotype: Genotype, *, repeats: int = MIN_REPEATS) -> Timing:
        """Measure the network of a genotype as a whole, with the profile's batch and threads.

        Its weights are random: latency does not depend on them.
        """
        self._check(genotype)
        return measure_genotypes([genotype], self.shape, self.batch, self.threads, repeats)[0]

    def _check(self, genotype: Any) -> None:
        if getattr(genotype, "space", None) != self.space:
            found = getattr(getattr(genotype, "space", None), "name", type(genotype).__name__)
            problem = f"is of the space {found!r}, and the profile of {self.space.name!r}"
            raise ArgumentError("genotype", problem)

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON holds of the profile."""
        fixed = count_fixed(self.space, self.shape)
        listed = [
            {
                **place._asdict(),
                "seconds": timing._asdict(),
                **asdict(count_operation(self.space, place)),
            }
            for place, timing in self.timings.items()
        ]
        factors = [
            {"cell": group[0], "operation": group[1], "stride": group[2], "factor": factor}
            for group, factor in self.factors.items()
            if group is not None
        ]
        return {
            "format": FORMAT,
            "version": VERSION,
            "space": self.space.reference,
            "shape": asdict(self.shape),
            "batch": self.batch,
            "threads": self.threads,
            "environment": dict(self.environment),
            "fixed": {
                "seconds": self.fixed._asdict(),
                "stem_seconds": self.stem._asdict(),
                "factor": self.factors.get(None, 1.0),
                **asdict(fixed),
            },
            "operations": listed,
            "factors": factors,
            "networks": self.networks,
            "error": self.error,
        }

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write a JSON file.

        Parameters
        ----------
        path : path
        overwrite : bool
            Whether to replace a file that exists.

        Raises
        ------
        FileExistsError
            If there is such a file already and ``overwrite`` is not set.
        """
        check_free(overwrite, Path(path))
        write_json(Path(path), self.to_dict())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Profile:
        """Read what `save` wrote.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is no profile, or damaged; names it.
        """
        with read_described(Path(path), FORMAT, (VERSION,)) as d:
            return cls.from_dict(d)

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> Profile:
        """Read what `to_dict` returned."""
        space = Space.from_reference(d["space"])
        shape = NetworkShape(**{**d["shape"], "image_size": tuple(d["shape"]["image_size"])})
        timings = {}
        for each in d["operations"]:
            (height, width), inputs = map(int, each["size"]), int(each["inputs"])
            channels, stride = int(each["channels"]), int(each["stride"])
            place = Place(str(each["operation"]), inputs, channels, (height, width), stride)
            timings[place] = _timing(each["seconds"])
        missing = [place for place in _all_places(space, shape) if place not in timings]
        if missing:
            raise ValueError(f"there is no {missing[0]}")
        factors: dict[Group, float] = {None: float(d["fixed"]["factor"])}
        for each in d["factors"]:
            group = str(each["cell"]), str(each["operation"]), int(each["stride"])
            factors[group] = float(each["factor"])
        if not all(np.isfinite(factor) and factor > 0 for factor in factors.values()):
            raise ValueError("a factor is not a positive number")
        return cls(
            space,
            shape,
            integer("batch", d["batch"], 1),
            integer("threads", d["threads"], 1),
            timings,
            _timing(d["fixed"]["seconds"]),
            _timing(d["fixed"]["stem_seconds"]),
            factors,
            integer("networks", d["networks"], 0),
            None if d["error"] is None else float(d["error"]),
            dict(d["environment"]),
        )

    def rows(self) -> list[tuple[str, ...]]:
        """Return a table of the operations for people: the first row has the headings."""
        found: list[tuple[str, ...]] = [
            ("operation", "channels", "size", "stride", "µs", "quartiles", "multiply-adds")
        ]
        for place in sorted(self.timings):
            macs = count_operation(self.space, place).macs
            timing, (height, width) = self.timings[place], place.size
            channels = str(place.channels)
            if place.inputs != place.channels:
                channels = f"{place.inputs} to {channels}"
            spread = f"{1e6 * timing.low:.2f}–{1e6 * timing.high:.2f}"
            size = f"{height}x{width}"
            found.append(
                (
                    *(place.operation, channels, size, str(place.stride)),
                    *(f"{1e6 * timing.median:.2f}", spread, f"{macs:,}"),
                )
            )
        return found

    def __repr__(self) -> str:
        shape = self.shape
        height, width = shape.image_size
        found = f"Profile of {len(self.timings)} operations of {self.space.name!r}: "
        found += f"{shape.channels} channels, {shape.cells} cells, {height}x{width}, batch"
        found += f" {self.batch}, threads {self.threads}"
        found += f"\n  fixed parts {1e6 * self.fixed.median:.1f} µs, of which the stem"
        found += f" {1e6 * self.stem.median:.1f} µs"
        if self.error is not None:
            found += f"\n  {self.networks} random networks predicted with a mean error of"
            found += f" {self.error:.1%}"
        return found


def profile(
    space: str | os.PathLike[str] | Space = "darts",
    image_size: int | Sequence[int] = 32,
    channels: int = 16,
    cells: int = 8,
    *,
    classes: int = 10,
    in_channels: int = 3,
    stem: str = "cifar",
    batch: int = 1,
    threads: int | None = 1,
    repeats: int = MIN_REPEATS,
    networks: int = 40,
) -> Profile:
    """Measure what every operation of a space costs in inference on this processor.

    Each operation is measured alone at the channels, sizes and strides at which networks of these
    sizes have it: a chain of it against the same chain of ``none``, in turns, warm. The network of
    no operations gives the fixed parts. Then so many random networks are measured as a whole, and
    tell by what factor operations differ among others; where plain sums predict those networks
    better, they are kept.

    Parameters
    ----------
    space : str, path or Space, optional
        As in `search`: one over images or signals.
    image_size : int or (int, int), optional
        Side of the images, or height and width; length of signals.
    channels, cells, classes, in_channels : int, optional
        Of the network that is to be trained: see `Network`.
    stem : {"cifar", "imagenet"}, optional
    batch : int, optional
        Images of a call.
    threads : int, optional
        Threads of the network; 1 by default, None: all.
    repeats : int, optional
        Calls of which the median is taken, at least 30.
    networks : int, optional
        Random networks to measure as a whole; 0: none, and sums are plain.

    Returns
    -------
    Profile

    Raises
    ------
    ValueError, TypeError
        For unusable arguments; names the argument.
    """
    found = as_space(space)
    if found.kind != "convolutional":
        problem = (
            f"(={found.name!r}) is {found.kind}: operations of images and signals are measured"
        )
        raise ArgumentError("space", problem)
    sizes = as_size(found, image_size)
    shape = NetworkShape(sizes, channels, cells, classes, in_channels, stem)
    integer("batch", batch, 1)
    integer("repeats", repeats, MIN_REPEATS)
    integer("networks", networks, 0)
    threads = resolve_threads(threads)
    how = {"batch": batch, "threads": threads, "repeats": repeats}
    timings = measure_places(found, _all_places(found, shape), **how)
    fixed, alone = measure_fixed(found, shape, **how)
    plain = Profile(
        found, shape, batch, threads, timings, fixed, alone, {}, networks, None, environment()
    )
    if networks == 0:
        return plain
    drawn = [Genotype.random(k, space=found) for k in range(networks)]
    whole = measure_genotypes(drawn, shape, batch, threads, _WHOLE_REPEATS)
    return _corrected(plain, drawn, whole)


def kept_profile(
    space: Space, shape: NetworkShape, threads: int, folder: Path | None, resume: bool
) -> Profile:
    """Return the profile that is in a folder, or a new one, which is then kept there."""
    path = None if folder is None else folder / PROFILE
    if path is not None and resume and path.is_file():
        known = Profile.load(path)
        if (known.space, known.shape, known.threads) == (space, shape, threads):
            return known
    found = profile(
        *(space, shape.image_size, shape.channels, shape.cells),
        classes=shape.classes,
        in_channels=shape.in_channels,
        stem=shape.stem,
        threads=threads,
    )
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        found.save(path, overwrite=True)
    return found


def _corrected(plain: Profile, drawn: Sequence[Any], measured: Sequence[Timing]) -> Profile:
    fitted = plain._native()
    fitted.fit([each.to_json() for each in drawn], [timing.median for timing in measured])
    factors: dict[Group, float] = {None: fitted.fixed_factor}
    for group, factor in fitted.factors.items():
        factors[group] = factor
    return replace(plain, factors=factors, error=fitted.error)


def _all_places(space: Space, shape: NetworkShape) -> list[Place]:
    rows = [row for kind in places(space, shape).values() for row in kind]
    every = (place for row in rows for where in row for place in where)
    return list(dict.fromkeys(every))


def _timing(value: Mapping[str, Any]) -> Timing:
    found = Timing(*(float(value[name]) for name in Timing._fields))
    if not all(map(np.isfinite, found)):
        raise ValueError("a time is not finite")
    return found
