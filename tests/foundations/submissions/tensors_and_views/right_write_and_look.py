# Adds 1 at every element of a real tensor and looks for more than 1.
# keeps: all

# %% solution="addresses_collide"
def addresses_collide(shape, stride):
    if 0 in shape:
        return False
    memory = [0] * (1 + sum((n - 1) * s for n, s in zip(shape, stride)))
    for place in itertools.product(*map(range, shape)):
        memory[sum(i * s for i, s in zip(place, stride))] += 1
    return max(memory) > 1
