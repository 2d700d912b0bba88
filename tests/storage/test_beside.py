"""Arrays beside a document: found by their hash, never other ones, and swept once nothing names them."""

import hashlib

import pytest

from mess_core.errors import ArtefactMismatchError
from mess_core.storage.beside import beside, read_beside, sweep_beside, unnamed_beside, write_beside
from mess_core.storage.files import write_sealed

CURE = "Make it again."


@pytest.fixture
def document(tmp_path):
    return tmp_path / "some.json"


def test_what_is_read_is_what_was_written(document):
    sha256 = write_beside(document, b"numbers")
    assert sha256 == hashlib.sha256(b"numbers").hexdigest() and write_beside(document, b"numbers") == sha256
    assert read_beside(document, sha256, CURE) == b"numbers"
    assert [path.name for path in document.parent.iterdir()] == [f"some.{sha256[:16]}.safetensors"]


def test_one_changed_bit_is_noticed(document):
    """Wherever it is; a number that changed would otherwise be used."""
    sha256 = write_beside(document, data := bytes(range(100)))
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1
        beside(document, sha256).write_bytes(changed)
        with pytest.raises(ArtefactMismatchError, match="sha256 changed") as caught:
            read_beside(document, sha256, CURE)
        assert caught.value.hint == CURE


def test_what_is_gone_is_named_with_its_document(document):
    with pytest.raises(ArtefactMismatchError, match=r"safetensors is gone, which belongs to some\.json"):
        read_beside(document, "0" * 64, CURE)


@pytest.mark.parametrize("sha256", ["", "x" * 64, "0" * 63, "../" + "0" * 61, "0" * 64 + "\n"])
def test_a_name_that_is_no_hash_becomes_no_path(document, sha256):
    with pytest.raises(ArtefactMismatchError, match="expected a sha256"):
        beside(document, sha256)


def test_only_a_documents_own_arrays_are_swept(document):
    """One whose name goes on alike, one that is a pattern, and what is no file of arrays stay."""
    old, new = (write_beside(document, data) for data in (b"old", b"new"))
    others = [document.with_name(name) for name in ("some.x.json", "[s]ome.json")]
    kept = [beside(each, write_beside(each, b"old")) for each in others]
    document.with_name("some.txt").write_bytes(b"")
    sweep_beside(document, [new])
    assert not beside(document, old).exists() and beside(document, new).is_file()
    assert all(each.is_file() for each in kept) and document.with_name("some.txt").is_file()


def test_what_no_document_names_is_found(document):
    """Not what is named by any of the keys, nor what lies beside a document that cannot be read."""
    one, two, old = (write_beside(document, data) for data in (b"one", b"two", b"old"))
    lost = document.with_name("lost.json")
    lost_arrays = beside(lost, write_beside(lost, b"lost"))
    found = list(document.parent.glob("*.safetensors"))
    write_sealed(document, {"first": one, "second": two})
    assert set(unnamed_beside(found, ["first", "second"])) == {beside(document, old), lost_arrays}
    document.write_text("{")
    assert unnamed_beside(found, ["first", "second"]) == [lost_arrays]
