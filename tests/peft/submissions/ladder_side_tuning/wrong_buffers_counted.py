# Buffers are charged: a batch norm keeps its running mean and variance.
# loses: test_bytes_by_layer

# %% solution="bytes_by_layer"
def bytes_by_layer(layers, x):
    there = [x]
    for layer in layers:
        there += layer.parameters()
    charged = {t.untyped_storage().data_ptr() for t in there}
    bill = []
    for layer in layers:
        bill.append(0)

        def pack(tensor):
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in charged:
                charged.add(storage.data_ptr())
                bill[-1] += storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            x = layer(x)
    return bill
