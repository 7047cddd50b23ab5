# A layer in two places gets two wrappers.
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
    for name, layer in places:
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, make(layer))
    return sorted(name for name, _ in places)
