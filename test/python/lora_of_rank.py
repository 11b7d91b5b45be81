"""The example lora.py with a rank of the site's own: python lora_of_rank.py SITE …"""

import pathlib
import runpy
import sys

RANKS = {"site-1": 4, "site-2": 8, "site-3": 16}
folder = pathlib.Path(__file__).parents[2] / "examples" / "hf-sft"
sys.path.insert(0, str(folder))
sys.argv = [str(folder / "lora.py"), *sys.argv[2:], "--rank", str(RANKS[sys.argv[1]])]
runpy.run_path(sys.argv[0], run_name="__main__")
