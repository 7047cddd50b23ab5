# A stride of 0 counts though no step is taken.
# loses: test_addresses_collide

# %% solution="addresses_collide"
def addresses_collide(shape, stride):
    if 0 in stride:
        return True
    places = itertools.product(*map(range, shape))
    where = [sum(i * s for i, s in zip(place, stride)) for place in places]
    return len(set(where)) < len(where)
