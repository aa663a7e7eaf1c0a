"""Invariant 11: a response proof verifies for exactly its request and response."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remeasure.impls.flexserve.secure import session
from remeasure.impls.flexserve.secure.session import Session, verifies

SESSION = Session()
pairs = st.tuples(st.binary(max_size=40), st.binary(max_size=40))


def others_that_verify(
    request: bytes, response: bytes, more: list[tuple[bytes, bytes]]
) -> list[tuple[bytes, bytes]]:
    """Which pairs beside the proven one its proof verifies for: neighbours of the pair, and those given."""
    proof = SESSION.prove(request, response)
    assert verifies(SESSION.public_key, request, response, proof)
    joined = request + response
    candidates = [
        (joined[:cut], joined[cut:]) for cut in range(len(joined) + 1)
    ]  # bytes moved over the boundary
    candidates += [
        (response, request),
        (request + b"\0", response),
        (request, response + b"\0"),
        (b"", response),
    ]
    candidates += [(request, b""), *more]
    return [
        pair
        for pair in candidates
        if pair != (request, response) and verifies(SESSION.public_key, *pair, proof)
    ]


@given(pairs, st.lists(pairs, max_size=3))
def test_a_proof_verifies_for_no_other_request_or_response(pair, more):
    assert not others_that_verify(*pair, more)


@pytest.mark.parametrize(
    "broken",
    [
        lambda request, response: sha256(request + response).digest(),
        lambda request, response: sha256(response).digest(),
        lambda request, response: sha256(request).digest(),
    ],
    ids=["one hash over both", "response alone", "request alone"],
)
def test_the_check_catches_a_weaker_statement(broken, monkeypatch):
    monkeypatch.setattr(session, "statement", broken)
    assert others_that_verify(b"ask", b"answer", [])


@given(pairs, st.integers(0, 511))
def test_a_changed_proof_does_not_verify(pair, bit):
    proof = bytearray(SESSION.prove(*pair))
    proof[bit // 8] ^= 1 << bit % 8
    assert not verifies(SESSION.public_key, *pair, bytes(proof))


def test_a_proof_of_another_session_does_not_verify():
    assert not verifies(SESSION.public_key, b"ask", b"answer", Session().prove(b"ask", b"answer"))


@pytest.mark.parametrize("proof", [b"", b"x" * 63, b"x" * 65])
def test_bytes_that_are_no_proof_do_not_verify(proof):
    assert not verifies(SESSION.public_key, b"ask", b"answer", proof)
