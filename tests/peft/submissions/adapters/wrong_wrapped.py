# The layer is wrapped in a Sequential: its weight has another name.
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
        adapter = Adapter(layer.out_features, m).to(layer.weight)
        for parent in list(model.modules()):
            for name, child in list(parent.named_children()):
                if child is layer:
                    setattr(parent, name, nn.Sequential(layer, adapter))
        handles.append(adapter)

    def remove():
        for layer, hook in zip(layers, handles):
            for parent in list(model.modules()):
                for name, child in list(parent.named_children()):
                    if isinstance(child, nn.Sequential) and child[1] is hook:
                        setattr(parent, name, layer)

    return remove
