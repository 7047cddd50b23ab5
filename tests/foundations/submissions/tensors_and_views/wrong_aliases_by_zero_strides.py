# Aliases only along dimensions of stride 0: sliding windows are missed.
# loses: test_predict_write

# %% solution="predict_write"
def predict_write(shape, stride, index):
    for n, s, i in zip(shape, stride, index):
        if i == ":" and s == 0 and n > 1:
            return "raises"
    free = [i == ":" or s == 0 for i, s in zip(index, stride)]
    places = itertools.product(*map(range, shape))
    changed = [
        all(f or i == p for f, i, p in zip(free, index, place)) for place in places
    ]
    return torch.tensor(changed).reshape(shape)
