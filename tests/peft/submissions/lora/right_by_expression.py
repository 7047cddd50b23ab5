# A regular expression, the target escaped.
# keeps: all

# %% solution="wrap_linears"
import functools
import operator


def wrap_linears(model, targets, make):
    import re

    model.requires_grad_(False)
    ends = "|".join(map(re.escape, targets))
    places = {}
    for name, layer in model.named_modules(remove_duplicate=False):
        linear = ends and isinstance(layer, nn.Linear)
        if linear and re.search(rf"(^|\.)({ends})$", name):
            places.setdefault(layer, []).append(name)
    for layer, names in places.items():
        new = make(layer)
        for name in names:
            parent, child = ("." + name).rsplit(".", 1)
            setattr(model.get_submodule(parent[1:]), child, new)
    return sorted(functools.reduce(operator.iadd, places.values(), []))
