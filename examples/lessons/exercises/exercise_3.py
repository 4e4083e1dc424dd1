"""Exercises of lesson 3: credit.

Fill in the two functions, then run `python examples/lessons/exercises/exercise_3.py`.
"""

import numpy as np


def shaped_rewards(rewards: np.ndarray, potentials: np.ndarray, gamma: float) -> np.ndarray:
    """Rewards with potential-based shaping: to each is added F = gamma * Phi(next state) - Phi(state).

    Args:
        rewards: (N, K) floats, the rewards of N episodes of K steps, all of which end with the last one.
        potentials: (N, K + 1) floats, what the potential function says of each state, from the first to the last. The
            last state is the end, where Phi must count as 0, whatever is said of it here.
        gamma: Discount factor in [0, 1].

    Returns:
        (N, K) floats.
    """
    raise NotImplementedError("shaped_rewards: rewards + gamma * Phi(s') - Phi(s); mind the end")


def lambda_returns(rewards: np.ndarray, values: np.ndarray, gamma: float, lam: float) -> np.ndarray:
    """The targets of TD(lambda): between the next guess (lambda 0) and the return (lambda 1).

    G_t = r_t + gamma * ((1 - lambda) * V(s_{t+1}) + lambda * G_{t+1}), and beyond the end both V and G are 0.

    Args:
        rewards: (N, K) floats, the rewards of N episodes of K steps.
        values: (N, K) floats, the guess V(s_t) for each state in which a step was taken; the end is not among them.
        gamma: Discount factor in [0, 1].
        lam: Lambda, in [0, 1].

    Returns:
        (N, K) floats.
    """
    raise NotImplementedError("lambda_returns: begin with the last step and go backwards")


def check(first, second) -> None:
    """Checks both functions by their properties and by another route; AssertionError says what is wrong."""
    rng = np.random.default_rng(0)
    rewards, potentials = rng.normal(size=(5, 4)), rng.normal(size=(5, 5))
    before = potentials.copy()
    for gamma in (1.0, 0.9):
        found = np.asarray(first(rewards, potentials, gamma))
        assert found.shape == (5, 4), f"shaped_rewards: want the shape of the rewards, (5, 4), got {found.shape}"
        assert np.array_equal(potentials, before), "shaped_rewards: leave the given potentials as they are: copy them"
        added = (found - rewards) @ gamma ** np.arange(4)
        forgot = np.allclose(added, gamma**4 * potentials[:, -1] - potentials[:, 0])
        assert not forgot, ("shaped_rewards: at the end Phi must be 0. You took what is said of the last image, and so "
                            "pay for the last image twice")
        assert np.allclose(added, -potentials[:, 0]), (
            f"shaped_rewards: with gamma {gamma} the discounted sum of what you add must be -Phi(s_0) = "
            f"{-potentials[0, 0]:+.3f}, but it is {added[0]:+.3f}")
        again = (first(rewards, potentials + np.eye(5)[2], gamma) - found).any(0)
        assert again.tolist() == [False, True, True, False], (
            "shaped_rewards: the potential of the third state must change the second and the third reward only")

    values = rng.normal(size=(5, 4))
    following = np.pad(values[:, 1:], ((0, 0), (0, 1)))
    for gamma, lam in ((1.0, 0.0), (0.9, 0.0), (1.0, 1.0), (0.9, 1.0), (0.9, 0.5), (1.0, 0.8)):
        found = np.asarray(second(rewards, values, gamma, lam))
        assert found.shape == (5, 4), f"lambda_returns: want the shape of the rewards, (5, 4), got {found.shape}"
        at = f"lambda_returns, gamma {gamma}, lambda {lam}:"
        if lam == 0:
            assert np.allclose(found, rewards + gamma * following), (
                f"{at} want r_t + gamma V(s_t+1), with V = 0 at the end")
        if lam == 1:
            assert np.allclose(found[:, 0], rewards @ gamma ** np.arange(4)), f"{at} want the discounted return"
        for t in range(4):  # forwards: the mean of all n-step returns, with weights that fall by lambda
            n_steps = [rewards[:, t : t + n] @ gamma ** np.arange(n) + gamma**n * following[:, t + n - 1]
                       for n in range(1, 5 - t)]  # fmt: skip
            weights = [(1 - lam) * lam ** (n - 1) for n in range(1, 4 - t)] + [lam ** (3 - t)]
            expected = sum(weight * each for weight, each in zip(weights, n_steps, strict=True))
            assert np.allclose(found[:, t], expected), (
                f"{at} step {t + 1} should get {expected[0]:+.3f}, the mean of its n-step returns, but gets "
                f"{found[0, t]:+.3f}. Is it V of the next state that you blend in?")


if __name__ == "__main__":
    check(shaped_rewards, lambda_returns)
    print("All checks pass.")
