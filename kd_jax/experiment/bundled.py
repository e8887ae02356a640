"""What comes along: experiments and sample corpora, in a checkout and in a wheel."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def _place(bundled: str, checkout: str) -> Path:
    inside = _PACKAGE / "_bundled" / bundled
    return inside if inside.is_dir() else _PACKAGE.parent / checkout


def sample_corpora() -> Path:
    """Folder of the bundled sample corpora."""
    return _place("sample", "data/sample")


def experiments() -> dict[str, Path]:
    """The experiment files that come along, by name."""
    return {path.stem: path for path in sorted(_place("experiments", "experiments").glob("[!_]*.py"))}
