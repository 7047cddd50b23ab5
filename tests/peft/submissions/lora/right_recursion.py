# Walks down by named_children, and remembers what it made by id.
# keeps: all

# %% solution="wrap_linears"
def wrap_linears(model, targets, make):
    for p in model.parameters():
        p.requires_grad = False
    ends = [tuple(target.split(".")) for target in targets]
    made, names = {}, []

    def walk(owner, path):
        for child, module in list(owner._modules.items()):
            here = (*path, child)
            if module is None:
                continue
            if isinstance(module, nn.Linear):
                if any(here[-len(end) :] == end for end in ends):
                    if id(module) not in made:
                        made[id(module)] = (module, make(module))
                    owner._modules[child] = made[id(module)][1]
                    names.append(".".join(here))
            else:
                walk(module, here)

    walk(model, ())
    return sorted(names)
