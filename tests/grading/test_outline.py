"""What `check` says of a failure in a hidden part names no value."""

import numpy as np
import pytest
import torch

from course import check

SECRET = 731
SECRETS = [
    (SECRET, 1),
    (float(SECRET), 1.0),
    (str(SECRET), "a"),
    (SECRET, "a"),
    (SECRET, None),
    (None, SECRET),
    (torch.tensor([1.0, SECRET]), torch.ones(2)),
    (torch.tensor([1.0, SECRET]), torch.tensor([1.0, float("inf")])),
    (np.array([SECRET, 2]), np.array([1, 2])),
    (np.float64(SECRET), np.float64(1)),
    ([1, (SECRET,)], [1, (2,)]),
    ({"a": SECRET}, {"a": 1}),
    ({SECRET: 1}, {"a": 1}),
    ({"a": 1}, {"a": 1, SECRET: 1}),
    (SECRET, torch.ones(2).to_sparse()),
]


@pytest.mark.parametrize(("one", "other"), SECRETS, ids=repr)
def test_an_outline_holds_neither_value(one, other):
    for got, want in ((one, other), (other, one)):
        if isinstance(want, torch.Tensor) and want.is_sparse:
            continue
        with pytest.raises(check.Wrong) as caught:
            check.close(got, want, "the hint")
        assert caught.value.outline.startswith("the hint — ")
        assert str(SECRET) not in caught.value.outline


def test_an_outline_says_types_shapes_and_the_first_place():
    with pytest.raises(check.Wrong) as caught:
        check.close(torch.ones(2, 3), torch.eye(2, 3), "hint")
    text = "hint — another value than expected at index (0, 1); 4 of 6 entries differ"
    assert caught.value.outline == text
    with pytest.raises(check.Wrong) as caught:
        check.close((1, torch.ones(2)), (1, torch.ones(3)), "hint")
    assert caught.value.outline == (
        "hint — at [1]: expected a float32 tensor of shape (3,), got shape (2,)"
    )
