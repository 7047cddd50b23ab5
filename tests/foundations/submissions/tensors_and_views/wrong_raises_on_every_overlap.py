# PyTorch is taken to see sliding windows too.
# loses: test_predict_write

# %% solution="predict_write"
def predict_write(shape, stride, index):
    places = list(itertools.product(*map(range, shape)))
    where = [sum(i * s for i, s in zip(place, stride)) for place in places]
    chosen = [all(i == ":" or i == p for i, p in zip(index, place)) for place in places]
    own = [at for at, mine in zip(where, chosen) if mine]
    if len(set(own)) < len(own):
        return "raises"
    written = {at for at, own in zip(where, chosen) if own}
    return torch.tensor([at in written for at in where]).reshape(shape)
