"""The verbs on the command line. The app's buttons do the same work through the same functions.

Exit codes: 0 done; 1 done, but items failed or `check` found problems (they are named); 2 wrong use, or no such track;
141 whoever read the output has stopped, as for SIGPIPE.
With `--json` standard output holds one strict JSON document and nothing else; progress goes to standard error.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from mess_core import plugins
from mess_core.catalogue.catalogue import ALL, FILTERS
from mess_core.catalogue.listening import ACTIONS
from mess_core.catalogue.opinions import ME
from mess_core.cli import engines, runs, serving, study, tracking
from mess_core.cli.saying import DONE, SOME_FAILED, report, say, say_document, show_progress, work_on
from mess_core.cli.tables import (
    answer_table,
    index_table,
    leak_table,
    learn_table,
    map_table,
    path_table,
    probe_table,
    reasons_table,
    recommended_table,
    recommender_table,
    relevance_table,
    study_table,
    tag_check_table,
    tags_table,
    taste_table,
)
from mess_core.cluster.settings import allow
from mess_core.collections.collection import Collection
from mess_core.collections.manifest import parse_columns
from mess_core.collections.playlist import library_name
from mess_core.collections.published import AUTO, COLLECTIONS
from mess_core.embeddings.device import check_device
from mess_core.embeddings.extraction import use_all_cores
from mess_core.embeddings.shards import parse_shard
from mess_core.encoders.registry import DEFAULT, encoder_ids, encoder_info, hearing_ids, load_encoder
from mess_core.errors import DataMissingError, InputError, MessError
from mess_core.evaluation.blending import weigh_sources, weights_of
from mess_core.evaluation.faithfulness import Faithfulness
from mess_core.evaluation.indexes import study_indexes
from mess_core.evaluation.kept import load_evaluation
from mess_core.evaluation.recommendation import K, evaluate_sequences
from mess_core.evaluation.tagging import check_tags
from mess_core.evaluation.taste import TasteStudy
from mess_core.handover.datasets import annotate
from mess_core.handover.events import export_events, import_events
from mess_core.handover.exports import (
    as_document,
    explained_document,
    path_document,
    recommended_document,
    tags_document,
    why_not_document,
    write_playlist,
)
from mess_core.handover.incoming import import_library
from mess_core.handover.judgements import export_judgements, export_strengths, import_judgements
from mess_core.handover.merging import merge
from mess_core.handover.metrics import export_metric
from mess_core.handover.outgoing import export_library
from mess_core.handover.own_targets import TakenTarget, import_target
from mess_core.handover.own_targets import as_document as own_document
from mess_core.handover.recognising import FUZZY_LOW
from mess_core.handover.relevance import study_relevance
from mess_core.handover.served import export_index
from mess_core.handover.vectors import import_vectors
from mess_core.learning.kept import SOURCES
from mess_core.learning.students import STUDENTS
from mess_core.maps.drawing import MapView, check_layer, load_view
from mess_core.probing.aspects import ASPECTS
from mess_core.probing.data import UNTRAINED
from mess_core.probing.discovery import GROUPS, Discovery
from mess_core.probing.replication import replicate
from mess_core.probing.result import ProbeSettings
from mess_core.probing.runs import find_run
from mess_core.recommend.explaining import why_not_of
from mess_core.recommend.for_you import recommend
from mess_core.recommend.profile import CONTEXTS
from mess_core.recommend.sections import SECTIONS
from mess_core.search.answers import Plan, Query, build_index, make_plan
from mess_core.search.asking import find_named, find_query
from mess_core.search.engines.chosen import ENGINES, FAISS
from mess_core.search.explaining import explain_neighbours
from mess_core.search.geometry import GEOMETRIES
from mess_core.search.inquiry import Inquiry, answer_plan, asked_scope, plan_inquiry
from mess_core.search.learned import LearnedGeometry
from mess_core.search.matching import parse_passage
from mess_core.search.paths import MOST_STEPS, check_length, find_path
from mess_core.search.question import COPIES, Question, parse_aspects
from mess_core.search.tagged import read_tags, require_tags
from mess_core.storage.untrusted import harmless
from mess_core.targets.own import CLASSES, NUMBERS, forget_own, own_targets, summary_of
from mess_core.upkeep.backup import back_up
from mess_core.upkeep.check import check
from mess_core.upkeep.rebuild import rebuild
from mess_core.words import counted
from mess_core.work.add import AddRequest
from mess_core.work.demo import DemoRequest
from mess_core.work.doing import finish
from mess_core.work.evaluate import EvaluateRequest, learn_from_sessions, study_own_taste
from mess_core.work.extract import ExtractRequest
from mess_core.work.fetch import FetchRequest
from mess_core.work.learn import EVERYONE, LADDER, LearnRequest, report_on
from mess_core.work.map import MapRequest
from mess_core.work.probe import ProbeRequest, check_probed
from mess_core.work.reproduce import reproduce
from mess_core.work.targets import TargetsRequest
from mess_core.workspace.scope import Scope, count_segments, scope_of, scope_to_listen
from mess_core.workspace.workspace import DEMO, Workspace, check_path

WRONG_USE = 2
NOBODY_READS = 128 + 13  # SIGPIPE
ACTION_WORDS = ("heard", "skipped", "liked", "disliked")  # as `ACTIONS`


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit code."""
    try:
        try:
            return _main(sys.argv[1:] if arguments is None else arguments)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # `| head`: nothing more is to be said, at the exit neither
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NOBODY_READS


def _main(arguments: Sequence[str]) -> int:
    try:
        options = _parser().parse_args(arguments)
        if options.run is _similar and options.query is None and options.words is None and not options.along:
            options.parser.error("the following arguments are required: QUERY, or --words, or --along")
        if options.run is _evaluate and (options.what == "sequences") != (options.file is not None):
            options.parser.error("a FILE goes with sequences, and sequences with a FILE")
    except _WrongUseError as error:
        if "--json" in arguments:
            say_document({"error": error.message, "hint": error.hint})
        print(f"{error.usage}mess: {harmless(str(error))}", file=sys.stderr)
        raise SystemExit(WRONG_USE) from None
    try:
        for path in options.plugins:
            plugins.run_file(path)
        workspace = Workspace(options.home)
        code: int = options.run(workspace, options)
    except MessError as error:
        if options.json:
            say_document({"error": error.message, "hint": error.hint})
        print(f"mess: {harmless(str(error))}", file=sys.stderr)
        return WRONG_USE
    except KeyboardInterrupt:
        print("mess: stopped; what was done is kept, the same command goes on.", file=sys.stderr)
        return SOME_FAILED
    return code


class _WrongUseError(InputError):
    """Arguments that cannot be meant; `usage` is how they are given."""

    usage = ""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        error = _WrongUseError(f"{message[:1].upper()}{message[1:].rstrip('.')}.", f"See {self.prog} --help.")
        error.usage = self.format_usage()
        raise error


def _time(text: str) -> float:
    """Seconds since 1970, of a date that is meant as UTC where it does not say otherwise."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no date; expected as 2026-05-01") from error
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _above_0(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1")
    return int(text)


def _path(text: str) -> Path:
    """A path that was typed; the empty one, as of a variable that is not set, is not the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("the path is empty")
    return Path(text)


def _parser() -> argparse.ArgumentParser:
    called = "mess" if Path(sys.argv[0]).stem == "mess" else "python -m mess_core"  # as it was typed
    parser = _Parser(prog=called, description="Music Embedding Similarity Search.")
    parser.add_argument(
        "--home", type=_path, help="data folder (default: $MESS_HOME, or data/ in a clone, or your own)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--plugin", dest="plugins", action="append", type=_path, default=[], metavar="FILE.py",
                        help=f"run this file, which adds an encoder; repeatable; or {plugins.FILES}")  # fmt: skip
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    def verb(name: str, run: Any, help_text: str) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=help_text, description=help_text)
        sub.set_defaults(run=run, parser=sub)
        # also accepted after the verb, where most people type it
        sub.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        return sub

    def encoder_option(sub: argparse.ArgumentParser, default: str | None = DEFAULT, usual: str = DEFAULT) -> None:
        ids = ", ".join((*hearing_ids(), *encoder_ids()))
        sub.add_argument(
            "--encoder",
            default=default,
            metavar="ID",
            help=f"one of: {ids}; one layer as hearing:layer:ID:LAYER; by default {usual}",
        )

    def mlflow_option(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--mlflow", action="store_true", help="also log the run to MLflow, in the data folder")

    def cluster_options(sub: argparse.ArgumentParser) -> None:
        at, place = "local|HOST:PORT", "FOLDER=PLACE"
        what = "let workers of Ray compute: on this machine, or on the cluster it belongs to"
        sub.add_argument("--cluster", default="", metavar=at, help=what)
        where = "with --cluster: where workers find the music, another path or s3://…"
        sub.add_argument("--read-from", default="", metavar=place, help=where)
        sub.add_argument("--workers", type=_above_0, default=0, metavar="N", help="with --cluster: at most so many")

    verb("demo", _demo, "Make the demo library and register it.")

    add = verb("add", _add, "Register audio files, folders and collections; copies nothing.")
    add.add_argument("paths", nargs="+", type=_path, metavar="PATH")
    add.add_argument("--dataset", choices=[AUTO, *COLLECTIONS], default=AUTO, help="what the folder holds")
    add.add_argument("--library", help="name of the library (default: the folder's name)")
    add.add_argument("--columns", default="", metavar="THEIRS=OURS,…",
                     help="what columns of your own table hold: file=audio,piece=work")  # fmt: skip
    add.add_argument("--render", action="store_true", help="play performances of which there is only MIDI")

    fetch = verb("fetch", _fetch, "Download a published collection into a folder of yours, and register it.")
    fetch.add_argument("collection", choices=[each.id for each in COLLECTIONS.values() if each.downloads])
    fetch.add_argument("folder", type=_path, metavar="FOLDER")
    fetch.add_argument("--number", type=int, default=0, metavar="N", help="which of its downloads, from 0")
    fetch.add_argument("--library", help="name of the library (default: the collection's id)")
    fetch.add_argument("--render", action="store_true", help="play performances of which there is only MIDI")
    fetch.add_argument("--accept-licence", action="store_true", help="you have read its licence and agree")

    remove = verb("remove", _remove, "Forget a track or a library; never touches music files.")
    remove.add_argument("name", nargs="?", metavar="TRACK|LIBRARY")
    remove.add_argument("--missing", action="store_true", help="list the tracks of which no file is left")
    remove.add_argument("--yes", action="store_true", help="forget what --missing lists")
    remove.add_argument("--library", default=ALL, help="only of this one, with --missing")
    remove.add_argument(
        "--root", dest="roots", action="append", type=_path, default=[], metavar="FOLDER",
        help="a folder or disk that will not come back, with --missing; repeatable",
    )  # fmt: skip

    sub = verb("extract", _extract, "Embed every track that is not embedded yet; resumes where it stopped.")
    encoder_option(sub)
    sub.add_argument("--library", default=ALL)
    sub.add_argument("--keep-raw", action="store_true", help="also keep hidden states of all frames (very large)")
    sub.add_argument("--shard", default="", metavar="I/N",
                     help="only the I-th of N parts, on one of N machines with a data folder each")  # fmt: skip
    cluster_options(sub)
    sub.add_argument("--device", default="", metavar="cpu|cuda|cuda:N|mps", help="what computes (default: the fastest)")
    sub.add_argument("--batch-size", type=_above_0, default=0, metavar="N",
                     help="segments at a time (default: what suits the device); rounds otherwise")  # fmt: skip
    sub.add_argument("--threads", type=_above_0, default=0, metavar="N",
                     help="of the processor (default: all, or OMP_NUM_THREADS)")  # fmt: skip
    mlflow_option(sub)

    sub = verb("targets", _targets, "Measure the proxy targets that are not measured yet; or take in your own.")
    sub.add_argument("--library", default=ALL)
    cluster_options(sub)
    sub.add_argument("--csv", type=_path, metavar="FILE", help="take in a column of a table (CSV or Parquet) instead: "
                     "one of its columns is track_id, path, file or title")  # fmt: skip
    sub.add_argument("--column", metavar="NAME", help="which column, with --csv")
    sub.add_argument("--name", default="", help="what it is called here (default: as the column)")
    sub.add_argument("--kind", choices=[NUMBERS, CLASSES], default="", help="by default numbers, if all of it is")
    sub.add_argument("--unit", default="", help="of the numbers")
    sub.add_argument("--list", action="store_true", help="say which targets of your own there are")
    sub.add_argument("--forget", metavar="NAME", help="forget a target of your own; what was found of it stays")

    probe = verb("probe", _probe, "Discovery: what of the targets each layer tells, with intervals and baselines.")
    encoder_option(probe)
    probe.add_argument("--library", default=ALL)
    probe.add_argument("--group", default="work", metavar="|".join([*GROUPS, "COLUMN"]),
                       help="what is never on both sides of a split; COLUMN is one of your own table")  # fmt: skip
    probe.add_argument("--target", dest="columns", action="append", default=[], metavar="NAME",
                       help="probe a target of your own instead (see targets --csv), or a column of your own table, "
                       "or a name that is kept (instrument, performer, …), or how strongly recordings are heard as a "
                       "word (violin, slow, rock: see tags), or a track feature (energy, mode, …): numbers as numbers, "
                       "text as classes; repeatable")  # fmt: skip
    probe.add_argument("--level", choices=["track", "segment"], default="track")
    probe.add_argument("--alpha", type=float, help="one ridge penalty instead of a grid")
    probe.add_argument("--folds", type=int, default=ProbeSettings.n_folds)
    probe.add_argument("--permutations", type=int, default=ProbeSettings.n_permutations)
    probe.add_argument("--seed", type=int, default=ProbeSettings.seed)
    probe.add_argument("--without", action="append", default=[], choices=[UNTRAINED],
                       help="leave out what takes as long as the encoder; nothing then encodes")  # fmt: skip
    probe.add_argument("--replicate-on", metavar="LIBRARY",
                       help="probe this one, too, and say what is encoded in both: that is established")  # fmt: skip
    mlflow_option(probe)

    similar = verb("similar", _similar, "The nearest tracks to a query.")
    similar.add_argument(
        "query", nargs="?", metavar="QUERY", help="a track id or any audio file; not needed with --words and --along"
    )
    similar.add_argument("--like", action="append", default=[], metavar="TRACK",
                         help="what answers should be like, too: a track of the library; repeatable")  # fmt: skip
    similar.add_argument("--unlike", action="append", default=[], metavar="TRACK",
                         help="what answers should not be like; repeatable")  # fmt: skip
    similar.add_argument("--along", default="", metavar="ASPECT",
                         help="put the library in order along an aspect, the least of it first")  # fmt: skip
    similar.add_argument("--furthest", "--reverse", dest="reverse", action="store_true",
                         help="the furthest first; with --along, the most of it first")  # fmt: skip
    similar.add_argument(
        "--words", metavar="TEXT", help='what to hear, alone or beside a query: "solo violin, not slow"'
    )
    similar.add_argument("-k", type=int, default=10)
    encoder_option(similar, None, "the first hearing for which all of the library has been embedded")
    similar.add_argument("--library", default=ALL)

    similar.add_argument("--aspects", metavar="A=W,…", help=f"what matters, and how much: {', '.join(ASPECTS)}")
    similar.add_argument("--not", dest="avoid", metavar="A,…", help="aspects that must not count")
    similar.add_argument(
        "--geometry",
        choices=["auto", *GEOMETRIES, LearnedGeometry.name],
        default="auto",
        help="how near is measured: as the encoder hears it, by the measured values, or by what was learned",
    )
    similar.add_argument("--passage", metavar="START:END", help="seconds of the query to look for, inside other tracks")
    similar.add_argument("--diversity", type=float, default=0.0, help="0 to 1: rank what repeats a result lower")
    for name in ("work", "performer", "album"):
        similar.add_argument(f"--max-per-{name}", type=int, metavar="N")
    for name in FILTERS:
        similar.add_argument(f"--{name}", dest=f"{name}s", action="append", default=[], help="only these; repeatable")
    for name in ("duplicates", "versions"):
        similar.add_argument(f"--{name}", choices=COPIES, default="keep")
    similar.add_argument("--where", action="append", default=[], metavar="NAME=VALUE",
                         help="only where a name or a column of your table says so; repeatable")  # fmt: skip
    similar.add_argument("--heard-as", action="append", default=[], metavar="TAG",
                         help="only what MusiCNN clearly hears as that: violin, slow, jazz; repeatable")  # fmt: skip
    similar.add_argument("--between", action="append", default=[], metavar="VALUE=LEAST:MOST",
                         help="only where it was measured so: tempo=90:110, energy=.5: ; repeatable")  # fmt: skip
    similar.add_argument("--playlist", type=_path, metavar="FILE.m3u8", help="also write the answer as a playlist")
    similar.add_argument("--explain", action="store_true", help="also in what each answer is like the query, and not")
    similar.add_argument("--hubs", choices=["auto", "on", "off"], default="auto", help="correct for hubs (CSLS)")
    similar.add_argument(
        "--run", metavar="ID", dest="by_run", help="aspects as this run of discovery found them (see runs)"
    )
    similar.add_argument("--engine", choices=list(ENGINES), default="",
                         help="what is asked for the nearest; by default what the verb engine has chosen")  # fmt: skip

    path = verb("path", _path_between, "A path from one recording to another, each step a small one.")
    path.add_argument("beginning", metavar="A", help="a track id or any audio file")
    path.add_argument("end", metavar="B", help="likewise")
    path.add_argument("-n", type=int, default=8, help="recordings of the path, A and B among them")
    path.add_argument("--via", action="append", default=[], metavar="C", help="by way of this one; repeatable")
    encoder_option(path, None, "the first hearing for which all of the library has been embedded")
    path.add_argument("--library", default=ALL)
    path.add_argument("--aspects", metavar="A=W,…", help="in what the steps are small")
    path.add_argument("--not", dest="avoid", metavar="A,…", help="aspects that must not count")
    path.add_argument("--geometry", choices=["auto", *GEOMETRIES], default="auto", help="how near is measured")
    path.add_argument("--playlist", type=_path, metavar="FILE.m3u8", help="also write it as a playlist")

    tags = verb("tags", _tags, "As what recordings are heard: instruments, voices, playing, genre, mood, era.")
    tags.add_argument("tracks", nargs="*", metavar="TRACK", help="track ids (default: all of the library)")
    tags.add_argument("--library", default=ALL)
    tags.add_argument("--check", action="store_true", help="how well they are heard, by the names of the library")

    evaluate = verb("evaluate", _evaluate, "How well search does what it says, with intervals and chance.")
    evaluate.add_argument("what", choices=["similarity", "faithfulness", "taste", "sessions", "sequences", "indexes"])
    evaluate.add_argument("file", nargs="?", type=_path, metavar="FILE",
                          help="of sequences: lines `user item item …`, to try recommenders on")  # fmt: skip
    evaluate.add_argument("--relevance", type=_path, metavar="FILE",
                          help="of similarity: what is relevant, in a table with the columns query, track (and gain), "
                          "or a track and its group, or anchor, positive, negative")  # fmt: skip
    evaluate.add_argument("-k", type=int, default=K, help="of sequences and relevance: how many of a list count")
    encoder_option(evaluate, None, f"{DEFAULT}; of a taste or sessions, as with recommend")
    evaluate.add_argument("--library", default=ALL)
    evaluate.add_argument("--listener", metavar="NAME", help="of a taste: replay this one's history, not the simulated")

    listen = verb("recommend", _recommend, "What a listener may want to hear next, and why.")
    listen.add_argument("--listener", default=ME, metavar="NAME")
    listen.add_argument("-k", type=int, default=20)
    listen.add_argument("--section", choices=list(SECTIONS), default=next(iter(SECTIONS)), help="which kind of list")
    listen.add_argument("--surprise", type=float, default=0.5, help="0 familiar, 1 surprising")
    listen.add_argument("--context", choices=list(CONTEXTS), help="what was heard then counts more")
    listen.add_argument("--why-not", metavar="TRACK", help="say instead what keeps a track from being recommended")
    listen.add_argument("--seed", type=int, default=0)
    listen.add_argument("--playlist", type=_path, metavar="FILE.m3u8", help="also write the list, anew each time")
    encoder_option(listen, None, "the first hearing for which all of the library has been embedded")
    listen.add_argument("--library", default=ALL)

    learn = verb("learn", _learn, "Teach a similarity, test it on what it has not heard, and say whether it helps.")
    encoder_option(learn)
    learn.add_argument("--library", default=ALL)
    learn.add_argument("--from", dest="source", required=True, choices=SOURCES, help="what teaches")
    learn.add_argument(
        "--student", choices=[LADDER, EVERYONE, *STUDENTS], default=LADDER,
        help="by default all of them, and the last that is surely better than those before it is chosen",
    )  # fmt: skip
    learn.add_argument("--seeds", type=int, default=LearnRequest.n_seeds, metavar="N")
    learn.add_argument("--curve", action="store_true", help="also how good the best is after less training")
    learn.add_argument(
        "--single-ratings", type=_path, metavar="FILE.csv",
        help="what every rater said (PercePiano's ratings.csv), by which people themselves are tested",
    )  # fmt: skip
    learn.add_argument("--question", default="", help="of judgements: only those that answer this, as it was asked")
    learn.add_argument("--hide-works", action="store_true", help="what is learned is not to tell works apart")
    learn.add_argument("--activate", action="store_true", help="search can go by it then: similar --geometry learned")
    learn.add_argument("--export", type=_path, metavar="FOLDER", help="also write what was activated, with a card")

    votes = verb("judgements", _judgements, "What people found more alike: to and from a table (CSV or Parquet).")
    votes.add_argument("what", choices=["export", "import", "aggregate"])
    votes.add_argument("file", type=_path, metavar="FILE")

    events = verb(
        "events", _events, "What was listened to: from ListenBrainz, Last.fm, Spotify or a table, and to one."
    )
    events.add_argument("what", choices=["import", "export", "forget", "list"])
    events.add_argument("file", nargs="?", type=_path, metavar="FILE", help="with import also a zip or a folder")
    events.add_argument(
        "--listener", metavar="NAME", help="whose; with import whatever the file says, by default of all or `me`"
    )
    events.add_argument(
        "--confidence", type=float, default=FUZZY_LOW, metavar="0..1",
        help="with import: how sure it must be which recording is meant; 0.9 leaves out names that are only alike",
    )  # fmt: skip
    events.add_argument(
        "--from", dest="from_s", type=_time, metavar="DATE", help="with forget: not what is before (UTC)"
    )
    events.add_argument("--to", dest="to_s", type=_time, metavar="DATE", help="with forget: only what is before (UTC)")
    events.add_argument("--yes", action="store_true", help="with forget: do it")

    runs.add_verbs(verb, mlflow_option, _path)
    study.add_verb(verb, mlflow_option)
    engines.add_verbs(verb)

    again = verb("reproduce", _reproduce, "Compute a kept result again and compare it, number by number.")
    again.add_argument(
        "file", type=Path, metavar="FILE", help="a discovery or evaluation in the folder `probing/`, or a saved answer"
    )

    draw = verb("map", _map, "Draw the library as each layer sees it, and say how far to trust that.")
    encoder_option(draw)
    draw.add_argument("--library", default=ALL)
    draw.add_argument("--layer", type=int, metavar="L", help="only this layer")

    export = verb("export", _export, "Hand over a library: embeddings, targets, hashes, licences.")
    export.add_argument("folder", type=_path, metavar="FOLDER")
    export.add_argument("--library", default=ALL)
    export.add_argument("--encoder", dest="encoders", action="append", metavar="ID", help="only this one; repeatable")
    export.add_argument("--index", action="store_true", help="write the search index of one encoder, for a service")

    sub = verb("import", _import, "Take in an exported library, or vectors of another program; keeps what is here.")
    sub.add_argument("folder", nargs="?", type=_path, metavar="FOLDER")
    sub.add_argument("--library", help="what the tracks join; with --vectors, where they are looked for")
    sub.add_argument("--vectors", type=_path, metavar="FILE.npy", help="(n, dim) or (n, n_layers, dim)")
    sub.add_argument("--ids", type=_path, metavar="FILE.txt", help="a track id, title or file name per row")
    sub.add_argument("--starts", type=_path, metavar="FILE.npy",
                     help="with --vectors: when each row begins in its track (s), if it is a segment")  # fmt: skip
    sub.add_argument("--segment", type=float, metavar="SECONDS", help="with --starts: how long a row is")
    sub.add_argument("--name", help="what they are called here: imported:NAME")

    sub = verb("annotate", _annotate, "Take in annotations of other programs as columns that can be probed.")
    sub.add_argument("files", nargs="+", type=_path, metavar="FILE",
                     help="piece.jams, or piece.LAYER.csv of Sonic Visualiser, or a folder of such files")  # fmt: skip
    sub.add_argument("--library", default=ALL)

    serving.add_verb(verb, _path)
    sub = verb("merge", _merge, "Join data folders of several machines into one; nothing there is written over.")
    sub.add_argument("homes", nargs="+", type=_path, metavar="HOME", help="of a machine that has extracted a part")
    sub.add_argument("--into", dest="home", type=_path, default=argparse.SUPPRESS, metavar="HOME",
                     help="data folder that takes them in (default: that of every other verb)")  # fmt: skip

    check = verb("check", _check, "Verify every stored array; name what is damaged.")
    check.add_argument("--repair", action="store_true", help="forget what is damaged, so that it is extracted again")
    check.add_argument(
        "--rebuild", action="store_true", help="read embeddings and uploads back into a catalogue that is gone or old"
    )

    back_up = verb("backup", _back_up, "Copy the data folder, also while the app is running.")
    back_up.add_argument("folder", type=_path, metavar="FOLDER")

    verb("doctor", _doctor, "Versions, devices, weights, disk: what is missing and how to get it.")
    return parser


# --- verbs --------------------------------------------------------------------------------------------------


def _demo(workspace: Workspace, options: argparse.Namespace) -> int:
    job = work_on(workspace, DemoRequest())
    return report(workspace, [job], options, library=DEMO)


def _add(workspace: Workspace, options: argparse.Namespace) -> int:
    for path in options.paths:  # all of them before any is registered
        check_path(path)
        if options.dataset != AUTO and path.is_dir():
            _check_dataset(path, COLLECTIONS[options.dataset])
    library = options.library or library_name(options.paths[0])
    columns = tuple(parse_columns(options.columns).items()) if options.columns else ()
    requests = [
        AddRequest(path.resolve(), library, collection=options.dataset, renders=options.render, columns=columns)
        for path in options.paths
    ]
    jobs = [work_on(workspace, request) for request in requests]
    return report(workspace, jobs, options, library=library)


def _check_dataset(folder: Path, wanted: Collection) -> None:
    """Refuse a folder that is not the collection it is said to be, in that collection's own words if it has any."""
    if not wanted.is_at(folder) and not wanted.read(folder).recordings:
        raise InputError(f"{folder} does not hold {wanted.title}.", "Leave out --dataset, or name its folder.")


def _fetch(workspace: Workspace, options: argparse.Namespace) -> int:
    found = COLLECTIONS[options.collection]
    if not options.accept_licence:
        offers = (
            f"{number}: {each.holds}, {each.size_bytes / 1e6:,.0f} MB" for number, each in enumerate(found.downloads)
        )
        raise InputError(
            f"{found.title} ({'; '.join(offers)}) is under {found.licence}: {found.homepage}",
            "If you agree, add --accept-licence.",
        )
    library = options.library or found.id
    folder = options.folder.expanduser().resolve()
    job = work_on(workspace, FetchRequest(found.id, options.number, folder, library, renders=options.render))
    following = [each for each in workspace.jobs.active() if each.kind == AddRequest.kind and job.state == "done"]
    jobs = [job, *(finish(workspace, each, progress=sys.stderr.isatty()) for each in following)]
    return report(workspace, jobs, options, library=library)


def _remove(workspace: Workspace, options: argparse.Namespace) -> int:
    if options.missing == (options.name is not None):
        raise InputError("Nothing to remove.", "Name a TRACK or LIBRARY, or give --missing.")
    if options.missing:
        return _remove_missing(workspace, options)
    if options.name in [library.name for library in workspace.catalogue.libraries()]:
        n_tracks = workspace.remove_library(options.name)
    else:
        workspace.forget_tracks([workspace.catalogue.track(options.name).track_id])
        n_tracks = 1
    say(
        options,
        {"removed": options.name, "n_tracks": n_tracks},
        f"{counted(n_tracks, 'track')} forgotten; no music file touched.",
    )
    return DONE


def _remove_missing(workspace: Workspace, options: argparse.Namespace) -> int:
    """List what has no file left; forget it only if told so."""
    missing = workspace.missing_files(options.library, options.roots)
    if options.yes:
        missing = workspace.forget_missing(options.library, [each.track_id for each in missing], options.roots)
    elsewhere = [str(root) for root in workspace.catalogue.missing_roots()]
    rows = [{"track_id": each.track_id, "title": each.title, "path": str(each.path)} for each in missing]
    document = {"missing": rows, "is_forgotten": options.yes, "folders_not_there": elsewhere}
    lines = [f"{each.track_id}  {each.path}" for each in missing]
    if options.yes:
        lines.append(f"{counted(len(missing), 'track')} forgotten; no music file touched.")
    else:
        lines.append(
            f"{counted(len(missing), 'track')} without a file.{' --yes forgets what is listed.' if missing else ''}"
        )
    lines += [f"{root} is not there; what it held counts only with --root {root}" for root in elsewhere]
    say(options, document, lines)
    return DONE


def _extract(workspace: Workspace, options: argparse.Namespace) -> int:
    use_all_cores()
    if options.device:
        check_device(options.device)
    if options.cluster:
        allow(options.cluster)
    scope = scope_of(workspace, options.library, options.encoder)
    scope.require_library()
    for info in encoder_info(options.encoder, workspace.paths).encoders if not options.cluster else ():
        load_encoder(info.id, workspace.paths)  # weights missing or damaged: said now, not after the queue
    shard = parse_shard(options.shard)
    missing = [track for track in scope.missing_tracks if shard.holds(track.track_id)]
    if options.mlflow:
        tracking.open_store(workspace.paths)
    started_s = time.monotonic()
    request = ExtractRequest(
        options.library, options.encoder, keep_raw=options.keep_raw, shard=options.shard,
        cluster=options.cluster, read_from=options.read_from, n_workers=options.workers,
        device=options.device, batch_size=options.batch_size, n_threads=options.threads,
    )  # fmt: skip
    job = work_on(workspace, request)
    if options.mlflow and job.state == "done":
        done = [track for track in missing if workspace.store.has(track.track_id, scope.info)]
        n_segments = sum(count_segments(track.duration_s, scope.info) for track in done)
        seconds = time.monotonic() - started_s
        tracking.log_extraction(scope, len(done), n_segments, seconds)
    return report(workspace, [job], options, library=options.library, encoder=options.encoder)


def _targets(workspace: Workspace, options: argparse.Namespace) -> int:
    if (options.csv is None) != (options.column is None):
        raise InputError("A column is one of a table.", "Give both, --csv FILE and --column NAME, or neither.")
    if options.cluster and (options.csv is not None or options.forget is not None or options.list):
        raise InputError("Targets of your own are not measured.", "Leave out --cluster.")
    if options.forget is not None:
        forget_own(workspace.paths, options.forget)
        say(options, {"forgotten": options.forget}, f"{options.forget} forgotten; what was found of it stays.")
        return DONE
    if options.list:
        own = own_targets(workspace.paths).values()
        document = [{**own_document(TakenTarget(each)), "title": each.described.title} for each in own]
        say(options, {"targets": document}, [summary_of(each) for each in own] or "There is no target of your own yet.")
        return DONE
    if options.csv is not None:
        taken = import_target(
            workspace, options.csv, options.column, name=options.name, kind=options.kind, unit=options.unit
        )
        lines = [taken.summary, *(f"  {name}: {why}" for name, why in taken.refused)]
        say(options, dict(own_document(taken)), lines)
        return SOME_FAILED if taken.refused else DONE
    workspace.catalogue.require_library(options.library)
    if options.cluster:
        allow(options.cluster)
    request = TargetsRequest(
        options.library, cluster=options.cluster, read_from=options.read_from, n_workers=options.workers
    )
    job = work_on(workspace, request)
    return report(workspace, [job], options, library=options.library)


def _probe(workspace: Workspace, options: argparse.Namespace) -> int:
    use_all_cores()
    scope = scope_of(workspace, options.library, options.encoder)
    scope.require_library()
    settings = ProbeSettings(
        alphas=ProbeSettings.alphas if options.alpha is None else (options.alpha,),
        n_folds=options.folds,
        n_permutations=options.permutations,
        seed=options.seed,
        columns=tuple(options.columns),
        without=tuple(options.without),
    )
    if options.mlflow:
        tracking.open_store(workspace.paths)
    check_probed(scope, options.group, options.level, settings.columns)
    _require_embeddings(scope)
    started_s = time.monotonic()
    job = work_on(workspace, ProbeRequest(scope.library, scope.info.id, options.group, options.level, settings))
    found = scope.discovery(options.group, options.level, settings)
    if job.state != "done" or found is None:
        return report(workspace, [job], options, library=scope.library, encoder=scope.info.id)
    for notice in found.notices:
        print(f"mess: {notice}", file=sys.stderr)
    if options.mlflow:
        tracking.log_probe(workspace.paths, found, time.monotonic() - started_s)
    document, lines = found.as_document(), [job.message, *probe_table(found.result), f"Run {found.run_id}."]
    if options.replicate_on:
        elsewhere = scope_of(workspace, options.replicate_on, options.encoder)
        elsewhere.require_library()
        _require_embeddings(elsewhere)
        other = elsewhere.discovery(options.group, options.level, settings)
        if (
            other is None
            or not (other.result.has_null and other.result.has_intervals)
            or other.content != elsewhere.content
        ):
            job = work_on(
                workspace, ProbeRequest(elsewhere.library, elsewhere.info.id, options.group, options.level, settings)
            )
            other = elsewhere.discovery(options.group, options.level, settings)
        if other is None:
            return report(workspace, [job], options, library=elsewhere.library, encoder=elsewhere.info.id)
        replication = replicate(found, other, scope.works, elsewhere.works)
        document["replication"] = asdict(replication)
        lines += replication.sentences()
    say(options, document, lines)
    return DONE


def _events(workspace: Workspace, options: argparse.Namespace) -> int:
    if options.what in ("import", "export") and options.file is None:
        raise InputError(f"events {options.what} needs a FILE.", f"python -m mess_core events {options.what} FILE")
    match options.what:
        case "import":
            return _import_events(workspace, options)
        case "export":
            n_events = export_events(workspace, options.file, listener=options.listener)
            document = {"file": str(options.file), "listener": options.listener, "n_events": n_events}
            say(options, document, f"{counted(n_events, 'event')} in {options.file}.")
            return DONE
        case "forget":
            return _forget_events(workspace, options)
    return _list_events(workspace, options)


def _import_events(workspace: Workspace, options: argparse.Namespace) -> int:
    if not 0 <= options.confidence <= 1:
        raise InputError(f"--confidence is {options.confidence:g}, expected 0 to 1.")
    taken = import_events(
        workspace, options.file, listener=options.listener, least_confidence=options.confidence
    )  # fmt: skip
    facts = asdict(taken)
    facts["by_confidence"] = [{"confidence": name, "n": n} for name, n in taken.by_confidence]
    facts["unmatched"] = [{"name": name, "n": n} for name, n in taken.unmatched]
    facts["refused"] = [{"name": name, "reason": why} for name, why in taken.refused]
    lines = [taken.summary, *(f"  {where}: {why}" for where, why in taken.refused)]
    if taken.unmatched:
        lines += ["Most often heard, and not here:", *(f"  {n:,} × {name}" for name, n in taken.unmatched)]
    say(options, {"file": str(options.file), "n_matched": taken.n_matched, **facts}, lines)
    return SOME_FAILED if taken.n_refused else DONE


def _forget_events(workspace: Workspace, options: argparse.Namespace) -> int:
    opinions, who = workspace.opinions, options.listener or ME
    times = (options.from_s, options.to_s)
    if options.yes:
        n_events = opinions.forget(who, *times)
        said = f"{counted(n_events, 'entry', 'entries')} of {who} forgotten. Backups elsewhere may still hold them."
    else:
        n_events = opinions.n_kept(who, *times)
        said = f"{counted(n_events, 'entry', 'entries')} of {who}.{' --yes forgets them.' if n_events else ''}"
    say(options, {"listener": who, "n_events": n_events, "forgotten": options.yes}, said)
    return DONE


def _list_events(workspace: Workspace, options: argparse.Namespace) -> int:
    found: list[dict[str, Any]] = []
    lines = []
    for name in workspace.opinions.listeners():
        events = workspace.opinions.events(name)
        n = np.bincount(events.action, minlength=len(ACTIONS))
        counts = {f"n_{action}": int(count) for action, count in zip(ACTIONS, n, strict=True)}
        found.append({"listener": name, "n_events": len(events), "n_tracks": len(events.track_ids), **counts})
        done = ", ".join(f"{count:,} {word}" for count, word in zip(n, ACTION_WORDS, strict=True))
        lines.append(f"{name}: {done}; {counted(len(events.track_ids), 'track')}")
    say(options, {"listeners": found}, lines or "Nobody has listened to anything yet.")
    return DONE


def _reproduce(workspace: Workspace, options: argparse.Namespace) -> int:
    use_all_cores()
    found = reproduce(workspace, options.file)
    say(options, {**asdict(found), "is_identical": found.is_identical}, found.sentences())
    return DONE if found.is_identical else SOME_FAILED


def _similar(workspace: Workspace, options: argparse.Namespace) -> int:
    said = {each.name: getattr(options, each.name) for each in fields(Inquiry)}
    said |= _compared(options)
    said["passage"] = parse_passage(options.passage) if options.passage else None
    for name in ("like", "unlike"):
        said[name] = [find_named(workspace, text) for text in said[name]]
    if options.by_run and said["encoder"] is None:
        said["encoder"] = find_run(workspace.paths, options.by_run).discovery.encoder
    asked = Inquiry(**said)
    plan = plan_inquiry(workspace, asked, functools.partial(_discovery_of, options.by_run))
    for notice in plan.notices:
        print(f"mess: {harmless(notice)}", file=sys.stderr)
    index_of = functools.cache(build_index)

    def query_of(plan: Plan) -> Query:
        return find_query(plan.scope, options.query, measures=plan.measured is not None)

    found = answer_plan(plan, query_of if options.query is not None else None, asked.passage, index_of=index_of)
    usual: dict[int, float] = {}
    is_plain = not (asked.reverse or asked.along or asked.like or asked.unlike)
    if found.query is not None and asked.passage is None and is_plain:
        usual = index_of(plan).usual_percentiles(plan.question)
    if found.query is not None and workspace.catalogue.has(found.query.track_id):
        for notice in workspace.catalogue.track(found.query.track_id).notices:
            print(f"mess: {notice}", file=sys.stderr)
    if found.answered_by is not None and plan.asks != FAISS:
        print(f"mess: {harmless(found.answered_by.words)}", file=sys.stderr)
    if found.is_strange:
        print("mess: The query is unlike everything in this library; the nearest may still be far.", file=sys.stderr)
    if options.playlist:
        write_playlist(found, options.playlist)
    if options.explain:
        reasons = explain_neighbours(found, index_of)
        say(options, explained_document(found, reasons), [*answer_table(found, usual), *reasons_table(found, reasons)])
    else:
        say(options, as_document(found), answer_table(found, usual))
    return DONE


def _discovery_of(run_id: str | None, scope: Scope) -> Discovery | None:
    """What a search goes by: the run that was asked for, or what searches go by."""
    return scope.discovery_by_run(run_id) if run_id else scope.discovery_for_search()


def _path_between(workspace: Workspace, options: argparse.Namespace) -> int:
    scope = asked_scope(workspace, options.library, options.encoder)
    plan = make_plan(scope, Question(**_compared(options)), scope.discovery_for_search())
    for notice in plan.notices:
        print(f"mess: {harmless(notice)}", file=sys.stderr)
    index = build_index(plan)  # says what is missing before anything is embedded
    named = [options.beginning, *options.via, options.end]
    check_length(options.n, len(named), MOST_STEPS)
    stops = [find_query(plan.scope, text, measures=plan.measured is not None) for text in named]
    found = find_path(index, plan, stops, options.n)
    for notice in found.notices[len(plan.notices) :]:
        print(f"mess: {harmless(notice)}", file=sys.stderr)
    if options.playlist:
        write_playlist(found, options.playlist)
    say(options, path_document(found), path_table(found))
    return DONE


def _compared(options: argparse.Namespace) -> dict[str, Any]:
    """What of a question says in what recordings are compared."""
    return {
        "aspects": parse_aspects(options.aspects) if options.aspects else {},
        "avoid": tuple(aspect.strip() for aspect in options.avoid.split(",")) if options.avoid else (),
        "geometry": options.geometry,
    }


def _tags(workspace: Workspace, options: argparse.Namespace) -> int:
    workspace.catalogue.require_library(options.library)
    if options.check:
        require_tags(workspace, options.library)
        figures = check_tags(workspace, options.library)
        document = {"library": options.library, "figures": [asdict(figure) for figure in figures]}
        say(options, document, tag_check_table(figures))
        return DONE
    heard = read_tags(workspace, options.library, options.tracks)
    if heard.notice:
        print(f"mess: {heard.notice}", file=sys.stderr)
    say(options, tags_document(heard), tags_table(heard.tracks, heard.strengths, heard.percentiles))
    return DONE


def _evaluate(workspace: Workspace, options: argparse.Namespace) -> int:
    if options.what == "sequences":
        tried = evaluate_sequences(options.file, options.k)
        document = {"file": str(options.file), **tried.as_document()}
        say(options, document, [*recommender_table(tried), *tried.notices])
        return DONE
    use_all_cores()
    is_of_listeners = options.what in ("taste", "sessions")
    usual = scope_to_listen(workspace, options.library).info.id if is_of_listeners else DEFAULT
    scope = scope_of(workspace, options.library, options.encoder or usual)
    scope.require_library()
    _require_embeddings(scope)
    if options.relevance is not None:
        if options.what != "similarity":
            raise InputError(f"Relevance is what similarity should find; {options.what} has none.", "Leave it out.")
        relevant = study_relevance(scope, options.relevance, options.k, on_progress=show_progress)
        say(options, relevant.as_document(), relevance_table(relevant))
        return DONE
    if options.what == "indexes":
        measured = study_indexes(scope)
        say(options, measured.as_document(), [*index_table(measured), *measured.notices])
        return DONE
    if options.what == "sessions":
        trial = learn_from_sessions(scope)
        say(options, trial.as_document(), trial.verdict)
        return DONE
    if options.listener is not None:
        if options.what != "taste":
            raise InputError(f"A listener has a taste; {options.what} has none.", "Leave --listener out.")
        study = study_own_taste(scope, options.listener)
        say(options, study.to_dict(), taste_table(study))
        return DONE
    job = work_on(workspace, EvaluateRequest(scope.library, scope.info.id, options.what))
    kept = load_evaluation(scope, options.what)
    if job.state != "done" or kept is None:
        return report(workspace, [job], options, library=scope.library, encoder=scope.info.id)
    discovery = scope.discovery()
    if discovery is not None and (why := discovery.why_again(scope.content, scope.n_embedded)):
        print(f"mess: The discovery that this goes by: {why}", file=sys.stderr)
    if isinstance(kept.result, Faithfulness):
        table = leak_table(kept.result)
    else:
        table = taste_table(kept.result) if isinstance(kept.result, TasteStudy) else study_table(kept.result)
    say(options, kept.as_document(), [job.message, *table])
    return DONE


def _recommend(workspace: Workspace, options: argparse.Namespace) -> int:
    scope = asked_scope(workspace, options.library, options.encoder)
    scope.require_library()
    if options.why_not:
        track_id = find_named(workspace, options.why_not)
        found, text = why_not_of(scope, options.listener, track_id)
        say(options, why_not_document(track_id, found, text), text)
        return DONE
    weights = weights_of(weigh_sources(scope, time.time()))
    listed = recommend(
        scope, options.listener, options.section, k=options.k, surprise=options.surprise, seed=options.seed,
        context=options.context, weights=weights, index_of=build_index,
    )  # fmt: skip
    if options.playlist:
        write_playlist(listed, options.playlist)
    say(options, recommended_document(listed), recommended_table(listed))
    return DONE


def _learn(workspace: Workspace, options: argparse.Namespace) -> int:
    scope = scope_of(workspace, options.library, options.encoder)
    scope.require_library()
    _require_embeddings(scope)
    request = LearnRequest(
        scope.library, scope.info.id, options.source, options.student, options.seeds, options.activate, options.curve,
        options.single_ratings, options.hide_works, options.question,
    )  # fmt: skip
    job = work_on(workspace, request)
    learned = report_on(scope, options.source)
    if job.state != "done" or learned is None:
        return report(workspace, [job], options, library=scope.library, encoder=scope.info.id)
    for notice in (*learned.notices, *learned.result.notices):
        print(f"mess: {harmless(notice)}", file=sys.stderr)
    if options.export:
        export_metric(scope, options.export)
    say(options, learned.as_document(), [job.message, *learn_table(learned.result)])
    return DONE


def _judgements(workspace: Workspace, options: argparse.Namespace) -> int:
    if options.what == "export":
        n_judgements = export_judgements(workspace, options.file)
        document = {"file": str(options.file), "n_judgements": n_judgements}
        say(options, document, f"{counted(n_judgements, 'judgement')} in {options.file}.")
        return DONE
    if options.what == "aggregate":
        n_rows = export_strengths(workspace, options.file)
        document = {"file": str(options.file), "n_rows": n_rows}
        say(options, document, f"{counted(n_rows, 'strength')} of recordings beside an anchor in {options.file}.")
        return DONE
    taken = import_judgements(workspace, options.file)
    refused = [{"name": name, "reason": why} for name, why in taken.refused]
    facts = {"n_new": taken.n_new, "n_known": taken.n_known, "n_vanished": taken.n_vanished}
    document = {"file": str(options.file), **facts, "refused": refused}
    say(options, document, [taken.summary, *(f"  {name}: {why}" for name, why in taken.refused)])
    return SOME_FAILED if refused else DONE


def _map(workspace: Workspace, options: argparse.Namespace) -> int:
    scope = scope_of(workspace, options.library, options.encoder)
    scope.require_library()
    check_layer(options.layer, scope.info)
    _require_embeddings(scope)
    job = work_on(workspace, MapRequest(scope.library, scope.info.id, layer=options.layer))
    if job.state != "done":
        return report(workspace, [job], options, library=scope.library, encoder=scope.info.id)
    layers = range(scope.info.n_layers) if options.layer is None else [options.layer]
    views = [view for layer in layers if (view := load_view(scope, layer))]
    aspects = load_view(scope, None) if options.layer is None else None
    document = {
        "encoder": scope.info.id,
        "library": scope.library,
        "layers": [{"layer": view.layer, **_trust_of(view)} for view in views],
        "aspects": None if aspects is None else _trust_of(aspects),
    }
    say(options, document, [job.message, *map_table([*views, *([aspects] if aspects else [])])])
    return DONE


def _trust_of(view: MapView) -> dict[str, Any]:
    return {
        "trustworthiness": view.trust.trustworthiness,
        "continuity": view.trust.continuity,
        "preservation": view.trust.preservation,
        "path": str(view.path),
        "provenance": dict(view.provenance),
    }


def _export(workspace: Workspace, options: argparse.Namespace) -> int:
    if options.index:
        (encoder_id, *others) = options.encoders or [DEFAULT]
        if others:
            raise InputError("An index is of one encoder.", "Give --encoder once.")
        index = export_index(scope_of(workspace, options.library, encoder_id), options.folder, show_progress)
        facts = {"folder": str(options.folder), "library": options.library, "encoder": index.info.id}
        document = {**facts, "n_tracks": len(index.track_ids), "corrects_hubs": index.corrects_hubs}
        say(options, document, f"{counted(len(index.track_ids), 'track')} by {index.info.title}, in {options.folder}.")
        return DONE
    manifest = export_library(workspace, options.library, options.folder, options.encoders, show_progress)
    document = {**vars(manifest), "folder": str(options.folder), "files": len(manifest.files)}
    say(options, document, [manifest.summary, *manifest.left_out])
    return DONE


def _import(workspace: Workspace, options: argparse.Namespace) -> int:
    asked = (options.vectors, options.ids, options.name)
    if options.folder is not None and not any((*asked, options.starts, options.segment)):
        taken = import_library(workspace, options.folder, options.library, show_progress)
        say(options, vars(taken), taken.summary)
        return DONE
    if options.folder is not None or not all(asked):
        raise InputError("Nothing to import.", "Name a FOLDER, or all three of --vectors, --ids and --name.")
    found = import_vectors(
        workspace, options.name, options.vectors, options.ids, options.library or ALL, show_progress,
        starts_path=options.starts, segment_s=options.segment,
    )  # fmt: skip
    refused = [{"name": name, "reason": why} for name, why in found.refused]
    facts = {"encoder": found.info.id, "fingerprint": found.info.fingerprint, "library": found.library}
    document = {**facts, "n_rows": found.n_rows, "n_new": found.n_new, "n_known": found.n_known, "refused": refused}
    say(options, document, [found.summary, *(f"  {name}: {why}" for name, why in found.refused)])
    return SOME_FAILED if refused else DONE


def _annotate(workspace: Workspace, options: argparse.Namespace) -> int:
    n_annotated, refused = annotate(workspace, options.library, options.files)
    document = {
        "library": options.library,
        "n_annotated": n_annotated,
        "refused": [{"name": name, "reason": why} for name, why in refused],
    }
    lines = [f"{counted(n_annotated, 'recording')} annotated.", *(f"  {name}: {why}" for name, why in refused)]
    say(options, document, lines)
    return SOME_FAILED if refused else DONE


def _merge(workspace: Workspace, options: argparse.Namespace) -> int:
    merged = merge(workspace, options.homes, show_progress)
    problems = [{"what": what, "why": why, "cure": cure} for what, why, cure in merged.problems]
    lines = [merged.summary, *(f"  {what}: {why} {cure}".rstrip() for what, why, cure in merged.problems)]
    say(options, {"into": str(workspace.paths.root), **vars(merged), "problems": problems}, lines)
    return SOME_FAILED if problems else DONE


def _check(workspace: Workspace, options: argparse.Namespace) -> int:
    rebuilt = rebuild(workspace) if options.rebuild else None
    problems = check(workspace, repair=options.repair)
    document = {"ok": not problems, "problems": [vars(problem) for problem in problems]}
    lines = [f"{problem.kind}: {problem.what} {problem.cure}" for problem in problems]
    lines = lines or ["Every stored array and row is as it was written."]
    if rebuilt is not None:
        document["rebuilt"] = vars(rebuilt)
        lines = [*rebuilt.summary.splitlines(), *lines]
    say(options, document, lines)
    return SOME_FAILED if problems else DONE


def _back_up(workspace: Workspace, options: argparse.Namespace) -> int:
    back_up(workspace, options.folder)
    say(options, {"folder": str(options.folder)}, f"Copied to {options.folder}; --home {options.folder} opens it.")
    return DONE


def _doctor(workspace: Workspace, options: argparse.Namespace) -> int:
    from mess_core.cli.doctor import examine

    findings = examine(workspace)
    document = {"ok": all(finding.is_ok for finding in findings), "findings": [vars(finding) for finding in findings]}
    lines = [
        f"{'ok ' if f.is_ok else ' ! '} {f.subject:<22} {f.state}{f'  -> {f.cure}' if f.cure else ''}" for f in findings
    ]
    say(options, document, lines)
    return DONE


# --- checks -------------------------------------------------------------------------------------------------


def _require_embeddings(scope: Scope) -> None:
    """Say at once what the job would fail for."""
    if not scope.n_embedded:
        raise DataMissingError(
            f"No track of library {scope.library!r} has an embedding by {scope.info.id} yet.",
            f"python -m mess_core extract --encoder {scope.info.id}",
        )
