"""Texts to token ids with a tokenizer that no call changes, so that threads can share it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer


class SharedTokenizer:
    """A copy of a fast tokenizer without truncation and padding.

    The vendor's own wrapper sets both on the one shared tokenizer at every call, which fails under threads, and
    warns about every text longer than the model; here texts are cut and padded outside of it.
    """

    def __init__(
        self,
        backend: Tokenizer,
        *,
        max_tokens: int | None,
        specials: bool = True,
        pad_id: int = 0,
        pad_left: bool = False,
    ) -> None:
        self._tokenizer = type(backend).from_str(backend.to_str())
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._pad_id = pad_id
        self._pad_left = pad_left
        self._prefix, self._suffix = self._special_ids() if specials else ([], [])
        self.max_tokens = max_tokens
        room = None if max_tokens is None else max(1, max_tokens - len(self._prefix) - len(self._suffix))
        self._body = slice(room)

    def _special_ids(self) -> tuple[list[int], list[int]]:
        """Ids that the tokenizer puts before and after a text."""
        plain = self._tokenizer.encode("a", add_special_tokens=False).ids
        whole = self._tokenizer.encode("a", add_special_tokens=True).ids
        at = next(i for i in range(len(whole)) if whole[i : i + len(plain)] == plain)
        return whole[:at], whole[at + len(plain) :]

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, special tokens excluded."""
        return [len(encoding) for encoding in self._encode(texts)]

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Model input of each text: special tokens added, cut to the model's longest input."""
        return [self._prefix + encoding.ids[self._body] + self._suffix for encoding in self._encode(texts)]

    def ids_of_one(self, text: str) -> list[int]:
        """Model input of one text, by the call that starts no threads."""
        body = self._tokenizer.encode(text, add_special_tokens=False).ids[self._body]
        return self._prefix + body + self._suffix

    def ids_of_text(self, text: str) -> list[int]:
        """All tokens of one text, without special tokens and not cut."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def pad(self, rows: Sequence[Sequence[int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """`(ids, mask)`, both `(n, longest) int64`; the mask is 1 where a token is."""
        longest = max(len(row) for row in rows)
        ids = np.full((len(rows), longest), self._pad_id, dtype=np.int64)
        mask = np.zeros_like(ids)
        for i, row in enumerate(rows):
            where = slice(longest - len(row), None) if self._pad_left else slice(len(row))
            ids[i, where] = row
            mask[i, where] = 1
        return ids, mask

    def flatten(self, rows: Sequence[Sequence[int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """`(ids, offsets)`: all rows end to end, and where each begins."""
        ids = np.fromiter(chain.from_iterable(rows), dtype=np.int64)
        offsets = np.cumsum([0, *(len(row) for row in rows[:-1])], dtype=np.int64)
        return ids, offsets

    def _encode(self, texts: Sequence[str]) -> list[Encoding]:
        return self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
