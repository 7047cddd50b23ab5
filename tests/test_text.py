"""`lib.text`: the text is the one that was shipped, and batches are what they say."""

import hashlib

import pytest
import torch

from lib import text
from tests.draws import seeded

SHA256 = "37aff741c959085d7091df0f7f512b6ae99a4897b72bd231d8fa463b71270a49"


def test_the_text_is_the_one_that_was_shipped():
    assert hashlib.sha256(text.TOPICS.read_bytes()).hexdigest() == SHA256
    corpus = text.python_topics()
    assert len(corpus) == 373_279
    assert len(text.vocabulary(corpus)) == 103


def test_decoding_undoes_encoding():
    words = "a rose is a rose"
    symbols = text.vocabulary(words)
    assert symbols == " aeiors"
    tokens = text.encode(words, symbols)
    assert tokens[:3].tolist() == [1, 0, 5]
    assert text.decode(tokens, symbols) == words


def test_an_unknown_character_is_named(plain_errors):
    with pytest.raises(ValueError, match="text has 'z'"):
        text.encode("az", "a")


def test_the_split_is_one_cut():
    front, back = text.split(torch.arange(10), 0.3)
    assert front.tolist() == list(range(7))
    assert back.tolist() == [7, 8, 9]


@pytest.mark.parametrize("validation", [0.0, 1.0, -0.5])
def test_a_split_that_is_none_is_refused(plain_errors, validation):
    with pytest.raises(ValueError, match="validation must be between 0 and 1"):
        text.split(torch.arange(10), validation)


def test_targets_are_the_inputs_one_character_later():
    tokens = torch.arange(100)
    inputs, targets = text.batch(tokens, 8, 5, seeded())
    assert inputs.shape == targets.shape == (8, 5)
    torch.testing.assert_close(targets, inputs + 1)


def test_every_window_can_be_drawn_and_no_other():
    inputs, targets = text.batch(torch.arange(4), 200, 2, seeded())
    assert inputs[:, 0].unique().tolist() == [0, 1]
    assert targets.max() == 3


def test_a_text_of_one_window_has_a_batch():
    inputs, targets = text.batch(torch.arange(4), 2, 3, seeded())
    assert inputs.tolist() == [[0, 1, 2]] * 2
    assert targets.tolist() == [[1, 2, 3]] * 2


def test_batches_repeat_with_their_generator():
    tokens = torch.arange(1000)
    first = text.batch(tokens, 4, 8, seeded())
    again = text.batch(tokens, 4, 8, seeded())
    torch.testing.assert_close(first, again)


def test_a_window_longer_than_the_text_is_refused(plain_errors):
    with pytest.raises(ValueError, match="length must be below 5 tokens, got 5"):
        text.batch(torch.arange(5), 1, 5, seeded())


def test_no_validation_text_was_seen_in_training():
    """Lines of any length that stand in both parts are rare: at most one in fifty."""
    train, validation = text.split(torch.arange(373_279))
    corpus = text.python_topics()
    seen = {line.strip() for line in corpus[: len(train)].splitlines()}
    lines = [line.strip() for line in corpus[len(train) :].splitlines()]
    lines = [line for line in lines if len(line) > 20]
    assert sum(line in seen for line in lines) / len(lines) < 0.02
    assert len(validation) == 37_328
