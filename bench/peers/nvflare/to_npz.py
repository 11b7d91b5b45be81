"""Makes the file of NVFlare's transfers out of a model folder: FOLDER MODEL.npz."""

import glob
import sys

import numpy as np
from safetensors.numpy import load_file

weights: dict[str, np.ndarray] = {}
for path in sorted(glob.glob(sys.argv[1] + "/*.safetensors")):
    weights.update(load_file(path))
np.savez(sys.argv[2], **weights)
