"""What we write, a reader built on other primitives reads as the original client does."""

import json
import subprocess
from pathlib import Path
from typing import Any

from smfs.crypto.box import seal_box
from smfs.crypto.envelope import Address, seal_envelope
from smfs.crypto.identity import Identity

HERE = Path(__file__).parent
CIPHERTEXTS = json.loads((HERE.parent / "vectors/original/ciphertexts.json").read_text())
TEXTS = [
    "",
    "\0",
    "a\0b\0",
    "\ufeffmark",
    "grüße 😀",
    "x" * 1000,
    *("y" * size for size in range(33)),
]
SENDER = Identity(bytes(range(32)))


def read_by_javascript(answers: list[dict[str, str]]) -> Any:
    """The texts of answers of a service, as the other reader gives them."""
    reader = subprocess.run(
        ["node", HERE / "original_reader.js"],
        input=json.dumps(answers).encode(),
        capture_output=True,
        check=True,
    )
    return json.loads(reader.stdout)


def test_the_other_reader_reads_the_original() -> None:
    """The yardstick itself is right: it reads what the original client and service wrote."""
    cases = CIPHERTEXTS["double"]
    assert len(cases) > 30
    assert read_by_javascript(cases) == [case["plaintext"] for case in cases]


def test_the_other_reader_reads_our_envelopes_below_our_service_layer() -> None:
    """Signed envelopes in boxes open to the text, whoever the reader is."""
    answers = []
    for text in TEXTS:
        reader = Identity.generate()
        address = Address("shared", SENDER.node_id, reader.node_id, "id")
        envelope = seal_envelope(SENDER, address, text.encode(), 1_800_000_000_000)
        box = seal_box(reader.node_id, envelope.encode())
        answers.append({"secretKeyHex": reader.secret_key_hex, **box.to_json()})
    assert read_by_javascript(answers) == TEXTS
