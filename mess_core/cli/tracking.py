"""Runs as MLflow and TensorBoard see them: parameters, timings, figures and curves, to compare with their pages.

Optional. All of it lies in the data folder, `mlflow.sqlite` and `mlflow-artifacts/`, and nothing is sent anywhere. An
R² is the metric `r2.<target>` whose step is the layer, so that MLflow draws the profile over the layers by itself.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mess_core.encoders.registry import encoder_info
from mess_core.errors import DependencyMissingError, StorageError
from mess_core.installation import how_to_add
from mess_core.probing.discovery import Discovery, path_of
from mess_core.probing.paired import RunComparison
from mess_core.storage.paths import Paths
from mess_core.study.kept import StudyFacts, load_row
from mess_core.workspace.scope import Scope

PROBING, EXTRACTION, STUDY, COMPARING = "MESS probing", "MESS extraction", "MESS study", "MESS comparing"
CURVES = ("loss", "figure")  # of an epoch
METRICS_PER_CALL = 1000  # MLflow refuses more in one call
OF_CELL = ("r2", "gain", "p_adj")  # step = layer
OF_CLASSES = ("accuracy", "balanced", "auc")
OF_TARGET = ("nested_r2", "nested_r2_low", "nested_r2_high")
SILENT = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "GIT_PYTHON_REFRESH": "quiet"}

Metrics = list[tuple[str, float | None, int]]  # name, value, step


def open_store(paths: Paths) -> None:
    """Make or open the store, so that what is wrong with it is said before the work and not after.

    Raises
    ------
    DependencyMissingError
        If MLflow is not installed.
    StorageError
        If the store cannot be opened, for example because it is of another version of MLflow.
    """
    with _client(paths):
        pass


def log_probe(paths: Paths, discovery: Discovery, seconds: float) -> str:
    """Log what was found, what it rests on, and the file itself; returns the id of the run."""
    result = discovery.result
    facts = ("encoder", "fingerprint", "library", "group", "level", "n_tracks", "content")
    parameters = {name: getattr(discovery, name) for name in facts} | asdict(result.settings)
    parameters |= {"n_groups": result.n_groups, "n_rows": result.n_rows}
    parameters["target_versions"] = json.dumps(discovery.target_versions)
    metrics: Metrics = [("seconds", seconds, 0), ("n_encoded", len({c.target for c in result.cells if c.encodes}), 0)]
    metrics += [
        (f"{name}.{_plain(cell.target)}", getattr(cell, name), cell.layer) for name in OF_CELL for cell in result.cells
    ]
    metrics += [
        (f"{name}.{_plain(cell.target)}", getattr(cell.classes, name), cell.layer)
        for name in OF_CLASSES
        for cell in result.cells
        if cell.classes is not None
    ]
    metrics += [(f"{name}.{_plain(t.target)}", getattr(t, name), 0) for name in OF_TARGET for t in result.targets]
    info = encoder_info(discovery.encoder, paths)
    artefact = path_of(paths, discovery.library, info, discovery.group, discovery.level, result.settings)
    title = f"{discovery.library}, {discovery.encoder}, {discovery.group}, {discovery.level}"
    return _log(paths, PROBING, title, parameters, metrics, artefact)


def log_comparison(paths: Paths, found: RunComparison, first: str, second: str) -> str:
    """Log by how much one run tells each target better than another, step by layer; returns the id of the run."""
    parameters: dict[str, Any] = {"first": first, "second": second, "by_layer": found.by_layer}
    parameters |= {"first_title": found.first, "second_title": found.second}
    metrics: Metrics = [("n_differ", sum(cell.differs for cell in found.cells), 0)]
    metrics += [
        (f"{name}.{_plain(cell.target)}", getattr(cell, name), cell.layer)
        for name in ("delta", "delta_low", "delta_high", "p_holm")
        for cell in found.cells
    ]
    return _log(paths, COMPARING, f"{first} beside {second}", parameters, metrics)


def log_extraction(scope: Scope, n_tracks: int, n_segments: int, seconds: float) -> str:
    """Log how long an encoder took for what it embedded; returns the id of the run."""
    facts = ("fingerprint", "revision", "n_layers", "dim", "sample_rate_hz", "segment_s", "hop_s", "pooling")
    info, library = scope.info, scope.library
    parameters = {"encoder": info.id, "library": library} | {name: getattr(info, name) for name in facts}
    parameters |= {"widths": info.widths} if info.widths else {}
    metrics: Metrics = [("seconds", seconds, 0), ("n_tracks", n_tracks, 0), ("n_segments", n_segments, 0)]
    metrics.append(("segments_per_second", n_segments / seconds if seconds else None, 0))
    return _log(scope.workspace.paths, EXTRACTION, f"{library}, {info.id}", parameters, metrics)


def log_study(paths: Paths, study: StudyFacts) -> None:
    """Log each row of a study that has figures: its settings, its figures at each k, its curve by epochs."""
    for name, plan in study.rows.items():
        row = load_row(paths, study.plan.name, name)
        if row is None or row.refused:
            continue
        encoder = "" if plan.encoder is None else plan.encoder.title
        parameters = {"model": plan.model.name, "encoder": encoder, "seed": plan.seed, "is_exchanged": plan.is_shuffled}
        parameters |= {**plan.model.settings, "content": study.content}
        metrics: Metrics = [("seconds", row.took_s, 0)]
        for test, by_k in row.figures.items():
            for k, figures in by_k.items():
                metrics += [(f"{test}.{_plain(figure.metric)}", figure.value, k) for figure in figures]
        metrics += [(f"curve.{what}", getattr(epoch, what), epoch.number) for what in CURVES for epoch in row.curve]
        _log(paths, STUDY, f"{study.plan.name}, {plan.title}", parameters, metrics)


def require_tensorboard() -> Any:
    """TensorBoard's writer; DependencyMissingError where it is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        message = f"--tensorboard needs TensorBoard, which is not installed here ({error})."
        raise DependencyMissingError(message, how_to_add("recommenders")) from error
    return SummaryWriter


def write_curves(paths: Paths, study: StudyFacts, folder: Path) -> None:
    """The curves of a study's rows for `tensorboard --logdir FOLDER`, a run for each row that learns by epochs."""
    writer_of = require_tensorboard()
    for name, plan in study.rows.items():
        row = load_row(paths, study.plan.name, name)
        if row is None or not row.curve:
            continue
        with writer_of(str(folder / name)) as writer:
            writer.add_text("row", plan.title)
            for epoch in row.curve:
                for what in CURVES:
                    value = getattr(epoch, what)
                    if value is not None:
                        writer.add_scalar(what, value, epoch.number)


def _plain(name: str) -> str:
    """As MLflow lets metrics be called."""
    return re.sub(r"[^0-9A-Za-z_\-./:]", "_", name)


def _log(
    paths: Paths, experiment: str, title: str, parameters: Mapping[str, Any], metrics: Metrics, file: Path | None = None
) -> str:
    with _client(paths) as client:
        from mlflow.entities import Metric, Param

        place = (paths.mlflow_artefacts).as_uri()
        known = client.get_experiment_by_name(experiment)
        if known and known.artifact_location != place:  # the data folder was moved or copied: not into the old one
            experiment = f"{experiment} in {paths.root}"
            known = client.get_experiment_by_name(experiment)
        experiment_id = known.experiment_id if known else client.create_experiment(experiment, place)
        run_id: str = client.create_run(experiment_id, run_name=title).info.run_id
        client.log_batch(run_id, params=[Param(name, str(value)) for name, value in parameters.items()])
        now_ms = int(1000 * time.time())
        entries = [Metric(name, float(value), now_ms, step) for name, value, step in metrics if value is not None]
        for start in range(0, len(entries), METRICS_PER_CALL):
            client.log_batch(run_id, metrics=entries[start : start + METRICS_PER_CALL])
        if file is not None:
            client.log_artifact(run_id, str(file))
        client.set_terminated(run_id)
    return run_id


@contextmanager
def _client(paths: Paths) -> Iterator[Any]:
    """MLflow's client on our store, without telemetry, warnings and chatter."""
    os.environ.update(SILENT)
    store = paths.mlflow
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import alembic  # noqa: F401
            from mlflow import MlflowClient
            from mlflow.exceptions import MlflowException
            from sqlalchemy.exc import SQLAlchemyError
        except ImportError as error:
            message = f"--mlflow needs MLflow, which is not installed here ({error})."
            raise DependencyMissingError(message, how_to_add("mlflow")) from error
        for name in ("alembic", "mlflow"):
            logging.getLogger(name).setLevel(logging.WARNING)
        try:
            client = MlflowClient(f"sqlite:///{store}")
            client.search_experiments(max_results=1)  # it opens the store only when it is asked something
            yield client
        except (MlflowException, SQLAlchemyError) as error:
            reason = str(error).partition("\n")[0]
            raise StorageError(f"MLflow refused: {reason}", f"Move {store} away to start anew.") from error
