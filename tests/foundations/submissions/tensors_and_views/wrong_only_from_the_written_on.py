# Elements before the first that is written are taken to be safe.
# loses: test_predict_write

# %% solution="predict_write"
def predict_write(shape, stride, index):
    for n, s, i in zip(shape, stride, index):
        if i == ":" and s == 0 and n > 1:
            return "raises"
    places = list(itertools.product(*map(range, shape)))
    where = [sum(i * s for i, s in zip(place, stride)) for place in places]
    chosen = [all(i == ":" or i == p for i, p in zip(index, place)) for place in places]
    written, changed = set(), []
    for at, own in zip(where, chosen):
        if own:
            written.add(at)
        changed.append(at in written)
    return torch.tensor(changed).reshape(shape)
