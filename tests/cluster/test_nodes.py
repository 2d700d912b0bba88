"""Machines that would not compute the same are refused, and named."""

from __future__ import annotations

from dataclasses import replace

import pytest

import mess_core
from mess_core.cluster.nodes import NodeFacts, check_nodes
from mess_core.encoders.mel import MEL
from mess_core.errors import ArtefactMismatchError


def test_versions_that_differ_are_refused():
    """Of MESS, of an encoder, of torch; the same torch for another kind of device is the same."""
    makes = {MEL.id: MEL.fingerprint}
    facts = NodeFacts("a", mess_core.__version__, {"torch": "2.11.0+cpu"}, makes)
    check_nodes([facts, replace(facts, node="b", packages={"torch": "2.11.0+cu130"})], makes)
    for change, words in {
        ("mess", "0.0.1"): "The node b runs MESS 0.0.1, this machine",
        ("packages", (("torch", "2.10.0"),)): "The node b computes with torch 2.10.0, a with 2.11.0",
        ("makes", ((MEL.id, "0" * 64),)): "The node b has another version of mel than this one",
    }.items():
        name, value = change
        other = replace(facts, node="b", **{name: value if name == "mess" else dict(value)})
        with pytest.raises(ArtefactMismatchError, match=words):
            check_nodes([facts, other], makes)
