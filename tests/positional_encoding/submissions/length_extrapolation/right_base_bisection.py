# Looks for the base by halving an interval of its logarithm.
# keeps: all

# %% solution="base_for"
def base_for(n, length, d, base=10_000.0, fraction=1.0):
    if n <= length:
        return float(base)
    r = round(fraction * d)
    want = length * base ** (-(r - 2) / r)
    low, high = math.log(base), math.log(base) + 200
    for _ in range(200):
        middle = (low + high) / 2
        if n * math.exp(-middle * (r - 2) / r) > want:
            low = middle
        else:
            high = middle
    return math.exp(low)
