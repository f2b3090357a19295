"""The linear regression problems of the NIST Statistical Reference Datasets, and their certified answers.

The data are decimal strings, so that `exact_solution` can solve the very problem that was certified in
rational arithmetic. Source: https://www.itl.nist.gov/div898/strd/lls/lls.shtml (public domain). Certified
values have 15 digits.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np


@dataclass(frozen=True)
class Reference:
    """One problem; rows hold x exactly, ``degree`` > 1 means powers of a single x."""

    name: str
    difficulty: str
    x: list[list[Fraction]]
    y: list[Fraction]
    fit_intercept: bool
    certified: list[float]
    residual_sum: float

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """The data as float64; powers are computed in float64, as any user's program would."""
        return np.array([[float(v) for v in row] for row in self.x]), np.array([[float(v)] for v in self.y])


def exact_solution(reference: Reference) -> list[Fraction]:
    """Solve the normal equations in rational arithmetic: no rounding at all."""
    rows = [[Fraction(1), *row] if reference.fit_intercept else list(row) for row in reference.x]
    size = len(rows[0])
    system = [
        [sum(r[i] * r[j] for r in rows) for j in range(size)]
        + [sum(r[i] * y for r, y in zip(rows, reference.y, strict=True))]
        for i in range(size)
    ]
    for i in range(size):
        pivot = next(r for r in range(i, size) if system[r][i] != 0)
        system[i], system[pivot] = system[pivot], system[i]
        for r in range(size):
            if r != i:
                factor = system[r][i] / system[i][i]
                system[r] = [a - factor * b for a, b in zip(system[r], system[i], strict=True)]
    return [system[i][size] / system[i][i] for i in range(size)]


def _fractions(text: str) -> list[Fraction]:
    return [Fraction(word) for word in text.split()]


def _powers(x: list[Fraction], degree: int) -> list[list[Fraction]]:
    return [[value**power for power in range(1, degree + 1)] for value in x]


def _wampler(name: str, coef: Fraction, noise: int, residual_sum: float, difficulty: str) -> Reference:
    x = [Fraction(i) for i in range(21)]
    half = [759, -2048, 2048, -2048, 2523, -2048, 2048, -2048, 1838, -2048]
    errors = [*half, 2048, *half[::-1]]
    y = [
        sum((coef * v) ** power for power in range(6)) + noise * error
        for v, error in zip(x, errors, strict=True)
    ]
    certified = [float(coef**power) for power in range(6)]
    return Reference(name, difficulty, _powers(x, 5), y, True, certified, residual_sum)


_NORRIS_X = _fractions(
    "0.2 337.4 118.2 884.6 10.1 226.5 666.3 996.3 448.6 777.0 558.2 0.4 0.6 775.5 666.9 338.0 447.5 11.6 "
    "556.0 228.1 995.8 887.6 120.2 0.3 0.3 556.8 339.1 887.2 999.0 779.0 11.1 118.3 229.2 669.1 448.9 0.5"
)
_NORRIS_Y = _fractions(
    "0.1 338.8 118.1 888.0 9.2 228.1 668.5 998.5 449.1 778.9 559.2 0.3 0.1 778.1 668.8 339.3 448.9 10.8 "
    "557.7 228.3 998.0 888.8 119.6 0.3 0.6 557.6 339.3 888.0 998.5 778.9 10.2 117.6 228.9 668.4 449.2 0.2"
)
_PONTIUS_Y = _fractions(
    ".11019 .21956 .32949 .43899 .54803 .65694 .76562 .87487 .98292 1.09146 1.20001 1.30822 1.41599 1.52399 "
    "1.63194 1.73947 1.84646 1.95392 2.06128 2.16844 .11052 .22018 .32939 .43886 .54798 .65739 .76596 .87474 "
    ".98300 1.09150 1.20004 1.30818 1.41613 1.52408 1.63159 1.73965 1.84696 1.95445 2.06177 2.16829"
)
_FILIP_X = _fractions(
    "-6.860120914 -4.324130045 -4.358625055 -4.358426747 -6.955852379 -6.661145254 -6.355462942 -6.118102026 "
    "-7.115148017 -6.815308569 -6.519993057 -6.204119983 -5.853871964 -6.109523091 -5.79832982 -5.482672118 "
    "-5.171791386 -4.851705903 -4.517126416 -4.143573228 -3.709075441 -3.499489089 -6.300769497 -5.953504836 "
    "-5.642065153 -5.031376979 -4.680685696 -4.329846955 -3.928486195 -8.56735134 -8.363211311 -8.107682739 "
    "-7.823908741 -7.522878745 -7.218819279 -6.920818754 -6.628932138 -6.323946875 -5.991399828 -8.781464495 "
    "-8.663140179 -8.473531488 -8.247337057 -7.971428747 -7.676129393 -7.352812702 -7.072065318 -6.774174009 "
    "-6.478861916 -6.159517513 -6.835647144 -6.53165267 -6.224098421 -5.910094889 -5.598599459 -5.290645224 "
    "-4.974284616 -4.64454848 -4.290560426 -3.885055584 -3.408378962 -3.13200249 -8.726767166 -8.66695597 "
    "-8.511026475 -8.165388579 -7.886056648 -7.588043762 -7.283412422 -6.995678626 -6.691862621 -6.392544977 "
    "-6.067374056 -6.684029655 -6.378719832 -6.065855188 -5.752272167 -5.132414673 -4.811352704 -4.098269308 "
    "-3.66174277 -3.2644011"
)
_FILIP_Y = _fractions(
    ".8116 .9072 .9052 .9039 .8053 .8377 .8667 .8809 .7975 .8162 .8515 .8766 .8885 .8859 .8959 .8913 .8959 "
    ".8971 .9021 .909 .9139 .9199 .8692 .8872 .89 .891 .8977 .9035 .9078 .7675 .7705 .7713 .7736 .7775 .7841 "
    ".7971 .8329 .8641 .8804 .7668 .7633 .7678 .7697 .77 .7749 .7796 .7897 .8131 .8498 .8741 .8061 .846 "
    ".8751 .8856 .8919 .8934 .894 .8957 .9047 .9129 .9209 .9219 .7739 .7681 .7665 .7703 .7702 .7761 .7809 "
    ".7961 .8253 .8602 .8809 .8301 .8664 .8834 .8898 .8964 .8963 .9074 .9119 .9228"
)
_LONGLEY = [
    _fractions(row)
    for row in (
        "60323 83.0 234289 2356 1590 107608 1947",
        "61122 88.5 259426 2325 1456 108632 1948",
        "60171 88.2 258054 3682 1616 109773 1949",
        "61187 89.5 284599 3351 1650 110929 1950",
        "63221 96.2 328975 2099 3099 112075 1951",
        "63639 98.1 346999 1932 3594 113270 1952",
        "64989 99.0 365385 1870 3547 115094 1953",
        "63761 100.0 363112 3578 3350 116219 1954",
        "66019 101.2 397469 2904 3048 117388 1955",
        "67857 104.6 419180 2822 2857 118734 1956",
        "68169 108.4 442769 2936 2798 120445 1957",
        "66513 110.8 444546 4681 2637 121950 1958",
        "68655 112.6 482704 3813 2552 123366 1959",
        "69564 114.2 502601 3931 2514 125368 1960",
        "69331 115.7 518173 4806 2572 127852 1961",
        "70551 116.9 554894 4007 2827 130081 1962",
    )
]

REFERENCES = [
    Reference(
        "Norris",
        "lower",
        [[v] for v in _NORRIS_X],
        _NORRIS_Y,
        True,
        [-0.262323073774029, 1.00211681802045],
        26.6173985294224,
    ),
    Reference(
        "Pontius",
        "lower",
        _powers([Fraction(150000 * (i % 20 + 1)) for i in range(40)], 2),
        _PONTIUS_Y,
        True,
        [0.673565789473684e-03, 0.732059160401003e-06, -0.316081871345029e-14],
        0.155761768796992e-05,
    ),
    Reference(
        "NoInt1",
        "average",
        [[Fraction(60 + i)] for i in range(11)],
        [Fraction(130 + i) for i in range(11)],
        False,
        [2.07438016528926],
        127.272727272727,
    ),
    Reference(
        "NoInt2",
        "average",
        [[Fraction(v)] for v in (4, 5, 6)],
        [Fraction(v) for v in (3, 4, 4)],
        False,
        [0.727272727272727],
        0.272727272727273,
    ),
    Reference(
        "Filip",
        "higher",
        _powers(_FILIP_X, 10),
        _FILIP_Y,
        True,
        [
            -1467.48961422980,
            -2772.17959193342,
            -2316.37108160893,
            -1127.97394098372,
            -354.478233703349,
            -75.1242017393757,
            -10.8753180355343,
            -1.06221498588947,
            -0.670191154593408e-01,
            -0.246781078275479e-02,
            -0.402962525080404e-04,
        ],
        0.795851382172941e-03,
    ),
    Reference(
        "Longley",
        "higher",
        [row[1:] for row in _LONGLEY],
        [row[0] for row in _LONGLEY],
        True,
        [
            -3482258.63459582,
            15.0618722713733,
            -0.358191792925910e-01,
            -2.02022980381683,
            -1.03322686717359,
            -0.511041056535807e-01,
            1829.15146461355,
        ],
        836424.055505915,
    ),
    _wampler("Wampler1", Fraction(1), 0, 0.0, "higher"),
    _wampler("Wampler2", Fraction(1, 10), 0, 0.0, "higher"),
    _wampler("Wampler3", Fraction(1), 1, 83554268.0, "higher"),
    _wampler("Wampler4", Fraction(1), 100, 835542680000.0, "higher"),
    _wampler("Wampler5", Fraction(1), 10000, 8355426800000000.0, "higher"),
]
