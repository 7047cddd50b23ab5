# Turns by the angle, and goes through v.
# keeps: all

# %% solution="convert_prediction"
def convert_prediction(x, out, abar, source, target):
    kinds = ["eps", "x0", "v", "score"]
    if kinds.count(source) + kinds.count(target) < 2:
        raise ValueError((source, target))
    angle = math.atan2((1 - abar) ** 0.5, abar**0.5)
    cos, sin = math.cos(angle), math.sin(angle)
    if source == "score":
        source, out = "eps", -sin * out
    if source == "eps":
        out = (out - sin * x) / cos
    elif source == "x0":
        out = (cos * x - out) / sin
    if target == "v":
        return 1 * out
    if target == "x0":
        return cos * x - sin * out
    noise = sin * x + cos * out
    return noise if target == "eps" else noise / -sin
