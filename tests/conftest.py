"""One thread: equal bytes need an equal thread count, and a spinning pool starves beside a neighbour.

The file of whole pipelines comes first: it takes a third of the time of all, and would end alone.
"""

import os

from hypothesis import settings

os.environ["OMP_NUM_THREADS"] = "1"  # read when torch is first imported
os.environ["GOMP_SPINCOUNT"] = "0"
settings.register_profile("magan", deadline=None)  # a busy machine is slow, not wrong
settings.load_profile("magan")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name != "test_pipeline.py")
