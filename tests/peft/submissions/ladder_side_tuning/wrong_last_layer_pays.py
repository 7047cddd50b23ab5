# A storage is charged to the last layer that saves it.
# loses: test_bytes_by_layer

# %% solution="bytes_by_layer"
def bytes_by_layer(layers, x):
    there = [x, *(t for m in layers for t in [*m.parameters(), *m.buffers()])]
    there = {t.untyped_storage().data_ptr() for t in there}
    owner, size = {}, {}
    for i, layer in enumerate(layers):

        def pack(t, i=i):
            s = t.untyped_storage()
            owner[s.data_ptr()], size[s.data_ptr()] = i, s.nbytes()
            return t

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            x = layer(x)
    bill = [0] * len(layers)
    for where, i in owner.items():
        if where not in there:
            bill[i] += size[where]
    return bill
