"""Packed sentences with random emissions, and all their paths one by one."""

import itertools

import jax
import numpy as np

from kd_jax.models.crf import Transitions

GAP = None  # a token of padding


def random_transitions(seed, k, scale=1.0):
    keys = jax.random.split(jax.random.key(seed), 3)
    shapes = [(k,), (k,), (k, k)]
    return Transitions(*(scale * jax.random.normal(key, shape) for key, shape in zip(keys, shapes, strict=True)))


def packed(rows, k, seed=0, scale=1.0):
    """Random emissions and labels as rows describe: lengths of sentences, GAP for a token of padding."""
    width = max(sum(1 if n is GAP else n for n in row) for row in rows)
    starts, mask = np.ones((2, len(rows), width), bool)
    for r, row in enumerate(rows):
        at = 0
        for n in row:
            starts[r, at + 1 : at + (n or 1)] = False
            mask[r, at] = n is not GAP
            at += n or 1
        mask[r, at:] = False
    rng = np.random.default_rng(seed)
    emissions = (scale * rng.normal(size=(*mask.shape, k))).astype(np.float32)
    labels = rng.integers(0, k, mask.shape)
    return emissions, labels, starts, mask


def sentences(rows):
    """(row, first, last + 1) of every sentence."""
    for r, row in enumerate(rows):
        at = 0
        for n in row:
            if n is not GAP:
                yield r, at, at + n
            at += n or 1


def enumerate_paths(emissions, transitions):
    """All paths of one sentence, [P, n], and their scores, [P], added up in double precision."""
    e = np.asarray(emissions, np.float64)
    start, stop, pairs = (np.asarray(x, np.float64) for x in transitions)
    paths = np.array(list(itertools.product(range(e.shape[1]), repeat=len(e))))
    scores = start[paths[:, 0]] + stop[paths[:, -1]] + e[np.arange(len(e)), paths].sum(1)
    return paths, scores + pairs[paths[:, :-1], paths[:, 1:]].sum(1)


def log_sum_exp(scores):
    return scores.max() + np.log(np.exp(scores - scores.max()).sum())
