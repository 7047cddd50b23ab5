# Each pair of dimensions alone: three together can meet where no two do.
# loses: test_addresses_collide

# %% solution="addresses_collide"
def addresses_collide(shape, stride):
    if 0 in shape:
        return False
    dims = [(n, s) for n, s in zip(shape, stride) if n > 1]
    if any(s == 0 for _, s in dims):
        return True
    for (n, s), (m, r) in itertools.combinations(dims, 2):
        where = [i * s + j * r for i in range(n) for j in range(m)]
        if len(set(where)) < len(where):
            return True
    return False
