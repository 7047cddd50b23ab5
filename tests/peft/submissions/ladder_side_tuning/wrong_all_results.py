# Every result that needs a gradient is kept.
# loses: test_values_kept

# %% solution="values_kept"
def values_kept(program, trained):
    need, kept = set(trained), []
    for result, operation, inputs in program:
        if operation != "detach" and need & set(inputs):
            need.add(result)
            kept.append(result)
    return sorted(kept)
