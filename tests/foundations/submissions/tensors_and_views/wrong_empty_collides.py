# A stride of 0 is looked at before the size 0.
# loses: test_addresses_collide

# %% solution="addresses_collide"
def addresses_collide(shape, stride):
    if any(s == 0 and n > 1 for n, s in zip(shape, stride)):
        return True
    places = itertools.product(*map(range, shape))
    where = [sum(i * s for i, s in zip(place, stride)) for place in places]
    return len(set(where)) < len(where)
