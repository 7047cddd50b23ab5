# How often, not whether.
# loses: test_predict_write

# %% solution="predict_write"
def predict_write(shape, stride, index):
    for n, s, i in zip(shape, stride, index):
        if i == ":" and s == 0 and n > 1:
            return "raises"
    places = list(itertools.product(*map(range, shape)))
    where = [sum(i * s for i, s in zip(place, stride)) for place in places]
    chosen = [all(i == ":" or i == p for i, p in zip(index, place)) for place in places]
    counts = [sum(c and at == w for c, w in zip(chosen, where)) for at in where]
    return torch.tensor(counts).reshape(shape)
