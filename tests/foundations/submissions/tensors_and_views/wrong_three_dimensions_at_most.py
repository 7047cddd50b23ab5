# Looks at up to three dimensions together: four can meet where no three do.
# loses: test_addresses_collide

# %% solution="addresses_collide"
def addresses_collide(shape, stride):
    if 0 in shape:
        return False
    dims = [(n, s) for n, s in zip(shape, stride) if n > 1]
    for count in (1, 2, 3):
        for some in itertools.combinations(dims, count):
            steps = itertools.product(*(range(n) for n, _ in some))
            where = [sum(i * s for i, (_, s) in zip(step, some)) for step in steps]
            if len(set(where)) < len(where):
                return True
    return False
