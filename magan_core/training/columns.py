"""The columns of a run's history.csv, but for its further losses."""

TERMS = ("ce", "iou", "adv", "total", "d_real", "d_fake")  # what a step returns
ALPHAS = ("alpha_hca", "alpha_lca")  # scales of the channel attention (Eq. 2)
COLUMNS = ("step", "epoch", "lr", *TERMS, *ALPHAS)
