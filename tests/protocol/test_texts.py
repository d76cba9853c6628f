"""The table between errors and the words of services."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smfs import errors
from smfs.errors import RefusedWith, ServiceError
from smfs.protocol import texts

VECTORS = Path(__file__).parents[1] / "vectors" / "original"
EXCHANGES = json.loads((VECTORS / "exchanges.json").read_text())["exchanges"]
STEPS = json.loads((VECTORS / "replay" / "recorded.json").read_text())["steps"]
NODE = "ab" * 32

# PROTOCOL.md sections 5, 6 and 8
SAID = [
    (errors.SpaceNotFound(NODE), f'SecretSpace for "{NODE}" did not exist!'),
    (errors.SecretNotFound("a b"), 'Secret with secretId "a b" did not exist!'),
    (errors.NotAccepted(NODE), f'There is no SubSpace for "{NODE}"'),
    (errors.HookNotFound("0f"), 'notificationHookIds: "0f" did not exist!'),
    (errors.DanglingHook("0f"), 'notificationHookId of "0f" did not exist!'),
    (errors.NoSecretId(), "No secretId provided!"),
    (errors.ClosureDatePassed(), "ClosureDate has already passed!"),
    (errors.ClosureDateFixed(), "Updating the closureDate is not allowed!"),
    (errors.InvalidHookTarget(), "targetId is corrupted!"),
    (errors.InvalidPoint(), "Point.fromHex: invalid y coordinate"),
]
REFUSED = [
    (errors.TimestampMissing(), "No Timestamp!"),
    (errors.ReplayRefused(), "Multiple use of signature detected!"),
    (errors.TimestampRefused(), "Invalid Timestamp!"),
    (errors.InvalidAuthCode(), "Invalid AuthCode!"),
    (errors.SignatureRefused(), "Invalid Signature!"),
]


@pytest.mark.parametrize(("error", "text"), [*SAID, *REFUSED])
def test_errors_are_said_in_the_words_of_the_original(error: ServiceError, text: str) -> None:
    """Each error has its text."""
    assert texts.text_of(error) == text


@pytest.mark.parametrize(("error", "text"), SAID)
def test_words_mean_the_error_that_they_say(error: ServiceError, text: str) -> None:
    """The text is turned back into the error, with what it names."""
    found = texts.error_of(text)
    assert type(found) is type(error)
    if isinstance(error, RefusedWith):
        assert isinstance(found, RefusedWith)
        assert found.subject == error.subject


@pytest.mark.parametrize(("error", "text"), REFUSED)
def test_a_401_means_the_refusal_that_it_says(error: ServiceError, text: str) -> None:
    """With its prefix, every reason is the same refusal."""
    found = texts.error_of(texts.AUTHENTICATION_PREFIX + text)
    assert type(found) is type(error)


def test_words_of_operations_mean_a_bad_signature_in_a_401() -> None:
    """In a 401, a point that is none is that of the key or the signature, not a recipient."""
    for text in ("Point.fromHex: invalid y coordinate", "Expected valid scalar: 0 < scalar < max"):
        found = texts.error_of(texts.AUTHENTICATION_PREFIX + text)
        assert type(found) is errors.SignatureRefused
    unknown = texts.error_of(texts.AUTHENTICATION_PREFIX + "No secretId provided!")
    assert type(unknown) is errors.AuthenticationFailed


def test_no_anonymous_clients_reaches_the_user_as_what_it_means() -> None:
    """Both ways of refusing an auth code are the same error."""
    found = texts.error_of("No new anonymous clients are accepted!")
    assert type(found) is errors.InvalidAuthCode


def test_an_inherited_javascript_name_is_a_secret_that_is_not_there() -> None:
    """The original's odd words for getSecret of `toString` name the id that was asked for."""
    words = "Error: service.getSecret - response format: Cannot convert undefined or null to object"
    found = texts.error_of(words, secret_id="toString")
    assert isinstance(found, errors.SecretNotFound)
    assert found.subject == "toString"


@given(
    st.sampled_from([error for error, _ in SAID if isinstance(error, RefusedWith)]),
    st.text(st.characters(exclude_categories=())) | st.text('" didnotexs!'),
)
def test_any_name_goes_through_the_words_unchanged(kind: RefusedWith, subject: str) -> None:
    """Ids with quotes, or with words of the texts in them, come back as they were."""
    found = texts.error_of(texts.text_of(type(kind)(subject)))
    assert type(found) is type(kind)
    assert isinstance(found, RefusedWith)
    assert found.subject == subject


@given(st.text(st.characters(exclude_categories=())))
def test_any_words_are_an_error_that_can_be_shown(text: str) -> None:
    """Whatever a service says is an error, in one line that any terminal can show."""
    for said in (
        text,
        texts.AUTHENTICATION_PREFIX + text,
        f'SecretSpace for "{text}" did not exist!',
    ):
        shown = str(texts.error_of(said))
        assert shown.isprintable()
        assert shown.encode()
        assert len(shown) < 4000


@pytest.mark.parametrize(
    "kind",
    [
        errors.SpaceNotFound,
        errors.SecretNotFound,
        errors.NotAccepted,
        errors.HookNotFound,
        errors.DanglingHook,
    ],
)
def test_a_name_from_a_service_is_shown_safely(kind: type[RefusedWith]) -> None:
    """Terminal escapes, lone surrogates and endless names do not reach the screen as they are."""
    for subject in ("\x1b[2J", "\ud800", "x" * 100_000, "a\nb", "\u202e"):
        shown = str(kind(subject))
        assert shown.isprintable()
        assert len(shown) < 1000
    assert NODE in str(kind(NODE))


def recorded_errors() -> set[str]:
    """Every `error` that the original answered in the recordings."""
    bodies = [each.get("responseBody") or "" for each in EXCHANGES]
    bodies += [step["response"].get("body") or "" for step in STEPS if "response" in step]
    return {json.loads(body)["error"] for body in bodies if body.startswith('{"error":')}


def test_the_recorded_words_are_known() -> None:
    """Every error that the original was seen to answer is understood, malformed requests apart."""
    recorded = {text for text in recorded_errors() if not text.startswith("Error: ")}
    assert len(recorded) > 20
    unknown = {
        text
        for text in recorded
        if type(texts.error_of(text)) in (ServiceError, errors.AuthenticationFailed)
    }
    assert unknown == set()


def test_an_error_that_no_service_says_has_no_words() -> None:
    """A mistake of the program is not turned into some answer."""
    with pytest.raises(KeyError):
        texts.text_of(errors.UnsupportedByService())
