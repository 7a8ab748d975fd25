"""Tiny cross-encoders made here: real BERT models of two layers, their weights set by hand, saved as all others are.

The score rises with the share of the query's words that stand in the passage, so an order can be asserted. How: every
word has its own code of +1 and -1. In the first layer a word of the query looks for its code among the passage's words,
and finds either that or the [CLS] token; in the second, [CLS] takes the mean of what they found; the head reads it.
Vectors are kept of one length, so that the layer norms change nothing but their scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

_CODE = 100
_QUERY, _PASSAGE, _CLS, _UNKNOWN, _SEP, _FOUND, _LOST, _SHARE = range(_CODE, _CODE + 8)
_WIDTH = 128
_POSITIONS = 64
_SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
_SLOPE = 8.0


def save_overlap_encoder(folder: Path, words: Sequence[str], *, labels: int = 1, activation: str = "Sigmoid") -> Path:
    """A cross-encoder folder that knows `words`; all others are one unknown word that is never found."""
    vocabulary = {word: i for i, word in enumerate(dict.fromkeys([*_SPECIALS, *words]))}
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=1,
        intermediate_size=4,
        max_position_embeddings=_POSITIONS,
        num_labels=labels,
        pad_token_id=0,
    )
    # sentence-transformers keeps the activation of a cross-encoder in the model's own configuration.
    config.sentence_transformers = {"activation_fn": f"torch.nn.modules.{_MODULES[activation]}.{activation}"}
    model = BertForSequenceClassification(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        _set_weights(model, len(vocabulary))
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    _tokenizer(vocabulary).save_pretrained(folder)
    return folder


_MODULES = {"Sigmoid": "activation", "Identity": "linear"}


def _set_weights(model: BertForSequenceClassification, words: int) -> None:
    embeddings = model.bert.embeddings
    codes = torch.sign(torch.randn(words, _CODE, generator=torch.Generator().manual_seed(1)))
    embeddings.word_embeddings.weight[len(_SPECIALS) :, :_CODE] = codes[len(_SPECIALS) :]
    for token, place in (("[UNK]", _UNKNOWN), ("[CLS]", _CLS), ("[SEP]", _SEP)):
        embeddings.word_embeddings.weight[_SPECIALS.index(token), place] = _CODE**0.5
    embeddings.token_type_embeddings.weight[0, _QUERY] = 5.0
    embeddings.token_type_embeddings.weight[1, _PASSAGE] = 5.0
    for name, parameter in model.named_parameters():
        if name.endswith("LayerNorm.weight"):
            parameter.fill_(1.0)
    first, second = model.bert.encoder.layer
    _look_for_the_same_word(first.attention)
    _average_over_the_query(second.attention)
    model.bert.pooler.dense.weight[0, _SHARE] = 1.0
    model.classifier.weight[:, 0] = _SLOPE
    model.classifier.bias.fill_(-_SLOPE / 4)


def _look_for_the_same_word(attention: torch.nn.Module) -> None:
    own = attention.self
    for i in range(_CODE):
        own.query.weight[i, i] = 1.0
        own.key.weight[i, i] = 4.0
    own.query.bias[_CODE] = 1.0  # every token asks for: of the passage, or [CLS] as the place to look when not found
    own.key.weight[_CODE, _PASSAGE] = 40.0
    own.key.weight[_CODE, _CLS] = 45.0
    own.value.weight[_FOUND, _PASSAGE] = 1.0
    own.value.weight[_LOST, _CLS] = 0.5
    for place in (_FOUND, _LOST):
        attention.output.dense.weight[place, place] = 2.0


def _average_over_the_query(attention: torch.nn.Module) -> None:
    own = attention.self
    own.query.bias[0] = 1.0
    own.key.weight[0, _QUERY] = 60.0
    own.key.weight[0, _CLS] = own.key.weight[0, _SEP] = -200.0
    own.value.weight[0, _FOUND] = 1.0
    attention.output.dense.weight[_SHARE, 0] = 0.1


def _tokenizer(vocabulary: dict[str, int]) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=_POSITIONS,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )
