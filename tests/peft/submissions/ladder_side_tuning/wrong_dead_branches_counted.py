# What the last result does not depend on is counted too.
# loses: test_values_kept

# %% solution="values_kept"
def values_kept(program, trained):
    need, made, kept = set(trained), set(), set()
    for result, operation, inputs in program:
        made.add(result)
        if operation == "detach" or not need & set(inputs):
            continue
        need.add(result)
        if operation in ("linear", "mul"):
            kept |= {a for a, b in (inputs, inputs[::-1]) if b in need}
        elif operation == "gelu":
            kept |= set(inputs)
        elif operation in ("softmax", "tanh"):
            kept.add(result)
    return sorted(kept & made)
