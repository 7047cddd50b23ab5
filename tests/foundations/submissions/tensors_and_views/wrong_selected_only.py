# No element but the selected ones changes.
# loses: test_predict_write

# %% solution="predict_write"
def predict_write(shape, stride, index):
    for n, s, i in zip(shape, stride, index):
        if i == ":" and s == 0 and n > 1:
            return "raises"
    places = list(itertools.product(*map(range, shape)))
    chosen = [all(i == ":" or i == p for i, p in zip(index, place)) for place in places]
    return torch.tensor(chosen).reshape(shape)
