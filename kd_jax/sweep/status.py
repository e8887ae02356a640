"""What is on disk already: which models of a work folder are finished, and what they say of themselves.

Everything that asks whether a model is there asks one `Status`, which reads each manifest once.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from kd_jax.errors import InputError
from kd_jax.runtime.files import digest, read_json
from kd_jax.structs import LossWeights
from kd_jax.sweep.identity import TRAINING
from kd_jax.sweep.lane_group import LaneGroup, ModelSpec
from kd_jax.sweep.plan import Chosen, Plan
from kd_jax.training.checkpoints import started_together
from kd_jax.training.manifest import Manifest, read_manifest


class Status:
    """The manifests of a work folder's finished models, each read when it is first asked for and kept."""

    def __init__(self) -> None:
        self._found: dict[Path, Manifest | None] = {}

    def manifest(self, spec: ModelSpec) -> Manifest | None:
        """What a model says of itself; None where it is not finished.

        Raises:
            InputError: where it is damaged.
        """
        if spec.folder not in self._found:
            self._found[spec.folder] = read_manifest(spec.folder)
        return self._found[spec.folder]

    def finished(self, spec: ModelSpec) -> Manifest:
        """What a model says of itself that was trained before.

        Raises:
            InputError: where it is gone, or damaged.
        """
        if (manifest := self.manifest(spec)) is None:
            raise InputError(f"{spec.folder}: vanished while the experiment ran; run the same command again")
        return manifest

    def add(self, spec: ModelSpec, manifest: Manifest) -> None:
        """Take note of a model that was just saved."""
        self._found[spec.folder] = manifest

    def forget(self, specs: Iterable[ModelSpec]) -> None:
        """Ask the disk again about models, since another process may have saved them."""
        for spec in specs:
            self._found.pop(spec.folder, None)

    def missing(self, group: LaneGroup) -> list[ModelSpec]:
        """Those of a lane group's models that are not finished; two columns of one model count once."""
        return [spec for spec in models_of(group) if self.manifest(spec) is None]

    def lanes_to_train(self, group: LaneGroup, workdir: Path) -> list[ModelSpec]:
        """The lanes to train for a group's missing models: these, and those that started in one program with them."""
        missing = self.missing(group)
        if not missing:
            return []
        known = {spec.model_id: spec for spec in group.specs}
        begun = started_together(checkpoint_folder(workdir, group), list(known), [spec.model_id for spec in missing])
        return [known[model_id] for model_id in begun]

    def devel_f1(self, spec: ModelSpec) -> float:
        """F1 on devel of a model that was not trained on it, the mean over its corpora; -1 where it diverged.

        Raises:
            InputError: where the model has none.
        """
        manifest = self.manifest(spec)
        if manifest is not None and not manifest.ok:  # worse than any that trained, so it is never chosen
            return -1.0
        if manifest is None or manifest.devel_f1 is None:
            raise InputError(f"{spec.folder}: has no F1 on devel; remove the folder to train it again")
        return float(manifest.devel_f1)

    def choose(self, plan: Plan) -> Chosen:
        """The weights of every student that has something to choose, by F1 on devel.

        Of the candidates within one standard error of the best mean over seeds, those with the largest alpha, then
        those with the fewest terms, then the better one: what is simpler is taken unless it is shown to be worse.
        """
        chosen: dict[tuple[str, str], LossWeights] = {}
        for corpus in plan.targets:
            for student in plan.experiment.students:
                if len(student.choices) > 1:
                    f1: dict[LossWeights, list[float]] = {}
                    for spec in plan.candidates(student, corpus):
                        f1.setdefault(spec.weights, []).append(self.devel_f1(spec))
                    chosen[corpus, student.label] = simplest(f1)
        return chosen

    def groups_of(self, plan: Plan) -> tuple[LaneGroup, ...]:
        """All groups of a plan in order; students have their grid's first weights until all of it has been tried."""
        chosen = None if any(self.missing(group) for group in plan.tuning) else self.choose(plan)
        return (*plan.fixed, *plan.students(chosen))


def simplest(f1: Mapping[LossWeights, Sequence[float]]) -> LossWeights:
    """The simplest weights within one standard error of the best.

    Args:
        f1: of each candidate, seed by seed.
    """
    # Breiman et al.'s rule for trees: differences within one standard error are noise, so they decide nothing.
    best = max(f1.values(), key=np.mean)
    error = float(np.std(best, ddof=1)) / len(best) ** 0.5 if len(best) > 1 else 0.0
    near = [weights for weights, values in f1.items() if np.mean(values) >= np.mean(best) - error]
    return max(near, key=lambda w: (w.alpha, -sum(map(bool, w[:4])), float(np.mean(f1[w]))))


def models_of(group: LaneGroup) -> tuple[ModelSpec, ...]:
    """The models of a lane group, each once: two columns may show the same."""
    return tuple({spec.folder: spec for spec in group.specs}.values())


def checkpoint_folder(workdir: Path, group: LaneGroup) -> Path:
    """Where a lane group's lanes are kept while they are in training."""
    return workdir / "checkpoints" / digest([spec.model_id for spec in group.specs])[:12]


def changed_corpora(hashes: Mapping[str, str], workdir: Path) -> list[str]:
    """Names of the corpora whose content is another than in the work folder's last run; none where that is unknown.

    Args:
        hashes: of the corpora's content now, by name.
        workdir: the work folder.
    """
    try:
        before = read_json(workdir / "settings.json")["corpora"]
        return [name for name, now in hashes.items() if name in before and before[name]["hash"] != now]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # a hint only: a damaged file gives none
        return []


def trained_otherwise(workdir: Path) -> str | None:
    """The version of kd_jax that a work folder was last run by, where it trained otherwise than this one; else None.

    Args:
        workdir: the work folder.
    """
    try:
        before = read_json(workdir / "settings.json")
        return None if before.get("training") == TRAINING else str(before["versions"]["kd_jax"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
