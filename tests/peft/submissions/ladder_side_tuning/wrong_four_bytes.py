# Every number is taken to have four bytes.
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
            if storage.data_ptr() not in charged:
                charged.add(storage.data_ptr())
                bill[-1] += 4 * storage.nbytes() // tensor.element_size()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            x = layer(x)
    return bill
