# The adapters live in the hooks: the model does not know their parameters.
# loses: test_insert_adapters

# %% solution="insert_adapters"
def insert_adapters(model, pattern, m):
    layers = [x for name, x in model.named_modules() if re.fullmatch(pattern, name)]
    if not layers:
        raise ValueError(f"no module is called {pattern}")
    adapters = [x for x in model.modules() if isinstance(x, Adapter)]
    model.requires_grad_(False)
    for adapter in adapters:
        adapter.requires_grad_(True)
    layers = [layer for layer in layers if not hasattr(layer, "adapter")]
    handles = []
    for layer in layers:
        made = Adapter(layer.out_features, m).to(layer.weight)
        hook = layer.register_forward_hook(lambda own, x, h, made=made: made(h))
        handles.append(hook)

    def remove():
        for hook in handles:
            hook.remove()

    return remove
