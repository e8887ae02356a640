"""How often tests call equal models different, how often they see a gain, and how often limits cover the truth.

Made-up models of one corpus: 1,000 sentences of 0 to 4 entities, F1 about 80, entities found and false ones made up by
probabilities that depend on the sentence, on the model and sentence, and on the seed. `runs` compares them by
`significance.compare_runs` and by the test that it replaced, a permutation of the seeds' summed counts over sentences;
`corpora` counts how often limits of a difference over corpora hold it; `splits` divides equal runs of a real model,
given as its files of counts, into two halves again and again.

    python benchmarks/false_positives.py runs                  # 2 minutes on a core of one's own
    python benchmarks/false_positives.py corpora               # half a minute
    python benchmarks/false_positives.py splits WORKDIR/counts/*/SampleMix/STM-*-test.npy

What came out: docs/statistics.md.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kd_jax.evaluation import significance

GOLD = (0.35, 0.3, 0.2, 0.1, 0.05)
"""Share of sentences with 0, 1, 2, 3 and 4 entities."""
POINT = 0.01 / (0.8 * 0.2)
"""A percentage point of recall or precision of 80 %, as a shift of the log odds."""


class Case(NamedTuple):
    """What varies between runs. Standard deviations of log odds, but for seeds.

    Attributes:
        seeds: of each model's recall and precision over its seeds, in percentage points.
        sentences: difficulty of a sentence for every model.
        models: difficulty of a sentence for one of the models.
        noise: difficulty of a sentence for one run.
    """

    seeds: tuple[float, float] = (0, 0)
    sentences: float = 1.0
    models: float = 0.0
    noise: float = 0.0


CASES: Mapping[str, Case] = {
    "seeds vary (2 points)": Case((2, 2), sentences=0),
    "sentences vary": Case(),
    "models differ by sentence": Case(models=1.5),
    "all of it (1 point)": Case((1, 1), models=1, noise=0.5),
    "all of it (2 points)": Case((2, 2), models=1, noise=0.5),
    "all of it (0.5 and 2 points)": Case((0.5, 2), models=1, noise=0.5),
    "one model's seeds alone (0 and 4 points)": Case((0, 4), models=1),
}


def made_runs(
    rng: np.random.Generator, case: Case, seeds: int, gain: float = 0, sentences: int = 1000
) -> tuple[np.ndarray, np.ndarray]:
    """Counts of two models, [seeds, sentences, 3] each.

    Args:
        rng: draws everything.
        case: what varies.
        seeds: of each model.
        gain: of the first model's recall and precision, in percentage points where they are 80 %; F1 gains less.
        sentences: of the corpus.
    """
    gold = rng.choice(len(GOLD), sentences, p=GOLD)

    def effect(sd: float, *shape: int) -> np.ndarray:
        return sd * rng.normal(size=(2, *shape)) - np.reshape([0, sd**2 / 2], (2, *[1] * len(shape)))

    shared = effect(case.sentences, 1, sentences)
    models = []
    for better, sd in zip((gain, 0), case.seeds, strict=True):
        found, made_up = (
            np.reshape([1.75 + better * POINT, -1.75 - better * POINT], (2, 1, 1))
            + shared
            + effect(case.models, 1, sentences)
            + effect(sd * POINT, seeds, 1)
            + effect(case.noise, seeds, sentences)
        )
        right = rng.binomial(gold, 1 / (1 + np.exp(-found)))
        models.append(np.stack([right, right + rng.poisson(np.exp(made_up)), np.broadcast_to(gold, right.shape)], -1))
    return models[0], models[1]


def f1(counts: np.ndarray) -> np.ndarray:
    """F1 in percent of sums of counts, [..., 3]."""
    return 200 * counts[..., 0] / (counts[..., 1] + counts[..., 2])


def permutation(a: np.ndarray, b: np.ndarray, rng: np.random.Generator, resamples: int = 199) -> float:
    """P-value of the test that was replaced: sentences' counts, summed over seeds, swapped between the models."""
    first, second = a.mean(0), b.mean(0)
    total, difference = (first + second).sum(0), first - second
    signs = 2.0 * rng.integers(0, 2, (resamples, len(difference)), np.int8) - 1

    def gap(moved: np.ndarray) -> np.ndarray:
        return np.abs(f1((total + moved) / 2) - f1((total - moved) / 2))

    return float(1 + np.sum(gap(signs @ difference) >= gap(difference.sum(0)) - 1e-9)) / (resamples + 1)


class Rates(NamedTuple):
    """Shares of pairs called different at 0.05 before and after, mean difference of F1, and its sd over seeds."""

    before: float
    after: float
    difference: float
    sd: float


def rates(case: Case, seeds: int, repeats: int, gain: float = 0, *, old: bool = True) -> Rates:
    """Both tests over made-up pairs of models; only the new one where the old is not wanted."""
    rng = np.random.default_rng([seeds, repeats, round(1000 * gain)])
    p, differences, spread = [], [], []
    for _ in range(repeats):
        a, b = made_runs(rng, case, seeds, gain)
        test = significance.compare_runs(a, b)
        assert test.p is not None, test.problem
        p.append((permutation(a, b, rng) if old else 1, test.p))
        differences.append(test.difference)
        spread += [np.var(f1(x.sum(1)), ddof=1) for x in (a, b)]
    before, after = np.mean(np.array(p) <= 0.05, axis=0)
    return Rates(float(before), float(after), float(np.mean(differences)), float(np.mean(spread)) ** 0.5)


def runs(repeats: int, gain: float) -> None:
    """Print rates of false positives and powers of the tests within a corpus."""
    print("| what varies | seeds | sd of F1 | false positives before | after | gain of F1 | power before | after |")
    print("|---|---|---|---|---|---|---|---|")
    significance.FEWEST_SEEDS = 2  # to show why it is 3
    for seeds in (2, 3, 5):
        for name, case in CASES.items():
            level, power = rates(case, seeds, repeats), rates(case, seeds, repeats, gain)
            share = [f"{level.before:.3f}", f"{level.after:.3f}", f"{power.difference:.1f}"]
            share += [f"{power.before:.2f}", f"{power.after:.2f}"]
            print(f"| {name} | {seeds} | {level.sd:.1f} | {' | '.join(share)} |", flush=True)


SHAPES: Mapping[str, tuple[float, float, Callable[[np.random.Generator, int], np.ndarray]]] = {
    "normal": (0, 0, lambda rng, n: rng.normal(size=n)),
    "Student's t, 3 degrees of freedom": (0, 0, lambda rng, n: rng.standard_t(3, n)),
    "exponential (skewed)": (np.log(2), 0.8392, lambda rng, n: rng.exponential(size=n)),
}
"""Distributions of differences: median, median of the mean of two (what Hodges and Lehmann estimate), and draws."""


def bootstrap(differences: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """The limits that were replaced: 95 % of the medians of resamples."""
    drawn = np.median(rng.choice(differences, (999, len(differences))), axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def corpora(repeats: int) -> None:
    """Print how often limits of the difference over corpora cover it."""
    print("| differences | corpora | bootstrap of medians covers | Hodges-Lehmann covers | width: before | after |")
    print("|---|---|---|---|---|---|")
    for name, (median, centre, draw) in SHAPES.items():
        for count in (5, 6, 7, 10, 15):
            rng = np.random.default_rng(count)
            ends = []
            for _ in range(repeats):
                differences = draw(rng, count)
                ends.append((*bootstrap(differences, rng), *significance.hodges_lehmann(differences)[1:]))
            low, high, lower, upper = np.array(ends).T
            covered = np.mean((low <= median) & (median <= high)), np.mean((lower <= centre) & (centre <= upper))
            print(
                f"| {name} | {count} | {covered[0]:.3f} | {covered[1]:.3f} | {np.mean(high - low):.2f} | "
                f"{np.mean(upper - lower):.2f} |",
                flush=True,
            )


def splits(files: Sequence[Path], repeats: int) -> None:
    """Print how often halves of equal runs, and threes of them, are called different at 0.05."""
    counts = np.stack([np.load(path, allow_pickle=False) for path in files])
    scores = f1(counts.sum(1))
    print(f"{len(counts)} runs, F1 {scores.mean():.1f} ± {scores.std(ddof=1):.1f}")
    rng = np.random.default_rng(0)
    everyone, half = range(len(counts)), len(counts) // 2
    halves = [(c, [k for k in everyone if k not in c]) for c in combinations(everyone, half) if 0 in c]
    threes = [(order[:3], order[3:6]) for order in (rng.permutation(len(counts)) for _ in range(repeats))]
    for name, pairs in ((f"halves of {half}", halves), ("two threes", threes)):
        p = []
        for first, second in pairs:
            a, b = counts[list(first)], counts[list(second)]
            p.append((permutation(a, b, rng, 999), significance.compare_runs(a, b).p or 0))
        before, after = np.mean(np.array(p) <= 0.05, axis=0)
        print(f"{name}: {len(pairs)} splits, called different before {before:.3f}, after {after:.3f}")


def main() -> None:
    """Print a Markdown table of what is asked for."""
    parser = argparse.ArgumentParser(description="Levels, powers and coverage of the tests between models.")
    parser.add_argument("what", choices=("runs", "corpora", "splits"))
    parser.add_argument("files", nargs="*", type=Path, help="for splits: counts by sentence of equal runs")
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--gain", type=float, default=2.5, help="in recall and precision, for the power")
    asked = parser.parse_args()
    if asked.what == "splits":
        if len(asked.files) < 6:
            parser.error("splits needs the counts of six runs or more")
        splits(asked.files, asked.repeats)
    elif asked.what == "runs":
        runs(asked.repeats, asked.gain)
    else:
        corpora(asked.repeats)


if __name__ == "__main__":
    main()
