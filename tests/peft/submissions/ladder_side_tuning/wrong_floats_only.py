# Whole numbers are not charged: a sort keeps the places.
# loses: test_bytes_by_layer

# %% solution="bytes_by_layer"
def bytes_by_layer(layers, x):
    there = [x]
    for layer in layers:
        there += [*layer.parameters(), *layer.buffers()]
    charged = {t.untyped_storage().data_ptr() for t in there}
    bill = []
    for layer in layers:
        bill.append(0)

        def pack(tensor):
            storage = tensor.untyped_storage()
            floats = tensor.is_floating_point()
            if floats and storage.data_ptr() not in charged:
                charged.add(storage.data_ptr())
                bill[-1] += storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            x = layer(x)
    return bill
