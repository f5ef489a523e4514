"""Work in a forked process of its own, whose libraries, threads and crashes stay there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlshare import errors
from mlshare.build.pool import Pool
from mlshare.worker import Progress

Work = Callable[[Progress], tuple[dict[str, Any], bytes]]


def alone(name: str, work: Work, threads: int, progress: Progress) -> tuple[dict[str, Any], memoryview]:
    """What the work returned; errors of mlshare come back as they are, others as ChildError of that name."""

    def guarded(_: int, say: Progress) -> tuple[dict[str, Any], bytes]:
        try:
            said, blob = work(say)
            return {"said": said}, blob
        except errors.MlshareError as error:
            fields = {name: str(value) for name, value in error.fields.items()}
            return {"class": type(error).__qualname__, "words": {"hint": error.hint, **fields}}, b""

    pool = Pool(guarded, 1, threads, progress)
    (done,) = pool.run([0])
    if done.error is not None:
        raise errors.ChildError(task=name, reason=done.error)
    answer = pool.document(done)
    if "class" in answer:
        raise getattr(errors, answer["class"])(**answer["words"])
    return answer["said"], pool.views(done)[0]
