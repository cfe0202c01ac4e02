"""One file per fine-tuning strategy: a function from depth groups to a `TransferPlan`."""
