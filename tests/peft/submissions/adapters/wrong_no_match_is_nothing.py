# A pattern without a match is silently nothing.
# loses: test_insert_adapters

# %% solution="insert_adapters"
def insert_adapters(model, pattern, m):
    layers = [x for name, x in model.named_modules() if re.fullmatch(pattern, name)]
    adapters = [x for x in model.modules() if isinstance(x, Adapter)]
    model.requires_grad_(False)
    for adapter in adapters:
        adapter.requires_grad_(True)
    layers = [layer for layer in layers if not hasattr(layer, "adapter")]
    handles = []
    for layer in layers:
        layer.adapter = Adapter(layer.out_features, m).to(layer.weight)
        hook = layer.register_forward_hook(lambda own, x, h: own.adapter(h))
        handles.append(hook)

    def remove():
        for layer, hook in zip(layers, handles):
            hook.remove()
            del layer.adapter

    return remove
