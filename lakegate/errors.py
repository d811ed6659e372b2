"""Everything that Lakegate refuses, as one tree: catch by meaning.

Every message says what was expected, what came, and what to do next. A service's own error is kept as the cause.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class LakegateError(Exception):
    """Root of all errors that Lakegate raises on purpose; the command line prints them without a traceback."""

    is_transient = False


class BadInput(LakegateError):
    """Something that a person gave is not usable as it is."""


class BadDeclaration(BadInput):
    """A ``dataset.toml`` or ``model.toml`` does not hold to its dialect."""


class UnknownName(BadInput):
    """A dataset, model, run, release, slice or metric of that name does not exist."""


class UnknownLabel(BadInput):
    """A label is used that the dataset does not declare."""


class BadExport(BadInput):
    """An annotation export cannot be read, or its parts do not fit together."""


class UnsafeArchive(BadExport):
    """An archive holds what must not be unpacked (a name, a link, a bomb); nothing of it was written or is kept."""


class BadImage(BadInput):
    """A file is not a whole image."""


class ValidationFailed(LakegateError):
    """The content of a version breaks rules of its declaration; ``main`` was not touched."""


class ServiceUnavailable(LakegateError):
    """A service did not answer, or answered 5xx: trying again may help."""

    is_transient = True


class ServiceRefused(LakegateError):
    """A service answered and said no: trying again does not help."""


class LakeError(LakegateError):
    """The data in lakeFS is not in the state that the step needs."""


class VersionNotFound(LakeError, UnknownName):
    """No such dataset, tag, branch or commit."""


class VersionExists(LakeError):
    """The tag is taken by other content; versions are immutable."""


class Unattested(LakeError):
    """No valid attestation covers this content."""


class ChecksumMismatch(LakeError):
    """Bytes that were read or stored are not the bytes that were promised."""

    is_transient = True


class PublishConflict(LakeError):
    """Somebody else changed the same samples at the same time."""


class TrainingFailed(LakegateError):
    """A training cannot go on (no samples, loss not finite, checkpoint of another run)."""


class ParityFailed(LakegateError):
    """The exported model does not compute what the trained one computes."""


class EngineNotBuilt(LakegateError):
    """No engine came out that computes what ``model.onnx`` computes."""


class UnsafeModelFile(BadInput):
    """A model file holds more than tensors; it was not unpickled."""


class BrokenModelFile(BadInput):
    """A model file or checkpoint is truncated or damaged."""


class MisalignedPredictions(LakegateError):
    """Two prediction sets do not cover the same samples in the same order."""


class RegistryError(LakegateError):
    """The registry does not allow the step."""


class GateFailed(RegistryError):
    """The verdict on a candidate is not PASS, so nothing moves."""


class NotApproved(RegistryError):
    """No valid approval is bound to the evidence as it is now."""


class ServingError(LakegateError):
    """A Triton server does not serve what it should, or its answer is not one of the served contract."""


class ServerBusy(ServingError):
    """The server refused a request because its queue is full; the request was not run and may be sent again."""

    is_transient = True


class WandbUnavailable(LakegateError):
    """A W&B server did not answer, or refused; what was to be sent stays kept."""

    is_transient = True


class SetupProblem(LakegateError):
    """This machine lacks something that Lakegate needs, or a port is taken."""


NAMED = 20  # known words that a message lists


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the closest known word, or the list of known words.

    >>> nearest("stp", ["stop", "yield"])
    "; did you mean 'stop'?"
    """
    names = sorted(known)
    close = get_close_matches(word, names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean '{close[0]}'?"
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"; known: {', '.join(names[:NAMED]) or 'none'}{more}"
