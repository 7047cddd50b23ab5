# Addresses by broadcasting, marks in a row of memory.
# keeps: all

# %% solution="predict_write"
def predict_write(shape, stride, index):
    part = [(n, s) for n, s, i in zip(shape, stride, index) if i == ":"]
    if (0 in [s for n, s in part if n != 1]) and part:
        return "raises"
    where = torch.zeros(shape, dtype=torch.long)
    for k, (n, s) in enumerate(zip(shape, stride)):
        where = where + (s * torch.arange(n)).reshape(-1, *[1] * (len(shape) - k - 1))
    memory = torch.zeros(int(where.max()) + 1, dtype=torch.bool)
    memory[where[tuple(slice(None) if i == ":" else i for i in index)]] = True
    return memory[where]
