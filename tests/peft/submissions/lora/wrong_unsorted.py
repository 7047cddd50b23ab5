# The names in the order of the model.
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
    wrappers = {layer: make(layer) for layer in {each: None for _, each in places}}
    for name, layer in places:
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, wrappers[layer])
    return [name for name, _ in places]
