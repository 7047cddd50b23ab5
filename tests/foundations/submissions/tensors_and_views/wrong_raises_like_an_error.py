# Raises an error where the word is asked for.
# loses: test_predict_write

# %% solution="predict_write"
def predict_write(shape, stride, index):
    for n, s, i in zip(shape, stride, index):
        if i == ":" and s == 0 and n > 1:
            raise RuntimeError("more than one element")
    places = list(itertools.product(*map(range, shape)))
    where = [sum(i * s for i, s in zip(place, stride)) for place in places]
    chosen = [all(i == ":" or i == p for i, p in zip(index, place)) for place in places]
    written = {at for at, own in zip(where, chosen) if own}
    return torch.tensor([at in written for at in where]).reshape(shape)
