# SPDX-License-Identifier: MIT
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

__version__: str

class InvalidArgument(ValueError): ...
class BadFile(ValueError): ...
class NonFinite(ArithmeticError): ...
class OutOfTime(Exception): ...

_Array = NDArray[Any]
_Truth = _Array | tuple[_Array, _Array]  # with weights of the samples
_Gather = Callable[[memoryview, memoryview, tuple[int, ...]], object]
_Broadcast = Callable[[memoryview, int], object]

def default_threads() -> int: ...
def instruction_set() -> str: ...
def instruction_sets() -> list[tuple[str, bool]]: ...
def full_width_512() -> bool: ...
def processor() -> tuple[str, int, int]: ...
def fma_peak(threads: int) -> dict[int, float]: ...
def derived_num_weights(
    genotype: str,
    channels: int,
    cells: int,
    classes: int,
    in_channels: int,
    stem: str,
    auxiliary: bool,
    loss: str,
) -> int: ...

class Network32:
    @property
    def weights(self) -> _Array: ...
    @property
    def alphas(self) -> _Array: ...
    @property
    def running(self) -> _Array: ...
    @property
    def noise_step(self) -> int: ...
    @noise_step.setter
    def noise_step(self, step: int) -> None: ...
    @property
    def skip_weight(self) -> float: ...
    @skip_weight.setter
    def skip_weight(self, weight: float) -> None: ...
    @property
    def threads(self) -> int: ...
    def set_deadline(self, seconds: float | None) -> None: ...
    def use_communicator(
        self, rank: int, size: int, gather: _Gather, broadcast: _Broadcast
    ) -> None: ...
    def leave_communicator(self) -> None: ...
    def record_tasks(self, call: Callable[[], object]) -> list[tuple[float, list[float]]]: ...
    @property
    def in_channels(self) -> int: ...
    @property
    def classes(self) -> int: ...
    @property
    def droppables(self) -> int: ...
    @property
    def parameters(self) -> list[tuple[str, tuple[int, ...], int, int]]: ...
    @property
    def norms(self) -> list[tuple[str, int, int]]: ...
    @property
    def alpha_groups(self) -> list[tuple[str, int, int, int]]: ...
    def memory(self, samples: int, height: int, width: int, backward: bool) -> tuple[int, int]: ...
    def logits(
        self,
        images: _Array,
        training: bool,
        mixing: _Array | None = None,
        active: _Array | None = None,
    ) -> _Array: ...
    def evaluate(
        self,
        images: _Array,
        labels: _Truth,
        weights: bool,
        alphas: bool,
        drop: _Array | None = None,
        mixing: _Array | None = None,
        active: _Array | None = None,
    ) -> tuple[float, int, _Array, _Array]: ...
    def forward(self, images: _Array) -> _Array: ...
    def backward(self, images: _Array, d_output: _Array) -> tuple[_Array, _Array, _Array]: ...

class BilevelStep32:
    @property
    def buffer(self) -> _Array: ...
    @property
    def first(self) -> _Array: ...
    @property
    def second(self) -> _Array: ...
    @property
    def steps(self) -> int: ...
    @steps.setter
    def steps(self, value: int) -> None: ...
    def __init__(
        self,
        net: Network32,
        order: int,
        momentum: float,
        weight_decay: float,
        clip: float,
        alpha_lr: float,
        beta1: float,
        beta2: float,
        alpha_weight_decay: float,
        epsilon: float,
        central: bool,
        reuse_gradient: bool,
    ) -> None: ...
    def __call__(
        self, net: Network32, x: _Array, y: _Truth, x_valid: _Array, y_valid: _Truth, lr: float
    ) -> tuple[float, float, int, int, float, float]: ...

class WeightStep32:
    @property
    def buffer(self) -> _Array: ...
    def __init__(
        self, net: Network32, momentum: float, weight_decay: float, clip: float
    ) -> None: ...
    def __call__(
        self,
        net: Network32,
        x: _Array,
        y: _Truth,
        lr: float,
        drop: _Array | None = None,
        mixing: _Array | None = None,
        active: _Array | None = None,
    ) -> tuple[float, int, float]: ...

def supernet32(
    space: str,
    channels: int,
    cells: int,
    classes: int,
    in_channels: int,
    stem: str,
    auxiliary_skip: bool,
    partial_channels: int,
    recompute: bool,
    loss: str,
    huber_delta: float,
    seed: int,
    threads: int,
) -> Network32: ...
def derived32(
    genotype: str,
    channels: int,
    cells: int,
    classes: int,
    in_channels: int,
    stem: str,
    auxiliary: bool,
    auxiliary_weight: float,
    recompute: bool,
    loss: str,
    huber_delta: float,
    seed: int,
    threads: int,
) -> Network32: ...
def mixed_operation32(
    operations: str, channels: int, stride: int, dimensions: int, seed: int, threads: int
) -> Network32: ...
def arch_gradient32(
    net: Network32,
    x: _Array,
    y: _Truth,
    x_valid: _Array,
    y_valid: _Truth,
    order: int,
    eta: float,
    momentum: float,
    momentum_buffer: _Array | None,
    weight_decay: float,
    epsilon: float,
    central: bool,
) -> _Array: ...
def hessian_vector_product32(
    gradient: Callable[[_Array], _Array], w: _Array, v: _Array, epsilon: float
) -> _Array: ...

class Network64:
    @property
    def weights(self) -> _Array: ...
    @property
    def alphas(self) -> _Array: ...
    @property
    def running(self) -> _Array: ...
    @property
    def noise_step(self) -> int: ...
    @noise_step.setter
    def noise_step(self, step: int) -> None: ...
    @property
    def skip_weight(self) -> float: ...
    @skip_weight.setter
    def skip_weight(self, weight: float) -> None: ...
    @property
    def threads(self) -> int: ...
    def set_deadline(self, seconds: float | None) -> None: ...
    def use_communicator(
        self, rank: int, size: int, gather: _Gather, broadcast: _Broadcast
    ) -> None: ...
    def leave_communicator(self) -> None: ...
    def record_tasks(self, call: Callable[[], object]) -> list[tuple[float, list[float]]]: ...
    @property
    def in_channels(self) -> int: ...
    @property
    def classes(self) -> int: ...
    @property
    def droppables(self) -> int: ...
    @property
    def parameters(self) -> list[tuple[str, tuple[int, ...], int, int]]: ...
    @property
    def norms(self) -> list[tuple[str, int, int]]: ...
    @property
    def alpha_groups(self) -> list[tuple[str, int, int, int]]: ...
    def memory(self, samples: int, height: int, width: int, backward: bool) -> tuple[int, int]: ...
    def logits(
        self,
        images: _Array,
        training: bool,
        mixing: _Array | None = None,
        active: _Array | None = None,
    ) -> _Array: ...
    def evaluate(
        self,
        images: _Array,
        labels: _Truth,
        weights: bool,
        alphas: bool,
        drop: _Array | None = None,
        mixing: _Array | None = None,
        active: _Array | None = None,
    ) -> tuple[float, int, _Array, _Array]: ...
    def forward(self, images: _Array) -> _Array: ...
    def backward(self, images: _Array, d_output: _Array) -> tuple[_Array, _Array, _Array]: ...

class BilevelStep64:
    @property
    def buffer(self) -> _Array: ...
    @property
    def first(self) -> _Array: ...
    @property
    def second(self) -> _Array: ...
    @property
    def steps(self) -> int: ...
    @steps.setter
    def steps(self, value: int) -> None: ...
    def __init__(
        self,
        net: Network64,
        order: int,
        momentum: float,
        weight_decay: float,
        clip: float,
        alpha_lr: float,
        beta1: float,
        beta2: float,
        alpha_weight_decay: float,
        epsilon: float,
        central: bool,
        reuse_gradient: bool,
    ) -> None: ...
    def __call__(
        self, net: Network64, x: _Array, y: _Truth, x_valid: _Array, y_valid: _Truth, lr: float
    ) -> tuple[float, float, int, int, float, float]: ...

class WeightStep64:
    @property
    def buffer(self) -> _Array: ...
    def __init__(
        self, net: Network64, momentum: float, weight_decay: float, clip: float
    ) -> None: ...
    def __call__(
        self,
        net: Network64,
        x: _Array,
        y: _Truth,
        lr: float,
        drop: _Array | None = None,
        mixing: _Array | None = None,
        active: _Array | None = None,
    ) -> tuple[float, int, float]: ...

def supernet64(
    space: str,
    channels: int,
    cells: int,
    classes: int,
    in_channels: int,
    stem: str,
    auxiliary_skip: bool,
    partial_channels: int,
    recompute: bool,
    loss: str,
    huber_delta: float,
    seed: int,
    threads: int,
) -> Network64: ...
def derived64(
    genotype: str,
    channels: int,
    cells: int,
    classes: int,
    in_channels: int,
    stem: str,
    auxiliary: bool,
    auxiliary_weight: float,
    recompute: bool,
    loss: str,
    huber_delta: float,
    seed: int,
    threads: int,
) -> Network64: ...
def mixed_operation64(
    operations: str, channels: int, stride: int, dimensions: int, seed: int, threads: int
) -> Network64: ...
def arch_gradient64(
    net: Network64,
    x: _Array,
    y: _Truth,
    x_valid: _Array,
    y_valid: _Truth,
    order: int,
    eta: float,
    momentum: float,
    momentum_buffer: _Array | None,
    weight_decay: float,
    epsilon: float,
    central: bool,
) -> _Array: ...
def hessian_vector_product64(
    gradient: Callable[[_Array], _Array], w: _Array, v: _Array, epsilon: float
) -> _Array: ...

class RecurrentNetwork32:
    @property
    def weights(self) -> _Array: ...
    @property
    def alphas(self) -> _Array: ...
    @property
    def running(self) -> _Array: ...
    @property
    def threads(self) -> int: ...
    def set_deadline(self, seconds: float | None) -> None: ...
    def use_communicator(
        self, rank: int, size: int, gather: _Gather, broadcast: _Broadcast
    ) -> None: ...
    def leave_communicator(self) -> None: ...
    @property
    def stream(self) -> int: ...
    @stream.setter
    def stream(self, state: int) -> None: ...
    @property
    def vocabulary(self) -> int: ...
    @property
    def hidden(self) -> int: ...
    @property
    def parameters(self) -> list[tuple[str, tuple[int, ...], int, int]]: ...
    @property
    def norms(self) -> list[tuple[str, int, int]]: ...
    @property
    def alpha_groups(self) -> list[tuple[str, int, int, int]]: ...
    def __init__(
        self,
        cell: list[tuple[int, int]] | None,
        outputs: list[int],
        nodes: int,
        vocabulary: int,
        hidden: int,
        output_dropout: float,
        hidden_dropout: float,
        input_dropout: float,
        embedding_dropout: float,
        seed: int,
        threads: int,
    ) -> None: ...
    def memory(self, length: int, batch: int, backward: bool) -> int: ...
    def evaluate(
        self,
        x: _Array,
        y: _Array,
        hidden: _Array,
        weights: bool,
        alphas: bool,
        masks: dict[str, _Array] | None,
        activation: float,
        slowness: float,
        mixing: _Array | None = None,
    ) -> tuple[float, int, _Array, _Array, _Array]: ...
    def test(
        self, x: _Array, y: _Array, hidden: _Array, mixing: _Array | None = None
    ) -> tuple[float, int, _Array]: ...
    def next(self, x: _Array, hidden: _Array) -> tuple[_Array, _Array]: ...

class RecurrentBilevelStep32:
    @property
    def buffer(self) -> _Array: ...
    @property
    def first(self) -> _Array: ...
    @property
    def second(self) -> _Array: ...
    @property
    def steps(self) -> int: ...
    @steps.setter
    def steps(self, value: int) -> None: ...
    def __init__(
        self,
        net: RecurrentNetwork32,
        order: int,
        momentum: float,
        weight_decay: float,
        clip: float,
        alpha_lr: float,
        beta1: float,
        beta2: float,
        alpha_weight_decay: float,
        epsilon: float,
        central: bool,
        reuse_gradient: bool,
        capped: bool,
        moved: bool,
        shared_masks: bool,
        activation: float,
        slowness: float,
    ) -> None: ...
    def __call__(
        self,
        net: RecurrentNetwork32,
        x: _Array,
        y: _Array,
        hidden: _Array,
        x_valid: _Array,
        y_valid: _Array,
        hidden_valid: _Array,
        lr: float,
    ) -> tuple[float, float, int, int, float, float, _Array, _Array]: ...

class RecurrentWeightStep32:
    @property
    def buffer(self) -> _Array: ...
    def __init__(
        self,
        net: RecurrentNetwork32,
        momentum: float,
        weight_decay: float,
        clip: float,
        activation: float,
        slowness: float,
    ) -> None: ...
    def __call__(
        self,
        net: RecurrentNetwork32,
        x: _Array,
        y: _Array,
        hidden: _Array,
        lr: float,
        mixing: _Array | None = None,
    ) -> tuple[float, int, float, _Array]: ...

def recurrent_arch_gradient32(
    net: RecurrentNetwork32,
    x: _Array,
    y: _Array,
    hidden: _Array,
    x_valid: _Array,
    y_valid: _Array,
    hidden_valid: _Array,
    order: int,
    eta: float,
    momentum: float,
    momentum_buffer: _Array | None,
    weight_decay: float,
    epsilon: float,
    central: bool,
    clip: float,
    capped: bool,
    moved: bool,
    shared_masks: bool,
) -> _Array: ...
def blend32(to: _Array, from_: _Array, weight: float, threads: int) -> None: ...

class RecurrentNetwork64:
    @property
    def weights(self) -> _Array: ...
    @property
    def alphas(self) -> _Array: ...
    @property
    def running(self) -> _Array: ...
    @property
    def threads(self) -> int: ...
    def set_deadline(self, seconds: float | None) -> None: ...
    def use_communicator(
        self, rank: int, size: int, gather: _Gather, broadcast: _Broadcast
    ) -> None: ...
    def leave_communicator(self) -> None: ...
    @property
    def stream(self) -> int: ...
    @stream.setter
    def stream(self, state: int) -> None: ...
    @property
    def vocabulary(self) -> int: ...
    @property
    def hidden(self) -> int: ...
    @property
    def parameters(self) -> list[tuple[str, tuple[int, ...], int, int]]: ...
    @property
    def norms(self) -> list[tuple[str, int, int]]: ...
    @property
    def alpha_groups(self) -> list[tuple[str, int, int, int]]: ...
    def __init__(
        self,
        cell: list[tuple[int, int]] | None,
        outputs: list[int],
        nodes: int,
        vocabulary: int,
        hidden: int,
        output_dropout: float,
        hidden_dropout: float,
        input_dropout: float,
        embedding_dropout: float,
        seed: int,
        threads: int,
    ) -> None: ...
    def memory(self, length: int, batch: int, backward: bool) -> int: ...
    def evaluate(
        self,
        x: _Array,
        y: _Array,
        hidden: _Array,
        weights: bool,
        alphas: bool,
        masks: dict[str, _Array] | None,
        activation: float,
        slowness: float,
        mixing: _Array | None = None,
    ) -> tuple[float, int, _Array, _Array, _Array]: ...
    def test(
        self, x: _Array, y: _Array, hidden: _Array, mixing: _Array | None = None
    ) -> tuple[float, int, _Array]: ...
    def next(self, x: _Array, hidden: _Array) -> tuple[_Array, _Array]: ...

class RecurrentBilevelStep64:
    @property
    def buffer(self) -> _Array: ...
    @property
    def first(self) -> _Array: ...
    @property
    def second(self) -> _Array: ...
    @property
    def steps(self) -> int: ...
    @steps.setter
    def steps(self, value: int) -> None: ...
    def __init__(
        self,
        net: RecurrentNetwork64,
        order: int,
        momentum: float,
        weight_decay: float,
        clip: float,
        alpha_lr: float,
        beta1: float,
        beta2: float,
        alpha_weight_decay: float,
        epsilon: float,
        central: bool,
        reuse_gradient: bool,
        capped: bool,
        moved: bool,
        shared_masks: bool,
        activation: float,
        slowness: float,
    ) -> None: ...
    def __call__(
        self,
        net: RecurrentNetwork64,
        x: _Array,
        y: _Array,
        hidden: _Array,
        x_valid: _Array,
        y_valid: _Array,
        hidden_valid: _Array,
        lr: float,
    ) -> tuple[float, float, int, int, float, float, _Array, _Array]: ...

class RecurrentWeightStep64:
    @property
    def buffer(self) -> _Array: ...
    def __init__(
        self,
        net: RecurrentNetwork64,
        momentum: float,
        weight_decay: float,
        clip: float,
        activation: float,
        slowness: float,
    ) -> None: ...
    def __call__(
        self,
        net: RecurrentNetwork64,
        x: _Array,
        y: _Array,
        hidden: _Array,
        lr: float,
        mixing: _Array | None = None,
    ) -> tuple[float, int, float, _Array]: ...

def recurrent_arch_gradient64(
    net: RecurrentNetwork64,
    x: _Array,
    y: _Array,
    hidden: _Array,
    x_valid: _Array,
    y_valid: _Array,
    hidden_valid: _Array,
    order: int,
    eta: float,
    momentum: float,
    momentum_buffer: _Array | None,
    weight_decay: float,
    epsilon: float,
    central: bool,
    clip: float,
    capped: bool,
    moved: bool,
    shared_masks: bool,
) -> _Array: ...
def blend64(to: _Array, from_: _Array, weight: float, threads: int) -> None: ...

_Shape = tuple[int, int, int, int, int, int, str]
_Place = tuple[str, int, int, tuple[int, int], int]
_Timing = tuple[float, float, float]
_Counts = tuple[int, int, int]

class Space:
    def __init__(self, json: str) -> None: ...
    def places(self, shape: _Shape) -> list[list[_Place]]: ...

class CostTable:
    def __init__(self, fixed: float, entries: _Array, pools_once: bool) -> None: ...
    @property
    def fixed(self) -> float: ...
    @property
    def entries(self) -> _Array: ...
    @property
    def pools_once(self) -> bool: ...
    def predict(self, genotype: str) -> float: ...

class Budget:
    def __init__(self, space: Space, shape: _Shape) -> None: ...
    @property
    def correction(self) -> float: ...
    @correction.setter
    def correction(self, factor: float) -> None: ...
    @property
    def has_latency(self) -> bool: ...
    def set_latency(self, table: CostTable) -> None: ...
    def table(self, kind: int) -> CostTable: ...
    def least(self, kind: int) -> float: ...
    def predict(self, genotype: str) -> list[float]: ...
    def find(self, log_weights: _Array, most: Sequence[float]) -> str | None: ...

class Profile:
    def __init__(
        self,
        space: Space,
        shape: _Shape,
        timings: Sequence[tuple[_Place, _Timing]],
        fixed: _Timing,
        fixed_factor: float,
        factors: Mapping[tuple[str, str, int], float],
    ) -> None: ...
    @property
    def fixed_factor(self) -> float: ...
    @property
    def factors(self) -> dict[tuple[str, str, int], float]: ...
    @property
    def error(self) -> float | None: ...
    def latency(self) -> CostTable: ...
    def fit(self, genotypes: Sequence[str], seconds: Sequence[float]) -> None: ...

def count_network(genotype: str, shape: _Shape) -> _Counts: ...
def count_fixed(space: Space, shape: _Shape) -> _Counts: ...
def count_operation(space: Space, place: _Place) -> _Counts: ...
def expected_cost(
    space: Space, log_weights: _Array, table: CostTable, temperature: float
) -> tuple[float, _Array]: ...
def choose_cell(
    space: Space, values: _Array, table: CostTable, least: float, most: float
) -> str | None: ...
def cost_range(space: Space, table: CostTable) -> tuple[float, float]: ...
def fit_correction(
    parts: Sequence[Sequence[float]], measured: Sequence[float]
) -> tuple[list[float], float]: ...
def measure_places(
    space: Space, places: Sequence[_Place], batch: int, threads: int, repeats: int
) -> list[_Timing]: ...
def measure_genotypes(
    genotypes: Sequence[str], shape: _Shape, batch: int, threads: int, repeats: int
) -> list[_Timing]: ...
def measure_fixed(
    space: Space, shape: _Shape, batch: int, threads: int, repeats: int
) -> tuple[_Timing, _Timing]: ...
