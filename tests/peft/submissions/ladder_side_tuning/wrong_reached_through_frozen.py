# Reached is whatever the last result depends on, through detached values too.
# loses: test_values_kept

# %% solution="values_kept"
def values_kept(program, trained):
    need, lines, kept = set(trained), {}, set()
    for result, operation, inputs in program:
        lines[result] = operation, inputs
        if operation != "detach" and need & set(inputs):
            need.add(result)
    reached = {program[-1][0]}
    for result, operation, inputs in reversed(program):
        if result not in reached:
            continue
        reached |= set(inputs)
        if result not in need:
            continue
        if operation in ("linear", "mul"):
            kept |= {a for a, b in (inputs, inputs[::-1]) if b in need}
        elif operation == "gelu":
            kept |= set(inputs)
        elif operation in ("softmax", "tanh"):
            kept.add(result)
    return sorted(kept & set(lines))
