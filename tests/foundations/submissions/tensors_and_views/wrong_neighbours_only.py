# Compares an element with its neighbours along each dimension.
# loses: test_addresses_collide

# %% solution="addresses_collide"
def addresses_collide(shape, stride):
    def at(place):
        return sum(i * s for i, s in zip(place, stride))

    places = list(itertools.product(*map(range, shape)))
    return any(at(one) == at(other) for one, other in itertools.pairwise(places))
