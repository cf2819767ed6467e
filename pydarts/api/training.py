# SPDX-License-Identifier: MIT
"""`train` and `train_text`: the network of a genotype."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from pydarts.api.image_data import Splitting, Targets, image_task
from pydarts.api.searching import Text
from pydarts.common.ranks import as_ranks, shared
from pydarts.data.corpus import as_corpus
from pydarts.data.preprocessing import Preprocessing
from pydarts.data.vocabulary import Level
from pydarts.data.weights import ClassWeight
from pydarts.models.image_model import Model
from pydarts.models.language_model import LanguageModel
from pydarts.spaces.darts import Genotype
from pydarts.spaces.genotype import require_kind
from pydarts.spaces.recurrent import RecurrentGenotype
from pydarts.tasks.text import LanguageModelling
from pydarts.training.config import TextTrainConfig, TrainConfig
from pydarts.training.options import TextTrainOptions, TrainOptions, TrainRun
from pydarts.training.run import run_training
from pydarts.training.run_options import split_options

if TYPE_CHECKING:
    from typing_extensions import Unpack


@shared
def train(
    genotype: Genotype,
    X: Any,
    y: Iterable[Any] | None = None,
    *,
    X_valid: Any = None,
    y_valid: Iterable[Any] | None = None,
    preset: str = "quick",
    config: TrainConfig | None = None,
    image_layout: str | None = None,
    preprocessing: Preprocessing | None = None,
    task: str = "multiclass",
    sample_weight: ArrayLike | None = None,
    class_weight: ClassWeight | None = None,
    loss: str | None = None,
    huber_delta: float = 1.0,
    threads: int | None = None,
    comm: Any = None,
    **options: Unpack[TrainOptions],
) -> Model:
    """Train the network derived from ``genotype`` on the images ``X`` with labels ``y``.

    SGD with momentum and a learning rate that falls to zero as a cosine; drop path with a
    probability that rises linearly over the epochs. arXiv:1806.09055, section 3.2 and appendix A.

    Parameters
    ----------
    genotype : Genotype
        The cells, as from `search` or one of the published ones, of any space.
    X, y
        As in `search`.
    X_valid, y_valid : array-like, iterable, optional
        Images and labels to report loss and accuracy on after each epoch. They choose nothing,
        unless a callback (`EarlyStopping`) or ``restore_best_weights`` does.
    preset : {"quick", "standard", "paper"}
        All hyper-parameters at once.
    config : TrainConfig, optional
        All hyper-parameters, in place of a preset's.
    image_layout, threads, comm
        As in `search`.
    preprocessing : Preprocessing, optional
        What is made of ``X`` and ``X_valid`` first. The model keeps it, and `Model.predict` does
        the same with what it is given.
    task, sample_weight, class_weight, loss, huber_delta
        As in `search`.
    **options
        Any field of `TrainConfig`, in place of the preset's value, and how the training runs:
        ``progress``, ``callbacks``, ``checkpoint``, ``checkpoint_seconds``, ``resume``,
        ``time_budget``, ``memory_budget``, which `RunOptions` describes.

    Returns
    -------
    Model
        Ctrl-C returns the model as it is then, with ``interrupted`` set; a budget or callback
        likewise, with ``stopped``.

    Raises
    ------
    ValueError, TypeError
        For unusable images, labels or options; names the argument and its value.
    Diverged
        When a loss or gradient is not finite. Its ``result`` holds the model as it was before.
    """
    config, run = split_options(TrainConfig, TrainRun, train, preset, config, options)
    data = image_task(
        *(X, y, Splitting(X_valid, y_valid)),
        Targets(task, sample_weight, class_weight, loss, huber_delta),
        image_layout=image_layout,
        preprocessing=preprocessing,
        space=require_kind("genotype", genotype, Genotype).space,
        threads=as_ranks(comm).threads(threads),
        splits=False,
    )
    data.ranks = as_ranks(comm)
    data.warn_of_labels()
    model: Model = run_training(data, genotype, config, run)
    return model


@shared
def train_text(
    genotype: RecurrentGenotype,
    data: Text,
    *,
    level: Level | None = None,
    max_vocab: int | None = None,
    preset: str = "quick",
    config: TextTrainConfig | None = None,
    threads: int | None = None,
    comm: Any = None,
    **options: Unpack[TextTrainOptions],
) -> LanguageModel:
    """Train the language model with the cell ``genotype`` on a text.

    SGD with clipped gradients; once the validation loss is above the lowest of more than
    ``patience`` epochs before, averaged SGD: what is validated and returned is then the mean of the
    weights of all steps since (non-monotonically triggered, Merity et al., arXiv:1708.02182).
    Appendix B of arXiv:1806.09055.

    Parameters
    ----------
    genotype : RecurrentGenotype
        The cell, as from `search_text` or one of the published ones.
    data, level, max_vocab
        As in `search_text`.
    preset, config, threads
        As in `train`, with `TextTrainConfig`.
    comm : mpi4py.MPI.Comm, optional
        As in `search_text`.
    **options
        Any field of `TextTrainConfig`, and how the training runs, as in `train`.

    Returns
    -------
    LanguageModel
        Of the epoch of the lowest validation loss, also after Ctrl-C, which sets ``interrupted``,
        and after a budget or callback, which set ``stopped``; before the end of the first epoch
        there is none yet, and the weights are those of the step.

    Raises
    ------
    ValueError, TypeError
        For an unusable text or option; names the argument and its value.
    Diverged
        When a loss or gradient is not finite; names the step. Its ``result`` holds the best model
        before, chosen likewise.
    """
    config, run = split_options(TextTrainConfig, TrainRun, train_text, preset, config, options)
    ranks = as_ranks(comm)
    corpus = as_corpus(data, level, max_vocab)
    task = LanguageModelling(corpus, threads=ranks.threads(threads))
    task.ranks = ranks
    model: LanguageModel = run_training(task, genotype, config, run)
    return model
