# Every result carries the set that its own graph keeps: no second walk.
# keeps: all

# %% solution="values_kept"
def values_kept(program, trained):
    needs, keeps = {}, {}
    results = {line[0] for line in program}

    def needy(name):
        return needs.get(name, name in trained)

    for result, operation, inputs in program:
        own, graph = [], set()
        needs[result] = operation != "detach" and any(map(needy, inputs))
        if needs[result]:
            for name in inputs:
                graph |= keeps.get(name, set())
            if operation in ("linear", "mul"):
                a, b = inputs
                own = [a] * needy(b) + [b] * needy(a)
            elif operation == "gelu":
                own = list(inputs)
            elif operation in ("softmax", "tanh"):
                own = [result]
        keeps[result] = graph | set(own)
    return sorted(keeps[program[-1][0]] & results)
