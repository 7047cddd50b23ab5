# Counts along each dimension alone.
# loses: test_addresses_collide

# %% solution="addresses_collide"
def addresses_collide(shape, stride):
    if 0 in shape:
        return False
    where = [0]
    for n, s in zip(shape, stride):
        where += [i * s for i in range(1, n)]
    return len(set(where)) < len(where)
