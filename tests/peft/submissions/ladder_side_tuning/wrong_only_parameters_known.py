# Parameters are recognised by their class: a transposed weight is none.
# loses: test_bytes_by_layer

# %% solution="bytes_by_layer"
def bytes_by_layer(layers, x):
    charged = {x.untyped_storage().data_ptr()}
    bill = []
    for layer in layers:
        bill.append(0)

        def pack(tensor):
            storage = tensor.untyped_storage()
            known = isinstance(tensor, nn.Parameter)
            if storage.data_ptr() not in charged and not known:
                charged.add(storage.data_ptr())
                bill[-1] += storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            x = layer(x)
    return bill
