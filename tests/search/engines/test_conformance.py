"""Conformance: every engine finds what plain NumPy finds, in every geometry, and after its writer was killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from mess_core.encoders.base import Part
from mess_core.encoders.mel import MEL, MFCC
from mess_core.errors import EngineError, InputError
from mess_core.probing.aspects import AspectEvidence
from mess_core.probing.directions import Directions
from mess_core.search.either import EitherGeometry
from mess_core.search.engines.contract import Engine, fill
from mess_core.search.geometry import DirectionGeometry, Geometry, LayerGeometry, MainLayerGeometry, MeasuredGeometry
from mess_core.search.learned import LearnedGeometry, Line, Transform
from tests.search.engines.conftest import ENGINES, KEY, OTHERS

N, L, D, K = 10_000, 3, 8, 10
IDS = tuple(f"t{row:05d}" for row in range(N))
SEARCHED = {"brightness": ("a",), "texture": ("b", "c"), "tempo": ("d",)}
LAYERS = {"brightness": (0,), "texture": (0, 2), "tempo": (1, 2)}
ROOT = Path(__file__).parents[3]
HOSTILE = ("x' OR '1'='1", 'a"; DROP TABLE rows; --', "%s {} \\", "Dvořák", "日本", "null\0byte", "half\udce9")


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    """With a large common part, as embeddings have, and some copies: equal scores are put in order of id."""
    vectors = (10 + np.random.default_rng(0).standard_normal((N, L, D))).astype(np.float32)
    vectors[100:110] = vectors[90:100]
    return vectors


def evidence() -> dict[str, AspectEvidence]:
    return {aspect: AspectEvidence(LAYERS[aspect], own, "high", own) for aspect, own in SEARCHED.items()}


def directions(n_layers: int = L, dim: int = D) -> Directions:
    """The coordinate of target t is number t of layer 0."""
    weights = np.zeros((4, n_layers, dim), np.float32)
    weights[range(4), 0, range(4)] = 1
    return Directions(tuple("abcd"), ((0,),) * 4, weights, np.zeros((4, n_layers), np.float32))


def learned(vectors: np.ndarray, is_distance: bool) -> LearnedGeometry:
    rng = np.random.default_rng(2)
    line = Line(rng.standard_normal((L * D, 6)).astype(np.float32), rng.standard_normal(6).astype(np.float32))
    scale = rng.random(L * D).astype(np.float32)
    transform = Transform(vectors.mean(axis=0), scale, (line,), is_distance, (D,) * L)
    return LearnedGeometry.of(transform, vectors)


HEARING = replace(
    MEL, id="hearing:planted", n_layers=L, dim=D, pooling="mean", widths=(D,) * L,
    parts=(Part(MEL, (0, 1), "same music"), Part(MFCC, (2,), "same sound and style")),
)  # fmt: skip
ASKED = (None, {"brightness": 1.0}, {"texture": 0.75, "tempo": 0.25})
GEOMETRIES = {
    "layer": lambda v: LayerGeometry.fit(v, evidence()),
    "layer without tempo": lambda v: LayerGeometry.fit(v, evidence(), directions(), ["d"]),
    "main layer": lambda v: MainLayerGeometry.fit(v),
    "direction": lambda v: DirectionGeometry.fit(v, evidence(), directions()),
    "direction without texture": lambda v: DirectionGeometry.fit(v, evidence(), directions(), ["b", "c"]),
    "measured": lambda v: MeasuredGeometry.fit(v[:, :1, :4], evidence(), directions(1, 4)),
    "learned cosine": lambda v: learned(v, is_distance=False),
    "learned distance": lambda v: learned(v, is_distance=True),
    "hearing": lambda v: EitherGeometry.fit(v, info=HEARING),
}


@dataclass(frozen=True, eq=False)
class Case:
    """One geometry with its items, and how its columns fall into blocks that a query weighs."""

    geometry: Geometry
    items: np.ndarray
    widths: list[int]

    @classmethod
    def of(cls, name: str, vectors: np.ndarray) -> Case:
        geometry = GEOMETRIES[name](vectors)
        v = vectors[:, :1, :4] if name == "measured" else vectors
        widths = [geometry.n_columns]
        if isinstance(geometry, DirectionGeometry):
            widths = [len(own) + 1 for own in geometry.columns]
        elif type(geometry) is LayerGeometry:
            widths = [*geometry.widths, len(geometry.widths)]
        return cls(geometry, geometry.items(v), widths)

    def questions(self, row: int) -> list[tuple[list[np.ndarray], np.ndarray]]:
        """Blocks and weights of queries by that row: by nothing in particular, by one aspect, by two."""
        item, places, found = self.items[row], np.cumsum(self.widths)[:-1], []
        for asked in ASKED:
            parts = self.geometry.parts
            if asked is not None and not set(asked) <= set(parts):
                continue
            weights = self.geometry.plain if asked is None else np.array([asked.get(part, 0.0) for part in parts])
            if isinstance(self.geometry, DirectionGeometry):  # a block for each aspect
                whole = self.geometry.query(item, np.ones(len(parts)))[0]
                found.append((np.split(whole, places), weights))
            elif type(self.geometry) is LayerGeometry:  # a block for each layer, and one of sizes, without weight
                found.append((np.split(item, places), np.append(weights @ self.geometry.shares, 0.0)))
            else:
                for lookup in self.geometry.lookups(item, weights):
                    found.append(([lookup.vector], np.ones(1)))
        return found

    def by_numpy(self, blocks, weights, rows) -> tuple[list[str], np.ndarray, np.ndarray]:
        """The nearest among some rows by the definition, in double precision: ids, parts, totals."""
        own = np.split(self.items[rows].astype(np.float64), np.cumsum(self.widths)[:-1], axis=1)
        parts = np.stack([(x * q.astype(np.float64)).sum(axis=1) for x, q in zip(own, blocks, strict=True)], axis=1)
        totals = parts @ weights
        order = sorted(range(len(rows)), key=lambda n: (-totals[n].round(11), rows[n]))[:K]
        return [IDS[rows[n]] for n in order], parts[order], totals[order]

    def put(self, engine: Engine, rows, metadata=None) -> None:
        blocks = np.split(self.items[rows], np.cumsum(self.widths)[:-1], axis=1)
        engine.put([IDS[row] for row in rows], blocks, metadata)


def assert_same(found, expected) -> None:
    ids, parts, totals = expected
    assert list(found.ids) == ids
    assert np.abs(found.totals - totals).max(initial=0) <= 1e-5
    assert found.parts.shape == parts.shape and np.abs(found.parts - parts).max(initial=0) <= 1e-5


@pytest.mark.parametrize("opened", ENGINES, indirect=True)
@pytest.mark.parametrize("name", GEOMETRIES)
def test_the_same_ids_and_scores_as_numpy(opened, vectors, name) -> None:
    """Ten thousand rows, several weights; put in pieces, deleted, put again with other words, filtered, reopened."""
    case = Case.of(name, vectors)
    engine = opened(case.widths, ["composer", "era"])
    composers = [HOSTILE[row % len(HOSTILE)] for row in range(N)]
    words = [{"composer": composers[row], "era": "late" if row % 2 else "early", "other": "x"} for row in range(N)]
    for part in (range(0, 6000), range(6000, N)):
        case.put(engine, part, [words[row] for row in part])
    assert len(engine) == N
    everything, queries = np.arange(N), (7, 95, 4321)
    for row in queries:
        for blocks, weights in case.questions(row):
            assert_same(engine.search(blocks, weights, K), case.by_numpy(blocks, weights, everything))

    engine.delete([IDS[row] for row in range(0, N, 5)])
    left = np.array([row for row in everything if row % 5])
    case.put(engine, range(1, 1000, 5), [{"composer": "nobody"}] * 200)  # others keep theirs
    assert len(engine) == len(left)
    if engine.lasts:
        engine.close()
        engine = opened(case.widths, ["composer", "era"])
        assert len(engine) == len(left)
    blocks, weights = case.questions(7)[-1]
    assert_same(engine.search(blocks, weights, K), case.by_numpy(blocks, weights, left))
    composers = ["nobody" if row in range(1, 1000, 5) else composers[row] for row in range(N)]
    eras = ["" if composers[row] == "nobody" else words[row]["era"] for row in range(N)]
    for wanted in (
        {"composer": [HOSTILE[0]]}, {"composer": HOSTILE[1:4]}, {"composer": ["nobody"]}, {"composer": ["' OR ''='"]},
        {"composer": HOSTILE[4:], "era": ["late"]}, {"composer": []},
    ):  # fmt: skip
        said = {"composer": composers, "era": eras}
        rows = [row for row in left if all(said[name][row] in words for name, words in wanted.items())]
        assert_same(engine.search(blocks, weights, K, wanted), case.by_numpy(blocks, weights, np.array(rows, int)))
    engine.drop()


@pytest.mark.parametrize("opened", ENGINES, indirect=True)
def test_more_than_there_are_and_equal_ones(opened) -> None:
    """All rows come back, those that are the same in order of id; of none, none."""
    engine = opened([2])
    assert engine.search([np.ones(2, np.float32)], [1.0], 3).ids == ()
    ids = [f"{n:03d}" for n in range(60)]
    engine.put(ids[::-1], [np.ones((60, 2), np.float32)])
    assert list(engine.search([np.ones(2, np.float32)], [1.0], 5).ids) == ids[:5]
    assert list(engine.search([np.ones(2, np.float32)], [1.0], 99).ids) == ids
    assert list(engine.search([np.zeros(2, np.float32)], [0.0], 2).ids) == ids[:2]


@pytest.mark.parametrize("opened", ENGINES, indirect=True)
def test_what_cannot_be_meant_is_refused(opened) -> None:
    """Before the engine is asked anything."""
    engine = opened([2, 3], ["composer"])
    two, three = np.ones((1, 2), np.float32), np.ones((1, 3), np.float32)
    for ids, blocks, metadata in (
        (["a"], [two], None), (["a"], [three, two], None), (["a", "a"], [two.repeat(2, 0), three.repeat(2, 0)], None),
        (["a"], [two, three * np.nan], None), (["a"], [two, three], []),
    ):  # fmt: skip
        with pytest.raises(InputError):
            engine.put(ids, blocks, metadata)
    for blocks, weights, k, wanted in (
        ([two[0]], [1, 1], 1, {}), ([two[0], three[0]], [1], 1, {}), ([two[0], three[0]], [1, 1], 0, {}),
        ([two[0], three[0]], [1, 1], 1, {"era'--": ["x"]}),
    ):  # fmt: skip
        with pytest.raises(InputError):
            engine.search(blocks, weights, k, wanted)
    for key in ("", "short", "x" * 40, "../../etc", "a'; DROP"):
        with pytest.raises(InputError):
            opened([2], key=key)
    assert len(engine) == 0


@pytest.mark.parametrize("opened", ENGINES, indirect=True)
def test_filling_puts_what_is_missing_and_takes_what_is_not_of_it(opened, vectors) -> None:
    """Nothing twice; other words are put; a row of no library goes."""
    case = Case.of("direction", vectors)
    engine, ids = opened(case.widths, ["composer"]), list(IDS[:300])
    words = [{"composer": f"c{n % 3}"} for n in range(300)]
    assert fill(engine, ids, lambda rows: case.items[rows], words) == 300
    assert fill(engine, ids, lambda rows: case.items[rows], words) == 0
    words[5] = {"composer": "another"}
    assert fill(engine, ids[:290], lambda rows: case.items[rows], words[:290]) == 1 and len(engine) == 290
    blocks, weights = case.questions(5)[0]
    assert engine.search(blocks, weights, 4, {"composer": ["another"]}).ids == (IDS[5],)


WRITER = """
import sys
from pathlib import Path
import numpy as np
from mess_core.search.engines import contract
from mess_core.search.engines.lance import LanceEngine
from mess_core.search.engines.postgres import PostgresEngine
name, address, key, file, at_once = sys.argv[1:]
items = np.load(file)
kind = {"lancedb": lambda: LanceEngine(Path(address), key, [items.shape[1]]),
        "pgvector": lambda: PostgresEngine(address, key, [items.shape[1]])}
contract.BYTES_AT_ONCE = int(at_once)
engine = kind[name]()
put = engine._put
def told(*rows):
    put(*rows)
    print("put", flush=True)
engine._put = told
contract.fill(engine, [f"t{row:05d}" for row in range(len(items))], lambda rows: items[rows])
print("done", flush=True)
"""


def writer(opened, file, at_once: int) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, opened.name, str(opened.address), KEY, str(file), str(at_once)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("opened", OTHERS, indirect=True)
@pytest.mark.parametrize("n_before", [0, 1, 4])
def test_a_writer_that_is_killed_leaves_whole_rows_and_the_next_puts_the_rest(
    opened, vectors, tmp_path, n_before
) -> None:
    """Killed amid the first portion, or after some; then the answers are those of NumPy."""
    case = replace(Case.of("layer", vectors), widths=[LayerGeometry.fit(vectors, evidence()).n_columns])
    np.save(tmp_path / "items.npy", case.items)
    at_once = 4 * case.items.shape[1] * 500
    child = writer(opened, tmp_path / "items.npy", at_once)
    for _ in range(n_before):
        assert child.stdout.readline() == "put\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    engine = opened(case.widths)
    there = sorted(engine.stamps())
    assert len(there) == len(engine) >= 500 * n_before and len(there) % 500 == 0
    if there:
        assert (engine.rows(there) == case.items[: len(there)]).all()
    assert fill(engine, IDS, lambda rows: case.items[rows]) == N - len(there)
    blocks, weights = [case.geometry.query(case.items[7], case.geometry.plain)[0]], np.ones(1)
    assert_same(engine.search(blocks, weights, K), case.by_numpy(blocks, weights, np.arange(N)))


@pytest.mark.parametrize("opened", OTHERS, indirect=True)
def test_two_writers_leave_each_row_once(opened, vectors, tmp_path) -> None:
    """Both are done, or one of them says why not; whoever opens it next finds every row once."""
    case, n = Case.of("main layer", vectors), 2000
    np.save(tmp_path / "items.npy", case.items[:n])
    children = [writer(opened, tmp_path / "items.npy", 4 * case.items.shape[1] * 1000) for _ in range(2)]
    outputs = [child.communicate(timeout=120)[0] for child in children]
    assert any("done" in output for output in outputs)
    engine = opened(case.widths)
    fill(engine, IDS[:n], lambda rows: case.items[rows])
    assert sorted(engine.stamps()) == list(IDS[:n]) and len(engine) == n
    blocks, weights = case.questions(7)[0]
    assert_same(engine.search(blocks, weights, K), case.by_numpy(blocks, weights, np.arange(n)))


@pytest.mark.parametrize("opened", OTHERS, indirect=True)
def test_a_collection_of_other_columns_is_refused(opened) -> None:
    """In one sentence; under another key there is room."""
    opened([4, 2], ["composer"]).put(["a"], [np.ones((1, 4)), np.ones((1, 2))])
    for widths, names in (([3], ["composer"]), ([4, 2], ["era"])):
        with pytest.raises(EngineError):
            opened(widths, names)
    assert len(opened([4, 2], ["composer"])) == 1 and len(opened([3], key="abcd" * 4)) == 0


@pytest.mark.parametrize("opened", OTHERS, indirect=True)
def test_rows_wider_than_one_vector_of_pgvector(opened) -> None:
    """MERT-330M has 25 625 columns; pgvector's vectors have 16 000."""
    items = np.random.default_rng(3).standard_normal((40, 25_625)).astype(np.float32)
    engine, ids = opened([25_000, 625]), [f"{n:02d}" for n in range(40)]
    engine.put(ids, np.split(items, [25_000], axis=1))
    found = engine.search(np.split(items[3], [25_000]), [1.0, 0.5], 5)
    first, last = np.split(items.astype(float), [25_000], axis=1)
    totals = first @ first[3] + 0.5 * (last @ last[3])
    order = np.argsort(-totals)[:5]
    assert list(found.ids) == [ids[n] for n in order]
    np.testing.assert_allclose(found.totals, totals[order], rtol=1e-9)
