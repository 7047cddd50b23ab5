# In the order in which they were made, not sorted.
# loses: test_values_kept

# %% solution="values_kept"
def values_kept(program, trained):
    need, lines = set(trained), {}
    for result, operation, inputs in program:
        lines[result] = operation, inputs
        if operation != "detach" and need & set(inputs):
            need.add(result)
    kept, reached = set(), set()
    todo = [program[-1][0]]
    while todo:
        name = todo.pop()
        if name in reached or name not in need or name not in lines:
            continue
        reached.add(name)
        operation, inputs = lines[name]
        if operation in ("linear", "mul"):
            for one, other in (inputs, inputs[::-1]):
                if other in need:
                    kept.add(one)
        elif operation == "gelu":
            kept |= set(inputs)
        elif operation in ("softmax", "tanh"):
            kept.add(name)
        todo += inputs
    return [name for name in lines if name in kept]
