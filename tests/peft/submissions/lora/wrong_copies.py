# Wraps a copy: a tied weight is tied no longer.
# loses: test_wrap_linears

# %% solution="wrap_linears"
def wrap_linears(model, targets, make):
    model.requires_grad_(False)
    places = [
        (name, layer)
        for name, layer in model.named_modules(remove_duplicate=False)
        if isinstance(layer, nn.Linear)
        and any(f".{name}".endswith(f".{target}") for target in targets)
    ]
    import copy

    wrappers = {layer: make(copy.deepcopy(layer)) for _, layer in places}
    for name, layer in places:
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, wrappers[layer])
    return sorted(name for name, _ in places)
