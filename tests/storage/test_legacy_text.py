"""Text in encodings that nobody wrote down: what was meant comes out, or nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mess_core.storage.legacy_text import decode, repaired

WRITTEN = {
    "cp932": ["夜想曲第二番", "ショパン ノクターン", "月の光", "東京", "さくら さくら"],
    "cp1251": ["Времена года", "Ноктюрн", "Чайковский", "Рахманинов Прелюдия соль минор", "СОНАТА № 2"],
    "koi8_r": ["Времена года", "Лебединое озеро. Вальс"],
    "cp866": ["Времена года"],
    "cp1252": [
        "Étude", "Prélude à l’après-midi d’un faune", "Für Elise", "Les Fêtes galantes", "Gymnopédie", "Árbol",
        "Mañana",
        "El sombrero de tres picos – Danza del molinero", "Ólafur Arnalds", "Sigur Rós", "Åse død", "Mötley Crüe",
    ],
    "cp1250": ["Dvořák: Slovanské tance", "Příběh", "Leoš Janáček", "Łódź"],
    "gb18030": ["春江花月夜", "二泉映月", "中国音乐"],
    "big5": ["春江花月夜", "望春風"],
    "cp949": ["아리랑", "봄의 소리"],
    "cp1253": ["Ζορμπάς", "Μίκης Θεοδωράκης"],
    "mac_roman": ["Étude Für Elise"],
    "utf-8": ["Étude", "夜想曲"], "utf-8-sig": ["Étude"], "utf-16": ["Étude"], "utf-32": ["夜想曲"],
}  # fmt: skip


@pytest.mark.parametrize(("encoding", "text"), [(e, text) for e, texts in WRITTEN.items() for text in texts])
def test_titles(encoding: str, text: str) -> None:
    """Short as they are. charset-normalizer alone tells 18 of 47 such titles."""
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "cp1252"])
def test_a_whole_table(encoding: str) -> None:
    """With and without a mark, Latin letters in two or four bytes are seen by their zeros."""
    text = "audio;title\n" + "".join(f"{n}.wav;Prélude n° {n}\n" for n in range(50))
    assert decode(text.encode(encoding)) == text


def test_nothing_sensible_is_nothing() -> None:
    """Bytes of no language are no text."""
    assert decode(bytes(range(128, 256)) * 4) is None


def test_mojibake_is_repaired_and_what_is_right_stays() -> None:
    """Text that was read by the wrong encoding once; of what a file calls Unicode only what cannot be meant."""
    assert repaired("FÃ¼r Elise") == "Für Elise" and repaired("Íîêòþðí", is_certain=True) == "Ноктюрн"
    assert repaired("\x96é\x91z\x8bÈ", is_certain=True) == "夜想曲" and repaired("Pr\ufffdlude") is None
    for right in ("Étude", "Łódź", "Þursaflokkurinn", "Sõnajalg", "Ñ", "½", "ÀÉÈ", "100°", "夜想曲", "plain"):
        assert repaired(right, is_certain=True) == right


def test_a_long_text_is_judged_by_its_telling_lines() -> None:
    """Where they come late, and without decoding all of it by every encoding."""
    text = "plain.wav,Plain\n" * 20_000 + "a.wav,Времена года\n"
    assert decode(text.encode("cp1251")) == text


@given(st.binary(max_size=200))
def test_no_bytes_raise(data: bytes) -> None:
    """There is a text or none; one that can be kept."""
    (decode(data) or "").encode()
    (repaired(data.decode("latin-1"), is_certain=True) or "").encode()
