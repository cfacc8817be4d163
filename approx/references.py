"""Which papers stand behind a result, as BibTeX."""

from __future__ import annotations

from collections.abc import Iterable

from approx.errors import InputError

PAPERS: dict[str, str] = {
    "P16": """@article{yarotsky2016error,
  author = {Dmitry Yarotsky},
  title = {Error bounds for approximations with deep {ReLU} networks},
  journal = {Neural Networks}, volume = {94}, pages = {103--114}, year = {2017}, note = {arXiv:1610.01145}
}""",
    "P17": """@misc{yarotsky2017quantified,
  author = {Dmitry Yarotsky},
  title = {Quantified advantage of discontinuous weight selection in approximations with deep neural networks},
  year = {2017}, note = {arXiv:1705.01365}
}""",
    "P18": """@inproceedings{yarotsky2018optimal,
  author = {Dmitry Yarotsky},
  title = {Optimal approximation of continuous functions by very deep {ReLU} networks},
  booktitle = {Conference on Learning Theory}, year = {2018}, note = {arXiv:1802.03620}
}""",
    "P19": """@inproceedings{yarotsky2020phase,
  author = {Dmitry Yarotsky and Anton Zhevnerchuk},
  title = {The phase diagram of approximation rates for deep neural networks},
  booktitle = {Advances in Neural Information Processing Systems}, year = {2020}, note = {arXiv:1906.09477}
}""",
    "P21": """@inproceedings{yarotsky2021elementary,
  author = {Dmitry Yarotsky},
  title = {Elementary superexpressive activations},
  booktitle = {International Conference on Machine Learning}, year = {2021}, note = {arXiv:2102.10911}
}""",
    "C26": """@misc{cheng2026arbitrary,
  author = {Cheng and Wang and Wang},
  title = {Arbitrary-Accuracy Neural Approximation with Optimal Neuron Count and Near-Optimal Bit Complexity},
  year = {2026}, month = sep
}""",
    "approx": """@software{approx,
  author = {{The approx founders}},
  title = {approx: constructive approximation theory of neural networks}, year = {2026}
}""",
}


def bibtex(keys: Iterable[str]) -> str:
    """The BibTeX entries of the given keys, this software last. Raises InputError on a key that is not listed.

    >>> "1610.01145" in bibtex(["P16"])
    True
    """
    wanted = [k for k in dict.fromkeys(keys) if k != "approx"]
    for key in wanted:
        if key not in PAPERS:
            raise InputError("key", key, "one of " + ", ".join(PAPERS))
    return "\n\n".join(PAPERS[k] for k in [*wanted, "approx"])
