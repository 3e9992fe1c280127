"""Data larger than memory stays on disk: the process's own memory does not grow with it."""

from __future__ import annotations

import sys

import numpy as np
import pytest

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="reads /proc/self/status"
)

N, D = 130_000, 784
LIMIT = 150 << 20

# RssAnon leaves out the pages of the file that is mapped: those the system takes back.
WATCHED = """
import threading, time
import numpy as np
from mmlfast import PCA

path, out, dtype, job = {arguments!r}

def anonymous():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("RssAnon"))

small = np.random.default_rng(0).integers(0, 9, (3000, 784)).astype(dtype)
model = PCA(5, svd_solver="krylov", random_state=0).fit(small)
model = PCA(5, svd_solver="covariance_eigh").fit(small)
model.transform(small)
del small
before = peak = anonymous()
done = threading.Event()

def watch():
    global peak
    while not done.is_set():
        peak = max(peak, anonymous())
        time.sleep(0.002)

watcher = threading.Thread(target=watch)
watcher.start()
if job in ("covariance_eigh", "krylov"):
    model = PCA(5, svd_solver=job, random_state=0).fit(path)
    assert model.n_samples_ == {n}
elif job == "partial_fit":
    model = PCA(5).partial_fit(path)
    assert model.n_samples_ == {n}
elif job == "transform":
    scores = np.lib.format.open_memmap(out, "w+", np.float32, ({n}, 5))
    model.transform(path, out=scores)
else:
    assert sum(len(block) for block in model.iter_transform(path)) == {n}
done.set()
watcher.join()
print(peak - before)
"""


@pytest.fixture(scope="module", params=["float32", "uint8"])
def large_file(request, tmp_path_factory):
    """A matrix of zeros but for one block of rows; zeros take no room on the disk."""
    folder = tmp_path_factory.mktemp("large")
    path = folder / f"{request.param}.npy"
    n = N if request.param == "float32" else 4 * N
    X = np.lib.format.open_memmap(path, "w+", request.param, (n, D))
    X[1000:3000] = np.random.default_rng(1).integers(0, 9, (2000, D))
    X.flush()
    del X
    yield path, request.param, n
    path.unlink()


@pytest.mark.parametrize(
    "job", ["covariance_eigh", "krylov", "partial_fit", "transform", "iter_transform"]
)
def test_a_file_of_400_megabytes_is_never_in_memory(large_file, job, run_python, tmp_path):
    path, dtype, n = large_file
    arguments = (str(path), str(tmp_path / "scores.npy"), dtype, job)
    grown = int(run_python(WATCHED.format(arguments=arguments, n=n)))
    assert grown < LIMIT, f"{grown / 2**20:.0f} MiB"
