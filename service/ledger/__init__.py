"""What happened and who may: the append-only ledger and its database."""
