"""Loopy belief propagation over three layers, with which LBP and DBDF merge the maps of their patch sizes.

Every pixel of every layer is a node with two labels. It is tied to its four neighbours, and to the same pixel
of the layer above and below; a tie weighs exp(-ALPHA) where the labels differ. The programs released with
Shi et al. (CVPR 2014) and Yi & Eramian (TIP 2016) use the same model.
"""

import numpy as np

ALPHA = 0.5  # how firmly neighbours agree, as in both programs
SWEEPS = 100  # at most, as there


def merge(maps: np.ndarray, tolerance: float, present: np.ndarray | None = None) -> np.ndarray:
    """Return the belief in label 1 of the first layer, float32 (H, W), in 0..1.

    maps: float (L, H, W), any range; they are standardised over all layers together. present: bool (L, H, W),
    False where a layer has no node; such a node sends nothing. A node of standardised value x has the
    potentials exp(-|1 - x|) for label 1 and exp(-|x|) for label 0. All messages are renewed at once, until
    none changes by as much as `tolerance` (as a ratio of probabilities), or 100 times.
    """
    inside = maps if present is None else maps[present]
    deviation = inside.std(ddof=1)
    x = (maps - inside.mean()) / deviation if deviation > 0 else np.zeros(maps.shape)
    # Messages are ratios of probabilities, label 1 to label 0: without logarithms, renewing one takes no exp.
    own = np.exp(np.abs(x) - np.abs(1 - x)).astype(np.float32)
    odds = np.float32(np.exp(ALPHA))
    messages = [
        np.ones(maps.shape, np.float32) for _ in range(6)
    ]  # 2 axis: from before, 2 axis + 1: from after
    for _ in range(SWEEPS):
        total = own.copy()
        for message in messages:
            total *= message
        change = np.float32(0)
        renewed = []
        for number, message in enumerate(messages):
            axis, back = number // 2, number % 2
            giver, taker = _ends(axis, back)
            without = total[giver] / messages[number ^ 1][giver]  # all but what the taker itself has said
            new = (without * odds + 1) / (without + odds)
            if present is not None:
                new[~present[giver]] = 1
            change = max(change, np.abs(new - message[taker]).max(initial=0))
            renewed.append((message, taker, new))
        for message, taker, new in renewed:
            message[taker] = new
        if change < tolerance:
            break
    total = own[0]
    for message in messages:
        total = total * message[0]
    return total / (1 + total)


def _ends(axis: int, back: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return the nodes that send along an axis, forth (0) or back (1), and the nodes that they send to."""
    first = tuple(slice(None, -1) if i == axis else slice(None) for i in range(3))
    last = tuple(slice(1, None) if i == axis else slice(None) for i in range(3))
    return (last, first) if back else (first, last)
