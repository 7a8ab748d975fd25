"""Quality as the ledger saw it: signals of all traffic over a window, beside the window before."""
