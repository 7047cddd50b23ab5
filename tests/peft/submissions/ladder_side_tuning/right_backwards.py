# One pass forwards, one backwards over the lines; each value's keepers as sets.
# keeps: all

# %% solution="values_kept"
def values_kept(program, trained):
    need = set(trained)
    for result, operation, inputs in program:
        if operation != "detach" and any(name in need for name in inputs):
            need = need | {result}
    alive, kept = {program[-1][0]} & need, set()
    for result, operation, inputs in program[::-1]:
        if result not in alive:
            continue
        alive |= need.intersection(inputs)
        first, last = inputs[0], inputs[-1]
        rules = {
            "linear": {first: last in need, last: first in need},
            "mul": {first: last in need, last: first in need},
            "gelu": {first: True},
            "softmax": {result: True},
            "tanh": {result: True},
        }
        kept |= {name for name, yes in rules.get(operation, {}).items() if yes}
    return sorted(kept & {line[0] for line in program})
