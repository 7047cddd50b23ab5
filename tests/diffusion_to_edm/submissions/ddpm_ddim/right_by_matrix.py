# Solves the two by two system of each source.
# keeps: all

# %% solution="convert_prediction"
def convert_prediction(x, out, abar, source, target):
    c, s = abar**0.5, (1 - abar) ** 0.5
    rows = {
        "x0": lambda: (1.0, 0.0),
        "eps": lambda: (0.0, 1.0),
        "v": lambda: (-s, c),
        "score": lambda: (0.0, -1 / s),
    }
    if source not in rows or target not in rows:
        raise ValueError("unknown kind")
    a, b = rows[source]()
    d, e = rows[target]()
    det = c * b - s * a
    return ((d * b - e * a) * x + (c * e - s * d) * out) / det
