# Only what has a history of its own is charged.
# loses: test_bytes_by_layer

# %% solution="bytes_by_layer"
def bytes_by_layer(layers, x):
    charged = set()
    bill = []
    for layer in layers:
        bill.append(0)

        def pack(tensor):
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in charged and tensor.grad_fn is not None:
                charged.add(storage.data_ptr())
                bill[-1] += storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            x = layer(x)
    return bill
