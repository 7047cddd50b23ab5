# The forward of each layer is replaced, and put back.
# keeps: all

# %% solution="insert_adapters"
def insert_adapters(model, pattern, m):
    layers = []
    for name, module in list(model.named_modules()):
        if re.fullmatch(pattern, name):
            layers.append(module)
    if len(layers) == 0:
        raise ValueError("nothing matches")
    for name, p in model.named_parameters():
        if ".side." not in f".{name}":
            p.requires_grad_(False)
    mine = [layer for layer in layers if "side" not in dict(layer.named_children())]

    def patched(layer):
        plain = layer.forward
        return lambda x: layer.side(plain(x))

    for layer in mine:
        layer.forward = patched(layer)
        layer.add_module("side", Adapter(layer.out_features, m).to(layer.weight))

    def undo():
        for layer in mine:
            del layer.forward
            del layer.side

    return undo
