"""What to cite, as BibTeX: the encoder, the data sets, the methods that figures rest on, and MESS itself.

Facts of encoders and collections are those of their registries; the papers behind them are listed here. Nothing is
looked up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mess_core import __version__
from mess_core.collections.published import COLLECTIONS
from mess_core.encoders.base import EncoderInfo
from mess_core.probing.discovery import Discovery
from mess_core.probing.printed import escaped
from mess_core.workspace.scope import Scope


@dataclass(frozen=True)
class Reference:
    """One entry. kind : "article", "inproceedings", "misc", …; fields as BibTeX calls them, in plain text"""

    key: str
    kind: str
    fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def bibtex(self) -> str:
        lines = [f"  {name} = {{{_braced(name, text)}}}," for name, text in self.fields.items() if text]
        return "\n".join([f"@{self.kind}{{{self.key},", *lines, "}"])


def _arxiv(key: str, number: str, year: str, author: str, title: str) -> Reference:
    return Reference(key, "misc", {"author": author, "title": title, "year": year, "eprint": number,
                                   "archiveprefix": "arXiv"})  # fmt: skip


def _in(key: str, book: str, year: str, author: str, title: str, **more: str) -> Reference:
    return Reference(key, "inproceedings", {"author": author, "title": title, "booktitle": book, "year": year, **more})


def _article(key: str, journal: str, volume: str, year: str, author: str, title: str, **more: str) -> Reference:
    return Reference(key, "article", {"author": author, "title": title, "journal": journal, "volume": volume,
                                      "year": year, **more})  # fmt: skip


ICLR = "International Conference on Learning Representations"
ISMIR = "International Society for Music Information Retrieval Conference"
MERT = _in("li2024mert", ICLR, "2024", "Li, Yizhi and Yuan, Ruibin and Zhang, Ge and others",
           "MERT: Acoustic Music Understanding Model with Large-Scale Self-supervised Training")  # fmt: skip
MUSICNN = (
    _arxiv("pons2019musicnn", "1909.06654", "2019", "Pons, Jordi and Serra, Xavier",
           "musicnn: Pre-trained convolutional neural networks for music audio tagging"),
    _in("pons2018endtoend", ISMIR, "2018", "Pons, Jordi and Nieto, Oriol and Prockup, Matthew and others",
        "End-to-end learning for music audio tagging at scale"),
)  # fmt: skip
# By the beginning of an encoder's id.
OF_ENCODERS: dict[str, tuple[Reference, ...]] = {
    "mert": (MERT,),
    "musicnn": MUSICNN,
    "clap": (
        _in("wu2023clap", "IEEE International Conference on Acoustics, Speech and Signal Processing", "2023",
            "Wu, Yusong and Chen, Ke and Zhang, Tianyu and others",
            "Large-Scale Contrastive Language-Audio Pretraining with Feature Fusion and Keyword-to-Caption "
            "Augmentation"),
    ),
    "music2vec": (
        _arxiv("li2022music2vec", "2212.02508", "2022", "Li, Yizhi and Yuan, Ruibin and Zhang, Ge and others",
               "MAP-Music2Vec: A Simple and Effective Baseline for Self-Supervised Music Audio Representation "
               "Learning"),
    ),
    "musicfm": (
        _arxiv("won2023musicfm", "2311.03318", "2023", "Won, Minz and Hung, Yun-Ning and Le, Duc",
               "A Foundation Model for Music Informatics"),
    ),
    "muq": (
        _arxiv("zhu2025muq", "2501.01108", "2025", "Zhu, Haina and others",
               "MuQ: Self-Supervised Music Representation Learning with Mel Residual Vector Quantization"),
    ),
}  # fmt: skip
OF_COLLECTIONS: dict[str, tuple[Reference, ...]] = {
    "maestro": (
        _in("hawthorne2019maestro", ICLR, "2019",
            "Hawthorne, Curtis and Stasyuk, Andriy and Roberts, Adam and Simon, Ian and Huang, Cheng-Zhi Anna and "
            "Dieleman, Sander and Elsen, Erich and Engel, Jesse and Eck, Douglas",
            "Enabling Factorized Piano Music Modeling and Generation with the MAESTRO Dataset"),
    ),
    "smd": (
        _in("mueller2011smd", f"{ISMIR}, late-breaking session", "2011",
            "Müller, Meinard and Konz, Verena and Bogler, Wolfgang and Arifi-Müller, Vlora", "Saarland Music Data"),
    ),
    "asap": (
        _in("foscarin2020asap", ISMIR, "2020", "Foscarin, Francesco and McLeod, Andrew and Rigaux, Philippe and others",
            "ASAP: A dataset of aligned scores and performances for piano transcription"),
        _article("peter2023nasap", "Transactions of the International Society for Music Information Retrieval", "6",
                 "2023", "Peter, Silvan David and others",
                 "Automatic Note-Level Score-to-Performance Alignments in the ASAP Dataset", number="1"),
    ),
    "vienna4x22": (
        Reference("goebl1999vienna", "misc", {"author": "Goebl, Werner", "title": "The Vienna 4x22 Piano Corpus",
                                              "year": "1999", "doi": "10.21939/4X22"}),
    ),
    "percepiano": (
        _article("percepiano2024", "Scientific Reports", "14", "2024", "Park and Kim and others", "PercePiano",
                 pages="23002", doi="10.1038/s41598-024-73810-0"),
    ),
}  # fmt: skip
OF_PROBES = (
    _in("hewitt2019probes", "Conference on Empirical Methods in Natural Language Processing", "2019",
        "Hewitt, John and Liang, Percy", "Designing and Interpreting Probes with Control Tasks"),
    _article("nadeau2003inference", "Machine Learning", "52", "2003", "Nadeau, Claude and Bengio, Yoshua",
             "Inference for the Generalization Error"),
    _article("romano2005stepwise", "Econometrica", "73", "2005", "Romano, Joseph P. and Wolf, Michael",
             "Stepwise Multiple Testing as Formalized Data Snooping"),
    Reference("westfall1993resampling", "book", {"author": "Westfall, Peter H. and Young, S. Stanley",
                                                 "title": "Resampling-Based Multiple Testing", "publisher": "Wiley",
                                                 "year": "1993"}),
    _article("phipson2010permutation", "Statistical Applications in Genetics and Molecular Biology", "9", "2010",
             "Phipson, Belinda and Smyth, Gordon K.", "Permutation P-values Should Never Be Zero"),
)  # fmt: skip
OF_NUMBERS = (
    _article("golub1979gcv", "Technometrics", "21", "1979", "Golub, Gene H. and Heath, Michael and Wahba, Grace",
             "Generalized Cross-Validation as a Method for Choosing a Good Ridge Parameter"),
)  # fmt: skip
OF_CLASSES = (
    _article("pedregosa2011sklearn", "Journal of Machine Learning Research", "12", "2011",
             "Pedregosa, Fabian and Varoquaux, Gaël and Gramfort, Alexandre and others",
             "Scikit-learn: Machine Learning in Python"),
    _in("brodersen2010balanced", "International Conference on Pattern Recognition", "2010",
        "Brodersen, Kay H. and Ong, Cheng Soon and Stephan, Klaas E. and Buhmann, Joachim M.",
        "The Balanced Accuracy and Its Posterior Distribution"),
    _article("korn1998proportions", "Survey Methodology", "24", "1998", "Korn, Edward L. and Graubard, Barry I.",
             "Confidence Intervals for Proportions with Small Expected Number of Positive Counts Estimated from Survey "
             "Data"),
    _article("obuchowski1997clustered", "Biometrics", "53", "1997", "Obuchowski, Nancy A.",
             "Nonparametric Analysis of Clustered ROC Curve Data"),
)  # fmt: skip
MESS = Reference("mess", "software", {"author": "{The MESS maintainers}",
                                      "title": "MESS: Music Embedding Similarity Search",
                                      "version": __version__})  # fmt: skip


def references(scope: Scope, discovery: Discovery | None = None) -> list[Reference]:
    """What to cite for a library heard by an encoder, and for a run of discovery if there is one; none twice."""
    found: list[Reference] = [MESS]
    for info in scope.info.encoders:
        found += of_encoder(info)
    for name in sorted({track.collection for track in scope.tracks if track.collection}):
        found += of_collection(name)
    if discovery is not None:
        kinds = {summary.classes is not None for summary in discovery.result.targets}
        found += [*OF_PROBES, *(OF_NUMBERS if False in kinds else ()), *(OF_CLASSES if True in kinds else ())]
    return list({each.key: each for each in found}.values())


def of_encoder(info: EncoderInfo) -> list[Reference]:
    """The weights as they are registered, and the papers behind them; what is MESS's own is cited with it."""
    beginning = info.id.split(":")[-1]  # of an untrained twin: the network
    papers = [each for start, those in OF_ENCODERS.items() if beginning.startswith(start) for each in those]
    if info.source.startswith("mess_core/") and not papers:
        return []
    note = f"revision {info.revision}" + (f"; licence {info.licence}" if info.licence else "")
    weights = {"title": info.title, "howpublished": info.source, "note": note}
    return [*papers, Reference(f"encoder-{_key(info.id)}", "misc", weights)]


def of_collection(name: str) -> list[Reference]:
    """The papers of a data set, or what its registry says; nothing of a folder of the user's own."""
    papers = OF_COLLECTIONS.get(name)
    if papers is not None:
        return list(papers)
    known = COLLECTIONS.get(name)
    if known is None or not known.homepage:
        return []
    facts = {"title": known.title, "url": known.homepage, "note": known.licence}
    return [Reference(f"data-{_key(name)}", "misc", facts)]


def as_bibtex(found: Iterable[Reference]) -> str:
    """Entries with an empty line between them."""
    return "\n\n".join(each.bibtex for each in found) + "\n"


def as_document(found: Sequence[Reference]) -> list[dict[str, object]]:
    """The entries of `cite --json`."""
    return [{"key": each.key, "kind": each.kind, "fields": dict(each.fields)} for each in found]


def _key(name: str) -> str:
    return re.sub(r"[^0-9A-Za-z]+", "-", name).strip("-")


def _braced(name: str, text: str) -> str:
    """A field; addresses stay as they are, and capitals of a title are kept by its braces."""
    if name in ("url", "doi", "eprint"):
        return text
    if text.startswith("{") and text.endswith("}"):
        return f"{{{escaped(text[1:-1])}}}"
    return f"{{{escaped(text)}}}" if name == "title" else escaped(text)
