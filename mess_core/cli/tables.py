"""Tables: results as lines of text, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mess_core.catalogue.catalogue import Track
from mess_core.encoders.vocabulary import GROUPS, VOCABULARY, WORDS
from mess_core.evaluation.faithfulness import MEASURED, NOT, ORACLE, Faithfulness, Ratio
from mess_core.evaluation.indexes import IndexStudy
from mess_core.evaluation.recommendation import (
    COVERAGE,
    HIT_RATE,
    MRR,
    NDCG,
    NOVELTY,
    RecommendationFigure,
    RecommendationStudy,
)
from mess_core.evaluation.relevance import RelevanceStudy, said_of
from mess_core.evaluation.retrieval import RetrievalScore
from mess_core.evaluation.similarity import RETRIEVAL, SimilarityFigure, SimilarityStudy
from mess_core.evaluation.tagging import FEWEST, TagFigure
from mess_core.evaluation.taste import Mean, TasteStudy
from mess_core.learning.trial import TrialResult
from mess_core.maps.drawing import MapView
from mess_core.numbers import NONE, interval, number, percent, size
from mess_core.probing.result import ClassFacts, ProbeResult, label_of
from mess_core.probing.uncertainty import FEW_GROUPS, MIN_GROUPS, groups_for_half
from mess_core.recommend.for_you import ForYou
from mess_core.search.along import Dial
from mess_core.search.answers import Answer
from mess_core.search.either import in_which
from mess_core.search.paths import TrackPath
from mess_core.search.reasons import Reason, in_one_line
from mess_core.search.seeds import how_alike
from mess_core.search.tagged import top_words
from mess_core.search.transposed import in_key
from mess_core.search.words import in_shares
from mess_core.targets.registry import OWN, name_of
from mess_core.words import counted

MOST_OF_A_GROUP = 5  # words of a track, printed


def answer_table(answer: Answer, usual: Mapping[int, float] | None = None) -> list[str]:
    """One line per neighbour: how near, in what, and where to listen; `usual` is where the nth usually is."""
    if answer.plan.question.words:
        return _words_table(answer)
    if answer.dial is not None:
        return _dial_table(answer, answer.dial)
    asked = [aspect for aspect in answer.plan.question.weights if any(f.neighbour.aspects for f in answer.found)]
    headings = "".join(f"  {aspect:>17}" for aspect in asked)
    lines = [answer.plan.basis] if answer.plan.basis else []
    lines.append(f"  #  similarity  closer than{headings}  moment           track")
    for found in answer.found:
        neighbour, moment = found.neighbour, found.moment
        scores = neighbour.aspects or {}
        aspects = "".join(f"  {percent(scores[aspect].percentile, 1):>17}" for aspect in asked)
        which = in_which(neighbour.hearings) if neighbour.hearings else ""
        which = which if neighbour.semitones is None else in_key(neighbour.semitones)
        which = "; ".join(filter(None, (how_alike(neighbour.standings) if neighbour.standings else "", which)))
        at = NONE if moment is None else f"{number(moment.query_s, 1)} ~ {number(moment.track_s, 1)} s"
        closer = percent(neighbour.percentile, 1)
        lines.append(
            f"{neighbour.rank:3d}  {number(neighbour.similarity, 3):>10}  {closer:>11}{aspects}"
            f"  {at:<15}  {found.track.title}{which and f'  ({which})'}"
        )
    for rank, percentile in (usual or {}).items():
        lines.append(f"a usual query's neighbour #{rank} here is closer than {percent(percentile, 1)} of pairs")
    return lines


def _dial_table(answer: Answer, dial: Dial) -> list[str]:
    """One line per recording: where it lies along an aspect, and its measured value; then where the query does."""
    order = (dial.more, dial.less) if answer.plan.question.reverse else (dial.less, dial.more)
    lines = [f"{answer.plan.basis} From {order[0]} to {order[1]}.".strip()]
    value = "" if dial.unit is None else f"  {dial.unit:>12}"
    lines.append(f"  #      SD  more than{value}  track")
    for found in answer.found:
        neighbour = found.neighbour
        value = "" if neighbour.value is None else f"  {neighbour.value:12.4g}"
        at, more = number(neighbour.similarity), percent(neighbour.percentile, 1)
        lines.append(f"{neighbour.rank:3d}  {at:>6}  {more:>9}{value}  {found.track.title}")
    return [*lines, dial.of_query] if dial.of_query else lines


def reasons_table(answer: Answer, reasons: Mapping[str, Sequence[Reason]]) -> list[str]:
    """One line per neighbour: in what it is like the query, and in what not."""
    asked, left_out = list(answer.plan.question.weights), answer.plan.question.avoid
    said = {found.neighbour.rank: reasons.get(found.track.track_id, ()) for found in answer.found}
    return [f"{rank:3d}  {in_one_line(each, asked=asked, left_out=left_out) or NONE}" for rank, each in said.items()]


def path_table(path: TrackPath) -> list[str]:
    """One line per recording: how near to the one before; then the largest step."""
    lines = [path.plan.basis] if path.plan.basis else []
    lines.append("  #  similarity  closer than  nearness  track")
    for step in path.steps:
        title = f"{step.track.title}  *" if step.is_stop else step.track.title
        similarity, nearness = number(step.similarity, 3), number(step.nearness, 0)
        lines.append(f"{step.number:3d}  {similarity:>10}  {percent(step.percentile, 1):>11}  {nearness:>8}  {title}")
    return [*lines, f"{path.sentence} * asked for"]


def _words_table(answer: Answer) -> list[str]:
    """One line per recording: its score, how many of the library fit less, and what each word adds."""
    lines = ["  #  score  fits more than  track"]
    for found in answer.found:
        neighbour = found.neighbour
        lines.append(
            f"{neighbour.rank:3d}  {100 * neighbour.similarity:5.1f}  {percent(neighbour.percentile, 1):>14}"
            f"  {found.track.title}  ({in_shares(neighbour.words or {})})"
        )
    return lines


def probe_table(result: ProbeResult) -> list[str]:
    """One line per target: R² if the layer, too, is chosen in training, and the gain of the layer that looks best.

    The best of thirteen layers flatters itself: its own R² is for the heatmap.
    """
    lines = ["property             target                   R²  interval         label          layer   gain  interval"]
    for summary in result.targets:
        about = result.about(summary.target)
        title = about.title if about.dimension == OWN else name_of(summary.target)
        named = f"{title:<20} {summary.target:<22}"
        if summary.best_layer is None:
            lines.append(f"{named}  {'–':>4}  {summary.reason}")
            continue
        cell = result.cell(summary.best_layer, summary.target)
        lines.append(
            f"{named} {number(summary.nested_r2):>5}"
            f"  [{number(summary.nested_r2_low):>5}, {number(summary.nested_r2_high):>5}]"
            f"  {label_of(summary.nested_r2_low):<12}  {cell.layer:6d}  {number(cell.gain):>5}"
            f"  [{number(cell.gain_low):>5}, {number(cell.gain_high):>5}]{' *' * cell.encodes}"
        )
        if summary.ceiling is not None:
            lines.append(f"{'':<43} {number(summary.ceiling):>5}  is the ceiling: so far its raters agree")
        if summary.classes is not None:
            lines += _class_lines(summary.classes)
    lines.append(
        "R²: on works not trained on, the layer chosen in training. Gain: of the layer named, over every baseline."
    )
    if any(summary.classes is not None for summary in result.targets):
        lines.append("Of classes R² is the share of the errors of guessing that is avoided, each class counting alike.")
    if result.why_no_word:
        lines.append(f"Nothing is said to encode: {result.why_no_word}.")
    else:
        lines.append("* encodes: exceeds every baseline on this library, all cells considered at once, and chance")
    if MIN_GROUPS <= result.n_groups < FEW_GROUPS:
        more = counted(groups_for_half(result.n_groups), "more group")
        lines.append(f"{counted(result.n_groups, 'group')}: the intervals are wide; {more} would halve them.")
    return lines


def _class_lines(facts: ClassFacts) -> list[str]:
    """The shares that are right, the layer chosen in training, beside guessing; then the classes that are left out."""
    told, indent = facts.nested, " " * 21

    def share(name: str) -> str:
        value, low, high = (getattr(told, f"{name}{end}") for end in ("", "_low", "_high"))
        each = [None if figure is None else 100 * figure for figure in (value, low, high)]
        return f"{percent(each[0])} {interval(each[1], each[2], 0)}".rstrip()

    guessed = percent(None if facts.commonest is None else 100 * facts.commonest)
    n_classes = len(facts.names)
    at_random = 100 / n_classes
    return [
        f"{indent}right: {share('accuracy')}, guessing the commonest {guessed}",
        f"{indent}right, as a mean over its {n_classes} classes: {share('balanced')}, guessing {percent(at_random)}",
        f"{indent}AUC: {number(told.auc)} {interval(told.auc_low, told.auc_high)}".rstrip(),
        *(f"{indent}{left_out}" for left_out in facts.left_out),
    ]


def leak_table(result: Faithfulness) -> list[str]:
    """Rank difference to the ten nearest over that to all: 1 is chance, 0 perfect."""
    looked_at = list(result.correlations)
    lines = [f"{'searched by':<36}" + "".join(f"{aspect[:8]:>9}" for aspect in looked_at)]

    def line(name: str, row: Mapping[str, Ratio]) -> str:
        return f"{name:<36}" + "".join(f"{number(row[aspect].value):>9}" for aspect in looked_at)

    for way, rows in result.rows.items():
        for aspect, row in rows.items():
            if way == "direction" or aspect in result.judged:
                is_judged = way not in (MEASURED, NOT, ORACLE, *result.differences) and aspect in result.judged
                verdict = ("passes" if result.passes(aspect, way) else "FAILS") if is_judged else ""
                lines.append(line(f"{way} {aspect} {verdict}", row))
    lines += [line(name, row) for name, row in result.references.items()]
    lines += ["own column, with interval; chance is 1"]
    for aspect in result.judged:
        own = result.rows["direction"][aspect][aspect]
        family = ", ".join(result.family(aspect)) or "–"
        lines.append(
            f"  {aspect:<18} {number(own.value):>5} {interval(own.low, own.high)}"
            f"  one family with: {family}; leaks into: {', '.join(result.leaks(aspect)) or '–'}"
        )
    for rival, row in result.differences.items():
        lines.append(f"own column minus that by {rival}; below 0 the encoder adds something to the labels")
        lines += [
            f"  {aspect:<18} {number(row[aspect].value):>5} {interval(row[aspect].low, row[aspect].high)}"
            for aspect in result.judged
            if aspect in row
        ]
    return lines


def study_table(study: SimilarityStudy) -> list[str]:
    """Each task: every measure at its best layer, and over all layers, with interval and chance."""
    lines = [f"{'task':<22}{'measure':<18}{'layer':>6}{'value':>7}  {'interval':<14}{'chance':>7}"]
    best: dict[tuple[str, str, bool], SimilarityFigure] = {}
    for figure in study.figures:
        key = figure.task, figure.measure, figure.layer is None
        sign = 1 if figure.task in RETRIEVAL else -1  # the other tasks are rank differences: less is better
        if figure.score.value is not None and (
            key not in best or sign * figure.score.value > sign * (best[key].score.value or 0.0)
        ):
            best[key] = figure
    for (task, measure, _), figure in best.items():
        score = figure.score
        layer = "all" if figure.layer is None else str(figure.layer)
        lines.append(
            f"{task:<22}{measure:<18}{layer:>6}{number(score.value):>7}  {interval(score.low, score.high):<14}"
            f"{number(score.chance):>7}"
        )
    for name, score in study.above.items():
        if score.value is not None:
            above = f"{number(score.value)} {interval(score.low, score.high)}".rstrip()
            lines.append(f"same work, all layers above {name}: {above}")
    for name, hubs in study.hubness.items():
        lines.append(f"hubness by {name}: skewness {number(hubs.skewness)}, largest {hubs.largest} of {study.n_tracks}")
    raw = [pair[0] for pair in study.anisotropy]
    centred = [pair[1] for pair in study.anisotropy]
    as_they_are, as_centred = (f"{number(min(each))} to {number(max(each))}" for each in (raw, centred))
    lines.append(f"mean cosine of pairs: {as_they_are}, centred {as_centred}")
    return lines


def relevance_table(study: RelevanceStudy) -> list[str]:
    """Each metric by each measure: the layer chosen on other works, its best layer, and over all layers."""
    lines = [said_of(study)]
    lines += [f"{'metric':<16}{'measure':<14}{'layer':<20}{'value':>6}  {'interval':<14}{'chance':>7}"]

    def line(metric: str, measure: str, layer: str, score: RetrievalScore) -> str:
        within = interval(score.low, score.high)
        return f"{metric:<16}{measure:<14}{layer:<20}{number(score.value):>6}  {within:<14}{number(score.chance):>7}"

    for metric in study.metrics:
        for each in study.nested:
            if each.metric == metric:
                lines.append(line(metric, each.measure, "chosen elsewhere", each.score))
        layered = [each for each in study.figures if each.metric == metric and each.layer is not None]
        best = max(layered, key=lambda each: each.score.value or 0.0)
        lines.append(line(metric, best.measure, f"{best.layer}, the best", best.score))
        whole = (each for each in study.figures if each.metric == metric and each.layer is None)
        lines += [line(metric, each.measure, "all", each.score) for each in whole]
    lines.append("Chosen elsewhere: on the queries of other works. The best of all flatters itself.")
    return lines


def taste_table(study: TasteStudy) -> list[str]:
    """Each way of making a taste beside what needs none, then each section, then reasons; intervals over listeners."""
    at = list(study.ways[0].ndcg)
    headings = [*(f"recall@{each}" for each in at), *(f"nDCG@{each}" for each in at), "AUC", "planted found"]
    lines = [f"{'taste':<26}" + "".join(f"{heading:<20}" for heading in headings)]
    planted = study.planted_found or {}
    for way in study.ways:
        figures = [*way.recall.values(), *way.ndcg.values(), way.auc, planted.get(way.name)]
        lines.append((f"{way.name:<26}" + "".join(f"{_with_interval(each):<20}" for each in figures)).rstrip())
    lines.append(f"{'section':<26}{'taken well':<20}{'by chance':<20}{'lift':<20}{'variety':<20}novelty")
    for each in study.sections:
        figures = [each.rate, each.by_chance, each.lift, each.variety, each.novelty]
        lines.append((f"{each.section:<26}" + "".join(f"{_with_interval(one):<20}" for one in figures)).rstrip())
    lines.append(f"reasons that hold when the track is removed: {_with_interval(study.borne_out)} of {study.n_reasons}")
    lines.append(f"of the library in anybody's quick picks: {percent(100 * study.coverage)}")
    lines.append(f"divergence of quick picks from the interests: {_with_interval(study.calibration)} nats")
    return lines


def _with_interval(mean: Mean | None) -> str:
    return NONE if mean is None else f"{number(mean.value)} {interval(mean.low, mean.high)}".rstrip()


def recommended_table(found: ForYou) -> list[str]:
    """What is known of a taste, then one line per row with its reason."""
    profile = found.profile
    lines = [f"{found.listener}: {counted(profile.n_events, 'event')}, {counted(len(found.interests), 'interest')}"]
    lines += [f"  {percent(100 * each.share):>5}  {each.name}" for each in found.interests]
    lines += [f"{found.title}: {found.section.definition}"]
    lines += [f"{row.rank:3d}  {number(row.chosen.score):>6}  {row.track.title}: {row.why.text}" for row in found.found]
    return lines if found.found else [*lines, "  nothing here yet"]


def recommender_table(study: RecommendationStudy) -> list[str]:
    """One line per recommender: hits, gain, what is shown of the items; then chance."""
    said = f"{counted(study.n_users, 'user')}, {counted(study.n_items, 'item')}, {study.n_train:,} to learn from; "
    k = study.k
    lines = [
        f"{said}{study.how}, of {counted(len(study.users), 'user')}; all items ranked, those of a user left out.",
        f"recommender  {f'hit rate@{k}':<25}  {f'nDCG@{k}':<25}  MRR@{k:<5}  novelty  coverage  seconds",
    ]

    def with_interval(figure: RecommendationFigure) -> str:
        return f"{number(figure.value, 4)} {interval(figure.low, figure.high, 4)}".ljust(25)

    for result in study.results:
        shown = "  ".join(with_interval(result.figure(metric)) for metric in (HIT_RATE, NDCG))
        novelty, coverage = result.figure(NOVELTY).value, result.figure(COVERAGE).value
        mrr = number(result.figure(MRR).value, 4)
        covered = NONE if coverage is None else percent(100 * coverage, 1)
        took = number(result.took_s, 1)
        lines.append(f"{result.name:<11}  {shown}  {mrr:<9}  {number(novelty, 1):>7}  {covered:>8}  {took:>7}")
    if study.results:
        chances = [number(study.results[0].figure(metric).chance, 4) for metric in (HIT_RATE, NDCG, MRR)]
        lines.append(f"{'chance':<11}  {chances[0]:<25}  {chances[1]:<25}  {chances[2]}")
    return lines


def index_table(study: IndexStudy) -> list[str]:
    """One line for each index: what it finds, how fast, how large."""
    lines = [
        f"{counted(study.n_tracks, 'track')} by {study.encoder}, {study.n_columns:,} numbers each; "
        f"{counted(study.n_queries, 'of them', 'of them')} asked for their ten nearest, one after the other.",
        "index   setting             recall@10               in 100   median     95 %       size    built in",
    ]
    for each in study.figures:
        recall = f"{number(each.recall, 3)} {interval(each.low, each.high, 3)}"
        lines.append(
            f"{each.name:<7} {each.setting:<19} {recall:<22}  {number(each.recall_in_100, 3):>7}  "
            f"{each.median_ms:6.2f} ms  {each.p95_ms:6.2f} ms  {size(each.size_bytes):>10}  {each.build_s:6.1f} s"
        )
    return lines


def learn_table(result: TrialResult) -> list[str]:
    """One line for each way of comparing, metric and split; gains are over the better of two that nobody taught."""
    lines = [
        f"{'by':<23}{'metric':<18}{'apart':<12}{'value':>6}  {'interval':<16}  {'gain':>6} {'interval':<17}  p (Holm)"
    ]
    for each in result.figures:
        within, gained = interval(each.low, each.high, 3), interval(each.gain_low, each.gain_high, 3)
        p = "" if each.p_holm is None else number(each.p_holm, 3)
        is_main = each.is_student and (each.metric, each.split) == (result.metrics[0], result.splits[0].by)
        chosen = " *" if is_main and each.name == result.chosen else ""
        lines.append(
            f"{each.name:<23}{each.metric:<18}{each.split + 's':<12}{number(each.value, 3):>6}  {within:<16}"
            f"  {number(each.gain, 3):>6} {gained:<17}  {p}{chosen}"
        )
    lines += [f"{'chance':<23}{metric:<30}{number(chance, 3):>6}" for metric, chance in result.chance.items()]
    if result.ceiling is not None:
        lines.append(f"{'ceiling':<23}{result.metrics[0]:<30}{number(result.ceiling, 3):>6}  so far people agree")
    for point in result.curve:
        lines.append(f"{result.best} after {counted(point.n_groups, 'work')}: {number(point.value, 3)}")
    for step in result.hiding:
        lines.append(
            f"hiding the work counts {step.weight:g}: {number(step.value, 3)} of what is taught, "
            f"{number(step.piece, 3)} of the piece is found"
        )
    tested = ", ".join(f"{counted(s.n_groups, s.by)} in {counted(s.n_folds, 'fold')}" for s in result.splits)
    lines.append(f"Tested on what was not trained on: {tested}. * chosen: its interval is above all before it.")
    return lines


def map_table(views: Sequence[MapView]) -> list[str]:
    """One line per view: what of it is true, and of the same tracks by PCA."""
    lines = [
        "view       trustworthiness     continuity          neighbours kept     of them by chance",
        "           UMAP    PCA         UMAP    PCA         UMAP    PCA",
    ]
    for view in views:
        own, pca = view.trust, view.pca_trust
        pairs = [
            (own.trustworthiness, pca.trustworthiness),
            (own.continuity, pca.continuity),
            (own.preservation, pca.preservation),
        ]
        beside = "       ".join(f"{number(one, 3)}   {number(other, 3)}" for one, other in pairs)
        lines.append(f"{view.name:<9}  {beside}       {number(own.chance, 3)}")
    return lines


def tags_table(tracks: Sequence[Track], strengths: np.ndarray, percentiles: np.ndarray) -> list[str]:
    """As what recordings are heard: one line for each, or all groups of a single one; (n_tracks, n_words) both."""

    def said(row: int, word: str) -> str:
        n = WORDS.index(word)
        return f"{word} {number(float(strengths[row, n]))} ({percent(float(percentiles[row, n]))})"

    if len(tracks) != 1:
        most = [", ".join(said(row, word) for word in top_words(strengths[row])) or "–" for row in range(len(tracks))]
        return [f"{track.track_id}  {words}  {track.title}" for track, words in zip(tracks, most, strict=True)]
    lines = [tracks[0].title]
    for group in GROUPS:
        own = [word for word, tag in VOCABULARY.items() if tag.group == group]
        own.sort(key=lambda word: -strengths[0, WORDS.index(word)])
        lines.append(f"  {group:<11} {', '.join(said(0, word) for word in own[:MOST_OF_A_GROUP])}")
    return lines


def tag_check_table(figures: Sequence[TagFigure]) -> list[str]:
    """One line for each word."""
    lines = ["word             named so  otherwise   AUC  interval        published, mean of 50 tags"]
    for each in figures:
        published = ", ".join(f"{training} {number(auc, 3)}" for training, auc in each.published.items())
        within = interval(each.low, each.high) or NONE
        lines.append(
            f"{each.word:<16} {each.n_with:8,}  {each.n_without:9,}  {number(each.auc)}  {within:<14}  {published}"
        )
    lines.append(f"AUC: .5 is chance. Words by which at least {FEWEST} recordings are named and {FEWEST} are not.")
    return lines
