# Raises wherever the tensor has a stride of 0, whatever part is written.
# loses: test_predict_write

# %% solution="predict_write"
def predict_write(shape, stride, index):
    for n, s in zip(shape, stride):
        if s == 0 and n > 1:
            return "raises"
    places = list(itertools.product(*map(range, shape)))
    where = [sum(i * s for i, s in zip(place, stride)) for place in places]
    chosen = [all(i == ":" or i == p for i, p in zip(index, place)) for place in places]
    written = {at for at, own in zip(where, chosen) if own}
    return torch.tensor([at in written for at in where]).reshape(shape)
