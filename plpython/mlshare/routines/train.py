"""Training as HeatWave has it."""

from __future__ import annotations

from mlshare import errors
from mlshare import options as opt
from mlshare.routines.boundary import routine


@routine
def ml_train(
    table_name: str | None, target_column_name: str | None, options: str | None, model_handle: str | None
) -> tuple[str]:
    from mlshare import frame, training
    from mlshare.build.plan import Plan
    from mlshare.rules import Rules

    chosen = opt.parse_train(options)
    if table_name is None:
        raise errors.InvalidArgument(argument="table_name", reason="a table must be given")
    if target_column_name is None:
        raise errors.InvalidArgument(
            argument="target_column_name", reason="classification and regression need a target column"
        )
    plan = Plan.from_options(target_column_name, chosen["task"], chosen)
    rules = Rules.from_options(chosen)
    call = training.Call(frame.relation(table_name), target_column_name, plan, chosen, model_handle, rules)
    return (training.train_partitions(call) if call.rules else training.train(call),)
