# With a list, one more place for what is worth nothing, and a generator of steps.
# keeps: all

# %% solution="values_from_record"
def values_from_record(episodes, n_states, gamma, alpha=None):
    def steps():
        for states, rewards, ended in episodes:
            ends = [*states[1:-1], n_states if ended else states[-1]]
            yield from zip(states, rewards, ends)

    table, seen = [0.0] * (n_states + 1), {}
    for s, r, after in steps():
        seen[s] = seen.get(s, 0) + 1
        rate = alpha or 1 / seen[s]
        table[s] = (1 - rate) * table[s] + rate * (r + gamma * table[after])
    return np.array(table[:-1])
