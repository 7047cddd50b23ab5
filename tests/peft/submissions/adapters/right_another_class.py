# The layer becomes an instance of a subclass, in place; no hook.
# keeps: all

# %% solution="insert_adapters"
class LinearWithAdapter(nn.Linear):
    def forward(self, x):
        return self.extra(super().forward(x))


def insert_adapters(model, pattern, m):
    chosen = {n: x for n, x in model.named_modules() if re.fullmatch(pattern, n)}
    if not chosen:
        raise ValueError(pattern)
    inside = {
        id(p)
        for layer in model.modules()
        if type(layer) is LinearWithAdapter
        for p in layer.extra.parameters()
    }
    for p in model.parameters():
        p.requires_grad = id(p) in inside
    new = [x for x in chosen.values() if type(x) is not LinearWithAdapter]
    for layer in new:
        layer.__class__ = LinearWithAdapter
        layer.extra = Adapter(layer.out_features, m).to(layer.weight.dtype)

    def remove():
        for layer in new:
            del layer.extra
            layer.__class__ = nn.Linear

    return remove
