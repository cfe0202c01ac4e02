"""Layer 5: what is copied, frozen and re-initialised when a model is carried to a new task."""

from epitaxy.core.registry import Registry

STRATEGIES = Registry(
    "strategy",
    {
        "full": "epitaxy.transfer.strategies.full:full",
        "head": "epitaxy.transfer.strategies.head:head",
        "regression-head": "epitaxy.transfer.strategies.regression_head:regression_head",
        "new-head": "epitaxy.transfer.strategies.new_head:new_head",
        "two-body": "epitaxy.transfer.strategies.two_body:two_body",
        "three-body": "epitaxy.transfer.strategies.three_body:three_body",
        "last-conv": "epitaxy.transfer.strategies.last_conv:last_conv",
        "layer-decay": "epitaxy.transfer.strategies.layer_decay:layer_decay",
        "freeze-to": "epitaxy.transfer.strategies.freeze_to:freeze_to",
    },
)
"""Name -> function from depth groups to a `TransferPlan`. To add one: a file in `strategies/` and
a line here."""
