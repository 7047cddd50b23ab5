# Every action's value is drawn to the target.
# loses: test_double_dqn_loss

# %% solution="double_dqn_loss"
def double_dqn_loss(net, target_net, states, actions, rewards, after, over, gamma):
    with torch.no_grad():
        choice = net(after).argmax(1, keepdim=True)
        judged = target_net(after).gather(1, choice)[:, 0]
        target = rewards + gamma * judged * ~over
    return (target[:, None] - net(states)).square().mean()
