# One context around all, the layer in turn known by hooks on the modules.
# keeps: all

# %% solution="bytes_by_layer"
def bytes_by_layer(layers, x):
    free = {x.untyped_storage().data_ptr()}
    for layer in layers:
        for tensor in layer.state_dict().values():
            free.add(tensor.untyped_storage().data_ptr())
    saved, now = [], []

    def pack(tensor):
        saved.append((len(now), tensor))
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        for layer in layers:
            x = layer(x)
            now.append(layer)
    bill = [0] * len(layers)
    for turn, tensor in saved:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in free:
            free.add(storage.data_ptr())
            bill[turn] += len(storage)
    return bill
